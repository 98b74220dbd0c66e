//! Maxima of windows. The elements that a tap meets are made adjacent first, so that registers hold adjacent outputs.
//!
//! A field holds the rows that some rows of outputs meet, padding included, split by their distance from the stride's grid: of stride 2
//! the even columns and the odd ones, and rows alike. There an output's element at a tap is as far from the output's place as for
//! every other output. Rows of the field are a little longer than those of outputs, and what is computed between these is left.

use super::{Pool, Shared, Taps};
use crate::gemm::scratch::{ScratchBuffer, with_kept};
use crate::operand::{Number, StoredAs};
use crate::{Kernel, Simd, team};
use std::cell::Cell;
use std::marker::PhantomData;
use std::ops::Range;

/// Outputs that are computed at once.
const LANES: usize = 16;
/// Elements of a field, which stays in a core's caches.
const FIELD: usize = 48 << 10;

/// The outputs of one axis as fields see them.
struct Axis {
    /// Those that meet anything, in order.
    taps: Vec<Tap>,
    /// What is met.
    parts: Vec<Part>,
    /// How far the farthest tap is.
    reach: usize,
    stride: usize,
    before: usize,
    size: usize,
}

impl Axis {
    fn new(pool: &Pool, axis: usize) -> Self {
        let stride = pool.stride[axis];
        let (before, size) = (pool.before[axis], pool.size[axis]);
        let last = pool.out[axis].saturating_sub(1) * stride;
        let offset = |number: usize| number * pool.dilation[axis];
        // Those of a wide dilation may meet padding alone, however wide that is.
        let meets = |&number: &usize| offset(number) + last >= before && offset(number) < before + size;
        let met: Vec<usize> = (0..pool.kernel[axis]).filter(meets).collect();
        let base = met.first().map_or(0, |&number| offset(number) / stride);
        let mut distances: Vec<usize> = met.iter().map(|&number| offset(number) % stride).collect();
        distances.sort_unstable();
        distances.dedup();
        let part = |number: usize| distances.binary_search(&(offset(number) % stride)).unwrap_or(0);
        let tap = |number: usize| Tap { number, part: part(number), far: offset(number) / stride - base };
        let taps: Vec<Tap> = met.into_iter().map(tap).collect();
        let reach = taps.last().map_or(0, |tap| tap.far);
        let of = |distance: usize| {
            let distance = base * stride + distance;
            let from = |at: usize| at.saturating_sub(distance).div_ceil(stride).min(pool.out[axis] + reach);
            let met = from(before)..from(before + size);
            Part { distance, first: (met.start * stride + distance).saturating_sub(before), met }
        };
        let parts = distances.iter().map(|&distance| of(distance)).collect();
        Axis { taps, parts, reach, stride, before, size }
    }

    /// The element of the axis that is met `far` from a part's first one, if it is not padding.
    fn element(&self, part: usize, far: usize) -> Option<usize> {
        (far * self.stride + self.parts[part].distance).checked_sub(self.before).filter(|&at| at < self.size)
    }
}

/// A tap along an axis: the number of its part, and how far in there it is from output 0.
#[derive(Clone, Copy)]
struct Tap {
    number: usize,
    part: usize,
    far: usize,
}

/// Elements of an axis at one distance from the stride's grid, from the first one that output 0 may meet there on.
struct Part {
    /// From the padding's beginning to the first.
    distance: usize,
    /// Which of them are not padding, and the first of these.
    met: Range<usize>,
    first: usize,
}

/// A pooling as fields see it, for all planes.
pub(super) struct Windows<'a> {
    pool: &'a Pool,
    axes: [Axis; 3],
    /// Rows of outputs that a field serves, of one plane, or of so many planes all.
    rows: usize,
    planes: usize,
}

/// A thread's memory, kept from one call to the next.
#[derive(Default)]
pub(super) struct Room {
    field: ScratchBuffer,
    /// Largest elements and the numbers of their taps plus 1, of the field's rows.
    best: ScratchBuffer,
    taps: ScratchBuffer,
}

thread_local! {
    static ROOM: Cell<Option<Box<Room>>> = const { Cell::new(None) };
}

/// Runs `f` with this thread's memory: outside of a kernel, as closures are not compiled for its instruction set.
pub(super) fn with_room(f: impl FnOnce(&mut Room)) {
    with_kept(&ROOM, f);
}

/// A field with room for what is found there.
struct Field<'a, T> {
    of: &'a mut [T],
    best: &'a mut [[T; LANES]],
    taps: &'a mut [[u32; LANES]],
}

impl<'a> Windows<'a> {
    /// Of so many planes of a form that has been checked.
    pub(super) fn new(pool: &'a Pool, planes: usize) -> Self {
        // Something for every thread.
        let tasks = 4 * team::threads();
        let mut windows = Windows { pool, axes: [0, 1, 2].map(|axis| Axis::new(pool, axis)), rows: 1, planes: 1 };
        let row = windows.parts() * windows.pitch();
        let rows = FIELD / row;
        let share = (planes * pool.out[0] * pool.out[1]).div_ceil(tasks).max(1);
        windows.rows = rows.saturating_sub(windows.axes[1].reach).clamp(1, pool.out[1].min(share));
        if windows.rows == pool.out[1] && pool.out[0] == 1 {
            windows.planes = (rows / windows.field_rows()).clamp(1, planes.div_ceil(tasks).max(1));
        }
        windows
    }

