//! Tickets: what a signed address carries. A ticket says which slides it opens and until when, and proves with
//! HMAC-SHA256 that someone who has the key said so.
//!
//! `{key}.{expires}.{scope}.{mac}`: eight hexadecimal digits that tell keys apart, Unix time in seconds, the scope and the
//! code in base64url without padding. The code is over the text before it just as it stands, so there is one spelling of
//! a ticket; all its characters stand in URLs and cookies as they are.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::{digest, hmac};

use crate::access::scope::Scope;
use crate::access::secret::Secret;

/// The query's parameter that holds a ticket.
pub(crate) const PARAMETER: &str = "access";

/// What else is signed with a key can't be taken for a ticket, nor a later kind of ticket for one of this kind.
const PURPOSE: &[u8] = b"microtome ticket 1\0";

/// Longest ticket that is looked at, in bytes: the longest scope there is, and some.
const MAX_BYTES: usize = 2048;

/// A key that makes and proves tickets.
#[derive(Debug, Clone)]
pub struct SigningKey {
    id: String,
    key: hmac::Key,
}

/// What a ticket that is genuine and still good says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(crate) scope: Scope,
    /// Unix time in seconds.
    pub(crate) expires: u64,
}

/// Why a ticket opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    Expired,
    /// Not one of ours, or changed since.
    Forged,
}

impl SigningKey {
    /// The key of a secret.
    #[must_use]
    pub fn new(secret: &Secret) -> Self {
        Self::of(b"microtome signing key\0", secret)
    }

    /// The key of tickets that the server itself gives to whoever has shown the token.
    pub(crate) fn of_sessions(token: &Secret) -> Self {
        Self::of(b"microtome session key\0", token)
    }

    fn of(purpose: &[u8], secret: &Secret) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(purpose);
        context.update(secret.as_bytes());
        let seed = context.finish();
        let key = hmac::Key::new(hmac::HMAC_SHA256, seed.as_ref());
        // A code of the key's own: it tells nothing about the key.
        let id = hex(&hmac::sign(&key, b"microtome key id").as_ref()[..4]);
        Self { id, key }
    }

    /// A ticket for the slides of a scope until a time, in seconds of Unix time.
    #[must_use]
    pub fn ticket(&self, scope: &Scope, expires: u64) -> String {
        let statement = format!("{}.{expires}.{}", self.id, URL_SAFE_NO_PAD.encode(scope.as_str()));
        let code = hmac::sign(&self.key, &message(&statement));
        format!("{statement}.{}", URL_SAFE_NO_PAD.encode(code))
    }
}

/// The address of a page that opens with a ticket: that of a slide, or the list for a folder.
///
/// `base` is the server's own address without a slash at its end. `expires` is in seconds of Unix time.
#[must_use]
pub fn signed_url(base: &str, page: &Scope, ticket: &str) -> String {
    format!("{base}{}?{PARAMETER}={ticket}", page.page())
}

/// The keys that are live, the first of which would sign.
#[derive(Debug, Clone, Default)]
pub(crate) struct LiveKeys(pub(crate) Vec<SigningKey>);

impl LiveKeys {
    /// What a ticket says, if one of the keys made it and it is good at `now` (Unix time in seconds).
    pub(crate) fn open(&self, ticket: &str, now: u64) -> Result<Ticket, Refused> {
        if ticket.len() > MAX_BYTES {
            return Err(Refused::Forged);
        }
        let (statement, code) = ticket.rsplit_once('.').ok_or(Refused::Forged)?;
        let mut parts = statement.split('.');
        let (Some(id), Some(expires), Some(scope), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Refused::Forged);
        };
        let code = URL_SAFE_NO_PAD.decode(code).map_err(|_malformed| Refused::Forged)?;
        let message = message(statement);
        // `verify` takes the same time wherever the codes differ.
        let genuine = |key: &&SigningKey| key.id == id && hmac::verify(&key.key, &message, &code).is_ok();
        self.0.iter().find(genuine).ok_or(Refused::Forged)?;

        let expires: u64 = expires.parse().map_err(|_no_number| Refused::Forged)?;
        if now >= expires {
            return Err(Refused::Expired);
        }
        let scope = URL_SAFE_NO_PAD.decode(scope).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let scope = scope.and_then(|text| text.parse().ok()).ok_or(Refused::Forged)?;
        Ok(Ticket { scope, expires })
    }
}

