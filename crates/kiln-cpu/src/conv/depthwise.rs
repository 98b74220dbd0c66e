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

/// Outputs that are computed at once: two registers' worth, so that one's additions need not wait for each other.
const GROUP: usize = 2 * LANES;
/// Multiplications that are worth a second thread.
const PARALLEL: usize = 1 << 17;

fn each(conv: &Conv, tasks: usize, f: impl Fn(usize) + Sync) {
    let work = conv.batch * conv.groups * conv.outputs * conv.out_plane() * conv.taps();
    if work < PARALLEL { (0..tasks).for_each(f) } else { team::parallel(tasks, f) }
}

/// How a plane is laid out for the outputs of three axes.
struct Field<'a> {
    axes: &'a [Axis; 3],
    /// Size of the plane.
    size: [usize; 3],
    /// Lines of the field: depth × height × what the stride passes over.
    rows: [usize; 3],
    /// Elements of a line: the outputs in whole groups, and what taps reach beyond.
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
        let line = wide.count.next_multiple_of(GROUP) + (right - left) as usize / wide.step;
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
        vec![T::default(); self.axes[2].count.next_multiple_of(GROUP)]
    }

    /// Lays out a plane.
    fn fill<'b, T: Float>(&self, plane: &[T], buffer: &'b mut Buffer) -> &'b [T] {
        let [deep, high, wide] = self.axes;
        let count = self.elements();
        // SAFETY: the buffer has room for so many, all of which were initialised, to anything.
        let field = unsafe { std::slice::from_raw_parts_mut(buffer.room::<T>(count), count) };
        let [depths, heights, widths] = self.size;
        let ((front, _), (top, _)) = (deep.reach(), high.reach());
        let inside = |at: isize, size: usize| usize::try_from(at).ok().filter(|&at| at < size);
        for (row, lines) in field.chunks_exact_mut(self.rows[2] * self.line).enumerate() {
            let depth = inside((row / self.rows[1]) as isize + front, depths);
            let height = inside((row % self.rows[1]) as isize + top, heights);
            let source =
                depth.zip(height).map(|(depth, height)| &plane[(depth * heights + height) * widths..][..widths]);
            for (&Phase { zeros, from, count }, line) in self.phases.iter().zip(lines.chunks_exact_mut(self.line)) {
                let Some(source) = source else {
                    line.fill(T::default());
                    continue;
                };
                line[..zeros].fill(T::default());
                let there = &mut line[zeros..zeros + count];
                if wide.step == 1 {
                    there.copy_from_slice(&source[from..from + count]);
                } else {
                    there.iter_mut().zip(source[from..].iter().step_by(wide.step)).for_each(|(to, &x)| *to = x);
                }
                line[zeros + count..].fill(T::default());
            }
        }
        field
    }

    /// The weights of the taps that there are.
    fn weights<T: Float>(&self, kernel: &[T]) -> Vec<(T, usize)> {
        self.taps.iter().map(|&(index, at)| (kernel[index], at)).collect()
    }
}

/// y \[+\]= Σ w·x for the outputs of one field.
struct Correlate<'a, T> {
    field: &'a Field<'a>,
    x: &'a [T],
    weights: &'a [(T, usize)],
    y: &'a mut [T],
    /// Size of y.
    out: [usize; 3],
    accumulate: bool,
    /// Room for a line of outputs, in whole groups.
    row: &'a mut [T],
}

impl<T: Float> Kernel for Correlate<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Correlate { field, x, weights, y, out, accumulate, row } = self;
        let [deep, high, wide] = field.axes;
        for line in 0..field.lines() {
            let (depth, height) = (line / high.count, line % high.count);
            let above = (deep.first + depth * deep.apart) * out[1] + high.first + height * high.apart;
            let (start, y) = (field.start(line), &mut y[above * out[2] + wide.first..]);
            if accumulate {
                row.iter_mut().zip(y.iter().step_by(wide.apart).take(wide.count)).for_each(|(row, &y)| *row = y);
            }
            for (number, group) in row.chunks_exact_mut(GROUP).enumerate() {
                let mut sums = [T::default().enter::<S>(); GROUP];
                if accumulate {
                    for i in 0..GROUP {
                        sums[i] = group[i].enter::<S>();
                    }
                }
                for &(w, tap) in weights {
                    let (w, from) = (w.enter::<S>(), start + tap + number * GROUP);
                    let x = &x[from..from + GROUP];
                    for i in 0..GROUP {
                        sums[i] = w.mul_add(x[i].enter::<S>(), sums[i]);
                    }
                }
                for i in 0..GROUP {
                    group[i] = T::leave::<S>(sums[i]);
                }
            }
            if wide.apart == 1 {
                y[..wide.count].copy_from_slice(&row[..wide.count]);
            } else {
                y.iter_mut().step_by(wide.apart).zip(&row[..wide.count]).for_each(|(y, &row)| *y = row);
            }
        }
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
    each(conv, conv.batch * conv.groups, |task| {
        local(|local| {
            let laid = field.fill(&x[task * plane..][..plane], &mut local.strip);
            let mut row = field.row();
            for number in 0..conv.outputs {
                let result = task % conv.groups * conv.outputs + number;
                let weights = field.weights(&weight[result * taps..][..taps]);
                // SAFETY: the task's own plane of y.
                let y = unsafe { std::slice::from_raw_parts_mut(to.at((task * conv.outputs + number) * out), out) };
                let (weights, out, row) = (&weights, conv.out, &mut row);
                isa.run(Correlate { field: &field, x: laid, weights, y: &mut *y, out, accumulate: false, row });
                by_plane.finish(kernels, y, result, 0);
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
                each(conv, conv.batch * conv.groups, |task| {
                    // SAFETY: the task's own plane of dx.
                    let dx = unsafe { std::slice::from_raw_parts_mut(to.at(task * plane), plane) };
                    let mut row = field.row();
                    for number in 0..conv.outputs {
                        local(|local| {
                            let result = task * conv.outputs + number;
                            let laid = field.fill(&dy[result * out..][..out], &mut local.strip);
                            let kernel = task % conv.groups * conv.outputs + number;
                            let weights = field.weights(&weight[kernel * taps..][..taps]);
                            let (weights, y, accumulate, row) = (&weights, &mut *dx, number > 0, &mut row);
                            isa.run(Correlate { field: &field, x: laid, weights, y, out: conv.size, accumulate, row });
                        });
                    }
                });
            }
        }
    }
}

/// Adds one plane's products to the lanes of some taps.
struct Products<'a, T, const N: usize, const FINITE: bool> {
    field: &'a Field<'a>,
    x: &'a [T],
    dy: &'a [T],
    taps: [usize; N],
    lanes: &'a mut [[T; LANES]],
}

