//! Positions of extrema along an axis: the first of equals; NaN wins.

use crate::operand::{Odometer, Output, Stored, Strided};
use crate::reduce::{CHUNK, Fold, Max, Min, Split, TOGETHER, chunk_results};
use crate::{Isa, Kernel, Simd, team};

/// Neighboring columns that are gone through together.
const COLUMNS: usize = 64;

/// Calls `f(i)` for every output, on the team where there are enough elements; each output is made of `count`.
fn each(outputs: usize, count: usize, f: impl Fn(usize) + Sync) {
    if outputs * count < 1 << 15 || outputs == 1 {
        return (0..outputs).for_each(f);
    }
    let together = ((1 << 13) / count.max(1)).max(1);
    team::parallel(outputs.div_ceil(together), |i| (i * together..((i + 1) * together).min(outputs)).for_each(&f));
}

/// Position along `axis` of the element that `better(candidate, best)` prefers to all before it.
pub fn arg_reduce<T: Copy + Sync>(
    out: &mut Output<'_, i64>,
    x: Strided<'_, T>,
    axis: usize,
    better: impl Fn(T, T) -> bool + Sync,
) {
    let split = Split::checked(x.shape(), x.strides(), &[axis], out.len());
    let kept = split.kept();
    let (size, stride) = (x.shape()[axis], x.strides()[axis]);
    assert!(size > 0 || out.is_empty(), "the position of an element along an axis that has none");
    each(out.len(), size, |i| {
        let base = Odometer::at(kept.0, kept.1, i).offset();
        // SAFETY: within the operand, whose axis is not empty.
        let at = |j: usize| unsafe { *x.first_element().offset(base + j as isize * stride) };
        let (mut best, mut position) = (at(0), 0);
        for j in 1..size {
            let candidate = at(j);
            if better(candidate, best) {
                (best, position) = (candidate, j);
            }
        }
        // SAFETY: this output's own place.
        unsafe { out.part(i, 1)[0] = position as i64 };
    });
}

/// Position along `axis` of the largest float, or the smallest.
pub fn arg_extremum<E: Stored>(isa: Isa, out: &mut Output<'_, i64>, x: Strided<'_, E>, axis: usize, smallest: bool) {
    let split = Split::checked(x.shape(), x.strides(), &[axis], out.len());
    let kept = split.kept();
    let (size, stride) = (x.shape()[axis], x.strides()[axis]);
    assert!(size > 0 || out.is_empty(), "the position of an element along an axis that has none");
    if E::IN_PLACE && stride != 1 && (2..=i32::MAX as usize).contains(&size) && kept.1.last() == Some(&1) {
        return by_columns(isa, out, x, (size, stride), kept, smallest);
    }
    if size < 2 * crate::reduce::LANES {
        return if smallest {
            arg_reduce(out, x, axis, |x, best| less(x.load(), best.load()))
        } else {
            arg_reduce(out, x, axis, |x, best| greater(x.load(), best.load()))
        };
    }
    by_chunks(isa, out, x, (size, stride), kept, smallest);
}

/// Whether a is larger than b or the first NaN.
#[inline(always)]
#[allow(clippy::eq_op)] // the test for NaN
fn greater<T: PartialOrd>(a: T, b: T) -> bool {
    a > b || a != a && b == b
}

/// Whether a is smaller than b or the first NaN.
#[inline(always)]
#[allow(clippy::eq_op)] // the test for NaN
fn less<T: PartialOrd>(a: T, b: T) -> bool {
    a < b || a != a && b == b
}

