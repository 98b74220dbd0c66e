//! Sums over taps as matrix products: rows of pixels by panels of weights.
//!
//! A sum goes through the taps in the order of the kernel and, at each, through the channels. Its blocks are whole taps, as many as
//! [`taps_in_block`] says, and a tap of more channels than a block may have is cut by itself. Taps are counted whether they meet
//! an input or padding, so leaving padding out changes no bit.

use super::Conv;
use super::field::{Image, Planes};
use super::scratch::{Local, Place, local, shared};
use super::taps::{Axis, Tap};
use super::weights::{Panel, Weights, panels};
use crate::gemm::kernels::Kernels;
use crate::gemm::scratch::ScratchBuffer;
use crate::gemm::tile::{Held, Span, Tile};
use crate::gemm::{GemmEpilogue, GemmFloat, equal_parts};
use crate::team;
use kiln_math::taps_in_block;
use std::ops::Range;

/// y (N, G·results, out) = Σ over taps and channels of x (N, G·channels, size) times weights.
pub(super) struct Correlation<'a, T: GemmFloat> {
    pub(super) kernels: &'static Kernels<T>,
    pub(super) conv: &'a Conv,
    pub(super) channels: usize,
    pub(super) results: usize,
    pub(super) x: &'a [T],
    pub(super) size: [usize; 3],
    pub(super) y: *mut T,
    pub(super) out: [usize; 3],
    pub(super) weight: &'a [T],
    /// Of the weight: from channel to channel, from result to result.
    pub(super) weight_strides: (usize, usize),
    pub(super) epilogue: &'a GemmEpilogue<'a, T>,
}

// SAFETY: `y` is only an address; `run` lets each task write pixels of its own there.
unsafe impl<T: GemmFloat> Sync for Correlation<'_, T> {}

/// Elements of x that a strip holds: a part of a core's second-level cache.
const STRIP: usize = 64 << 10;
/// Pixels whose results are staged at a time, where rows are pixels.
const STAGE_PIXELS: usize = 128;
/// Elements that are staged at a time, where rows are images.
const STAGE: usize = 64 << 10;
/// Elements of a panel of weights that are met at a time, where rows are images.
const PANEL: usize = 128 << 10;
/// Images that meet a panel at a time.
const IMAGES: usize = 64;

/// Images that a task has at least, where there are so many.
const FEWEST: usize = 8;

/// One group's part of a correlation.
struct Group<'a, T: GemmFloat> {
    of: &'a Correlation<'a, T>,
    number: usize,
    axes: &'a [Axis; 3],
    /// The packed weights.
    packed: Place<T>,
    panels: Vec<Panel<T>>,
}

impl<T: GemmFloat> Correlation<'_, T> {
    /// Computes the outputs that the axes say.
    pub(super) fn run(&self, axes: &[Axis; 3]) {
        for number in 0..self.conv.groups {
            shared(|shared| {
                let of = &self.weight[number * self.weight.len() / self.conv.groups..];
                let (taps, channels, results) = (self.conv.taps(), self.channels, self.results);
                let weights = Weights { of, taps, channels, results, strides: self.weight_strides };
                let packed = Place(shared.weights.room(weights.room(self.kernels)));
                weights.pack(self.kernels, &packed);
                let group = Group { of: self, number, axes, packed, panels: panels(self.kernels, self.results) };
                let pixels: usize = axes.iter().map(|axis| axis.count).product();
                if pixels <= 64 && self.conv.batch >= 8 && self.channels >= 16 {
                    group.by_images(&mut shared.field);
                } else {
                    group.by_strips();
                }
            });
        }
    }
}

