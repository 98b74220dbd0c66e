//! The instruction sets that the kernels are compiled for, and the choice among them at run time.

use std::sync::OnceLock;

/// An instruction set. Every variant exists on every architecture; [`Isa::available`] says which ones can run here.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Isa {
    /// x86-64 with AVX-512 F, BW, DQ, VL (and AVX2, FMA): 16 lanes of f32.
    Avx512,
    /// x86-64 with AVX2 and FMA: 8 lanes of f32.
    Avx2,
    /// AArch64, where NEON and its fused multiply-add are part of the baseline: 4 lanes of f32.
    Neon,
    /// Whatever the target's baseline is, with a multiplication and an addition in the place of a fused one.
    Portable,
}

impl Isa {
    /// The widest instruction set available, or the one that the environment variable `KILN_ISA` names (`avx512`,
    /// `avx2`, `neon`, `portable`) where that one is available. Read once.
    pub fn best() -> Isa {
        static BEST: OnceLock<Isa> = OnceLock::new();
        *BEST.get_or_init(|| {
            let forced = std::env::var("KILN_ISA").unwrap_or_default();
            let named = |isa: &&Isa| isa.name().eq_ignore_ascii_case(forced.trim());
            Isa::available().iter().find(named).or(Isa::available().first()).copied().unwrap_or(Isa::Portable)
        })
    }

    /// The instruction sets that can run on this machine, widest first; [`Isa::Portable`] is always the last.
    pub fn available() -> &'static [Isa] {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            let avx2 = has!("avx2") && has!("fma");
            let avx512 = avx2 && has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl");
            match (avx512, avx2) {
                (true, _) => &[Isa::Avx512, Isa::Avx2, Isa::Portable],
                (false, true) => &[Isa::Avx2, Isa::Portable],
                (false, false) => &[Isa::Portable],
            }
        }
        #[cfg(target_arch = "aarch64")]
        {
            if std::arch::is_aarch64_feature_detected!("neon") { &[Isa::Neon, Isa::Portable] } else { &[Isa::Portable] }
        }
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        {
            &[Isa::Portable]
        }
    }

    /// Whether this instruction set can run on this machine.
    #[inline]
    pub fn is_available(self) -> bool {
        Isa::available().contains(&self)
    }

    /// Whether multiplication and addition are fused, rounding once. Results agree bit for bit among those that do.
    pub fn fused(self) -> bool {
        self != Isa::Portable
    }

    /// The name that `KILN_ISA` knows it by.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Avx512 => "avx512",
            Isa::Avx2 => "avx2",
            Isa::Neon => "neon",
            Isa::Portable => "portable",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portable_is_always_last() {
        assert_eq!(Isa::available().last(), Some(&Isa::Portable));
        assert!(Isa::available().contains(&Isa::best()));
    }

    #[test]
    fn names_are_distinct() {
        let all = [Isa::Avx512, Isa::Avx2, Isa::Neon, Isa::Portable];
        for (i, a) in all.iter().enumerate() {
            assert!(all[..i].iter().all(|b| a.name() != b.name()));
        }
    }
}