    /// Rows of outputs, of one depth, in fields.
    fn bands(&self) -> usize {
        self.pool.out[1].div_ceil(self.rows)
    }

    /// Fields that so many planes take.
    pub(super) fn fields(&self, planes: usize) -> usize {
        planes.div_ceil(self.planes) * self.pool.out[0] * self.bands()
    }

    /// Parts of a field: of slices, rows and columns.
    fn parts(&self) -> usize {
        self.pool.kernel[0] * self.axes[1].parts.len() * self.axes[2].parts.len()
    }

    /// From a row of the field to the next.
    fn pitch(&self) -> usize {
        self.pool.out[2] + self.axes[2].reach
    }

    /// Rows of a plane in the field.
    fn field_rows(&self) -> usize {
        self.rows + self.axes[1].reach
    }
}

/// The maxima of some fields of all planes.
pub(super) struct Maxima<'a, T, X> {
    pub(super) windows: &'a Windows<'a>,
    pub(super) x: &'a [X],
    pub(super) y: &'a Shared<X>,
    pub(super) planes: usize,
    pub(super) fields: Range<usize>,
    pub(super) taps: Option<&'a Taps>,
    pub(super) room: &'a mut Room,
    pub(super) number: PhantomData<T>,
}

impl<T: Number, X: StoredAs<T>> Kernel for Maxima<'_, T, X> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        match self.taps {
            Some(_) => self.all::<true>(),
            None => self.all::<false>(),
        }
    }
}

impl<T: Number, X: StoredAs<T>> Maxima<'_, T, X> {
    #[inline(always)]
    fn all<const TAPS: bool>(self) {
        let Windows { pool, ref axes, rows, planes } = *self.windows;
        let (bands, field_rows, pitch) = (self.windows.bands(), self.windows.field_rows(), self.windows.pitch());
        let part = planes * field_rows * pitch;
        // The last lanes' taps are behind the last part.
        let elements = self.windows.parts() * part + axes[1].reach * pitch + axes[2].reach + LANES;
        let groups = part.div_ceil(LANES);
        let room = self.room;
        // SAFETY: there is room for so many, which a kept buffer has written; any bytes are numbers, or elements of T, which are
        // numbers too.
        let mut field = unsafe {
            Field {
                of: std::slice::from_raw_parts_mut(room.field.room(elements), elements),
                best: std::slice::from_raw_parts_mut(room.best.room(groups), groups),
                taps: std::slice::from_raw_parts_mut(room.taps.room(groups), groups),
            }
        };
        let task = Task { windows: self.windows, x: self.x, y: self.y, taps: self.taps };
        for number in self.fields {
            let (band, rest) = (number % bands, number / bands);
            let (depth, first) = (rest % pool.out[0], rest / pool.out[0] * planes);
            let planes = first..self.planes.min(first + planes);
            let rows = band * rows..pool.out[1].min((band + 1) * rows);
            task.lay(&mut field, planes.clone(), depth, rows.start);
            task.compute::<T, TAPS>(&mut field);
            task.keep::<T, TAPS>(&mut field, planes, depth, rows);
        }
    }
}

/// What fields are computed from and kept in.
struct Task<'a, X> {
    windows: &'a Windows<'a>,
    x: &'a [X],
    y: &'a Shared<X>,
    taps: Option<&'a Taps>,
}

