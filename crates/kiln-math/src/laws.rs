//! Distributions of two parameters. An element's number is a function of the stream's key, the element's place and the parameters
//! alone: each has words of its own, as many as it takes, which no other draw of the stream reads.
//!
//! All is computed in f64, by this crate's own functions, so that every device gives the same bits.

use crate::Real;
use crate::draws::{normal_pair_f64, unit_f64};
use crate::philox::philox;

/// Rejections after which a draw gives up. The least that any of these accepts is 0.45 of its tries: once in 10¹⁶ draws.
const TRIES: u32 = 64;
/// √(2π)
const SQRT_TAU: f64 = 2.506_628_274_631_000_5;
/// The fourth word of a counter under which elements have words of their own; that of other draws is 0.
const OWN: u32 = 1;

/// A distribution.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u32)]
pub enum Law {
    /// 1 with probability p, else 0.
    Bernoulli = 0,
    /// Exponential of a rate λ: density λ·exp(−λx), mean 1/λ.
    Exponential = 1,
    /// Gamma of a concentration α and a rate β: density proportional to xᵅ⁻¹·exp(−βx), mean α/β (Marsaglia and Tsang 2000).
    Gamma = 2,
    /// Beta of two concentrations: density proportional to xᵃ⁻¹·(1 − x)ᵇ⁻¹, mean a/(a + b).
    Beta = 3,
    /// Poisson of a mean λ: probability λᵏ·exp(−λ)/k! of k (inversion, from 10 on Hörmann's PTRS of 1993).
    Poisson = 4,
    /// Standard normal, given that it is from low to high, either of which may be infinite (Robert 1995).
    TruncatedNormal = 5,
}

impl Law {
    /// All of them, by their numbers.
    pub const ALL: [Law; 6] =
        [Law::Bernoulli, Law::Exponential, Law::Gamma, Law::Beta, Law::Poisson, Law::TruncatedNormal];

    /// The name, that of the method.
    pub const fn name(self) -> &'static str {
        match self {
            Law::Bernoulli => "bernoulli",
            Law::Exponential => "exponential",
            Law::Gamma => "gamma",
            Law::Beta => "beta",
            Law::Poisson => "poisson",
            Law::TruncatedNormal => "truncated_normal",
        }
    }

    /// How many parameters it has, 1 or 2.
    pub const fn parameters(self) -> usize {
        match self {
            Law::Bernoulli | Law::Exponential | Law::Poisson => 1,
            Law::Gamma | Law::Beta | Law::TruncatedNormal => 2,
        }
    }

    /// Whether there is such a distribution.
    #[inline(always)]
    pub fn takes(self, [a, b]: [f64; 2]) -> bool {
        match self {
            Law::Bernoulli => (0.0..=1.0).contains(&a),
            Law::Exponential => a > 0.0 && a < f64::INFINITY,
            Law::Gamma | Law::Beta => a > 0.0 && a < f64::INFINITY && b > 0.0 && b < f64::INFINITY,
            Law::Poisson => (0.0..f64::INFINITY).contains(&a),
            Law::TruncatedNormal => a <= b && a < f64::INFINITY && b > f64::NEG_INFINITY,
        }
    }

    /// The number of element `element` under these parameters; NaN where there is no such distribution.
    #[inline(always)]
    pub fn sample(self, key: u64, element: u64, parameters: [f64; 2]) -> f64 {
        if !self.takes(parameters) {
            return f64::NAN;
        }
        let ([a, b], words) = (parameters, &mut Words { key, element, block: 0 });
        match self {
            Law::Bernoulli => (unit_f64(words.next()[0]) < a) as u32 as f64,
            Law::Exponential => -Real::ln(open_unit(words.next()[0])) / a,
            Law::Gamma => {
                let (number, ln_factor) = gamma(words, a);
                number * Real::exp(ln_factor) / b
            }
            Law::Beta => {
                let ((x, ln_x), (y, ln_y)) = (gamma(words, a), gamma(words, b));
                // x/(x + y) by logarithms: of small concentrations both may be 0.
                Real::sigmoid(Real::ln(x) + ln_x - (Real::ln(y) + ln_y))
            }
            Law::Poisson => poisson(words, a),
            Law::TruncatedNormal => truncated_normal(words, a, b),
        }
    }
}

/// An integer from `low` to below `high`, without bias (Lemire 2019); `low` where there is none.
#[inline(always)]
pub fn integer_between(key: u64, element: u64, low: i64, high: i64) -> i64 {
    let range = high.wrapping_sub(low) as u64;
    if high <= low {
        return low;
    }
    let mut words = Words { key, element, block: 0 };
    let mut above = 0;
    for _ in 0..TRIES {
        let product = words.next()[0] as u128 * range as u128;
        above = (product >> 64) as u64;
        // The remainder is taken only where it may matter.
        if product as u64 >= range || product as u64 >= range.wrapping_neg() % range {
            break;
        }
    }
    low.wrapping_add(above as i64)
}

/// Words of one element.
struct Words {
    key: u64,
    element: u64,
    block: u32,
}

