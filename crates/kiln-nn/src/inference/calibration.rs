//! Ranges of layers' inputs, for plans of 8-bit integers.

use super::{InferenceOptions, InferencePlan, device, forward, largest_difference};
use crate::AnyLayer;
use kiln_tensor::{Error, InputRanges, Plan, Result, Tensor};
use serde::{Deserialize, Serialize};

/// What a model's layers see on typical inputs: the least and the largest number of the input of each convolution and dense layer. A plan of
/// 8-bit integers needs it.
///
/// ```
/// use kiln_nn::{Activation, Calibration, Dense, InferenceOptions, Sequential};
/// use kiln_tensor::{DType, Device, Tensor};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let model = Sequential::new()
///     .push(Dense::new(32).activation(Activation::Relu))
///     .push(Dense::new(3))
///     .build([8], &Device::cpu(), 1)?;
/// let batch = Tensor::ones([4, 8], DType::F32, &Device::cpu())?; // a few batches of real inputs
/// let mut calibration = Calibration::new(&model, std::slice::from_ref(&batch))?;
/// let plan = model.compile_for_inference_with([4, 8], &InferenceOptions::new().int8(&calibration))?;
/// plan.run(&batch)?;
///
/// // The layer that brings the largest error stays in f32.
/// let errors = calibration.errors(&model, &batch)?;
/// let worst = errors.iter().max_by(|a, b| a.1.total_cmp(&b.1)).map_or("", |worst| &worst.0);
/// calibration.keep(worst)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Calibration {
    /// In the order of the plan.
    layers: Vec<(String, Option<(f32, f32)>)>,
}

impl Calibration {
    /// Runs the model on a few batches of typical inputs, all of one shape, and notes the ranges.
    ///
    /// # Errors
    /// No batch; batches of several shapes; a model that cannot be compiled.
    pub fn new(model: &(dyn AnyLayer + '_), batches: &[Tensor]) -> Result<Self> {
        let Some(first) = batches.first() else {
            return Err(Error::value(
                "calibrate",
                "int8 needs calibration data: at least one batch of typical inputs is expected",
            ));
        };
        let plan = InferencePlan::compile(model, std::slice::from_ref(first), &InferenceOptions::new().fast())?;
        let Some((_, plan)) = plan.plans.first() else { return Ok(Calibration::default()) };
        let mut ranges = InputRanges::default();
        for batch in batches {
            ranges.extend(&device(batches).session(|| plan.input_ranges(std::slice::from_ref(batch)))?);
        }
        let layers = plan.filters().into_iter().map(|filter| filter.layer);
        Ok(Calibration { layers: layers.zip(ranges.0).collect() })
    }

    /// What was noted: names of layers, and the least and the largest number of their inputs; none where the layer stays in f32.
    pub fn layers(&self) -> impl Iterator<Item = (&str, Option<(f32, f32)>)> {
        self.layers.iter().map(|(layer, range)| (layer.as_str(), *range))
    }

    /// Keeps a layer in f32.
    ///
    /// # Errors
    /// A name that no layer has.
    pub fn keep(&mut self, layer: &str) -> Result<()> {
        let mut found = false;
        for (name, range) in &mut self.layers {
            if name == layer {
                (*range, found) = (None, true);
            }
        }
        if found {
            return Ok(());
        }
        let known: Vec<&str> = self.layers.iter().map(|(name, _)| name.as_str()).collect();
        Err(Error::value("keep", format!("unknown layer {layer:?}, expected one of: {}", known.join(", "))))
    }

    /// The error that each layer brings: the largest difference of the outputs for a batch when this layer alone is computed by
    /// integers, relative to the largest output. Layers that stay in f32 are left out.
    ///
    /// # Errors
    /// A model that cannot be compiled.
    pub fn errors(&self, model: &(dyn AnyLayer + '_), batch: &Tensor) -> Result<Vec<(String, f64)>> {
        let inputs = std::slice::from_ref(batch);
        let expected = forward(model, inputs)?;
        let mut errors: Vec<(String, f64)> = Vec::new();
        for (at, (layer, range)) in self.layers.iter().enumerate() {
            if range.is_none() {
                continue;
            }
            let alone =
                self.layers.iter().enumerate().map(|(i, (layer, range))| (layer.clone(), range.filter(|_| i == at)));
            let options = InferenceOptions::new().int8(&Calibration { layers: alone.collect() });
            let error =
                largest_difference(&InferencePlan::compile(model, inputs, &options)?.run_all(inputs)?, &expected)?;
            match errors.last_mut().filter(|(last, _)| last == layer) {
                Some((_, last)) => *last = last.max(error),
                None => errors.push((layer.clone(), error)),
            }
        }
        Ok(errors)
    }

    /// Fails where a plan is not of the model that was calibrated.
    pub(super) fn expect(&self, plan: &Plan) -> Result<()> {
        let filters = plan.filters();
        if filters.iter().map(|filter| &filter.layer).eq(self.layers.iter().map(|(layer, _)| layer)) {
            return Ok(());
        }
        let message = format!(
            "the calibration is of another model: it has {} convolutions and dense layers, the model {}, or their names differ; \
             calibrate this model",
            self.layers.len(),
            filters.len()
        );
        Err(Error::value("compile", message))
    }

    pub(super) fn ranges(&self) -> InputRanges {
        InputRanges(self.layers.iter().map(|(_, range)| *range).collect())
    }
}
