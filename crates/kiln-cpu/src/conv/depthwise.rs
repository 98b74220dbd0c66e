//! Groups of one input channel: each plane under kernels of its own.
//!
//! Little is computed with each element, so a plane is first laid out between its zeros, what a stride passes over in lines of
//! its own: then each tap of a line of outputs meets adjacent elements.

use super::scratch::{Place, local};
use super::taps::Axis;
use super::{Conv, Float};
use crate::gemm::scratch::Buffer;
use crate::gemm::{Bias, Epilogue};
use crate::reduce::{LANES, Sum, combine_lanes};
use crate::{Isa, Kernel, Simd, team};
use kiln_math::Real;
use std::ops::Range;

/// Planes that are worked on one after the other.
const PLANES: usize = 16;
/// Multiplications that are worth a second thread.
const PARALLEL: usize = 1 << 17;

/// Calls `f` with parts of `0..count`, of at most `most`.
fn each(conv: &Conv, count: usize, most: usize, f: impl Fn(Range<usize>) + Sync) {
    let work = conv.batch * conv.groups * conv.outputs * conv.out_plane() * conv.taps();
    let tasks = count.div_ceil(most).max(team::threads().min(count));
    let one = |task: usize| f(task * count / tasks..(task + 1) * count / tasks);
    if work < PARALLEL { (0..tasks).for_each(one) } else { team::parallel(tasks, one) }
}

/// As `to.copy_from_slice(from)`, of lines so short that the call would take longer.
fn copy<T: Copy>(to: &mut [T], from: &[T]) {
    /// In blocks; the last one over some of the one before.
    fn blocks<T: Copy, const N: usize>(to: &mut [T], from: &[T]) {
        for at in (0..from.len()).step_by(N) {
            let at = at.min(from.len() - N);
            if let (Some(to), Some(from)) = (to[at..].first_chunk_mut::<N>(), from[at..].first_chunk()) {
                *to = *from;
            }
        }
    }
    match from.len() {
        64.. => to.copy_from_slice(from),
        16.. => blocks::<T, 16>(to, from),
        8.. => blocks::<T, 8>(to, from),
        4.. => blocks::<T, 4>(to, from),
        _ => to.iter_mut().zip(from).for_each(|(to, &from)| *to = from),
    }
}

/// How a plane is laid out for the outputs of three axes.
struct Field<'a> {
    axes: &'a [Axis; 3],
    /// Size of the plane.
    size: [usize; 3],
    /// Lines of the field: depth × height × what the stride passes over.
    rows: [usize; 3],
    /// Elements of a line: the outputs in whole lanes, and what taps reach beyond.
    line: usize,
    /// What a line of each phase takes of a line of the plane.
    phases: Vec<Phase>,
    /// For each tap that there is, in the order of the kernel: its place there, and where it meets the first output.
    taps: Vec<(usize, usize)>,
}

/// What the line of one phase of the stride takes of a line of the plane: `count` elements from `from` on, after so many zeros.
struct Phase {
    zeros: usize,
    from: usize,
    count: usize,
}

impl<'a> Field<'a> {
    fn new(conv: &Conv, axes: &'a [Axis; 3], size: [usize; 3]) -> Self {
        let [deep, high, wide] = axes;
        let ((front, _), (top, _), (left, right)) = (deep.reach(), high.reach(), wide.reach());
        let rows = [deep.met(deep.count), high.met(high.count), wide.step];
        let line = wide.count.next_multiple_of(LANES) + (right - left) as usize / wide.step;
        let mut taps = Vec::new();
        for depth in &deep.taps {
            for height in &high.taps {
                for width in &wide.taps {
                    let index = (depth.index * conv.kernel[1] + height.index) * conv.kernel[2] + width.index;
                    let across = (width.offset - left) as usize;
                    let row = (depth.offset - front) as usize * rows[1] + (height.offset - top) as usize;
                    taps.push((index, (row * rows[2] + across % wide.step) * line + across / wide.step));
                }
            }
        }
        // Element j of a phase's line is number j·step + phase + left of the plane's.
        let phase = |phase: usize| {
            let first = phase as isize + left;
            let zeros = ((-first).max(0) as usize).div_ceil(wide.step).min(line);
            let from = ((first + (zeros * wide.step) as isize).max(0) as usize).min(size[2]);
            Phase { zeros, from, count: (size[2] - from).div_ceil(wide.step).min(line - zeros) }
        };
        let phases = (0..wide.step).map(phase).collect();
        Field { axes, size, rows, line, phases, taps }
    }