fn message(statement: &str) -> Vec<u8> {
    [PURPOSE, statement.as_bytes()].concat()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn key(secret: &str) -> SigningKey {
        SigningKey::new(&Secret::read(secret).expect("a secret"))
    }

    fn scope(text: &str) -> Scope {
        text.parse().expect("a scope")
    }

    #[test]
    fn a_ticket_says_what_was_signed_until_it_expires() {
        let keys = LiveKeys(vec![key("one")]);
        let ticket = keys.0[0].ticket(&scope("case 1/ä"), NOW + 10);
        assert!(ticket.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)), "{ticket}");
        let expected = Ticket { scope: scope("case 1/ä"), expires: NOW + 10 };
        assert_eq!(keys.open(&ticket, NOW), Ok(expected));
        assert_eq!(keys.open(&ticket, NOW + 9).map(|ticket| ticket.expires), Ok(NOW + 10));
        for now in [NOW + 10, NOW + 11, u64::MAX] {
            assert_eq!(keys.open(&ticket, now), Err(Refused::Expired));
        }
    }

    /// Others make tickets too, by the recipe in `docs/access.md`, from which this one is.
    #[test]
    fn a_ticket_is_the_same_for_ever() {
        let ticket = key("0123456789abcdef0123").ticket(&scope("case/a"), 1_795_845_800);
        assert_eq!(ticket, "bedeeec2.1795845800.Y2FzZS9h.IBMFb7lqg0phScEOpKJUcY_LJFtYtmTZq8d_cspxqrw");
    }

    #[test]
    fn both_live_keys_open_and_a_retired_one_does_not() {
        let (old, new, next) = (key("old"), key("new"), key("next"));
        let tickets = [&old, &new].map(|key| key.ticket(&scope("/"), NOW + 1));
        let opened = |keys: Vec<SigningKey>| {
            let keys = LiveKeys(keys);
            tickets.each_ref().map(|ticket| keys.open(ticket, NOW).is_ok())
        };
        assert_eq!(opened(vec![new.clone(), old]), [true, true]);
        assert_eq!(opened(vec![next, new]), [false, true]);
        assert_eq!(opened(vec![]), [false, false]);
    }

    #[test]
    fn a_key_has_one_purpose() {
        let secret = Secret::read("one secret for two purposes").expect("a secret");
        let ticket = SigningKey::new(&secret).ticket(&scope("/"), NOW + 1);
        assert_eq!(LiveKeys(vec![SigningKey::of_sessions(&secret)]).open(&ticket, NOW), Err(Refused::Forged));
    }

    #[test]
    fn what_is_no_ticket_is_refused() {
        let keys = LiveKeys(vec![key("one")]);
        let good = keys.0[0].ticket(&scope("a"), NOW + 1);
        let id = &keys.0[0].id;
        let signed = |statement: &str| {
            let code = hmac::sign(&keys.0[0].key, &message(statement));
            format!("{statement}.{}", URL_SAFE_NO_PAD.encode(code))
        };
        // The key's holder may err too: a genuine code over nonsense opens nothing.
        let no_scope = signed(&format!("{id}.{}.{}", NOW + 1, URL_SAFE_NO_PAD.encode("../x")));
        let no_time = signed(&format!("{id}.-1.{}", URL_SAFE_NO_PAD.encode("a")));
        let no_text = signed(&format!("{id}.{}.{}", NOW + 1, URL_SAFE_NO_PAD.encode(b"\xff")));
        for text in [
            "",
            ".",
            "...",
            "a.b.c.d",
            &format!("{good}="),
            &format!("{good}."),
            &good.replace('.', "%2E"),
            &good[1..],
            &format!("{}.{good}", keys.0[0].id),
            &"x".repeat(100_000),
            &no_scope,
            &no_time,
            &no_text,
        ] {
            assert_eq!(keys.open(text, NOW), Err(Refused::Forged), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_changed_character_is_noticed(at in 0_usize..200, to in "[A-Za-z0-9._-]") {
            let keys = LiveKeys(vec![key("one"), key("two")]);
            let good = keys.0[1].ticket(&scope("case/b"), NOW + 1);
            let at = at % good.len();
            let changed = format!("{}{to}{}", &good[..at], &good[at + 1..]);
            prop_assert_eq!(keys.open(&changed, NOW).is_ok(), changed == good);
        }

        #[test]
        fn the_code_of_one_statement_fits_no_other(
            expires in NOW + 1..NOW + 1000,
            other in NOW + 1..NOW + 1000,
            from in "[ab](/[ab]){0,2}/?",
            to in "[ab](/[ab]){0,2}/?",
        ) {
            let keys = LiveKeys(vec![key("one")]);
            let (mine, wanted) =
                (keys.0[0].ticket(&scope(&from), expires), keys.0[0].ticket(&scope(&to), other));
            let code = mine.rsplit_once('.').expect("a code").1;
            let statement = wanted.rsplit_once('.').expect("a statement").0;
            let opened = keys.open(&format!("{statement}.{code}"), NOW).is_ok();
            prop_assert_eq!(opened, (expires, from) == (other, to));
        }
    }
}
