//! Lepton's size of JPEG tiles, one file each, one thread: the best that is known without a view of other levels.

use std::io::Cursor;

use lepton_jpeg::{EnabledFeatures, SingleThreadPool};

/// Tiles looked at per level; those of a larger level are estimated from every n-th.
const TILES: u64 = 256;

/// How many tiles of a level one tile stands for.
pub(super) fn step(tiles: u64) -> u64 {
    tiles.div_ceil(TILES).max(1)
}

/// Bytes of a tile after Lepton. What it cannot take stays as it is.
pub(super) fn bytes(jpeg: &[u8]) -> u64 {
    let features = EnabledFeatures {
        max_partitions: 1,
        max_processor_threads: 1,
        ..EnabledFeatures::compat_lepton_vector_write()
    };
    let mut out = Cursor::new(Vec::with_capacity(jpeg.len()));
    let pool = SingleThreadPool::default();
    match lepton_jpeg::encode_lepton(&mut Cursor::new(jpeg), &mut out, &features, &pool) {
        Ok(_) => jpeg.len().min(out.get_ref().len()) as u64,
        Err(_) => jpeg.len() as u64,
    }
}

/// The sizes of a level's sample, and what they make of the level.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sample {
    jpeg: u64,
    lepton: u64,
}

impl Sample {
    pub(super) fn of(jpeg: &[u8]) -> Self {
        Self { jpeg: jpeg.len() as u64, lepton: bytes(jpeg) }
    }

    pub(super) fn add(self, other: Self) -> Self {
        Self { jpeg: self.jpeg + other.jpeg, lepton: self.lepton + other.lepton }
    }

    /// Lepton's bytes of a level whose tiles take `jpeg` bytes.
    pub(super) fn scaled_to(self, jpeg: u64) -> u64 {
        if self.jpeg == 0 { 0 } else { (jpeg as f64 * self.lepton as f64 / self.jpeg as f64).round() as u64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use microtome_codec::Rgb;
    use microtome_codec::turbo::{self, Subsampling};

    #[test]
    fn lepton_makes_tiles_smaller_and_takes_no_offence() {
        let pixel = |i: u32| [(i % 251) as u8, (i / 200 % 256) as u8, (i * i % 199) as u8];
        let data = (0..200 * 100).flat_map(pixel).collect();
        let pixels = Rgb::from_vec(200, 100, data).expect("sizes match");
        let jpeg = turbo::encode(&pixels, 80, Subsampling::Chroma420).expect("encodes");
        let packed = bytes(&jpeg);
        assert!(packed < jpeg.len() as u64 * 19 / 20 && packed > jpeg.len() as u64 / 2, "{packed}");
        assert_eq!(bytes(b"not a JPEG"), 10);
        assert_eq!(Sample { jpeg: 100, lepton: 80 }.scaled_to(1000), 800);
    }
}
