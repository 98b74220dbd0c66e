//! What is kept for each parameter, in the order in which the model shows them.

use crate::group::{Group, Select};
use kiln_autograd::{Gradients, LeafId};
use kiln_nn::{Module, Param, VisitorMut};
use kiln_tensor::{DType, Device, Error, ErrorKind, Result, Tensor};
use std::collections::HashMap;

/// The tensors that go with one parameter, and the settings of its groups.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) path: String,
    /// The parameter seen here in the last step: while the ids agree, so do the paths, and none is built.
    leaf: Option<LeafId>,
    /// By position in the optimizer's names; made when the first gradient comes.
    pub(super) tensors: Vec<Option<Tensor>>,
    /// Which of the rows its settings are.
    pub(super) row: usize,
    pub(super) frozen: bool,
}

impl Slot {
    pub(super) fn new(path: String) -> Self {
        Slot { path, leaf: None, tensors: Vec::new(), row: 0, frozen: false }
    }

    /// The tensor at this position.
    pub(super) fn tensor_mut(&mut self, position: usize) -> &mut Option<Tensor> {
        if self.tensors.len() <= position {
            self.tensors.resize(position + 1, None);
        }
        &mut self.tensors[position]
    }
}

/// Settings that parameters have in common.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Row {
    pub(super) learning_rate_scale: f64,
    /// Where there is none, the optimizer's.
    pub(super) weight_decay: Option<f64>,
}

/// A slot for each parameter.
#[derive(Debug, Default)]
pub(super) struct Slots {
    /// In the order in which the model shows its parameters.
    pub(super) slots: Vec<Slot>,
    /// Of paths that the model does not have now.
    pub(super) parked: Vec<Slot>,
    pub(super) rows: Vec<Row>,
}

/// All parameters of a model, in order, to be changed.
pub(crate) fn gather(model: &mut dyn Module) -> Vec<&mut Param> {
    struct Gather<'m>(Vec<&'m mut Param>);
    impl<'m> VisitorMut<'m> for Gather<'m> {
        fn parameter(&mut self, parameter: &'m mut Param) {
            self.0.push(parameter);
        }
    }
    let mut gather = Gather(Vec::new());
    model.visit_mut(&mut gather);
    gather.0
}

impl Slots {
    /// Whether these are the parameters of the last step in the same order.
    pub(super) fn knows(&self, parameters: &[&mut Param]) -> bool {
        self.slots.len() == parameters.len()
            && self.slots.iter().zip(parameters).all(|(slot, parameter)| slot.leaf == Some(parameter.id()))
    }

    /// After this the groups are looked at again.
    pub(super) fn forget_rows(&mut self) {
        self.parked.append(&mut self.slots);
        self.rows.clear();
    }

    /// Slots in the model's order; each keeps what is known under its path.
    #[cold]
    pub(super) fn assign(&mut self, model: &dyn Module, groups: &[(Select, Group)]) {
        let old = std::mem::take(&mut self.slots).into_iter().chain(std::mem::take(&mut self.parked));
        let mut known: HashMap<String, Slot> = old.map(|slot| (slot.path.clone(), slot)).collect();
        self.rows.clear();
        for (path, parameter) in model.parameters() {
            let matching = groups.iter().filter(|(select, _)| select.matches(&path, parameter.value()));
            let group = matching.fold(Group::new(), |before, (_, group)| group.over(before));
            let row =
                Row { learning_rate_scale: group.learning_rate_scale.unwrap_or(1.0), weight_decay: group.weight_decay };
            let mut slot = known.remove(&path).unwrap_or_else(|| Slot::new(path));
            slot.leaf = Some(parameter.id());
            slot.frozen = group.frozen.unwrap_or(false);
            slot.row = self.rows.iter().position(|known| *known == row).unwrap_or_else(|| {
                self.rows.push(row);
                self.rows.len() - 1
            });
            self.slots.push(slot);
        }
        self.parked = known.into_values().collect();
    }

