//! Random numbers from counters. The key and the first counter lie in device memory: `stream` is (key, counter).
//!
//! The elements' numbers are those that the CPU draws, bit for bit.

use crate::place::{THREADS, element};
use cuda_std::*;
use kiln_math::Law;
use kiln_math::draws::{normal_pair, normal_pair_f64, unit_f32, unit_f64};
use kiln_math::laws::integer_between;
use kiln_math::philox::philox;

/// Block `i` of four words.
#[inline(always)]
fn block(stream: Global<i64>, i: usize) -> [u32; 4] {
    let (key, counter) = (stream.get(0) as u64, (stream.get(1) as u64).wrapping_add(i as u64));
    philox([counter as u32, (counter >> 32) as u32, 0, 0], [key as u32, (key >> 32) as u32])
}

/// Words 2i and 2i + 1.
#[inline(always)]
fn pair(stream: Global<i64>, i: usize) -> (u32, u32) {
    let [a, b, c, d] = block(stream, i / 2);
    if i.is_multiple_of(2) { (a, b) } else { (c, d) }
}

/// 64 bits of two words.
#[inline(always)]
fn long((low, high): (u32, u32)) -> u64 {
    low as u64 | (high as u64) << 32
}

/// The place of element `i` among those that have words of their own.
#[inline(always)]
fn own(stream: Global<i64>, i: usize) -> u64 {
    (stream.get(1) as u64).wrapping_add(i as u64)
}

/// A type that is drawn.
pub trait Draw: DeviceCopy {
    /// Element `i` of uniform numbers in [low, high).
    fn uniform(stream: Global<i64>, i: usize, low: f64, high: f64) -> Self;
    /// Element `i` of normal numbers.
    fn normal(stream: Global<i64>, i: usize, mean: f64, std: f64) -> Self;
}

impl Draw for f32 {
    /// Of 24 bits: element i takes word i.
    #[inline(always)]
    fn uniform(stream: Global<i64>, i: usize, low: f64, high: f64) -> f32 {
        let (a, b) = pair(stream, i / 2);
        let x = (low + (high - low) * unit_f32(if i.is_multiple_of(2) { a } else { b }) as f64) as f32;
        // Rounding may reach the upper end, which is excluded.
        if x >= high as f32 && high > low { (high as f32).next_down() } else { x }
    }

    /// Box and Muller's: elements 2i and 2i + 1 are the pair of words 2i and 2i + 1.
    #[inline(always)]
    fn normal(stream: Global<i64>, i: usize, mean: f64, std: f64) -> f32 {
        let (a, b) = pair(stream, i / 2);
        let (a, b) = normal_pair(a, b);
        (mean + std * (if i.is_multiple_of(2) { a } else { b }) as f64) as f32
    }
}

impl Draw for f64 {
    /// Of 53 bits: element i takes words 2i and 2i + 1.
    #[inline(always)]
    fn uniform(stream: Global<i64>, i: usize, low: f64, high: f64) -> f64 {
        let x = low + (high - low) * unit_f64(long(pair(stream, i)));
        if x >= high && high > low { high.next_down() } else { x }
    }

    /// A pair of elements takes a block.
    #[inline(always)]
    fn normal(stream: Global<i64>, i: usize, mean: f64, std: f64) -> f64 {
        let [a, b, c, d] = block(stream, i / 2);
        let (a, b) = normal_pair_f64(long((a, b)), long((c, d)));
        mean + std * if i.is_multiple_of(2) { a } else { b }
    }
}

kernels! {
    /// Uniform in [low, high).
    #[max_threads = THREADS]
    pub fn uniform<T: Draw>(y: GlobalMut<T>, stream: Global<i64>, low: f64, high: f64) for [f32, f64] {
        let i = element();
        if i < y.len() {
            y.set(i, T::uniform(stream, i, low, high));
        }
    }

    /// Normal.
    #[max_threads = THREADS]
    pub fn normal<T: Draw>(y: GlobalMut<T>, stream: Global<i64>, mean: f64, std: f64) for [f32, f64] {
        let i = element();
        if i < y.len() {
            y.set(i, T::normal(stream, i, mean, std));
        }
    }

    /// Integers from low to below high.
    #[max_threads = THREADS]
    pub fn integers(y: GlobalMut<i64>, stream: Global<i64>, low: i64, high: i64) {
        let i = element();
        if i < y.len() {
            y.set(i, integer_between(stream.get(0) as u64, own(stream, i), low, high));
        }
    }

    /// Numbers of the law of that number in `Law::ALL`, under the parameters a and b of each element.
    #[max_threads = THREADS]
    pub fn sample(y: GlobalMut<f64>, a: Global<f64>, b: Global<f64>, stream: Global<i64>, law: u32) {
        let i = element();
        if i < y.len() {
            let law = Law::ALL[law as usize % Law::ALL.len()];
            y.set(i, law.sample(stream.get(0) as u64, own(stream, i), [a.get(i), b.get(i)]));
        }
    }
}
