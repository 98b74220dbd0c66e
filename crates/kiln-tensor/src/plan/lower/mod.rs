//! From recorded steps to those of the CPU's inference kernels.
//!
//! Convolutions, poolings, dense layers and what follows them elementwise work on NHWC maps, whose filters are packed when the plan is
//! compiled. A chain of a convolution, a batch normalization, a residual sum and an activation becomes one step. Everything else
//! stays as it was recorded; its operands are converted where they are maps.

mod chain;
mod constants;
mod int8;
mod products;
mod uses;

use super::kept::{BufferId, KeptOut, KeptView};
use super::maps::{MapOperation, MapShape};
use super::recorder::{Buffer, Holds, Step};
use super::step::Operation;
use crate::{DType, Device, Layout, ReduceOp, Result, Shape};
use constants::Constants;
use kiln_cpu::Isa;
use kiln_cpu::inference::Quantization;
use std::collections::HashMap;
use uses::Uses;

/// How convolutions may be computed.
#[derive(Clone, PartialEq, Debug, Default)]
#[non_exhaustive]
pub enum Precision {
    /// The bits of the recorded steps.
    #[default]
    Exact,
    /// Batch normalization folded into weights, Winograd's convolutions.
    Fast,
    /// As fast, and products of 8-bit integers in the layers whose inputs' ranges are given.
    Int8(InputRanges),
}

/// For each convolution and dense layer of a plan that works on maps, in order, the least and the largest number of its input.
/// One without a range stays as it is. [`Plan::input_ranges`](super::Plan::input_ranges) measures them.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct InputRanges(pub Vec<Option<(f32, f32)>>);

impl InputRanges {
    /// Extends the ranges so that they contain those of other inputs of the same plan.
    pub fn extend(&mut self, other: &InputRanges) {
        self.0.resize(self.0.len().max(other.0.len()), None);
        for (range, other) in self.0.iter_mut().zip(&other.0) {
            *range = match (*range, *other) {
                (Some((least, most)), Some((a, b))) => Some((least.min(a), most.max(b))),
                (one, other) => one.or(other),
            };
        }
    }
}

/// A map that has the values of a recorded buffer.
#[derive(Clone, Copy)]
struct Map {
    buffer: BufferId,
    shape: MapShape,
}

struct Lowering<'a> {
    isa: Isa,
    precision: &'a Precision,
    recorded: &'a [Step],
    uses: Uses,
    /// Steps that are part of another one.
    done: Vec<bool>,
    buffers: Vec<Buffer>,
    steps: Vec<Step>,
    /// By recorded buffer.
    maps: HashMap<BufferId, Map>,
    /// Recorded buffers that are computed as maps, whose planes nothing has written yet.
    unwritten: Vec<bool>,
    constants: Constants,
    /// Filters so far.
    filters: usize,
    /// Maps of words, by the map that was quantized and how.
    words: Vec<(BufferId, Quantization, BufferId)>,
}

/// The steps of a recording with maps.
pub(super) fn lower(
    device: &Device,
    isa: Isa,
    precision: &Precision,
    buffers: Vec<Buffer>,
    recorded: &[Step],
    outputs: &[KeptView],
) -> Result<(Vec<Buffer>, Vec<Step>)> {
    let ends: Vec<BufferId> = outputs.iter().map(|output| output.buffer).collect();
    let mut lowering = Lowering {
        isa,
        precision,
        recorded,
        uses: Uses::new(buffers.len(), recorded, &ends),
        done: vec![false; recorded.len()],
        unwritten: vec![false; buffers.len()],
        buffers,
        steps: Vec::new(),
        maps: HashMap::new(),
        constants: Constants::new(device.clone()),
        filters: 0,
        words: Vec::new(),
    };
    for (at, step) in recorded.iter().enumerate() {
        if !lowering.done[at] {
            lowering.step(at, step)?;
        }
    }
    for &end in &ends {
        lowering.write_planes(end);
    }
    lowering.quantize_in_filters(&ends);
    Ok((lowering.buffers, lowering.steps))
}

