//! The gradient of the normalization of rows, with what else is known of the input's gradient: one pass over memory.
//!
//! Row i goes to lane i mod [`LANES`] of its chunk of [`CHUNK`] rows, which is one task: it keeps its share of the factors' gradients to
//! itself. Lanes and chunks are added up by the tree of [`crate::reduce`].

use super::Channels;
use super::Place;
use super::gradient::{SlopeTerms, Slopes};
use super::rows::{RowNorm, Scale, by_blocks};
use super::sums::sums;
use crate::operand::{Number, Stored, as_numbers, write_numbers};
use crate::reduce::{CHUNK, LANES};
use crate::{Isa, Kernel, Simd, check};
use kiln_math::Real;

/// The operands of a gradient, (rows, width).
#[derive(Clone, Copy, Debug)]
pub struct RowSlopes<'a, E> {
    /// What was normalized: the sum where two were added.
    pub x: &'a [E],
    /// The gradient of what came of it.
    pub dy: &'a [E],
    /// What else is known of x's gradient: it is added.
    pub direct: Option<&'a [E]>,
}

/// to = a · b, or a
struct Product<'a, T> {
    to: &'a mut [T],
    a: &'a [T],
    b: Option<&'a [T]>,
}

impl<T: Number> Kernel for Product<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        match self.b {
            None => self.to.copy_from_slice(self.a),
            Some(b) => {
                for ((to, a), b) in self.to.iter_mut().zip(self.a).zip(b) {
                    *to = T::leave::<S>(a.enter::<S>() * b.enter::<S>());
                }
            }
        }
    }
}

/// dx = dz·a + (x − mean)·b + c, and what is known of it; dw += dy·x̂ and db += dy.
struct Descend<'a, T> {
    dx: &'a mut [T],
    affine: [&'a mut [T]; 2],
    x: &'a [T],
    dz: &'a [T],
    dy: &'a [T],
    direct: Option<&'a [T]>,
    by: Scale<T>,
    factors: [T; 3],
}

impl<T: Number> Kernel for Descend<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Descend { dx, affine: [dw, db], x, dz, dy, direct, by, factors } = self;
        let ([a, b, c], mean, normal) = (factors.map(T::enter::<S>), by.mean.enter::<S>(), by.of::<S>());
        let operands = x.iter().zip(dz).zip(dy).zip(dw.iter_mut().zip(db));
        for (dx, (((x, dz), dy), (dw, db))) in dx.iter_mut().zip(operands) {
            let (x, dy) = (x.enter::<S>(), dy.enter::<S>());
            let rest = (x - mean).mul_add(b, c);
            *dx = T::leave::<S>(dz.enter::<S>().mul_add(a, rest));
            *dw = T::leave::<S>(dw.enter::<S>() + dy * normal(x));
            *db = T::leave::<S>(db.enter::<S>() + dy);
        }
        if let Some(direct) = direct {
            for (dx, direct) in dx.iter_mut().zip(direct) {
                *dx = T::leave::<S>(direct.enter::<S>() + dx.enter::<S>());
            }
        }
    }
}

/// to += from
struct AddTo<'a, T>(&'a mut [T], &'a [T]);

impl<T: Number> Kernel for AddTo<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        for (to, from) in self.0.iter_mut().zip(self.1) {
            *to = T::leave::<S>(to.enter::<S>() + from.enter::<S>());
        }
    }
}

/// The sum of at most [`LANES`] rows, in halves; it is in the first. Rows that are not there would add 0.
fn add_halves<T: Number>(isa: Isa, lanes: &mut [T], width: usize) {
    let mut half = LANES / 2 * width;
    while half >= width {
        if half < lanes.len() {
            let end = lanes.len().min(2 * half);
            let (low, high) = lanes[..end].split_at_mut(half);
            isa.run(AddTo(low, high));
        }
        half /= 2;
    }
}

/// The sum of rows, by the tree of [`crate::reduce`].
fn sum_of_rows<T: Number>(isa: Isa, mut rows: Vec<T>, width: usize) -> Vec<T> {
    while rows.len() > width {
        let mut next = Vec::new();
        for chunk in rows.chunks(CHUNK * width) {
            let mut lanes = vec![T::default(); chunk.len().min(LANES * width)];
            for (number, row) in chunk.chunks(width).enumerate() {
                isa.run(AddTo(&mut lanes[number % LANES * width..][..width], row));
            }
            add_halves(isa, &mut lanes, width);
            next.extend_from_slice(&lanes[..width]);
        }
        rows = next;
    }
    rows
}

