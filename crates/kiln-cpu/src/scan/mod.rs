//! Cumulative operations along an axis, in an order that the shape alone fixes.
//!
//! The axis is cut into chunks of [`CHUNK`]. Each chunk is accumulated by itself, from its first element on; the chunks' last results
//! are accumulated by the same rule, and each chunk but the first is combined with what comes before it. So the error of a long sum
//! grows with the chunks' length and not with the axis, and chunks can be shared out among threads.

mod extrema;
mod linear;

pub use extrema::extrema;
pub use linear::linear;

use crate::operand::{Number, Output};
use crate::{Isa, Kernel, Simd, check, team};
use kiln_math::Real;
use std::marker::PhantomData;

/// A shape around one axis: (outer, axis, inner).
#[derive(Clone, Copy, Debug)]
pub struct Along {
    /// Product of the axes before.
    pub outer: usize,
    /// Size of the axis.
    pub axis: usize,
    /// Product of the axes after.
    pub inner: usize,
}

/// Elements along the axis that are accumulated one after the other.
pub const CHUNK: usize = 256;
/// Neighboring columns that are accumulated together: a few rows of them stay in the L1 cache.
const COLUMNS: usize = 1024;
/// Chunks of one row that are accumulated in turn, so that none waits for its own last result.
const TURNS: usize = 8;
/// A row of so many elements is one thread's, with all of its chunks: it stays in the cache.
const ROW: usize = 1 << 17;

/// A cumulative operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ScanOp {
    /// Σ x
    Sum,
    /// Π x
    Prod,
    /// ln Σ exp(x)
    LogSumExp,
}

/// An operation as a type.
trait Combine<T>: Copy + Send + Sync {
    fn combine<S: Simd>(a: T, b: T) -> T;
}

#[derive(Clone, Copy)]
struct Sum;
#[derive(Clone, Copy)]
struct Prod;
#[derive(Clone, Copy)]
struct LogSumExp;

macro_rules! combine {
    ($($op:ident |$a:ident, $b:ident| $float:expr;)+) => {$(
        impl<T: Number> Combine<T> for $op {
            #[inline(always)]
            fn combine<S: Simd>(a: T, b: T) -> T {
                let ($a, $b) = (a.enter::<S>(), b.enter::<S>());
                T::leave::<S>($float)
            }
        }
    )+};
}
combine! {
    Sum |a, b| a + b;
    Prod |a, b| a * b;
    LogSumExp |a, b| {
        let (high, low) = (a.maximum(b), a.minimum(b));
        let sum = high + (low - high).exp().ln_1p();
        // An infinite maximum is the result, and infinity less itself is no number.
        high.abs().if_less(Real::constant(f64::INFINITY), sum, high)
    };
}

impl Combine<i64> for Sum {
    #[inline(always)]
    fn combine<S: Simd>(a: i64, b: i64) -> i64 {
        a.wrapping_add(b)
    }
}
impl Combine<i64> for Prod {
    #[inline(always)]
    fn combine<S: Simd>(a: i64, b: i64) -> i64 {
        a.wrapping_mul(b)
    }
}

/// out\[i\] = x\[0\] ∘ … ∘ x\[i\] along the middle axis of (outer, axis, inner), of f32 or f64.
///
/// # Panics
/// Where an array has another number of elements.
pub fn scan<T: Number>(isa: Isa, op: ScanOp, out: &mut [T], x: &[T], along: Along) {
    check_lengths(out, x, along);
    match op {
        ScanOp::Sum => all::<T, Sum>(isa, &Output::from_slice(out), x, along),
        ScanOp::Prod => all::<T, Prod>(isa, &Output::from_slice(out), x, along),
        ScanOp::LogSumExp => all::<T, LogSumExp>(isa, &Output::from_slice(out), x, along),
    }
}

