//! The batches whose gradients make one step.

use crate::Count;
use kiln_autograd::Gradients;
use kiln_nn::Ctx;
use kiln_tensor::{DType, Result, Tensor};

/// The mean of several batches' gradients. Each batch weighs as much as counts in its loss, so that the mean is the gradient of
/// one batch of all their samples.
#[derive(Default)]
pub(super) struct Group {
    /// Σ count · gradient, in units of `unit`.
    sum: Gradients,
    /// What counted in the first batch in which something did: equal batches are added up as they are.
    unit: Option<f64>,
    /// Σ count, as far as the host knows it.
    known: f64,
    /// The rest of Σ count.
    there: Option<Tensor>,
    /// What their layers handed in for buffers.
    contexts: Vec<Ctx>,
    /// Whether all their losses are finite, where only the device knows.
    applies: Option<Tensor>,
}

impl Group {
    /// How many batches there are.
    pub(super) fn len(&self) -> usize {
        self.contexts.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.contexts.is_empty()
    }

    /// Adds a batch's gradients, of a loss that is the mean of so many.
    pub(super) fn add(&mut self, gradients: Gradients, count: &Count, ctx: Ctx, applies: Option<Tensor>) -> Result<()> {
        match count {
            Count::Known(count) => self.add_known(gradients, *count)?,
            Count::There(count) => self.add_there(gradients, count)?,
        }
        self.applies = both(self.applies.take(), applies)?;
        ctx.release();
        self.contexts.push(ctx);
        Ok(())
    }

    fn add_known(&mut self, mut gradients: Gradients, count: f64) -> Result<()> {
        let Some(unit) = self.unit else {
            // So far nothing counted: what there is, is of penalties alone, and no batch has less of them.
            self.sum = gradients;
            (self.known, self.unit) = (count, (count > 0.0).then_some(count));
            return Ok(());
        };
        if count == 0.0 {
            return Ok(());
        }
        if count != unit {
            gradients.scale(count / unit)?;
        }
        self.known += count;
        self.sum.add_assign(gradients)
    }

    fn add_there(&mut self, gradients: Gradients, count: &Tensor) -> Result<()> {
        match self.unit.replace(1.0) {
            None => self.sum = Gradients::default(),
            Some(unit) if unit != 1.0 => self.sum.scale(unit)?,
            Some(_) => {}
        }
        self.there = Some(match self.there.take() {
            Some(sum) => sum.add(count)?,
            None => count.clone(),
        });
        self.sum.add_assign(gradients.try_map(|gradient| times(&gradient, count))?)
    }

    /// The mean gradients, the contexts of the batches, and whether the step applies, where only the device knows.
    pub(super) fn finish(self) -> Result<(Gradients, Vec<Ctx>, Option<Tensor>)> {
        let Group { mut sum, unit, known, there, contexts, applies } = self;
        let unit = unit.unwrap_or(1.0);
        if let Some(there) = there {
            let total = there.add_scalar(known)?;
            // Where nothing counted, the sum is 0.
            let total = total.maximum(&Tensor::ones(total.shape(), total.dtype(), total.device())?)?;
            let factor = Tensor::full(total.shape(), unit, total.dtype(), total.device())?.div(&total)?;
            sum = sum.try_map(|gradient| times(&gradient, &factor))?;
        } else if known != unit && known > 0.0 {
            sum.scale(unit / known)?;
        }
        Ok((sum, contexts, applies))
    }
}

/// Whether both hold, where there are both.
pub(super) fn both(first: Option<Tensor>, second: Option<Tensor>) -> Result<Option<Tensor>> {
    match (first, second) {
        (Some(first), Some(second)) => first.logical_and(&second).map(Some),
        (first, second) => Ok(first.or(second)),
    }
}

/// A gradient times a number in its device's memory.
fn times(gradient: &Tensor, factor: &Tensor) -> Result<Tensor> {
    let computed: DType = gradient.dtype().computed_in();
    gradient.to_dtype(computed)?.mul(&factor.to_dtype(computed)?)
}

/// Whether a loss is finite, where its device has it and the host would have to wait.
pub(super) fn finite_on_device(loss: &Tensor) -> Result<Option<Tensor>> {
    if loss.device().backend().is_host() {
        return Ok(None);
    }
    // NaN of a loss that is NaN or infinite, and NaN is not equal to itself.
    let zero = loss.sub(loss)?;
    zero.eq(&zero).map(Some)
}
