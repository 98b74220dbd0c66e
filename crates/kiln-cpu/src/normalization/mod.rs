//! Moments of channels, and normalization by them, of (N, C, S).
//!
//! Channels are taken in blocks whose elements are adjacent in each sample, so that vectors are whole whether S is 1 or a
//! large plane. Sums over a channel are those of `sums`.

mod gradient;
mod rows;
mod rows_gradient;
mod sums;

pub use gradient::{Slopes, normalize_grad};
pub use rows::{RowNorm, RowOutputs, normalize_rows};
pub use rows_gradient::{RowSlopes, normalize_rows_grad};
pub use sums::Chunks;

use crate::operand::{Number, StoredAs};
use crate::{Isa, Kernel, Simd, team};
use kiln_math::Real;
use std::ops::Range;
use sums::{Group, Terms, factors, group, sums};

/// The sizes of an operand (N, C, S).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channels {
    /// N
    pub samples: usize,
    /// C
    pub channels: usize,
    /// S
    pub size: usize,
}

/// Elements of a block, unless one channel has more.
const BLOCK: usize = 512;
/// Elements that are worth a second thread.
const PARALLEL: usize = 1 << 14;

impl Channels {
    /// All elements; none where there are more than can be counted, which no slice has.
    fn elements(&self) -> Option<usize> {
        self.samples.checked_mul(self.channels)?.checked_mul(self.size)
    }

    /// Elements of a channel.
    fn count(&self) -> usize {
        self.samples * self.size
    }

    /// Calls `f` for blocks of channels.
    fn by_blocks(&self, f: impl Fn(Range<usize>) + Sync) {
        let each = (BLOCK / self.size.max(1)).max(1);
        let blocks = self.channels.div_ceil(each);
        let one = |block: usize| f(block * each..((block + 1) * each).min(self.channels));
        if self.elements().is_some_and(|elements| elements < PARALLEL) {
            (0..blocks).for_each(one)
        } else {
            team::parallel(blocks, one)
        }
    }

    /// The pieces of a block's elements, by where they begin and how many there are: a block of several channels is one piece,
    /// a large channel several.
    fn pieces(&self, channels: &Range<usize>) -> impl Iterator<Item = (usize, usize)> + use<> {
        let width = channels.len() * self.size;
        (0..width).step_by(BLOCK).map(move |start| (start, BLOCK.min(width - start)))
    }

    /// Where the elements of some channels begin in sample n.
    fn start(&self, n: usize, channels: &Range<usize>) -> usize {
        (n * self.channels + channels.start) * self.size
    }
}

/// A number for each element of a block of channels; for as many as a piece has where the block is one channel.
fn spread<T: Number>(of: impl Fn(usize) -> T, channels: &Range<usize>, size: usize) -> Vec<T> {
    let each = size.min(BLOCK);
    if each == 1 {
        return channels.clone().map(of).collect();
    }
    let mut numbers = Vec::with_capacity(channels.len() * each);
    for channel in channels.clone() {
        numbers.resize(numbers.len() + each, of(channel));
    }
    numbers
}

/// An address that tasks write through, each its own elements.
struct Place<T>(*mut T);
// SAFETY: only an address; each task takes elements of its own.
unsafe impl<T> Sync for Place<T> {}

impl<T> Place<T> {
    /// # Safety
    /// The elements exist, and nobody else has them.
    #[allow(clippy::mut_from_ref)] // each element once
    unsafe fn take(&self, start: usize, count: usize) -> &mut [T] {
        // SAFETY: as the caller promises.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(start), count) }
    }
}

/// x less a first element of its channel: what is added up is small, and what is constant gives exactly 0.
#[derive(Clone, Copy)]
struct Shifted<'a, T, X> {
    x: &'a [X],
    shift: &'a [T],
}

impl<T: Number, X: StoredAs<T>> Terms<T, 1> for Shifted<'_, T, X> {
    fn part(self, start: usize, count: usize) -> Self {
        Shifted { x: &self.x[start..][..count], ..self }
    }
    #[inline(always)]
    fn add<S: Simd, const W: usize>(
        &self,
        at: usize,
        factor: usize,
        [mut sums]: [Group<T, S, W>; 1],
    ) -> [Group<T, S, W>; 1] {
        let (x, shift) = (group::<S, T, X, W>(self.x, at), group::<S, T, T, W>(self.shift, factor));
        for j in 0..W {
            sums[j] = sums[j] + (x[j] - shift[j]);
        }
        [sums]
    }
}

/// The square of what x, shifted, is away from its mean.
#[derive(Clone, Copy)]
struct Spread<'a, T, X> {
    x: &'a [X],
    shift: &'a [T],
    mean: &'a [T],
}

impl<T: Number, X: StoredAs<T>> Terms<T, 1> for Spread<'_, T, X> {
    fn part(self, start: usize, count: usize) -> Self {
        Spread { x: &self.x[start..][..count], ..self }
    }
    #[inline(always)]
    fn add<S: Simd, const W: usize>(
        &self,
        at: usize,
        factor: usize,
        [mut sums]: [Group<T, S, W>; 1],
    ) -> [Group<T, S, W>; 1] {
        let x = group::<S, T, X, W>(self.x, at);
        let (shift, mean) = (group::<S, T, T, W>(self.shift, factor), group::<S, T, T, W>(self.mean, factor));
        for j in 0..W {
            let centered = (x[j] - shift[j]) - mean[j];
            sums[j] = centered.mul_add(centered, sums[j]);
        }
        [sums]
    }
}

