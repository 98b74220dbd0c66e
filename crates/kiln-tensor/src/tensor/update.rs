//! An optimizer's step over all its tensors.

mod composed;

use super::{Tensor, check_device};
use crate::{Call, DType, DeviceBuffer, Error, Ran, Result, View, unsupported_dtype};
use kiln_math::UpdateRule;
use kiln_math::update::{CONSTANTS, MAX_STATES};

/// Row-major elements of a tensor of an optimizer's step.
#[derive(Clone, Copy, Debug)]
pub struct UpdatePart {
    /// The memory.
    pub buffer: DeviceBuffer,
    /// Elements from the buffer's start.
    pub offset: usize,
    /// Where all that belongs to a parameter is f64, f64; else f32, f16 or bf16.
    pub dtype: DType,
}

/// One parameter of an optimizer's step, and what belongs to it: all of as many elements.
#[derive(Clone, Copy, Debug)]
pub struct UpdateSlot {
    /// Read and written.
    pub parameter: UpdatePart,
    /// Read.
    pub gradient: UpdatePart,
    /// The rule's states, read and written. One that is not there is 0.
    pub states: [Option<UpdatePart>; MAX_STATES],
    /// Number of elements.
    pub elements: usize,
    /// Which row of the constants is its.
    pub row: usize,
}

/// One step of a rule over all tensors.
#[derive(Clone, Copy, Debug)]
pub struct UpdateCall<'a> {
    /// Which.
    pub rule: UpdateRule,
    /// (rows, [`CONSTANTS`]), contiguous, of the type that is computed in, f32 or f64: the rule's constants at this step, a row for each
    /// group of parameters.
    pub constants: View<'a>,
    /// One bool: whether the step is made. If not, nothing is written.
    pub apply: Option<View<'a>>,
    /// The tensors; no two share memory.
    pub slots: &'a [UpdateSlot],
}

/// A parameter, its gradient, and the rule's states for it.
pub struct UpdateTensors<'a> {
    /// Read and written.
    pub parameter: &'a mut Tensor,
    /// Read.
    pub gradient: &'a Tensor,
    /// Read and written: in the order of [`UpdateRule::states`], those that the rule's settings keep.
    pub states: [Option<&'a mut Tensor>; MAX_STATES],
    /// Which row of the constants is its.
    pub row: usize,
}

impl UpdateTensors<'_> {
    fn check(&self, rule: UpdateRule, constants: &Tensor) -> Result<()> {
        let rows = constants.dims()[0];
        computable("a parameter", self.parameter, constants)?;
        self.belongs("a gradient", self.gradient, constants)?;
        for state in self.states.iter().flatten() {
            self.belongs("a state", state, constants)?;
        }
        let (always, names) = (rule.always(), rule.states());
        if self.states[..always].iter().any(Option::is_none) || self.states[names.len()..].iter().any(Option::is_some) {
            return Err(Error::value(
                "update",
                format!("the states of {} are {names:?}, of which the first {always} are always kept", rule.name()),
            ));
        }
        if self.row >= rows {
            return Err(Error::value("update", format!("row {} of the constants, there are {rows}", self.row)));
        }
        Ok(())
    }

    /// A gradient or a state of the parameter.
    #[inline]
    fn belongs(&self, what: &str, tensor: &Tensor, constants: &Tensor) -> Result<()> {
        computable(what, tensor, constants)?;
        let shape = self.parameter.shape();
        if tensor.shape() == shape {
            return Ok(());
        }
        Err(Error::shape("update", format!("a parameter of {shape} has {what} of {}", tensor.shape())))
    }
}

/// A tensor on the constants' device that is computed in their type.
#[inline]
fn computable(what: &str, tensor: &Tensor, constants: &Tensor) -> Result<()> {
    check_device("update", tensor, constants)?;
    if tensor.dtype.is_float() && tensor.dtype.computed_in() == constants.dtype {
        return Ok(());
    }
    Err(mixed_dtypes(what, tensor.dtype, constants.dtype))
}

