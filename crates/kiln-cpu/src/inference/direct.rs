//! Convolutions tap by tap, with the sums of [`conv::forward`](crate::conv::forward).
//!
//! A sum goes through the taps in the order of the kernel and, at each, through the channels. Its blocks are whole taps, as many as
//! [`taps_in_block`] says, and a tap of more channels than a block may have is cut by itself.

use super::epilogue::{Fused, Target};
use super::field::{Field, Pitches, Source, met};
use super::layout::padded;
use super::panels::{self, Finish, MOST_ROWS, Panel, Table, WIDEST, part};
use super::slots::{Slots, room};
use crate::conv::Conv;
use crate::gemm::tile::{Held, Span, Tile};
use crate::gemm::{equal_parts, worth_a_region};
use crate::{Isa, Kernel, Simd, team};
use kiln_math::{K_BLOCK, taps_in_block};
use std::ops::Range;

/// Floats of the input that meet all panels before the next ones: a part of a core's second-level cache.
const STRIP: usize = 64 << 10;
/// Floats of a panel's weights that meet a strip at a time: they stay in the second-level cache beside it.
const PANEL: usize = 32 << 10;
/// Pixels a thread up to which threads share output channels rather than pixels: weights are then most of what is read.
const FEW_PIXELS: usize = 200;
/// Multiplications up to which one thread is enough: some 10 µs.
const SMALL: usize = 500_000;
/// Multiplications a thread from which on each gets several parts, so that a free one can help one that was held up.
const LARGE: usize = 20_000_000;

/// A run of the sum: `k` terms from float `a` of the input on, as seen from the first tap, and from weight row `b` on.
#[derive(Clone, Copy, Debug)]
struct Term {
    a: usize,
    b: usize,
    k: usize,
    /// Whether a block ends here.
    ends: bool,
}

/// A direct convolution of one form on one instruction set.
#[derive(Clone)]
pub(super) struct Direct {
    panels: Vec<Panel>,
    source: Source,
    pitches: Pitches,
    terms: Vec<Term>,
    /// The terms that are multiplied at a time, whole blocks.
    chunks: Vec<Range<usize>>,
    /// The most lines of a strip, or pixels where the source is such.
    strip: usize,
    /// Floats of a strip's field.
    field: usize,
}

impl Direct {
    pub(super) fn new(isa: Isa, form: &Conv) -> Direct {
        let source = Source::of(form);
        let row = padded(form.groups * form.inputs);
        let line = form.size[2] * row;
        let (mut pitches, mut strip, mut field) =
            (Pitches { pixel: row, line, depth: form.size[1] * line }, STRIP / row.max(1), 0);
        match source {
            Source::Pixels => {}
            Source::Map => strip = STRIP / (line * form.stride[1]).max(1),
            Source::Field => {
                let line = met(form, 2, form.out[2]) * form.inputs;
                let floats = |lines: usize| form.kernel[0] * met(form, 1, lines) * line;
                strip = (1..=form.out[1]).take_while(|&lines| floats(lines) <= STRIP).last().unwrap_or(1);
                field = floats(strip);
                pitches = Pitches { pixel: form.inputs, line, depth: met(form, 1, strip) * line };
            }
        }
        let panels = Table::of(isa).panels(form.outputs);
        let terms = terms(form, &pitches);
        // Groups whose panels are not whole keep sums on the stack: they are computed at once.
        let most = if form.groups == 1 { PANEL / panels.first().map_or(1, |panel| panel.width) } else { usize::MAX };
        let chunks = chunks(&terms, most);
        Direct { panels, source, pitches, terms, chunks, strip: strip.max(1), field }
    }

    /// Floats that the packed weights take.
    pub(super) fn room(&self, form: &Conv) -> usize {
        form.groups * self.group_room(form)
    }

    fn group_room(&self, form: &Conv) -> usize {
        panels::room(&self.panels, form.taps() * form.inputs)
    }

    /// Packs weights (G·outputs, inputs, kernel…), those of output channel j times `scale[j]`.
    pub(super) fn pack(&self, form: &Conv, weight: &[f32], scale: Option<&[f32]>, to: &mut [f32]) {
        let (taps, terms, room) = (form.taps(), form.taps() * form.inputs, self.group_room(form));
        for (group, to) in to.chunks_exact_mut(room.max(1)).enumerate() {
            panels::pack(&self.panels, terms, to, |channel, put| {
                let channel = group * form.outputs + channel;
                let factor = scale.map_or(1.0, |scale| scale[channel]);
                for (place, weight) in weight[channel * terms..][..terms].iter().enumerate() {
                    let (input, tap) = (place / taps, place % taps);
                    put(tap * form.inputs + input, weight * factor);
                }
            });
        }
    }

    /// Floats of scratch memory that a task has: the terms of a chunk, then the field.
    fn slot(&self) -> usize {
        let terms = self.chunks.iter().map(Range::len).max().unwrap_or(0);
        (terms * size_of::<Span<f32>>() / size_of::<f32>()).next_multiple_of(16) + self.field
    }

    pub(super) fn scratch(&self, threads: usize) -> usize {
        room(self.slot(), threads)
    }

