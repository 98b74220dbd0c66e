//! Normalization of rows, after a sum of two operands where there are two: one pass over memory.
//!
//! A few rows at a time are added, measured and normalized while they are in the cache. Sums over a row are those of `sums`, so that
//! the bits are those of the sum, the moments and the normalization one after the other.

use super::sums::{Chunks, Group, Terms, group, sums};
use super::{BLOCK, Channels, PARALLEL, Place, moments_of};
use crate::operand::{Number, Stored, as_numbers, write_numbers};
use crate::{Isa, Kernel, Simd, check, team};
use kiln_math::Real;
use std::ops::Range;

/// Elements of the rows that are in the cache together, unless one row has more.
const TOGETHER: usize = 2048;

/// How rows (rows, width) are normalized: by mean and variance as layer normalization, or by the mean of the squares.
#[derive(Clone, Copy, Debug)]
pub struct RowNorm<'a, T> {
    /// Rows.
    pub rows: usize,
    /// Elements of a row.
    pub width: usize,
    /// Whether the mean is subtracted, and ε is added to the variance; else it is added to the mean of the squares.
    pub centered: bool,
    /// ε
    pub epsilon: T,
    /// γ (width,)
    pub weight: Option<&'a [T]>,
    /// β (width,)
    pub bias: Option<&'a [T]>,
}

impl<T: Number> RowNorm<'_, T> {
    /// Refuses sizes that do not fit, of the named function.
    #[track_caller]
    pub(super) fn check(&self, function: &str, operands: &[(&str, usize)], moments: usize) {
        let elements = check::elements(function, &[self.rows, self.width]);
        operands.iter().for_each(|&(name, length)| check::length(function, name, length, elements));
        check::length(function, "moments", moments, self.moments() * self.rows);
        for (name, factor) in [("weight", self.weight), ("bias", self.bias)] {
            check::length(function, name, factor.map_or(self.width, <[T]>::len), self.width);
        }
    }

    /// Numbers that measure a row.
    pub(super) fn moments(&self) -> usize {
        if self.centered { 2 } else { 1 }
    }

    /// 1 / sqrt(m + ε) of a variance or mean of squares.
    pub(super) fn inverse(&self, m: T) -> T {
        T::from_f64(1.0) / (m + self.epsilon).sqrt()
    }

    /// Rows that are taken together.
    fn block(&self) -> usize {
        let along = Chunks::new(1, self.width).along;
        (if along { TOGETHER } else { BLOCK } / self.width.max(1)).max(1)
    }
}

/// What a forward pass writes.
#[derive(Debug)]
pub struct RowOutputs<'a, E, T> {
    /// x + residual, where there is a residual.
    pub sum: Option<&'a mut [E]>,
    /// The sum, normalized.
    pub y: &'a mut [E],
    /// (2, rows): means, then variances; or (1, rows): means of the squares.
    pub moments: &'a mut [T],
}

/// to = a + b
struct Add<'a, T> {
    to: &'a mut [T],
    a: &'a [T],
    b: &'a [T],
}

impl<T: Number> Kernel for Add<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        for ((to, a), b) in self.to.iter_mut().zip(self.a).zip(self.b) {
            *to = T::leave::<S>(a.enter::<S>() + b.enter::<S>());
        }
    }
}

/// x², each square rounded, as of an operation of its own.
#[derive(Clone, Copy)]
struct RoundedSquares<'a, T>(&'a [T]);

impl<T: Number> Terms<T, 1> for RoundedSquares<'_, T> {
    fn part(self, start: usize, count: usize) -> Self {
        RoundedSquares(&self.0[start..][..count])
    }
    #[inline(always)]
    fn add<S: Simd, const W: usize>(
        &self,
        at: usize,
        _: usize,
        [mut sums]: [Group<T, S, W>; 1],
    ) -> [Group<T, S, W>; 1] {
        let x = group::<S, T, T, W>(self.0, at);
        for j in 0..W {
            sums[j] = sums[j] + x[j] * x[j];
        }
        [sums]
    }
}

/// What a row is normalized by.
#[derive(Clone, Copy)]
pub(super) struct Scale<T> {
    pub(super) mean: T,
    pub(super) inverse: T,
    pub(super) centered: bool,
}

impl<T: Number> Scale<T> {
    /// x̂
    #[inline(always)]
    pub(super) fn of<S: Simd>(&self) -> impl Fn(T::In<S>) -> T::In<S> + use<S, T> {
        let (mean, inverse) = (self.mean.enter::<S>(), self.inverse.enter::<S>());
        let (centered, zero) = (self.centered, T::default().enter::<S>());
        move |x| if centered { (x - mean).mul_add(inverse, zero) } else { x * inverse }
    }
}

/// y = x̂ · weight + bias of a row, each operation rounded.
struct Apply<'a, T> {
    y: &'a mut [T],
    x: &'a [T],
    by: Scale<T>,
    weight: Option<&'a [T]>,
    bias: Option<&'a [T]>,
}

