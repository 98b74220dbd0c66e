//! Moments of channels, and normalisation by them, of (N, C, S).
//!
//! Channels are taken in blocks whose elements are adjacent in each sample. Sums run down the samples for each element of a
//! block, and then over each channel's elements in lanes: an order that the shape alone fixes, and whole vectors whether S is
//! 1 or a large plane.

use crate::operand::Number;
use crate::reduce::{LANES, Sum, combine_lanes};
use crate::{Isa, Kernel, Simd, team};
use kiln_math::Real;
use std::ops::Range;

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
    fn elements(&self) -> usize {
        self.samples * self.channels * self.size
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
        if self.elements() < PARALLEL { (0..blocks).for_each(one) } else { team::parallel(blocks, one) }
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
    channels.clone().flat_map(|channel| std::iter::repeat_n(of(channel), size.min(BLOCK))).collect()
}

/// The sums of the channels of a block, from sums for each element of its pieces.
struct ByChannel<T> {
    size: usize,
    lanes: Vec<[T; LANES]>,
}

impl<T: Number> ByChannel<T> {
    fn new(channels: &Range<usize>, size: usize) -> Self {
        ByChannel { size, lanes: vec![[T::default(); LANES]; channels.len()] }
    }

    /// Adds a piece, the whole block or a part of its only channel.
    fn add(&mut self, isa: Isa, piece: &[T]) {
        for (lanes, x) in self.lanes.iter_mut().zip(piece.chunks(self.size)) {
            isa.run(Lanes { lanes, x });
        }
    }

    fn sums(self) -> impl Iterator<Item = T> {
        self.lanes.into_iter().map(combine_lanes::<T, Sum>)
    }
}

/// lanes += x, element i to lane i mod LANES.
struct Lanes<'a, T> {
    lanes: &'a mut [T; LANES],
    x: &'a [T],
}

impl<T: Number> Kernel for Lanes<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let (whole, rest) = self.x.as_chunks::<LANES>();
        let mut sums = self.lanes.map(T::enter::<S>);
        for group in whole {
            for i in 0..LANES {
                sums[i] = sums[i] + group[i].enter::<S>();
            }
        }
        *self.lanes = sums.map(T::leave::<S>);
        for (lane, &x) in self.lanes.iter_mut().zip(rest) {
            *lane = T::leave::<S>(lane.enter::<S>() + x.enter::<S>());
        }
    }
}

/// sums += x, or (x − mean)² where there is a mean.
struct Add<'a, T> {
    sums: &'a mut [T],
    x: &'a [T],
    mean: Option<&'a [T]>,
}

impl<T: Number> Kernel for Add<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        match self.mean {
            None => {
                for (sum, &x) in self.sums.iter_mut().zip(self.x) {
                    *sum = T::leave::<S>(sum.enter::<S>() + x.enter::<S>());
                }
            }
            Some(mean) => {
                for ((sum, &x), &mean) in self.sums.iter_mut().zip(self.x).zip(mean) {
                    let centred = x.enter::<S>() - mean.enter::<S>();
                    *sum = T::leave::<S>(centred.mul_add(centred, sum.enter::<S>()));
                }
            }
        }
    }
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

/// `out` (2, C) = mean and biased variance of each channel of x. Of no elements both are NaN.
///
/// # Panics
/// Slices of other lengths.
pub fn moments<T: Number>(isa: Isa, form: &Channels, out: &mut [T], x: &[T]) {
    assert!(out.len() == 2 * form.channels && x.len() == form.elements(), "slices of other lengths");
    let count = T::from_f64(form.count() as f64);
    let out = Place(out.as_mut_ptr());
    form.by_blocks(|channels| {
        let width = channels.len() * form.size;
        // SAFETY: these channels' moments are this task's own.
        let (mean, variance) = unsafe {
            let (start, count) = (channels.start, channels.len());
            (out.take(start, count), out.take(form.channels + start, count))
        };
        if form.count() == 0 {
            mean.fill(T::from_f64(f64::NAN));
            return variance.fill(T::from_f64(f64::NAN));
        }
        let sums = |mean: Option<&[T]>| {
            let (mut sums, mut piece) = (ByChannel::new(&channels, form.size), vec![T::default(); width.min(BLOCK)]);
            for (start, count) in form.pieces(&channels) {
                let piece = &mut piece[..count];
                piece.fill(T::default());
                for n in 0..form.samples {
                    let x = &x[form.start(n, &channels) + start..][..count];
                    isa.run(Add { sums: &mut *piece, x, mean });
                }
                sums.add(isa, piece);
            }
            sums.sums()
        };
        mean.iter_mut().zip(sums(None)).for_each(|(to, sum)| *to = sum / count);
        let spread = spread(|channel| mean[channel - channels.start], &channels, form.size);
        variance.iter_mut().zip(sums(Some(&spread))).for_each(|(to, sum)| *to = sum / count);
    });
}

