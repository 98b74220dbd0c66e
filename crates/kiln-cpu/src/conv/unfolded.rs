//! Gradients of convolutions of few channels: the taps that a pixel meets are unfolded into a row.
//!
//! Panels of the few channels of a tap would be mostly empty. Here the columns of a product are all taps of all channels: for the
//! weight's gradient rows are gathered before it, for the input's they are scattered after it, some lines at a time, in the cache.
//! Scattered taps are in the order of the weight, by channel and row of the kernel; gathered ones by row and channel, so that lines
//! which meet padding alone by the rows of a panel are left out there.

use super::scratch::{Local, Place, local, shared};
use super::weight_gradient::{PARTIAL, TASKS};
use super::weights::{Panel, panels};
use super::{Conv, Float};
use crate::gemm::equal_parts;
use crate::gemm::kernels::Kernels;
use crate::gemm::scratch::ScratchBuffer;
use crate::gemm::tile::{Held, Span, Tile};
use crate::{Isa, Kernel, Simd, team};
use kiln_math::K_BLOCK;
use std::ops::Range;

/// Elements that are unfolded at a time.
const STAGE: usize = 48 << 10;
/// Images that are shared out at least.
const IMAGES: usize = 8;

/// Whether the input's gradient is better unfolded.
pub(super) fn suits_input(conv: &Conv) -> bool {
    conv.inputs <= 4 && conv.outputs >= 16 && conv.taps() > 1 && conv.batch >= IMAGES
}

/// Whether the weight's is: of short rows of taps there is more to copy than is gained.
pub(super) fn suits_weight(conv: &Conv) -> bool {
    suits_input(conv) && conv.kernel[2] >= 5
}

/// One group's channels and taps.
struct Group<'a, T: Float> {
    isa: Isa,
    kernels: &'static Kernels<T>,
    conv: &'a Conv,
    number: usize,
    /// Of all that the outputs meet, padding included, along each axis.
    field: [usize; 3],
    /// Of a row of unfolded taps.
    panels: Vec<Panel<T>>,
}