impl<T: GemmFloat> Group<'_, T> {
    fn image(&self, n: usize) -> Image<'_, T> {
        let Correlation { conv, channels, size, x, .. } = self.of;
        let elements = channels * size.iter().product::<usize>();
        let of = &x[(n * conv.groups + self.number) * elements..][..elements];
        Image { of, channels: *channels, size: *size }
    }

    /// The planes of an image's results, from the panel's first on.
    fn planes(&self, n: usize, panel: &Panel<T>) -> Planes<T> {
        let plane = self.of.out.iter().product::<usize>();
        let result = (n * self.of.conv.groups + self.number) * self.of.results + panel.first;
        Planes { to: Place(self.of.y.wrapping_add(result * plane)), plane }
    }

    /// The panel's weights of the taps at these places in the kernel.
    fn weights(&self, panel: &Panel<T>, [depth, height, width]: [usize; 3]) -> *const T {
        let [_, rows, columns] = self.of.conv.kernel;
        let tap = (depth * rows + height) * columns + width;
        self.packed.at(panel.first * self.of.conv.taps() * self.of.channels + tap * self.of.channels * panel.width)
    }

    /// Bias and activation of staged results.
    ///
    /// # Safety
    /// `stage` holds `pixels` rows of the panel's width.
    unsafe fn finish(&self, panel: &Panel<T>, stage: *mut T, pixels: usize) {
        if self.of.epilogue.is_plain() {
            return;
        }
        for pixel in 0..pixels {
            // SAFETY: as the caller promises.
            let row = unsafe { std::slice::from_raw_parts_mut(stage.add(pixel * panel.width), panel.columns) };
            self.of.epilogue.finish(self.of.kernels, row, 0, self.number * self.of.results + panel.first);
        }
    }

    /// Where an output line, one of depth × height, begins in its plane.
    fn place(&self, line: usize) -> usize {
        let [deep, high, wide] = self.axes;
        let [_, rows, columns] = self.of.out;
        let (depth, height) = (line / high.count, line % high.count);
        ((deep.first + depth * deep.apart) * rows + high.first + height * high.apart) * columns + wide.first
    }

    /// Moves staged results of some lines to their planes, those that follow one another there at once.
    ///
    /// # Safety
    /// The stage holds the pixels of the lines, `stage.1` elements from one to the next; the planes' pixels are this task's
    /// own.
    unsafe fn store(&self, planes: &Planes<T>, panel: &Panel<T>, stage: (*const T, usize), lines: Range<usize>) {
        let wide = &self.axes[2];
        let mut line = lines.start;
        while line < lines.end {
            let follows = |&next: &usize| wide.apart == 1 && self.place(next) == self.place(next - 1) + wide.count;
            let end = line + 1 + (line + 1..lines.end).take_while(follows).count();
            let from = stage.0.wrapping_add((line - lines.start) * wide.count * stage.1);
            let pixels = (end - line) * wide.count;
            // SAFETY: as the caller promises.
            unsafe {
                let place = (self.place(line), wide.apart);
                planes.store(self.of.kernels, (from, stage.1), (pixels, panel.columns), place);
            }
            line = end;
        }
    }

    /// The terms of a sum: of these taps (depth × height × width) those that meet something, which is at
    /// `met(depth, height, width)`. Those of a block that follow one another there and in the panel are one term.
    fn spans<'b>(
        &self,
        panel: &Panel<T>,
        taps: Range<usize>,
        met: impl Fn([(usize, Tap); 3]) -> Option<*const T>,
        buffer: &'b mut ScratchBuffer,
    ) -> &'b [Span<T>] {
        let [deep, high, wide] = self.axes;
        let (channels, each) = (self.of.channels, taps_in_block(self.of.channels));
        let list: *mut Span<T> = buffer.room(taps.len());
        let (mut count, mut block) = (0_usize, 0);
        for row in taps.start / wide.taps.len().max(1)..taps.end.div_ceil(wide.taps.len().max(1)) {
            let (depth, height) = (row / high.taps.len(), row % high.taps.len());
            let (depth, height) = ((depth, deep.taps[depth]), (height, high.taps[height]));
            for width in wide.taps.iter().copied().enumerate() {
                let tap = row * wide.taps.len() + width.0;
                if !taps.contains(&tap) {
                    continue;
                }
                let Some(a) = met([depth, height, width]) else { continue };
                let b = self.weights(panel, [depth.1.index, height.1.index, width.1.index]);
                let same_block = tap / each == block;
                block = tap / each;
                // SAFETY: one term for each tap at most; those below `count` were written.
                unsafe {
                    if let Some(last) = count.checked_sub(1).map(|last| &mut *list.add(last)) {
                        let adjacent =
                            a == last.a.wrapping_add(last.k) && b == last.b.wrapping_add(last.k * panel.width);
                        if same_block && adjacent {
                            last.k += channels;
                            continue;
                        }
                        last.ends = !same_block;
                    }
                    list.add(count).write(Span::new(a, b, channels));
                    count += 1;
                }
            }
        }
        // SAFETY: `count` terms were written.
        unsafe { std::slice::from_raw_parts(list, count) }
    }

    /// Rows are pixels of an image's row: for maps of some size.
    fn by_strips(&self) {
        let [deep, high, wide] = self.axes;
        let row = wide.met(wide.count) * self.of.channels;
        let elements = |rows: usize| deep.taps.len() * high.met(rows) * row;
        let images = self.of.conv.batch * deep.count;
        // As many rows as a strip holds, but something for every thread.
        let most = (1..=high.count).take_while(|&rows| elements(rows) <= STRIP).last().unwrap_or(1);
        let least = (team::threads() * 2).div_ceil(images.max(1));
        let strips = high.count.div_ceil(most).max(least).min(high.count);
        team::parallel(images * strips, |task| {
            let (image, strip) = (task / strips, task % strips);
            let rows = strip * high.count / strips..(strip + 1) * high.count / strips;
            local(|local| self.strip(image / deep.count, image % deep.count, rows, local));
        });
    }

    /// The taps, whole rows of the kernel, by which a line of outputs meets more than padding.
    fn taps_met(&self, height: usize) -> Range<usize> {
        let [deep, high, wide] = self.axes;
        if deep.taps.len() > 1 {
            return 0..deep.taps.len() * high.taps.len() * wide.taps.len();
        }
        let meets = |tap: &Tap| high.input(height, *tap, self.of.size[1]).is_some();
        let first = high.taps.iter().position(meets).unwrap_or(0);
        let end = high.taps.iter().rposition(meets).map_or(0, |last| last + 1);
        first * wide.taps.len()..end * wide.taps.len()
    }

    /// Output rows `heights` at `depth` of image `n`.
    fn strip(&self, n: usize, depth: usize, heights: Range<usize>, local: &mut Local) {
        let [deep, high, wide] = self.axes;
        let (kernels, channels) = (self.of.kernels, self.of.channels);
        let ((top, _), (left, _)) = (high.reach(), wide.reach());
        let (rows, columns) = (high.met(heights.len()), wide.met(wide.count));
        let row = columns * channels;
        let field: *mut T = local.strip.room(deep.taps.len() * rows * row);
        let image = self.image(n);
        for (slice, tap) in deep.taps.iter().enumerate() {
            let at = (depth * deep.step) as isize + tap.offset;
            for number in 0..rows {
                let height = (heights.start * high.step + number) as isize + top;
                let to = field.wrapping_add((slice * rows + number) * row);
                // SAFETY: a row of the field.
                unsafe { image.row(kernels, (at, height), (left, columns), to) };
            }
        }
        let met = |[(slice, _), (_, height), (_, width)]: [(usize, Tap); 3]| {
            let down = slice * rows + (height.offset - top) as usize;
            Some(field.wrapping_add(down * row + (width.offset - left) as usize * channels).cast_const())
        };
        let each = (STAGE_PIXELS / wide.count).clamp(1, heights.len());
        for panel in &self.panels {
            let (mut multiplied, mut spans): (Range<usize>, &[Span<T>]) = (0..0, &[]);
            let stage: *mut T = local.stage.room(each * wide.count * panel.width);
            for first in heights.clone().step_by(each) {
                let some = first..(first + each).min(heights.end);
                for height in some.clone() {
                    // Most lines are multiplied by what the one before was.
                    let taps = self.taps_met(height);
                    if multiplied != taps {
                        spans = self.spans(panel, taps.clone(), met, &mut local.spans);
                        multiplied = taps;
                    }
                    let down = (height - heights.start) * high.step * row;
                    let line = (height - first) * wide.count;
                    for (pixel, count) in equal_parts(wide.count, panel.tiles.len()) {
                        let tile = Tile {
                            spans,
                            a_offset: (down + pixel * wide.step * channels) as isize,
                            a_row: (wide.step * channels) as isize,
                            a_col: 1,
                            b_row: panel.width as isize,
                            c: stage.wrapping_add((line + pixel) * panel.width),
                            c_row: panel.width as isize,
                            held: Held::Nothing,
                        };
                        // SAFETY: the field holds all that the spans reach from these pixels; the stage has their rows.
                        unsafe { panel.tiles[count - 1](&tile) };
                    }
                }
                // SAFETY: these rows were just staged; their pixels are this task's own.
                unsafe {
                    self.finish(panel, stage, some.len() * wide.count);
                    let lines = depth * high.count + some.start..depth * high.count + some.end;
                    self.store(&self.planes(n, panel), panel, (stage, panel.width), lines);
                }
            }
        }
    }

    /// Rows are images, one pixel at a time: for small maps, where no padding is multiplied.
    fn by_images(&self, field: &mut ScratchBuffer) {
        let Correlation { conv, channels, size, kernels, .. } = *self.of;
        let elements = channels * size.iter().product::<usize>();
        let field = Place(field.room(conv.batch * elements));
        team::parallel(conv.batch, |n| {
            // SAFETY: the image's own part of the field.
            unsafe { self.image(n).pixels(kernels, field.at(n * elements)) };
        });
        // Something for every thread, twice, as panels differ in width; but rows for some tiles.
        let least = (team::threads() * 2).div_ceil(self.panels.len());
        let blocks = conv.batch.div_ceil(IMAGES).max(least).min(conv.batch.div_ceil(FEWEST));
        team::parallel(self.panels.len() * blocks, |task| {
            let block = task / self.panels.len();
            let images = block * conv.batch / blocks..(block + 1) * conv.batch / blocks;
            local(|local| self.block(&self.panels[task % self.panels.len()], images, &field, local));
        });
    }

    /// All pixels of some images' results of one panel.
    fn block(&self, panel: &Panel<T>, images: Range<usize>, field: &Place<T>, local: &mut Local) {
        let [deep, high, wide] = self.axes;
        let elements = self.of.channels * self.of.size.iter().product::<usize>();
        let field: *const T = field.at(images.start * elements);
        let lines = deep.count * high.count;
        let line = wide.count * images.len() * panel.width;
        let each = (STAGE / line.max(1)).clamp(1, lines);
        for first in (0..lines).step_by(each) {
            let some = first..(first + each).min(lines);
            let stage: *mut T = local.stage.room(some.len() * line);
            self.lines(panel, some.clone(), (images.len(), field), stage, &mut local.spans);
            for (number, n) in images.clone().enumerate() {
                let from = (stage.wrapping_add(number * panel.width).cast_const(), images.len() * panel.width);
                // SAFETY: these lines were just staged; their pixels of these results are this task's own.
                unsafe { self.store(&self.planes(n, panel), panel, from, some.clone()) };
            }
        }
    }

    /// Stages lines of results: by pixel, then by image. So many blocks of taps at a time that their weights stay in the
    /// second-level cache while the pixels pass.
    fn lines(
        &self,
        panel: &Panel<T>,
        lines: Range<usize>,
        (images, field): (usize, *const T),
        stage: *mut T,
        spans: &mut ScratchBuffer,
    ) {
        let [deep, high, wide] = self.axes;
        let [depths, heights, widths] = self.of.size;
        let channels = self.of.channels;
        let image = channels * depths * heights * widths;
        let (taps, block) = (deep.taps.len() * high.taps.len() * wide.taps.len(), taps_in_block(channels));
        let each = (PANEL / (block * channels * panel.width)).max(1) * block;
        for first in (0..taps).step_by(each) {
            for pixel in 0..lines.len() * wide.count {
                let (line, column) = (lines.start + pixel / wide.count, pixel % wide.count);
                let met = |[(_, depth), (_, height), (_, width)]: [(usize, Tap); 3]| {
                    let depth = deep.input(line / high.count, depth, depths)?;
                    let height = high.input(line % high.count, height, heights)?;
                    let width = wide.input(column, width, widths)?;
                    Some(field.wrapping_add(((depth * heights + height) * widths + width) * channels))
                };
                let spans = self.spans(panel, first..taps.min(first + each), met, spans);
                if spans.is_empty() && first > 0 {
                    continue;
                }
                for (number, count) in equal_parts(images, panel.tiles.len()) {
                    let tile = Tile {
                        spans,
                        a_offset: (number * image) as isize,
                        a_row: image as isize,
                        a_col: 1,
                        b_row: panel.width as isize,
                        c: stage.wrapping_add((pixel * images + number) * panel.width),
                        c_row: panel.width as isize,
                        held: Held::sum_if(first > 0),
                    };
                    // SAFETY: the field holds these images; the stage has a row for each pixel and image.
                    unsafe { panel.tiles[count - 1](&tile) };
                }
            }
        }
        // SAFETY: all rows of the stage were written.
        unsafe { self.finish(panel, stage, lines.len() * wide.count * images) };
    }
}
