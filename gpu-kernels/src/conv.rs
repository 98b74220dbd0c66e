//! Convolutions and their gradients as matrix products whose factors are found in place: nothing is unfolded.
//!
//! For each group the rows of the product are channels, its columns the positions of all samples, and k goes through the taps and,
//! at each, through channels. The sums' blocks are whole taps, as many as [`taps_in_block`] says, and a tap of more channels than a
//! block may have is cut by itself: forward the CPU's order and blocks. Those of the weight's gradient go through the positions.

use crate::matmul::{BIAS, RELU};
use crate::number::GpuFloat;
use crate::tile::{Sums, THREADS, Tile};
use crate::window::{Axes, DeviceWindow, place, volume};
use cuda_std::*;
use kiln_math::ops::{Relu, Unary};
use kiln_math::taps_in_block;

/// The blocks of so many products, with tiles of so many rows and columns for a thread.
#[cfg(not(target_arch = "nvptx64"))]
pub fn geometry(each: usize, [rows, columns, products]: [usize; 3], element_bytes: usize) -> Geometry {
    let [rows, columns] = [rows, columns].map(|size| size.div_ceil(crate::tile::side(each)));
    // Columns, of which there may be more, go along x.
    crate::tile::geometry(each, each, [columns, rows, products], element_bytes)
}

/// Positions that a block sums up in the weight's gradient before another block takes over: where there are few tiles and many
/// positions, their sums are split, by the shape alone, so that the bits are the same on every device, and only where blocks of k end.
/// `products` are rows, columns and how many there are of them.
#[cfg(not(target_arch = "nvptx64"))]
pub fn part([rows, columns, products]: [usize; 3], k: usize) -> usize {
    use kiln_math::K_BLOCK;
    const BLOCKS: usize = 256;
    let side = crate::tile::side(if rows >= 32 && columns >= 32 { 4 } else { 1 });
    let tiles = rows.div_ceil(side).saturating_mul(columns.div_ceil(side)).saturating_mul(products);
    let splits = (BLOCKS / tiles.max(1)).min(k / K_BLOCK).max(1);
    k.div_ceil(splits).next_multiple_of(K_BLOCK)
}

/// Which elements a product pairs.
trait Direction {
    /// The element of x, by its number, that y's position meets at a tap.
    fn met(window: &DeviceWindow, position: Axes, tap: Axes, read: Axes) -> Option<u32>;
    /// The tap that is met at this place of the sum.
    fn tap(number: u32, taps: u32) -> u32;
}

/// From input to output.
struct Forward;

impl Direction for Forward {
    #[inline(always)]
    fn met(window: &DeviceWindow, position: Axes, tap: Axes, read: Axes) -> Option<u32> {
        window.met(position, tap, read)
    }

    #[inline(always)]
    fn tap(number: u32, _taps: u32) -> u32 {
        number
    }
}

/// From the output's gradient to the input's; from the last tap to the first.
struct Backward;

impl Direction for Backward {
    #[inline(always)]
    fn met(window: &DeviceWindow, position: Axes, tap: Axes, read: Axes) -> Option<u32> {
        window.meeting(position, tap, read)
    }

    #[inline(always)]
    fn tap(number: u32, taps: u32) -> u32 {
        taps - 1 - number
    }
}

parameters! {
    /// A convolution, or the gradient of one with respect to its input: y (samples, groups·rows, `written`) of x (samples,
    /// groups·inner, `read`).
    pub struct Call<T: DeviceCopy> {
        y: GlobalMut<T>,
        x: Global<T>,
        /// Of each group the weight of a row, an inner channel and a tap lies at row·row_step + inner·inner_step + tap.
        weight: Global<T>,
        /// (groups·rows,)
        bias: Global<T>,
        /// What else is done: [`BIAS`], [`RELU`].
        flags: u32,
        samples: u32,
        groups: u32,
        rows: u32,
        inner: u32,
        row_step: u32,
        inner_step: u32,
        written: Axes,
        read: Axes,
        /// The convolution's.
        window: DeviceWindow,
    }
}

/// The steps of a sum: at each tap some channels.
#[derive(Clone, Copy)]
struct Steps<const R: usize> {
    inner: u32,
    taps: u32,
    /// Steps of a tap.
    pieces: u32,
    /// Taps of a block of the sum.
    block: u32,
}

