//! Reductions over axes, in an order that the shape alone fixes.
//!
//! The elements that make one output are taken in row-major order of the reduced axes and cut into chunks of [`CHUNK`].
//! Within a chunk, element i goes to lane i mod [`LANES`], each lane adding up in order; the lanes are then combined in
//! halves: lane j with lane j + 8, j + 4, j + 2, j + 1. The chunks' results are reduced by the same rule. Instruction sets,
//! numbers of threads and other devices follow this tree, so all give the same bits.

mod columns;
mod fold;
mod rows;

use crate::elementwise::in_chunks;
use crate::operand::{BLOCK, Blocks, MAX_RANK, Number, Odometer, Output, Room, Stored, Strided};
use crate::{Isa, Kernel, Simd, team};
use columns::{COLUMNS, columns};
use fold::{Again, Distances, Prod, Squares};
pub(crate) use fold::{Fold, Max, Min, Sum};
use kiln_math::Real;
use rows::Rows;
use std::marker::PhantomData;

/// Virtual lanes.
pub const LANES: usize = 16;
/// Elements whose lanes are combined before the next are begun.
pub const CHUNK: usize = 4096;

/// A reduction of floats.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reduction {
    /// Σ x; 0 of nothing.
    Sum,
    /// Σ x / n; NaN of nothing.
    Mean,
    /// The largest; NaN wins. −∞ of nothing.
    Max,
    /// The smallest; NaN wins. ∞ of nothing.
    Min,
    /// Π x; 1 of nothing.
    Prod,
}

/// Combines the lanes in halves.
#[inline(always)]
pub(crate) fn combine_lanes<R: Real, F: Fold>(mut lanes: [R; LANES]) -> R {
    let mut width = LANES / 2;
    while width > 0 {
        for j in 0..width {
            lanes[j] = F::combine(lanes[j], lanes[j + width]);
        }
        width /= 2;
    }
    lanes[0]
}

/// Lanes over a contiguous block that starts at a multiple of LANES within its chunk.
struct Lanes<'a, T, F> {
    block: *const T,
    count: usize,
    lanes: &'a mut [T; LANES],
    center: T,
    fold: PhantomData<F>,
}

impl<T: Number, F: Fold> Kernel for Lanes<'_, T, F> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let center = self.center.enter::<S>();
        let mut lanes = self.lanes.map(T::enter::<S>);
        let whole = self.count / LANES * LANES;
        let mut i = 0;
        while i < whole {
            for (j, lane) in lanes.iter_mut().enumerate() {
                // SAFETY: within the block, whose `count` elements can be read.
                *lane = F::take(*lane, unsafe { *self.block.add(i + j) }.enter::<S>(), center);
            }
            i += LANES;
        }
        for (j, lane) in lanes.iter_mut().enumerate().take(self.count - whole) {
            // SAFETY: as above.
            *lane = F::take(*lane, unsafe { *self.block.add(whole + j) }.enter::<S>(), center);
        }
        *self.lanes = lanes.map(T::leave::<S>);
    }
}

/// The reduction of `count` elements that `blocks` gives, by the tree of the module.
fn sequence<E: Stored, F: Fold>(isa: Isa, mut blocks: Blocks<'_, E>, count: usize, center: E::Compute) -> E::Compute {
    let mut room = Room::new();
    let mut chunk = |count: usize| {
        let mut lanes = [E::Compute::from_f64(F::IDENTITY); LANES];
        for done in (0..count).step_by(BLOCK) {
            let block = blocks.next(BLOCK.min(count - done), &mut room);
            isa.run(Lanes::<_, F> {
                block: block.as_ptr(),
                count: block.len(),
                lanes: &mut lanes,
                center,
                fold: PhantomData,
            });
        }
        combine_lanes::<_, F>(lanes)
    };
    if count <= CHUNK {
        return chunk(count);
    }
    let partial: Vec<E::Compute> = (0..count.div_ceil(CHUNK)).map(|i| chunk(CHUNK.min(count - i * CHUNK))).collect();
    tree::<_, F>(isa, partial)
}