impl Words {
    /// The next block.
    #[inline(always)]
    fn next(&mut self) -> [u64; 2] {
        let counter = [self.element as u32, (self.element >> 32) as u32, self.block, OWN];
        let [a, b, c, d] = philox(counter, [self.key as u32, (self.key >> 32) as u32]);
        self.block += 1;
        [a as u64 | (b as u64) << 32, c as u64 | (d as u64) << 32]
    }
}

/// 52 bits as a number between 0 and 1, neither of which it is.
#[inline(always)]
fn open_unit(word: u64) -> f64 {
    (((word >> 12) as i64) as f64 + 0.5) * (1.0 / 4_503_599_627_370_496.0)
}

/// A number of a gamma distribution of rate 1, as one of a concentration of at least 1 and the logarithm of a factor.
#[inline(always)]
fn gamma(words: &mut Words, concentration: f64) -> (f64, f64) {
    let raised = if concentration < 1.0 { concentration + 1.0 } else { concentration };
    let d = raised - 1.0 / 3.0;
    let c = 1.0 / Real::sqrt(9.0 * d);
    let mut number = d;
    for _ in 0..TRIES {
        let [a, b] = words.next();
        let [word, _] = words.next();
        let (x, u) = (normal_pair_f64(a, b).0, open_unit(word));
        let root = 1.0 + c * x;
        let v = root * root * root;
        if root > 0.0 && Real::ln(u) < 0.5 * x * x + d * (1.0 - v + Real::ln(v)) {
            number = d * v;
            break;
        }
    }
    let ln_factor = if concentration < 1.0 { Real::ln(open_unit(words.next()[0])) / concentration } else { 0.0 };
    (number, ln_factor)
}

#[inline(always)]
fn poisson(words: &mut Words, mean: f64) -> f64 {
    if mean < 10.0 {
        let u = open_unit(words.next()[0]);
        let (mut k, mut probability) = (0.0, Real::exp(-mean));
        let mut below = probability;
        while u > below && k < 200.0 {
            k += 1.0;
            probability *= mean / k;
            below += probability;
        }
        return k;
    }
    let b = 0.931 + 2.53 * Real::sqrt(mean);
    let a = -0.059 + 0.02483 * b;
    let inverse_alpha = 1.1239 + 1.1328 / (b - 3.4);
    let immediate = 0.9277 - 3.6224 / (b - 2.0);
    for _ in 0..TRIES {
        let [first, second] = words.next();
        let (u, v) = (open_unit(first) - 0.5, open_unit(second));
        let us = 0.5 - Real::abs(u);
        let k = Real::floor((2.0 * a / us + b) * u + mean + 0.43);
        if us >= 0.07 && v <= immediate {
            return k;
        }
        if k >= 0.0
            && !(us < 0.013 && v > us)
            && Real::ln(v * inverse_alpha / (a / (us * us) + b)) <= ln_poisson(k, mean)
        {
            return k;
        }
    }
    Real::floor(mean)
}

/// ln of the probability of k, by Stirling's series.
#[inline(always)]
fn ln_poisson(k: f64, mean: f64) -> f64 {
    if k == 0.0 {
        return -mean;
    }
    let square = 1.0 / (k * k);
    let series = (1.0 / 12.0 - square * (1.0 / 360.0 - square * (1.0 / 1260.0))) / k;
    (k - mean) - k * Real::ln(k / mean) - 0.5 * Real::ln(core::f64::consts::TAU * k) - series
}

#[inline(always)]
fn truncated_normal(words: &mut Words, low: f64, high: f64) -> f64 {
    // The side of the tail is the positive one.
    let flipped = high < -low;
    let (low, high, sign) = if flipped { (-high, -low, -1.0) } else { (low, high, 1.0) };
    let width = high - low;
    // Numbers are proposed by the normal distribution itself where most of it is inside, uniform ones where the interval is narrow,
    // and in a tail exponential ones.
    let slope = 0.5 * (low + Real::sqrt(low * low + 4.0));
    let narrow =
        if low <= 0.0 { width <= SQRT_TAU } else { width <= Real::exp(0.5 + 0.5 * low * (low - slope)) / slope };
    // The density is largest at 0, or where the tail begins.
    let peak = if low > 0.0 { low } else { 0.0 };
    for _ in 0..TRIES {
        let [first, second] = words.next();
        let u = open_unit(first);
        let (z, accepted) = if narrow {
            let z = low + width * u;
            (z, Real::ln(open_unit(second)) < 0.5 * (peak * peak - z * z))
        } else if low <= 0.0 {
            let z = normal_pair_f64(first, second).0;
            (z, low <= z && z <= high)
        } else {
            let z = low - Real::ln_1p(u * Real::expm1(-slope * width)) / slope;
            (z, Real::ln(open_unit(second)) < -0.5 * (z - slope) * (z - slope))
        };
        if accepted {
            // Rounding may reach beyond an end.
            return sign * Real::minimum(Real::maximum(z, low), high);
        }
    }
    sign * peak
}