impl<'a, T: Float> Group<'a, T> {
    fn new((isa, kernels): (Isa, &'static Kernels<T>), conv: &'a Conv, number: usize) -> Self {
        let met =
            |axis: usize| (conv.out[axis] - 1) * conv.stride[axis] + (conv.kernel[axis] - 1) * conv.dilation[axis] + 1;
        let panels = panels(kernels, conv.inputs * conv.taps());
        Group { isa, kernels, conv, number, field: [0, 1, 2].map(met), panels }
    }

    /// Taps of all channels.
    fn unfolded(&self) -> usize {
        self.conv.inputs * self.conv.taps()
    }

    /// Numbers of a row of results, in whole panels.
    fn row(&self) -> usize {
        self.panels.last().map_or(0, |panel| panel.first + panel.width)
    }

    /// Lines of outputs.
    fn lines(&self) -> usize {
        self.conv.out[0] * self.conv.out[1]
    }

    /// Lines, and images where their lines are so few, that are gathered at a time: a block of the sums, or less where that takes
    /// too much room. The shape alone says so, not the width of panels.
    fn gathered(&self) -> (usize, usize) {
        let pixels = K_BLOCK.min(STAGE / self.unfolded());
        let lines = (pixels / self.conv.out[2]).clamp(1, self.lines());
        let images = if lines < self.lines() { 1 } else { (pixels / self.conv.out_plane()).max(1) };
        (lines, images)
    }

    /// The place of the group's part of an image, of planes of `plane` elements of `channels`.
    fn part(&self, n: usize, channels: usize, plane: usize) -> Range<usize> {
        let elements = channels * plane;
        (n * self.conv.groups + self.number) * elements..(n * self.conv.groups + self.number + 1) * elements
    }

    /// Calls `f(from, to, count)` with the rows of an image that are in the field: where they begin there and in the image.
    fn rows(&self, mut f: impl FnMut(usize, usize, usize)) {
        let (size, before) = (self.conv.size, self.conv.before);
        let [depths, heights, widths] = self.field;
        let inside = |axis: usize| self.field[axis].saturating_sub(before[axis]).min(size[axis]);
        if inside(2) == 0 {
            return;
        }
        for channel in 0..self.conv.inputs {
            for depth in 0..inside(0) {
                for height in 0..inside(1) {
                    let there = (channel * depths + depth + before[0]) * heights + height + before[1];
                    let here = (channel * size[0] + depth) * size[1] + height;
                    f(there * widths + before[2], here * size[2], inside(2));
                }
            }
        }
    }

    /// The image's field: padding and all.
    fn lay(&self, image: &[T], field: &mut [T]) {
        self.rows(|there, here, count| field[there..there + count].copy_from_slice(&image[here..here + count]));
    }

    /// A field of zeros.
    fn field<'b>(&self, buffer: &'b mut ScratchBuffer) -> &'b mut [T] {
        let elements = self.conv.inputs * self.field.iter().product::<usize>();
        let to: *mut T = buffer.room(elements);
        // SAFETY: there is room for so many numbers, of which 0 is all bits 0.
        unsafe {
            to.write_bytes(0, elements);
            std::slice::from_raw_parts_mut(to, elements)
        }
    }

    /// dx of one image from dy and the packed weights.
    fn scatter(&self, dy: &[T], packed: &Place<T>, dx: &mut [T], local: &mut Local) {
        let (plane, row, wide) = (self.conv.out_plane(), self.row(), self.conv.out[2]);
        let lines = self.lines();
        let each = (STAGE / (wide * row)).clamp(1, lines);
        let field = self.field(&mut local.strip);
        let stage: *mut T = local.stage.room(each * wide * row);
        for first in (0..lines).step_by(each) {
            let some = first..(first + each).min(lines);
            let pixels = some.len() * wide;
            for panel in &self.panels {
                let b = packed.at(panel.first * self.conv.outputs).cast_const();
                let spans = [Span::new(dy[first * wide..].as_ptr(), b, self.conv.outputs)];
                for (pixel, count) in equal_parts(pixels, panel.tiles.len()) {
                    let tile = Tile {
                        spans: &spans,
                        a_offset: pixel as isize,
                        a_row: 1,
                        a_col: plane as isize,
                        b_row: panel.width as isize,
                        c: stage.wrapping_add(pixel * row + panel.first),
                        c_row: row as isize,
                        held: Held::Nothing,
                    };
                    // SAFETY: dy has these pixels of all outputs; the stage has their rows.
                    unsafe { panel.tiles[count - 1](&tile) };
                }
            }
            // SAFETY: these rows were just written.
            let stage = unsafe { std::slice::from_raw_parts_mut(stage, pixels * row) };
            self.isa.run(Fold { group: self, field: &mut *field, unfolded: stage, lines: some, gather: false });
        }
        dx.fill(T::default());
        self.rows(|there, here, count| dx[here..here + count].copy_from_slice(&field[there..there + count]));
    }

    /// Rows of the kernel, depth × height.
    fn kernel_rows(&self) -> usize {
        self.conv.kernel[0] * self.conv.kernel[1]
    }

    /// From the first to the last line of outputs that meets more than padding by the taps of a panel of gathered ones.
    fn lines_met(&self, panel: &Panel<T>) -> Range<usize> {
        let conv = self.conv;
        let lines = self.lines();
        if conv.kernel[0] > 1 || conv.out[0] > 1 {
            return 0..lines;
        }
        let row = conv.inputs * conv.kernel[2];
        let rows = panel.first / row..(panel.first + panel.columns).div_ceil(row);
        let inside = conv.before[1]..conv.before[1] + conv.size[1];
        let meets =
            |line: &usize| rows.clone().any(|tap| inside.contains(&(line * conv.stride[1] + tap * conv.dilation[1])));
        let first = (0..lines).find(meets).unwrap_or(lines);
        first..(first..lines).rfind(meets).map_or(first, |last| last + 1)
    }

    /// Adds some images' part to a partial sum (outputs, [`row`](Self::row)), or begins it with that.
    fn gather(&self, images: Range<usize>, (x, dy): (&[T], &[T]), sum: &Place<T>, local: &mut Local) {
        let (plane, out, wide) = (self.conv.plane(), self.conv.out_plane(), self.conv.out[2]);
        let row = self.row();
        let (lines, (each, together)) = (self.lines(), self.gathered());
        let mut held = Held::Nothing;
        // Its padding stays 0 from image to image.
        let field = self.field(&mut local.strip);
        for start in images.clone().step_by(together) {
            let some = start..(start + together).min(images.end);
            for first in (0..lines).step_by(each) {
                let band = first..(first + each).min(lines);
                let pixels = band.len() * wide;
                // What is behind the taps in the last panel is whatever was there; it reaches columns that nobody reads.
                let columns: *mut T = local.stage.room(some.len() * pixels * row);
                let spans: *mut Span<T> = local.spans.room(some.len());
                let columns_of = |number: usize| columns.wrapping_add(number * pixels * row);
                for (number, n) in some.clone().enumerate() {
                    if first == 0 {
                        self.lay(&x[self.part(n, self.conv.inputs, plane)], field);
                    }
                    // SAFETY: there is room for the image's pixels.
                    let unfolded = unsafe { std::slice::from_raw_parts_mut(columns_of(number), pixels * row) };
                    let lines = band.clone();
                    self.isa.run(Fold { group: self, field: &mut *field, unfolded, lines, gather: true });
                }
                for panel in &self.panels {
                    let met = self.lines_met(panel);
                    let met = met.start.clamp(band.start, band.end)..met.end.clamp(band.start, band.end);
                    for (number, n) in some.clone().enumerate() {
                        let a = dy[self.part(n, self.conv.outputs, out)][met.start * wide..].as_ptr();
                        let b = columns_of(number).wrapping_add((met.start - first) * wide * row + panel.first);
                        // SAFETY: there is room for a term an image.
                        unsafe { spans.add(number).write(Span::new(a, b, met.len() * wide)) };
                    }
                    // SAFETY: so many terms were written.
                    let spans = unsafe { std::slice::from_raw_parts(spans, some.len()) };
                    for (result, count) in equal_parts(self.conv.outputs, panel.tiles.len()) {
                        let tile = Tile {
                            spans,
                            a_offset: (result * out) as isize,
                            a_row: out as isize,
                            a_col: 1,
                            b_row: row as isize,
                            c: sum.at(result * row + panel.first),
                            c_row: row as isize,
                            held,
                        };
                        // SAFETY: dy has these results, the columns all pixels; the sums are this task's own.
                        unsafe { panel.tiles[count - 1](&tile) };
                    }
                }
                held = Held::Sum;
            }
        }
    }
}

