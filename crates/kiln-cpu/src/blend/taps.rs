//! Which indices of an axis are summed, and how much each counts.

use crate::check;

/// The most taps of an axis.
const MOST: usize = 1 << 28;

/// For each index of a result, the indices of an axis that it sums, each with its weight.
#[derive(Clone, Debug)]
pub struct Taps {
    from: usize,
    /// Where the taps of each index of the result start, and where the last ones end.
    starts: Vec<usize>,
    pub(super) places: Vec<usize>,
    pub(super) weights: Vec<f64>,
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

    pub(super) fn row(&self, i: usize) -> std::ops::Range<usize> {
        self.starts[i]..self.starts[i + 1]
    }

    /// The number of taps of each index of the result, where that is one for all.
    fn even(&self) -> Option<usize> {
        let first = self.starts.get(1).copied()?;
        (0..self.to()).all(|i| self.row(i).len() == first).then_some(first)
    }

    pub(super) fn kind(&self) -> Kind {
        let even = self.even();
        let plain = self.weights.iter().all(|&weight| weight == 1.0);
        let is_run = |by: usize| self.places.iter().enumerate().all(|(at, &place)| place == at / by);
        match even {
            Some(1) if plain && is_run(2) && self.to() == 2 * self.from => Kind::Doubled,
            Some(2) if plain && is_run(1) && self.from == 2 * self.to() => Kind::Halved,
            Some(1) => Kind::One,
            Some(2) => Kind::Two,
            Some(4) => Kind::Four,
            _ => Kind::Any,
        }
    }
}

/// How a line is computed: what the processor does in vectors has no lists of places.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// Each element twice.
    Doubled,
    /// Sums of two neighbors.
    Halved,
    One,
    Two,
    Four,
    Any,
}
