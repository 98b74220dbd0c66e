//! Weighted sums of the indices of an axis: resampling, and means of parts of any length.

mod taps;

pub use taps::Taps;

use crate::operand::{Number, Output};
use crate::{Isa, Kernel, Simd, check, team};
use kiln_math::Real;
use taps::Kind;

/// out\[…, i, …\] = Σ weight · x\[…, place, …\] over the taps of i, of x (outer, from, inner): out is (outer, to, inner). The taps
/// are added one after the other.
///
/// # Panics
/// Where an array has another number of elements.
pub fn blend<T: Number>(isa: Isa, out: &mut [T], x: &[T], taps: &Taps, outer: usize, inner: usize) {
    let (from, to) = (taps.from(), taps.to());
    check::length("blend", "out", out.len(), check::elements("blend", &[outer, to, inner]));
    check::length("blend", "x", x.len(), check::elements("blend", &[outer, from, inner]));
    if out.is_empty() {
        return;
    }
    let weights: Vec<T> = taps.weights.iter().map(|&weight| T::from_f64(weight)).collect();
    let blend = Blend { out: Output::from_slice(out), x, taps, weights: &weights, inner, kind: taps.kind() };
    // Lines of an innermost axis, or rows along it.
    let (rows, width) = if inner == 1 { (outer, to) } else { (outer * to, inner) };
    let block = (PART / width).max(1);
    let task = |i: usize| isa.run(Part { blend: &blend, first: i * block, count: block.min(rows - i * block) });
    let tasks = rows.div_ceil(block);
    if rows * width < 2 * PART { (0..tasks).for_each(task) } else { team::parallel(tasks, task) }
}

/// Elements of a task.
const PART: usize = 1 << 14;

struct Blend<'a, T> {
    out: Output<'a, T>,
    x: &'a [T],
    taps: &'a Taps,
    weights: &'a [T],
    inner: usize,
    kind: Kind,
}

/// Some lines or rows of the result.
struct Part<'a, T> {
    blend: &'a Blend<'a, T>,
    first: usize,
    count: usize,
}

impl<T: Number> Kernel for Part<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Part { blend, first, count } = self;
        let (from, to) = (blend.taps.from(), blend.taps.to());
        for row in first..first + count {
            if blend.inner == 1 {
                // SAFETY: each line is of one task alone.
                let out = unsafe { blend.out.part(row * to, to) };
                let x = &blend.x[row * from..][..from];
                match blend.kind {
                    Kind::Doubled => out.as_chunks_mut().0.iter_mut().zip(x).for_each(|(out, &x)| *out = [x, x]),
                    Kind::Halved => {
                        for (out, &[a, b]) in out.iter_mut().zip(x.as_chunks().0) {
                            *out = T::leave::<S>(a.enter::<S>() + b.enter::<S>());
                        }
                    }
                    Kind::One => blend.line::<S, 1>(out, x),
                    Kind::Two => blend.line::<S, 2>(out, x),
                    Kind::Four => blend.line::<S, 4>(out, x),
                    Kind::Any => blend.uneven_line::<S>(out, x),
                }
            } else {
                // SAFETY: each row is of one task alone.
                let out = unsafe { blend.out.part(row * blend.inner, blend.inner) };
                blend.row::<S>(out, row / to * from, row % to);
            }
        }
    }
}

impl<T: Number> Blend<'_, T> {
    /// A line of which each element has K taps.
    #[inline(always)]
    fn line<S: Simd, const K: usize>(&self, out: &mut [T], x: &[T]) {
        let taps = self.weights.as_chunks::<K>().0.iter().zip(self.taps.places.as_chunks::<K>().0);
        for (out, (weights, places)) in out.iter_mut().zip(taps) {
            let mut sum = T::default().enter::<S>();
            for (weight, &place) in weights.iter().zip(places) {
                // SAFETY: the taps were made for an axis of as many elements as x has.
                let x = unsafe { *x.get_unchecked(place) };
                sum = weight.enter::<S>().mul_add(x.enter::<S>(), sum);
            }
            *out = T::leave::<S>(sum);
        }
    }

    #[inline(always)]
    fn uneven_line<S: Simd>(&self, out: &mut [T], x: &[T]) {
        for (i, out) in out.iter_mut().enumerate() {
            let mut sum = T::default().enter::<S>();
            for (weight, &place) in self.weights[self.taps.row(i)].iter().zip(&self.taps.places[self.taps.row(i)]) {
                // SAFETY: the taps were made for an axis of as many elements as x has.
                let x = unsafe { *x.get_unchecked(place) };
                sum = weight.enter::<S>().mul_add(x.enter::<S>(), sum);
            }
            *out = T::leave::<S>(sum);
        }
    }

    /// Row i of a result, from the rows after `first` of x; two taps in each pass.
    #[inline(always)]
    fn row<S: Simd>(&self, out: &mut [T], first: usize, i: usize) {
        let row = |at: usize| &self.x[(first + self.taps.places[at]) * self.inner..][..self.inner];
        let all = self.taps.row(i);
        let start = all.start;
        match all.len() {
            0 => out.fill(T::default()),
            1 => {
                let weight = self.weights[start].enter::<S>();
                for (out, &x) in out.iter_mut().zip(row(start)) {
                    *out = T::leave::<S>(weight * x.enter::<S>());
                }
            }
            _ => {
                let (a, b) = (self.weights[start].enter::<S>(), self.weights[start + 1].enter::<S>());
                for ((out, &x), &y) in out.iter_mut().zip(row(start)).zip(row(start + 1)) {
                    *out = T::leave::<S>(b.mul_add(y.enter::<S>(), a * x.enter::<S>()));
                }
            }
        }
        for at in all.skip(2) {
            let weight = self.weights[at].enter::<S>();
            for (out, &x) in out.iter_mut().zip(row(at)) {
                *out = T::leave::<S>(weight.mul_add(x.enter::<S>(), out.enter::<S>()));
            }
        }
    }
}