impl<T: Number> Kernel for Apply<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let normal = self.by.of::<S>();
        let rows = self.y.iter_mut().zip(self.x);
        match (self.weight, self.bias) {
            (None, None) => rows.for_each(|(y, x)| *y = T::leave::<S>(normal(x.enter::<S>()))),
            (Some(weight), None) => {
                rows.zip(weight).for_each(|((y, x), w)| *y = T::leave::<S>(normal(x.enter::<S>()) * w.enter::<S>()));
            }
            (None, Some(bias)) => {
                rows.zip(bias).for_each(|((y, x), b)| *y = T::leave::<S>(normal(x.enter::<S>()) + b.enter::<S>()));
            }
            (Some(weight), Some(bias)) => {
                for (((y, x), w), b) in rows.zip(weight).zip(bias) {
                    *y = T::leave::<S>(normal(x.enter::<S>()) * w.enter::<S>() + b.enter::<S>());
                }
            }
        }
    }
}

/// y = (s − mean) / sqrt(variance + ε) · weight + bias of s = x + residual, or of x where there is no residual, with the moments of
/// each row; without a mean y = s / sqrt(mean of s² + ε) · weight + bias. Half types are computed in f32; s and y are rounded once.
///
/// # Panics
/// Slices of other lengths; a sum without a residual, or a residual without a sum.
pub fn normalize_rows<E: Stored>(
    isa: Isa,
    form: &RowNorm<'_, E::Compute>,
    out: RowOutputs<'_, E, E::Compute>,
    x: &[E],
    residual: Option<&[E]>,
) {
    const NAME: &str = "normalize_rows";
    let RowOutputs { sum, y, moments } = out;
    form.check(NAME, &[("x", x.len()), ("y", y.len())], moments.len());
    if sum.is_some() != residual.is_some() {
        check::refuse(NAME, format_args!("a sum is written where there is a residual"));
    }
    check::length(NAME, "residual", residual.map_or(x.len(), <[E]>::len), x.len());
    check::length(NAME, "sum", sum.as_ref().map_or(x.len(), |sum| sum.len()), x.len());
    let (sum, y, moments) =
        (sum.map(|sum| Place(sum.as_mut_ptr())), Place(y.as_mut_ptr()), Place(moments.as_mut_ptr()));
    let (each, width) = (form.block(), form.width);
    let block = |number: usize| {
        let rows = number * each..((number + 1) * each).min(form.rows);
        let (start, count) = (rows.start * width, rows.len() * width);
        let room = || vec![E::Compute::default(); if E::IN_PLACE { 0 } else { count }];
        let (mut first, mut second, mut third) = (room(), room(), room());
        // SAFETY: these rows, and what measures them, are this task's own.
        let (sum, y) = unsafe { (sum.as_ref().map(|sum| sum.take(start, count)), y.take(start, count)) };
        let x = &x[start..][..count];
        let s = match (sum, residual) {
            (Some(sum), Some(residual)) => {
                let (a, b) = (as_numbers(x, &mut first), as_numbers(&residual[start..][..count], &mut second));
                write_numbers(sum, &mut third, |to| isa.run(Add { to, a, b }));
                // What is normalized is the sum as it was stored.
                as_numbers(&*sum, &mut third)
            }
            _ => as_numbers(x, &mut third),
        };
        // SAFETY: as above.
        let (means, spreads) = unsafe {
            let spreads = moments.take((form.moments() - 1) * form.rows + rows.start, rows.len());
            (if form.centered { moments.take(rows.start, rows.len()) } else { &mut [] }, spreads)
        };
        measure(isa, form, s, (means, spreads));
        for (row, &spread) in spreads.iter().enumerate() {
            let mean = means.get(row).copied().unwrap_or_default();
            let by = Scale { mean, inverse: form.inverse(spread), centered: form.centered };
            let (weight, bias, part) = (form.weight, form.bias, row * width..(row + 1) * width);
            let room = if E::IN_PLACE { &mut [] } else { &mut first[part.clone()] };
            write_numbers(&mut y[part.clone()], room, |y| isa.run(Apply { y, x: &s[part], by, weight, bias }));
        }
    };
    by_blocks(form.rows.div_ceil(each), form.rows * width, block);
}

/// Calls `f` for so many blocks, in parallel where there are elements enough.
pub(super) fn by_blocks(blocks: usize, elements: usize, f: impl Fn(usize) + Sync) {
    if elements < PARALLEL { (0..blocks).for_each(f) } else { team::parallel(blocks, f) }
}

/// Means and variances of the rows of s, or means of the squares alone.
fn measure<T: Number>(isa: Isa, form: &RowNorm<'_, T>, s: &[T], (means, spreads): (&mut [T], &mut [T])) {
    let channels = Channels { samples: 1, channels: spreads.len(), size: form.width };
    let all: Range<usize> = 0..spreads.len();
    if form.centered {
        return moments_of(isa, &channels, &all, s, (means, spreads));
    }
    if form.width == 0 {
        return spreads.fill(T::from_f64(f64::NAN));
    }
    let [squares] = sums(isa, &channels, &all, RoundedSquares(s));
    let count = T::from_f64(form.width as f64);
    for (spread, squares) in spreads.iter_mut().zip(squares) {
        *spread = squares / count;
    }
}
