//! Sums of products of a gradient's lines and what taps meet of them.

use super::super::Float;
use super::field::lanes_at;
use crate::reduce::LANES;
use crate::{Isa, Kernel, Simd};
use kiln_math::Real;

/// Adds the products of dy's lines and what they meet to the lanes of some taps.
struct Products<'a, T, const N: usize> {
    met: &'a Met<'a, T>,
    /// Where the taps meet a line, from its start on.
    taps: [usize; N],
    lanes: &'a mut [[T; LANES]],
}

/// Lines of a gradient, and what they meet.
pub(super) struct Met<'a, T> {
    pub(super) x: &'a [T],
    /// Where the first element of each line meets x, by a tap at 0.
    pub(super) starts: &'a [usize],
    pub(super) dy: &'a [T],
    /// Of a line: whole lanes, or more than that.
    pub(super) columns: usize,
}

impl<T: Float, const N: usize> Kernel for Products<'_, T, N> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Products { met: &Met { x, starts, dy, columns }, taps, lanes } = self;
        let reach = starts.iter().max().copied().unwrap_or(0) + taps.iter().max().copied().unwrap_or(0);
        assert!(columns >= LANES && starts.len() * columns <= dy.len() && reach + columns <= x.len());
        let mut sums = [[T::default().enter::<S>(); LANES]; N];
        for (sums, lanes) in sums.iter_mut().zip(&*lanes) {
            *sums = lanes.map(T::enter::<S>);
        }
        let zero = T::default().enter::<S>();
        // The last lanes of a line lie over some of the ones before, whose slopes are 0 there: what they meet was met already,
        // and where that is not finite the sum is not either.
        let double = columns.next_multiple_of(LANES) - columns;
        for (line, &start) in starts.iter().enumerate() {
            for at in (0..columns).step_by(LANES) {
                let last = at + LANES > columns;
                let at = if last { columns - LANES } else { at };
                // SAFETY: within a line of dy.
                let mut slopes = unsafe { lanes_at::<T, S>(dy, line * columns + at) };
                if last {
                    for slope in &mut slopes[..double] {
                        *slope = zero;
                    }
                }
                for tap in 0..N {
                    // SAFETY: what a line's elements meet by any tap is within x, as was checked.
                    let x = unsafe { lanes_at::<T, S>(x, start + taps[tap] + at) };
                    for i in 0..LANES {
                        sums[tap][i] = slopes[i].mul_add(x[i], sums[tap][i]);
                    }
                }
            }
        }
        for (sums, lanes) in sums.into_iter().zip(lanes) {
            *lanes = sums.map(T::leave::<S>);
        }
    }
}

/// The products of all taps, as many at a time as there are kernels for.
pub(super) fn products<T: Float>(isa: Isa, met: &Met<'_, T>, taps: &[usize], lanes: &mut [[T; LANES]]) {
    macro_rules! first {
        ($n:literal, $from:expr) => {{
            let taps = std::array::from_fn(|i| taps[$from + i]);
            isa.run(Products::<T, $n> { met, taps, lanes: &mut lanes[$from..$from + $n] });
            $n
        }};
    }
    let mut done = 0;
    while done < taps.len() {
        done += match taps.len() - done {
            9.. => first!(9, done),
            5.. => first!(5, done),
            3.. => first!(3, done),
            _ => first!(1, done),
        };
    }
}
