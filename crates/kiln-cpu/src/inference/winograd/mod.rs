//! Winograd's convolutions with kernels of 3 × 3: fewer multiplications, at points of the tiles' polynomials.
//!
//! Of each tile T × T inputs become numbers at T² points, a matrix product over the channels is made at each point, and its results
//! become M × M outputs. The products' sums are cut into blocks as any, so bits are the same for any number of threads.

mod tiles;
mod transform;

use super::epilogue::Target;
use super::layout::{GROUP, padded};
use super::panels::{self, Panel, Table, part};
use super::slots::{Slots, room};
use crate::conv::Conv;
use crate::gemm::worth_a_region;
use crate::{Isa, team};
use std::marker::PhantomData;
use std::ops::Range;
use tiles::{Input, Outputs, Points, Tiles};
use transform::{F2, F4, Transform, weights};

/// Whether a form can be computed this way.
pub(super) fn suits(form: &Conv) -> bool {
    let plain = form.stride == [1; 3] && form.dilation == [1; 3] && form.groups == 1;
    plain && form.kernel == [1, 3, 3] && form.before[0] == 0 && (form.size[0], form.out[0]) == (1, 1)
}

/// Bytes of weights from which on threads share points rather than tiles: each then reads a part of the weights only.
const FROM_MEMORY: usize = 4 << 20;
/// The same where there are few tiles.
const FROM_FAR: usize = 4 << 20;
/// Tiles whose points threads share at a time.
const TOGETHER: usize = 96;

/// A convolution of one form with outputs in tiles of 2 × 2 or 4 × 4.
#[derive(Clone)]
pub(super) struct Winograd {
    isa: Isa,
    /// Outputs along the side of a tile: 2 or 4.
    side: usize,
    panels: Vec<Panel>,
    /// Tiles along the height and the width.
    count: [usize; 2],
    /// Tiles of a task, or of all threads where they share points.
    most: usize,
    together: bool,
}

impl Winograd {
    pub(super) fn name(&self) -> &'static str {
        if self.side == 2 { "winograd f2" } else { "winograd f4" }
    }

    pub(super) fn new(isa: Isa, side: usize, form: &Conv) -> Winograd {
        let count = [form.out[1].div_ceil(side), form.out[2].div_ceil(side)];
        let tiles = form.batch * count[0] * count[1];
        let panels = Table::of(isa).panels(form.outputs);
        let points = (side + 2) * (side + 2);
        let bytes = 4 * points * panels::room(&panels, form.inputs);
        let together = bytes > FROM_MEMORY || bytes > FROM_FAR && tiles <= TOGETHER;
        let most = if together { TOGETHER } else { 2 * usual(form) + 2 }.min(tiles);
        Winograd { isa, side, panels, count, most, together }
    }

    fn points(&self) -> usize {
        (self.side + 2) * (self.side + 2)
    }

    /// Floats that the packed weights take.
    pub(super) fn room(&self, form: &Conv) -> usize {
        panels::room(&self.panels, self.points() * form.inputs)
    }

    /// Packs weights (outputs, inputs, 3, 3), those of output channel j times `scale[j]`. A panel has all points, one after the other.
    pub(super) fn pack(&self, form: &Conv, weight: &[f32], scale: Option<&[f32]>, to: &mut [f32]) {
        match self.side {
            2 => self.pack_at::<F2, 4, 2>(form, weight, scale, to),
            _ => self.pack_at::<F4, 6, 4>(form, weight, scale, to),
        }
    }

    fn pack_at<F: Transform<T, M>, const T: usize, const M: usize>(
        &self,
        form: &Conv,
        weight: &[f32],
        scale: Option<&[f32]>,
        to: &mut [f32],
    ) {
        panels::pack(&self.panels, T * T * form.inputs, to, |channel, put| {
            let factor = scale.map_or(1.0, |scale| scale[channel]);
            let (kernels, _) = weight[channel * form.inputs * 9..][..form.inputs * 9].as_chunks::<9>();
            for (input, kernel) in kernels.iter().enumerate() {
                let at = weights::<F, T, M>(&kernel.map(|weight| f64::from(weight * factor)));
                for (point, weight) in at.as_flattened().iter().enumerate() {
                    put(point * form.inputs + input, *weight as f32);
                }
            }
        });
    }

    /// The numbers at the points of `most` tiles: of inputs, and of outputs after them. A line more between points, as otherwise they
    /// would map to the same cache sets.
    fn layout(&self, form: &Conv, first: *mut f32) -> [Points; 2] {
        let points = |channels: usize, first: *mut f32| {
            let tile = padded(channels);
            Points { first, point: self.most * tile + 4 * GROUP, tile }
        };
        let inputs = points(form.inputs, first);
        [inputs, points(form.outputs, first.wrapping_add(self.points() * inputs.point))]
    }

    fn slot(&self, form: &Conv) -> usize {
        let [inputs, outputs] = self.layout(form, std::ptr::null_mut());
        self.points() * (inputs.point + outputs.point)
    }

    pub(super) fn scratch(&self, form: &Conv, threads: usize) -> usize {
        room(self.slot(form), if self.together { 1 } else { threads })
    }

    pub(super) fn run(&self, form: &Conv, packed: &[f32], x: &[f32], target: &Target<'_>, scratch: &mut [f32]) {
        match self.side {
            2 => self.run_at::<F2, 4, 2>(form, packed, x, target, scratch),
            _ => self.run_at::<F4, 6, 4>(form, packed, x, target, scratch),
        }
    }

    fn run_at<F: Transform<T, M>, const T: usize, const M: usize>(
        &self,
        form: &Conv,
        packed: &[f32],
        x: &[f32],
        target: &Target<'_>,
        scratch: &mut [f32],
    ) {
        let tiles = form.batch * self.count[0] * self.count[1];
        let slots = Slots::new(scratch, self.slot(form), usize::MAX);
        let call = Call::<F, T, M> { of: self, form, packed, x, target, transform: PhantomData };
        let work = tiles.saturating_mul(T * T * form.inputs).saturating_mul(form.outputs);
        if !worth_a_region(work) {
            return team::serial(|| call.share_out(tiles, &slots));
        }
        call.share_out(tiles, &slots);
    }
}