    fn elements(&self) -> usize {
        self.rows.iter().product::<usize>() * self.line
    }

    /// Where the first output of line number `line` meets the field, by a tap at 0.
    fn start(&self, line: usize) -> usize {
        let [deep, high, _] = self.axes;
        let row = line / high.count * deep.step * self.rows[1] + line % high.count * high.step;
        row * self.rows[2] * self.line
    }

    fn lines(&self) -> usize {
        self.axes[0].count * self.axes[1].count
    }

    /// Room for a line of outputs.
    fn row<T: Float>(&self) -> Vec<T> {
        vec![T::default(); self.axes[2].count.next_multiple_of(LANES)]
    }

    /// Room for planes, all zeros.
    fn zeros<'b, T: Float>(&self, buffer: &'b mut Buffer) -> &'b mut [T] {
        let count = self.elements();
        let field: *mut T = buffer.room(count);
        // SAFETY: the buffer has room for so many numbers, of which 0 is all bits 0.
        unsafe {
            field.write_bytes(0, count);
            std::slice::from_raw_parts_mut(field, count)
        }
    }

    /// Lays out a plane where another one was, or zeros: what is between the lines stays.
    fn fill<T: Float>(&self, plane: &[T], field: &mut [T]) {
        let [deep, high, wide] = self.axes;
        let [depths, heights, widths] = self.size;
        let ((front, _), (top, _)) = (deep.reach(), high.reach());
        let inside = |at: isize, size: usize| usize::try_from(at).ok().filter(|&at| at < size);
        for (row, lines) in field.chunks_exact_mut(self.rows[2] * self.line).enumerate() {
            let depth = inside((row / self.rows[1]) as isize + front, depths);
            let height = inside((row % self.rows[1]) as isize + top, heights);
            let Some((depth, height)) = depth.zip(height) else { continue };
            let source = &plane[(depth * heights + height) * widths..][..widths];
            for (&Phase { zeros, from, count }, line) in self.phases.iter().zip(lines.chunks_exact_mut(self.line)) {
                let there = &mut line[zeros..zeros + count];
                if wide.step == 1 {
                    copy(there, &source[from..from + count]);
                } else {
                    there.iter_mut().zip(source[from..].iter().step_by(wide.step)).for_each(|(to, &x)| *to = x);
                }
            }
        }
    }
}

/// A register's worth of numbers at `at`.
///
/// # Safety
/// They are there.
#[inline(always)]
unsafe fn lanes_at<T: Float, S: Simd>(x: &[T], at: usize) -> [T::In<S>; LANES] {
    debug_assert!(at + LANES <= x.len());
    // SAFETY: as the caller promises; there is no alignment to keep.
    let x: [T; LANES] = unsafe { x.as_ptr().add(at).cast::<[T; LANES]>().read_unaligned() };
    x.map(T::enter::<S>)
}

/// y \[+\]= Σ w·x for the outputs of one field, by all of its taps; with `N` taps unrolled, with 0 any number.
struct Correlate<'a, T, const N: usize> {
    field: &'a Field<'a>,
    x: &'a [T],
    kernel: &'a [T],
    y: &'a mut [T],
    /// Size of y.
    out: [usize; 3],
    accumulate: bool,
    /// Room for a line of outputs, in whole lanes.
    row: &'a mut [T],
}

