//! What attention carries from pass to pass (a KV cache).

use super::MultiHeadAttention;
use super::aligned::Aligned;
use super::attend::Placed;
use super::past::{Past, Seen};
use crate::context::CarriedUse;
use crate::{AttentionInputs, Carried, Ctx, Module};
use kiln_autograd::Var;
use kiln_tensor::{Result, Tensor};

/// The keys and values of the steps so far, of causal attention that goes on where the pass before ended; or those of a memory that stays.
#[derive(Module, Clone, Debug, Default)]
pub(super) struct Cache {
    #[module(flatten)]
    carried: Carried,
}

impl Cache {
    /// Keys and values (N, key heads, S, width) of a memory (N, S, …) that stays: those that are kept, or what `make` gives.
    pub(super) fn of_memory(&self, memory: &Var, ctx: &Ctx, make: impl FnOnce() -> Result<[Var; 2]>) -> Result<[Var; 2]> {
        let carried = ctx.carried(&self.carried);
        let fits = |keys: &Tensor| {
            let steps = matches!(keys.dims(), &[batch, _, steps, _] if memory.dims()[..2] == [batch, steps]);
            steps && keys.dtype() == memory.dtype() && keys.device() == memory.device()
        };
        let kept = match <[Tensor; 2]>::try_from(carried.get()) {
            Ok(kept) if fits(&kept[0]) => kept,
            _ => {
                let [keys, values] = make()?;
                let kept = [keys.tensor().contiguous()?, values.tensor().contiguous()?];
                carried.set(kept.to_vec());
                kept
            }
        };
        Ok(kept.map(Var::constant))
    }

    pub(super) fn reset(&self) {
        self.carried.clear();
    }
}

impl MultiHeadAttention {
    /// What queries (N, T, heads, width) see of the keys (N, T, key heads, width) and values (N, key heads, T, width) of these steps and of
    /// past ones, to which those of these steps are added: (N, heads, T, value width).
    pub(super) fn go_on(&self, qkv: [&Var; 3], inputs: &AttentionInputs<'_>, ctx: &Ctx) -> Result<Var> {
        let carried = ctx.carried(&self.cache.carried);
        let like = qkv[1].tensor().transpose(1, 2)?;
        let (mut past, other) = match Past::of(carried.take(), &like) {
            Ok(past) => (past, Vec::new()),
            Err(other) => match Past::new(&like, qkv[2].tensor()) {
                Ok(past) => (past, other),
                Err(error) => return Err(put_back(&carried, other, error)),
            },
        };
        let y = self.go_on_from(&mut past, qkv, inputs, ctx).and_then(|y| Ok((y, past.tensors()?)));
        let before = if other.is_empty() { past.tensors_before() } else { other };
        match y {
            Ok((y, tensors)) => {
                carried.set_after(tensors, before);
                Ok(y)
            }
            Err(error) => Err(put_back(&carried, before, error)),
        }
    }

    fn go_on_from(&self, past: &mut Past, [q, k, v]: [&Var; 3], inputs: &AttentionInputs<'_>, ctx: &Ctx) -> Result<Var> {
        let &[batch, steps, ..] = q.dims() else { return Ok(q.clone()) };
        let (size, device, window) = ([batch, steps], q.device(), self.settings.window);
        let counted = inputs.key_mask.filter(|_| self.settings.rotary.is_some());
        let positions = past.counts.positions(size, counted, device)?;
        let (q, k) = (self.turned(q, &positions)?, self.turned(k, &positions)?);
        let moves = self.settings.goes_by_places() && inputs.key_mask.is_some() && !past.is_empty();
        past.add(k.tensor(), v.tensor(), inputs.key_mask, window)?;
        let Seen { keys, values, mask } = past.seen()?;
        let (mut keys, mut values, mut mask) = (with_gradient(keys, &k)?, with_gradient(values, v)?, mask);
        if let (true, Some(all)) = (moves, &mask) {
            // Fillers between past steps and new ones come before both.
            let aligned = Aligned::new(all)?;
            let moved = |x: &Var| aligned.of(&x.transpose(1, 2)?)?.transpose(1, 2);
            (keys, values) = (moved(&keys)?, moved(&values)?);
            let seen = Seen { keys: keys.tensor().clone(), values: values.tensor().clone(), mask: Some(aligned.mask) };
            past.replace(&seen)?;
            mask = seen.mask;
        }
        past.counts = past.counts.after(size, counted, device)?;
        let inputs = AttentionInputs { key_mask: mask.as_ref(), ..*inputs };
        let y = self.seen(&q, &keys, &values, &Placed { inputs: &inputs, packed: None }, ctx)?;
        past.trim(window)?;
        Ok(y)
    }
}

/// Puts back what was carried before an error.
#[cold]
fn put_back(carried: &CarriedUse<'_>, tensors: Vec<Tensor>, error: kiln_tensor::Error) -> kiln_tensor::Error {
    carried.put_back(tensors);
    error
}

/// All of the keys or values (N, heads, S, width), of which the last are `new`: those have their gradient, where they want one.
fn with_gradient(all: Tensor, new: &Var) -> Result<Var> {
    if !new.requires_grad() {
        return Ok(Var::constant(all));
    }
    let past = Var::constant(all.slice(2, 0..all.dims()[2] - new.dims()[2])?);
    Var::concat(&[&past, new], 2)
}