/// A number for each output, from the first of some on; without any, 0.
#[derive(Clone, Copy)]
struct Centers<'a, T>(Option<&'a [T]>);

impl<'a, T: Number> Centers<'a, T> {
    #[inline(always)]
    fn at(&self, output: usize) -> T {
        self.0.map_or(T::default(), |centers| centers[output])
    }
    fn from(&self, output: usize) -> Centers<'a, T> {
        Centers(self.0.map(|centers| &centers[output..]))
    }
}

/// Chunk results, reduced by the same rule until one is left.
pub(crate) fn tree<T: Number, F: Fold>(isa: Isa, mut values: Vec<T>) -> T {
    while values.len() > 1 {
        values = values
            .chunks(CHUNK)
            .map(|chunk| {
                let mut lanes = [T::from_f64(F::IDENTITY); LANES];
                isa.run(Lanes::<_, Again<F>> {
                    block: chunk.as_ptr(),
                    count: chunk.len(),
                    lanes: &mut lanes,
                    center: T::default(),
                    fold: PhantomData,
                });
                combine_lanes::<_, F>(lanes)
            })
            .collect();
    }
    values.first().copied().unwrap_or(T::from_f64(F::IDENTITY))
}

/// The axes of an operand, apart: those kept and those reduced, both in order.
pub(crate) struct Split {
    kept: ([usize; MAX_RANK], [isize; MAX_RANK], usize),
    reduced: ([usize; MAX_RANK], [isize; MAX_RANK], usize),
}

impl Split {
    fn new(shape: &[usize], strides: &[isize], axes: &[usize]) -> Self {
        let empty = ([0; MAX_RANK], [0; MAX_RANK], 0);
        let mut split = Split { kept: empty, reduced: empty };
        for axis in 0..shape.len() {
            let part = if axes.contains(&axis) { &mut split.reduced } else { &mut split.kept };
            // Neighboring axes that lie one inside the other count as one.
            let (sizes, steps, n) = (&mut part.0, &mut part.1, &mut part.2);
            if *n > 0 && steps[*n - 1] == strides[axis] * shape[axis] as isize {
                sizes[*n - 1] *= shape[axis];
                steps[*n - 1] = strides[axis];
            } else {
                (sizes[*n], steps[*n]) = (shape[axis], strides[axis]);
                *n += 1;
            }
        }
        split
    }
    /// The split of an operand for outputs of `len` elements.
    ///
    /// # Panics
    /// Axes that the operand does not have, and an output of another size: a caller's mistake.
    #[track_caller]
    pub(crate) fn checked(shape: &[usize], strides: &[isize], axes: &[usize], len: usize) -> Self {
        let rank = shape.len();
        assert!(axes.iter().all(|&axis| axis < rank), "axes {axes:?} of an operand of {rank} axes");
        let split = Split::new(shape, strides, axes);
        let kept: usize = split.kept().0.iter().product();
        assert!(len == kept, "a reduction of {shape:?} over {axes:?} has {kept} results, the output {len} elements");
        split
    }
    pub(crate) fn kept(&self) -> (&[usize], &[isize]) {
        (&self.kept.0[..self.kept.2], &self.kept.1[..self.kept.2])
    }
    fn reduced(&self) -> (&[usize], &[isize]) {
        (&self.reduced.0[..self.reduced.2], &self.reduced.1[..self.reduced.2])
    }
}

/// Chunks of one long sequence that make a task.
pub(crate) const TOGETHER: usize = 16;

