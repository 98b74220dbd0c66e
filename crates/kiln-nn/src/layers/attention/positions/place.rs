//! The positions that the steps of a batch have in layers that add a vector for each position.

use super::count::{Counts, Positions};
use crate::value::Mask;
use crate::{Carried, Ctx, Module};
use kiln_autograd::Var;
use kiln_tensor::{DType, Error, Result, Tensor};

/// How many steps each sequence has had so far, i64 (N,), in a pass that carries them.
#[derive(Module, Clone, Debug, Default)]
pub(super) struct Place {
    #[module(flatten)]
    carried: Carried,
}

impl Place {
    /// The positions of the steps of x (N, T, …), from 0 on in each sequence and each packed document, or from where the pass before
    /// ended. A step that does not count has the position of the step before it.
    pub(super) fn next(&self, x: &Var, mask: Option<&Mask>, stateful: bool, ctx: &Ctx) -> Result<Positions> {
        let &[batch, steps, ..] = x.dims() else {
            let message = format!("sequences (batch, steps, …) are expected, got {}", x.shape());
            return Err(Error::shape("positions", message));
        };
        if steps == 0 {
            return Err(Error::shape("positions", "sequences of 0 steps: at least 1 is needed"));
        }
        let carries = ctx.carries(stateful);
        if let Some(documents) = mask.and_then(Mask::documents) {
            return match carries {
                true => Err(carries_documents("positions")),
                false => Ok(Positions::Each(documents.positions().clone(), documents.longest())),
            };
        }
        let (size, mask) = ([batch, steps], mask.and_then(Mask::hiding));
        if let Some(mask) = mask.filter(|mask| mask.dims() != size || mask.dtype() != DType::Bool) {
            let message = format!(
                "the mask of the steps is {} {}, expected bool ({batch}, {steps}), true where a step counts",
                mask.dtype(),
                mask.shape()
            );
            return Err(Error::shape("positions", message));
        }
        if !carries {
            return Counts::default().positions(size, mask, x.device());
        }
        let carried = ctx.carried(&self.carried);
        let fits = |counts: &Tensor| counts.dims() == [batch] && counts.device() == x.device();
        // A batch of another size begins anew.
        let before = carried.get().into_iter().next().filter(fits);
        let before = before.map_or_else(|| Ok(Counts::default()), Counts::of)?;
        let after = before.after(size, mask, x.device())?;
        let positions = match before.positions(size, mask, x.device())? {
            // Not as many as there are steps: fillers have none of their own.
            Positions::Each(each, _) => Positions::Each(each, after.most.max(1)),
            range => range,
        };
        carried.set(vec![after.tensor(batch, x.device())?]);
        Ok(positions)
    }

    /// Forgets it.
    pub(super) fn reset(&self) {
        self.carried.clear();
    }
}

/// The error of packed documents in a pass that carries.
#[cold]
pub(in super::super) fn carries_documents(operation: &'static str) -> Error {
    let message = "packed documents end with their rows and cannot go on in the next pass: run them without `carrying` and \
                   `stateful`, or give one document in each row";
    Error::value(operation, message)
}
