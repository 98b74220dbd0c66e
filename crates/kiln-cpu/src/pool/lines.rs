//! Long lines: the outputs of one line go through the taps together.

use super::{Pool, Taps};
use crate::operand::Number;
use crate::{Kernel, Simd};

/// Outputs that stay in the first-level cache while all taps pass.
const CHUNK: usize = 512;

/// The maxima of one line, at `position` along the first two axes; `first` is its first output's number among those of all planes.
pub(super) struct Line<'a, T> {
    pub(super) pool: &'a Pool,
    pub(super) position: [usize; 2],
    pub(super) x: &'a [T],
    pub(super) y: &'a mut [T],
    pub(super) first: usize,
    pub(super) taps: Option<&'a Taps>,
}

impl<T: Number> Kernel for Line<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        match (self.taps.is_some(), self.pool.stride[2]) {
            (true, 1) => self.maxima::<true, 1>(),
            (true, 2) => self.maxima::<true, 2>(),
            (true, _) => self.maxima::<true, 0>(),
            (false, 1) => self.maxima::<false, 1>(),
            (false, 2) => self.maxima::<false, 2>(),
            (false, _) => self.maxima::<false, 0>(),
        }
    }
}

impl<T: Number> Line<'_, T> {
    /// With the stride along the line known where `STRIDE` is not 0.
    #[inline(always)]
    fn maxima<const TAPS: bool, const STRIDE: usize>(self) {
        let Line { pool, position, x, y, first, taps } = self;
        let stride = if STRIDE == 0 { pool.stride[2] } else { STRIDE };
        let [_, k1, k2] = pool.kernel;
        let first_line = (0..2).fold(0, |line, axis| line * pool.kernel[axis] + pool.first_tap(axis, position[axis]));
        let mut tap = [0; CHUNK];
        for begin in (0..y.len()).step_by(CHUNK) {
            let end = (begin + CHUNK).min(y.len());
            let best = &mut y[begin..end];
            // Nothing is above −∞ where all are: it stays with the first.
            best.fill(T::from_f64(f64::NEG_INFINITY));
            if TAPS {
                for (i, tap) in tap[..end - begin].iter_mut().enumerate() {
                    *tap = (first_line * k2 + pool.first_tap(2, begin + i)) as u32;
                }
            }
            for line in 0..pool.kernel[0] * k1 {
                let at = pool.at(0, position[0], line / k1).zip(pool.at(1, position[1], line % k1));
                let Some((plane, row)) = at else { continue };
                let x = &x[(plane * pool.size[1] + row) * pool.size[2]..][..pool.size[2]];
                for column in 0..k2 {
                    let met = pool.met(2, column);
                    let (from, to) = (met.start.max(begin), met.end.min(end));
                    if from >= to {
                        continue;
                    }
                    let x = &x[from * stride + column * pool.dilation[2] - pool.before[2]..];
                    let number = (line * k2 + column) as u32;
                    let (best, tap) = (&mut best[from - begin..to - begin], &mut tap[from - begin..to - begin]);
                    // That many elements are there: the last output meets one.
                    let x = &x[..(to - from - 1) * stride + 1];
                    for (i, (best, tap)) in best.iter_mut().zip(tap).enumerate() {
                        let value = x[i * stride];
                        #[allow(clippy::eq_op)] // NaN differs from itself
                        let better = (value > *best) | (value != value);
                        *best = if better { value } else { *best };
                        if TAPS {
                            *tap = if better { number } else { *tap };
                        }
                    }
                }
            }
            if let Some(taps) = taps {
                // SAFETY: the line is this task's, and so are its outputs' taps.
                unsafe { taps.write(first + begin, &tap[..end - begin]) };
            }
        }
    }
}