/// The results of a sequence's chunks, from chunk `first` on.
pub(crate) fn chunk_results<E: Stored, F: Fold>(
    isa: Isa,
    x: Strided<'_, E>,
    first: usize,
    to: &mut [E::Compute],
    center: E::Compute,
) {
    let count = x.elements();
    let length = |chunk: usize| CHUNK.min(count - chunk * CHUNK);
    let Some(elements) = x.as_slice().filter(|_| E::IN_PLACE) else {
        for (chunk, to) in (first..).zip(to) {
            let blocks = Blocks::new(x, chunk * CHUNK, std::ptr::null());
            *to = sequence::<E, F>(isa, blocks, length(chunk), center);
        }
        return;
    };
    // Whole chunks are rows; what is left is a shorter one.
    let whole = (first..).zip(&*to).filter(|&(chunk, _)| length(chunk) == CHUNK).count();
    let (rows, rest) = to.split_at_mut(whole);
    for (first, count, out) in [(first, CHUNK, rows), (first + whole, count % CHUNK, rest)] {
        let first = elements.as_ptr().wrapping_add(first * CHUNK).cast();
        let centers = [center; TOGETHER];
        let centers = Centers(Some(&centers));
        isa.run(Rows::<_, F> { first, stride: CHUNK as isize, count, out, centers, fold: PhantomData });
    }
}

fn fold_axes<E: Stored, F: Fold>(
    isa: Isa,
    out: &Output<'_, E>,
    x: Strided<'_, E>,
    axes: &[usize],
    scale: Option<f64>,
    centers: Centers<'_, E::Compute>,
) {
    let split = Split::checked(x.shape(), x.strides(), axes, out.len());
    if out.is_empty() {
        return;
    }
    let (kept, reduced) = (split.kept(), split.reduced());
    let count: usize = reduced.0.iter().product();
    let finish = |value: E::Compute| {
        // A mean divides: multiplying by 1/n would round twice.
        E::store(match scale {
            Some(n) => value / E::Compute::from_f64(n),
            None => value,
        })
    };
    // Work per output decides whether a thread is worth it.
    let parallel = out.len() > 1 && out.len() * count >= 1 << 16;
    let each = |groups: usize, f: &(dyn Fn(usize) + Sync)| {
        if parallel { team::parallel(groups, f) } else { (0..groups).for_each(f) }
    };
    let by_columns = kept.1.last() == Some(&1) && reduced.1.last() != Some(&1) && count > 1;
    if by_columns {
        let width = kept.0.last().copied().unwrap_or(1);
        let blocks = width.div_ceil(COLUMNS);
        let (outer, strides) = (&kept.0[..kept.0.len() - 1], &kept.1[..kept.1.len() - 1]);
        each(outer.iter().product::<usize>() * blocks, &|i| {
            let (row, start) = (i / blocks, i % blocks * COLUMNS);
            let n = COLUMNS.min(width - start);
            let offset = Odometer::at(outer, strides, row).offset();
            // SAFETY: within the operand.
            let first = unsafe { x.first_element().offset(offset).add(start) };
            let values = columns::<E, F>(isa, first, reduced, count, n, centers.from(row * width + start));
            // SAFETY: this group's own part of the output.
            let to = unsafe { out.part(row * width + start, n) };
            for (to, &value) in to.iter_mut().zip(&values) {
                *to = finish(value);
            }
        });
        return;
    }
    if out.len() == 1 && count > 4 * CHUNK && team::threads() > 1 {
        // One long sequence: its chunks are shared out.
        // SAFETY: the same elements as x, in the order of the reduced axes.
        let sequence_of = unsafe { Strided::new(x.first_element(), reduced.0, reduced.1) };
        let mut partial = vec![E::Compute::default(); count.div_ceil(CHUNK)];
        let results = Output::from_slice(&mut partial);
        team::parallel(results.len().div_ceil(TOGETHER), |i| {
            let first = i * TOGETHER;
            // SAFETY: these chunks' own places.
            let to = unsafe { results.part(first, TOGETHER.min(results.len() - first)) };
            chunk_results::<E, F>(isa, sequence_of, first, to, centers.at(0));
        });
        let value = finish(tree::<_, F>(isa, partial));
        // SAFETY: the only element of the output.
        unsafe { out.part(0, 1)[0] = value };
        return;
    }
    let one_after_another = reduced.1.is_empty() || reduced.1 == [1];
    if E::IN_PLACE && one_after_another && count <= CHUNK && kept.0.len() <= 1 {
        let stride = kept.1.first().copied().unwrap_or(0);
        let rows = (1_usize << 14).div_ceil(count.max(1));
        each(out.len().div_ceil(rows), &|group| {
            let start = group * rows;
            // SAFETY: this group's own part of the output; E is the compute type (IN_PLACE).
            let to = unsafe {
                let part = out.part(start, rows.min(out.len() - start));
                &mut *(std::ptr::from_mut(part) as *mut [E::Compute])
            };
            let first = x.first_element().wrapping_offset(start as isize * stride).cast();
            isa.run(Rows::<_, F> { first, stride, count, out: to, centers: centers.from(start), fold: PhantomData });
            if let Some(n) = scale {
                to.iter_mut().for_each(|value| *value = *value / E::Compute::from_f64(n));
            }
        });
        return;
    }
    let rows = 16;
    each(out.len().div_ceil(rows), &|group| {
        for i in group * rows..(group * rows + rows).min(out.len()) {
            let offset = Odometer::at(kept.0, kept.1, i).offset();
            // SAFETY: within the operand; the elements of one output.
            let elements = unsafe { Strided::new(x.first_element().offset(offset), reduced.0, reduced.1) };
            let value = sequence::<E, F>(isa, Blocks::new(elements, 0, std::ptr::null()), count, centers.at(i));
            let value = finish(value);
            // SAFETY: this output's own place.
            unsafe { out.part(i, 1)[0] = value };
        }
    });
}

