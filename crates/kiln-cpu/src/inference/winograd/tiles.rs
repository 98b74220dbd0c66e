//! Inputs to the points, and products back to outputs.

use super::transform::Transform;
use crate::conv::Conv;
use crate::gemm::vector::{Sums, Vector};
use crate::inference::epilogue::Target;
use crate::inference::layout::padded;
use crate::{Kernel, Simd};
use std::marker::PhantomData;
use std::ops::Range;

/// Tiles of a map: their numbers go through the images, line by line.
#[derive(Clone, Copy)]
pub(super) struct Tiles<'a> {
    pub(super) form: &'a Conv,
    /// Along the height and the width.
    pub(super) count: [usize; 2],
    /// Those that are transformed.
    pub(super) numbers: &'a Range<usize>,
}

impl Tiles<'_> {
    /// The image of a tile, and its place along the height and the width.
    #[inline(always)]
    fn place(&self, number: usize) -> (usize, [usize; 2]) {
        let each = self.count[0] * self.count[1];
        (number / each, [number % each / self.count[1], number % self.count[1]])
    }
}

/// Where the numbers at the points lie: of each point the tiles, of each tile the channels.
#[derive(Clone, Copy)]
pub(super) struct Points {
    pub(super) first: *mut f32,
    /// Floats from a point to the next, and from a tile to the next.
    pub(super) point: usize,
    pub(super) tile: usize,
}

/// The inputs of some tiles at the points, some channels of them.
pub(super) struct Input<'a, F, const T: usize, const M: usize> {
    pub(super) tiles: Tiles<'a>,
    pub(super) x: &'a [f32],
    /// Whole groups of a pixel's padding.
    pub(super) channels: Range<usize>,
    pub(super) to: Points,
    pub(super) transform: PhantomData<F>,
}

impl<F: Transform<T, M>, const T: usize, const M: usize> Kernel for Input<'_, F, T, M> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let form = self.tiles.form;
        let ([_, height, width], pixel) = (form.size, padded(form.inputs));
        for (tile, number) in self.tiles.numbers.clone().enumerate() {
            let (image, [row, column]) = self.tiles.place(number);
            let (top, left) = ((row * M).wrapping_sub(form.before[1]), (column * M).wrapping_sub(form.before[2]));
            let image = &self.x[image * height * width * pixel..][..height * width * pixel];
            let inside = |first: usize, size: usize| first < size && first + T <= size;
            let whole = inside(top, height) && inside(left, width);
            for channel in self.channels.clone().step_by(S::WIDTH_F32) {
                let to = self.to.first.wrapping_add(tile * self.to.tile + channel);
                // SAFETY: places within the image are checked, and a pixel has whole registers; so has a tile at each point.
                unsafe {
                    if whole {
                        let from = image.as_ptr().add((top * width + left) * pixel + channel);
                        let load = |a: usize, b: usize| S::Register::load(from.add((a * width + b) * pixel));
                        at_points::<F, S::Register, T, M>(load, to, self.to.point);
                    } else {
                        let load = |a: usize, b: usize| {
                            let (y, x) = (top.wrapping_add(a), left.wrapping_add(b));
                            if y < height && x < width {
                                S::Register::load(image.as_ptr().add((y * width + x) * pixel + channel))
                            } else {
                                S::Register::zero()
                            }
                        };
                        at_points::<F, S::Register, T, M>(load, to, self.to.point);
                    }
                }
            }
        }
    }
}

/// The inputs `load(row, column)` of a tile at the points, `point` floats from one to the next.
///
/// # Safety
/// A register at each point is writable; the instruction set of `V` is available.
#[inline(always)]
unsafe fn at_points<F: Transform<T, M>, V: Vector<Lane = f32>, const T: usize, const M: usize>(
    load: impl Fn(usize, usize) -> V,
    to: *mut f32,
    point: usize,
) {
    // SAFETY: as the caller promises.
    unsafe {
        let mut columns = [[V::zero(); T]; T];
        for (b, column) in columns.iter_mut().enumerate() {
            for (a, x) in column.iter_mut().enumerate() {
                *x = load(a, b);
            }
            *column = F::input(*column);
        }
        for a in 0..T {
            let mut row = [V::zero(); T];
            for (x, column) in row.iter_mut().zip(&columns) {
                *x = column[a];
            }
            for (b, x) in F::input(row).into_iter().enumerate() {
                x.store(to.add((a * T + b) * point));
            }
        }
    }
}

/// The outputs of some tiles from the products at the points, some channels of them, and what becomes of them.
pub(super) struct Outputs<'a, F, const T: usize, const M: usize> {
    pub(super) tiles: Tiles<'a>,
    pub(super) from: Points,
    /// Whole groups of a pixel's padding.
    pub(super) channels: Range<usize>,
    pub(super) target: &'a Target<'a>,
    pub(super) transform: PhantomData<F>,
}

impl<F: Transform<T, M>, const T: usize, const M: usize> Kernel for Outputs<'_, F, T, M> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let (target, [_, height, width]) = (self.target, self.tiles.form.out);
        let more = target.has_more(&self.channels);
        for (tile, number) in self.tiles.numbers.clone().enumerate() {
            let (image, [row, column]) = self.tiles.place(number);
            let (lines, pixels) = (M.min(height - row * M), M.min(width - column * M));
            let first = (image * height + row * M) * width + column * M;
            for channel in self.channels.clone().step_by(S::WIDTH_F32) {
                // SAFETY: a tile at each point has whole registers, and so has a pixel of the map; these channels of the tile's
                // pixels are this call's alone.
                unsafe {
                    let from = self.from.first.add(tile * self.from.tile + channel);
                    let mut columns = [[S::Register::zero(); M]; T];
                    for (b, column) in columns.iter_mut().enumerate() {
                        let mut products = [S::Register::zero(); T];
                        for (a, x) in products.iter_mut().enumerate() {
                            *x = S::Register::load(from.add((a * T + b) * self.from.point));
                        }
                        *column = F::output(products);
                    }
                    for a in 0..M {
                        if a == lines {
                            break;
                        }
                        let mut row = [S::Register::zero(); T];
                        for (x, column) in row.iter_mut().zip(&columns) {
                            *x = column[a];
                        }
                        let outputs = F::output(row);
                        for (b, output) in outputs.into_iter().enumerate() {
                            if b == pixels {
                                break;
                            }
                            let at = (first + a * width + b) * target.pitch;
                            let mut sums = [[output]];
                            target.fused.apply(&mut sums, channel, (at, target.pitch));
                            sums[0][0].store(target.y.add(at + channel));
                        }
                    }
                }
            }
            if more {
                for line in 0..lines {
                    let first = first + line * width;
                    // SAFETY: these channels of the pixels are this call's alone.
                    unsafe { target.finish::<S>(target.rest, first..first + pixels, self.channels.clone()) };
                }
            }
        }
    }
}
