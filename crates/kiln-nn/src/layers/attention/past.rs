//! Keys and values of past steps, in memory with room for more.

use super::positions::Counts;
use kiln_tensor::{DType, Device, Result, Tensor};
use std::ops::Range;

/// The least number of steps that there is room for.
const MIN_ROOM: usize = 64;

/// Keys and values of past steps, in memory with room for more.
///
/// Adding a step writes into this memory. Where it is full, twice as much is taken as is needed, so that a step is copied about once. With
/// a window, steps that no later query sees are left behind, and the memory does not stay larger than twice the window.
pub(super) struct Past {
    memory: Memory,
    /// The steps that are kept lie from `start` to below `end` of the room.
    start: usize,
    end: usize,
    /// How many steps there have been.
    pub(super) counts: Counts,
    /// What there was before steps were added, which a failed pass goes back to.
    before: Before,
}

#[derive(Clone)]
struct Memory {
    /// (N, key heads, room, width).
    keys: Tensor,
    /// (N, key heads, room, value width).
    values: Tensor,
    /// bool (N, room), once there was a mask.
    mask: Option<Tensor>,
}

struct Before {
    /// As [`Past::tensors`] has it; none where nothing was carried.
    place: Option<Tensor>,
    counts: Option<Tensor>,
    /// Whether there was a mask.
    masked: bool,
    /// The memory of before, where the steps have been moved to other memory since. Where they have not, what was there before is still
    /// there: steps are added behind it.
    memory: Option<Memory>,
}

/// The keys and values that queries see, and which of them count.
pub(super) struct Seen {
    pub(super) keys: Tensor,
    pub(super) values: Tensor,
    pub(super) mask: Option<Tensor>,
}

impl Past {
    /// Nothing yet, with room for keys (N, key heads, T, width) and values like these.
    pub(super) fn new(keys: &Tensor, values: &Tensor) -> Result<Self> {
        let memory = Memory { keys: room(keys, 2, 0)?, values: room(values, 2, 0)?, mask: None };
        let before = Before { place: None, counts: None, masked: false, memory: None };
        Ok(Past { memory, start: 0, end: 0, counts: Counts::default(), before })
    }

    /// What was carried as these tensors, or the tensors again where keys like these (N, key heads, T, width) cannot be added to it:
    /// another batch begins anew.
    pub(super) fn of(tensors: Vec<Tensor>, like: &Tensor) -> std::result::Result<Self, Vec<Tensor>> {
        let &[batch, heads, _, width] = like.dims() else { return Err(tensors) };
        let [place, keys, values, rest @ ..] = &tensors[..] else { return Err(tensors) };
        let (Ok(at), &[_, _, room, _]) = (place.to_vec::<i64>(), keys.dims()) else { return Err(tensors) };
        let &[start, end, most] = &at[..] else { return Err(tensors) };
        let [mask, counts] = [DType::Bool, DType::I64].map(|dtype| rest.iter().find(|tensor| tensor.dtype() == dtype));
        let fits = keys.dims() == [batch, heads, room, width]
            && (keys.dtype(), keys.device()) == (like.dtype(), like.device())
            && matches!(values.dims(), &[b, h, r, _] if (b, h, r) == (batch, heads, room))
            && mask.is_none_or(|mask| mask.dims() == [batch, room])
            && counts.is_none_or(|counts| counts.dims() == [batch])
            && (0..=end).contains(&start)
            && end <= room as i64;
        if !fits {
            return Err(tensors);
        }
        let counts = counts.cloned();
        let before = Before { place: Some(place.clone()), counts: counts.clone(), masked: mask.is_some(), memory: None };
        let memory = Memory { keys: keys.clone(), values: values.clone(), mask: mask.cloned() };
        // The memory is written in place, so nobody else may have it.
        drop(tensors);
        let counts = Counts { most: most as usize, each: counts };
        Ok(Past { memory, start: start as usize, end: end as usize, counts, before })
    }

    /// What is carried: the place of the steps, keys, values, and where they are needed the mask and the counts.
    pub(super) fn tensors(&self) -> Result<Vec<Tensor>> {
        let place = [self.start as i64, self.end as i64, self.counts.most as i64];
        let place = Tensor::from_slice(&place, [3], &Device::cpu())?;
        Ok(self.memory.tensors(place, self.counts.each.clone()))
    }

    /// What was carried before steps were added.
    pub(super) fn tensors_before(&self) -> Vec<Tensor> {
        let Before { place: Some(place), counts, masked, memory } = &self.before else { return Vec::new() };
        let Memory { keys, values, mask } = memory.as_ref().unwrap_or(&self.memory).clone();
        Memory { keys, values, mask: mask.filter(|_| *masked) }.tensors(place.clone(), counts.clone())
    }

