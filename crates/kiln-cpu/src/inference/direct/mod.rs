//! Convolutions tap by tap, with the sums of [`conv::forward`](crate::conv::forward).
//!
//! A sum goes through the taps in the order of the kernel and, at each, through the channels. Its blocks are whole taps, as many as
//! [`taps_in_block`](kiln_math::taps_in_block) says, and a tap of more channels than a block may have is cut by itself.

mod part;
mod terms;

use super::epilogue::Target;
use super::field::{Pitches, Source, met};
use super::layout::padded;
use super::panels::{self, MOST_ROWS, Panel, Table, part};
use super::slots::{Slots, room};
use crate::conv::Conv;
use crate::gemm::tile::Span;
use crate::gemm::worth_a_region;
use crate::{Isa, team};
use kiln_math::K_BLOCK;
use part::Part;
use std::ops::Range;
use terms::{Term, chunks, terms};

/// Floats of the input that meet all panels before the next ones: a part of a core's second-level cache.
const STRIP: usize = 64 << 10;
/// Floats of weights that are near enough to be read again for each few pixels. Outputs then stay in the first-level cache while the
/// panels pass.
const NEAR: usize = 16 << 10;
/// Floats of the outputs of such a strip, and its fewest pixels.
const FEW_FLOATS: usize = 2 << 10;
const FEW: usize = 12;
/// Pixels of a strip at least, where that many are there: each reads all weights.
const FEWEST: usize = 96;
/// Floats of a panel's weights that meet a strip at a time: they stay in the second-level cache beside it.
const PANEL: usize = 32 << 10;
/// Pixels a thread up to which threads share output channels rather than pixels: weights are then most of what is read.
const FEW_PIXELS: usize = 200;
/// Multiplications up to which one thread is enough: some 10 µs.
const SMALL: usize = 500_000;
/// Multiplications a thread from which on each gets several parts, so that a free one can help one that was held up.
const LARGE: usize = 20_000_000;

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
    /// Floats of the outputs of a tile, where these are kept only until they are quantized.
    stage: usize,
    /// What the padding holds.
    zero: f32,
}

impl Direct {
    pub(super) fn new(isa: Isa, form: &Conv) -> Direct {
        Direct::with(Table::of(isa), form, 0.0)
    }

    /// With the micro-kernels of a table, over maps in which `zero` stands for 0.
    pub(super) fn with(table: &'static Table, form: &Conv, zero: f32) -> Direct {
        let source = Source::of(form);
        let row = padded(form.groups * form.inputs);
        let line = form.size[2] * row;
        // A panel writes some floats of each pixel: pages of the output are to stay known while the panels pass.
        let out = padded(form.groups * form.outputs).max(1);
        let near = form.taps() * form.inputs * form.outputs <= NEAR;
        let pixels = if near { (FEW_FLOATS / out).clamp(FEW, FEWEST) } else { (STRIP / out).max(FEWEST) };
        let most = (2 * pixels / form.out[2].max(1)).max(1);
        let (mut pitches, mut field) = (Pitches { pixel: row, line, depth: form.size[1] * line }, 0);
        let strip = match source {
            // Of many channels only a chunk's meet all panels before the next ones.
            Source::Pixels => (STRIP / row.clamp(1, 4 * K_BLOCK)).min(pixels),
            Source::Map => (STRIP / (line * form.stride[1]).max(1)).min(most),
            Source::Field => {
                let line = met(form, 2, form.out[2]) * form.inputs;
                let floats = |lines: usize| form.kernel[0] * met(form, 1, lines) * line;
                let fits = |&lines: &usize| floats(lines) <= STRIP && lines <= most;
                let strip = (1..=form.out[1]).take_while(fits).last().unwrap_or(1);
                field = floats(strip);
                pitches = Pitches { pixel: form.inputs, line, depth: met(form, 1, strip) * line };
                strip
            }
        };
        let panels = table.panels(form.outputs);
        let terms = terms(form, &pitches);
        // Groups whose panels are not whole keep sums on the stack: they are computed at once.
        let most = if form.groups == 1 { PANEL / panels.first().map_or(1, |panel| panel.width) } else { usize::MAX };
        let chunks = chunks(&terms, most);
        Direct { panels, source, pitches, terms, chunks, strip: strip.max(1), field, stage: 0, zero }
    }

    /// The same with sums that are never left incomplete, and room for the outputs of a tile: there may be no map to write them to.
    pub(super) fn whole_sums(mut self) -> Direct {
        let columns = self.panels.last().map_or(0, |panel| panel.first + panel.width);
        self.chunks = std::iter::once(0..self.terms.len()).collect();
        self.stage = MOST_ROWS * padded(columns);
        self
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
        let (taps, room) = (form.taps(), self.group_room(form));
        for (group, to) in to.chunks_exact_mut(room.max(1)).enumerate() {
            self.pack_words(form, to, &|channel, input, tap| {
                let channel = group * form.outputs + channel;
                let factor = scale.map_or(1.0, |scale| scale[channel]);
                weight[(channel * form.inputs + input) * taps + tap] * factor
            });
        }
    }

    /// Packs the weights `weight(channel, input, tap)` of a group.
    pub(super) fn pack_words(&self, form: &Conv, to: &mut [f32], weight: &(dyn Fn(usize, usize, usize) -> f32 + Sync)) {
        let taps = form.taps();
        panels::pack(&self.panels, taps * form.inputs, to, |channel, put| {
            for place in 0..form.inputs * taps {
                let (input, tap) = (place / taps, place % taps);
                put(tap * form.inputs + input, weight(channel, input, tap));
            }
        });
    }

    /// Floats of scratch memory that a task has: the terms of a chunk, the stage, then the field.
    fn slot(&self) -> usize {
        self.terms_room() + self.stage + self.field
    }

    fn terms_room(&self) -> usize {
        let terms = self.chunks.iter().map(Range::len).max().unwrap_or(0);
        (terms * size_of::<Span<f32>>() / size_of::<f32>()).next_multiple_of(16)
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