/// `out` (2, C) = mean and biased variance of each channel of x. Of no elements both are NaN.
///
/// # Panics
/// Slices of other lengths.
pub fn moments<T: Number, X: StoredAs<T>>(isa: Isa, form: &Channels, out: &mut [T], x: &[X]) {
    assert!(out.len() == 2 * form.channels && form.elements() == Some(x.len()), "slices of other lengths");
    let out = Place(out.as_mut_ptr());
    form.by_blocks(|channels| {
        // SAFETY: these channels' moments are this task's own.
        let (mean, variance) = unsafe {
            let (start, count) = (channels.start, channels.len());
            (out.take(start, count), out.take(form.channels + start, count))
        };
        moments_of(isa, form, &channels, x, (mean, variance));
    });
}

/// Mean and biased variance of some of the channels.
fn moments_of<T: Number, X: StoredAs<T>>(
    isa: Isa,
    form: &Channels,
    channels: &Range<usize>,
    x: &[X],
    (mean, variance): (&mut [T], &mut [T]),
) {
    if form.count() == 0 {
        mean.fill(T::from_f64(f64::NAN));
        return variance.fill(T::from_f64(f64::NAN));
    }
    let count = T::from_f64(form.count() as f64);
    for (first, channel) in mean.iter_mut().zip(channels.clone()) {
        *first = finite(x[channel * form.size].number());
    }
    let shift = factors(form, channels, |channel| mean[channel - channels.start]);
    let [of_shifted] = sums(isa, form, channels, Shifted { x, shift: &shift });
    let means = factors(form, channels, |channel| of_shifted[channel - channels.start] / count);
    let [squares] = sums(isa, form, channels, Spread { x, shift: &shift, mean: &means });
    for number in 0..channels.len() {
        mean[number] = mean[number] + of_shifted[number] / count;
        variance[number] = squares[number] / count;
    }
}

/// x, or 0 where it is not finite: infinity less infinity is no number.
fn finite<T: Number>(x: T) -> T {
    if x.to_f64().is_finite() { x } else { T::default() }
}

/// What normalizes channels: moments (2, C), ε, weight and bias (C,), and whether max(·, 0) follows.
#[derive(Clone, Copy, Debug)]
pub struct Normalizer<'a, T> {
    /// Means, then variances.
    pub moments: &'a [T],
    /// Added to the variance.
    pub epsilon: T,
    /// γ
    pub weight: Option<&'a [T]>,
    /// β
    pub bias: Option<&'a [T]>,
    /// Whether a rectifier follows.
    pub relu: bool,
}

impl<T: Number> Normalizer<'_, T> {
    /// Whether there are as many moments and factors as the channels need.
    fn fits(&self, form: &Channels) -> bool {
        let factors = [self.weight, self.bias];
        self.moments.len() == 2 * form.channels && factors.iter().flatten().all(|of| of.len() == form.channels)
    }

    pub(crate) fn mean(&self, channel: usize) -> T {
        self.moments[channel]
    }

    /// 1 / sqrt(variance + ε)
    fn inverse_deviation(&self, channel: usize) -> T {
        T::from_f64(1.0) / (self.moments[self.moments.len() / 2 + channel] + self.epsilon).sqrt()
    }

    fn weight(&self, channel: usize) -> T {
        self.weight.map_or(T::from_f64(1.0), |weight| weight[channel])
    }

    /// weight / sqrt(variance + ε)
    pub(crate) fn scale(&self, channel: usize) -> T {
        self.weight(channel) * self.inverse_deviation(channel)
    }

    pub(crate) fn shift(&self, channel: usize) -> T {
        self.bias.map_or(T::default(), |bias| bias[channel])
    }
}

/// y = (x − mean)·scale + shift, and what follows.
struct Apply<'a, T, X> {
    y: &'a mut [X],
    x: &'a [X],
    mean: &'a [T],
    scale: &'a [T],
    shift: &'a [T],
    relu: bool,
}

impl<T: Number, X: StoredAs<T>> Kernel for Apply<'_, T, X> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let zero = T::default().enter::<S>();
        // Below any number: max(·, floor) leaves all as they are.
        let floor = if self.relu { zero } else { T::from_f64(f64::NEG_INFINITY).enter::<S>() };
        let operands = self.x.iter().zip(self.mean).zip(self.scale).zip(self.shift);
        for (y, (((x, mean), scale), shift)) in self.y.iter_mut().zip(operands) {
            let centered = x.number().enter::<S>() - mean.enter::<S>();
            let scaled = centered.mul_add(scale.enter::<S>(), shift.enter::<S>());
            *y = X::nearest(T::leave::<S>(scaled.maximum(floor)));
        }
    }
}

/// y = (x − mean) / sqrt(variance + ε) · weight + bias by channel, and max(·, 0) where the normalizer says so.
///
/// # Panics
/// Slices of other lengths.
pub fn normalize<T: Number, X: StoredAs<T>>(isa: Isa, form: &Channels, by: &Normalizer<'_, T>, y: &mut [X], x: &[X]) {
    assert!(form.elements() == Some(y.len()) && x.len() == y.len() && by.fits(form), "slices of other lengths");
    let y = Place(y.as_mut_ptr());
    form.by_blocks(|channels| {
        let mean = spread(|channel| by.mean(channel), &channels, form.size);
        let scale = spread(|channel| by.scale(channel), &channels, form.size);
        let shift = spread(|channel| by.shift(channel), &channels, form.size);
        for n in 0..form.samples {
            for (start, count) in form.pieces(&channels) {
                let start = form.start(n, &channels) + start;
                // SAFETY: these channels of the sample are this task's own.
                let y = unsafe { y.take(start, count) };
                let x = &x[start..][..count];
                isa.run(Apply { y, x, mean: &mean, scale: &scale, shift: &shift, relu: by.relu });
            }
        }
    });
}
