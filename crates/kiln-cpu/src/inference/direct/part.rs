//! A thread's part of a direct convolution.

use super::Direct;
use crate::conv::Conv;
use crate::gemm::equal_parts;
use crate::gemm::row::RowByPanels;
use crate::gemm::tile::{Held, Span, Tile};
use crate::gemm::vector::Vector;
use crate::inference::epilogue::{Fused, Target};
use crate::inference::field::{Field, Source};
use crate::inference::panels::{Finish, MOST_ROWS, Panel, WIDEST};
use crate::{Kernel, Simd};
use std::ops::Range;

/// Floats of a cache line.
const LINE: usize = 16;
/// Tiles from one to that whose residual is fetched.
const AHEAD: usize = 2;

/// Lines of output pixels, and what they are multiplied with.
#[derive(Clone, Copy)]
struct Strip {
    /// The input that the first tap of the first pixel meets, and floats from line to line and from pixel to pixel.
    a: *const f32,
    a_line: usize,
    a_pixel: usize,
    lines: usize,
    /// Pixels of a line.
    width: usize,
    /// The first pixel's number among those of all images.
    first: usize,
}

/// One task: some lines, or pixels, of all images, and some panels.
pub(super) struct Part<'a> {
    pub(super) of: &'a Direct,
    pub(super) form: &'a Conv,
    pub(super) packed: &'a [f32],
    pub(super) x: &'a [f32],
    pub(super) target: &'a Target<'a>,
    pub(super) lines: Range<usize>,
    pub(super) panels: Range<usize>,
    pub(super) slot: *mut f32,
}

impl Kernel for Part<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        for group in 0..self.form.groups {
            let mut line = self.lines.start;
            while line < self.lines.end {
                let (strip, lines) = self.strip(group, line);
                let done = if self.is_row(&strip) { self.row::<S>(&strip) } else { 0 };
                self.panels::<S>(group, &strip, self.panels.start + done..self.panels.end);
                if self.form.groups > 1 && group + 1 == self.form.groups {
                    let pixels = strip.first..strip.first + strip.lines * strip.width;
                    // SAFETY: all channels of these pixels are this task's own, and are computed.
                    unsafe { self.target.finish::<S>(self.target.steps, pixels, 0..self.target.pitch) };
                }
                line += lines;
            }
        }
    }
}

