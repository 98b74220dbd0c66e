//! Groups of one input channel: each plane under kernels of its own. Little is computed with each element, so planes are read
//! where they lie, a row and a tap at a time.

use super::scratch::Place;
use super::taps::{Axis, Tap};
use super::{Conv, Float};
use crate::gemm::{Bias, Epilogue};
use crate::reduce::{LANES, Sum, combine_lanes};
use crate::{Isa, Kernel, Simd, team};
use kiln_math::Real;
use std::ops::Range;

/// Multiplications that are worth a second thread.
const PARALLEL: usize = 1 << 17;

fn each(conv: &Conv, tasks: usize, f: impl Fn(usize) + Sync) {
    let work = conv.batch * conv.groups * conv.outputs * conv.out_plane() * conv.taps();
    if work < PARALLEL { (0..tasks).for_each(f) } else { team::parallel(tasks, f) }
}

/// The walk over a plane's output rows and taps.
struct Walk<'a> {
    conv: &'a Conv,
    axes: [Axis; 3],
}

/// A row of outputs and a tap: where what they meet is.
struct Met {
    /// The outputs of the plane that meet something.
    outputs: Range<usize>,
    /// What the first of them meets in its plane.
    input: usize,
    tap: usize,
}

impl<'a> Walk<'a> {
    fn new(conv: &'a Conv) -> Self {
        Walk { conv, axes: std::array::from_fn(|axis| Axis::forward(conv, axis)) }
    }

    /// What output row number `line` meets by each tap, in the order of the kernel.
    #[inline(always)]
    fn line(&self, line: usize, mut visit: impl FnMut(Met)) {
        let [deep, high, wide] = &self.axes;
        let [depths, heights, widths] = self.conv.size;
        let [_, rows, columns] = self.conv.kernel;
        for depth in &deep.taps {
            let Some(at) = deep.input(line / high.count, *depth, depths) else { continue };
            for height in &high.taps {
                let Some(down) = high.input(line % high.count, *height, heights) else { continue };
                for width in &wide.taps {
                    let (first, count) = met(wide, *width, widths);
                    if count == 0 {
                        continue;
                    }
                    let right = ((first * wide.step) as isize + width.offset) as usize;
                    let start = line * wide.count + first;
                    visit(Met {
                        outputs: start..start + count,
                        input: (at * heights + down) * widths + right,
                        tap: (depth.index * rows + height.index) * columns + width.index,
                    });
                }
            }
        }
    }

    fn lines(&self) -> usize {
        self.axes[0].count * self.axes[1].count
    }
}

/// The first output that meets an input by a tap, and how many do.
#[inline(always)]
fn met(axis: &Axis, tap: Tap, size: usize) -> (usize, usize) {
    let first = (-tap.offset).max(0) as usize;
    let first = first.div_ceil(axis.step);
    let end = (size as isize - tap.offset).max(0) as usize;
    let end = end.div_ceil(axis.step).min(axis.count);
    (first, end.saturating_sub(first))
}

/// y = Σ w·x for one plane.
struct Forward<'a, T> {
    walk: &'a Walk<'a>,
    x: &'a [T],
    weight: &'a [T],
    y: &'a mut [T],
}

impl<T: Float> Kernel for Forward<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Forward { walk, x, weight, y } = self;
        let step = walk.axes[2].step;
        y.fill(T::default());
        for line in 0..walk.lines() {
            walk.line(line, |Met { outputs, input, tap }| {
                let w = weight[tap].enter::<S>();
                add_scaled::<S, T>(&mut y[outputs.clone()], 1, &x[input..], step, outputs.len(), w);
            });
        }
    }
}

/// to\[i·to_step\] += w·from\[i·from_step\]
#[inline(always)]
fn add_scaled<S: Simd, T: Float>(
    to: &mut [T],
    to_step: usize,
    from: &[T],
    from_step: usize,
    count: usize,
    w: T::In<S>,
) {
    if to_step == 1 && from_step == 1 {
        for (to, from) in to[..count].iter_mut().zip(&from[..count]) {
            *to = T::leave::<S>(w.mul_add(from.enter::<S>(), to.enter::<S>()));
        }
        return;
    }
    for i in 0..count {
        let (from, to) = (from[i * from_step].enter::<S>(), &mut to[i * to_step]);
        *to = T::leave::<S>(w.mul_add(from, to.enter::<S>()));
    }
}

