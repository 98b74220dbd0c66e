//! Order statistics without sorting: the first k elements of a sorted row, or the one of rank k.
//!
//! The key of rank k is found digit by digit from the left: keys are counted by their first digit, and of those in the bucket where
//! rank k lies the next digit, until few are left.

use super::key::{Key, Sortable};
use super::radix::{Item, Pair, SHARED};
use crate::operand::Output;
use crate::{Isa, Kernel, Simd, check, team};
use std::sync::{Mutex, PoisonError};

/// Bits of a digit.
pub(super) const DIGIT: u32 = 11;
pub(super) const BUCKETS: usize = 1 << DIGIT;
/// So few keys are left to a selection by comparisons.
const FEW: usize = 2048;

/// Elements that are looked at together.
const BLOCK: usize = 64;
/// One of so many elements is looked for without counting all.
const MANY: usize = 16;

/// What `f` makes of each part, by the team where there are several.
fn of_parts<R: Default + Send>(parts: usize, f: impl Fn(usize) -> R + Sync) -> Vec<R> {
    let results: Vec<Mutex<R>> = (0..parts).map(|_| Mutex::default()).collect();
    team::parallel(parts, |part| {
        let result = f(part);
        *results[part].lock().unwrap_or_else(PoisonError::into_inner) = result;
    });
    results.into_iter().map(|result| result.into_inner().unwrap_or_else(PoisonError::into_inner)).collect()
}

/// How often each digit at `shift` comes up, in each part.
pub(super) fn counted<A: Copy + Sync, K: Key>(
    parts: &[&[A]],
    key: impl Fn(A) -> K + Sync,
    shift: u32,
) -> Vec<Vec<u32>> {
    of_parts(parts.len(), |part| {
        let mut counts = vec![0u32; BUCKETS];
        for &x in parts[part] {
            counts[key(x).digit(shift, BUCKETS - 1)] += 1;
        }
        counts
    })
}

/// The bucket in which rank `rank` lies, and the rank within it.
fn bucket_of(counts: &[Vec<u32>], rank: usize) -> (usize, usize) {
    let mut below = 0;
    for bucket in 0..BUCKETS {
        let here: usize = counts.iter().map(|counts| counts[bucket] as usize).sum();
        if below + here > rank {
            return (bucket, rank - below);
        }
        below += here;
    }
    (BUCKETS - 1, 0) // not reached: the rank is below the number of elements
}

/// The keys of a bucket, of each part.
fn filtered<A: Copy + Sync, K: Key>(
    parts: &[&[A]],
    key: impl Fn(A) -> K + Sync,
    (shift, bucket): (u32, usize),
    counts: &[Vec<u32>],
) -> Vec<Vec<K>> {
    of_parts(parts.len(), |part| {
        // Every key is written, and stays where it is in the bucket: no branch, which would be guessed wrong.
        let count = counts[part][bucket] as usize;
        let (mut found, mut kept) = (vec![K::default(); count + 1], 0);
        for &x in parts[part] {
            let key = key(x);
            found[kept] = key;
            kept += usize::from(key.digit(shift, BUCKETS - 1) == bucket);
        }
        found.truncate(count);
        found
    })
}

/// The key of rank `rank` of all parts' elements, of which there are more.
fn key_of_rank<A: Copy + Sync, K: Key>(parts: &[&[A]], key: impl Fn(A) -> K + Copy + Sync, rank: usize) -> K {
    if parts.iter().map(|part| part.len()).sum::<usize>() <= FEW {
        let mut keys: Vec<K> = parts.iter().flat_map(|part| part.iter().map(|&x| key(x))).collect();
        return *keys.select_nth_unstable(rank).1;
    }
    let mut shift = K::BITS.saturating_sub(DIGIT);
    let counts = counted(parts, key, shift);
    let (bucket, mut rank) = bucket_of(&counts, rank);
    let mut rest = filtered(parts, key, (shift, bucket), &counts);
    while shift > 0 && rest.iter().map(Vec::len).sum::<usize>() > FEW {
        let parts: Vec<&[K]> = rest.iter().map(Vec::as_slice).collect();
        shift = shift.saturating_sub(DIGIT);
        let counts = counted(&parts, |key| key, shift);
        let (bucket, below) = bucket_of(&counts, rank);
        let found = filtered(&parts, |key| key, (shift, bucket), &counts);
        (rank, rest) = (below, found);
    }
    *rest.concat().select_nth_unstable(rank).1
}

