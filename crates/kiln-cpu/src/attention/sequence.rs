//! One sequence: which of its keys a query sees by the form alone.

use super::Form;
use std::ops::Range;

/// The queries and keys of a sequence. Indices are counted from its own first query and first key.
#[derive(Clone, Debug)]
pub(super) struct Sequence {
    /// Its queries among all, and its keys.
    pub(super) queries: Range<usize>,
    pub(super) keys: Range<usize>,
    /// A query at place p sees the keys p + low..p + high.
    low: isize,
    high: isize,
}

impl Sequence {
    /// How many sequences a form has in each batch.
    pub(super) fn count(form: &Form<'_>) -> usize {
        form.packed.map_or(1, |offsets| offsets.queries.len().saturating_sub(1))
    }

    /// Sequence `s`.
    pub(super) fn new(form: &Form<'_>, s: usize) -> Self {
        let part = |offsets: &[i64]| offsets[s] as usize..offsets[s + 1] as usize;
        let (queries, keys) = match form.packed {
            Some(offsets) => (part(offsets.queries), part(offsets.keys)),
            None => (0..form.queries, 0..form.keys),
        };
        // No distance is as long as both together.
        let all = queries.len() + keys.len();
        let window = form.window.unwrap_or(all).min(all) as isize;
        let (low, high) = if form.causal { (1 - window, 1) } else { (-window, window + 1) };
        Sequence { queries, keys, low, high }
    }

    /// The place of a query among the keys.
    pub(super) fn place(&self, query: usize) -> isize {
        query as isize + self.keys.len() as isize - self.queries.len() as isize
    }

    /// The keys that a query sees. Both ends grow with the query.
    pub(super) fn keys_of(&self, query: usize) -> Range<usize> {
        let within = |key: isize| key.clamp(0, self.keys.len() as isize) as usize;
        let place = self.place(query);
        within(place + self.low)..within(place + self.high)
    }
}
