//! Random numbers that follow from a seed.

/// SplitMix64: a counter whose bits are mixed.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// From 0 to below 1.
    pub(super) fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// From 0 to below `count`.
    pub(super) fn below(&mut self, count: usize) -> usize {
        ((self.share() * count as f64) as usize).min(count.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn numbers_follow_from_the_seed() {
        let draw = |seed| {
            let mut random = Random::new(seed);
            [random.next(), random.next()]
        };
        // Of the reference implementation (Vigna).
        assert_eq!(draw(0), [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4]);
        assert_ne!(draw(0), draw(1));
        let mut random = Random::new(7);
        let shares: Vec<f64> = (0..1000).map(|_| random.share()).collect();
        let mean = shares.iter().sum::<f64>() / 1000.0;
        assert!(shares.iter().all(|share| (0.0..1.0).contains(share)) && (0.45..0.55).contains(&mean), "{mean}");
        assert!((0..100).all(|_| random.below(3) < 3) && random.below(0) == 0);
    }
}