/// What normalises channels: moments (2, C), ε, weight and bias (C,), and whether max(·, 0) follows.
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
    fn mean(&self, channel: usize) -> T {
        self.moments[channel]
    }

    /// 1 / sqrt(variance + ε)
    fn inverse_deviation(&self, channel: usize) -> T {
        T::from_f64(1.0) / (self.moments[self.moments.len() / 2 + channel] + self.epsilon).sqrt()
    }

    fn weight(&self, channel: usize) -> T {
        self.weight.map_or(T::from_f64(1.0), |weight| weight[channel])
    }
}

/// y = (x − mean)·scale + shift, and what follows.
struct Apply<'a, T> {
    y: &'a mut [T],
    x: &'a [T],
    mean: &'a [T],
    scale: &'a [T],
    shift: &'a [T],
    relu: bool,
}

impl<T: Number> Kernel for Apply<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let zero = T::default().enter::<S>();
        // Below any number: max(·, floor) leaves all as they are.
        let floor = if self.relu { zero } else { T::from_f64(f64::NEG_INFINITY).enter::<S>() };
        let operands = self.x.iter().zip(self.mean).zip(self.scale).zip(self.shift);
        for (y, (((x, mean), scale), shift)) in self.y.iter_mut().zip(operands) {
            let centred = x.enter::<S>() - mean.enter::<S>();
            *y = T::leave::<S>(centred.mul_add(scale.enter::<S>(), shift.enter::<S>()).maximum(floor));
        }
    }
}

/// y = (x − mean) / sqrt(variance + ε) · weight + bias by channel, and max(·, 0) where the normaliser says so.
///
/// # Panics
/// Slices of other lengths.
pub fn normalize<T: Number>(isa: Isa, form: &Channels, by: &Normalizer<'_, T>, y: &mut [T], x: &[T]) {
    assert!(y.len() == form.elements() && x.len() == y.len(), "slices of other lengths");
    let y = Place(y.as_mut_ptr());
    form.by_blocks(|channels| {
        let mean = spread(|channel| by.mean(channel), &channels, form.size);
        let scale = spread(|channel| by.weight(channel) * by.inverse_deviation(channel), &channels, form.size);
        let shift = spread(|channel| by.bias.map_or(T::default(), |bias| bias[channel]), &channels, form.size);
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

/// The operands of a gradient: x, y (looked at where a rectifier followed) and dy.
#[derive(Clone, Copy, Debug)]
pub struct Slopes<'a, T> {
    /// What was normalised.
    pub x: &'a [T],
    /// What came of it.
    pub y: &'a [T],
    /// The gradient of that.
    pub dy: &'a [T],
}

impl<'a, T> Slopes<'a, T> {
    fn part(&self, start: usize, count: usize) -> Slopes<'a, T> {
        let part = |of: &'a [T]| &of[start..start + count];
        Slopes { x: part(self.x), y: part(self.y), dy: part(self.dy) }
    }
}

/// plain += dz and with += dz·(x − mean), dz being dy, or with a rectifier dy where y > 0.
struct AddSlopes<'a, T, const RELU: bool> {
    plain: &'a mut [T],
    with: &'a mut [T],
    of: Slopes<'a, T>,
    mean: &'a [T],
}

/// dz
#[inline(always)]
fn through<S: Simd, T: Number, const RELU: bool>(dy: T, y: T) -> T::In<S> {
    let (zero, dy) = (T::default().enter::<S>(), dy.enter::<S>());
    if RELU { zero.if_less(y.enter::<S>(), dy, zero) } else { dy }
}

impl<T: Number, const RELU: bool> Kernel for AddSlopes<'_, T, RELU> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let AddSlopes { plain, with, of: Slopes { x, y, dy }, mean } = self;
        let sums = plain.iter_mut().zip(with);
        for ((plain, with), (((&x, &y), &dy), &mean)) in sums.zip(x.iter().zip(y).zip(dy).zip(mean)) {
            let dz = through::<S, T, RELU>(dy, y);
            let centred = x.enter::<S>() - mean.enter::<S>();
            *plain = T::leave::<S>(plain.enter::<S>() + dz);
            *with = T::leave::<S>(dz.mul_add(centred, with.enter::<S>()));
        }
    }
}

/// dx = dz·a + (x − mean)·b + c, or where the moments are constants dz·a, whatever x is.
struct Descend<'a, T, const RELU: bool, const OWN: bool> {
    dx: &'a mut [T],
    of: Slopes<'a, T>,
    mean: &'a [T],
    factors: [&'a [T]; 3],
}

