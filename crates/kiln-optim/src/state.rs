//! What an optimizer remembers, and its step over all parameters.

use crate::check::not_negative;
use kiln_autograd::{Gradients, LeafId};
use kiln_nn::{Module, Param, StateDict, VisitorMut};
use kiln_tensor::{Device, Error, ErrorKind, Result, Tensor, UpdateRule, UpdateTensors};
use std::collections::HashMap;

/// The tensors that go with one parameter.
#[derive(Debug)]
struct Slot {
    path: String,
    /// The parameter seen here in the last step: while the ids agree, so do the paths, and none is built.
    leaf: Option<LeafId>,
    /// Made when the first gradient comes.
    tensors: [Option<Tensor>; 2],
}

/// Learning rate, number of steps, and a slot for each parameter.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) learning_rate: f64,
    count: u64,
    /// PyTorch's names of the tensors in a slot.
    names: &'static [&'static str],
    /// In the order in which the model shows its parameters.
    slots: Vec<Slot>,
    /// Of paths that the model does not have now.
    parked: Vec<Slot>,
    /// (learning rate, number of the step) in device memory, where the kernels read them.
    values: Option<Tensor>,
}

/// All parameters of a model, in order, to be changed.
fn gather(model: &mut dyn Module) -> Vec<&mut Param> {
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

impl State {
    pub(crate) fn new(learning_rate: f64, names: &'static [&'static str]) -> Self {
        State { learning_rate, count: 0, names, slots: Vec::new(), parked: Vec::new(), values: None }
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn step(&mut self, rule: UpdateRule, model: &mut dyn Module, gradients: &Gradients) -> Result<()> {
        not_negative("learning rate", self.learning_rate)?;
        let mut parameters = gather(model);
        if !self.knows(&parameters) {
            drop(parameters);
            self.assign_slots(model);
            parameters = gather(model);
        }
        let device = self.prepare(&parameters, gradients)?;
        let next = self.count + 1;
        let values = self.upload(&device, [self.learning_rate, next as f64])?;

        let mut tensors = Vec::with_capacity(parameters.len());
        for (slot, parameter) in self.slots.iter_mut().zip(parameters) {
            if let Some(gradient) = gradients.get(parameter.id()) {
                let states = slot.tensors.each_mut().map(Option::as_mut);
                tensors.push(UpdateTensors { parameter: parameter.value_mut(), gradient, states });
            }
        }
        Tensor::update(rule, &values, &mut tensors)?;
        self.values = Some(values);
        self.count = next;
        Ok(())
    }

    /// Whether these are the parameters of the last step in the same order.
    fn knows(&self, parameters: &[&mut Param]) -> bool {
        self.slots.len() == parameters.len()
            && self.slots.iter().zip(parameters).all(|(slot, parameter)| slot.leaf == Some(parameter.id()))
    }

    /// Slots in the model's order; each keeps what is known under its path.
    #[cold]
    fn assign_slots(&mut self, model: &dyn Module) {
        let old = std::mem::take(&mut self.slots).into_iter().chain(std::mem::take(&mut self.parked));
        let mut known: HashMap<String, Slot> = old.map(|slot| (slot.path.clone(), slot)).collect();
        for (path, parameter) in model.parameters() {
            let mut slot = known.remove(&path).unwrap_or(Slot { path, leaf: None, tensors: [None, None] });
            slot.leaf = Some(parameter.id());
            self.slots.push(slot);
        }
        self.parked = known.into_values().collect();
    }

    /// Checks every gradient and state against its parameter, and makes the states that are not there yet. Gives the
    /// device of the parameters.
    fn prepare(&mut self, parameters: &[&mut Param], gradients: &Gradients) -> Result<Device> {
        let mut device: Option<&Device> = None;
        for (slot, parameter) in self.slots.iter_mut().zip(parameters) {
            let value = parameter.value();
            let Some(gradient) = gradients.get(parameter.id()) else { continue };
            same_kind("gradient", gradient, value, &slot.path)?;
            for tensor in slot.tensors.iter().flatten() {
                same_shape("state", tensor, value, &slot.path)?;
            }
            match device {
                None => device = Some(value.device()),
                Some(first) if first == value.device() => {}
                Some(first) => return Err(two_devices(first, value.device(), &slot.path)),
            }
        }
        let Some(device) = device.cloned() else { return Err(no_gradient(parameters.len())) };
        for (slot, parameter) in self.slots.iter_mut().zip(parameters) {
            if gradients.get(parameter.id()).is_some() {
                for tensor in &mut slot.tensors[..self.names.len()] {
                    let value = parameter.value();
                    match tensor {
                        None => *tensor = Some(Tensor::zeros(value.shape(), value.dtype(), value.device())?),
                        Some(t) if t.dtype() != value.dtype() || t.device() != value.device() => {
                            *t = t.to_dtype(value.dtype())?.to_device(value.device())?;
                        }
                        Some(_) => {}
                    }
                }
            }
        }
        Ok(device)
    }

    /// The step's values in the device's memory: written over the last step's, so that a recorded sequence of launches finds
    /// them at the same place.
    fn upload(&mut self, device: &Device, values: [f64; 2]) -> Result<Tensor> {
        match self.values.take() {
            Some(mut tensor) if tensor.device() == device => {
                tensor.upload(&values)?;
                Ok(tensor)
            }
            _ => Tensor::from_slice(&values, [2], device),
        }
    }

    pub(crate) fn state_dict(&self) -> Result<StateDict> {
        let cpu = Device::cpu();
        let mut state = StateDict::new();
        state.insert("step".into(), Tensor::scalar(self.count as i64, &cpu)?);
        state.insert("learning_rate".into(), Tensor::scalar(self.learning_rate, &cpu)?);
        for slot in self.slots.iter().chain(&self.parked) {
            for (name, tensor) in self.names.iter().zip(&slot.tensors) {
                if let Some(tensor) = tensor {
                    state.insert(format!("state.{}.{name}", slot.path), tensor.clone());
                }
            }
        }
        Ok(state)
    }

    pub(crate) fn load_state_dict(&mut self, state: &StateDict) -> Result<()> {
        let scalar = |name: &str| match state.get(name) {
            Some(value) => value.item(),
            None => Err(foreign(format!("`{name}` is missing"))),
        };
        let (count, learning_rate) = (scalar("step")?, scalar("learning_rate")?);
        if !(count >= 0.0 && count.fract() == 0.0) {
            return Err(foreign(format!("`step` is {count}")));
        }
        let mut slots: HashMap<&str, Slot> = HashMap::new();
        for (key, tensor) in state {
            if key == "step" || key == "learning_rate" {
                continue;
            }
            let found = key
                .strip_prefix("state.")
                .and_then(|rest| rest.rsplit_once('.'))
                .and_then(|(path, name)| Some((path, self.names.iter().position(|known| *known == name)?)));
            let Some((path, position)) = found else {
                return Err(foreign(format!("`{key}` is not among `state.PATH.{{{}}}`", self.names.join(", "))));
            };
            if !tensor.dtype().is_float() {
                return Err(foreign(format!("`{key}` is of {}", tensor.dtype())));
            }
            let slot =
                slots.entry(path).or_insert_with(|| Slot { path: path.into(), leaf: None, tensors: [None, None] });
            slot.tensors[position] = Some(tensor.clone());
        }
        self.slots.clear();
        self.parked = slots.into_values().collect();
        self.count = count as u64;
        self.learning_rate = learning_rate;
        Ok(())
    }
}

#[inline]
fn same_kind(what: &str, tensor: &Tensor, parameter: &Tensor, path: &str) -> Result<()> {
    same_shape(what, tensor, parameter, path)?;
    if tensor.dtype() == parameter.dtype() && tensor.device() == parameter.device() {
        return Ok(());
    }
    let kind = if tensor.dtype() == parameter.dtype() { ErrorKind::Device } else { ErrorKind::DType };
    Err(misfit(kind, what, tensor, parameter, path))
}

#[inline]
fn same_shape(what: &str, tensor: &Tensor, parameter: &Tensor, path: &str) -> Result<()> {
    if tensor.shape() == parameter.shape() {
        return Ok(());
    }
    Err(misfit(ErrorKind::Shape, what, tensor, parameter, path))
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

#[cold]
fn foreign(why: String) -> Error {
    Error::new(
        ErrorKind::Format,
        "optimizer.load_state_dict",
        format!("{why}: this is not the state of such an optimizer; nothing was changed"),
    )
}
