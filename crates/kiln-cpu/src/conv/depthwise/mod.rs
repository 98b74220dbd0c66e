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
use crate::gemm::{Bias, GemmEpilogue};
use crate::reduce::{LANES, Sum, combine_lanes};
use crate::{Isa, team};
use correlate::Correlate;
use field::{Field, copy};
use kiln_math::K_BLOCK;
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

pub(super) fn forward<T: Float>(
    isa: Isa,
    conv: &Conv,
    x: &[T],
    weight: &[T],
    y: &mut [T],
    epilogue: &GemmEpilogue<'_, T>,
) {
    let (plane, out, taps) = (conv.plane(), conv.out_plane(), conv.taps());
    let axes = std::array::from_fn(|axis| Axis::forward(conv, axis));
    let (field, kernels) = (Field::new(conv, &axes, conv.size), T::kernels(isa).0);
    let to = Place(y.as_mut_ptr());
    // A result's plane is a row to the epilogue.
    let by_plane = match epilogue.bias {
        Bias::Row(bias) => GemmEpilogue { bias: Bias::Column(bias), ..*epilogue },
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

/// A part of a plane whose products are added to the lanes together.
struct Piece {
    lines: Range<usize>,
    columns: Range<usize>,
    /// What a lane gets of them.
    terms: usize,
}

/// A plane in pieces that are no longer than a block of each lane: lines, or where these are longer, parts of them.
fn pieces(lines: usize, columns: usize) -> Vec<Piece> {
    let piece = |lines: Range<usize>, columns: Range<usize>| {
        let terms = lines.len() * columns.len().div_ceil(LANES);
        Piece { lines, columns, terms }
    };
    let parts = columns.div_ceil(K_BLOCK * LANES);
    if parts > 1 {
        let part = |part: usize| part * columns / parts..(part + 1) * columns / parts;
        return (0..lines)
            .flat_map(|line| (0..parts).map(move |i| (line, i)))
            .map(|(line, i)| piece(line..line + 1, part(i)))
            .collect();
    }
    let each = (K_BLOCK / columns.div_ceil(LANES)).max(1);
    (0..lines).step_by(each).map(|line| piece(line..lines.min(line + each), 0..columns)).collect()
}

/// The sums of products in lanes: chains of at most a block, and what they were added to.
struct Sums<T> {
    chains: Vec<[T; LANES]>,
    whole: Vec<[T; LANES]>,
    /// Terms of a lane's chain.
    terms: usize,
}

impl<T: Float> Sums<T> {
    fn new(count: usize) -> Self {
        Sums { chains: vec![[T::default(); LANES]; count], whole: vec![[T::default(); LANES]; count], terms: 0 }
    }

    fn clear(&mut self) {
        self.chains.fill([T::default(); LANES]);
        self.whole.fill([T::default(); LANES]);
        self.terms = 0;
    }

    /// The chains, to which so many terms will be added.
    fn chains(&mut self, terms: usize) -> &mut [[T; LANES]] {
        if self.terms + terms > K_BLOCK {
            self.end_block();
        }
        self.terms += terms;
        &mut self.chains
    }

    /// Adds the chains to the sums, and begins new ones.
    fn end_block(&mut self) {
        for (whole, chain) in self.whole.iter_mut().zip(&mut self.chains) {
            for (whole, chain) in whole.iter_mut().zip(chain) {
                *whole = *whole + *chain;
                *chain = T::default();
            }
        }
        self.terms = 0;
    }

    /// The sums of all lanes.
    fn finish(&mut self) -> impl Iterator<Item = T> {
        self.end_block();
        self.whole.iter().map(|&lanes| combine_lanes::<T, Sum>(lanes))
    }
}

/// The sums run along the positions of the images, in lanes that are combined at last. A lane's chain ends with the piece of an
/// image by which it has at most a block's terms.
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
    let pieces = if narrow { pieces(1, whole) } else { pieces(field.lines(), columns) };
    let to = Place(dw.as_mut_ptr());
    each(conv, conv.groups, 1, |groups| {
        let mut sums = Sums::<T>::new(conv.outputs * taps);
        let mut met = vec![T::default(); if narrow { taps * whole } else { 0 }];
        let mut slopes = vec![T::default(); if narrow { whole } else { 0 }];
        for group in groups {
            sums.clear();
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
                    for Piece { lines, columns: part, terms } in &pieces {
                        let chains = sums.chains(*terms);
                        for (number, chains) in chains.chunks_exact_mut(taps).enumerate() {
                            let dy = &dy[(image * conv.outputs + number) * out..][..out];
                            if narrow {
                                copy(&mut slopes[..out], dy);
                                let dy = &slopes[part.clone()];
                                let met = Met { x: &met[part.start..], starts: &[0], dy, columns: part.len() };
                                products(isa, &met, &joined, chains);
                            } else {
                                let dy = &dy[lines.start * columns + part.start..];
                                let (x, starts) = (&laid[part.start..], &starts[lines.clone()]);
                                products(isa, &Met { x, starts, dy, columns: part.len() }, &places, chains);
                            }
                        }
                    }
                }
            });
            // SAFETY: the weights of the task's own groups.
            let dw = unsafe { std::slice::from_raw_parts_mut(to.at(group * conv.outputs * taps), conv.outputs * taps) };
            dw.iter_mut().zip(sums.finish()).for_each(|(dw, sum)| *dw = sum);
        }
    });
}