impl<X> Task<'_, X> {
    /// Fills the field for the outputs from row `top` on.
    #[inline(always)]
    fn lay<T: Number>(&self, field: &mut Field<'_, T>, planes: Range<usize>, depth: usize, top: usize)
    where
        X: StoredAs<T>,
    {
        let Windows { pool, axes: [_, high, wide], .. } = self.windows;
        let (pitch, field_rows) = (self.windows.pitch(), self.windows.field_rows());
        let part = self.windows.planes * field_rows * pitch;
        let least = T::from_f64(f64::NEG_INFINITY);
        let plane = pool.plane();
        for slice in 0..pool.kernel[0] {
            let slice_at = pool.at(0, depth, slice);
            for row_part in 0..high.parts.len() {
                for (number, n) in planes.clone().enumerate() {
                    for row in 0..field_rows {
                        let first_part = (slice * high.parts.len() + row_part) * wide.parts.len();
                        let to = first_part * part + (number * field_rows + row) * pitch;
                        let to = &mut field.of[to..];
                        let at = slice_at.zip(high.element(row_part, top + row));
                        let Some((slice, row)) = at else {
                            for number in 0..wide.parts.len() {
                                to[number * part..][..pitch].fill(least);
                            }
                            continue;
                        };
                        let x = &self.x[n * plane + (slice * pool.size[1] + row) * pool.size[2]..][..pool.size[2]];
                        lay_row(wide, pitch, x, to, part, least);
                    }
                }
            }
        }
    }

    /// The maxima of all places of the field's rows.
    #[inline(always)]
    fn compute<T: Number, const TAPS: bool>(&self, field: &mut Field<'_, T>) {
        let Windows { pool, axes: [_, high, wide], .. } = self.windows;
        let (pitch, field_rows) = (self.windows.pitch(), self.windows.field_rows());
        let part = self.windows.planes * field_rows * pitch;
        let least = T::from_f64(f64::NEG_INFINITY);
        let parts = |slice: usize, row: usize| (slice * high.parts.len() + row) * wide.parts.len();
        let lines = (0..pool.kernel[0]).flat_map(|slice| high.taps.iter().map(move |row| (slice, row)));
        // Places in the field, and the taps' numbers plus 1.
        let taps: Vec<(usize, u32)> = lines
            .flat_map(|(slice, row)| {
                wide.taps.iter().map(move |column| {
                    let at = (parts(slice, row.part) + column.part) * part + row.far * pitch + column.far;
                    let line = slice * pool.kernel[1] + row.number;
                    (at, (line * pool.kernel[2] + column.number) as u32 + 1)
                })
            })
            .collect();
        for (group, (best, found)) in field.best.iter_mut().zip(&mut *field.taps).enumerate() {
            let mut most = [least; LANES];
            let mut which = [0_u32; LANES];
            for &(at, number) in &taps {
                let Some(x) = field.of.get(group * LANES + at..).and_then(<[T]>::first_chunk::<LANES>) else {
                    continue;
                };
                for i in 0..LANES {
                    #[allow(clippy::eq_op)] // NaN differs from itself
                    let better = (x[i] > most[i]) | (x[i] != x[i]);
                    most[i] = if better { x[i] } else { most[i] };
                    if TAPS {
                        which[i] = if better { number } else { which[i] };
                    }
                }
            }
            (*best, *found) = (most, which);
        }
    }

    /// Moves the outputs, and their taps, to where they belong.
    #[inline(always)]
    fn keep<T: Number, const TAPS: bool>(
        &self,
        field: &mut Field<'_, T>,
        planes: Range<usize>,
        depth: usize,
        rows: Range<usize>,
    ) where
        X: StoredAs<T>,
    {
        let (best, found) = (field.best.as_flattened(), field.taps.as_flattened_mut());
        let pool = self.windows.pool;
        let (pitch, field_rows, out) = (self.windows.pitch(), self.windows.field_rows(), pool.out[2]);
        for (number, n) in planes.enumerate() {
            for (row, high) in rows.clone().enumerate() {
                let from = (number * field_rows + row) * pitch;
                let first = n * pool.outputs() + (depth * pool.out[1] + high) * out;
                // SAFETY: the task's own outputs.
                let y = unsafe { self.y.take(first..first + out) };
                y.iter_mut().zip(&best[from..from + out]).for_each(|(y, &best)| *y = X::nearest(best));
                let Some(taps) = self.taps.filter(|_| TAPS) else { continue };
                let found = &mut found[from..from + out];
                // Nothing is above −∞ where all are: it stays with the first that is not padding.
                let line = pool.first_tap(0, depth) * pool.kernel[1] + pool.first_tap(1, high);
                if found.contains(&0) {
                    for (column, tap) in found.iter_mut().enumerate().filter(|(_, tap)| **tap == 0) {
                        *tap = (line * pool.kernel[2] + pool.first_tap(2, column)) as u32 + 1;
                    }
                }
                found.iter_mut().for_each(|tap| *tap -= 1);
                // SAFETY: as above.
                unsafe { taps.write(first, found) };
            }
        }
    }
}

/// A row of an image to the parts of a field's row, `apart` from one to the next.
#[inline(always)]
fn lay_row<T: Number, X: StoredAs<T>>(wide: &Axis, pitch: usize, x: &[X], to: &mut [T], apart: usize, least: T) {
    for (number, Part { met, first, .. }) in wide.parts.iter().enumerate() {
        let to = &mut to[number * apart..][..pitch];
        to[..met.start].fill(least);
        to[met.end..].fill(least);
        let to = &mut to[met.clone()];
        let Some(x) = x.get(*first..) else { continue };
        match wide.stride {
            1 => to.iter_mut().zip(x).for_each(|(to, x)| *to = x.number()),
            2 => {
                let (pairs, last) = x.as_chunks::<2>();
                let (most, rest) = to.split_at_mut(pairs.len().min(to.len()));
                most.iter_mut().zip(pairs).for_each(|(to, pair)| *to = pair[0].number());
                rest.iter_mut().zip(last).for_each(|(to, x)| *to = x.number());
            }
            stride => to.iter_mut().zip(x.iter().step_by(stride)).for_each(|(to, x)| *to = x.number()),
        }
    }
}
