//! Reductions of rows that lie one after the other.

use super::{Centers, Fold, LANES, combine_lanes};
use crate::operand::Number;
use crate::{Kernel, Simd};
use kiln_math::Real;
use std::marker::PhantomData;

/// Contiguous rows of `count` ≤ CHUNK numbers, `stride` apart, one output each.
pub(super) struct Rows<'a, T, F> {
    pub(super) first: *const T,
    pub(super) stride: isize,
    pub(super) count: usize,
    pub(super) out: &'a mut [T],
    pub(super) centers: Centers<'a, T>,
    pub(super) fold: PhantomData<F>,
}

/// Rows that are folded side by side: one alone waits for the latency of its chain.
const BESIDE: usize = 4;

impl<T: Number, F: Fold> Kernel for Rows<'_, T, F> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(mut self) {
        let together = self.out.len() / BESIDE * BESIDE;
        for i in (0..together).step_by(BESIDE) {
            self.fold::<S, BESIDE>(i);
        }
        for i in together..self.out.len() {
            self.fold::<S, 1>(i);
        }
    }
}

/// The lanes of a row. Aligned, and taken and returned by value: so the compiler keeps those of several rows in registers.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Lane<R>([R; LANES]);

impl<T: Number, F: Fold> Rows<'_, T, F> {
    /// Folds rows `i..i + N`.
    #[inline(always)]
    fn fold<S: Simd, const N: usize>(&mut self, i: usize) {
        let rows: [_; N] = std::array::from_fn(|n| {
            // SAFETY: each row's `count` elements can be read.
            unsafe { std::slice::from_raw_parts(self.first.offset((i + n) as isize * self.stride), self.count) }
                .as_chunks::<LANES>()
        });
        let centers: [T::In<S>; N] = std::array::from_fn(|n| self.centers.at(i + n).enter::<S>());
        let mut lanes = [Lane([T::In::<S>::constant(F::IDENTITY); LANES]); N];
        let splat: [_; N] = std::array::from_fn(|n| Lane([centers[n]; LANES]));
        for group in 0..self.count / LANES {
            for n in 0..N {
                // SAFETY: every row has so many groups.
                let x = unsafe { rows[n].0.get_unchecked(group) };
                lanes[n] = take::<S, T, F>(lanes[n], x, splat[n]);
            }
        }
        for n in 0..N {
            let mut lanes = lanes[n].0;
            for (lane, x) in lanes.iter_mut().zip(rows[n].1) {
                *lane = F::take(*lane, x.enter::<S>(), centers[n]);
            }
            self.out[i + n] = T::leave::<S>(combine_lanes::<_, F>(lanes));
        }
    }
}

/// Each lane with one element more.
#[inline(always)]
fn take<S: Simd, T: Number, F: Fold>(lanes: Lane<T::In<S>>, x: &[T; LANES], center: Lane<T::In<S>>) -> Lane<T::In<S>> {
    let mut next = lanes;
    for (((next, lane), x), center) in next.0.iter_mut().zip(lanes.0).zip(x).zip(center.0) {
        *next = F::take(lane, x.enter::<S>(), center);
    }
    next
}