/// Reduces `axes` of x; the output has the elements of the remaining axes in row-major order.
pub fn reduce<E: Stored>(isa: Isa, op: Reduction, out: &mut Output<'_, E>, x: Strided<'_, E>, axes: &[usize]) {
    match op {
        Reduction::Sum => fold_axes::<E, Sum>(isa, out, x, axes, None, Centers(None)),
        Reduction::Mean => {
            let count: usize = axes.iter().map(|&axis| x.shape()[axis]).product();
            fold_axes::<E, Sum>(isa, out, x, axes, Some(count as f64), Centers(None));
        }
        Reduction::Max => fold_axes::<E, Max>(isa, out, x, axes, None, Centers(None)),
        Reduction::Min => fold_axes::<E, Min>(isa, out, x, axes, None, Centers(None)),
        Reduction::Prod => fold_axes::<E, Prod>(isa, out, x, axes, None, Centers(None)),
    }
}

/// out = Σ (x − center) over `axes`, or Σ (x − center)² where `squared` holds; each output has its center, or without them 0.
///
/// # Panics
/// Where there are not as many centers as outputs.
pub fn distances<E: Stored>(
    isa: Isa,
    out: &mut Output<'_, E>,
    x: Strided<'_, E>,
    axes: &[usize],
    centers: Option<&[E::Compute]>,
    squared: bool,
) {
    if let Some(centers) = centers {
        crate::check::length("distances", "centers", centers.len(), out.len());
    }
    if squared {
        fold_axes::<E, Squares>(isa, out, x, axes, None, Centers(centers));
    } else {
        fold_axes::<E, Distances>(isa, out, x, axes, None, Centers(centers));
    }
}

/// Reduces `axes` of x by plain loops, in row-major order: integers and truth values, where order does not matter.
pub fn reduce_with<A: Copy + Sync, O: Copy + Send + Sync>(
    out: &mut Output<'_, O>,
    x: Strided<'_, A>,
    axes: &[usize],
    identity: O,
    combine: impl Fn(O, A) -> O + Sync,
) {
    let split = Split::checked(x.shape(), x.strides(), axes, out.len());
    let (kept, reduced) = (split.kept(), split.reduced());
    let count: usize = reduced.0.iter().product();
    in_chunks(out.len(), |start, outputs| {
        for i in start..start + outputs {
            let base = Odometer::at(kept.0, kept.1, i).offset();
            let mut value = identity;
            Odometer::at(reduced.0, reduced.1, 0).runs(count, |_, offset, stride, run| {
                for j in 0..run {
                    // SAFETY: the odometers stay within the operand.
                    value = combine(value, unsafe { *x.first_element().offset(base + offset + j as isize * stride) });
                }
            });
            // SAFETY: this output's own place.
            unsafe { out.part(i, 1)[0] = value };
        }
    });
}