impl<T: Float, const N: usize> Kernel for Correlate<'_, T, N> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Correlate { field, x, kernel, y, out, accumulate, row } = self;
        let [deep, high, wide] = field.axes;
        assert_eq!(x.len(), field.elements());
        let taps: [(T::In<S>, usize); N] = std::array::from_fn(|tap| {
            let (index, at) = field.taps[tap];
            (kernel[index].enter::<S>(), at)
        });
        // Lines that go where they belong at once; the last register over some of the one before.
        let direct = wide.apart == 1 && wide.count >= LANES && !accumulate;
        for line in 0..field.lines() {
            let (depth, height) = (line / high.count, line % high.count);
            let above = (deep.first + depth * deep.apart) * out[1] + high.first + height * high.apart;
            let (start, y) = (field.start(line), &mut y[above * out[2] + wide.first..]);
            if accumulate {
                row.iter_mut().zip(y.iter().step_by(wide.apart).take(wide.count)).for_each(|(row, &y)| *row = y);
            }
            for at in (0..wide.count).step_by(LANES) {
                let at = if direct { at.min(wide.count - LANES) } else { at };
                let mut sums = [T::default().enter::<S>(); LANES];
                if accumulate {
                    for i in 0..LANES {
                        sums[i] = row[at + i].enter::<S>();
                    }
                }
                let mut add = |w: T::In<S>, tap: usize| {
                    // SAFETY: a field has whole lanes of outputs, and what each of its taps reaches from them.
                    let x = unsafe { lanes_at::<T, S>(x, start + tap + at) };
                    for i in 0..LANES {
                        sums[i] = w.mul_add(x[i], sums[i]);
                    }
                };
                if N > 0 {
                    for (w, tap) in taps {
                        add(w, tap);
                    }
                } else {
                    for &(index, tap) in &field.taps {
                        add(kernel[index].enter::<S>(), tap);
                    }
                }
                let to = if direct { &mut y[at..at + LANES] } else { &mut row[at..at + LANES] };
                for i in 0..LANES {
                    to[i] = T::leave::<S>(sums[i]);
                }
            }
            if !direct && wide.apart == 1 {
                copy(&mut y[..wide.count], &row[..wide.count]);
            } else if !direct {
                y.iter_mut().step_by(wide.apart).zip(&row[..wide.count]).for_each(|(y, &row)| *y = row);
            }
        }
    }
}

impl<T: Float> Correlate<'_, T, 0> {
    fn run_on(self, isa: Isa) {
        if self.field.taps.len() != 9 {
            return isa.run(self);
        }
        let Correlate { field, x, kernel, y, out, accumulate, row } = self;
        isa.run(Correlate::<T, 9> { field, x, kernel, y, out, accumulate, row });
    }
}

pub(super) fn forward<T: Float>(isa: Isa, conv: &Conv, x: &[T], weight: &[T], y: &mut [T], epilogue: &Epilogue<'_, T>) {
    let (plane, out, taps) = (conv.plane(), conv.out_plane(), conv.taps());
    let axes = std::array::from_fn(|axis| Axis::forward(conv, axis));
    let (field, kernels) = (Field::new(conv, &axes, conv.size), T::kernels(isa).0);
    let to = Place(y.as_mut_ptr());
    // A result's plane is a row to the epilogue.
    let by_plane = match epilogue.bias {
        Bias::Row(bias) => Epilogue { bias: Bias::Column(bias), ..*epilogue },
        _ => *epilogue,
    };
    each(conv, conv.batch * conv.groups, PLANES, |planes| {
        local(|local| {
            let (laid, mut row) = (field.zeros(&mut local.strip), field.row());
            for number in planes {
                field.fill(&x[number * plane..][..plane], laid);
                for result in 0..conv.outputs {
                    // SAFETY: the task's own planes of y.
                    let y =
                        unsafe { std::slice::from_raw_parts_mut(to.at((number * conv.outputs + result) * out), out) };
                    let result = number % conv.groups * conv.outputs + result;
                    let (kernel, row) = (&weight[result * taps..][..taps], &mut row);
                    let (field, x, out) = (&field, &*laid, conv.out);
                    Correlate { field, x, kernel, y: &mut *y, out, accumulate: false, row }.run_on(isa);
                    by_plane.finish(kernels, y, result, 0);
                }
            }
        });
    });
}

