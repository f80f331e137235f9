//! The name by which a request is found again: in the answer, and in the log if something went wrong.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderMap, HeaderName, HeaderValue};

/// Carries the id, of requests (from a client or a proxy that has one already) and of answers.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id of ours: the process, a hyphen, a count.
const LENGTH: usize = 8 + 1 + 16;

/// Longest id that is taken over.
const MAX_LENGTH: usize = 128;

/// Tells this process's ids from those of the ones before it.
static PROCESS: LazyLock<u32> = LazyLock::new(|| {
    let [a, b, c, d, ..] = RandomState::new().hash_one(std::process::id()).to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
});

static NEXT: AtomicU64 = AtomicU64::new(0);

/// A request's id: short, and harmless in a log and a header.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    /// The id that a request brings along, if it is a good one, or else a new one.
    pub(crate) fn of(request: &HeaderMap) -> Self {
        request.get(HEADER).filter(|value| is_good(value)).map_or_else(Self::new, |id| Self(id.clone()))
    }

    fn new() -> Self {
        let mut id = [0; LENGTH];
        let mut at = LENGTH;
        let mut put = |digit: u8| {
            at -= 1;
            id[at] = digit;
        };
        // From the last digit to the first. Formatting takes a thousand instructions, a twentieth of all for a cached tile.
        let mut count = NEXT.fetch_add(1, Ordering::Relaxed);
        while count > 0xF {
            put(digit(count));
            count >>= 4;
        }
        put(digit(count));
        put(b'-');
        (0..8).for_each(|i| put(digit(u64::from(*PROCESS >> (4 * i)))));
        // Hexadecimal digits always are a header's value.
        Self(HeaderValue::from_bytes(&id[at..]).unwrap_or(HeaderValue::from_static("-")))
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or("-")
    }

    pub(crate) fn into_value(self) -> HeaderValue {
        self.0
    }
}

/// The lowest four bits as a hexadecimal digit.
fn digit(number: u64) -> u8 {
    b"0123456789abcdef"[(number & 0xF) as usize]
}

fn is_good(id: &HeaderValue) -> bool {
    let good = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte);
    (1..=MAX_LENGTH).contains(&id.len()) && id.as_bytes().iter().all(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_of(value: &str) -> RequestId {
        let value = HeaderValue::from_bytes(value.as_bytes()).expect("a header value");
        RequestId::of(&HeaderMap::from_iter([(HEADER, value)]))
    }

    #[test]
    fn a_good_id_is_kept_and_a_bad_one_replaced() {
        let longest = "a".repeat(MAX_LENGTH);
        for good in ["7", "0b5c7a0e-8d5e-4f51-9d0a-6f0ad1a5c9b4", "1:2_3.4", &longest] {
            assert_eq!(id_of(good).as_str(), good);
        }
        for bad in ["", "Root=1", "a b", "a\tb", "größe", "{}", "a,b", "\"a\"", &format!("{longest}a")] {
            let id = id_of(bad);
            assert_ne!(id.as_str(), bad);
            assert!(is_good(&id.into_value()), "{bad}");
        }
    }

    #[test]
    fn new_ids_differ() {
        let ids: Vec<_> = (0..3).map(|_| RequestId::of(&HeaderMap::new()).as_str().to_owned()).collect();
        assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2], "{ids:?}");
        for id in ids {
            let (process, count) = id.split_once('-').expect("a hyphen");
            assert_eq!(process, format!("{:08x}", *PROCESS));
            assert!(
                u64::from_str_radix(count, 16).is_ok_and(|count| count < NEXT.load(Ordering::Relaxed)),
                "{id}"
            );
        }
    }
}