/// Between a field and rows of unfolded taps, for some lines of outputs: gathered from the field, or added to it.
struct Fold<'a, T: Float> {
    group: &'a Group<'a, T>,
    field: &'a mut [T],
    /// [`Group::row`] numbers a pixel.
    unfolded: &'a mut [T],
    lines: Range<usize>,
    gather: bool,
}

impl<T: Float> Kernel for Fold<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let conv = self.group.conv;
        // The usual widths are unrolled.
        match (conv.kernel[2], conv.dilation[2]) {
            (3, 1) => self.runs::<3>(),
            (5, 1) => self.runs::<5>(),
            (7, 1) => self.runs::<7>(),
            (11, 1) => self.runs::<11>(),
            _ => self.runs::<0>(),
        }
    }
}

impl<T: Float> Fold<'_, T> {
    /// Rows of a kernel of `N` adjacent taps; with 0, of any.
    #[inline(always)]
    fn runs<const N: usize>(self) {
        let Fold { group, field, unfolded, lines, gather } = self;
        let (conv, row) = (group.conv, group.row());
        let ([_, high, wide], [depths, heights, widths]) = (conv.out, group.field);
        let [deep_taps, high_taps, taps] = conv.kernel;
        let apart = taps.div_ceil(conv.stride[2]);
        for line in lines.clone() {
            let (depth, height) = (line / high, line % high);
            for kernel_row in 0..conv.inputs * deep_taps * high_taps {
                let (rest, high_tap) = (kernel_row / high_taps, kernel_row % high_taps);
                let (channel, deep_tap) = (rest / deep_taps, rest % deep_taps);
                let deep = channel * depths + depth * conv.stride[0] + deep_tap * conv.dilation[0];
                let there = (deep * heights + height * conv.stride[1] + high_tap * conv.dilation[1]) * widths;
                let there = &mut field[there..there + widths];
                let place =
                    if gather { kernel_row % (deep_taps * high_taps) * conv.inputs + channel } else { kernel_row };
                let here = (line - lines.start) * wide * row + place * taps;
                // Pixels that share no element one after the other: a sum need not wait for the one before to be stored.
                for pixel in (0..apart).flat_map(|first| (first..wide).step_by(apart)) {
                    let (from, at) = (pixel * conv.stride[2], here + pixel * row);
                    let here = &mut unfolded[at..at + taps];
                    // Whole arrays, as registers hold them.
                    if let (Some(there), Some(here)) = (there[from..].first_chunk_mut::<N>(), here.first_chunk_mut())
                        && N > 0
                    {
                        if gather {
                            *here = *there;
                        } else {
                            *there = std::array::from_fn(|i| there[i] + here[i]);
                        }
                    } else {
                        for (there, here) in there[from..].iter_mut().step_by(conv.dilation[2]).zip(here) {
                            if gather { *here = *there } else { *there = *there + *here }
                        }
                    }
                }
            }
        }
    }
}

