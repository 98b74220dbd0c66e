//! What an index means: sizes, one index for all rows or one for each element, and its checks.

use super::expect;
use crate::operand::Strided;
use crate::{check, team};
use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};

/// Below this many elements a second thread costs more than it saves.
pub(super) const PARALLEL: usize = 1 << 15;
/// Bytes of an array that are looked up at random at a time.
const CACHED: usize = 256 << 10;

/// The sizes of a gather along one axis.
#[derive(Clone, Copy, Debug)]
pub struct Along {
    /// Product of the axes before.
    pub outer: usize,
    /// Size of the axis that the indices count in.
    pub axis: usize,
    /// How many indices there are along the axis.
    pub indices: usize,
    /// Product of the axes after.
    pub inner: usize,
}

impl Along {
    /// That the array along the axis, the one along the indices and the index have as many elements as this says.
    #[track_caller]
    pub(super) fn check(&self, function: &str, names: [&str; 2], found: [usize; 2], index: &Index<'_>) {
        let &Along { outer, axis, indices, inner } = self;
        expect(function, names[0], found[0], [outer, axis, inner]);
        expect(function, names[1], found[1], [outer, indices, inner]);
        match index {
            Index::Rows(of) if of.shape().len() != 1 => {
                check::refuse(function, format_args!("indices of shape {:?}, one axis is expected", of.shape()))
            }
            Index::Rows(of) => check::length(function, "index", of.elements(), indices),
            Index::Elements(of) => expect(function, "index", of.len(), [outer, indices, inner]),
        }
    }
}

/// Indices of an axis.
#[derive(Clone, Copy)]
pub enum Index<'a> {
    /// (indices,): whole rows are meant.
    Rows(Strided<'a, i64>),
    /// (outer, indices, inner): one for each element.
    Elements(&'a [i64]),
}

/// [`Index`], the rows' ones contiguous.
pub(super) enum Lookup<'a> {
    Rows(Cow<'a, [i64]>),
    Elements(&'a [i64]),
}

impl<'a> Index<'a> {
    /// The indices as slices, each within the axis where there is one for a row.
    #[track_caller]
    pub(super) fn look(self, function: &str, along: Along) -> Lookup<'a> {
        let of = match self {
            Index::Elements(index) => return Lookup::Elements(index),
            Index::Rows(of) => of,
        };
        let index = match of.as_slice() {
            Some(index) => Cow::Borrowed(index),
            None => {
                let stride = of.strides()[0];
                // SAFETY: one axis of so many indices, each of which can be read.
                let at = |i| unsafe { *of.first_element().offset(i as isize * stride) };
                Cow::Owned((0..along.indices).map(at).collect())
            }
        };
        for &index in index.iter() {
            checked(function, index, along.axis);
        }
        Lookup::Rows(index)
    }
}

/// An index within an axis.
#[inline(always)]
#[track_caller]
pub(super) fn checked(function: &str, index: i64, axis: usize) -> usize {
    if index < 0 || index as usize >= axis {
        check::refuse(function, format_args!("index {index} is outside of an axis of {axis}"));
    }
    index as usize
}

/// Where the first index is that is not from 0 to below `size`.
pub fn outside(index: &[i64], size: usize) -> Option<usize> {
    // Negative ones are huge as unsigned numbers.
    let wrong = |&index: &i64| index as u64 >= size as u64;
    let any = |part: &[i64]| part.iter().fold(false, |any, index| any | wrong(index));
    let found = if index.len() < 8 * PARALLEL {
        any(index)
    } else {
        let found = AtomicBool::new(false);
        let parts = 4 * team::threads();
        let part = |i: usize| &index[i * index.len() / parts..(i + 1) * index.len() / parts];
        team::parallel(parts, |i| found.store(any(part(i)) || found.load(Ordering::Relaxed), Ordering::Relaxed));
        found.into_inner()
    };
    if found { index.iter().position(wrong) } else { None }
}

/// How many columns of an array (axis, inner) are looked up together.
pub(super) fn tile(axis: usize, inner: usize, size: usize) -> usize {
    let columns = CACHED / (axis * size).max(1);
    // Whole cache lines.
    if columns >= inner { inner } else { (columns / 16 * 16).max(16).min(inner) }.max(1)
}