impl Tensor {
    /// One step of `rule` over all tensors, in one pass.
    ///
    /// `constants` is (rows, [`CONSTANTS`]) on the tensors' device, what [`Rule::constants`](kiln_math::update::Rule::constants) gives for
    /// the step, one row for each group of parameters. Its dtype is the one that is computed in: f64 for parameters, gradients
    /// and states that are f64; f32 for those that are f32, f16 or bf16, which may differ. What is written is rounded once.
    ///
    /// `apply` is one bool on the same device: where it is false, nothing is written. It is read there, so that no step waits
    /// for it. Everything is checked before anything changes.
    ///
    /// # Errors
    /// Shapes, dtypes, devices or states that do not fit.
    pub fn update(
        rule: UpdateRule,
        constants: &Tensor,
        apply: Option<&Tensor>,
        tensors: &mut [UpdateTensors<'_>],
    ) -> Result<()> {
        check_step(constants, apply)?;
        for tensor in tensors.iter() {
            tensor.check(rule, constants)?;
        }
        // Gradients that are strided are copied; the copies live until the step is queued.
        let mut copies = Vec::new();
        let mut slots = Vec::with_capacity(tensors.len());
        for tensor in tensors.iter_mut() {
            tensor.own()?;
            let gradient = tensor.gradient_part(&mut copies)?;
            slots.push(tensor.slot(gradient));
        }
        let apply_view = apply.map(Tensor::view);
        let call = UpdateCall { rule, constants: constants.view(), apply: apply_view, slots: &slots };
        match constants.device().run(&Call::Update(call))? {
            Ran::Done => Ok(()),
            Ran::NotHere => composed::update(rule, constants, apply, tensors),
        }
    }

    /// Where the elements of a contiguous tensor lie.
    #[inline]
    fn update_part(&self) -> UpdatePart {
        UpdatePart { buffer: self.storage.buffer(), offset: self.layout.offset(), dtype: self.dtype }
    }
}

impl UpdateTensors<'_> {
    /// Brings the parameter and its states into memory that nothing else is in.
    #[inline]
    fn own(&mut self) -> Result<()> {
        self.parameter.own()?;
        self.states.iter_mut().flatten().try_for_each(|state| state.own())
    }

    /// Where the gradient's elements lie: it is copied where it is strided.
    #[inline]
    fn gradient_part(&self, copies: &mut Vec<Tensor>) -> Result<UpdatePart> {
        if self.gradient.is_contiguous() {
            return Ok(self.gradient.update_part());
        }
        let copy = self.gradient.copied()?;
        let part = copy.update_part();
        copies.push(copy);
        Ok(part)
    }

    /// Where all elements lie.
    #[inline]
    fn slot(&self, gradient: UpdatePart) -> UpdateSlot {
        UpdateSlot {
            parameter: self.parameter.update_part(),
            gradient,
            states: self.states.each_ref().map(|state| state.as_ref().map(|state| state.update_part())),
            elements: self.parameter.elements(),
            row: self.row,
        }
    }
}

fn check_step(constants: &Tensor, apply: Option<&Tensor>) -> Result<()> {
    if !matches!(constants.dtype, DType::F32 | DType::F64) {
        return Err(unsupported_dtype("update", constants.dtype, "f32 or f64 constants"));
    }
    if constants.rank() != 2 || constants.dims()[1] != CONSTANTS || !constants.is_contiguous() {
        return Err(Error::shape(
            "update",
            format!("constants are (rows, {CONSTANTS}), contiguous, got {}", constants.shape()),
        ));
    }
    let (rows, most) = (constants.dims()[0], kiln_cpu::update::MAX_ROWS);
    if rows > most {
        return Err(Error::value("update", format!("{rows} rows of constants: at most {most}")));
    }
    if let Some(apply) = apply {
        apply.expect_dtype("update", DType::Bool)?;
        check_device("update", apply, constants)?;
        if apply.elements() != 1 {
            return Err(Error::shape("update", format!("whether to apply a step is one bool, got {}", apply.shape())));
        }
    }
    Ok(())
}

#[cold]
fn mixed_dtypes(what: &str, found: DType, computed: DType) -> Error {
    let takes = if computed == DType::F64 { "f64" } else { "f32, f16 or bf16" };
    Error::new(
        crate::ErrorKind::DType,
        "update",
        format!(
            "{what} is {found}, {takes} is expected of a step that is computed in {computed}: convert with `to_dtype`"
        ),
    )
}
