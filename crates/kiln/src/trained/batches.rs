//! A model run on one batch after the other.

use super::Trained;
use crate::nn::{AnyLayer, Calibration, Ctx, InferenceOptions, InferencePlan, Mask, Sequential, Value};
use crate::tensor::Tensor;
use crate::{ErrorKind, Result};
use std::collections::BTreeMap;

/// Batches of one size from which on a plan pays: compiling it takes as long as one or two of them.
const WORTH: usize = 4;

/// Runs a model on batches: by a compiled plan where several batches of one size come or where it is quantized, else by `forward`. The
/// outputs have the bits of `forward`, unless the model is quantized.
pub(super) struct Batches<'a> {
    model: &'a Sequential,
    quantized: Option<&'a Calibration>,
    /// By batch size; none where there cannot be one.
    plans: BTreeMap<usize, Option<InferencePlan>>,
}

impl<'a> Batches<'a> {
    pub(super) fn of(trained: &'a Trained) -> Self {
        Batches { model: &trained.model, quantized: trained.quantized.as_ref(), plans: BTreeMap::new() }
    }

    /// The output for a batch, of whose size there are so many yet to come, with this one.
    pub(super) fn run(&mut self, inputs: Tensor, mask: Option<Mask>, to_come: usize) -> Result<Tensor> {
        let batch = inputs.dims().first().copied().unwrap_or(0);
        if mask.is_none() && batch > 0 {
            let worth = self.quantized.is_some() || to_come >= WORTH;
            if worth && !self.plans.contains_key(&batch) {
                self.plans.insert(batch, compiled(self.model, &inputs, self.quantized)?);
            }
            if let Some(Some(plan)) = self.plans.get(&batch) {
                return plan.run(&inputs);
            }
        }
        Ok(self.model.forward(Value::One(inputs.into(), mask), &Ctx::eval())?.into_tensor())
    }
}

/// A plan for batches like this one; none of a model that cannot be compiled.
fn compiled(model: &dyn AnyLayer, example: &Tensor, quantized: Option<&Calibration>) -> Result<Option<InferencePlan>> {
    let options = quantized.map_or_else(InferenceOptions::new, |ranges| InferenceOptions::new().int8(ranges));
    match InferencePlan::compile(model, std::slice::from_ref(example), &options) {
        Err(error) if error.kind() == ErrorKind::Unsupported => Ok(None),
        plan => plan.map(Some),
    }
}
