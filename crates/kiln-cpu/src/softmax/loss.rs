//! The cross-entropy of rows of logits, and its gradient.

use super::narrow::{logarithms, narrow_statistics, put_transposed, transposed};
use super::rows::{by_rows, statistics, total, write};
use super::target::Target;
use crate::operand::{Number, Output};
use crate::reduce::LANES;
use crate::{Isa, Kernel, Simd, check};
use kiln_math::Real;

struct Losses<'a, T> {
    out: &'a mut [T],
    logits: &'a [T],
    target: Target<'a, T>,
    first_row: usize,
    width: usize,
}

impl<T: Number> Kernel for Losses<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        if let Target::Labels(labels) = self.target
            && self.width <= LANES
        {
            let groups = self.out.chunks_mut(LANES).zip(self.logits.chunks(LANES * self.width));
            for (i, (to, rows)) in groups.enumerate() {
                let (max, sum) = narrow_statistics(&mut transposed::<S, T>(rows, self.width), self.width);
                let log = logarithms(sum);
                for (r, to) in to.iter_mut().enumerate() {
                    let label = labels.at(self.first_row + i * LANES + r) as usize;
                    *to = T::leave::<S>(log[r] - (rows[r * self.width + label].enter::<S>() - max[r]));
                }
            }
            return;
        }
        for (i, (to, row)) in self.out.iter_mut().zip(self.logits.chunks_exact(self.width)).enumerate() {
            let (max, sum) = statistics::<S, T>(row);
            let log = sum.ln();
            let loss = match self.target {
                Target::Labels(labels) => {
                    let label = labels.at(self.first_row + i) as usize;
                    log - (row[label].enter::<S>() - max)
                }
                Target::Weights(weights) => {
                    let start = (self.first_row + i) * self.width;
                    let weights = &weights[start..start + self.width];
                    let zero = T::default().enter::<S>();
                    // A class of weight 0 counts for nothing, also where its logit is −∞.
                    total::<S, T>(row, weights, |x, t| {
                        let term = t * (log - (x - max));
                        zero.if_less(t.abs(), term, zero)
                    })
                }
            };
            *to = T::leave::<S>(loss);
        }
    }
}

/// Cross-entropy of each row of logits: ln Σ exp(x) − x\[label\], or −Σ t · log_softmax(x).
///
/// Of no classes it is 0.
///
/// # Panics
/// Where `logits` are not a row of this width for each element of `out`, or the target has not a row for each of them; a label
/// that is not a class: check with [`Labels::outside`](super::Labels::outside) first.
pub fn cross_entropy<T: Number>(isa: Isa, out: &mut [T], logits: &[T], target: Target<'_, T>, width: usize) {
    let count = out.len();
    check::length("cross_entropy", "logits", logits.len(), check::elements("cross_entropy", &[count, width]));
    target.check("cross_entropy", count, width);
    if width == 0 {
        return out.fill(T::default());
    }
    let out = Output::from_slice(out);
    by_rows(count, width, |rows| {
        // SAFETY: these rows' own part of the output.
        let to = unsafe { out.part(rows.start, rows.len()) };
        let logits = &logits[rows.start * width..rows.end * width];
        isa.run(Losses { out: to, logits, target, first_row: rows.start, width });
    });
}

struct LossGradient<'a, T> {
    out: &'a mut [T],
    logits: &'a [T],
    target: Target<'a, T>,
    dy: &'a (dyn Fn(usize) -> T + Sync),
    first_row: usize,
    width: usize,
}

impl<T: Number> Kernel for LossGradient<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        if let Target::Labels(labels) = self.target
            && self.width <= LANES
        {
            let group = LANES * self.width;
            for (i, (to, rows)) in self.out.chunks_mut(group).zip(self.logits.chunks(group)).enumerate() {
                let (first, count) = (self.first_row + i * LANES, rows.len() / self.width);
                let mut y = transposed::<S, T>(rows, self.width);
                let (_, sum) = narrow_statistics(&mut y, self.width);
                let mut dy = [T::default().enter::<S>(); LANES];
                for (r, dy) in dy.iter_mut().enumerate().take(count) {
                    *dy = (self.dy)(first + r).enter::<S>();
                }
                for y in y.iter_mut().take(self.width) {
                    for r in 0..LANES {
                        y[r] = dy[r] * (y[r] / sum[r]);
                    }
                }
                put_transposed::<S, T>(to, &y, self.width);
                for (r, &dy) in dy.iter().enumerate().take(count) {
                    let at = &mut to[r * self.width + labels.at(first + r) as usize];
                    *at = T::leave::<S>(at.enter::<S>() - dy);
                }
            }
            return;
        }
        let rows = self.out.chunks_exact_mut(self.width).zip(self.logits.chunks_exact(self.width));
        for (i, (to, row)) in rows.enumerate() {
            let (max, sum) = statistics::<S, T>(row);
            let dy = (self.dy)(self.first_row + i).enter::<S>();
            match self.target {
                Target::Labels(labels) => {
                    write::<S, T>(to, [row, row], |x, _| dy * ((x - max).exp() / sum));
                    let at = &mut to[labels.at(self.first_row + i) as usize];
                    *at = T::leave::<S>(at.enter::<S>() - dy);
                }
                Target::Weights(weights) => {
                    let start = (self.first_row + i) * self.width;
                    let weights = &weights[start..start + self.width];
                    let mass = total::<S, T>(weights, weights, |t, _| t);
                    write::<S, T>(to, [row, weights], |x, t| dy * ((x - max).exp() / sum * mass - t));
                }
            }
        }
    }
}

/// Gradient of [`cross_entropy`]: dy(row) · (softmax(x) · Σ t − t).
///
/// # Panics
/// Where `logits` are not made of rows of this width, `out` has another number of elements, or the target is not one of
/// [`cross_entropy`].
pub fn cross_entropy_grad<T: Number>(
    isa: Isa,
    out: &mut [T],
    logits: &[T],
    target: Target<'_, T>,
    dy: &(dyn Fn(usize) -> T + Sync),
    width: usize,
) {
    let count = check::rows("cross_entropy_grad", "logits", logits.len(), width);
    check::length("cross_entropy_grad", "out", out.len(), logits.len());
    if count == 0 {
        return;
    }
    target.check("cross_entropy_grad", count, width);
    let out = Output::from_slice(out);
    by_rows(count, width, |rows| {
        let part = rows.start * width..rows.end * width;
        // SAFETY: these rows' own part of the output.
        let to = unsafe { out.part(part.start, part.len()) };
        isa.run(LossGradient { out: to, logits: &logits[part], target, dy, first_row: rows.start, width });
    });
}
