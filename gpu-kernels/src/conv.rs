//! Convolutions and their gradients as matrix products whose factors are found in place: nothing is unfolded.
//!
//! For each group the rows of the product are channels, its columns the positions of all samples, and k goes through the taps and,
//! at each, through channels. The sums' blocks are whole taps, as many as [`taps_in_block`] says, and a tap of more channels than a
//! block may have is cut by itself: forward the CPU's order and blocks. Those of the weight's gradient go through the positions.

use crate::matmul::{BIAS, RELU};
use crate::tile::{Sums, THREADS, Tile, each};
use crate::window::{Axes, Window, place, volume};
use cuda_std::*;
use kiln_math::ops::{Relu, Unary};
use kiln_math::taps_in_block;

/// Of 16 × 16.
type Small = Tile<1, 1>;
/// Of 64 × 64.
type Medium = Tile<4, 4>;

/// A size of tiles.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg(not(target_arch = "nvptx64"))]
pub enum Size {
    /// 16 × 16.
    Small,
    /// 64 × 64.
    Medium,
}

#[cfg(not(target_arch = "nvptx64"))]
impl Size {
    /// The larger one where little of its tiles lies beyond the rows.
    pub fn of(rows: usize, columns: usize) -> Size {
        if rows >= 32 && columns >= 32 { Size::Medium } else { Size::Small }
    }

    /// Tiles of a product of so many rows and columns.
    pub fn tiles(self, rows: usize, columns: usize) -> usize {
        rows.div_ceil(self.side()).saturating_mul(columns.div_ceil(self.side()))
    }

    /// The blocks of so many products.
    pub fn geometry(self, rows: usize, columns: usize, products: usize, element_bytes: usize) -> Geometry {
        let shared_bytes = match self {
            Size::Small => Small::shared_bytes(element_bytes),
            Size::Medium => Medium::shared_bytes(element_bytes),
        };
        let blocks = |size: usize| u32::try_from(size).unwrap_or(u32::MAX);
        let [rows, columns] = [rows, columns].map(|size| blocks(size.div_ceil(self.side())));
        // Columns, of which there may be more, go along x.
        Geometry { grid: [columns, rows, blocks(products)], block: crate::tile::BLOCK, shared_bytes }
    }

    fn side(self) -> usize {
        let side = match self {
            Size::Small => Small::SIDE,
            Size::Medium => Medium::SIDE,
        };
        side as usize
    }
}

/// Positions that a block sums up in the weight's gradient before another block takes over: where there are few tiles and many
/// positions, their sums are split, by the shape alone, and only where blocks of k end.
#[cfg(not(target_arch = "nvptx64"))]
pub fn part(tiles: usize, k: usize) -> usize {
    use kiln_math::K_BLOCK;
    const BLOCKS: usize = 256;
    let splits = (BLOCKS / tiles.max(1)).min(k / K_BLOCK).max(1);
    k.div_ceil(splits).next_multiple_of(K_BLOCK)
}

/// The tap that is met at this place of the sum.
#[inline(always)]
fn in_order(number: u32, _taps: u32) -> u32 {
    number
}

/// As [`in_order`], from the last tap to the first.
#[inline(always)]
fn reversed(number: u32, taps: u32) -> u32 {
    taps - 1 - number
}