/// [`scan`] of integers, which wrap: the sum, or else the product.
///
/// # Panics
/// As [`scan`].
pub fn scan_i64(isa: Isa, sum: bool, out: &mut [i64], x: &[i64], along: Along) {
    check_lengths(out, x, along);
    let out = Output::from_slice(out);
    if sum { all::<i64, Sum>(isa, &out, x, along) } else { all::<i64, Prod>(isa, &out, x, along) }
}

#[track_caller]
fn check_lengths<T>(out: &[T], x: &[T], along: Along) {
    let elements = check::elements("scan", &[along.outer, along.axis, along.inner]);
    check::length("scan", "x", x.len(), elements);
    check::length("scan", "out", out.len(), elements);
}

/// Rows in parallel, each with all of its chunks, or one after the other with the chunks in parallel.
fn all<T: Copy + Default + Send + Sync, C: Combine<T>>(isa: Isa, out: &Output<'_, T>, x: &[T], along: Along) {
    let size = along.axis * along.inner;
    if x.is_empty() {
        return;
    }
    let row = |row: usize| {
        let one = Along { outer: 1, ..along };
        // SAFETY: this row's own part.
        let to = Output::from_slice(unsafe { out.part(row * size, size) });
        chunked::<T, C>(isa, &to, &x[row * size..(row + 1) * size], one);
    };
    if along.outer == 1 || size > ROW {
        return (0..along.outer).for_each(row);
    }
    let rows = (ROW / 8 / size).max(1);
    let task = |i: usize| (i * rows..((i + 1) * rows).min(along.outer)).for_each(row);
    let tasks = along.outer.div_ceil(rows);
    if x.len() < ROW / 8 { (0..tasks).for_each(task) } else { team::parallel(tasks, task) }
}

/// One row (1, axis, inner): its chunks, their last results, and both together.
fn chunked<T: Copy + Default + Send + Sync, C: Combine<T>>(isa: Isa, out: &Output<'_, T>, x: &[T], along: Along) {
    let Along { axis, inner, .. } = along;
    let chunks = axis.div_ceil(CHUNK);
    let rows = |first: usize, count: usize| (first * CHUNK)..((first + count) * CHUNK).min(axis);
    in_blocks(chunks, inner, |first, count, columns| {
        for group in (first..first + count).step_by(TURNS) {
            let rows = rows(group, TURNS.min(first + count - group));
            isa.run(Local::<T, C> { out, x, rows, inner, columns: columns.clone(), op: PhantomData });
        }
    });
    if chunks == 1 {
        return;
    }
    let mut last: Vec<T> = Vec::with_capacity(chunks * inner);
    for chunk in 0..chunks - 1 {
        // SAFETY: all of the output is written, and nobody writes now.
        last.extend_from_slice(unsafe { out.part((rows(chunk, 1).end - 1) * inner, inner) });
    }
    let mut before = vec![T::default(); last.len()];
    chunked::<T, C>(isa, &Output::from_slice(&mut before), &last, Along { axis: chunks - 1, ..along });
    in_blocks(chunks, inner, |first, count, columns| {
        for chunk in first.max(1)..first + count {
            let before = &before[(chunk - 1) * inner..chunk * inner];
            isa.run(Join::<T, C> {
                out,
                before,
                rows: rows(chunk, 1),
                inner,
                columns: columns.clone(),
                op: PhantomData,
            });
        }
    });
}

/// Calls `f(first chunk, chunks, columns)` for blocks that make up all, on the team where there is enough to do.
fn in_blocks(chunks: usize, inner: usize, f: impl Fn(usize, usize, std::ops::Range<usize>) + Sync) {
    let width = inner.min(COLUMNS);
    let together = (64 / width).max(1) * TURNS;
    let (groups, blocks) = (chunks.div_ceil(together), inner.div_ceil(width));
    let task = |i: usize| {
        let (first, column) = (i / blocks * together, i % blocks * width);
        f(first, together.min(chunks - first), column..(column + width).min(inner));
    };
    if chunks * CHUNK * inner < ROW / 8 {
        (0..groups * blocks).for_each(task)
    } else {
        team::parallel(groups * blocks, task)
    }
}