impl<const R: usize> Steps<R> {
    #[inline(always)]
    fn new(inner: u32, taps: u32) -> Self {
        let pieces = inner.div_ceil(Tile::<R, R>::DEPTH).max(1);
        Steps { inner, taps, pieces, block: taps_in_block(inner as usize) as u32 }
    }

    #[inline(always)]
    fn count(self) -> u32 {
        if self.inner == 0 { 0 } else { self.taps * self.pieces }
    }

    /// The first channel of a step.
    #[inline(always)]
    fn channel(self, step: u32) -> u32 {
        step % self.pieces * Tile::<R, R>::DEPTH
    }

    /// The tap of a step.
    #[inline(always)]
    fn tap<D: Direction>(self, step: u32) -> u32 {
        D::tap(step / self.pieces, self.taps)
    }

    /// Channels of a step.
    #[inline(always)]
    fn depth(self, step: u32) -> u32 {
        (self.inner - self.channel(step)).min(Tile::<R, R>::DEPTH)
    }

    /// Whether a block of the sum ends with a step.
    #[inline(always)]
    fn ends(self, step: u32) -> bool {
        let (tap, piece) = (step / self.pieces + 1, step % self.pieces + 1);
        piece == self.pieces && tap.is_multiple_of(self.block) || piece.is_multiple_of(Tile::<R, R>::BLOCK)
    }
}

/// The sums of a block's tile.
#[inline(always)]
fn product<T: GpuFloat, const R: usize, D: Direction>(call: Call<T>) {
    let Call { y, x, weight, bias, flags, samples, groups, rows, inner, row_step, inner_step, written, read, window } = call;
    let (positions, plane, taps) = (volume(written), volume(read), volume(window.kernel));
    let (group, columns, steps) = (block_idx_z(), samples * positions, Steps::<R>::new(inner, taps));
    let (first_row, first_column) = (block_idx_y() * Tile::<R, R>::SIDE, block_idx_x() * Tile::<R, R>::SIDE);

    let of_weight = Tile::<R, R>::along_k();
    let weights = (group * rows) as usize * inner as usize * taps as usize;
    let bring_weight = |step: u32| {
        let (first, tap) = (steps.channel(step), steps.tap::<D>(step));
        core::array::from_fn(|i| {
            let (row, channel) = (first_row + of_weight.outer(i), first + of_weight.k(i));
            let at = weights + (row * row_step) as usize + (channel * inner_step + tap) as usize;
            if row < rows && channel < inner { weight.get(at) } else { T::ZERO }
        })
    };

    let of_x = Tile::<R, R>::across_k();
    let column = first_column + of_x.outer(0);
    let (sample, position) = (column / positions, place(column % positions, written));
    let channels = (sample * groups + group) as usize * inner as usize;
    let bring_x = |step: u32| {
        let met = D::met(&window, position, place(steps.tap::<D>(step), window.kernel), read);
        core::array::from_fn(|i| {
            let channel = steps.channel(step) + of_x.k(i);
            match met {
                Some(at) if column < columns && channel < inner => {
                    x.get((channels + channel as usize) * plane as usize + at as usize)
                }
                _ => T::ZERO,
            }
        })
    };

    let place_of = |row: u32, column: u32| {
        let (sample, position) = (column / positions, column % positions);
        let channel = sample as usize * (groups * rows) as usize + (group * rows + row) as usize;
        channel * positions as usize + position as usize
    };
    let total = |at: usize, sum: T, first: bool| if first { sum } else { y.get(at) + sum };
    let (rows_here, columns_here) = ([first_row, rows], [first_column, columns]);
    let put = |sums: &[[T; R]; R], first: bool| {
        Tile::<R, R>::within(sums, rows_here, columns_here, |row, column, sum| {
            let at = place_of(row, column);
            y.set(at, total(at, sum, first));
        });
    };
    let (depth, ends) = (|step| steps.depth(step), |step| steps.ends(step));
    let Sums { sums, first } =
        Tile::<R, R>::multiply(steps.count(), depth, ends, put, (of_weight, bring_weight), (of_x, bring_x));
    Tile::<R, R>::within(&sums, rows_here, columns_here, |row, column, sum| {
        let at = place_of(row, column);
        let shift = if flags & BIAS != 0 { bias.get((group * rows + row) as usize) } else { -T::ZERO };
        let value = total(at, sum, first) + shift;
        y.set(at, if flags & RELU != 0 { Relu::f(value, [T::ZERO; 2]) } else { value });
    });
}