impl Part<'_> {
    /// The strip of a group's input from a line on, and how many lines it has.
    #[inline(always)]
    fn strip(&self, group: usize, line: usize) -> (Strip, usize) {
        let (form, Direct { source, pitches, strip: most, .. }) = (self.form, self.of);
        let left = self.lines.end - line;
        if *source == Source::Pixels {
            // A remainder that is not worth a strip of its own belongs to this one.
            let count = if left <= most * 3 / 2 { left } else { *most };
            let a = self.x[line * pitches.pixel..].as_ptr().wrapping_add(group * form.inputs);
            let strip = Strip { a, a_line: 0, a_pixel: pitches.pixel, lines: 1, width: count, first: line };
            return (strip, count);
        }
        let [depths, heights, width] = form.out;
        let (image, depth, height) = (line / (depths * heights), line / heights % depths, line % heights);
        let lines = left.min(*most).min(heights - height);
        let a = match source {
            Source::Field => {
                let field = Field { form, x: self.x, pitches: *pitches, zero: self.of.zero };
                let to = self.slot.wrapping_add(self.of.slot() - self.of.field);
                // SAFETY: the field of at most so many lines is at the end of this task's slot.
                unsafe { field.fill((image, group), depth, (height, lines), to) };
                to.cast_const()
            }
            _ => {
                let above = (image * form.size[0] + depth * form.stride[0]) * form.size[1] + height * form.stride[1];
                self.x[above * pitches.line..].as_ptr().wrapping_add(group * form.inputs)
            }
        };
        let (a_line, a_pixel) = (form.stride[1] * pitches.line, form.stride[2] * pitches.pixel);
        (Strip { a, a_line, a_pixel, lines, width, first: line * width }, lines)
    }

    /// The target of pixels from `first` on, as many as a tile has: the map, or where there is none this task's stage.
    #[inline(always)]
    fn target(&self, first: usize) -> Target<'_> {
        if self.target.y.is_null() {
            return self.target.at(self.slot.wrapping_add(self.of.terms_room()), first);
        }
        *self.target
    }

    /// Whether a strip is one pixel, whose channels are the terms of the sum: a dense layer of one row.
    fn is_row(&self, strip: &Strip) -> bool {
        self.of.source == Source::Pixels && strip.width == 1 && self.form.groups == 1
    }

    /// The results of one pixel, as long as there are several panels to compute beside each other. Says of how many.
    #[inline(always)]
    fn row<S: Simd>(&self, strip: &Strip) -> usize {
        let (panels, k) = (&self.of.panels[self.panels.clone()], self.form.inputs);
        let target = self.target(strip.first);
        let mut done = 0;
        while let Some(first) = panels.get(done) {
            let Some(last) = panels.get(done + first.beside() - 1).filter(|last| last.width == first.width) else {
                break;
            };
            let at = strip.first * target.pitch;
            let row = RowByPanels {
                a: strip.a,
                k,
                b: self.packed[first.first * k..].as_ptr(),
                panel: first.width * k,
                c: target.y.wrapping_add(at + first.first),
                accumulate: false,
            };
            let columns = first.first..if last.first + last.width >= target.channels {
                target.pitch
            } else {
                last.first + last.width
            };
            // SAFETY: the pixel's channels and the panels' weights, one after the other; these columns are this task's own.
            unsafe {
                let more = target.has_more(&columns);
                let quantized = if more { None } else { target.quantized.map(|to| (to, strip.first)) };
                first.row(&row, &Finish { fused: target.fused, complete: true, column: first.first, at, quantized });
                if more {
                    target.finish::<S>(target.rest, strip.first..strip.first + 1, columns.clone());
                    target.quantize(strip.first..strip.first + 1, columns);
                }
            }
            done += first.beside();
        }
        done
    }

    /// The panels' results of a strip.
    #[inline(always)]
    fn panels<S: Simd>(&self, group: usize, strip: &Strip, panels: Range<usize>) {
        if panels.is_empty() {
            return;
        }
        let all = self.form.taps() * self.form.inputs;
        let packed = self.packed[group * self.of.group_room(self.form)..].as_ptr();
        for (number, chunk) in self.of.chunks.iter().enumerate() {
            let last = number + 1 == self.of.chunks.len();
            for panel in &self.of.panels[panels.clone()] {
                let b = packed.wrapping_add(panel.first * all);
                let list: *mut Span<f32> = self.slot.cast();
                let terms = &self.of.terms[chunk.clone()];
                for (number, term) in terms.iter().enumerate() {
                    let (a, b) = (strip.a.wrapping_add(term.a), b.wrapping_add(term.b * panel.width));
                    // SAFETY: the slot begins with room for the terms of a chunk.
                    unsafe { list.add(number).write(Span { a, b, k: term.k, ends: term.ends }) };
                }
                // SAFETY: as many terms were written.
                let spans = unsafe { std::slice::from_raw_parts(list, terms.len()) };
                let column = group * self.form.outputs + panel.first;
                Results { part: self, strip, panel, spans, column, held: Held::sum_if(number > 0), last }.tiles::<S>();
            }
        }
    }
}

/// The results of one panel and a strip.
#[derive(Clone, Copy)]
struct Results<'a> {
    part: &'a Part<'a>,
    strip: &'a Strip,
    panel: &'a Panel,
    spans: &'a [Span<f32>],
    /// The panel's first channel in a pixel.
    column: usize,
    held: Held,
    /// Whether the sums are complete with these spans.
    last: bool,
}