macro_rules! convolutions {
    ($($T:ident $Tile:ident $name:ident, $meets:ident, $order:ident, $doc:literal;)+) => { $(
        kernel! {
            #[doc = $doc]
            ///
            /// y (samples, groups·rows, w0, w1, w2) of x (samples, groups·inner, r0, r1, r2): of each group the weight of a row, an
            /// inner channel and a tap lies at row·row_step + inner·inner_step + tap. Kernel k, stride s, dilation e and padding b are
            /// the convolution's.
            #[name = stringify!($name)]
            #[max_threads = THREADS]
            pub fn $name(
                y: GlobalMut<$T>, x: Global<$T>, weight: Global<$T>, bias: Global<$T>, flags: u32,
                samples: u32, groups: u32, rows: u32, inner: u32, row_step: u32, inner_step: u32,
                w0: u32, w1: u32, w2: u32, r0: u32, r1: u32, r2: u32,
                k0: u32, k1: u32, k2: u32, s0: u32, s1: u32, s2: u32, e0: u32, e1: u32, e2: u32, b0: u32, b1: u32, b2: u32
            ) {
                let window =
                    Window { kernel: [k0, k1, k2], stride: [s0, s1, s2], dilation: [e0, e1, e2], before: [b0, b1, b2] };
                let (written, read): (Axes, Axes) = ([w0, w1, w2], [r0, r1, r2]);
                let (positions, plane, taps) = (volume(written), volume(read), volume(window.kernel));
                let (group, columns) = (block_idx_z(), samples * positions);
                let (first_row, first_column) = (block_idx_y() * $Tile::SIDE, block_idx_x() * $Tile::SIDE);
                // A step is one tap of some channels.
                let pieces = inner.div_ceil($Tile::DEPTH).max(1);
                let channel = |step: u32| step % pieces * $Tile::DEPTH;
                let tap = |step: u32| $order(step / pieces, taps);

                let of_weight = $Tile::along_k();
                let weights = (group * rows) as usize * inner as usize * taps as usize;
                let bring_weight = |step: u32| {
                    let tap = tap(step);
                    core::array::from_fn(|i| {
                        let (row, channel) = (first_row + of_weight.outer(i), channel(step) + of_weight.k(i));
                        let at = weights + (row * row_step) as usize + (channel * inner_step + tap) as usize;
                        if row < rows && channel < inner { weight.get(at) } else { 0.0 }
                    })
                };

                let of_x = $Tile::across_k();
                let column = first_column + of_x.outer(0);
                let (sample, position) = (column / positions, place(column % positions, written));
                let channels = (sample * groups + group) as usize * inner as usize;
                let bring_x = |step: u32| {
                    let tap = tap(step);
                    let met = window.$meets(position, place(tap, window.kernel), read);
                    core::array::from_fn(|i| {
                        let channel = channel(step) + of_x.k(i);
                        match met {
                            Some(at) if column < columns && channel < inner => {
                                x.get((channels + channel as usize) * plane as usize + at as usize)
                            }
                            _ => 0.0,
                        }
                    })
                };

                let place_of = |row: u32, column: u32| {
                    let (sample, position) = (column / positions, column % positions);
                    let channel = sample as usize * (groups * rows) as usize + (group * rows + row) as usize;
                    channel * positions as usize + position as usize
                };
                let put = |sums: &[[$T; $Tile::EACH]; $Tile::EACH], first: bool| {
                    each!(j < $Tile::EACH, {
                        each!(i < $Tile::EACH, {
                            let (row, column) = (first_row + $Tile::row(i), first_column + $Tile::column(j));
                            if row < rows && column < columns {
                                let at = place_of(row, column);
                                y.set(at, if first { sums[i][j] } else { y.get(at) + sums[i][j] });
                            }
                        });
                    });
                };
                let steps = if inner == 0 { 0 } else { taps * pieces };
                let depth = |step: u32| (inner - channel(step)).min($Tile::DEPTH);
                let block = taps_in_block(inner as usize) as u32;
                let ends = |step: u32| {
                    let (tap, piece) = (step / pieces + 1, step % pieces + 1);
                    piece == pieces && tap % block == 0 || piece % $Tile::BLOCK == 0
                };
                let Sums { sums, first } =
                    $Tile::multiply(steps, depth, ends, put, (of_weight, bring_weight), (of_x, bring_x));
                each!(j < $Tile::EACH, {
                    each!(i < $Tile::EACH, {
                        let (row, column) = (first_row + $Tile::row(i), first_column + $Tile::column(j));
                        if row < rows && column < columns {
                            let at = place_of(row, column);
                            let mut value = if first { sums[i][j] } else { y.get(at) + sums[i][j] };
                            if flags & BIAS != 0 {
                                value += bias.get((group * rows + row) as usize);
                            }
                            if flags & RELU != 0 {
                                value = Relu::f(value, [0.0; 2]);
                            }
                            y.set(at, value);
                        }
                    });
                });
            }
        }
    )+ };
}
convolutions! {
    f32 Small conv_f32, met, in_order, "y = activation(Σ x·weight + bias)";
    f32 Medium conv_64_f32, met, in_order, "y = activation(Σ x·weight + bias)";
    f64 Small conv_f64, met, in_order, "y = activation(Σ x·weight + bias)";
    f32 Small conv_grad_input_f32, meeting, reversed, "y = the gradient with respect to the input, x that to the output";
    f32 Medium conv_grad_input_64_f32, meeting, reversed, "y = the gradient with respect to the input, x that to the output";
    f64 Small conv_grad_input_f64, meeting, reversed, "y = the gradient with respect to the input, x that to the output";
}