kernels! {
    /// y = activation(Σ x·weight + bias)
    #[max_threads = THREADS]
    pub fn conv<T: GpuFloat, const R: usize>(call: Call<T>) for [f32: 1 4, f64: 1] {
        product::<T, R, Forward>(call);
    }

    /// y = the gradient with respect to the input, where x is that to the output.
    #[max_threads = THREADS]
    pub fn conv_grad_input<T: GpuFloat, const R: usize>(call: Call<T>) for [f32: 1 4, f64: 1] {
        product::<T, R, Backward>(call);
    }

    /// y (groups·rows, inner, taps, splits): the gradient with respect to the weight, in the sums of `splits` parts of the
    /// positions, each of `part`; from dy (samples, groups·rows, outputs) and x (samples, groups·inner, inputs).
    #[max_threads = THREADS]
    pub fn conv_grad_weight<T: GpuFloat, const R: usize>(
        y: GlobalMut<T>, dy: Global<T>, x: Global<T>, splits: u32, part: u32,
        samples: u32, groups: u32, rows: u32, inner: u32, outputs: Axes, inputs: Axes, window: DeviceWindow
    ) for [f32: 1 4, f64: 1] {
        let (positions, plane, taps) = (volume(outputs), volume(inputs), volume(window.kernel));
        let (group, split, columns) = (block_idx_z() / splits, block_idx_z() % splits, inner * taps);
        let (first_row, first_column) = (block_idx_y() * Tile::<R, R>::SIDE, block_idx_x() * Tile::<R, R>::SIDE);
        // k: the positions of all samples, of which this block's part goes from `first` to `end`.
        let (first, end) = (split * part, ((split + 1) * part).min(samples * positions));
        let share = Tile::<R, R>::along_k();
        let sample_and_position = |step: u32| {
            let k = first + step * Tile::<R, R>::DEPTH + share.k(0);
            (k < end).then_some((k / positions, k % positions))
        };

        let bring_dy = |step: u32| {
            let k = sample_and_position(step);
            core::array::from_fn(|i| {
                let row = first_row + share.outer(i);
                match k {
                    Some((sample, position)) if row < rows => {
                        let channel = (sample * groups + group) as usize * rows as usize + row as usize;
                        dy.get(channel * positions as usize + position as usize)
                    }
                    _ => T::ZERO,
                }
            })
        };
        let bring_x = |step: u32| {
            let k = sample_and_position(step).map(|(sample, position)| (sample, place(position, outputs)));
            core::array::from_fn(|i| {
                let column = first_column + share.outer(i);
                let (channel, tap) = (column / taps, place(column % taps, window.kernel));
                let met = k.and_then(|(sample, position)| Some((sample, window.met(position, tap, inputs)?)));
                match met {
                    Some((sample, at)) if column < columns => {
                        let channel = (sample * groups + group) as usize * inner as usize + channel as usize;
                        x.get(channel * plane as usize + at as usize)
                    }
                    _ => T::ZERO,
                }
            })
        };

        let place_of = |row: u32, column: u32| {
            let of_weight = (group * rows + row) as usize * columns as usize + column as usize;
            of_weight * splits as usize + split as usize
        };
        let put = |sums: &[[T; R]; R], first: bool| {
            Tile::<R, R>::within(sums, [first_row, rows], [first_column, columns], |row, column, sum| {
                let at = place_of(row, column);
                y.set(at, if first { sum } else { y.get(at) + sum });
            });
        };
        let steps = end.saturating_sub(first).div_ceil(Tile::<R, R>::DEPTH);
        let depth = |step: u32| (end - first - step * Tile::<R, R>::DEPTH).min(Tile::<R, R>::DEPTH);
        let ends = |step: u32| (step + 1).is_multiple_of(Tile::<R, R>::BLOCK);
        let last = Tile::<R, R>::multiply(steps, depth, ends, put, (share, bring_dy), (share, bring_x));
        put(&last.sums, last.first);
    }
}