/// The extremum of each chunk, then the first chunk that has it, then its place there.
fn by_chunks<E: Stored>(
    isa: Isa,
    out: &Output<'_, i64>,
    x: Strided<'_, E>,
    (size, stride): (usize, isize),
    kept: (&[usize], &[isize]),
    smallest: bool,
) {
    let chunks = size.div_ceil(CHUNK);
    let (shape, strides) = ([size], [stride]);
    let row = |i: usize| {
        // SAFETY: within the operand: the elements of one output.
        unsafe { Strided::new(x.first_element().offset(Odometer::at(kept.0, kept.1, i).offset()), &shape, &strides) }
    };
    let extrema = |i: usize, first: usize, to: &mut [E::Compute]| {
        let zero = E::Compute::default();
        if smallest {
            chunk_results::<E, Min>(isa, row(i), first, to, zero);
        } else {
            chunk_results::<E, Max>(isa, row(i), first, to, zero);
        }
    };
    let finish = |i: usize, extrema: &[E::Compute]| {
        let value = extrema.iter().copied().fold(extrema[0], if smallest { Min::combine } else { Max::combine });
        let chunk = extrema.iter().position(|&x| is(x, value)).unwrap_or(0);
        let (first, start) = (row(i).first_element(), chunk * CHUNK);
        let find = Find { first: first.wrapping_offset(start as isize * stride), stride, count: size - start, value };
        let position = start + isa.run(find);
        // SAFETY: this output's own place.
        unsafe { out.part(i, 1)[0] = position as i64 };
    };
    if out.len() == 1 {
        let mut found = vec![E::Compute::default(); chunks];
        let results = Output::from_slice(&mut found);
        each(chunks.div_ceil(TOGETHER), CHUNK * TOGETHER, |i| {
            let first = i * TOGETHER;
            // SAFETY: these chunks' own places.
            extrema(0, first, unsafe { results.part(first, TOGETHER.min(chunks - first)) });
        });
        return finish(0, &found);
    }
    each(out.len(), size, |i| {
        let mut found = vec![E::Compute::default(); chunks];
        for (to, first) in found.chunks_mut(TOGETHER).zip((0..).step_by(TOGETHER)) {
            extrema(i, first, to);
        }
        finish(i, &found);
    });
}

/// Whether two numbers are the same, NaN too.
#[inline(always)]
#[allow(clippy::eq_op)] // the test for NaN
fn is<T: PartialOrd + Copy>(x: T, value: T) -> bool {
    x == value || x != x && value != value
}

/// The place of the first element that is `value`, among `count` at this stride; 0 where there is none.
struct Find<E, T> {
    first: *const E,
    stride: isize,
    count: usize,
    value: T,
}

impl<E: Stored> Kernel for Find<E, E::Compute> {
    type Output = usize;
    #[inline(always)]
    fn run<S: Simd>(self) -> usize {
        // SAFETY: the elements can be read.
        let at = |i: usize| unsafe { *self.first.offset(i as isize * self.stride) }.load();
        let mut start = 0;
        // Blocks that have none are passed over.
        while self.stride == 1 && start + COLUMNS <= self.count {
            let mut any = false;
            for i in start..start + COLUMNS {
                any |= is(at(i), self.value);
            }
            if any {
                break;
            }
            start += COLUMNS;
        }
        (start..self.count).find(|&i| is(at(i), self.value)).unwrap_or(0)
    }
}

/// Outputs that are neighbors in memory together.
fn by_columns<E: Stored>(
    isa: Isa,
    out: &Output<'_, i64>,
    x: Strided<'_, E>,
    (size, stride): (usize, isize),
    kept: (&[usize], &[isize]),
    smallest: bool,
) {
    let width = kept.0.last().copied().unwrap_or(1);
    let blocks = width.div_ceil(COLUMNS);
    let (outer, strides) = (&kept.0[..kept.0.len() - 1], &kept.1[..kept.1.len() - 1]);
    each(outer.iter().product::<usize>() * blocks, size * COLUMNS, |i| {
        let (row, start) = (i / blocks, i % blocks * COLUMNS);
        let offset = Odometer::at(outer, strides, row).offset();
        // SAFETY: within the operand.
        let first = unsafe { x.first_element().offset(offset).add(start) };
        // SAFETY: this group's own part of the output.
        let out = unsafe { out.part(row * width + start, COLUMNS.min(width - start)) };
        isa.run(Columns { first, stride, size, out, smallest });
    });
}

/// Some neighboring columns of `size` floats.
struct Columns<'a, E> {
    first: *const E,
    stride: isize,
    size: usize,
    out: &'a mut [i64],
    smallest: bool,
}

impl<E: Stored> Kernel for Columns<'_, E> {
    type Output = ();
    #[inline(always)]
    #[allow(clippy::eq_op)] // the test for NaN
    fn run<S: Simd>(self) {
        let (mut best, mut positions) = ([E::Compute::default(); COLUMNS], [0i32; COLUMNS]);
        for i in 0..self.size {
            // SAFETY: row i's columns can be read.
            let row =
                unsafe { std::slice::from_raw_parts(self.first.offset(i as isize * self.stride), self.out.len()) };
            for ((&x, best), position) in row.iter().zip(&mut best).zip(&mut positions) {
                let x = x.load();
                let better = i == 0 || if self.smallest { less(x, *best) } else { greater(x, *best) };
                *best = if better { x } else { *best };
                *position = if better { i as i32 } else { *position };
            }
        }
        self.out.iter_mut().zip(positions).for_each(|(to, position)| *to = i64::from(position));
    }
}
