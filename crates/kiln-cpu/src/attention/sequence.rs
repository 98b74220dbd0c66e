//! One sequence: which of its keys a query sees.

use super::form::{Form, Mask, offset};
use std::ops::Range;

/// The queries and keys of a sequence. Indices are counted from its own first query and first key.
#[derive(Clone, Debug)]
pub(super) struct Sequence {
    /// Its queries among all, and its keys.
    pub(super) queries: Range<usize>,
    pub(super) keys: Range<usize>,
    /// The keys beyond which padding masks all.
    padded: Range<usize>,
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
        let padded = 0..keys.len();
        Sequence { queries, keys, padded, low, high }
    }

    /// The same for a head, without the keys that a mask of padding takes from both ends.
    ///
    /// # Safety
    /// The mask can be read.
    pub(super) unsafe fn without_padding(&self, mask: Mask, batch: usize, head: usize) -> Self {
        let Some(padding) = Padding::of(mask, batch, head) else { return self.clone() };
        // SAFETY: the caller's promise.
        let seen = |&key: &usize| !unsafe { padding.hides(self.keys.start + key) };
        let first = (0..self.keys.len()).find(seen).unwrap_or(self.keys.len());
        let end = (first..self.keys.len()).rfind(seen).map_or(first, |last| last + 1);
        Sequence { padded: first..end, ..self.clone() }
    }

    /// The place of a query among the keys.
    pub(super) fn place(&self, query: usize) -> isize {
        query as isize + self.keys.len() as isize - self.queries.len() as isize
    }

    /// The keys that a query sees, but for masks. Both ends grow with the query.
    pub(super) fn keys_of(&self, query: usize) -> Range<usize> {
        let within = |key: isize| (key.max(0) as usize).clamp(self.padded.start, self.padded.end);
        let place = self.place(query);
        within(place + self.low)..within(place + self.high)
    }

    /// The keys that some of these queries see.
    pub(super) fn keys_of_all(&self, queries: &Range<usize>) -> Range<usize> {
        if queries.is_empty() {
            return 0..0;
        }
        self.keys_of(queries.start).start..self.keys_of(queries.end - 1).end
    }

    /// The queries that see some of these keys.
    pub(super) fn queries_of_all(&self, keys: &Range<usize>) -> Range<usize> {
        let keys = keys.start.max(self.padded.start)..keys.end.min(self.padded.end);
        if keys.is_empty() || self.low >= self.high {
            return 0..0;
        }
        let within = |query: isize| query.clamp(0, self.queries.len() as isize) as usize;
        let first_place = self.place(0);
        within(keys.start as isize - self.high + 1 - first_place)..within(keys.end as isize - self.low - first_place)
    }
}

/// A mask that says the same to all queries, of one batch and head.
#[derive(Clone, Copy)]
pub(super) struct Padding {
    mask: Mask,
    first: isize,
    stride: isize,
}

impl Padding {
    /// What a mask of padding says; `None` where the mask is another one.
    pub(super) fn of(mask: Mask, batch: usize, head: usize) -> Option<Self> {
        let (Mask::Seen(_, strides) | Mask::Added(_, strides)) = mask else { return None };
        let first = offset([batch, head], [strides[0], strides[1]]);
        (strides[2] == 0).then_some(Padding { mask, first, stride: strides[3] })
    }

    /// Whether it hides a key.
    ///
    /// # Safety
    /// The mask can be read.
    pub(super) unsafe fn hides(&self, key: usize) -> bool {
        let at = self.first + key as isize * self.stride;
        // SAFETY: the caller's promise.
        unsafe {
            match self.mask {
                Mask::None => false,
                Mask::Seen(mask, _) => *mask.offset(at) == 0,
                Mask::Added(mask, _) => *mask.offset(at) == f32::NEG_INFINITY,
            }
        }
    }
}
