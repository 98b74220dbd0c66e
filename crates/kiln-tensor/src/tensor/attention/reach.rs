//! Which keys a query can see by its place: an interval.

use super::PackedSequences;
use std::ops::Range;

/// The part of attention's options that goes by places.
#[derive(Clone, Copy, Debug)]
pub struct AttentionReach<'a> {
    /// Number of queries.
    pub queries: usize,
    /// Number of keys.
    pub keys: usize,
    /// See [`AttentionOptions::causal`](super::AttentionOptions::causal).
    pub causal: bool,
    /// See [`AttentionOptions::window`](super::AttentionOptions::window).
    pub window: Option<usize>,
    /// See [`AttentionOptions::packed`](super::AttentionOptions::packed).
    pub packed: Option<&'a PackedSequences>,
}

/// A query among the keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QueryPlace {
    /// Its place among the keys: the last query of a sequence is at its last key.
    pub place: i64,
    /// The keys that it can see.
    pub keys: Range<usize>,
}

impl AttentionReach<'_> {
    /// Whether every query can see every key.
    pub fn is_whole(&self) -> bool {
        !self.causal && self.window.is_none() && self.packed.is_none()
    }

    /// Each query in order.
    pub fn places(&self) -> Vec<QueryPlace> {
        let whole = (0..self.queries, 0..self.keys);
        let ranges =
            |offsets: &[i64]| offsets.windows(2).map(|ends| ends[0] as usize..ends[1] as usize).collect::<Vec<_>>();
        let sequences: Vec<(Range<usize>, Range<usize>)> = match self.packed {
            None => vec![whole],
            Some(packed) => ranges(&packed.queries).into_iter().zip(ranges(&packed.keys)).collect(),
        };
        let of_sequence = |(queries, keys): (Range<usize>, Range<usize>)| {
            let shift = keys.end as i64 - queries.end as i64;
            queries.map(move |query| self.place(query as i64 + shift, &keys))
        };
        sequences.into_iter().flat_map(of_sequence).collect()
    }

    /// The query at this place of a sequence with these keys.
    fn place(&self, place: i64, keys: &Range<usize>) -> QueryPlace {
        let window = self.window.map(|window| i64::try_from(window).unwrap_or(i64::MAX));
        let first = match window {
            None => i64::MIN,
            Some(window) if self.causal => (place + 1).saturating_sub(window),
            Some(window) => place.saturating_sub(window),
        };
        let end = match window {
            _ if self.causal => place + 1,
            None => i64::MAX,
            Some(window) => (place + 1).saturating_add(window),
        };
        let within = |at: i64| at.clamp(keys.start as i64, keys.end as i64) as usize;
        let (first, end) = (within(first), within(end));
        QueryPlace { place, keys: first..end.max(first) }
    }

    /// How many pairs of a query and a key it can see there are.
    pub fn pairs(&self) -> u64 {
        if self.is_whole() {
            return (self.queries * self.keys) as u64;
        }
        self.places().iter().map(|place| place.keys.len() as u64).sum()
    }
}
