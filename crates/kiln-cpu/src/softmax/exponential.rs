//! Softmax, its logarithm and the logarithm of the sum, of rows, with gradients.

use super::narrow::{logarithms, narrow_statistics, put_transposed, transposed};
use super::rows::{by_numbers, normalized, statistics, total, write};
use crate::operand::{Number, Output, Stored, as_numbers, write_numbers};
use crate::reduce::LANES;
use crate::{Isa, Kernel, Simd, check};
use kiln_math::Real;

/// Which normalized exponential.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SoftmaxKind {
    /// exp(x − max) / Σ exp(x − max)
    Softmax,
    /// x − max − ln Σ exp(x − max)
    LogSoftmax,
}

struct Forward<'a, T> {
    kind: SoftmaxKind,
    out: &'a mut [T],
    x: &'a [T],
    width: usize,
}

impl<T: Number> Kernel for Forward<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let group = LANES * self.width;
        if self.width <= LANES {
            for (to, rows) in self.out.chunks_mut(group).zip(self.x.chunks(group)) {
                let x = transposed::<S, T>(rows, self.width);
                let mut y = x;
                let (max, sum) = narrow_statistics(&mut y, self.width);
                let log = if self.kind == SoftmaxKind::LogSoftmax { logarithms(sum) } else { sum };
                for (y, x) in y.iter_mut().zip(&x).take(self.width) {
                    for r in 0..LANES {
                        y[r] = match self.kind {
                            SoftmaxKind::Softmax => y[r] / sum[r],
                            SoftmaxKind::LogSoftmax => x[r] - max[r] - log[r],
                        };
                    }
                }
                put_transposed::<S, T>(to, &y, self.width);
            }
            return;
        }
        for (to, row) in self.out.chunks_exact_mut(self.width).zip(self.x.chunks_exact(self.width)) {
            match self.kind {
                SoftmaxKind::Softmax => normalized::<S, T>(to, row),
                SoftmaxKind::LogSoftmax => {
                    let (max, sum) = statistics::<S, T>(row);
                    let log = sum.ln();
                    write::<S, T>(to, [row, row], |x, _| x - max - log);
                }
            }
        }
    }
}

/// Softmax or its logarithm of rows of `width` contiguous elements.
///
/// # Panics
/// Where `x` is not made of rows of this width, or `out` has another number of elements.
pub fn softmax<E: Stored>(isa: Isa, kind: SoftmaxKind, out: &mut [E], x: &[E], width: usize) {
    let count = check::rows("softmax", "x", x.len(), width);
    check::length("softmax", "out", out.len(), x.len());
    let out = Output::from_slice(out);
    by_numbers::<E, 2>(count, width, |part, [room, result]| {
        // SAFETY: these rows' own part of the output.
        let to = unsafe { out.part(part.start, part.len()) };
        let x = as_numbers(&x[part], room);
        write_numbers(to, result, |out| isa.run(Forward { kind, out, x, width }));
    });
}

struct Gradient<'a, T> {
    kind: SoftmaxKind,
    out: &'a mut [T],
    y: &'a [T],
    dy: &'a [T],
    width: usize,
}

impl<T: Number> Kernel for Gradient<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let rows = self.y.chunks_exact(self.width).zip(self.dy.chunks_exact(self.width));
        for (to, (y, dy)) in self.out.chunks_exact_mut(self.width).zip(rows) {
            match self.kind {
                SoftmaxKind::Softmax => {
                    let dot = total::<S, T>(y, dy, |y, dy| y * dy);
                    write::<S, T>(to, [y, dy], |y, dy| y * (dy - dot));
                }
                SoftmaxKind::LogSoftmax => {
                    let sum = total::<S, T>(y, dy, |_, dy| dy);
                    write::<S, T>(to, [y, dy], |y, dy| dy - y.exp() * sum);
                }
            }
        }
    }
}

/// Gradient of [`softmax`] from its output: y·(dy − Σ y·dy), or dy − exp(y)·Σ dy.
///
/// # Panics
/// Where `y` is not made of rows of this width, or `dy` or `out` has another number of elements.
pub fn softmax_grad<E: Stored>(isa: Isa, kind: SoftmaxKind, out: &mut [E], y: &[E], dy: &[E], width: usize) {
    let count = check::rows("softmax_grad", "y", y.len(), width);
    check::length("softmax_grad", "dy", dy.len(), y.len());
    check::length("softmax_grad", "out", out.len(), y.len());
    let out = Output::from_slice(out);
    by_numbers::<E, 3>(count, width, |part, [first, second, result]| {
        // SAFETY: these rows' own part of the output.
        let to = unsafe { out.part(part.start, part.len()) };
        let (y, dy) = (as_numbers(&y[part.clone()], first), as_numbers(&dy[part], second));
        write_numbers(to, result, |out| isa.run(Gradient { kind, out, y, dy, width }));
    });
}

struct Logsumexp<'a, T> {
    out: &'a mut [T],
    x: &'a [T],
    width: usize,
}

impl<T: Number> Kernel for Logsumexp<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        for (to, row) in self.out.iter_mut().zip(self.x.chunks_exact(self.width)) {
            let (max, sum) = statistics::<S, T>(row);
            // An infinite maximum is the result, and infinity less itself is no number.
            let infinity = T::from_f64(f64::INFINITY).enter::<S>();
            *to = T::leave::<S>(max.abs().if_less(infinity, max + sum.ln(), max));
        }
    }
}

/// ln Σ exp(x) of rows of `width` contiguous elements.
///
/// # Panics
/// Where `x` is not made of rows of this width, or `out` has another number of elements than there are rows.
pub fn logsumexp<E: Stored>(isa: Isa, out: &mut [E], x: &[E], width: usize) {
    let count = check::rows("logsumexp", "x", x.len(), width);
    check::length("logsumexp", "out", out.len(), count);
    let out = Output::from_slice(out);
    by_numbers::<E, 2>(count, width, |part, [room, result]| {
        let rows = part.start / width..part.end / width;
        let result = if E::IN_PLACE { result } else { &mut result[..rows.len()] };
        // SAFETY: these rows' own part of the output.
        let to = unsafe { out.part(rows.start, rows.len()) };
        let x = as_numbers(&x[part], room);
        write_numbers(to, result, |out| isa.run(Logsumexp { out, x, width }));
    });
}