/// dx (N, G·inputs, size…) from dy.
pub(super) fn grad_input<T: Float>(by: (Isa, &'static Kernels<T>), conv: &Conv, dy: &[T], weight: &[T], dx: &mut [T]) {
    let to = Place(dx.as_mut_ptr());
    for number in 0..conv.groups {
        let group = Group::<T>::new(by, conv, number);
        let (unfolded, outputs) = (group.unfolded(), conv.outputs);
        shared(|shared| {
            let packed = Place(shared.weights.room::<T>(outputs * group.row()));
            for panel in &group.panels {
                let src = weight[number * outputs * unfolded + panel.first..].as_ptr();
                let (to, stride) = (packed.at(panel.first * outputs), unfolded as isize);
                // SAFETY: the weights of all outputs, of which the panel's columns are packed; there is room for them.
                unsafe { (group.kernels.pack_rows)(src, stride, outputs, panel.columns, panel.width, to, 0) };
            }
            team::parallel(conv.batch, |n| {
                local(|local| {
                    let (part, plane) = (group.part(n, conv.inputs, conv.plane()), conv.out_plane());
                    // SAFETY: the image's own part of dx.
                    let dx = unsafe { std::slice::from_raw_parts_mut(to.at(part.start), part.len()) };
                    group.scatter(&dy[group.part(n, outputs, plane)], &packed, dx, local);
                });
            });
        });
    }
}

/// dw (G·outputs, inputs, kernel…) from x and dy.
pub(super) fn grad_weight<T: Float>(by: (Isa, &'static Kernels<T>), conv: &Conv, x: &[T], dy: &[T], dw: &mut [T]) {
    for (number, dw) in dw.chunks_exact_mut(dw.len() / conv.groups).enumerate() {
        let group = Group::<T>::new(by, conv, number);
        let (unfolded, row) = (group.unfolded(), group.row());
        let size = conv.outputs * row;
        let parts = (PARTIAL / (conv.outputs * unfolded)).clamp(1, TASKS).min(conv.batch);
        shared(|shared| {
            let partial = Place(shared.weights.room::<T>(parts * size));
            team::parallel(parts, |part| {
                let images = part * conv.batch / parts..(part + 1) * conv.batch / parts;
                local(|local| group.gather(images, (x, dy), &Place(partial.at(part * size)), local));
            });
            let to = Place(dw.as_mut_ptr());
            let blocks = conv.outputs.min(TASKS);
            team::parallel(blocks, |block| {
                for result in block * conv.outputs / blocks..(block + 1) * conv.outputs / blocks {
                    // SAFETY: the partial sums are whole; each task has results of its own.
                    let sum = |part: usize| unsafe {
                        std::slice::from_raw_parts_mut(partial.at(part * size + result * row), unfolded)
                    };
                    let whole = sum(0);
                    for part in 1..parts {
                        whole.iter_mut().zip(sum(part)).for_each(|(sum, &mut other)| *sum = *sum + other);
                    }
                    // SAFETY: as above.
                    let dw = unsafe { std::slice::from_raw_parts_mut(to.at(result * unfolded), unfolded) };
                    // By row of the kernel and channel; they become by channel and row.
                    for (place, run) in whole.chunks_exact(conv.kernel[2]).enumerate() {
                        let (kernel_row, channel) = (place / conv.inputs, place % conv.inputs);
                        let to = (channel * group.kernel_rows() + kernel_row) * conv.kernel[2];
                        dw[to..to + conv.kernel[2]].copy_from_slice(run);
                    }
                }
            });
        });
    }
}
