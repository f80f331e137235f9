//! Names for slides that tell nobody whose they are: `@` and 16 hexadecimal digits, in place of a slide's name in any address.
//! Names of files often hold those of people, and addresses go into histories, logs, mails and shared screens.
//!
//! A pseudonym is made of the slide's name and its content id: the name alone could be guessed and tried. It lasts as long
//! as both do, and is for one slide also where two files have the same content. Not here: who may see what. A pseudonym is
//! no permission; whoever asks by it is let in or not as by the name.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use http::Uri;

use crate::access::{canonical, sha256};
use crate::error::Failure;
use crate::root::Root;
use crate::slide_id::SlideId;
use crate::survey::Survey;

const DIGITS: usize = 16;

/// Pseudonyms remembered besides those of the survey.
const MOST_REMEMBERED: usize = 10_000;

/// A slide's name that tells nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Pseudonym(u64);

impl Pseudonym {
    /// That of the slide with this name and this content.
    pub(crate) fn new(id: &SlideId, content_id: &str) -> Self {
        // The content id has always the same length: no name reaches into it.
        let hash = sha256(&[b"microtome pseudonym\0", content_id.as_bytes(), id.as_str().as_bytes()]);
        let [a, b, c, d, e, f, g, h, ..] = hash;
        Self(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
    }

    /// The pseudonym in place of a slide's name. No slide has a name that could be one.
    pub(crate) fn read(name: &str) -> Option<Self> {
        let digits = name.strip_prefix('@')?;
        let lower = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
        let is_one = digits.len() == DIGITS && digits.bytes().all(lower);
        u64::from_str_radix(digits, 16).ok().filter(|_| is_one).map(Self)
    }

    /// The address of a request as it is with the name in place of the pseudonym; `None` where that is written in an odd way, or
    /// more than once: it must be beyond doubt which slide another service is asked about.
    pub(crate) fn unveiled(self, address: &Uri, id: &SlideId) -> Option<Uri> {
        let (plain, path) = (self.to_string(), address.path());
        let is_there_once = canonical(path)?.matches(&plain).count() == 1;
        let written = [plain.replace('@', "%40"), plain].into_iter().find(|written| path.contains(written));
        let path = path.replacen(&written.filter(|_| is_there_once)?, &id.url_path(), 1);
        let query = address.query().map_or_else(String::new, |query| format!("?{query}"));
        let mut parts = address.clone().into_parts();
        parts.path_and_query = Some(format!("{path}{query}").try_into().ok()?);
        Uri::from_parts(parts).ok()
    }
}

impl std::fmt::Display for Pseudonym {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "@{:016x}", self.0)
    }
}

/// Which slide has which pseudonym.
pub(crate) struct Pseudonyms {
    /// Of slides that were told of: they need no survey.
    remembered: RwLock<HashMap<Pseudonym, SlideId>>,
    survey: Survey<(Pseudonym, SlideId)>,
}

impl Pseudonyms {
    pub(crate) fn new(root: Arc<Root>) -> Self {
        Self { remembered: RwLock::default(), survey: Survey::new(root, read) }
    }

    /// Sees to it that a slide is found by its pseudonym from now on.
    pub(crate) fn remember(&self, pseudonym: Pseudonym, id: &SlideId) {
        let mut remembered = self.remembered.write().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= MOST_REMEMBERED {
            remembered.clear();
        }
        remembered.insert(pseudonym, id.clone());
    }

    /// The slide with this pseudonym, if it is there and may be seen. Whether one is there that may not takes as long.
    ///
    /// # Errors
    ///
    /// If the slides can't be looked through.
    pub(crate) async fn find(
        &self,
        pseudonym: Pseudonym,
        sees: impl Fn(&SlideId) -> bool,
    ) -> Result<Option<SlideId>, Failure> {
        let remembered =
            self.remembered.read().unwrap_or_else(PoisonError::into_inner).get(&pseudonym).cloned();
        if let Some(id) = remembered.filter(&sees) {
            return Ok(Some(id));
        }
        let known = self.survey.known().await?;
        let at = known.entries.partition_point(|entry| entry.0 < pseudonym);
        let found = known.entries.get(at).filter(|entry| entry.0 == pseudonym && sees(&entry.1));
        if found.is_none() {
            known.complete()?;
        }
        // Its tiles need not wait for the next survey.
        Ok(found.map(|entry| entry.1.clone()).inspect(|id| self.remember(pseudonym, id)))
    }
}

fn read(root: &Root, id: &SlideId) -> Result<Option<(Pseudonym, SlideId)>, microtome_slide::Error> {
    let Some((container, _identity)) = root.container(id)? else { return Ok(None) };
    Ok(Some((Pseudonym::new(id, &container.header().content_id.to_string()), id.clone())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pseudonym_is_a_whole_name() {
        assert_eq!(Pseudonym::read("@00000000000000ff"), Some(Pseudonym(0xff)));
        for name in [
            "",
            "a",
            "@",
            "@00000000000000f",
            "@00000000000000FF",
            "@00000000000000ff0",
            "@+0000000000000ff",
            "@0000000000000ä00",
            "@00000000000000ff/b",
            "case/@00000000000000ff",
            "@00000000000000ff_2",
        ] {
            assert_eq!(Pseudonym::read(name), None, "{name}");
        }
    }

    #[test]
    fn the_name_comes_in_its_place() {
        let id = SlideId::from_path("case/a b").expect("a name");
        for (address, unveiled) in [
            ("/viewer/@00000000000000ff?x=@00000000000000ff", "/viewer/case/a%20b?x=@00000000000000ff"),
            ("/iiif/3/%4000000000000000ff/info.json", "/iiif/3/case/a%20b/info.json"),
            ("/dzi/@00000000000000ff_files/9/1_2.jpg", "/dzi/case/a%20b_files/9/1_2.jpg"),
        ] {
            let found = Pseudonym(0xff).unveiled(&address.parse().expect("an address"), &id);
            assert_eq!(found.expect("an address").to_string(), unveiled);
        }
        for odd in [
            "/viewer/@%300000000000000ff",
            "/associated/@00000000000000ff/%4000000000000000ff",
            "/iiif/3/@%300000000000000ff/@00000000000000ff/max/0/default.jpg",
            "/viewer/@00000000000000ff/..",
        ] {
            let odd = odd.parse().expect("an address");
            assert_eq!(Pseudonym(0xff).unveiled(&odd, &id), None, "{odd}");
        }
    }

    #[test]
    fn name_and_content_make_a_pseudonym_that_shows_neither() {
        let id = |name| SlideId::from_path(name).expect("a name");
        let (a, b) = ("ab".repeat(32), "cd".repeat(32));
        let all = [("case/a", &a), ("case/b", &a), ("case/a", &b)]
            .map(|(name, content)| Pseudonym::new(&id(name), content));
        assert!(all[0] != all[1] && all[0] != all[2] && all[1] != all[2]);
        assert_eq!(all[0], Pseudonym::new(&id("case/a"), &a));
        let text = all[0].to_string();
        assert!(text.len() == 17 && text.starts_with('@') && !text.contains("abab"), "{text}");
        // Links to slides are kept: this one must mean the same in all versions.
        assert_eq!(text, "@8ab5474bd64acc1d");
    }
}