impl Lowering<'_> {
    fn step(&mut self, at: usize, step: &Step) -> Result<()> {
        let lowered = match &step.operation {
            Operation::Conv { conv, out, x, weight, epilogue } => self.conv(at, conv, out, x, weight, epilogue)?,
            Operation::matmul { out, a, b, epilogue } => self.dense(at, out, a, b, epilogue)?,
            Operation::MaxPool { window, out, taps, x } => self.max_pool(at, window, out, taps.as_ref(), x),
            Operation::reduce { op: ReduceOp::Mean, out, x, axes } => self.mean(at, out, x, axes),
            Operation::Normalize { x, .. } | Operation::unary { x, .. } => self.elementwise(at, x)?,
            Operation::binary { a, b, .. } => self.elementwise(at, a)? || self.elementwise(at, b)?,
            _ => false,
        };
        if !lowered {
            let mut read = Vec::new();
            step.operation.buffers(&mut |buffer, _| read.push(buffer));
            read.into_iter().for_each(|buffer| self.write_planes(buffer));
            self.steps.push(step.clone());
        }
        Ok(())
    }

    /// Whether a view is all of a buffer of f32 that one step writes, or of an input.
    fn is_whole(&self, view: &KeptView) -> bool {
        let buffer = &self.buffers[view.buffer];
        let once = match buffer.holds {
            Holds::Computed => self.uses.writes(view.buffer) == 1,
            Holds::Input(_) => true,
            Holds::Constant(_) => false,
        };
        once && view.dtype == DType::F32
            && view.layout.is_contiguous()
            && view.layout.offset() == 0
            && view.layout.shape().elements() * 4 == buffer.bytes
    }

    fn is_whole_out(&self, out: &KeptOut) -> bool {
        let layout = Layout::contiguous(out.shape);
        out.offset == 0 && self.is_whole(&KeptView { buffer: out.buffer, dtype: out.dtype, layout })
    }

    /// A new buffer for values between steps.
    fn computed(&mut self, floats: usize) -> BufferId {
        self.buffers.push(Buffer { bytes: floats * 4, holds: Holds::Computed });
        self.unwritten.push(false);
        self.buffers.len() - 1
    }

    /// A new constant of floats.
    fn constant(&mut self, values: crate::Tensor) -> BufferId {
        self.buffers.push(Buffer { bytes: values.elements() * 4, holds: Holds::Constant(Some(values)) });
        self.unwritten.push(false);
        self.buffers.len() - 1
    }

    fn push(&mut self, like: &Step, operation: MapOperation, name: &'static str) {
        self.steps.push(Step { operation: Operation::Map(operation), name, ..like.clone() });
    }

    /// The map of a view: the one that there is, or a new one that is converted.
    fn map_of(&mut self, like: &Step, view: &KeptView, shape: MapShape) -> BufferId {
        if let Some(map) = self.maps.get(&view.buffer).filter(|map| map.shape == shape && self.is_whole(view)) {
            return map.buffer;
        }
        self.write_planes(view.buffer);
        // Rows without padding are what they were.
        if shape.is_rows() && self.is_whole(view) {
            self.maps.insert(view.buffer, Map { buffer: view.buffer, shape });
            return view.buffer;
        }
        let map = self.computed(shape.len());
        let enter = MapOperation::Enter { shape, x: *view, out: map };
        let step = Step { flops: Some(0), bytes: 8 * shape.len() as u64, ..like.clone() };
        self.push(&step, enter, "to_nhwc");
        if self.is_whole(view) && !self.maps.contains_key(&view.buffer) {
            self.maps.insert(view.buffer, Map { buffer: map, shape });
        }
        map
    }

    /// Converts a map to planes, where a step needs these and nothing has written them.
    fn write_planes(&mut self, buffer: BufferId) {
        if !std::mem::take(&mut self.unwritten[buffer]) {
            return;
        }
        let Some(&Map { buffer: x, shape }) = self.maps.get(&buffer) else { return };
        if x == buffer {
            return;
        }
        let Ok(planes) = Shape::new(&[shape.batch, shape.channels, shape.pixels]) else { return };
        let out = KeptOut { buffer, dtype: DType::F32, shape: planes, offset: 0 };
        let Some(like) = self.steps.last().cloned() else { return };
        let step = Step { flops: Some(0), bytes: 8 * shape.len() as u64, ..like };
        self.push(&step, MapOperation::Leave { shape, x, out }, "from_nhwc");
    }

    /// A recorded buffer is computed as this map from here on.
    fn becomes(&mut self, buffer: BufferId, map: Map) {
        self.maps.insert(buffer, map);
        self.unwritten[buffer] = true;
    }
}

/// The map shape of (N, C, …).
fn map_shape(shape: &Shape) -> Option<MapShape> {
    let (&[batch, channels], rest) = shape.dims().split_first_chunk::<2>()?;
    let pixels = rest.iter().product();
    (batch * channels * pixels > 0).then_some(MapShape { batch, channels, pixels })
}