/// The gradient of [`normalize_rows`](super::normalize_rows): dx, and `affine` (2, width) = those of weight and bias.
///
/// With dz = dy · weight, x̂ the normalized x and s = 1 / sqrt(variance + ε): dx = s·(dz − mean(dz) − x̂ · mean(dz·x̂)) + direct, where
/// mean(dz) is left out if no mean is subtracted; dw = Σ dy·x̂ and db = Σ dy.
///
/// # Panics
/// Slices of other lengths.
pub fn normalize_rows_grad<E: Stored>(
    isa: Isa,
    form: &RowNorm<'_, E::Compute>,
    moments: &[E::Compute],
    (dx, affine): (&mut [E], &mut [E::Compute]),
    of: RowSlopes<'_, E>,
) {
    const NAME: &str = "normalize_rows_grad";
    let direct = of.direct.map_or(of.x.len(), <[E]>::len);
    let operands = [("dx", dx.len()), ("x", of.x.len()), ("dy", of.dy.len()), ("direct", direct)];
    form.check(NAME, &operands, moments.len());
    let (rows, width) = (form.rows, form.width);
    check::length(NAME, "affine", affine.len(), 2 * width);
    if rows == 0 || width == 0 {
        return affine.fill(E::Compute::default());
    }
    let (chunks, each, both) = (rows.div_ceil(CHUNK), rows.min(LANES), 2 * width);
    let mut lanes = vec![E::Compute::default(); chunks * each * both];
    let (dx, share) = (Place(dx.as_mut_ptr()), Place(lanes.as_mut_ptr()));
    by_blocks(chunks * each, rows * width, |task| {
        let (chunk, lane) = (task / each, task % each);
        // SAFETY: this lane's sums are this task's own.
        let (dw, db) = unsafe { share.take(task * both, both) }.split_at_mut(width);
        let mut rooms = Rooms::new::<E>(width);
        for row in (chunk * CHUNK + lane..rows.min((chunk + 1) * CHUNK)).step_by(LANES) {
            // SAFETY: this row is this task's own.
            let dx = unsafe { dx.take(row * width, width) };
            of_row(isa, form, (moments, row), (dx, [dw, db]), &of, &mut rooms);
        }
    });
    let mut sums = Vec::with_capacity(chunks * both);
    for lanes in lanes.chunks_mut(each * both) {
        add_halves(isa, lanes, both);
        sums.extend_from_slice(&lanes[..both]);
    }
    affine.copy_from_slice(&sum_of_rows(isa, sums, both));
}

/// Rooms for a row's numbers.
struct Rooms<T> {
    dz: Vec<T>,
    means: Vec<T>,
    /// Of what is stored otherwise: dx, x, dy, direct.
    stored: [Vec<T>; 4],
}

impl<T: Number> Rooms<T> {
    fn new<E: Stored<Compute = T>>(width: usize) -> Self {
        let room = |width: usize| vec![T::default(); width];
        let stored = if E::IN_PLACE { 0 } else { width };
        Rooms { dz: room(width), means: room(width.min(super::BLOCK)), stored: std::array::from_fn(|_| room(stored)) }
    }
}

/// A row's part of the gradient.
fn of_row<E: Stored>(
    isa: Isa,
    form: &RowNorm<'_, E::Compute>,
    (moments, row): (&[E::Compute], usize),
    (dx, [dw, db]): (&mut [E], [&mut [E::Compute]; 2]),
    of: &RowSlopes<'_, E>,
    rooms: &mut Rooms<E::Compute>,
) {
    let width = form.width;
    let Rooms { dz, means, stored: [to, x, dy, direct] } = rooms;
    let at = row * width..(row + 1) * width;
    let (x, dy) = (as_numbers(&of.x[at.clone()], x), as_numbers(&of.dy[at.clone()], dy));
    let direct = of.direct.map(|of| as_numbers(&of[at], direct));
    let mean = if form.centered { moments[row] } else { E::Compute::default() };
    let inverse = form.inverse(moments[(form.moments() - 1) * form.rows + row]);
    isa.run(Product { to: dz, a: dy, b: form.weight });
    means.fill(mean);
    let one = Channels { samples: 1, channels: 1, size: width };
    let slopes = Slopes { x, y: dz, dy: dz };
    let [with, plain] = sums(isa, &one, &(0..1), SlopeTerms::<_, _, false> { of: slopes, mean: means });
    let share = E::Compute::from_f64(1.0 / width as f64);
    let through_variance = -(inverse * inverse * (with[0] * inverse * share));
    let through_mean = if form.centered { -(inverse * plain[0] * share) } else { E::Compute::default() };
    let (by, factors) = (Scale { mean, inverse, centered: form.centered }, [inverse, through_variance, through_mean]);
    write_numbers(dx, to, |dx| isa.run(Descend { dx, affine: [dw, db], x, dz, dy, direct, by, factors }));
}
