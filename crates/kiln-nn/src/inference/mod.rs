//! Models compiled for inference.

mod calibration;
mod options;
mod table;

use crate::{AnyLayer, Ctx, Graph, Module, Sequential, Value};
use kiln_autograd::Var;
use kiln_tensor::{DType, Device, Error, ErrorKind, IntoShape, Plan, PlanStep, Precision, Result, Tensor};

pub use calibration::Calibration;
pub use options::InferenceOptions;
use table::table;

/// FLOPs from which on a plan keeps the thread team awake between its steps.
const TEAM: u64 = 1 << 20;

/// A model compiled for inputs of one shape, to be run again and again.
///
/// The forward pass in evaluation is recorded once. On the CPU, convolutions, poolings and dense layers then work on channels-last
/// maps with weights that are packed once, and batch normalization, bias, residual sum and activation are part of the product before
/// them. A run builds no graph and allocates its output alone. The weights are those at the time of the compilation: a model that is
/// trained further does not change the plan. Several threads may run one plan at once.
///
/// ```
/// use kiln_nn::{Activation, Ctx, Dense, Sequential};
/// use kiln_tensor::{DType, Device, Tensor};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let model = Sequential::new()
///     .push(Dense::new(128).activation(Activation::Relu))
///     .push(Dense::new(10).activation(Activation::Softmax))
///     .build([784], &Device::cpu(), 1)?;
/// let plan = model.compile_for_inference([1, 784])?;
/// let x = Tensor::ones([1, 784], DType::F32, &Device::cpu())?;
/// let y = plan.run(&x)?;
/// assert_eq!(y.to_vec::<f32>()?, model.forward(&x, &Ctx::eval())?.tensor().to_vec::<f32>()?); // the same bits
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct InferencePlan {
    /// By batch size, the largest first.
    plans: Vec<(usize, Plan)>,
    any_batch: bool,
    error: f64,
}

