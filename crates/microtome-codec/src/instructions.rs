//! Which vector instructions the machine has.
//!
//! Not here: what is done with them (`coefficients::simd`, `cross_scale::simd`).

/// An instruction set that this machine has: only what was found can be had, and functions that need it may rely on that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Set(Known);

/// The sets that there is code for, each with all of the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Known {
    Baseline,
    /// AVX2, BMI1, BMI2, LZCNT and POPCNT.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 F, BW, DQ, VL and VNNI.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// AVX-512 VBMI2 and BITALG.
    #[cfg(target_arch = "x86_64")]
    Vbmi2,
    #[cfg(target_arch = "aarch64")]
    Neon,
}

/// The vector instructions that coding goes by on this machine, for logs and figures: `avx512-vbmi2`, `avx512`, `avx2`, `neon`, or
/// `none`.
#[must_use]
pub fn instructions() -> &'static str {
    match Set::detect().known() {
        Known::Baseline => "none",
        #[cfg(target_arch = "x86_64")]
        Known::Avx2 => "avx2",
        #[cfg(target_arch = "x86_64")]
        Known::Avx512 => "avx512",
        #[cfg(target_arch = "x86_64")]
        Known::Vbmi2 => "avx512-vbmi2",
        #[cfg(target_arch = "aarch64")]
        Known::Neon => "neon",
    }
}

impl Set {
    /// The one that says what the others must do.
    #[cfg(test)]
    pub(crate) const BASELINE: Self = Self(Known::Baseline);

    /// All that this machine has, the best one last.
    #[cfg(test)]
    pub(crate) fn all() -> Vec<Self> {
        #[cfg(target_arch = "x86_64")]
        let known = [Known::Baseline, Known::Avx2, Known::Avx512, Known::Vbmi2];
        #[cfg(target_arch = "aarch64")]
        let known = [Known::Baseline, Known::Neon];
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let known = [Known::Baseline];
        known.into_iter().filter(|known| *known <= Self::detect().0).map(Self).collect()
    }

    /// Which it is.
    pub(crate) fn known(self) -> Known {
        self.0
    }

    /// The best one.
    pub(crate) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("lzcnt")
            && is_x86_feature_detected!("popcnt")
        {
            let has_avx512 = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512vnni");
            let has_vbmi2 =
                is_x86_feature_detected!("avx512vbmi2") && is_x86_feature_detected!("avx512bitalg");
            return Self(match (has_avx512, has_vbmi2) {
                (true, true) => Known::Vbmi2,
                (true, false) => Known::Avx512,
                (false, _) => Known::Avx2,
            });
        }
        // The steps by hand take vectors for bytes in this order.
        #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
        if std::arch::is_aarch64_feature_detected!("neon") {
            return Self(Known::Neon);
        }
        Self(Known::Baseline)
    }
}

#[cfg(all(test, target_arch = "x86_64", target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_best_set_is_the_one_that_the_system_names() {
        let info = std::fs::read_to_string("/proc/cpuinfo").expect("proc is mounted");
        let flags = info.lines().find(|line| line.starts_with("flags")).expect("flags of a processor");
        let has =
            |names: &str| names.split(' ').all(|name| flags.split_whitespace().any(|flag| flag == name));
        let has_avx2 = has("avx2 bmi1 bmi2 abm popcnt");
        let has_avx512 = has_avx2 && has("avx512f avx512bw avx512dq avx512vl avx512_vnni");
        let expected = match (has_avx512 && has("avx512_vbmi2 avx512_bitalg"), has_avx512, has_avx2) {
            (true, ..) => Known::Vbmi2,
            (_, true, _) => Known::Avx512,
            (.., true) => Known::Avx2,
            _ => Known::Baseline,
        };
        assert_eq!(Set::detect().known(), expected);
        assert_eq!(Set::all().last(), Some(&Set::detect()));
        assert_eq!(instructions().contains("avx512"), has_avx512);
        assert_eq!(instructions().contains("vbmi2"), expected == Known::Vbmi2);
    }
}

#[cfg(all(test, target_arch = "aarch64", target_endian = "little"))]
mod tests {
    use super::*;

    #[test]
    fn the_best_set_is_neon() {
        assert_eq!(Set::all().last().map(|set| set.known()), Some(Known::Neon));
        assert_eq!(instructions(), "neon");
    }
}
