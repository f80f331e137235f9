//! Many tiles on all cores, handed on in their order, few at a time.

use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;

use crate::Error;

/// Pixels of the tiles that are in memory at once: encoded, they take a byte each at most, as a rule a sixth of that.
const PIXELS: u64 = 32 << 20;

/// Makes `count` things of `pixels` each on the threads of the current pool, and hands them to `take` in order.
///
/// # Errors
/// The first of `make` and `take`; [`Error::Interrupted`] once `cancelled` is set.
pub(crate) fn in_order<T: Send>(
    count: u64,
    pixels: u64,
    cancelled: &AtomicBool,
    make: impl Fn(u64) -> Result<T, Error> + Sync,
    mut take: impl FnMut(u64, T) -> Result<(), Error>,
) -> Result<(), Error> {
    let most = (PIXELS / pixels.max(1)).max(1);
    let mut start = 0;
    while start < count {
        let end = count.min(start + most);
        let made = (start..end).into_par_iter().map(|i| match cancelled.load(Ordering::Relaxed) {
            true => Err(Error::Interrupted),
            false => make(i),
        });
        let made = made.collect::<Result<Vec<_>, _>>()?;
        (start..end).zip(made).try_for_each(|(i, made)| take(i, made))?;
        start = end;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_come_in_order_and_none_after_a_stop() {
        let stop = AtomicBool::new(false);
        let mut taken = vec![];
        in_order(
            1000,
            PIXELS / 64,
            &stop,
            |i| Ok(2 * i),
            |i, made| {
                taken.push((i, made));
                Ok(())
            },
        )
        .expect("nothing fails");
        assert_eq!(taken, (0..1000).map(|i| (i, 2 * i)).collect::<Vec<_>>());
        let mut count = 0;
        let stopped = in_order(1000, PIXELS / 64, &stop, Ok, |_, _| {
            count += 1;
            stop.store(true, Ordering::Relaxed);
            Ok(())
        });
        assert!(matches!(stopped, Err(Error::Interrupted)));
        assert_eq!(count, 64);
    }
}