impl<T: Float, const N: usize, const FINITE: bool> Kernel for Products<'_, T, N, FINITE> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Products { field, x, dy, taps, lanes } = self;
        let columns = field.axes[2].count;
        let mut sums = [[T::default().enter::<S>(); LANES]; N];
        for (sums, lanes) in sums.iter_mut().zip(&*lanes) {
            *sums = lanes.map(T::enter::<S>);
        }
        for line in 0..field.lines() {
            let (start, row) = (field.start(line), &dy[line * columns..][..columns]);
            for at in (0..columns).step_by(LANES) {
                let (count, mut slopes) = (LANES.min(columns - at), [T::default(); LANES]);
                match row[at..].first_chunk::<LANES>() {
                    Some(whole) => slopes = *whole,
                    None => slopes[..count].copy_from_slice(&row[at..]),
                }
                let slopes = slopes.map(T::enter::<S>);
                for tap in 0..N {
                    let x = &x[start + taps[tap] + at..][..LANES];
                    // Past the line slopes of 0 meet something: that changes nothing where it is finite.
                    let met = if FINITE { LANES } else { count };
                    let mut lanes = sums[tap];
                    for i in 0..met {
                        lanes[i] = slopes[i].mul_add(x[i].enter::<S>(), lanes[i]);
                    }
                    sums[tap] = lanes;
                }
            }
        }
        for (sums, lanes) in sums.into_iter().zip(lanes) {
            *lanes = sums.map(T::leave::<S>);
        }
    }
}

/// Whether all of x is finite: x·0 is 0 then, else NaN.
struct Finite<'a, T>(&'a [T]);

impl<T: Float> Kernel for Finite<'_, T> {
    type Output = bool;
    #[inline(always)]
    fn run<S: Simd>(self) -> bool {
        let zero = T::default().enter::<S>();
        let mut sums = [zero; LANES];
        let (whole, rest) = self.0.as_chunks::<LANES>();
        for group in whole {
            for i in 0..LANES {
                sums[i] = sums[i] + group[i].enter::<S>() * zero;
            }
        }
        let rest = rest.iter().map(|&x| x * T::default());
        sums.map(T::leave::<S>).into_iter().chain(rest).all(|product| product == T::default())
    }
}

/// The products of the first so many of these taps, as many as there are kernels for.
fn products<T: Float>(
    isa: Isa,
    field: &Field<'_>,
    (x, finite): (&[T], bool),
    dy: &[T],
    taps: &[(usize, usize)],
    lanes: &mut [[T; LANES]],
) -> usize {
    macro_rules! first {
        ($n:literal $finite:literal) => {{
            let places = std::array::from_fn(|i| taps[i].1);
            isa.run(Products::<T, $n, $finite> { field, x, dy, taps: places, lanes: &mut lanes[..$n] });
            $n
        }};
    }
    match taps.len() {
        _ if !finite => first!(1 false),
        9.. => first!(9 true),
        5.. => first!(5 true),
        3.. => first!(3 true),
        _ => first!(1 true),
    }
}

pub(super) fn grad_weight<T: Float>(isa: Isa, conv: &Conv, x: &[T], dy: &[T], dw: &mut [T]) {
    let (plane, out, taps) = (conv.plane(), conv.out_plane(), conv.taps());
    let axes = std::array::from_fn(|axis| Axis::forward(conv, axis));
    let field = Field::new(conv, &axes, conv.size);
    let to = Place(dw.as_mut_ptr());
    each(conv, conv.groups, |group| {
        let mut lanes = vec![[T::default(); LANES]; conv.outputs * taps];
        for n in 0..conv.batch {
            local(|local| {
                let image = n * conv.groups + group;
                let laid = field.fill(&x[image * plane..][..plane], &mut local.strip);
                let x = (laid, isa.run(Finite(laid)));
                for (number, lanes) in lanes.chunks_exact_mut(taps).enumerate() {
                    let dy = &dy[(image * conv.outputs + number) * out..][..out];
                    let mut done = 0;
                    while done < taps {
                        done += products(isa, &field, x, dy, &field.taps[done..], &mut lanes[done..]);
                    }
                }
            });
        }
        // SAFETY: the weights of the task's own group.
        let dw = unsafe { std::slice::from_raw_parts_mut(to.at(group * conv.outputs * taps), conv.outputs * taps) };
        for (dw, lanes) in dw.iter_mut().zip(lanes) {
            *dw = combine_lanes::<T, Sum>(lanes);
        }
    });
}