/// A panel that is not whole, where the columns after it are another group's.
#[repr(align(64))]
struct Stage([f32; MOST_ROWS * WIDEST]);

impl Results<'_> {
    #[inline(always)]
    fn tiles<S: Simd>(&self) {
        let (Results { strip, panel, column, .. }, shared) = (*self, self.part.target);
        let grouped = self.part.form.groups > 1;
        // Behind the last panel there are only zeros.
        let end = if column + panel.width >= shared.channels { shared.pitch } else { column + panel.width };
        let more = self.last && !grouped && shared.has_more(&(column..end));
        let fused = if self.last && !grouped { shared.fused } else { Fused::NOTHING };
        for line in 0..strip.lines {
            for (pixel, count) in equal_parts(strip.width, panel.rows()) {
                let first = strip.first + line * strip.width + pixel;
                let target = self.part.target(first);
                let tile = Tile {
                    spans: self.spans,
                    a_offset: (line * strip.a_line + pixel * strip.a_pixel) as isize,
                    a_row: strip.a_pixel as isize,
                    a_col: 1,
                    b_row: panel.width as isize,
                    c: target.y.wrapping_add(first * target.pitch + column),
                    c_row: target.pitch as isize,
                    held: self.held,
                };
                if self.last {
                    self.fetch_next::<S>(first, count);
                }
                // SAFETY: the spans reach within the input or the field from these pixels; the panel's columns of these pixels are
                // this task's own, also as words, and where it is not whole either what follows them are the zeros of a pixel, or it is
                // staged.
                unsafe {
                    if grouped && panel.columns < panel.width {
                        self.staged(count, tile);
                        continue;
                    }
                    let quantized = if self.last && !more { target.quantized.map(|to| (to, first)) } else { None };
                    let at = first * target.pitch;
                    let finish = Finish { fused, complete: self.last, column, at, quantized };
                    panel.tile(count, &tile, &finish);
                    if more {
                        target.finish::<S>(target.rest, first..first + count, column..end);
                        target.quantize(first..first + count, column..end);
                    }
                }
            }
        }
    }

    /// Asks for what comes after `rows` pixels from `first` on: the outputs that are a strip further on, and the residual of the tiles
    /// that follow. They are pieces that lie apart, which the processor does not foresee.
    #[inline(always)]
    fn fetch_next<S: Simd>(&self, first: usize, rows: usize) {
        let (target, next) = (self.part.target, first + self.strip.lines * self.strip.width);
        let lines = |map: *const f32, pixel: usize| {
            for column in (0..self.panel.columns).step_by(LINE) {
                S::Register::prefetch(map.wrapping_add(pixel * target.pitch + self.column + column));
            }
        };
        if let Some(residual) = target.fused.residual() {
            (first + AHEAD * rows..first + (AHEAD + 1) * rows).for_each(|pixel| lines(residual, pixel));
        }
        for pixel in next..next + rows {
            if !target.y.is_null() {
                lines(target.y, pixel);
            }
            if let Some(quantized) = &target.quantized {
                S::Register::prefetch(quantized.at(pixel, self.column).cast());
            }
        }
    }

    /// A tile of whose columns only some are wanted.
    ///
    /// # Safety
    /// As [`Panel::tile`], for the columns that are wanted.
    unsafe fn staged(&self, rows: usize, tile: Tile<'_, f32>) {
        let (mut stage, panel) = (Stage([0.0; MOST_ROWS * WIDEST]), self.panel);
        let staged = Tile { c: stage.0.as_mut_ptr(), c_row: panel.width as isize, ..tile };
        // SAFETY: the stage has room for the rows of any panel; the wanted columns of the tile's rows are writable.
        unsafe {
            panel.tile(rows, &staged, &Finish::NOTHING);
            for row in 0..rows {
                let from = stage.0[row * panel.width..].as_ptr();
                from.copy_to_nonoverlapping(tile.c.offset(row as isize * tile.c_row), panel.columns);
            }
        }
    }
}