    /// Checks every gradient against its parameter. Gives the device of the parameters, and for each slot the gradient of its step:
    /// `None` where there is none, or where the parameter is frozen.
    pub(super) fn check<'g>(
        &self,
        parameters: &[&mut Param],
        gradients: &'g Gradients,
    ) -> Result<(Device, Vec<Option<&'g Tensor>>)> {
        let mut device: Option<&Device> = None;
        let (mut given, mut gradient_of) = (Vec::with_capacity(parameters.len()), gradients.lookup());
        for (slot, parameter) in self.slots.iter().zip(parameters) {
            let value = parameter.value();
            let gradient = gradient_of(parameter.id());
            given.push(gradient.filter(|_| !slot.frozen));
            let Some(gradient) = gradient else { continue };
            fits("gradient", gradient, value, &slot.path)?;
            match device {
                None => device = Some(value.device()),
                Some(first) if first == value.device() => {}
                Some(first) => return Err(two_devices(first, value.device(), &slot.path)),
            }
        }
        match device {
            Some(device) => Ok((device.clone(), given)),
            None => Err(no_gradient(parameters.len())),
        }
    }

    /// Checks the states of an elementwise rule, and makes those that are not there yet, or are not of the right type or device.
    pub(super) fn make_states(
        &mut self,
        targets: &[&mut Tensor],
        gradients: &[Option<&Tensor>],
        kept: &[bool],
        dtype: Option<DType>,
    ) -> Result<()> {
        let mut missing = false;
        for ((slot, value), gradient) in self.slots.iter().zip(targets).zip(gradients) {
            for (position, _) in kept.iter().enumerate().filter(|(_, kept)| **kept) {
                match slot.tensors.get(position) {
                    Some(Some(t)) if t.shape() != value.shape() => {
                        return Err(misfit(ErrorKind::Shape, "state", t, value, &slot.path));
                    }
                    Some(Some(t)) => missing |= !is_kind(t, state_dtype(dtype, value), value),
                    _ => missing |= gradient.is_some(),
                }
            }
        }
        if missing { self.make_missing(targets, gradients, kept, dtype) } else { Ok(()) }
    }

    #[cold]
    fn make_missing(
        &mut self,
        targets: &[&mut Tensor],
        gradients: &[Option<&Tensor>],
        kept: &[bool],
        dtype: Option<DType>,
    ) -> Result<()> {
        for ((slot, value), gradient) in self.slots.iter_mut().zip(targets).zip(gradients) {
            if gradient.is_none() {
                continue;
            }
            let dtype = state_dtype(dtype, value);
            for (position, _) in kept.iter().enumerate().filter(|(_, kept)| **kept) {
                let tensor = slot.tensor_mut(position);
                match tensor {
                    None => *tensor = Some(Tensor::zeros(value.shape(), dtype, value.device())?),
                    Some(t) if !is_kind(t, dtype, value) => *t = t.to_dtype(dtype)?.to_device(value.device())?,
                    Some(_) => {}
                }
            }
        }
        Ok(())
    }
}

/// The type of a parameter's states, where this one was asked for.
#[inline]
fn state_dtype(asked: Option<DType>, parameter: &Tensor) -> DType {
    match asked {
        Some(dtype) if parameter.dtype() != DType::F64 => dtype,
        _ => parameter.dtype().computed_in(),
    }
}

/// Whether a state is of this type and on its parameter's device.
#[inline]
fn is_kind(state: &Tensor, dtype: DType, parameter: &Tensor) -> bool {
    state.dtype() == dtype && state.device() == parameter.device()
}

/// Whether a tensor goes with its parameter: of its shape, on its device, of a float type that is computed in the same one.
#[inline]
fn fits(what: &str, tensor: &Tensor, parameter: &Tensor, path: &str) -> Result<()> {
    let (dtype, of_parameter) = (tensor.dtype(), parameter.dtype());
    let kind = if tensor.shape() != parameter.shape() {
        ErrorKind::Shape
    } else if dtype != of_parameter && (!dtype.is_float() || dtype.computed_in() != of_parameter.computed_in()) {
        ErrorKind::DType
    } else if tensor.device() != parameter.device() {
        ErrorKind::Device
    } else {
        return Ok(());
    };
    Err(misfit(kind, what, tensor, parameter, path))
}

#[cold]
fn misfit(kind: ErrorKind, what: &str, tensor: &Tensor, parameter: &Tensor, path: &str) -> Error {
    let show = |t: &Tensor| format!("{} {} on {}", t.dtype(), t.shape(), t.device());
    Error::new(
        kind,
        "optimizer.step",
        format!("the {what} of {path} is {}, the parameter {}; nothing was changed", show(tensor), show(parameter)),
    )
}

#[cold]
fn two_devices(first: &Device, second: &Device, path: &str) -> Error {
    Error::new(
        ErrorKind::Device,
        "optimizer.step",
        format!(
            "{path} is on {second}, parameters before it on {first}; move the model to one device with `to_device`"
        ),
    )
}

#[cold]
fn no_gradient(parameters: usize) -> Error {
    Error::value(
        "optimizer.step",
        format!(
            "none of the model's {parameters} parameters has a gradient here: are these the gradients of another model, \
             or were all parameters frozen?"
        ),
    )
}