/// Calls `f(row, parts)` for every row of `width` elements: the rows are shared out, or each one's parts are.
fn each_row<T: Sortable>(x: &[T], width: usize, f: impl Fn(usize, &[&[T]]) + Sync) {
    let (rows, threads) = (x.len() / width.max(1), team::threads());
    let row = |row: usize| &x[row * width..(row + 1) * width];
    if rows < threads && width >= SHARED {
        for i in 0..rows {
            f(i, &row(i).chunks(width.div_ceil(threads)).collect::<Vec<_>>());
        }
        return;
    }
    let task = |i: usize| f(i, &[row(i)]);
    if rows * width < 1 << 13 { (0..rows).for_each(task) } else { team::parallel(rows, task) }
}

/// The element of rank `rank` of each row of `width` elements of x, from 0 on: `values`, and where the first such is, `positions`. NaN
/// comes last.
///
/// # Panics
/// An output that does not have one element for each row, a length of x that is not a multiple of the width, a rank that is not below
/// the width.
pub fn kth<T: Sortable>(values: &mut [T], positions: &mut [i64], x: &[T], width: usize, rank: usize) {
    let rows = check::rows("kth", "x", x.len(), width);
    check::length("kth", "values", values.len(), rows);
    check::length("kth", "positions", positions.len(), rows);
    assert!(rank < width || rows == 0, "rank {rank} of {width} elements");
    let (values, positions) = (Output::from_slice(values), Output::from_slice(positions));
    each_row(x, width, |row, parts| {
        let key = key_of_rank(parts, T::key, rank);
        let found = of_parts(parts.len(), |part| parts[part].iter().position(|x| x.key() == key));
        let before = |part: usize| parts[..part].iter().map(|part| part.len()).sum::<usize>();
        let first = found.iter().enumerate().find_map(|(part, at)| Some(before(part) + (*at)?)).unwrap_or(0);
        // SAFETY: this row's own places.
        unsafe {
            values.part(row, 1)[0] = x[row * width + first];
            positions.part(row, 1)[0] = first as i64;
        }
    });
}

/// The first `k` elements of each row of `width` elements of x as if it were sorted, equal ones in their order: `values` and where they
/// were, `positions`; an absent one is not written.
///
/// # Panics
/// An output that does not have k elements for each row, a length of x that is not a multiple of the width, a k above the width, a row
/// longer than [`MAX_ROW`](super::MAX_ROW).
pub fn top<T: Sortable>(
    isa: Isa,
    values: Option<&mut [T]>,
    positions: Option<&mut [i64]>,
    x: &[T],
    width: usize,
    k: usize,
    descending: bool,
) {
    let rows = check::rows("top", "x", x.len(), width);
    assert!(k <= width || rows == 0, "the first {k} of {width} elements");
    assert!(width <= super::MAX_ROW, "rows of {width} elements, at most {} can be sorted", super::MAX_ROW);
    let values = values.map(Output::from_slice);
    let positions = positions.map(Output::from_slice);
    for found in [values.as_ref().map(Output::len), positions.as_ref().map(Output::len)].into_iter().flatten() {
        check::length("top", "an output", found, rows * k);
    }
    if k == 0 {
        return;
    }
    each_row(x, width, |row, parts| {
        let chosen = if descending {
            first_of(isa, parts, |x: T| x.key().reversed(), k)
        } else {
            first_of(isa, parts, T::key, k)
        };
        if let Some(values) = &values {
            // SAFETY: this row's own part.
            let to = unsafe { values.part(row * k, k) };
            to.iter_mut().zip(&chosen).for_each(|(to, pair)| *to = x[row * width + pair.at as usize]);
        }
        if let Some(positions) = &positions {
            // SAFETY: as above.
            let to = unsafe { positions.part(row * k, k) };
            to.iter_mut().zip(&chosen).for_each(|(to, pair)| *to = i64::from(pair.at));
        }
    });
}

/// The position of each part's first element.
fn starts<T>(parts: &[&[T]]) -> Vec<usize> {
    let ends = parts.iter().scan(0, |next, part| {
        *next += part.len();
        Some(*next)
    });
    std::iter::once(0).chain(ends).collect()
}

