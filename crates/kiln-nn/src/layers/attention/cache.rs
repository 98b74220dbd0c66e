//! Keys and values of the steps so far, for causal attention that goes on where the pass before ended.

use crate::{Carried, Module};
use kiln_autograd::Var;
use kiln_tensor::{DType, Device, Result, Tensor};
use std::ops::Range;

/// The least number of steps that there is room for.
const MIN_ROOM: usize = 64;

/// What attention carries from pass to pass (a KV cache).
#[derive(Module, Clone, Debug, Default)]
pub(super) struct Cache {
    #[module(flatten)]
    carried: Carried,
}

/// Keys and values of past steps, in memory with room for more.
///
/// Adding a step writes into this memory. Where it is full, twice as much is taken as is needed, so that a step is copied about once;
/// with a window, what no later query sees is left behind.
pub(super) struct Past {
    /// (N, key heads, room, width).
    keys: Tensor,
    /// (N, key heads, room, value width).
    values: Tensor,
    /// bool (N, room), once there was a mask.
    mask: Option<Tensor>,
    /// The steps that are kept lie from `start` to below `end` of the room.
    start: usize,
    end: usize,
    /// How many steps there have been.
    steps: usize,
}

/// The keys and values that queries see, and which of them count.
pub(super) struct Seen {
    pub(super) keys: Tensor,
    pub(super) values: Tensor,
    pub(super) mask: Option<Tensor>,
}

impl Cache {
    /// Takes out what was put, where it fits keys like these (N, key heads, T, width).
    pub(super) fn take(&self, keys: &Tensor) -> Result<Option<Past>> {
        let mut tensors = self.carried.take().into_iter();
        let (Some(place), Some(past), Some(values)) = (tensors.next(), tensors.next(), tensors.next()) else {
            return Ok(None);
        };
        let &[start, end, steps] = &place.to_vec::<i64>()?[..] else { return Ok(None) };
        let mask = tensors.next();
        let (start, end, steps) = (start as usize, end as usize, steps as usize);
        let past = Past { keys: past, values, mask, start, end, steps };
        Ok(Some(past).filter(|past| past.fits(keys)))
    }

    pub(super) fn put(&self, past: Past) -> Result<()> {
        let place = [past.start as i64, past.end as i64, past.steps as i64];
        let place = Tensor::from_slice(&place, [3], &Device::cpu())?;
        let tensors = [Some(place), Some(past.keys), Some(past.values), past.mask];
        self.carried.put(tensors.into_iter().flatten().collect());
        Ok(())
    }

    /// Keys and values (N, key heads, S, width) of a memory (N, S, …) that stays: those that are kept, or what `make` gives.
    pub(super) fn of_memory(&self, memory: &Var, make: impl FnOnce() -> Result<[Var; 2]>) -> Result<[Var; 2]> {
        let fits = |keys: &Tensor| {
            let steps = matches!(keys.dims(), &[batch, _, steps, _] if memory.dims()[..2] == [batch, steps]);
            steps && keys.dtype() == memory.dtype() && keys.device() == memory.device()
        };
        let kept = match <[Tensor; 2]>::try_from(self.carried.take()) {
            Ok(kept) if fits(&kept[0]) => kept,
            _ => {
                let [keys, values] = make()?;
                [keys.tensor().contiguous()?, values.tensor().contiguous()?]
            }
        };
        self.carried.put(kept.to_vec());
        Ok(kept.map(Var::constant))
    }

    pub(super) fn reset(&self) {
        drop(self.carried.take());
    }
}

impl Past {
    /// Nothing yet, with room for keys and values like these.
    pub(super) fn new(keys: &Tensor, values: &Tensor) -> Result<Self> {
        let (keys, values) = (room(keys, 2, 0)?, room(values, 2, 0)?);
        Ok(Past { keys, values, mask: None, start: 0, end: 0, steps: 0 })
    }

    /// Whether keys like these (N, key heads, T, width) can be added: another batch begins anew.
    fn fits(&self, keys: &Tensor) -> bool {
        let (&[batch, heads, room, width], &[new_batch, new_heads, _, new_width]) = (self.keys.dims(), keys.dims()) else {
            return false;
        };
        (batch, heads, width) == (new_batch, new_heads, new_width)
            && (self.keys.dtype(), self.keys.device()) == (keys.dtype(), keys.device())
            && matches!(self.values.dims(), &[b, h, r, _] if (b, h, r) == (batch, heads, room))
            && self.mask.as_ref().is_none_or(|mask| mask.dims() == [batch, room])
            && self.start <= self.end
            && self.end <= room
    }

    /// How many steps there have been.
    pub(super) fn steps(&self) -> usize {
        self.steps
    }

    /// Adds steps: keys (N, key heads, T, width), values, and which count, bool (N, T). Gives all that these steps see; with a window
    /// each sees so many keys, itself included.
    pub(super) fn add(
        &mut self,
        keys: &Tensor,
        values: &Tensor,
        mask: Option<&Tensor>,
        window: Option<usize>,
    ) -> Result<Seen> {
        let new = keys.dims()[2];
        if let Some(window) = window {
            self.start = self.start.max((self.end + 1).saturating_sub(window));
        }
        self.make_room(new)?;
        let added = self.end..self.end + new;
        self.keys.slice_assign(2, added.clone(), keys)?;
        self.values.slice_assign(2, added.clone(), values)?;
        self.add_mask(mask, added)?;
        (self.end, self.steps) = (self.end + new, self.steps + new);
        let seen = self.start..self.end;
        Ok(Seen {
            keys: self.keys.slice(2, seen.clone())?,
            values: self.values.slice(2, seen.clone())?,
            mask: self.mask.as_ref().map(|mask| mask.slice(1, seen)).transpose()?,
        })
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

    /// Moves what is kept to other memory where so many more steps do not fit.
    fn make_room(&mut self, new: usize) -> Result<()> {
        let (kept, room_now) = (self.end - self.start, self.keys.dims()[2]);
        if self.end + new <= room_now {
            return Ok(());
        }
        let needed = 2 * (kept + new);
        let size = if needed <= room_now { room_now } else { needed.max(MIN_ROOM) };
        let range = self.start..self.end;
        let moved = |tensor: &Tensor, axis: usize| -> Result<Tensor> {
            let mut larger = room(tensor, axis, size)?;
            larger.slice_assign(axis, 0..kept, &tensor.slice(axis, range.clone())?)?;
            Ok(larger)
        };
        self.keys = moved(&self.keys, 2)?;
        self.values = moved(&self.values, 2)?;
        self.mask = self.mask.as_ref().map(|mask| moved(mask, 1)).transpose()?;
        (self.start, self.end) = (0, kept);
        Ok(())
    }
}

/// Zeros like `steps`, with another number of them along `axis`.
fn room(steps: &Tensor, axis: usize, size: usize) -> Result<Tensor> {
    let mut dims = steps.dims().to_vec();
    dims[axis] = size;
    Tensor::zeros(dims, steps.dtype(), steps.device())
}
