//! Which positions the steps of a batch have.

use crate::{Carried, Ctx, Mask, Module};
use kiln_autograd::Var;
use kiln_tensor::{DType, Error, Result, Tensor};
use std::ops::Range;

/// How many steps each sequence has had so far, i64 (N,), in a pass that carries them.
#[derive(Module, Clone, Debug, Default)]
pub(super) struct Place {
    #[module(flatten)]
    carried: Carried,
}

/// The positions of a batch's steps.
pub(super) enum Positions {
    /// The same in all sequences.
    Range(Range<usize>),
    /// i64 (N, T), all below the number.
    Each(Tensor, usize),
}

impl Positions {
    /// How many positions there must be.
    pub(super) fn end(&self) -> usize {
        match self {
            Positions::Range(range) => range.end,
            Positions::Each(_, end) => *end,
        }
    }

    /// i64 (N, T).
    pub(super) fn each(&self, x: &Var) -> Result<Tensor> {
        match self {
            Positions::Range(range) => {
                let row = Tensor::arange(range.end, x.device())?.slice(0, range.clone())?;
                row.broadcast_to([x.dims()[0], range.len()])
            }
            Positions::Each(positions, _) => Ok(positions.clone()),
        }
    }
}

impl Place {
    /// The positions of the steps of x (N, T, …), from 0 on or from where the pass before ended. A step that does not count has
    /// the position of the one before it.
    pub(super) fn next(&self, x: &Var, mask: Option<&Mask>, stateful: bool, ctx: &Ctx) -> Result<Positions> {
        let &[batch, steps, ..] = x.dims() else {
            let message = format!("sequences (batch, steps, …) are expected, got {}", x.shape());
            return Err(Error::shape("positions", message));
        };
        if steps == 0 {
            return Err(Error::shape("positions", "sequences of 0 steps: at least 1 is needed"));
        }
        let carries = ctx.carries(stateful);
        let before = if carries { self.before(batch, x)? } else { None };
        let counts = before.as_ref().map_or_else(|| Ok(Vec::new()), Tensor::to_vec::<i64>)?;
        let first = counts.iter().copied().max().unwrap_or(0);
        let even = counts.iter().all(|&count| count == first);
        let end = first as usize + steps;
        let (positions, after) = match mask {
            None if even => {
                let after = Tensor::full([batch], end as f64, DType::I64, x.device());
                (Positions::Range(first as usize..end), after)
            }
            _ => {
                let mut count = match mask {
                    Some(mask) => mask.to_dtype(DType::I64)?.cumsum(1)?,
                    None => Tensor::arange(steps, x.device())?.add_scalar(1.0)?.broadcast_to([batch, steps])?,
                };
                if let Some(before) = before {
                    count = count.add(&before.unsqueeze(1)?)?;
                }
                let after = count.slice(1, steps - 1..steps)?.squeeze(1);
                let zero = Tensor::scalar(0i64, x.device())?;
                (Positions::Each(count.add_scalar(-1.0)?.maximum(&zero)?.contiguous()?, end), after)
            }
        };
        if carries {
            self.carried.put(vec![after?.contiguous()?]);
        }
        Ok(positions)
    }

    /// What was carried, where it is of a batch of this size.
    fn before(&self, batch: usize, x: &Var) -> Result<Option<Tensor>> {
        let fits = |counts: &Tensor| counts.dims() == [batch] && counts.device() == x.device();
        Ok(self.carried.take().into_iter().next().filter(fits))
    }

    /// Forgets it.
    pub(super) fn reset(&self) {
        drop(self.carried.take());
    }
}