/// Accumulates each chunk of some rows by itself.
struct Local<'a, T, C> {
    out: &'a Output<'a, T>,
    x: &'a [T],
    rows: std::ops::Range<usize>,
    inner: usize,
    columns: std::ops::Range<usize>,
    op: PhantomData<C>,
}

impl<T: Copy + Default, C: Combine<T>> Kernel for Local<'_, T, C> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let (inner, width) = (self.inner, self.columns.len());
        if inner == 1 {
            // SAFETY: the rows are this task's own.
            let to = unsafe { self.out.part(self.rows.start, self.rows.len()) };
            let from = &self.x[self.rows.start..self.rows.end];
            if to.len() == TURNS * CHUNK {
                in_turns::<S, T, C>(to, from)
            } else {
                one_by_one::<S, T, C>(to, from)
            }
            return;
        }
        for row in self.rows.clone() {
            let start = row * inner + self.columns.start;
            // SAFETY: these rows and columns are this task's own.
            let to = unsafe { self.out.part(start, width) };
            let from = &self.x[start..start + width];
            if (row - self.rows.start).is_multiple_of(CHUNK) {
                to.copy_from_slice(from);
                continue;
            }
            // SAFETY: the row before, which is another part.
            let before: &[T] = unsafe { self.out.part(start - inner, width) };
            for ((to, &before), &x) in to.iter_mut().zip(before).zip(from) {
                *to = C::combine::<S>(before, x);
            }
        }
    }
}

/// Chunks one after the other.
#[inline(always)]
fn one_by_one<S: Simd, T: Copy, C: Combine<T>>(to: &mut [T], from: &[T]) {
    for (to, from) in to.chunks_mut(CHUNK).zip(from.chunks(CHUNK)) {
        let mut sum = from[0];
        to[0] = sum;
        for (to, &x) in to.iter_mut().zip(from).skip(1) {
            sum = C::combine::<S>(sum, x);
            *to = sum;
        }
    }
}

/// Several chunks in turn.
#[inline(always)]
fn in_turns<S: Simd, T: Copy + Default, C: Combine<T>>(to: &mut [T], from: &[T]) {
    let (to, from) = (&mut to[..TURNS * CHUNK], &from[..TURNS * CHUNK]);
    let mut sums: [T; TURNS] = std::array::from_fn(|turn| from[turn * CHUNK]);
    for (turn, &sum) in sums.iter().enumerate() {
        to[turn * CHUNK] = sum;
    }
    for i in 1..CHUNK {
        for turn in 0..TURNS {
            sums[turn] = C::combine::<S>(sums[turn], from[turn * CHUNK + i]);
            to[turn * CHUNK + i] = sums[turn];
        }
    }
}

/// Combines the rows of a chunk with what comes before it.
struct Join<'a, T, C> {
    out: &'a Output<'a, T>,
    before: &'a [T],
    rows: std::ops::Range<usize>,
    inner: usize,
    columns: std::ops::Range<usize>,
    op: PhantomData<C>,
}

impl<T: Copy, C: Combine<T>> Kernel for Join<'_, T, C> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        if self.inner == 1 {
            // SAFETY: the rows are this task's own.
            let to = unsafe { self.out.part(self.rows.start, self.rows.len()) };
            let before = self.before[0];
            to.iter_mut().for_each(|to| *to = C::combine::<S>(before, *to));
            return;
        }
        let before = &self.before[self.columns.clone()];
        for row in self.rows {
            // SAFETY: these rows and columns are this task's own.
            let to = unsafe { self.out.part(row * self.inner + self.columns.start, self.columns.len()) };
            for (to, &before) in to.iter_mut().zip(before) {
                *to = C::combine::<S>(before, *to);
            }
        }
    }
}
