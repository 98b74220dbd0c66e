//! Sums over channels, in an order that the shape alone fixes.
//!
//! A channel's elements are cut into chunks of whole samples, or of parts of one sample where that is large (see
//! [`Chunks`]). In a chunk of a small channel, sums run down the samples for each element, and element i's sum goes to lane
//! i mod [`LANES`]; in a chunk of a large one, element i of each sample goes to lane i mod [`LANES`] at once. The lanes are
//! combined in halves, and the chunks' results are added up by the tree of [`crate::reduce`]. A GPU's kernels do the same.

use super::{BLOCK, Channels};
use crate::operand::{Number, StoredAs};
use crate::reduce::{LANES, Sum, combine_lanes, tree};
use crate::{Isa, Kernel, Simd};
use std::ops::Range;

/// What is added up of each element: `K` sums at a time.
pub(super) trait Terms<T: Number, const K: usize>: Copy {
    /// The same of `count` elements from `start` on.
    fn part(self, start: usize, count: usize) -> Self;
    /// `sums` plus the terms of the `W` elements from `at` on; what belongs to their channels is found from `factor` on, as
    /// [`factors`] made it.
    fn add<S: Simd, const W: usize>(&self, at: usize, factor: usize, sums: [[T::In<S>; W]; K]) -> [[T::In<S>; W]; K];
}

/// Numbers of `W` elements, as a kernel computes with them. (Loops fill them: `from_fn` is a function of its own, which the
/// compiler may leave without the instruction set's features.)
pub(super) type Group<T, S, const W: usize> = [<T as Number>::In<S>; W];

/// `W` numbers from `at` on.
#[inline(always)]
pub(super) fn group<S: Simd, T: Number, X: StoredAs<T>, const W: usize>(of: &[X], at: usize) -> Group<T, S, W> {
    let of = &of[at..at + W];
    let mut numbers = [T::default().enter::<S>(); W];
    for j in 0..W {
        numbers[j] = of[j].number().enter::<S>();
    }
    numbers
}

/// How a channel's elements are cut: into groups of samples, and each sample's elements into parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunks {
    /// Samples of a group.
    pub samples: usize,
    /// Elements of a part.
    pub part: usize,
    /// Groups.
    pub groups: usize,
    /// Parts of each sample.
    pub parts: usize,
    /// Whether lanes run along the elements of each sample at once: where those are many.
    pub along: bool,
}

impl Chunks {
    /// Elements of a chunk, where samples are not too small for that.
    const ELEMENTS: usize = 4096;
    /// The most samples of a group: as many elements as a lane adds up in a full chunk.
    const MOST_SAMPLES: usize = 256;

    /// The chunks of channels of so many samples of `size` elements.
    pub fn new(samples: usize, size: usize) -> Self {
        let each = (Self::ELEMENTS / size.max(1)).clamp(1, Self::MOST_SAMPLES);
        let (groups, parts) = (samples.div_ceil(each), size.div_ceil(Self::ELEMENTS));
        // Of several samples' fewer elements too many would be left over beside whole lanes.
        let along = size >= if samples == 1 { 64 } else { BLOCK };
        Chunks { samples: each, part: Self::ELEMENTS.min(size), groups, parts, along }
    }
}

/// What [`Terms`] find of their channels: a number for each element of a block of small channels, or `LANES` for each large one.
pub(super) fn factors<T: Number>(form: &Channels, channels: &Range<usize>, of: impl Fn(usize) -> T) -> Vec<T> {
    let each = if Chunks::new(form.samples, form.size).along { LANES } else { form.size };
    let mut numbers = Vec::with_capacity(channels.len() * each);
    for channel in channels.clone() {
        numbers.resize(numbers.len() + each, of(channel));
    }
    numbers
}

/// Samples whose terms are added up before the sums are put down again.
const ROWS: usize = 8;

/// sums += terms of some samples, element by element.
struct Down<'a, T, F, const K: usize> {
    sums: [&'a mut [T]; K],
    samples: &'a [F],
}

impl<T: Number, F: Terms<T, K>, const K: usize> Kernel for Down<'_, T, F, K> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Down { mut sums, samples } = self;
        let (count, mut at) = (sums[0].len(), 0);
        while at + 32 <= count {
            down::<S, T, F, K, 32>(&mut sums, samples, at);
            at += 32;
        }
        while at + 8 <= count {
            down::<S, T, F, K, 8>(&mut sums, samples, at);
            at += 8;
        }
        while at < count {
            down::<S, T, F, K, 1>(&mut sums, samples, at);
            at += 1;
        }
    }
}

#[inline(always)]
fn down<S: Simd, T: Number, F: Terms<T, K>, const K: usize, const W: usize>(
    sums: &mut [&mut [T]; K],
    samples: &[F],
    at: usize,
) {
    let mut numbers = [[T::default().enter::<S>(); W]; K];
    for k in 0..K {
        numbers[k] = group::<S, T, T, W>(sums[k], at);
    }
    for of in samples {
        numbers = of.add::<S, W>(at, at, numbers);
    }
    for k in 0..K {
        let sums = &mut sums[k][at..at + W];
        for j in 0..W {
            sums[j] = T::leave::<S>(numbers[k][j]);
        }
    }
}

/// The lanes of `K` sums.
type LanesOf<T, const K: usize> = [[T; LANES]; K];

