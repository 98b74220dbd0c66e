//! The random numbers of a sample.

use crate::Pass;
use kiln_math::{Purpose, RandomStream};
use std::f64::consts::TAU;

/// Blocks of four words that belong to a sample; each transform has its own among them.
const BLOCKS: u64 = 256;

/// The blocks of the transforms. Those that try several times begin at theirs.
pub(super) mod block {
    pub(crate) const AFFINE: u64 = 0;
    pub(crate) const ZOOM_AND_FLIPS: u64 = 1;
    pub(crate) const CROP_AND_SHADE: u64 = 2;
    pub(crate) const JITTER: u64 = 3;
    pub(crate) const ORDER_AND_CUTOUT: u64 = 4;
    pub(crate) const ERASING: u64 = 5;
    pub(crate) const MIX: u64 = 6;
    pub(crate) const RESIZED_CROP: u64 = 16;
    pub(crate) const ERASED: u64 = 32;
    pub(crate) const GAMMA: [u64; 2] = [64, 128];
}

/// Numbers fixed by (seed, epoch, sample), whatever else is drawn.
#[derive(Clone, Copy)]
pub(super) struct Draw {
    stream: RandomStream,
    first: u64,
}

impl Draw {
    pub(super) fn new(pass: Pass, sample: usize) -> Draw {
        let stream = RandomStream::new(pass.seed, Purpose::Augment, pass.epoch);
        Draw { stream, first: (sample as u64).wrapping_mul(BLOCKS) }
    }

    /// Four numbers, uniform in [0, 1), of 32 bits.
    pub(super) fn four(self, block: u64) -> [f64; 4] {
        self.stream.at(self.first + block).map(|word| f64::from(word) * (1.0 / 4_294_967_296.0))
    }

    /// λ from Beta(α, α): of two gamma variates, in logarithms, since both may be too small for a number where α is small.
    pub(super) fn beta(self, alpha: f64) -> f64 {
        let [a, b] = block::GAMMA.map(|from| self.ln_gamma_variate(alpha, from));
        1.0 / (1.0 + (b - a).exp())
    }

    /// The logarithm of a number from Gamma(α, 1) (Marsaglia and Tsang 2000).
    fn ln_gamma_variate(self, alpha: f64, from: u64) -> f64 {
        // Below 1: Gamma(α) is Gamma(α + 1) · u^(1/α).
        let (shape, raised) = if alpha < 1.0 { (alpha + 1.0, true) } else { (alpha, false) };
        let (d, boost) = (shape - 1.0 / 3.0, self.four(from)[0]);
        let c = 1.0 / (9.0 * d).sqrt();
        // Each attempt succeeds 19 times in 20: never in 60 is never.
        let attempt = |i: u64| {
            let [u, angle, accept, _] = self.four(from + i);
            let x = (-2.0 * (1.0 - u).ln()).sqrt() * (TAU * angle).cos();
            let v = (1.0 + c * x).powi(3);
            (v > 0.0 && (1.0 - accept).ln() < 0.5 * x * x + d * (1.0 - v + v.ln())).then_some(v)
        };
        let variate = (d * (1..60).find_map(attempt).unwrap_or(1.0)).ln();
        if raised { variate + (1.0 - boost).ln() / alpha } else { variate }
    }
}

/// Uniform from `low` to `high`, by a number of [`Draw::four`].
pub(super) fn between(low: f64, high: f64, unit: f64) -> f64 {
    low + (high - low) * unit
}

/// One of 0..count, likewise.
pub(super) fn below(count: usize, unit: f64) -> usize {
    (count as f64 * unit) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beta_has_its_mean_and_variance() {
        // Beta(α, α) has mean ½ and variance 1 / (4·(2α + 1)).
        for alpha in [0.02, 0.2, 1.0, 4.0] {
            let count = 20_000;
            let draws: Vec<f64> = (0..count).map(|i| Draw::new(Pass { seed: 3, epoch: 1 }, i).beta(alpha)).collect();
            assert!(draws.iter().all(|x| (0.0..=1.0).contains(x)));
            let mean = draws.iter().sum::<f64>() / count as f64;
            let variance = draws.iter().map(|x| (x - 0.5).powi(2)).sum::<f64>() / count as f64;
            let expected = 0.25 / (2.0 * alpha + 1.0);
            assert!((mean - 0.5).abs() < 5.0 * (expected / count as f64).sqrt(), "{alpha}: mean {mean}");
            assert!((variance / expected - 1.0).abs() < 0.05, "{alpha}: variance {variance} for {expected}");
        }
    }

    #[test]
    fn samples_epochs_and_seeds_have_numbers_of_their_own() {
        let four = |seed, epoch, sample| Draw::new(Pass { seed, epoch }, sample).four(0);
        assert_eq!(four(1, 2, 3), four(1, 2, 3));
        for other in [four(2, 2, 3), four(1, 3, 3), four(1, 2, 4)] {
            assert_ne!(other, four(1, 2, 3));
        }
    }
}
