//! What is computed: sizes, where the operands lie, and which keys a query sees.

use crate::check;
use crate::random::Draw;

/// The sizes and options of an attention.
///
/// The place of query i of a sequence is i + keys − queries: the last query is at the place of the last key. So it is with a cache of
/// keys, too.
#[derive(Clone, Copy, Debug)]
pub struct Form<'a> {
    /// Batch size; 1 where sequences are packed.
    pub batch: usize,
    /// Heads of the queries.
    pub heads: usize,
    /// Heads of keys and values, which divides `heads`: query head h uses key head h / (heads / key_heads).
    pub key_heads: usize,
    /// Queries of a head.
    pub queries: usize,
    /// Keys of a head.
    pub keys: usize,
    /// Numbers in a query and a key.
    pub width: usize,
    /// Numbers in a value.
    pub value_width: usize,
    /// What q·k is multiplied by.
    pub scale: f32,
    /// Whether a query sees no key after its place.
    pub causal: bool,
    /// A sliding window of this many keys. With `causal` a query sees the last ones up to its place; without it this many before
    /// its place, the one at it, and this many after it.
    pub window: Option<usize>,
    /// (heads,): a score loses slope · |distance from the query's place to the key| (ALiBi, Press et al. 2021).
    pub slopes: Option<&'a [f32]>,
    /// Where the sequences begin and end that are packed into one.
    pub packed: Option<Offsets<'a>>,
}

/// Sequences one after the other: sequence s has the queries `queries[s]..queries[s + 1]` and the keys `keys[s]..keys[s + 1]`, and its
/// queries see its keys only.
#[derive(Clone, Copy, Debug)]
pub struct Offsets<'a> {
    /// From 0, ascending, to the number of queries.
    pub queries: &'a [i64],
    /// From 0, ascending, to the number of keys; as many.
    pub keys: &'a [i64],
}

/// Rows to read: element (batch, head, row, x) is at `first` + the sum of index · stride + x.
#[derive(Clone, Copy, Debug)]
pub struct Operand<T> {
    /// Element (0, 0, 0, 0).
    pub first: *const T,
    /// Elements from one batch, head and row to the next, of any sign.
    pub strides: [isize; 3],
}

/// Rows to write, which lie as those of [`Operand`]; distinct rows have no element in common.
#[derive(Clone, Copy, Debug)]
pub struct OperandMut<T> {
    /// Element (0, 0, 0, 0).
    pub first: *mut T,
    /// Elements from one batch, head and row to the next, of any sign.
    pub strides: [isize; 3],
}

/// A mask of (batch, heads, queries, keys), by its element (0, 0, 0, 0) and its strides in elements; a stride of 0 repeats.
#[derive(Clone, Copy, Debug)]
pub enum Mask {
    /// No mask.
    None,
    /// A byte that is not 0 where the key is seen.
    Seen(*const u8, [isize; 4]),
    /// A number that is added to the score; a key with −∞ is not seen.
    Added(*const f32, [isize; 4]),
}

/// Dropout of the probabilities: element (batch, head, query, key) is kept where its number of the draw, uniform in [0, 1), is at least
/// the rate, and divided by 1 − rate: as [`crate::random::dropout`] does it with all probabilities.
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    /// The stream.
    pub draw: Draw,
    /// From 0 to 1.
    pub rate: f64,
}

/// What an attention reads.
#[derive(Clone, Copy, Debug)]
pub struct Operands<T> {
    /// (batch, heads, queries, width)
    pub query: Operand<T>,
    /// (batch, key_heads, keys, width)
    pub key: Operand<T>,
    /// (batch, key_heads, keys, value_width)
    pub value: Operand<T>,
    /// What is seen beside what the form says.
    pub mask: Mask,
    /// Dropout, if any.
    pub dropout: Option<Dropout>,
}

// SAFETY: these are addresses; whoever computes with them vouches for what is there.
unsafe impl<T: Sync> Send for Operand<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Operand<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for OperandMut<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for OperandMut<T> {}
// SAFETY: as above.
unsafe impl Send for Mask {}
// SAFETY: as above.
unsafe impl Sync for Mask {}

impl<T> Operand<T> {
    /// Where a row begins.
    pub(super) fn row(&self, index: [usize; 3]) -> *const T {
        self.first.wrapping_offset(offset(index, self.strides))
    }
}

impl<T> OperandMut<T> {
    /// Where a row begins.
    pub(super) fn row(&self, index: [usize; 3]) -> *mut T {
        self.first.wrapping_offset(offset(index, self.strides))
    }
}

/// The sum of index · stride.
pub(super) fn offset<const N: usize>(index: [usize; N], strides: [isize; N]) -> isize {
    index.iter().zip(strides).map(|(&index, stride)| index as isize * stride).sum()
}

impl Form<'_> {
    /// Query heads that share a key head.
    pub(super) fn group(&self) -> usize {
        self.heads / self.key_heads.max(1)
    }

    /// Rows of queries.
    pub(super) fn rows(&self) -> usize {
        check::elements("attention", &[self.batch, self.heads, self.queries])
    }

    /// Refuses sizes that do not go together.
    #[track_caller]
    pub(super) fn check(&self, function: &str) {
        if self.heads != 0 && (self.key_heads == 0 || !self.heads.is_multiple_of(self.key_heads)) {
            let (heads, key_heads) = (self.heads, self.key_heads);
            check::refuse(function, format_args!("{heads} heads do not share {key_heads} key heads evenly"));
        }
        if let Some(slopes) = self.slopes {
            check::length(function, "slopes", slopes.len(), self.heads);
        }
        let Some(offsets) = self.packed else { return };
        check::length(function, "offsets of keys", offsets.keys.len(), offsets.queries.len());
        for (name, offsets, end) in [("queries", offsets.queries, self.queries), ("keys", offsets.keys, self.keys)] {
            let ends = (offsets.first(), offsets.last()) == (Some(&0), Some(&(end as i64)));
            if self.batch != 1 || !ends || !offsets.is_sorted() {
                check::refuse(function, format_args!("offsets of {name} go from 0 to {end}, in a batch of 1"));
            }
        }
    }
}
