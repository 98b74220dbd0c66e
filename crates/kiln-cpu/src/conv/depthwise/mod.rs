//! Groups of one input channel: each plane under kernels of its own.
//!
//! Little is computed with each element, so a plane is first laid out between its zeros, what a stride passes over in lines of
//! its own: then each tap of a line of outputs meets adjacent elements.

mod correlate;
mod field;
mod products;

use super::scratch::{Place, local};
use super::taps::Axis;
use super::{Conv, Float};
use crate::gemm::{Bias, Epilogue};
use crate::reduce::{LANES, Sum, combine_lanes};
use crate::{Isa, team};
use correlate::Correlate;
use field::{Field, copy};
use products::{Met, products};
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
                    let place = to.at((number * conv.outputs + result) * out);
                    // SAFETY: the task's own planes of y.
                    let y = unsafe { std::slice::from_raw_parts_mut(place, out) };
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
