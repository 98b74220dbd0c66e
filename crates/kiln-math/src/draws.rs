//! Streams of random numbers, fixed by (seed, purpose, index) and nothing else.

use crate::philox::philox;
use crate::{Real, elementary};

/// What a stream is for: streams of different purposes never share a word.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u32)]
pub enum Purpose {
    /// Initial values of parameters.
    Init = 1,
    /// The order of samples in an epoch.
    Shuffle = 2,
    /// Which elements dropout keeps.
    Dropout = 3,
    /// Augmentation of a sample.
    Augment = 4,
    /// Values that the user draws.
    Data = 5,
    /// Which samples are kept to validate with.
    Split = 6,
}

/// What dropout multiplies the elements by that it keeps: 1 / (1 − rate), and 0 at a rate of 1, where it keeps none.
pub fn kept_scale(rate: f64) -> f64 {
    if rate < 1.0 { 1.0 / (1.0 - rate) } else { 0.0 }
}

/// A stream of random numbers. Copying it copies its position; equal streams give equal numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RandomStream {
    key: [u32; 2],
    position: u64,
}

/// SplitMix64's finalizer: mixes the parts of a stream's name into a key.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl RandomStream {
    /// The stream of `seed` for a purpose; `index` numbers them (an epoch, a layer, a sample).
    pub fn new(seed: u64, purpose: Purpose, index: u64) -> Self {
        let purpose = u64::from(purpose as u32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let key = mix(mix(mix(seed.wrapping_add(0x9e37_79b9_7f4a_7c15)) ^ purpose).wrapping_add(index));
        RandomStream::from_key(key)
    }

    /// The stream under a key.
    pub fn from_key(key: u64) -> Self {
        RandomStream { key: [key as u32, (key >> 32) as u32], position: 0 }
    }

    /// The key.
    pub fn key(&self) -> u64 {
        u64::from(self.key[0]) | u64::from(self.key[1]) << 32
    }

    /// Block `i`: four words, whatever was drawn before.
    #[inline(always)]
    pub fn at(&self, i: u64) -> [u32; 4] {
        philox([i as u32, (i >> 32) as u32, 0, 0], self.key)
    }

    /// The next 32 bits.
    #[inline]
    pub fn next_u32(&mut self) -> u32 {
        let block = self.at(self.position / 4);
        let word = block[(self.position % 4) as usize];
        self.position += 1;
        word
    }

    /// The next 64 bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        u64::from(self.next_u32()) | u64::from(self.next_u32()) << 32
    }

    /// Uniform in [0, 1), of 24 bits.
    #[inline]
    pub fn uniform(&mut self) -> f32 {
        unit_f32(self.next_u32())
    }

    /// Uniform in [0, 1), of 53 bits.
    #[inline]
    pub fn uniform_f64(&mut self) -> f64 {
        unit_f64(self.next_u64())
    }

    /// Standard normal (Box and Muller).
    #[inline]
    pub fn normal(&mut self) -> f32 {
        normal_pair(self.next_u32(), self.next_u32()).0
    }

    /// Uniform in 0..bound without bias (Lemire 2019).
    ///
    /// 0 where the bound is 0.
    #[inline]
    pub fn below(&mut self, bound: u32) -> u32 {
        let mut product = u64::from(self.next_u32()) * u64::from(bound);
        if (product as u32) < bound {
            let threshold = bound.wrapping_neg() % bound;
            while (product as u32) < threshold {
                product = u64::from(self.next_u32()) * u64::from(bound);
            }
        }
        (product >> 32) as u32
    }

    /// True with this probability.
    #[inline]
    pub fn bernoulli(&mut self, probability: f64) -> bool {
        self.uniform_f64() < probability
    }

    /// Puts the elements in a random order (Fisher and Yates), each of the orders equally likely.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len().min(u32::MAX as usize)).rev() {
            items.swap(last, self.below(last as u32 + 1) as usize);
        }
    }
}

/// 24 bits as a number in [0, 1).
#[inline(always)]
pub fn unit_f32(word: u32) -> f32 {
    // Through i32: that conversion is a vector instruction.
    ((word >> 8) as i32) as f32 * (1.0 / 16_777_216.0)
}

/// 53 bits as a number in [0, 1).
#[inline(always)]
pub fn unit_f64(word: u64) -> f64 {
    ((word >> 11) as i64) as f64 * (1.0 / 9_007_199_254_740_992.0)
}

/// Two independent standard normal numbers of two words (Box and Muller).
#[inline(always)]
pub fn normal_pair(a: u32, b: u32) -> (f32, f32) {
    type M = elementary::FusedMulAdd;
    let radius = Real::sqrt(-2.0 * elementary::ln::<M>(1.0 - unit_f32(a)));
    let angle = unit_f32(b) * core::f32::consts::TAU;
    (radius * elementary::cos::<M>(angle), radius * elementary::sin::<M>(angle))
}

/// As [`normal_pair`], in double precision.
#[inline(always)]
pub fn normal_pair_f64(a: u64, b: u64) -> (f64, f64) {
    let radius = Real::sqrt(-2.0 * Real::ln(1.0 - unit_f64(a)));
    let angle = unit_f64(b) * core::f64::consts::TAU;
    (radius * Real::cos(angle), radius * Real::sin(angle))
}
