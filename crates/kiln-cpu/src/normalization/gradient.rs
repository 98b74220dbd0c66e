//! The gradient of normalization.

use super::sums::{Group, Terms, factors, group, sums};
use super::{Channels, Normalizer, Place, spread};
use crate::operand::{Number, StoredAs};
use crate::{Isa, Kernel, Simd};
use kiln_math::Real;

/// The operands of a gradient: x, y (looked at where a rectifier followed) and dy.
#[derive(Clone, Copy, Debug)]
pub struct Slopes<'a, T> {
    /// What was normalized.
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

/// dz
#[inline(always)]
fn through<S: Simd, T: Number, X: StoredAs<T>, const RELU: bool>(dy: X, y: X) -> T::In<S> {
    let (zero, dy) = (T::default().enter::<S>(), dy.number().enter::<S>());
    if RELU { zero.if_less(y.number().enter::<S>(), dy, zero) } else { dy }
}

/// dz·(x − mean) and dz, dz being dy, or with a rectifier dy where y > 0.
#[derive(Clone, Copy)]
pub(super) struct SlopeTerms<'a, T, X, const RELU: bool> {
    pub(super) of: Slopes<'a, X>,
    pub(super) mean: &'a [T],
}

impl<T: Number, X: StoredAs<T>, const RELU: bool> Terms<T, 2> for SlopeTerms<'_, T, X, RELU> {
    fn part(self, start: usize, count: usize) -> Self {
        SlopeTerms { of: self.of.part(start, count), ..self }
    }
    #[inline(always)]
    fn add<S: Simd, const W: usize>(
        &self,
        at: usize,
        factor: usize,
        [mut with, mut plain]: [Group<T, S, W>; 2],
    ) -> [Group<T, S, W>; 2] {
        let (x, mean) = (group::<S, T, X, W>(self.of.x, at), group::<S, T, T, W>(self.mean, factor));
        let (dy, y) = (&self.of.dy[at..at + W], &self.of.y[at..at + W]);
        for j in 0..W {
            let dz = through::<S, T, X, RELU>(dy[j], y[j]);
            with[j] = dz.mul_add(x[j] - mean[j], with[j]);
            plain[j] = plain[j] + dz;
        }
        [with, plain]
    }
}

/// dx = dz·a + (x − mean)·b + c, or where the moments are constants dz·a, whatever x is.
struct Descend<'a, T, X, const RELU: bool, const OWN: bool> {
    dx: &'a mut [X],
    of: Slopes<'a, X>,
    mean: &'a [T],
    factors: [&'a [T]; 3],
}

impl<T: Number, X: StoredAs<T>, const RELU: bool, const OWN: bool> Kernel for Descend<'_, T, X, RELU, OWN> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Descend { dx, of: Slopes { x, y, dy }, mean, factors: [a, b, c] } = self;
        let operands = x.iter().zip(y).zip(dy).zip(mean).zip(a.iter().zip(b).zip(c));
        for (dx, ((((&x, &y), &dy), &mean), ((&a, &b), &c))) in dx.iter_mut().zip(operands) {
            let centered = x.number().enter::<S>() - mean.enter::<S>();
            let (dz, a) = (through::<S, T, X, RELU>(dy, y), a.enter::<S>());
            let rest = centered.mul_add(b.enter::<S>(), c.enter::<S>());
            *dx = X::nearest(T::leave::<S>(if OWN { dz.mul_add(a, rest) } else { dz * a }));
        }
    }
}

/// The gradient of [`normalize`](super::normalize): dx, and `affine` (2, C) = those of weight and bias. Where the moments are x's own, gradients
/// go through them.
///
/// # Panics
/// Slices of other lengths.
pub fn normalize_grad<T: Number, X: StoredAs<T>>(
    isa: Isa,
    form: &Channels,
    by: &Normalizer<'_, T>,
    own_moments: bool,
    (dx, affine): (&mut [X], &mut [T]),
    of: Slopes<'_, X>,
) {
    // Without a rectifier y is not looked at: anything of its length will do.
    let of = if by.relu { of } else { Slopes { y: of.dy, ..of } };
    let fit = [of.x.len(), of.y.len(), of.dy.len(), dx.len()].iter().all(|&length| form.elements() == Some(length));
    assert!(fit && affine.len() == 2 * form.channels && by.fits(form), "slices of other lengths");
    let (dx, affine) = (Place(dx.as_mut_ptr()), Place(affine.as_mut_ptr()));
    let share = T::from_f64(1.0 / form.count().max(1) as f64);
    form.by_blocks(|channels| {
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
        let (mean, means) = (&mean[..], &factors(form, &channels, |channel| by.mean(channel))[..]);
        let [withs, plains] = if by.relu {
            sums(isa, form, &channels, SlopeTerms::<T, X, true> { of, mean: means })
        } else {
            sums(isa, form, &channels, SlopeTerms::<T, X, false> { of, mean: means })
        };
        for (number, (with, plain)) in withs.into_iter().zip(plains).enumerate() {
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
                let (of, factors) = (of.part(start, count), [&a[..], &b, &c]);
                match (by.relu, own_moments) {
                    (false, false) => isa.run(Descend::<T, X, false, false> { dx, of, mean, factors }),
                    (false, true) => isa.run(Descend::<T, X, false, true> { dx, of, mean, factors }),
                    (true, false) => isa.run(Descend::<T, X, true, false> { dx, of, mean, factors }),
                    (true, true) => isa.run(Descend::<T, X, true, true> { dx, of, mean, factors }),
                }
            }
        }
    });
}
