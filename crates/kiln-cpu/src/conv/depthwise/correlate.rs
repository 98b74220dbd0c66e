//! Outputs from a laid out plane, forward and backward.

use super::super::Float;
use super::field::{Field, copy, lanes_at};
use crate::reduce::LANES;
use crate::{Isa, Kernel, Simd};
use kiln_math::{K_BLOCK, Real};

/// y \[+\]= Σ w·x for the outputs of one field, by all of its taps, in blocks of [`K_BLOCK`]; with `N` taps, of one block,
/// unrolled, with 0 any number.
pub(super) struct Correlate<'a, T, const N: usize> {
    pub(super) field: &'a Field<'a>,
    pub(super) x: &'a [T],
    pub(super) kernel: &'a [T],
    pub(super) y: &'a mut [T],
    /// Size of y.
    pub(super) out: [usize; 3],
    pub(super) accumulate: bool,
    /// Room for a line of outputs, in whole lanes.
    pub(super) row: &'a mut [T],
}

/// The sums of a block, added to what there is of the blocks before; the next ones are 0.
#[inline(always)]
fn put<T: Float, S: Simd>(to: &mut [T], sums: &mut [T::In<S>; LANES], add: bool) {
    for i in 0..LANES {
        to[i] = T::leave::<S>(if add { to[i].enter::<S>() + sums[i] } else { sums[i] });
        sums[i] = T::default().enter::<S>();
    }
}

impl<T: Float, const N: usize> Kernel for Correlate<'_, T, N> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Correlate { field, x, kernel, y, out, accumulate, row } = self;
        let [deep, high, wide] = field.axes;
        assert_eq!(x.len(), field.elements());
        let taps: [(T::In<S>, usize); N] = std::array::from_fn(|tap| {
            let (index, at) = field.taps[tap];
            (kernel[index].enter::<S>(), at)
        });
        // Lines that go where they belong at once; the last register over some of the one before.
        let direct = wide.apart == 1 && wide.count >= LANES && !accumulate;
        for line in 0..field.lines() {
            let (depth, height) = (line / high.count, line % high.count);
            let above = (deep.first + depth * deep.apart) * out[1] + high.first + height * high.apart;
            let (start, y) = (field.start(line), &mut y[above * out[2] + wide.first..]);
            if accumulate {
                row.iter_mut().zip(y.iter().step_by(wide.apart).take(wide.count)).for_each(|(row, &y)| *row = y);
            }
            for at in (0..wide.count).step_by(LANES) {
                let at = if direct { at.min(wide.count - LANES) } else { at };
                let mut sums = [T::default().enter::<S>(); LANES];
                let add = |sums: &mut [T::In<S>; LANES], w: T::In<S>, tap: usize| {
                    // SAFETY: a field has whole lanes of outputs, and what each of its taps reaches from them.
                    let x = unsafe { lanes_at::<T, S>(x, start + tap + at) };
                    for i in 0..LANES {
                        sums[i] = w.mul_add(x[i], sums[i]);
                    }
                };
                let to = if direct { &mut y[at..at + LANES] } else { &mut row[at..at + LANES] };
                if N > 0 {
                    for (w, tap) in taps {
                        add(&mut sums, w, tap);
                    }
                } else {
                    for (number, &(index, tap)) in field.taps.iter().enumerate() {
                        if number > 0 && number % K_BLOCK == 0 {
                            put::<T, S>(to, &mut sums, accumulate || number > K_BLOCK);
                        }
                        add(&mut sums, kernel[index].enter::<S>(), tap);
                    }
                }
                put::<T, S>(to, &mut sums, accumulate || N == 0 && field.taps.len() > K_BLOCK);
            }
            if !direct && wide.apart == 1 {
                copy(&mut y[..wide.count], &row[..wide.count]);
            } else if !direct {
                y.iter_mut().step_by(wide.apart).zip(&row[..wide.count]).for_each(|(y, &row)| *y = row);
            }
        }
    }
}

impl<T: Float> Correlate<'_, T, 0> {
    pub(super) fn run_on(self, isa: Isa) {
        if self.field.taps.len() != 9 {
            return isa.run(self);
        }
        let Correlate { field, x, kernel, y, out, accumulate, row } = self;
        isa.run(Correlate::<T, 9> { field, x, kernel, y, out, accumulate, row });
    }
}