    /// Parts of lines (or pixels) and of panels that threads share.
    fn grid(&self, form: &Conv, lines: usize, slots: usize) -> (usize, usize) {
        let pixels = form.batch * form.out_plane();
        let work = pixels.saturating_mul(form.groups * form.outputs).saturating_mul(form.taps() * form.inputs);
        let team = team::threads();
        let threads = team.min(slots);
        if threads == 1 || work < SMALL || !worth_a_region(work) {
            return (1, 1);
        }
        let panels = self.panels.len();
        let even = |parts: usize| panels.is_multiple_of(parts) || panels / parts >= 4;
        if form.groups == 1 && pixels < FEW_PIXELS * threads && panels > 1 {
            let by_panels = (2..=threads.min(panels)).rev().find(|&parts| even(parts)).unwrap_or(1);
            return ((threads / by_panels).clamp(1, lines), by_panels);
        }
        let parts = if work / threads > LARGE && team <= slots { 4 * threads } else { threads };
        (parts.min(lines), 1)
    }

    pub(super) fn run(
        &self,
        isa: Isa,
        form: &Conv,
        packed: &[f32],
        x: &[f32],
        target: &Target<'_>,
        scratch: &mut [f32],
    ) {
        let lines = match self.source {
            Source::Pixels => form.batch * form.out_plane(),
            _ => form.batch * form.out[0] * form.out[1],
        };
        let slots = Slots::new(scratch, self.slot(), usize::MAX);
        let (by_lines, by_panels) = self.grid(form, lines, slots.count());
        team::parallel(by_lines * by_panels, |task| {
            let (i, j) = (task % by_lines, task / by_lines);
            slots.with(|slot| {
                isa.run(Part {
                    of: self,
                    form,
                    packed,
                    x,
                    target,
                    lines: part(lines, i, by_lines),
                    panels: part(self.panels.len(), j, by_panels),
                    slot,
                });
            });
        });
    }
}

/// The terms of a sum, those that lie one after the other as one.
fn terms(form: &Conv, pitches: &Pitches) -> Vec<Term> {
    let (channels, each) = (form.inputs, taps_in_block(form.inputs));
    let [_, high, wide] = form.kernel;
    let mut terms: Vec<Term> = Vec::new();
    for tap in 0..form.taps() {
        let (depth, height, width) = (tap / (high * wide), tap / wide % high, tap % wide);
        let first =
            depth * pitches.depth + height * form.dilation[1] * pitches.line + width * form.dilation[2] * pitches.pixel;
        // A tap of many channels in parts, of whole blocks but for the last.
        for skip in (0..channels.max(1)).step_by(2 * K_BLOCK) {
            let k = (channels - skip).min(2 * K_BLOCK);
            let term = Term { a: first + skip, b: tap * channels + skip, k, ends: (tap + 1).is_multiple_of(each) };
            match terms.last_mut() {
                Some(last) if !last.ends && last.a + last.k == term.a => {
                    (last.k, last.ends) = (last.k + k, term.ends);
                }
                _ => terms.push(term),
            }
        }
    }
    terms
}

/// Whole blocks of terms, of at most `most` rows of weights where a block has no more.
fn chunks(terms: &[Term], most: usize) -> Vec<Range<usize>> {
    let (mut chunks, mut start, mut end, mut rows) = (Vec::new(), 0, 0, 0_usize);
    let mut block = 0;
    for (number, term) in terms.iter().enumerate() {
        block += term.k;
        if !term.ends && number + 1 < terms.len() {
            continue;
        }
        if rows > 0 && rows + block > most {
            chunks.push(start..end);
            (start, rows) = (end, 0);
        }
        (rows, block, end) = (rows + block, 0, number + 1);
    }
    chunks.push(start..terms.len());
    chunks
}

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
struct Part<'a> {
    of: &'a Direct,
    form: &'a Conv,
    packed: &'a [f32],
    x: &'a [f32],
    target: &'a Target<'a>,
    lines: Range<usize>,
    panels: Range<usize>,
    slot: *mut f32,
}

impl Kernel for Part<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        for group in 0..self.form.groups {
            let mut line = self.lines.start;
            while line < self.lines.end {
                let (strip, lines) = self.strip(group, line);
                self.panels::<S>(group, &strip);
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
                let field = Field { form, x: self.x, pitches: *pitches };
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

    /// The panels' results of a strip.
    #[inline(always)]
    fn panels<S: Simd>(&self, group: usize, strip: &Strip) {
        let all = self.form.taps() * self.form.inputs;
        let packed = self.packed[group * self.of.group_room(self.form)..].as_ptr();
        for (number, chunk) in self.of.chunks.iter().enumerate() {
            let last = number + 1 == self.of.chunks.len();
            for panel in self.of.panels[self.panels.clone()].iter() {
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
        let (Results { strip, panel, column, .. }, target) = (*self, self.part.target);
        let grouped = self.part.form.groups > 1;
        // Behind the last panel there are only zeros.
        let end = if column + panel.width >= target.channels { target.pitch } else { column + panel.width };
        let more = self.last && !grouped && target.has_more(&(column..end));
        let fused = if self.last && !grouped { target.fused } else { Fused::NOTHING };
        for line in 0..strip.lines {
            for (pixel, count) in equal_parts(strip.width, panel.rows()) {
                let first = strip.first + line * strip.width + pixel;
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
                // SAFETY: the spans reach within the input or the field from these pixels; the panel's columns of these pixels are
                // this task's own, and where it is not whole either what follows them are the zeros of a pixel, or it is staged.
                unsafe {
                    if grouped && panel.columns < panel.width {
                        self.staged(count, tile);
                        continue;
                    }
                    panel.tile(count, &tile, &Finish { fused, column, at: first * target.pitch });
                    if more {
                        target.finish::<S>(target.rest, first..first + count, column..end);
                    }
                }
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
