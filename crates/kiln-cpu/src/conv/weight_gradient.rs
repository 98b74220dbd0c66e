//! The gradient of the weight: for each tap, dy times what it meets, summed over pixels and images.
//!
//! Rows are results, columns the channels that a tap (or a row of taps) meets, and the sum runs along pixels, or on small maps
//! along images.
//!
//! Sums are cut into blocks: along pixels, where a strip of an image ends, and within one after every block's terms; along images,
//! after every block's terms, pixel by pixel. Those of parts of the images are added at last.

use super::Conv;
use super::field::Image;
use super::scratch::{Local, Place, Shared, local, shared};
use super::taps::{Axis, Tap};
use super::weights::{Panel, panels};
use crate::gemm::kernels::Kernels;
use crate::gemm::scratch::ScratchBuffer;
use crate::gemm::tile::{Held, Span, Tile};
use crate::gemm::{GemmFloat, equal_parts};
use crate::team;
use std::ops::Range;

/// Elements of x that a strip holds.
const STRIP: usize = 48 << 10;
/// Numbers that all partial sums together may take.
pub(super) const PARTIAL: usize = 1 << 22;
/// Tasks that the work is cut into, where there is enough of it; the same on every machine, since sums are cut with it.
pub(super) const TASKS: usize = 16;
/// Results that a task has at least.
const RESULTS: usize = 12;

/// Results from which on it pays to make what they read adjacent.
const MANY_RESULTS: usize = 96;

/// One group's gradient.
struct Group<'a, T: GemmFloat> {
    kernels: &'static Kernels<T>,
    conv: &'a Conv,
    number: usize,
    axes: [Axis; 3],
    x: &'a [T],
    dy: &'a [T],
    /// What a row of the kernel meets at once: from where on, and panels of adjacent numbers.
    runs: Vec<Run<T>>,
    /// Numbers of one result's gradient in a partial sum: for each row of the kernel, each run, whole panels.
    width: usize,
}

/// Taps of a row of the kernel whose channels are adjacent in the field: all of them, or one.
struct Run<T: 'static> {
    first: Tap,
    panels: Vec<Panel<T>>,
    /// Where its panels begin in a row of the partial sum.
    place: usize,
}

pub(super) fn run<T: GemmFloat>(kernels: &'static Kernels<T>, conv: &Conv, x: &[T], dy: &[T], dw: &mut [T]) {
    let part = dw.len() / conv.groups;
    for (number, dw) in dw.chunks_exact_mut(part).enumerate() {
        let axes: [Axis; 3] = std::array::from_fn(|axis| Axis::forward(conv, axis));
        let small = conv.out_plane() <= 64 && conv.batch >= 8 && conv.inputs >= 16;
        // On small maps pixels of the padding are left out, and so each tap is for itself.
        let (runs, width) = runs(kernels, &axes[2], conv.inputs, small);
        let group = Group { kernels, conv, number, axes, x, dy, runs, width };
        shared(|shared| if small { group.by_images(dw, shared) } else { group.by_strips(dw, shared) });
    }
}

/// The runs of a row of the kernel, and the numbers that they take.
fn runs<T: GemmFloat>(
    kernels: &'static Kernels<T>,
    wide: &Axis,
    channels: usize,
    single: bool,
) -> (Vec<Run<T>>, usize) {
    let dense = !single && wide.taps.windows(2).all(|pair| pair[1].offset == pair[0].offset + 1);
    let each = if dense { wide.taps.len() } else { 1 };
    let (mut runs, mut place) = (Vec::new(), 0);
    for taps in wide.taps.chunks(each) {
        let panels = panels(kernels, taps.len() * channels);
        let width = panels.last().map_or(0, |panel| panel.first + panel.width);
        runs.push(Run { first: taps[0], panels, place });
        place += width;
    }
    (runs, place)
}

