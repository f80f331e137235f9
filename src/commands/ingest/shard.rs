//! `ingest --shard I/N`: one part of all slides, for jobs that run side by side.

use std::str::FromStr;

use super::sources::Job;

/// One part of several that together are all: `2/5`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shard {
    number: u64,
    of: u64,
}

impl FromStr for Shard {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        match parsed {
            Some((number, of)) if (1..=of).contains(&number) => Ok(Self { number, of }),
            _ => Err("a shard is i/n with i from 1 to n, such as 2/5"),
        }
    }
}

impl Shard {
    /// Whether a slide is in this part: by its place alone, whatever else there is, so that parts that are run at
    /// different times share nothing and leave nothing out. (FNV-1a: G. Fowler, L. C. Noll, P. Vo.)
    pub(super) fn has(self, job: &Job) -> bool {
        let hash =
            job.place.as_os_str().as_encoded_bytes().iter().fold(0xCBF2_9CE4_8422_2325_u64, |hash, &byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
            });
        // The lowest bits are the weakest.
        (hash >> 20) % self.of == self.number - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_share_nothing_and_leave_nothing_out() {
        let all: Vec<Job> = (0..500).map(|i| Job::named(&format!("slide {i}.svs"))).collect();
        let shard = |i: u64| -> Shard { format!("{i}/7").parse().expect("a shard") };
        let sizes: Vec<_> = (1..=7).map(|i| all.iter().filter(|job| shard(i).has(job)).count()).collect();
        assert_eq!(sizes.iter().sum::<usize>(), 500);
        assert!(sizes.iter().all(|&size| (40..110).contains(&size)), "{sizes:?}");
        assert!(["0/7", "8/7", "1/0", "1", "a/b", "-1/2"].iter().all(|text| text.parse::<Shard>().is_err()));
    }
}