pub(super) fn forward<T: Float>(isa: Isa, conv: &Conv, x: &[T], weight: &[T], y: &mut [T], epilogue: &Epilogue<'_, T>) {
    let (plane, out, taps) = (conv.plane(), conv.out_plane(), conv.taps());
    let (walk, kernels) = (Walk::new(conv), T::kernels(isa).0);
    let to = Place(y.as_mut_ptr());
    let results = conv.groups * conv.outputs;
    // A result's plane is a row to the epilogue.
    let by_plane = match epilogue.bias {
        Bias::Row(bias) => Epilogue { bias: Bias::Column(bias), ..*epilogue },
        _ => *epilogue,
    };
    each(conv, conv.batch * results, |task| {
        let (n, result) = (task / results, task % results);
        let x = &x[(n * conv.groups + result / conv.outputs) * plane..][..plane];
        let weight = &weight[result * taps..][..taps];
        // SAFETY: the task's own plane of y.
        let y = unsafe { std::slice::from_raw_parts_mut(to.at(task * out), out) };
        isa.run(Forward { walk: &walk, x, weight, y: &mut *y });
        by_plane.finish(kernels, y, result, 0);
    });
}

/// dx += Σ w·dy for one plane.
struct Backward<'a, T> {
    walk: &'a Walk<'a>,
    dy: &'a [T],
    weight: &'a [T],
    dx: &'a mut [T],
}

impl<T: Float> Kernel for Backward<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Backward { walk, dy, weight, dx } = self;
        let step = walk.axes[2].step;
        for line in 0..walk.lines() {
            walk.line(line, |Met { outputs, input, tap }| {
                let w = weight[tap].enter::<S>();
                add_scaled::<S, T>(&mut dx[input..], step, &dy[outputs.clone()], 1, outputs.len(), w);
            });
        }
    }
}

pub(super) fn grad_input<T: Float>(isa: Isa, conv: &Conv, dy: &[T], weight: &[T], dx: &mut [T]) {
    let (plane, out, taps) = (conv.plane(), conv.out_plane(), conv.taps());
    let walk = Walk::new(conv);
    let to = Place(dx.as_mut_ptr());
    each(conv, conv.batch * conv.groups, |task| {
        // SAFETY: the task's own plane of dx.
        let dx = unsafe { std::slice::from_raw_parts_mut(to.at(task * plane), plane) };
        dx.fill(T::default());
        for number in 0..conv.outputs {
            let weight = &weight[(task % conv.groups * conv.outputs + number) * taps..][..taps];
            let dy = &dy[(task * conv.outputs + number) * out..][..out];
            isa.run(Backward { walk: &walk, dy, weight, dx: &mut *dx });
        }
    });
}

/// Adds one plane's products to the lanes of each tap.
struct Products<'a, T> {
    walk: &'a Walk<'a>,
    x: &'a [T],
    dy: &'a [T],
    lanes: &'a mut [[T; LANES]],
}

impl<T: Float> Kernel for Products<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Products { walk, x, dy, lanes } = self;
        let step = walk.axes[2].step;
        for line in 0..walk.lines() {
            walk.line(line, |Met { outputs, input, tap }| {
                let mut sums = lanes[tap].map(T::enter::<S>);
                let (dy, x) = (&dy[outputs], &x[input..]);
                let whole = dy.len() / LANES * LANES;
                for at in (0..whole).step_by(LANES) {
                    for lane in 0..LANES {
                        let x = x[(at + lane) * step].enter::<S>();
                        sums[lane] = dy[at + lane].enter::<S>().mul_add(x, sums[lane]);
                    }
                }
                for at in whole..dy.len() {
                    let x = x[at * step].enter::<S>();
                    sums[at - whole] = dy[at].enter::<S>().mul_add(x, sums[at - whole]);
                }
                lanes[tap] = sums.map(T::leave::<S>);
            });
        }
    }
}

pub(super) fn grad_weight<T: Float>(isa: Isa, conv: &Conv, x: &[T], dy: &[T], dw: &mut [T]) {
    let (plane, out, taps) = (conv.plane(), conv.out_plane(), conv.taps());
    let walk = Walk::new(conv);
    let to = Place(dw.as_mut_ptr());
    let results = conv.groups * conv.outputs;
    each(conv, results, |result| {
        let mut lanes = vec![[T::default(); LANES]; taps];
        for n in 0..conv.batch {
            let x = &x[(n * conv.groups + result / conv.outputs) * plane..][..plane];
            let dy = &dy[(n * results + result) * out..][..out];
            isa.run(Products { walk: &walk, x, dy, lanes: &mut lanes });
        }
        // SAFETY: the task's own taps.
        let dw = unsafe { std::slice::from_raw_parts_mut(to.at(result * taps), taps) };
        for (dw, lanes) in dw.iter_mut().zip(lanes) {
            *dw = combine_lanes::<T, Sum>(lanes);
        }
    });
}