impl InferencePlan {
    /// Compiles a model for examples of its inputs, whose first axis counts samples.
    ///
    /// # Errors
    /// A model that is not built, or does not take such inputs. A layer that reads values of its input on the host, draws random
    /// numbers, carries states from batch to batch, or uses an operation that a plan cannot have; the message names it. No examples, or a
    /// batch size of 0.
    pub fn compile(model: &(dyn AnyLayer + '_), examples: &[Tensor], options: &InferenceOptions) -> Result<Self> {
        let Some(first) = examples.first().and_then(|example| example.dims().first().copied()) else {
            return Err(Error::value(
                "compile",
                "an example of each input is expected, with the batch as its first axis",
            ));
        };
        let mut sizes = if options.batches.is_empty() { vec![first] } else { options.batches.clone() };
        sizes.extend(options.any_batch.then_some(1));
        sizes.sort_unstable_by(|a, b| b.cmp(a));
        sizes.dedup();
        if sizes.contains(&0) {
            return Err(Error::value("compile", "a plan needs a batch of 1 sample or more"));
        }
        let weights: Vec<Tensor> = model.state_dict().into_values().collect();
        let mut plans = Vec::with_capacity(sizes.len());
        let mut error = 0.0_f64;
        for size in sizes {
            let inputs = examples.iter().map(|example| resized(example, size)).collect::<Result<Vec<_>>>()?;
            let plan = Plan::record(&inputs, &weights, options.precision(), |inputs| stateless(model, inputs))?;
            if let Some(output) =
                plan.outputs().find(|output| options.any_batch && output.dims().first() != Some(&size))
            {
                let message = format!(
                    "an output of shape {output} has no axis of the {size} samples first: compile without `any_batch`"
                );
                return Err(Error::shape("compile", message));
            }
            if let Some(calibration) = &options.calibration {
                calibration.expect(&plan)?;
            }
            if options.precision() != Precision::Exact {
                error = error.max(largest_difference(&plan.run(&inputs)?, &forward(model, &inputs)?)?);
            }
            plans.push((size, plan));
        }
        Ok(InferencePlan { plans, any_batch: options.any_batch, error })
    }

    /// The output for a batch, of a model with one input and one output.
    ///
    /// # Errors
    /// Another shape or dtype than the plan was compiled for; a model with several outputs.
    pub fn run(&self, x: &Tensor) -> Result<Tensor> {
        let mut outputs = self.run_all(std::slice::from_ref(x))?;
        match (outputs.pop(), outputs.is_empty()) {
            (Some(output), true) => Ok(output),
            (_, _) => Err(Error::value("run", "the model has several outputs: use `run_all`")),
        }
    }

    /// The outputs for a batch.
    ///
    /// # Errors
    /// Another number of inputs, other shapes or dtypes than the plan was compiled for.
    pub fn run_all(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        let batch = inputs.first().and_then(|input| input.dims().first().copied()).unwrap_or(0);
        if let Some((_, plan)) = self.plans.iter().find(|&&(size, _)| size == batch) {
            return run(plan, inputs);
        }
        if batch == 0 {
            return Err(Error::shape("run", "a batch of 1 sample or more is expected, got 0"));
        }
        if !self.any_batch {
            return Err(self.unknown_batch(batch));
        }
        if let Some(other) = inputs.iter().find(|input| input.dims().first() != Some(&batch)) {
            let message = format!("all inputs must have one batch size, got {batch} and {}", other.shape());
            return Err(Error::shape("run", message));
        }
        let mut parts: Vec<Vec<Tensor>> = Vec::new();
        let mut first = 0;
        while first < batch {
            let Some((size, plan)) = self.plans.iter().find(|&&(size, _)| size <= batch - first) else {
                return Err(self.unknown_batch(batch));
            };
            let part = inputs.iter().map(|input| input.slice(0, first..first + size)).collect::<Result<Vec<_>>>()?;
            parts.push(run(plan, &part)?);
            first += size;
        }
        let outputs = parts.first().map_or(0, Vec::len);
        let join = |output: usize| Tensor::concat(&parts.iter().map(|part| &part[output]).collect::<Vec<_>>(), 0);
        (0..outputs).map(join).collect()
    }

    #[cold]
    fn unknown_batch(&self, batch: usize) -> Error {
        let sizes: Vec<String> = self.plans.iter().map(|(size, _)| size.to_string()).collect();
        let message = format!(
            "the plan was compiled for batches of {}, got {batch}: compile it with `batches` or `any_batch`",
            sizes.join(", ")
        );
        Error::new(ErrorKind::Shape, "run", message)
    }

    /// The largest difference between the plan's and the model's outputs for the examples, relative to the largest output of the
    /// model. 0 unless the plan is [fast](InferenceOptions::fast) or one of integers.
    pub fn error(&self) -> f64 {
        self.error
    }

    /// Bytes of the memory for values between layers, of all batch sizes together, for each thread that runs the plan at one time.
    pub fn arena_bytes(&self) -> usize {
        self.plans.iter().map(|(_, plan)| plan.arena_bytes()).sum()
    }

    /// Bytes of weights for all batch sizes together: those of the model that are used as they are, which the sizes share, count for
    /// each size.
    pub fn constant_bytes(&self) -> usize {
        self.plans.iter().map(|(_, plan)| plan.constant_bytes()).sum()
    }

    /// The steps for the largest batch that the plan was compiled for.
    pub fn steps(&self) -> Vec<PlanStep> {
        self.plans.first().map(|(_, plan)| plan.steps()).unwrap_or_default()
    }

    /// A table of the steps: layer, kernel, layout, FLOPs and the shortest time of some runs on these inputs.
    ///
    /// # Errors
    /// As [`InferencePlan::run_all`].
    pub fn table(&self, inputs: &[Tensor]) -> Result<String> {
        let batch = inputs.first().and_then(|input| input.dims().first().copied()).unwrap_or(0);
        let Some((_, plan)) = self.plans.iter().find(|&&(size, _)| size == batch) else {
            return Err(self.unknown_batch(batch));
        };
        let steps = plan.steps();
        let times = device(inputs).session(|| plan.time_steps(inputs, 10))?;
        Ok(table(plan, &steps, &times))
    }
}

fn device(inputs: &[Tensor]) -> Device {
    inputs.first().map_or_else(Device::cpu, |input| input.device().clone())
}

fn run(plan: &Plan, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
    if plan.flops() < TEAM { plan.run(inputs) } else { device(inputs).session(|| plan.run(inputs)) }
}

/// The first samples of an example, again and again where it has too few.
fn resized(example: &Tensor, size: usize) -> Result<Tensor> {
    let samples = example.dims().first().copied().unwrap_or(0);
    if samples == 0 {
        return Err(Error::value("compile", "an example of 1 sample or more is expected"));
    }
    if samples >= size {
        return example.slice(0, 0..size);
    }
    let copies = vec![example; size.div_ceil(samples)];
    Tensor::concat(&copies, 0)?.slice(0, 0..size)
}

fn forward(model: &(dyn AnyLayer + '_), inputs: &[Tensor]) -> Result<Vec<Tensor>> {
    let value = match inputs {
        [one] => Value::from(one),
        several => Value::Many(several.iter().map(Value::from).collect()),
    };
    let mut outputs = Vec::new();
    tensors(Ctx::eval().run(model, value)?, &mut outputs)?;
    Ok(outputs)
}

/// As [`forward`], of a model that carries nothing to the next pass.
fn stateless(model: &(dyn AnyLayer + '_), inputs: &[Tensor]) -> Result<Vec<Tensor>> {
    let before = model.carried_states();
    let outputs = forward(model, inputs);
    let carries = !model.carried_states().is_empty();
    model.set_carried_states(&before)?;
    if carries {
        let message = "the model carries states from one batch to the next, which a compiled plan can't do: run it with `forward`";
        return Err(Error::new(ErrorKind::Unsupported, "compile", message));
    }
    outputs
}

fn tensors(value: Value, to: &mut Vec<Tensor>) -> Result<()> {
    match value {
        Value::Many(values) => values.into_iter().try_for_each(|value| tensors(value, to)),
        one => {
            to.push(Var::into_tensor(one.var()?));
            Ok(())
        }
    }
}

/// max |a − b| / max |b| over all outputs.
fn largest_difference(a: &[Tensor], b: &[Tensor]) -> Result<f64> {
    let mut largest = 0.0_f64;
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (a.to_f64_vec()?, b.to_f64_vec()?);
        let scale = b.iter().fold(f64::MIN_POSITIVE, |most, b| most.max(b.abs()));
        largest = a.iter().zip(&b).fold(largest, |most, (a, b)| most.max((a - b).abs() / scale));
    }
    Ok(largest)
}

macro_rules! compiled {
    ($($model:ty),+) => {
        $(
            impl $model {
                /// A plan for inputs (batch, …) of f32 of this shape, with the bits of `forward`: see [`InferencePlan`].
                ///
                /// # Errors
                /// As [`InferencePlan::compile`].
                pub fn compile_for_inference(&self, shape: impl IntoShape) -> Result<InferencePlan> {
                    self.compile_for_inference_with(shape, &InferenceOptions::new())
                }

                /// As [`compile_for_inference`](Self::compile_for_inference), with options: batch sizes, a fast plan.
                ///
                /// # Errors
                /// As [`InferencePlan::compile`].
                pub fn compile_for_inference_with(
                    &self,
                    shape: impl IntoShape,
                    options: &InferenceOptions,
                ) -> Result<InferencePlan> {
                    let parameters = self.parameters();
                    let device = parameters.first().map_or_else(Device::cpu, |(_, first)| first.value().device().clone());
                    let shape = shape.into_shape()?;
                    // Numbers of all signs, so that a fast plan's error says something.
                    let values = (0..shape.elements()).map(|i| ((i as f32) * 0.618_034).fract() * 2.0 - 1.0).collect();
                    let example = Tensor::from_vec(values, shape, &device)?.to_dtype(DType::F32)?;
                    InferencePlan::compile(self, &[example], options)
                }
            }
        )+
    };
}
compiled!(Sequential, Graph);
