//! The date of answers. RFC 9110, 5.6.7 and 6.6.1.

use std::cell::Cell;
use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

/// `Sun, 06 Nov 1994 08:49:37 GMT`.
const LENGTH: usize = 29;

thread_local! {
    /// The last date that was written, and its second.
    static LAST: Cell<(u64, [u8; LENGTH])> = const { Cell::new((u64::MAX, [0; LENGTH])) };
}

/// Gives `put` the date. It is written once a second.
pub(crate) fn now(put: impl FnOnce(&[u8; LENGTH])) {
    let now = SystemTime::now();
    let second = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (last, mut text) = LAST.get();
    if last != second {
        // It always has this length.
        let _ = write!(&mut text[..], "{}", httpdate::HttpDate::from(now));
        LAST.set((second, text));
    }
    put(&text);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_date_is_now_in_the_form_that_http_has() {
        for _ in 0..2 {
            now(|text| {
                let text = std::str::from_utf8(text).expect("ASCII");
                let date = httpdate::parse_http_date(text).expect("a date");
                assert_eq!(httpdate::fmt_http_date(date), text);
                let off = SystemTime::now().duration_since(date).expect("a second begins before it is over");
                assert!(off < Duration::from_secs(600), "{text}");
            });
        }
    }
}
