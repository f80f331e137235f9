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