impl<T: GemmFloat> Group<'_, T> {
    fn image(&self, n: usize) -> Image<'_, T> {
        let elements = self.conv.inputs * self.conv.plane();
        let of = &self.x[(n * self.conv.groups + self.number) * elements..][..elements];
        Image { of, channels: self.conv.inputs, size: self.conv.size }
    }

    /// dy of an image, (outputs, out…).
    fn slopes(&self, n: usize) -> &[T] {
        let elements = self.conv.outputs * self.conv.out_plane();
        &self.dy[(n * self.conv.groups + self.number) * elements..][..elements]
    }

    /// Rows of the kernel.
    fn kernel_rows(&self) -> usize {
        self.axes[0].taps.len() * self.axes[1].taps.len()
    }

    /// Numbers of one result in a partial sum.
    fn row(&self) -> usize {
        self.kernel_rows() * self.width
    }

    /// The sums of partial sums, `apart` from one to the next, as the gradient of some results.
    ///
    /// # Safety
    /// `parts` partial sums are readable, the results' gradient is this call's alone.
    unsafe fn collect(&self, from: &Place<T>, (parts, apart): (usize, usize), results: Range<usize>, to: &Place<T>) {
        let (channels, taps) = (self.conv.inputs, self.conv.taps());
        let columns = self.axes[2].taps.len();
        for result in results {
            let row = from.at(result * self.row());
            // SAFETY: within the partial sums.
            let sum = unsafe { std::slice::from_raw_parts_mut(row, self.row()) };
            for part in 1..parts {
                // SAFETY: as above; another partial sum.
                let other = unsafe { std::slice::from_raw_parts(row.add(part * apart), self.row()) };
                sum.iter_mut().zip(other).for_each(|(sum, &other)| *sum = *sum + other);
            }
            let to = to.at(result * channels * taps);
            // (taps, channels) becomes (channels, taps), of as many taps at once as are equally far from one another: all of
            // them, or those of a row of the kernel.
            let (rows, each, apart) = match self.runs.len() {
                1 => (self.kernel_rows(), columns, channels),
                runs => (1, taps, self.width / runs),
            };
            for kernel_row in 0..rows {
                let from = row.wrapping_add(kernel_row * self.width);
                // SAFETY: within the result's own gradient, and the sums of its taps.
                unsafe {
                    let to = to.add(kernel_row * each);
                    (self.kernels.transpose)(from, apart as isize, channels, (each, each), to, taps as isize);
                }
            }
        }
    }

    /// The sum runs along the pixels of rows.
    fn by_strips(&self, dw: &mut [T], shared: &mut Shared) {
        let conv = self.conv;
        let size = conv.outputs * self.row();
        // What depends on the shape alone, not on the width of panels: the sums' parts, and with them the bits.
        let parts = (PARTIAL / (conv.outputs * conv.inputs * conv.taps())).clamp(1, TASKS).min(conv.batch);
        let blocks = (TASKS / parts).clamp(1, conv.outputs.div_ceil(RESULTS));
        let partial = Place(shared.weights.room::<T>(parts * size));
        team::parallel(parts * blocks, |task| {
            let (part, block) = (task / blocks, task % blocks);
            let images = part * conv.batch / parts..(part + 1) * conv.batch / parts;
            let results = block * conv.outputs / blocks..(block + 1) * conv.outputs / blocks;
            local(|local| self.images(images, results, &Place(partial.at(part * size)), local));
        });
        let to = Place(dw.as_mut_ptr());
        let blocks = conv.outputs.min(TASKS);
        team::parallel(blocks, |block| {
            let results = block * conv.outputs / blocks..(block + 1) * conv.outputs / blocks;
            // SAFETY: the partial sums are whole; each task has results of its own.
            unsafe { self.collect(&partial, (parts, size), results, &to) };
        });
    }

    /// One partial sum, of some images and for some results.
    fn images(&self, images: Range<usize>, results: Range<usize>, sum: &Place<T>, local: &mut Local) {
        let [deep, high, wide] = &self.axes;
        let channels = self.conv.inputs;
        let (columns, (top, _), (left, _)) = (wide.met(wide.count), high.reach(), wide.reach());
        let row = columns * channels;
        let most = (1..=high.count).take_while(|&rows| high.met(rows) * row <= STRIP).last().unwrap_or(1);
        let strips = high.count.div_ceil(most);
        let mut first = true;
        for n in images {
            let image = self.image(n);
            for (depth, tap, slice) in (0..deep.count)
                .flat_map(|depth| deep.taps.iter().enumerate().map(move |(slice, &tap)| (depth, tap, slice)))
            {
                let at = (depth * deep.step) as isize + tap.offset;
                for strip in 0..strips {
                    let heights = strip * high.count / strips..(strip + 1) * high.count / strips;
                    let rows = high.met(heights.len());
                    // A panel's last numbers may be those of the next pixel, or of none.
                    let field: *mut T = local.strip.room(rows * row + self.width);
                    for number in 0..rows {
                        let height = (heights.start * high.step + number) as isize + top;
                        let to = field.wrapping_add(number * row);
                        // SAFETY: a row of the field.
                        unsafe { image.row(self.kernels, (at, height), (left, columns), to) };
                    }
                    let slopes = self.slopes(n)[(depth * high.count + heights.start) * wide.count..].as_ptr();
                    let lines = Lines { field, row, slopes, heights, left, top };
                    let held = Held::sum_if(!(first && depth == 0 && strip == 0));
                    self.lines(&lines, (slice, held), results.clone(), sum, &mut local.spans);
                }
            }
            first = false;
        }
    }

    /// Adds what some lines of one image give to the sums of one depth of the kernel.
    fn lines(
        &self,
        lines: &Lines<T>,
        (slice, held): (usize, Held),
        results: Range<usize>,
        sum: &Place<T>,
        buffer: &mut ScratchBuffer,
    ) {
        let [_, high, _] = &self.axes;
        let (channels, plane) = (self.conv.inputs, self.conv.out_plane());
        for (number, &tap) in high.taps.iter().enumerate() {
            // The lines that meet more than padding, which are adjacent ones.
            let meets = |height: &usize| high.input(*height, tap, self.conv.size[1]).is_some();
            let first = lines.heights.clone().find(meets).unwrap_or(lines.heights.end);
            let count = (first..lines.heights.end).take_while(meets).count();
            let some = first - lines.heights.start..first - lines.heights.start + count;
            let kernel_row = slice * high.taps.len() + number;
            for run in &self.runs {
                for panel in &run.panels {
                    let right = (run.first.offset - lines.left) as usize * channels + panel.first;
                    let down = (tap.offset - lines.top) as usize;
                    let (spans, b_row) = self.terms(lines, &some, (down, right), (panel, results.len()), buffer);
                    for (result, count) in equal_parts(results.len(), panel.tiles.len()) {
                        let result = results.start + result;
                        let place = result * self.row() + kernel_row * self.width + run.place + panel.first;
                        let tile = Tile {
                            spans,
                            a_offset: (result * plane) as isize,
                            a_row: plane as isize,
                            a_col: 1,
                            b_row,
                            c: sum.at(place),
                            c_row: self.row() as isize,
                            held,
                        };
                        // SAFETY: dy has these results, whose lines follow one another; the sums are this task's own.
                        unsafe { panel.tiles[count - 1](&tile) };
                    }
                }
            }
        }
    }

    /// The terms of the sums of `some` of the lines: dy, and what it meets `down` and `right` of the lines' beginnings, with the
    /// distance from pixel to pixel. Where many results read that, it is made adjacent first.
    fn terms<'b>(
        &self,
        lines: &Lines<T>,
        some: &Range<usize>,
        (down, right): (usize, usize),
        (panel, results): (&Panel<T>, usize),
        buffer: &'b mut ScratchBuffer,
    ) -> (&'b [Span<T>], isize) {
        let [_, high, wide] = &self.axes;
        let apart = (wide.step * self.conv.inputs) as isize;
        let met = |line: usize| lines.field.wrapping_add((line * high.step + down) * lines.row + right);
        let slopes = |line: usize| lines.slopes.wrapping_add(line * wide.count);
        let packed = results >= MANY_RESULTS;
        let count = if packed { 1 } else { some.len() };
        // Room for the terms, and behind them for what is packed.
        let list = (count * size_of::<Span<T>>()).next_multiple_of(64);
        let elements = if packed { some.len() * wide.count * panel.width } else { 0 };
        let room: *mut u8 = buffer.room(list + elements * size_of::<T>());
        let spans: *mut Span<T> = room.cast();
        // SAFETY: the buffer is aligned to cache lines, and has room for the terms and the pixels; the field has these lines,
        // and the width of a panel more.
        unsafe {
            let to: *mut T = room.add(list).cast();
            if packed {
                for (number, line) in some.clone().enumerate() {
                    let to = to.add(number * wide.count * panel.width);
                    (self.kernels.pack_rows)(met(line), apart, wide.count, panel.width, panel.width, to, 0);
                }
                spans.write(Span::new(slopes(some.start), to.cast_const(), some.len() * wide.count));
            } else {
                for (number, line) in some.clone().enumerate() {
                    spans.add(number).write(Span::new(slopes(line), met(line), wide.count));
                }
            }
            let b_row = if packed { panel.width as isize } else { apart };
            (std::slice::from_raw_parts(spans, count), b_row)
        }
    }

    /// The sum runs along images, for each pixel.
    fn by_images(&self, dw: &mut [T], shared: &mut Shared) {
        let conv = self.conv;
        let (batch, plane, out) = (conv.batch, conv.plane(), conv.out_plane());
        let image = conv.inputs * plane;
        let field = Place(shared.field.room::<T>(batch * image + self.width));
        let slopes = Place(shared.gradient.room::<T>(batch * conv.outputs * out));
        let partial = Place(shared.weights.room::<T>(conv.outputs * self.row()));
        let blocks = conv.outputs.div_ceil(RESULTS).min(2 * TASKS);
        let of = |block: usize| block * conv.outputs / blocks..(block + 1) * conv.outputs / blocks;
        team::parallel(batch + blocks, |task| {
            // SAFETY: the image's own part of the field; the results' own part of the slopes, (outputs, out, images), from
            // (images, outputs, out).
            unsafe {
                if task < batch {
                    return self.image(task).pixels(self.kernels, field.at(task * image));
                }
                let results = of(task - batch);
                let src = self.dy[(self.number * conv.outputs + results.start) * out..].as_ptr();
                let stride = (conv.groups * conv.outputs * out) as isize;
                let to = slopes.at(results.start * out * batch);
                (self.kernels.transpose)(src, stride, results.len() * out, (batch, batch), to, batch as isize);
            }
        });
        let to = Place(dw.as_mut_ptr());
        team::parallel(blocks, |block| {
            local(|local| self.pixels(of(block), (field.at(0), slopes.at(0)), &partial, &mut local.spans));
            // SAFETY: the sums of these results are whole; their gradient is this task's own.
            unsafe { self.collect(&partial, (1, 0), of(block), &to) };
        });
    }

    /// The gradient of some results, from all pixels of all images.
    fn pixels(
        &self,
        results: Range<usize>,
        (field, slopes): (*const T, *const T),
        sum: &Place<T>,
        buffer: &mut ScratchBuffer,
    ) {
        let [deep, high, wide] = &self.axes;
        let [depths, heights, widths] = self.conv.size;
        let (batch, channels, out) = (self.conv.batch, self.conv.inputs, self.conv.out_plane());
        for kernel_row in 0..self.kernel_rows() {
            let (depth, height) = (deep.taps[kernel_row / high.taps.len()], high.taps[kernel_row % high.taps.len()]);
            for run in &self.runs {
                let spans: *mut Span<T> = buffer.room(out);
                let mut count = 0;
                for pixel in 0..out {
                    let line = pixel / wide.count;
                    let met = (|| {
                        let depth = deep.input(line / high.count, depth, depths)?;
                        let height = high.input(line % high.count, height, heights)?;
                        let width = wide.input(pixel % wide.count, run.first, widths)?;
                        Some((depth * heights + height) * widths + width)
                    })();
                    if let Some(met) = met {
                        let (a, b) = (slopes.wrapping_add(pixel * batch), field.wrapping_add(met * channels));
                        // SAFETY: there is room for a term a pixel.
                        unsafe { spans.add(count).write(Span::new(a, b, batch)) };
                        count += 1;
                    }
                }
                // SAFETY: `count` terms were written.
                let spans = unsafe { std::slice::from_raw_parts_mut(spans, count) };
                for panel in &run.panels {
                    for (result, rows) in equal_parts(results.len(), panel.tiles.len()) {
                        let result = results.start + result;
                        let place = result * self.row() + kernel_row * self.width + run.place + panel.first;
                        let tile = Tile {
                            spans,
                            a_offset: (result * out * batch) as isize,
                            a_row: (out * batch) as isize,
                            a_col: 1,
                            b_row: (channels * depths * heights * widths) as isize,
                            c: sum.at(place),
                            c_row: self.row() as isize,
                            held: Held::Nothing,
                        };
                        // SAFETY: slopes and field hold all images; the sums of these results are this task's own.
                        unsafe { panel.tiles[rows - 1](&tile) };
                    }
                    // The next panel's numbers.
                    spans.iter_mut().for_each(|span| span.b = span.b.wrapping_add(panel.width));
                }
            }
        }
    }
}

/// Lines of one image: x with adjacent channels, and dy.
struct Lines<T> {
    field: *const T,
    /// Elements of a row of the field.
    row: usize,
    slopes: *const T,
    /// Of the outputs.
    heights: Range<usize>,
    left: isize,
    top: isize,
}