/// Where taps are missing dx is 0 already.
pub(super) fn grad_input<T: Float>(isa: Isa, conv: &Conv, dy: &[T], weight: &[T], dx: &mut [T]) {
    let (plane, out, taps) = (conv.plane(), conv.out_plane(), conv.taps());
    let to = Place(dx.as_mut_ptr());
    let [deep, high, wide]: [Vec<Axis>; 3] = std::array::from_fn(|axis| Axis::backward(conv, axis));
    for depth in &deep {
        for height in &high {
            for width in &wide {
                let axes = [depth.clone(), height.clone(), width.clone()];
                let field = Field::new(conv, &axes, conv.out);
                each(conv, conv.batch * conv.groups, PLANES, |planes| {
                    local(|local| {
                        let (laid, mut row) = (field.zeros(&mut local.strip), field.row());
                        for number in planes {
                            // SAFETY: the task's own planes of dx.
                            let dx = unsafe { std::slice::from_raw_parts_mut(to.at(number * plane), plane) };
                            for result in 0..conv.outputs {
                                field.fill(&dy[(number * conv.outputs + result) * out..][..out], laid);
                                let kernel = number % conv.groups * conv.outputs + result;
                                let (kernel, row) = (&weight[kernel * taps..][..taps], &mut row);
                                let (field, x, y, accumulate) = (&field, &*laid, &mut *dx, result > 0);
                                Correlate { field, x, kernel, y, out: conv.size, accumulate, row }.run_on(isa);
                            }
                        }
                    });
                });
            }
        }
    }
}

/// Adds the products of dy's lines and what they meet to the lanes of some taps.
struct Products<'a, T, const N: usize> {
    met: &'a Met<'a, T>,
    /// Where the taps meet a line, from its start on.
    taps: [usize; N],
    lanes: &'a mut [[T; LANES]],
}

/// Lines of a gradient, and what they meet.
struct Met<'a, T> {
    x: &'a [T],
    /// Where the first element of each line meets x, by a tap at 0.
    starts: &'a [usize],
    dy: &'a [T],
    /// Of a line: whole lanes, or more than that.
    columns: usize,
}

impl<T: Float, const N: usize> Kernel for Products<'_, T, N> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Products { met: &Met { x, starts, dy, columns }, taps, lanes } = self;
        let reach = starts.iter().max().copied().unwrap_or(0) + taps.iter().max().copied().unwrap_or(0);
        assert!(columns >= LANES && starts.len() * columns <= dy.len() && reach + columns <= x.len());
        let mut sums = [[T::default().enter::<S>(); LANES]; N];
        for (sums, lanes) in sums.iter_mut().zip(&*lanes) {
            *sums = lanes.map(T::enter::<S>);
        }
        let zero = T::default().enter::<S>();
        // The last lanes of a line lie over some of the ones before, whose slopes are 0 there: what they meet was met already,
        // and where that is not finite the sum is not either.
        let double = columns.next_multiple_of(LANES) - columns;
        for (line, &start) in starts.iter().enumerate() {
            for at in (0..columns).step_by(LANES) {
                let last = at + LANES > columns;
                let at = if last { columns - LANES } else { at };
                // SAFETY: within a line of dy.
                let mut slopes = unsafe { lanes_at::<T, S>(dy, line * columns + at) };
                if last {
                    for slope in &mut slopes[..double] {
                        *slope = zero;
                    }
                }
                for tap in 0..N {
                    // SAFETY: what a line's elements meet by any tap is within x, as was checked.
                    let x = unsafe { lanes_at::<T, S>(x, start + taps[tap] + at) };
                    for i in 0..LANES {
                        sums[tap][i] = slopes[i].mul_add(x[i], sums[tap][i]);
                    }
                }
            }
        }
        for (sums, lanes) in sums.into_iter().zip(lanes) {
            *lanes = sums.map(T::leave::<S>);
        }
    }
}

