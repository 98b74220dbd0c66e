//! An optimizer's step over all its tensors.

mod composed;

use super::{Tensor, check_pair};
use crate::{Call, DType, DeviceBuffer, Error, Ran, Result, View, unsupported_dtype};

/// The update rules of the optimizers; formulas in `kiln_math::update`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum UpdateRule {
    /// Stochastic gradient descent as in PyTorch. One state (velocity) where momentum ≠ 0, else none.
    Sgd {
        /// μ
        momentum: f64,
        /// τ
        dampening: f64,
        /// λ, added to the gradient as λ·p
        weight_decay: f64,
        /// Nesterov's form
        nesterov: bool,
    },
    /// Adam (`decoupled: false`) or AdamW (`decoupled: true`). Two states, the first and second moments.
    Adam {
        /// β₁
        beta1: f64,
        /// β₂
        beta2: f64,
        /// ε, outside the square root
        epsilon: f64,
        /// λ
        weight_decay: f64,
        /// AdamW's decay of the parameter itself
        decoupled: bool,
    },
}

/// One tensor of an optimizer's step. All row-major, the same dtype and number of elements.
#[derive(Clone, Copy, Debug)]
pub struct UpdateSlot {
    /// Parameter, read and written.
    pub parameter: DeviceBuffer,
    /// Elements from the parameter buffer's start.
    pub parameter_offset: usize,
    /// Gradient, read.
    pub gradient: DeviceBuffer,
    /// Elements from the gradient buffer's start.
    pub gradient_offset: usize,
    /// The rule's states, read and written; unused ones have 0 bytes.
    pub states: [DeviceBuffer; 2],
    /// Number of elements.
    pub elements: usize,
    /// f32 or f64.
    pub dtype: DType,
}

/// One step of a rule over all tensors.
#[derive(Clone, Copy, Debug)]
pub struct UpdateCall<'a> {
    /// Which.
    pub rule: UpdateRule,
    /// f64 (2,) in device memory: the learning rate, and the number of this step, from 1.
    pub step: View<'a>,
    /// The tensors; no two share memory.
    pub slots: &'a [UpdateSlot],
}

/// A parameter, its gradient, and the rule's states for it.
pub struct UpdateTensors<'a> {
    /// Read and written.
    pub parameter: &'a mut Tensor,
    /// Read.
    pub gradient: &'a Tensor,
    /// Read and written: velocity, or first and second moment; as many as the rule has.
    pub states: [Option<&'a mut Tensor>; 2],
}

impl UpdateRule {
    /// How many states the rule keeps for each parameter.
    pub fn states(&self) -> usize {
        match self {
            UpdateRule::Sgd { momentum, .. } => usize::from(*momentum != 0.0),
            UpdateRule::Adam { .. } => 2,
        }
    }
}

impl UpdateTensors<'_> {
    fn check(&self, rule: &UpdateRule, device: &Tensor) -> Result<()> {
        check_pair("update", self.parameter, self.gradient)?;
        super::check_device("update", self.parameter, device)?;
        if !matches!(self.parameter.dtype, DType::F32 | DType::F64) {
            return Err(unsupported_dtype("update", self.parameter.dtype, "f32 or f64 parameters"));
        }
        let shape = self.parameter.shape();
        if self.gradient.shape() != shape {
            return Err(Error::shape(
                "update",
                format!("a parameter of {shape} has a gradient of {}", self.gradient.shape()),
            ));
        }
        let mut states = 0;
        for state in self.states.iter().flatten() {
            check_pair("update", self.parameter, state)?;
            if state.shape() != shape {
                return Err(Error::shape("update", format!("a parameter of {shape} has a state of {}", state.shape())));
            }
            states += 1;
        }
        if states != rule.states() {
            return Err(Error::value(
                "update",
                format!("the rule keeps {} states, {states} were given", rule.states()),
            ));
        }
        if self.states[..states].iter().any(Option::is_none) {
            return Err(Error::value("update", "the first state is missing: a rule with one state takes that"));
        }
        Ok(())
    }
}

impl Tensor {
    /// One step of `rule` over all tensors, in one pass. `step`: f64 (2,), the learning rate and the number of this step from
    /// 1, on the same device. Everything is checked before anything changes.
    ///
    /// # Errors
    /// Shapes, dtypes, devices or states that do not fit.
    pub fn update(rule: UpdateRule, step: &Tensor, tensors: &mut [UpdateTensors<'_>]) -> Result<()> {
        step.expect_dtype("update", DType::F64)?;
        if step.dims() != [2] || !step.is_contiguous() {
            return Err(Error::shape("update", format!("a step is (learning rate, number), got {}", step.shape())));
        }
        for tensor in tensors.iter() {
            tensor.check(&rule, step)?;
        }
        // Gradients that are strided are copied; the copies live until the step is queued.
        let mut copies = Vec::new();
        let mut slots = Vec::with_capacity(tensors.len());
        for tensor in tensors.iter_mut() {
            tensor.parameter.own()?;
            let mut states = [DeviceBuffer { address: 0, bytes: 0 }; 2];
            for (to, state) in states.iter_mut().zip(&mut tensor.states) {
                if let Some(state) = state {
                    state.own()?;
                    // States are made whole and never sliced; one that starts inside its buffer is copied out.
                    if state.layout.offset() != 0 {
                        **state = state.copied()?;
                    }
                    *to = state.storage.buffer();
                }
            }
            let (mut gradient, mut gradient_offset) =
                (tensor.gradient.storage.buffer(), tensor.gradient.layout.offset());
            if !tensor.gradient.is_contiguous() {
                let copy = tensor.gradient.copied()?;
                (gradient, gradient_offset) = (copy.storage.buffer(), 0);
                copies.push(copy);
            }
            slots.push(UpdateSlot {
                parameter: tensor.parameter.storage.buffer(),
                parameter_offset: tensor.parameter.layout.offset(),
                gradient,
                gradient_offset,
                states,
                elements: tensor.parameter.elements(),
                dtype: tensor.parameter.dtype,
            });
        }
        let call = UpdateCall { rule, step: step.view(), slots: &slots };
        match step.device().run(&Call::Update(call))? {
            Ran::Done => Ok(()),
            Ran::NotHere => composed::update(rule, step, tensors),
        }
    }
}