/// lanes += terms, element i to lane i mod LANES, of one channel.
struct Along<'a, T, F, const K: usize> {
    lanes: &'a mut LanesOf<T, K>,
    count: usize,
    of: F,
    /// Where what belongs to the channel is found.
    factor: usize,
}

impl<T: Number, F: Terms<T, K>, const K: usize> Kernel for Along<'_, T, F, K> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Along { lanes, count, of, factor } = self;
        let mut sums = lanes.map(|lanes| lanes.map(T::enter::<S>));
        let mut at = 0;
        while at + LANES <= count {
            sums = of.add::<S, LANES>(at, factor, sums);
            at += LANES;
        }
        *lanes = sums.map(|lanes| lanes.map(T::leave::<S>));
        for (lane, at) in (at..count).enumerate() {
            let sum = of.add::<S, 1>(at, factor, lanes.map(|lanes| [lanes[lane].enter::<S>()]));
            for (lanes, [sum]) in lanes.iter_mut().zip(sum) {
                lanes[lane] = T::leave::<S>(sum);
            }
        }
    }
}

/// The sums of channels of `size` elements each, from the sums of their elements.
struct Across<'a, T> {
    to: &'a mut [T],
    sums: &'a [T],
    size: usize,
}

impl<T: Number> Kernel for Across<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        if self.size == 1 {
            return self.to.copy_from_slice(self.sums);
        }
        for (to, sums) in self.to.iter_mut().zip(self.sums.chunks_exact(self.size)) {
            let mut lanes = [T::default().enter::<S>(); LANES];
            let (whole, rest) = sums.as_chunks::<LANES>();
            for group in whole {
                for j in 0..LANES {
                    lanes[j] = lanes[j] + group[j].enter::<S>();
                }
            }
            for (lane, sum) in lanes.iter_mut().zip(rest) {
                *lane = *lane + sum.enter::<S>();
            }
            *to = T::leave::<S>(combine_lanes::<_, Sum>(lanes));
        }
    }
}

/// The sums over each channel of a block, `[k][channel]`.
pub(super) fn sums<T: Number, F: Terms<T, K>, const K: usize>(
    isa: Isa,
    form: &Channels,
    channels: &Range<usize>,
    of: F,
) -> [Vec<T>; K] {
    let chunks = Chunks::new(form.samples, form.size);
    let (width, count) = (channels.len(), chunks.groups * chunks.parts);
    // [k][chunk][channel]
    let mut partial: [Vec<T>; K] = std::array::from_fn(|_| vec![T::default(); count * width]);
    if chunks.along {
        by_channel(isa, form, channels, &chunks, &mut partial, of);
    } else {
        by_block(isa, form, channels, &chunks, &mut partial, of);
    }
    partial.map(|partial| {
        if count == 1 {
            return partial;
        }
        let of_channel = |channel: usize| partial[channel..].iter().step_by(width).copied().collect();
        (0..width).map(|channel| tree::<T, Sum>(isa, of_channel(channel))).collect()
    })
}

/// Chunks of small channels: of all of a block's channels at a time, whose elements are adjacent.
fn by_block<T: Number, F: Terms<T, K>, const K: usize>(
    isa: Isa,
    form: &Channels,
    channels: &Range<usize>,
    chunks: &Chunks,
    partial: &mut [Vec<T>; K],
    of: F,
) {
    let (width, count) = (channels.len(), channels.len() * form.size);
    let mut elements = [[T::default(); BLOCK]; K];
    for group in 0..chunks.groups {
        let first = group * chunks.samples;
        elements.iter_mut().for_each(|elements| elements[..count].fill(T::default()));
        let last = (first + chunks.samples).min(form.samples);
        for start in (first..last).step_by(ROWS) {
            // Those beyond the last are not looked at.
            let row = |i: usize| of.part(form.start((start + i).min(last - 1), channels), count);
            let samples: [F; ROWS] = std::array::from_fn(row);
            let samples = &samples[..ROWS.min(last - start)];
            isa.run(Down { sums: elements.each_mut().map(|elements| &mut elements[..count]), samples });
        }
        for (partial, elements) in partial.iter_mut().zip(&elements) {
            let to = &mut partial[group * width..][..width];
            isa.run(Across { to, sums: &elements[..count], size: form.size });
        }
    }
}

/// Chunks of large channels, one after the other.
fn by_channel<T: Number, F: Terms<T, K>, const K: usize>(
    isa: Isa,
    form: &Channels,
    channels: &Range<usize>,
    chunks: &Chunks,
    partial: &mut [Vec<T>; K],
    of: F,
) {
    let width = channels.len();
    for to in 0..chunks.groups * chunks.parts * width {
        let (chunk, number) = (to / width, to % width);
        let (first, start) = (chunk / chunks.parts * chunks.samples, chunk % chunks.parts * chunks.part);
        let count = chunks.part.min(form.size - start);
        let mut lanes = [[T::default(); LANES]; K];
        for n in first..(first + chunks.samples).min(form.samples) {
            let of = of.part(form.start(n, channels) + number * form.size + start, count);
            isa.run(Along { lanes: &mut lanes, count, of, factor: number * LANES });
        }
        for (partial, lanes) in partial.iter_mut().zip(lanes) {
            partial[to] = combine_lanes::<_, Sum>(lanes);
        }
    }
}