impl<T: Number, const RELU: bool, const OWN: bool> Kernel for Descend<'_, T, RELU, OWN> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Descend { dx, of: Slopes { x, y, dy }, mean, factors: [a, b, c] } = self;
        let operands = x.iter().zip(y).zip(dy).zip(mean).zip(a.iter().zip(b).zip(c));
        for (dx, ((((&x, &y), &dy), &mean), ((&a, &b), &c))) in dx.iter_mut().zip(operands) {
            let centred = x.enter::<S>() - mean.enter::<S>();
            let (dz, a) = (through::<S, T, RELU>(dy, y), a.enter::<S>());
            let rest = centred.mul_add(b.enter::<S>(), c.enter::<S>());
            *dx = T::leave::<S>(if OWN { dz.mul_add(a, rest) } else { dz * a });
        }
    }
}

/// The gradient of [`normalize`]: dx, and `affine` (2, C) = those of weight and bias. Where the moments are x's own, gradients
/// go through them.
///
/// # Panics
/// Slices of other lengths.
pub fn normalize_grad<T: Number>(
    isa: Isa,
    form: &Channels,
    by: &Normalizer<'_, T>,
    own_moments: bool,
    (dx, affine): (&mut [T], &mut [T]),
    of: Slopes<'_, T>,
) {
    // Without a rectifier y is not looked at: anything of its length will do.
    let of = if by.relu { of } else { Slopes { y: of.dy, ..of } };
    assert!(dx.len() == form.elements() && affine.len() == 2 * form.channels, "slices of other lengths");
    let (dx, affine) = (Place(dx.as_mut_ptr()), Place(affine.as_mut_ptr()));
    let share = T::from_f64(1.0 / form.count().max(1) as f64);
    form.by_blocks(|channels| {
        let width = channels.len() * form.size;
        // SAFETY: these channels' gradients are this task's own.
        let (d_weight, d_bias) = unsafe {
            let (start, count) = (channels.start, channels.len());
            (affine.take(start, count), affine.take(form.channels + start, count))
        };
        if form.count() == 0 {
            d_weight.fill(T::default());
            return d_bias.fill(T::default());
        }
        let mean = spread(|channel| by.mean(channel), &channels, form.size);
        let room = || vec![T::default(); width.min(BLOCK)];
        let (mut plain, mut with) = (room(), room());
        let [mut plains, mut withs] = std::array::from_fn(|_| ByChannel::new(&channels, form.size));
        for (start, count) in form.pieces(&channels) {
            let (plain, with) = (&mut plain[..count], &mut with[..count]);
            plain.fill(T::default());
            with.fill(T::default());
            for n in 0..form.samples {
                let of = of.part(form.start(n, &channels) + start, count);
                let (plain, with, mean) = (&mut *plain, &mut *with, &mean);
                if by.relu {
                    isa.run(AddSlopes::<T, true> { plain, with, of, mean });
                } else {
                    isa.run(AddSlopes::<T, false> { plain, with, of, mean });
                }
            }
            plains.add(isa, plain);
            withs.add(isa, with);
        }
        let sums = plains.sums().zip(withs.sums());
        for (number, (plain, with)) in sums.enumerate() {
            (d_bias[number], d_weight[number]) = (plain, with * by.inverse_deviation(channels.start + number));
        }
        let scale = |channel: usize| by.weight(channel) * by.inverse_deviation(channel);
        let a = spread(scale, &channels, form.size);
        let through_variance = |channel: usize| {
            let mean = d_weight[channel - channels.start] * share;
            -(scale(channel) * by.inverse_deviation(channel) * mean)
        };
        let b = spread(through_variance, &channels, form.size);
        let through_mean = |channel: usize| -(scale(channel) * d_bias[channel - channels.start] * share);
        let c = spread(through_mean, &channels, form.size);
        for n in 0..form.samples {
            for (start, count) in form.pieces(&channels) {
                let start = form.start(n, &channels) + start;
                // SAFETY: these channels of the sample are this task's own.
                let dx = unsafe { dx.take(start, count) };
                let (of, mean, factors) = (of.part(start, count), &mean, [&a[..], &b, &c]);
                match (by.relu, own_moments) {
                    (false, false) => isa.run(Descend::<T, false, false> { dx, of, mean, factors }),
                    (false, true) => isa.run(Descend::<T, false, true> { dx, of, mean, factors }),
                    (true, false) => isa.run(Descend::<T, true, false> { dx, of, mean, factors }),
                    (true, true) => isa.run(Descend::<T, true, true> { dx, of, mean, factors }),
                }
            }
        }
    });
}