/// Tiles of a task where there are many: their numbers at all points stay near.
fn usual(form: &Conv) -> usize {
    (3072 / form.inputs.max(form.outputs).max(1)).max(24)
}

/// One call's operands.
struct Call<'a, F, const T: usize, const M: usize> {
    of: &'a Winograd,
    form: &'a Conv,
    packed: &'a [f32],
    x: &'a [f32],
    target: &'a Target<'a>,
    transform: PhantomData<F>,
}

impl<F: Transform<T, M>, const T: usize, const M: usize> Call<'_, F, T, M> {
    fn share_out(&self, tiles: usize, slots: &Slots) {
        let Winograd { most, together, .. } = *self.of;
        if together {
            return slots.with(|slot| {
                for first in (0..tiles).step_by(most.max(1)) {
                    self.together(first..tiles.min(first + most), slot);
                }
            });
        }
        let threads = team::threads();
        let few = tiles <= threads * most;
        let chunks = if few { threads.min(tiles) } else { tiles.div_ceil(usual(self.form)).next_multiple_of(threads) };
        let tasks = if threads <= slots.count() { chunks } else { chunks.min(slots.count()) };
        team::parallel(tasks, |task| {
            slots.with(|slot| {
                for chunk in part(chunks, task, tasks) {
                    self.apart(part(tiles, chunk, chunks), slot);
                }
            });
        });
    }

    fn input(&self, numbers: &Range<usize>, channels: Range<usize>, to: Points) {
        let tiles = Tiles { form: self.form, count: self.of.count, numbers };
        self.of.isa.run(Input::<F, T, M> { tiles, x: self.x, channels, to, transform: PhantomData });
    }

    fn outputs(&self, numbers: &Range<usize>, channels: Range<usize>, from: Points) {
        let tiles = Tiles { form: self.form, count: self.of.count, numbers };
        self.of.isa.run(Outputs::<F, T, M> { tiles, from, channels, target: self.target, transform: PhantomData });
    }

    /// The products of some tiles at one point.
    fn products(&self, point: usize, tiles: usize, inputs: Points, outputs: Points) {
        let (a, c) =
            (inputs.first.wrapping_add(point * inputs.point), outputs.first.wrapping_add(point * outputs.point));
        for panel in &self.of.panels {
            let row = (panel.first * T * T + point * panel.width) * self.form.inputs;
            // SAFETY: so many tiles at the point, whose results are this task's own; the panel's weights at the point, of which there
            // are as many as `pack` was given room for. A panel ends with a pixel's padding or before.
            unsafe {
                let b = self.packed.as_ptr().add(row);
                let size = (tiles, self.form.inputs);
                panel.multiply(size, (a, inputs.tile), b, (c.wrapping_add(panel.first), outputs.tile));
            }
        }
    }

    /// Some tiles on this thread.
    fn apart(&self, numbers: Range<usize>, slot: *mut f32) {
        let [inputs, outputs] = self.of.layout(self.form, slot);
        self.input(&numbers, 0..inputs.tile, inputs);
        for point in 0..T * T {
            self.products(point, numbers.len(), inputs, outputs);
        }
        self.outputs(&numbers, 0..outputs.tile, outputs);
    }

    /// Some tiles on all threads: these share channels in the transforms, and points in the products.
    fn together(&self, numbers: Range<usize>, slot: *mut f32) {
        let layout = Shared(self.of.layout(self.form, slot));
        let parts = |points: &Points| team::threads().min(points.tile / GROUP).max(1);
        let channels = |points: &Points, task: usize, tasks: usize| {
            let groups = part(points.tile / GROUP, task, tasks);
            groups.start * GROUP..groups.end * GROUP
        };
        let Shared([inputs, outputs]) = &layout;
        let [of_inputs, of_outputs] = [parts(inputs), parts(outputs)];
        let shared = &layout;
        team::parallel(of_inputs, |task| {
            let [inputs, _] = shared.points();
            self.input(&numbers, channels(&inputs, task, of_inputs), inputs);
        });
        team::parallel(T * T, |point| {
            let [inputs, outputs] = shared.points();
            self.products(point, numbers.len(), inputs, outputs);
        });
        team::parallel(of_outputs, |task| {
            let [_, outputs] = shared.points();
            self.outputs(&numbers, channels(&outputs, task, of_outputs), outputs);
        });
    }
}

/// Numbers that threads share.
struct Shared([Points; 2]);

// SAFETY: addresses only; tasks write channels or points of their own.
unsafe impl Sync for Shared {}

impl Shared {
    fn points(&self) -> [Points; 2] {
        self.0
    }
}
