//! Weighted sums of the indices of an axis: resampling, and means of parts of any length.

use crate::operand::{Number, Output};
use crate::{Isa, Kernel, Simd, check, team};
use kiln_math::Real;

/// The most taps of an axis.
const MOST: usize = 1 << 28;

/// For each index of a result, the indices of an axis that it sums, each with its weight.
#[derive(Clone, Debug)]
pub struct Taps {
    from: usize,
    /// Where the taps of each index of the result start, and where the last ones end.
    starts: Vec<usize>,
    places: Vec<usize>,
    weights: Vec<f64>,
}

impl Taps {
    /// Of an axis of `from` indices: `row(i)` are the taps of index i of `to`, at most `most` in all. None where these are more than
    /// memory holds, or than 2²⁸: some numbers of an axis are not to take gigabytes.
    ///
    /// # Panics
    /// Where a tap is outside of the axis.
    pub fn new<R: IntoIterator<Item = (usize, f64)>>(
        from: usize,
        to: usize,
        most: usize,
        row: impl Fn(usize) -> R,
    ) -> Option<Self> {
        if most > MOST || to > MOST {
            return None;
        }
        let mut taps = Taps { from, starts: Vec::new(), places: Vec::new(), weights: Vec::new() };
        taps.starts.try_reserve_exact(to + 1).ok()?;
        taps.places.try_reserve_exact(most).ok()?;
        taps.weights.try_reserve_exact(most).ok()?;
        taps.starts.push(0);
        for i in 0..to {
            for (place, weight) in row(i) {
                if place >= from {
                    check::refuse("blend", format_args!("tap {place} is outside of an axis of {from}"));
                }
                taps.places.push(place);
                taps.weights.push(weight);
            }
            taps.starts.push(taps.places.len());
        }
        Some(taps)
    }

    /// Indices of the axis.
    pub fn from(&self) -> usize {
        self.from
    }

    /// Indices of the result.
    pub fn to(&self) -> usize {
        self.starts.len() - 1
    }

    /// The taps one after the other: index of the result, index of the axis, weight.
    pub fn each(&self) -> impl Iterator<Item = (usize, usize, f64)> {
        let row = move |i: usize| self.row(i).map(move |at| (i, self.places[at], self.weights[at]));
        (0..self.to()).flat_map(row)
    }

    /// The number of taps.
    pub fn count(&self) -> usize {
        self.places.len()
    }

    /// Whether each index of the result is one of the axis as it is.
    pub fn only_move(&self) -> bool {
        self.places.len() == self.to() && self.even() == Some(1) && self.weights.iter().all(|&weight| weight == 1.0)
    }

    /// The taps of the gradient: what was summed from an index goes back to it. None where memory does not hold them.
    pub fn transposed(&self) -> Option<Self> {
        let mut starts = Vec::new();
        starts.try_reserve_exact(self.from + 1).ok()?;
        starts.resize(self.from + 1, 0);
        self.places.iter().for_each(|&place| starts[place + 1] += 1);
        (0..self.from).for_each(|place| starts[place + 1] += starts[place]);
        let (mut places, mut weights) = (Vec::new(), Vec::new());
        places.try_reserve_exact(self.count()).ok()?;
        weights.try_reserve_exact(self.count()).ok()?;
        places.resize(self.count(), 0);
        weights.resize(self.count(), 0.0);
        let mut next = starts.clone();
        for (to, from, weight) in self.each() {
            places[next[from]] = to;
            weights[next[from]] = weight;
            next[from] += 1;
        }
        Some(Taps { from: self.to(), starts, places, weights })
    }

    fn row(&self, i: usize) -> std::ops::Range<usize> {
        self.starts[i]..self.starts[i + 1]
    }

    /// The number of taps of each index of the result, where that is one for all.
    fn even(&self) -> Option<usize> {
        let first = self.starts.get(1).copied()?;
        (0..self.to()).all(|i| self.row(i).len() == first).then_some(first)
    }
}

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
    let blend = Blend { out: Output::from_slice(out), x, taps, weights: &weights, inner, even: taps.even() };
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
    even: Option<usize>,
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
                match blend.even {
                    Some(1) => blend.line::<S, 1>(out, x),
                    Some(2) => blend.line::<S, 2>(out, x),
                    Some(4) => blend.line::<S, 4>(out, x),
                    _ => blend.uneven_line::<S>(out, x),
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
            // SAFETY: the taps were made for an axis of as many elements as x has.
            let at = |place: usize| unsafe { *x.get_unchecked(place) }.enter::<S>();
            let mut sum = weights[0].enter::<S>() * at(places[0]);
            for (weight, &place) in weights.iter().zip(places).skip(1) {
                sum = weight.enter::<S>().mul_add(at(place), sum);
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