/// The products of all taps, as many at a time as there are kernels for.
fn products<T: Float>(isa: Isa, met: &Met<'_, T>, taps: &[usize], lanes: &mut [[T; LANES]]) {
    macro_rules! first {
        ($n:literal, $from:expr) => {{
            let taps = std::array::from_fn(|i| taps[$from + i]);
            isa.run(Products::<T, $n> { met, taps, lanes: &mut lanes[$from..$from + $n] });
            $n
        }};
    }
    let mut done = 0;
    while done < taps.len() {
        done += match taps.len() - done {
            9.. => first!(9, done),
            5.. => first!(5, done),
            3.. => first!(3, done),
            _ => first!(1, done),
        };
    }
}

pub(super) fn grad_weight<T: Float>(isa: Isa, conv: &Conv, x: &[T], dy: &[T], dw: &mut [T]) {
    let (plane, out, taps) = (conv.plane(), conv.out_plane(), conv.taps());
    let axes = std::array::from_fn(|axis| Axis::forward(conv, axis));
    let field = Field::new(conv, &axes, conv.size);
    let columns = conv.out[2];
    let starts: Vec<usize> = (0..field.lines()).map(|line| field.start(line)).collect();
    let places: Vec<usize> = field.taps.iter().map(|&(_, place)| place).collect();
    // Lines that fill no register are put together to one, and what each tap meets of them.
    let narrow = columns < LANES;
    let whole = out.next_multiple_of(LANES);
    let joined: Vec<usize> = (0..taps).map(|tap| tap * whole).collect();
    let to = Place(dw.as_mut_ptr());
    each(conv, conv.groups, 1, |groups| {
        let mut lanes = vec![[T::default(); LANES]; conv.outputs * taps];
        let mut met = vec![T::default(); if narrow { taps * whole } else { 0 }];
        let mut slopes = vec![T::default(); if narrow { whole } else { 0 }];
        for group in groups {
            lanes.fill([T::default(); LANES]);
            local(|local| {
                let laid = field.zeros(&mut local.strip);
                for n in 0..conv.batch {
                    let image = n * conv.groups + group;
                    field.fill(&x[image * plane..][..plane], laid);
                    if narrow {
                        for (place, met) in places.iter().zip(met.chunks_exact_mut(whole)) {
                            for (start, met) in starts.iter().zip(met.chunks_exact_mut(columns)) {
                                copy(met, &laid[start + place..][..columns]);
                            }
                        }
                    }
                    for (number, lanes) in lanes.chunks_exact_mut(taps).enumerate() {
                        let dy = &dy[(image * conv.outputs + number) * out..][..out];
                        if narrow {
                            copy(&mut slopes[..out], dy);
                            let met = Met { x: &met, starts: &[0], dy: &slopes, columns: whole };
                            products(isa, &met, &joined, lanes);
                        } else {
                            products(isa, &Met { x: laid, starts: &starts, dy, columns }, &places, lanes);
                        }
                    }
                }
            });
            // SAFETY: the weights of the task's own groups.
            let dw = unsafe { std::slice::from_raw_parts_mut(to.at(group * conv.outputs * taps), conv.outputs * taps) };
            for (dw, &lanes) in dw.iter_mut().zip(&lanes) {
                *dw = combine_lanes::<T, Sum>(lanes);
            }
        }
    });
}