macro_rules! weight_gradients {
    ($($T:ident $Tile:ident $name:ident;)+) => { $(
        kernel! {
            /// y (groups·rows, inner, taps, splits): the gradient with respect to the weight, in the sums of `splits` parts of the
            /// positions, each of `part`; from dy (samples, groups·rows, p0, p1, p2) and x (samples, groups·inner, d0, d1, d2). Kernel k,
            /// stride s, dilation e and padding b are the convolution's.
            #[name = stringify!($name)]
            #[max_threads = THREADS]
            pub fn $name(
                y: GlobalMut<$T>, dy: Global<$T>, x: Global<$T>, splits: u32, part: u32,
                samples: u32, groups: u32, rows: u32, inner: u32,
                p0: u32, p1: u32, p2: u32, d0: u32, d1: u32, d2: u32,
                k0: u32, k1: u32, k2: u32, s0: u32, s1: u32, s2: u32, e0: u32, e1: u32, e2: u32, b0: u32, b1: u32, b2: u32
            ) {
                let window =
                    Window { kernel: [k0, k1, k2], stride: [s0, s1, s2], dilation: [e0, e1, e2], before: [b0, b1, b2] };
                let (outputs, sizes): (Axes, Axes) = ([p0, p1, p2], [d0, d1, d2]);
                let (positions, plane, taps) = (volume(outputs), volume(sizes), volume(window.kernel));
                let (group, split, columns) = (block_idx_z() / splits, block_idx_z() % splits, inner * taps);
                let (first_row, first_column) = (block_idx_y() * $Tile::SIDE, block_idx_x() * $Tile::SIDE);
                // k: the positions of all samples, of which this block's part goes from `first` to `end`.
                let (first, end) = (split * part, ((split + 1) * part).min(samples * positions));
                let share = $Tile::along_k();
                let sample_and_position = |step: u32| {
                    let k = first + step * $Tile::DEPTH + share.k(0);
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
                            _ => 0.0,
                        }
                    })
                };
                let bring_x = |step: u32| {
                    let k = sample_and_position(step).map(|(sample, position)| (sample, place(position, outputs)));
                    core::array::from_fn(|i| {
                        let column = first_column + share.outer(i);
                        let (channel, tap) = (column / taps, place(column % taps, window.kernel));
                        let met = k.and_then(|(sample, position)| Some((sample, window.met(position, tap, sizes)?)));
                        match met {
                            Some((sample, at)) if column < columns => {
                                let channel = (sample * groups + group) as usize * inner as usize + channel as usize;
                                x.get(channel * plane as usize + at as usize)
                            }
                            _ => 0.0,
                        }
                    })
                };

                let place_of = |row: u32, column: u32| {
                    let of_weight = (group * rows + row) as usize * columns as usize + column as usize;
                    of_weight * splits as usize + split as usize
                };
                let put = |sums: &[[$T; $Tile::EACH]; $Tile::EACH], first: bool| {
                    each!(i < $Tile::EACH, {
                        each!(j < $Tile::EACH, {
                            let (row, column) = (first_row + $Tile::row(i), first_column + $Tile::column(j));
                            if row < rows && column < columns {
                                let at = place_of(row, column);
                                y.set(at, if first { sums[i][j] } else { y.get(at) + sums[i][j] });
                            }
                        });
                    });
                };
                let steps = end.saturating_sub(first).div_ceil($Tile::DEPTH);
                let depth = |step: u32| (end - first - step * $Tile::DEPTH).min($Tile::DEPTH);
                let ends = |step: u32| (step + 1) % $Tile::BLOCK == 0;
                let last = $Tile::multiply(steps, depth, ends, put, (share, bring_dy), (share, bring_x));
                put(&last.sums, last.first);
            }
        }
    )+ };
}
weight_gradients! {
    f32 Small conv_grad_weight_f32;
    f32 Medium conv_grad_weight_64_f32;
    f64 Small conv_grad_weight_f64;
}
