//! Weights as panels: for each panel of results, the taps in the order of the kernel, the channels of each, adjacent results.

use super::scratch::{Place, local};
use crate::gemm::GemmFloat;
use crate::gemm::kernels::{Kernels, TileFn};
use crate::gemm::scratch::ScratchBuffer;
use crate::team;
use std::ops::Range;

/// Weights of one group where they lie: element (tap, channel, result) is at `tap + channel·strides.0 + result·strides.1`.
pub(super) struct Weights<'a, T> {
    pub(super) of: &'a [T],
    pub(super) taps: usize,
    pub(super) channels: usize,
    pub(super) results: usize,
    pub(super) strides: (usize, usize),
}

/// Channels that are transposed at a time where results lie apart.
const CHANNELS: usize = 16;

/// Adjacent results that a micro-kernel computes at once.
#[derive(Clone, Copy)]
pub(super) struct Panel<T: 'static> {
    pub(super) first: usize,
    /// How many there are.
    pub(super) columns: usize,
    /// How many the micro-kernels compute.
    pub(super) width: usize,
    /// By rows.
    pub(super) tiles: &'static [TileFn<T>],
}

/// The panels of so many results.
pub(super) fn panels<T>(kernels: &'static Kernels<T>, results: usize) -> Vec<Panel<T>> {
    let mut panels = Vec::new();
    let mut first = 0;
    while first < results {
        let widest = kernels.width(results - first);
        let width = widest.vectors * kernels.lanes;
        panels.push(Panel { first, columns: width.min(results - first), width, tiles: widest.tiles });
        first += width;
    }
    panels
}

impl<T: GemmFloat> Weights<'_, T> {
    /// Elements that the panels take.
    pub(super) fn room(&self, kernels: &Kernels<T>) -> usize {
        self.taps * self.channels * self.results.next_multiple_of(kernels.lanes)
    }

    /// Packs all panels; the one that begins with result j lies at `j·taps·channels`. `to` has room for them.
    pub(super) fn pack(&self, kernels: &'static Kernels<T>, to: &Place<T>) {
        let panels = panels(kernels, self.results);
        // Parts of the channels, so that there is something for every thread.
        let parts = (self.channels / CHANNELS).clamp(1, 8);
        let one = |task: usize| {
            let (panel, part) = (panels[task / parts], task % parts);
            let channels = part * self.channels / parts..(part + 1) * self.channels / parts;
            let place = Place(to.at(panel.first * self.taps * self.channels));
            if self.strides.0 == self.taps {
                local(|local| self.pack_far_results(kernels, &place, &panel, channels, &mut local.stage));
            } else {
                self.pack_near_results(kernels, &place, &panel, channels);
            }
        };
        if self.taps * self.channels * self.results < 10_000 {
            return (0..panels.len() * parts).for_each(one);
        }
        team::parallel(panels.len() * parts, one);
    }

    /// The weights of a result are adjacent, by channel and then tap: some channels of all results of the panel are
    /// transposed, then their rows taken in the order of the taps.
    fn pack_far_results(
        &self,
        kernels: &'static Kernels<T>,
        to: &Place<T>,
        &Panel { first, columns, width, .. }: &Panel<T>,
        channels: Range<usize>,
        block: &mut ScratchBuffer,
    ) {
        let block: *mut T = block.room(CHANNELS * self.taps * width);
        for from in channels.clone().step_by(CHANNELS) {
            let count = CHANNELS.min(channels.end - from);
            // SAFETY: the weights of `columns` results from `first` on, each of `channels·taps` adjacent numbers, and within
            // them those of `count` channels; the block has room for as many rows of the panel's width. Panels and channels
            // are this task's own.
            unsafe {
                let src = self.of.as_ptr().add(first * self.strides.1 + from * self.taps);
                (kernels.transpose)(
                    src,
                    self.strides.1 as isize,
                    count * self.taps,
                    (columns, width),
                    block,
                    width as isize,
                );
                for channel in 0..count {
                    for tap in 0..self.taps {
                        let row = block.add((channel * self.taps + tap) * width);
                        row.copy_to_nonoverlapping(to.at((tap * self.channels + from + channel) * width), width);
                    }
                }
            }
        }
    }

    /// The weights of a channel are adjacent, by result and then tap.
    fn pack_near_results(
        &self,
        kernels: &'static Kernels<T>,
        to: &Place<T>,
        &Panel { first, columns, width, .. }: &Panel<T>,
        channels: Range<usize>,
    ) {
        for channel in channels {
            // SAFETY: `columns` results from `first` on, each of `taps` adjacent numbers; the panel's rows of this channel,
            // one for each tap, are this task's own.
            unsafe {
                let src = self.of.as_ptr().add(channel * self.strides.0 + first * self.strides.1);
                let (stride, apart) = (self.strides.1 as isize, (self.channels * width) as isize);
                (kernels.transpose)(src, stride, self.taps, (columns, width), to.at(channel * width), apart);
            }
        }
    }
}