    /// Whether no step is kept.
    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Adds steps: keys (N, key heads, T, width), values, and which count, bool (N, T). With a window each step sees so many keys, itself
    /// included.
    pub(super) fn add(&mut self, keys: &Tensor, values: &Tensor, mask: Option<&Tensor>, window: Option<usize>) -> Result<()> {
        let new = keys.dims()[2];
        if let Some(window) = window {
            self.start = self.start.max((self.end + 1).saturating_sub(window));
        }
        self.make_room(new, window)?;
        let added = self.end..self.end + new;
        self.memory.keys.slice_assign(2, added.clone(), keys)?;
        self.memory.values.slice_assign(2, added.clone(), values)?;
        self.memory.add_mask(mask, added)?;
        self.end += new;
        Ok(())
    }

    /// All that the last steps see.
    pub(super) fn seen(&self) -> Result<Seen> {
        let seen = self.start..self.end;
        let Memory { keys, values, mask } = &self.memory;
        Ok(Seen {
            keys: keys.slice(2, seen.clone())?,
            values: values.slice(2, seen.clone())?,
            mask: mask.as_ref().map(|mask| mask.slice(1, seen)).transpose()?,
        })
    }

    /// Puts the steps that are seen in another order, in other memory.
    pub(super) fn replace(&mut self, seen: &Seen) -> Result<()> {
        let (kept, size) = (0..self.end - self.start, self.memory.keys.dims()[2]);
        let parts = Memory { keys: seen.keys.clone(), values: seen.values.clone(), mask: seen.mask.clone() };
        let memory = parts.moved(kept.clone(), size)?;
        self.move_to(memory, kept.end);
        Ok(())
    }

    /// Leaves memory behind that is much larger than the window.
    pub(super) fn trim(&mut self, window: Option<usize>) -> Result<()> {
        let Some(window) = window else { return Ok(()) };
        let size = (2 * window).max(MIN_ROOM);
        if self.memory.keys.dims()[2] <= size {
            return Ok(());
        }
        let kept = self.start.max((self.end + 1).saturating_sub(window))..self.end;
        let memory = self.memory.moved(kept.clone(), size)?;
        self.move_to(memory, kept.len());
        Ok(())
    }

    /// Moves what is kept to other memory where so many more steps do not fit.
    fn make_room(&mut self, new: usize, window: Option<usize>) -> Result<()> {
        let needed = self.end - self.start + new;
        if self.end + new <= self.memory.keys.dims()[2] {
            return Ok(());
        }
        let size = match window {
            Some(window) => (2 * needed).min(needed.max(2 * window)),
            None => 2 * needed,
        };
        let memory = self.memory.moved(self.start..self.end, size.max(MIN_ROOM))?;
        self.move_to(memory, self.end - self.start);
        Ok(())
    }

    fn move_to(&mut self, memory: Memory, steps: usize) {
        let left = std::mem::replace(&mut self.memory, memory);
        self.before.memory.get_or_insert(left);
        (self.start, self.end) = (0, steps);
    }
}

impl Memory {
    fn tensors(&self, place: Tensor, counts: Option<Tensor>) -> Vec<Tensor> {
        let Memory { keys, values, mask } = self;
        [Some(place), Some(keys.clone()), Some(values.clone()), mask.clone(), counts].into_iter().flatten().collect()
    }

    /// These steps in other memory, with room for so many.
    fn moved(&self, steps: Range<usize>, size: usize) -> Result<Memory> {
        let moved = |tensor: &Tensor, axis: usize| -> Result<Tensor> {
            let mut other = room(tensor, axis, size)?;
            other.slice_assign(axis, 0..steps.len(), &tensor.slice(axis, steps.clone())?)?;
            Ok(other)
        };
        let mask = self.mask.as_ref().map(|mask| moved(mask, 1)).transpose()?;
        Ok(Memory { keys: moved(&self.keys, 2)?, values: moved(&self.values, 2)?, mask })
    }

    /// Adds which of the new steps count. All do without a mask; before the first mask, all did.
    fn add_mask(&mut self, mask: Option<&Tensor>, added: Range<usize>) -> Result<()> {
        let (batch, room, device) = (self.keys.dims()[0], self.keys.dims()[2], self.keys.device());
        match (&mut self.mask, mask) {
            (None, None) => Ok(()),
            (Some(all), None) => all.slice_assign(1, added, &Tensor::ones([1, 1], DType::Bool, device)?),
            (all, Some(mask)) => {
                if all.is_none() {
                    *all = Some(Tensor::ones([batch, room], DType::Bool, device)?);
                }
                all.as_mut().map_or(Ok(()), |all| all.slice_assign(1, added, mask))
            }
        }
    }
}

/// Zeros like `steps`, with another number of them along `axis`.
fn room(steps: &Tensor, axis: usize, size: usize) -> Result<Tensor> {
    let mut dims = steps.dims().to_vec();
    dims[axis] = size;
    Tensor::zeros(dims, steps.dtype(), steps.device())
}
