//! Steps over NHWC maps, for which the CPU has kernels of their own (`kiln_cpu::inference`).

use super::kept::{BufferId, Kept, KeptOut, KeptView};
use crate::UnaryCall;
use kiln_cpu::inference::{Filter, Quantization, QuantizedFilter, Words, map_len};
use kiln_cpu::pool::Pool;

/// Images of some channels and pixels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct MapShape {
    pub(crate) batch: usize,
    pub(crate) channels: usize,
    pub(crate) pixels: usize,
}

impl MapShape {
    /// The shape of the map of words.
    pub(crate) fn of(self, words: Words) -> MapShape {
        MapShape { channels: words.of_channels(self.channels), ..self }
    }

    /// Whether the map is a matrix (N, C) as it is elsewhere.
    pub(crate) fn is_rows(self) -> bool {
        self.pixels == 1 && self.len() == self.batch * self.channels
    }

    /// Floats of the map.
    pub(crate) fn len(self) -> usize {
        map_len(self.batch, self.channels, self.pixels)
    }
}

/// What follows a sum, in order. Rows of channels are constants, padded as pixels are.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum After {
    Bias(BufferId),
    /// Mean, scale and shift.
    Normalize([BufferId; 3]),
    /// Another map of the same shape is added.
    Residual(BufferId),
    Relu,
    /// What is larger becomes this.
    AtMost(f32),
    /// Each image is multiplied by a row of channels: a map of one pixel an image.
    Scale(BufferId),
    Map(UnaryCall),
}

/// What a step does with maps.
#[derive(Clone)]
pub(crate) enum MapOperation {
    /// Planes (N, C, …) become a map.
    Enter { shape: MapShape, x: KeptView, out: BufferId },
    /// A map becomes planes.
    Leave { shape: MapShape, x: BufferId, out: KeptOut },
    /// A convolution or a dense layer.
    Filter {
        filter: Filter,
        packed: BufferId,
        x: BufferId,
        out: BufferId,
        scratch: (BufferId, usize),
        after: Vec<After>,
    },
    /// A map becomes one of words.
    Quantize { shape: MapShape, words: Words, by: Quantization, x: BufferId, out: BufferId },
    /// A convolution or a dense layer of integers. Its output is a map of floats, of words, or both.
    QuantizedFilter {
        filter: QuantizedFilter,
        packed: BufferId,
        x: BufferId,
        out: Option<BufferId>,
        quantized: Option<(Quantization, BufferId)>,
        scratch: (BufferId, usize),
        after: Vec<After>,
    },
    /// The largest of each window.
    MaxPool { pool: Pool, shape: MapShape, x: BufferId, out: BufferId },
    /// The mean of each channel over an image.
    Mean { shape: MapShape, x: BufferId, out: BufferId },
    /// Elementwise steps.
    Apply { shape: MapShape, x: BufferId, out: BufferId, after: Vec<After> },
}

impl std::fmt::Debug for MapOperation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            MapOperation::Enter { .. } => "Enter",
            MapOperation::Leave { .. } => "Leave",
            MapOperation::Filter { .. } => "Filter",
            MapOperation::Quantize { .. } => "Quantize",
            MapOperation::QuantizedFilter { .. } => "QuantizedFilter",
            MapOperation::MaxPool { .. } => "MaxPool",
            MapOperation::Mean { .. } => "Mean",
            MapOperation::Apply { .. } => "Apply",
        })
    }
}

impl MapOperation {
    /// Calls `visit` with each buffer, and whether it is written.
    pub(crate) fn buffers(&self, visit: &mut dyn FnMut(BufferId, bool)) {
        match self {
            MapOperation::Enter { x, out, .. } => {
                x.buffers(visit);
                visit(*out, true);
            }
            MapOperation::Leave { x, out, .. } => {
                visit(*x, false);
                out.buffers(visit);
            }
            MapOperation::Filter { packed, x, out, scratch, after, .. } => {
                visit(*packed, false);
                visit(*x, false);
                after.iter().for_each(|after| after.buffers(visit));
                visit(scratch.0, true);
                visit(*out, true);
            }
            MapOperation::QuantizedFilter { packed, x, out, quantized, scratch, after, .. } => {
                visit(*packed, false);
                visit(*x, false);
                after.iter().for_each(|after| after.buffers(visit));
                visit(scratch.0, true);
                out.iter().for_each(|out| visit(*out, true));
                quantized.iter().for_each(|(_, words)| visit(*words, true));
            }
            MapOperation::Quantize { x, out, .. }
            | MapOperation::MaxPool { x, out, .. }
            | MapOperation::Mean { x, out, .. } => {
                visit(*x, false);
                visit(*out, true);
            }
            MapOperation::Apply { x, out, after, .. } => {
                visit(*x, false);
                after.iter().for_each(|after| after.buffers(visit));
                visit(*out, true);
            }
        }
    }
}

impl After {
    fn buffers(&self, visit: &mut dyn FnMut(BufferId, bool)) {
        match *self {
            After::Bias(row) | After::Residual(row) | After::Scale(row) => visit(row, false),
            After::Normalize(rows) => rows.into_iter().for_each(|row| visit(row, false)),
            After::Relu | After::AtMost(_) | After::Map(_) => {}
        }
    }
}
