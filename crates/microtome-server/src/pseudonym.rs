//! Names for slides that tell nobody whose they are: `@` and 16 hexadecimal digits, in addresses of the viewer's page and of
//! what it asks for. Names of files often hold those of people, and addresses go into histories, logs, mails and shared screens.
//!
//! A pseudonym is made of the slide's name and its content id: the name alone could be guessed and tried. It lasts as long
//! as both do, and is for one slide also where two files have the same content. Not here: who may see what. A pseudonym is
//! no permission; whoever asks by it is let in or not as by the name.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use axum::http::Uri;
use microtome_container::reader::Container;

use crate::access::sha256;
use crate::catalog::OpenSlide;
use crate::error::Error;
use crate::slide_id::SlideId;
use crate::survey::Survey;

/// The first segments of addresses that may have pseudonyms: those whose answers do not repeat their address.
const ROUTES: [&str; 8] =
    ["viewer", "slides", "dzi", "source", "thumbnail", "region", "histogram", "associated"];

const DIGITS: usize = 16;

/// Pseudonyms remembered besides those of the survey.
const MOST_REMEMBERED: usize = 10_000;

/// A slide's name that tells nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Pseudonym(u64);

impl Pseudonym {
    fn new(id: &SlideId, content_id: &str) -> Self {
        // The content id has always the same length: no name reaches into it.
        let hash = sha256(&[b"microtome pseudonym\0", content_id.as_bytes(), id.as_str().as_bytes()]);
        let [a, b, c, d, e, f, g, h, ..] = hash;
        Self(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
    }

    /// That of an open slide.
    pub(crate) fn of(open: &OpenSlide) -> Self {
        Self::new(&open.id, &open.content_id)
    }
}

impl std::fmt::Display for Pseudonym {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "@{:016x}", self.0)
    }
}

/// A path that has a pseudonym, and what is before and after it.
#[derive(Debug, PartialEq, Eq)]
struct Parts<'a> {
    before: &'a str,
    pseudonym: Pseudonym,
    after: &'a str,
}

impl<'a> Parts<'a> {
    /// Those of a still encoded path, if there is a pseudonym where the slide's name is.
    fn of(path: &'a str) -> Option<Self> {
        let (route, below) = path.strip_prefix('/')?.split_once('/')?;
        let digits = below.strip_prefix('@').or_else(|| below.strip_prefix("%40"))?;
        let (digits, after) = digits.split_at_checked(DIGITS)?;
        let lower = digits.bytes().all(|digit| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit));
        let ends = after.is_empty() || after.starts_with(['/', '_', '.']);
        if !lower || !ends || !ROUTES.contains(&route) {
            return None;
        }
        let pseudonym = Pseudonym(u64::from_str_radix(digits, 16).ok()?);
        Some(Self { before: &path[..path.len() - below.len()], pseudonym, after })
    }
}

/// Which slide has which pseudonym.
pub(crate) struct Pseudonyms {
    /// Of slides whose page was opened: they need no survey.
    remembered: RwLock<HashMap<Pseudonym, SlideId>>,
    survey: Survey<(Pseudonym, SlideId)>,
}

impl Pseudonyms {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { remembered: RwLock::default(), survey: Survey::new(root, read) }
    }

    /// The pseudonym of a slide, which will be found by it from now on.
    pub(crate) fn give(&self, open: &OpenSlide) -> Pseudonym {
        let pseudonym = Pseudonym::of(open);
        let mut remembered = self.remembered.write().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= MOST_REMEMBERED {
            remembered.clear();
        }
        remembered.insert(pseudonym, open.id.clone());
        pseudonym
    }

    /// The address with a slide's name that is meant by one with a pseudonym, and the pseudonym; `None` for an address
    /// without, or with one that is no slide's.
    ///
    /// # Errors
    ///
    /// If the slides can't be looked through.
    pub(crate) async fn resolve(&self, uri: &Uri) -> Result<Option<(Uri, Pseudonym)>, Error> {
        let Some(Parts { before, pseudonym, after }) = Parts::of(uri.path()) else { return Ok(None) };
        let Some(id) = self.find(pseudonym).await? else { return Ok(None) };
        let query = uri.query().map_or_else(String::new, |query| format!("?{query}"));
        let mut parts = uri.clone().into_parts();
        parts.path_and_query = format!("{before}{}{after}{query}", id.url_path()).try_into().ok();
        Ok(Uri::from_parts(parts).ok().map(|uri| (uri, pseudonym)))
    }

    async fn find(&self, pseudonym: Pseudonym) -> Result<Option<SlideId>, Error> {
        let remembered =
            self.remembered.read().unwrap_or_else(PoisonError::into_inner).get(&pseudonym).cloned();
        if remembered.is_some() {
            return Ok(remembered);
        }
        let known = self.survey.known().await?;
        let at = known.entries.partition_point(|entry| entry.0 < pseudonym);
        Ok(known.entries.get(at).filter(|entry| entry.0 == pseudonym).map(|entry| entry.1.clone()))
    }
}

fn read(target: &Path, id: &SlideId) -> Option<(Pseudonym, SlideId)> {
    let container = Container::open(target)
        .inspect_err(|error| tracing::debug!(slide = %id, %error, "has no pseudonym"))
        .ok()?;
    Some((Pseudonym::new(id, &container.header().content_id.to_string()), id.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pseudonyms_are_where_the_name_of_a_slide_is() {
        let parts =
            |path| Parts::of(path).map(|Parts { before, pseudonym, after }| (before, pseudonym.0, after));
        for (path, before, after) in [
            ("/viewer/@00000000000000ff", "/viewer/", ""),
            ("/viewer/%4000000000000000ff", "/viewer/", ""),
            ("/slides/@00000000000000ff", "/slides/", ""),
            ("/dzi/@00000000000000ff.dzi", "/dzi/", ".dzi"),
            ("/dzi/@00000000000000ff_files/9/1_2.jpg", "/dzi/", "_files/9/1_2.jpg"),
            ("/associated/@00000000000000ff/label", "/associated/", "/label"),
        ] {
            assert_eq!(parts(path), Some((before, 0xff, after)), "{path}");
        }
        for path in [
            "/",
            "/viewer",
            "/viewer/",
            "/viewer/a",
            "/viewer/@",
            "/viewer/@00000000000000f",
            "/viewer/@00000000000000FF",
            "/viewer/@00000000000000ff0",
            "/viewer/@+0000000000000ff",
            "/viewer/@0000000000000ä00",
            "/viewer/case/@00000000000000ff",
            "/tiles/@00000000000000ff/9/1_2.jpg",
            "/iiif/3/@00000000000000ff/info.json",
        ] {
            assert_eq!(parts(path), None, "{path}");
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