/// The first k of all parts' elements by key and position.
fn first_of<T: Sortable>(
    isa: Isa,
    parts: &[&[T]],
    key: impl Fn(T) -> T::Key + Copy + Send + Sync,
    k: usize,
) -> Vec<Pair<T::Key>> {
    let starts = starts(parts);
    if k <= starts[parts.len()] / MANY {
        let found = of_parts(parts.len(), |part| few_of(isa, parts[part], key, k, starts[part]));
        let mut chosen = found.concat();
        Item::sort_few(&mut chosen);
        chosen.truncate(k);
        return chosen;
    }
    let last = key_of_rank(parts, key, k - 1);
    let found = of_parts(parts.len(), |part| {
        let (mut less, mut equal) = (Vec::new(), Vec::new());
        for (at, &x) in (starts[part]..).zip(parts[part]) {
            let key = key(x);
            if key < last {
                less.push(Pair { key, at: at as u32 });
            } else if key == last && equal.len() < k {
                equal.push(Pair { key, at: at as u32 });
            }
        }
        (less, equal)
    });
    let (less, equal): (Vec<_>, Vec<_>) = found.into_iter().unzip();
    let mut chosen = less.concat();
    let missing = k - chosen.len();
    Item::sort_few(&mut chosen);
    chosen.extend(equal.iter().flatten().take(missing));
    chosen
}

/// The first k of many elements by key and position, in any order: blocks without an element before a bound are passed over. The bound
/// is first such that k columns of the elements have one before it, then the last of the k found so far.
fn few_of<T: Sortable>(
    isa: Isa,
    x: &[T],
    key: impl Fn(T) -> T::Key + Copy + Send + Sync,
    k: usize,
    start: usize,
) -> Vec<Pair<T::Key>> {
    let room = 2 * k + 2 * BLOCK;
    let mut found: Vec<Pair<T::Key>> = Vec::with_capacity(room + BLOCK);
    let shrink = |found: &mut Vec<Pair<T::Key>>| {
        if found.len() > k {
            found.select_nth_unstable_by_key(k - 1, |pair| (pair.key, pair.at));
            found.truncate(k);
        }
    };
    let mut next = 0;
    let mut bound = first_bound(isa, x, key, k);
    while next < x.len() {
        if let Some(bound) = bound {
            next = isa.run(Pass { x, next, bound, key });
        }
        let end = (next + BLOCK).min(x.len());
        for (at, &x) in (start + next..).zip(&x[next..end]) {
            let key = key(x);
            // Of equal ones those before this are enough.
            if bound.is_none_or(|bound| key < bound) {
                found.push(Pair { key, at: at as u32 });
            }
        }
        next = end;
        if found.len() >= room {
            shrink(&mut found);
            bound = Some(found[k - 1].key);
        }
    }
    shrink(&mut found);
    found
}

/// A key after those of at least k elements: the elements lie in rows, one below the other, and k columns have an element before it.
/// None where there are too few elements, or where it would be after the last key.
fn first_bound<T: Sortable>(isa: Isa, x: &[T], key: impl Fn(T) -> T::Key, k: usize) -> Option<T::Key> {
    let columns = (4 * k).next_multiple_of(BLOCK);
    if x.len() < 4 * columns {
        return None;
    }
    let mut first = vec![T::Key::LAST; columns];
    isa.run(Firsts { x, key, first: &mut first });
    first.select_nth_unstable(k - 1).1.next()
}

/// The first key of each column, of elements in rows.
struct Firsts<'a, T, K, F> {
    x: &'a [T],
    key: F,
    first: &'a mut [K],
}

impl<T: Sortable, F: Fn(T) -> T::Key> Kernel for Firsts<'_, T, T::Key, F> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        for row in self.x.chunks(self.first.len()) {
            for (first, &x) in self.first.iter_mut().zip(row) {
                *first = (*first).min((self.key)(x));
            }
        }
    }
}

/// From `next` on, the first block that has an element before `bound`.
struct Pass<'a, T, K, F> {
    x: &'a [T],
    next: usize,
    bound: K,
    key: F,
}

impl<T: Sortable, F: Fn(T) -> T::Key> Kernel for Pass<'_, T, T::Key, F> {
    type Output = usize;
    #[inline(always)]
    fn run<S: Simd>(self) -> usize {
        let mut next = self.next;
        for block in self.x[next..].chunks_exact(BLOCK) {
            let mut any = false;
            for &x in block {
                any |= (self.key)(x) < self.bound;
            }
            if any {
                return next;
            }
            next += BLOCK;
        }
        next
    }
}
