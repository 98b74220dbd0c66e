//! Where the buffers of a plan are: constants, and one arena whose parts are used again.

use super::kept::{BufferId, Memory};
use super::recorder::{Buffer, Holds, Step};
use crate::{DType, Device, DeviceBuffer, Layout, Result, Shape, Tensor, View};

/// Bytes that buffers begin at multiples of.
const ALIGNMENT: usize = 64;

/// Bytes as a tensor of one axis.
fn bytes_of(bytes: usize) -> Result<Shape> {
    Shape::new(&[bytes])
}

/// A copy of a buffer's first bytes.
pub(super) fn copied(device: &Device, from: DeviceBuffer, bytes: usize) -> Result<Tensor> {
    let copy = Tensor::output(&bytes_of(bytes)?, DType::U8, device)?;
    load(device, copy.view().buffer, from, bytes)?;
    Ok(copy)
}

/// Copies the first bytes of a buffer to another.
pub(super) fn load(device: &Device, to: DeviceBuffer, from: DeviceBuffer, bytes: usize) -> Result<()> {
    let layout = Layout::contiguous(bytes_of(bytes)?);
    let view = |buffer| View { buffer, dtype: DType::U8, layout: &layout };
    device.copy(view(to), view(from))
}

/// Where each computed buffer is in the arena.
#[derive(Clone, Debug)]
pub(crate) struct Arena {
    /// By number of the buffer; none of constants, inputs, and what is written to the caller's memory.
    pub(crate) places: Vec<Option<usize>>,
    /// Bytes in all.
    pub(crate) bytes: usize,
}

/// When a buffer is used: from the first step to the last.
pub(crate) fn lifetimes(buffers: usize, steps: &[Step], outputs: &[BufferId]) -> Vec<Option<(usize, usize)>> {
    let mut lifetimes: Vec<Option<(usize, usize)>> = vec![None; buffers];
    for (at, step) in steps.iter().enumerate() {
        step.operation.buffers(&mut |buffer, _| {
            let (first, _) = lifetimes[buffer].unwrap_or((at, at));
            lifetimes[buffer] = Some((first, at));
        });
    }
    for &output in outputs {
        let (first, _) = lifetimes[output].unwrap_or((0, 0));
        lifetimes[output] = Some((first, steps.len()));
    }
    lifetimes
}

impl Arena {
    /// Gives each computed buffer a place that no buffer has at the same time, the largest first.
    pub(crate) fn new(buffers: &[Buffer], steps: &[Step], outputs: &[BufferId], elsewhere: &[BufferId]) -> Self {
        let lifetimes = lifetimes(buffers.len(), steps, outputs);
        let mut order: Vec<BufferId> = (0..buffers.len())
            .filter(|&id| matches!(buffers[id].holds, Holds::Computed) && lifetimes[id].is_some())
            .filter(|id| !elsewhere.contains(id))
            .collect();
        order.sort_by_key(|&id| (std::cmp::Reverse(buffers[id].bytes), id));
        let mut places = vec![None; buffers.len()];
        let mut placed: Vec<(usize, usize, BufferId)> = Vec::new();
        let mut bytes = 0;
        for id in order {
            let Some((first, last)) = lifetimes[id] else { continue };
            let size = buffers[id].bytes.max(1).next_multiple_of(ALIGNMENT);
            let overlaps = |other: BufferId| lifetimes[other].is_some_and(|(begin, end)| begin <= last && first <= end);
            // The lowest gap among those that live at the same time.
            let mut at = 0;
            for &(begin, end, other) in &placed {
                if overlaps(other) && begin < at + size && at < end {
                    at = end;
                }
            }
            places[id] = Some(at);
            bytes = bytes.max(at + size);
            placed.push((at, at + size, id));
            placed.sort_unstable();
        }
        Arena { places, bytes }
    }
}

/// The addresses that a plan's steps see in one run.
pub(crate) struct Room {
    /// What the addresses are in.
    _arena: Tensor,
    pub(super) addresses: Vec<DeviceBuffer>,
}

impl Room {
    /// Room for one run.
    pub(super) fn new(device: &Device, buffers: &[Buffer], arena: &Arena) -> Result<Self> {
        let memory = Tensor::output(&bytes_of(arena.bytes)?, DType::U8, device)?;
        let base = memory.view().buffer.address;
        let address = |(buffer, place): (&Buffer, &Option<usize>)| match (&buffer.holds, place) {
            (Holds::Constant(Some(tensor)), _) => tensor.view().buffer,
            (_, Some(place)) => DeviceBuffer { address: base + place, bytes: buffer.bytes },
            _ => DeviceBuffer { address: base, bytes: 0 },
        };
        let addresses = buffers.iter().zip(&arena.places).map(address).collect();
        Ok(Room { _arena: memory, addresses })
    }

    pub(super) fn memory(&self) -> &Memory {
        &self.addresses
    }
}

/// What a caller's output is to be: whole and row-major in the buffer of its own, it can be written where the caller has it.
pub(super) fn is_whole(view: &super::kept::KeptView, buffer: &Buffer) -> bool {
    view.layout.is_contiguous()
        && view.layout.offset() == 0
        && view.layout.shape().elements() * view.dtype.size() == buffer.bytes
}
