//! What every optimizer remembers, and its step over all parameters.

mod dict;
mod moves;
mod slots;
mod whole;

pub(crate) use moves::Move;
pub(crate) use slots::gather;
pub(crate) use whole::After;
pub use whole::Whole;

use crate::check::not_negative;
use crate::group::{Group, Select};
use crate::schedule::Schedule;
use kiln_autograd::Gradients;
use kiln_math::update::{CONSTANTS, Constants, Listed, MAX_STATES, Step};
use kiln_nn::{Module, Param, PathPattern};
use kiln_tensor::profile::{Phase, enter};
use kiln_tensor::{DType, Device, Element, Error, Result, Tensor, UpdateTensors};
use slots::{Row, Slots};
use std::fmt;

/// What all optimizers have: learning rate, number of steps, groups, schedule, and the tensors that are kept for each parameter.
pub struct State {
    learning_rate: f64,
    weight_decay: f64,
    count: u64,
    /// PyTorch's names of the tensors that are kept for a parameter.
    names: &'static [&'static str],
    /// The type of those, where it is not the one that is computed in.
    state_dtype: Option<DType>,
    groups: Vec<(Select, Group)>,
    schedule: Option<Box<dyn Schedule>>,
    slots: Slots,
    /// The constants of a step in device memory, where the kernels read them: in f32 and in f64.
    constants: [Option<Tensor>; 2],
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("learning_rate", &self.learning_rate)
            .field("weight_decay", &self.weight_decay)
            .field("count", &self.count)
            .field("groups", &self.groups)
            .field("schedule", &self.schedule.as_ref().map(|schedule| schedule.name()))
            .finish_non_exhaustive()
    }
}

impl State {
    /// The state before the first step, of an optimizer that keeps tensors of these names for each parameter.
    pub fn new(learning_rate: f64, names: &'static [&'static str]) -> Self {
        State {
            learning_rate,
            weight_decay: 0.0,
            count: 0,
            names,
            state_dtype: None,
            groups: Vec::new(),
            schedule: None,
            slots: Slots::default(),
            constants: [None, None],
        }
    }

    pub(crate) fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    pub(crate) fn set_learning_rate(&mut self, learning_rate: f64) {
        self.learning_rate = learning_rate;
    }

    pub(crate) fn scheduled_learning_rate(&self) -> f64 {
        self.learning_rate * self.schedule.as_ref().map_or(1.0, |schedule| schedule.at(self.count))
    }

    pub(crate) fn steps(&self) -> u64 {
        self.count
    }

    /// Sets λ, the weight decay of the parameters whose group has none of its own.
    pub fn set_weight_decay(&mut self, weight_decay: f64) {
        self.weight_decay = weight_decay;
    }

    pub(crate) fn set_state_dtype(&mut self, dtype: DType) {
        self.state_dtype = Some(dtype);
    }

    pub(crate) fn set_group(&mut self, pattern: PathPattern, group: Group) {
        let select = Select::Paths(pattern);
        match self.groups.iter_mut().find(|(known, _)| *known == select) {
            Some((_, known)) => *known = group,
            None => self.groups.push((select, group)),
        }
        self.slots.forget_rows();
    }

    pub(crate) fn no_decay_on_vectors(&mut self) {
        self.groups.push((Select::Vectors, Group::new().weight_decay(0.0)));
        self.slots.forget_rows();
    }

    pub(crate) fn set_schedule(&mut self, schedule: Box<dyn Schedule>) {
        self.schedule = Some(schedule);
        self.slots.forget_rows();
    }

    /// What the learning rate of a parameter with this path is multiplied by: 0 where it is frozen.
    pub(crate) fn learning_rate_scale(&self, path: &str) -> f64 {
        let own =
            self.groups.iter().filter(|(select, _)| matches!(select, Select::Paths(pattern) if pattern.matches(path)));
        let group = own.fold(Group::new(), |before, (_, group)| group.over(before));
        if group.frozen == Some(true) { 0.0 } else { group.learning_rate_scale.unwrap_or(1.0) }
    }

    /// Checks all that does not change from step to step: the settings of the optimizer, of its groups and of its schedule, and that
    /// each group's pattern matches a parameter.
    pub(crate) fn check(&self, model: &dyn Module) -> Result<()> {
        if let Some(schedule) = &self.schedule {
            schedule.check()?;
        }
        self.check_settings()?;
        let parameters = model.parameters();
        self.groups.iter().try_for_each(|(select, _)| match select {
            Select::Paths(pattern) => {
                pattern.expect_any("optimizer.step", parameters.iter().map(|(path, _)| path.as_str()))
            }
            Select::Vectors => Ok(()),
        })
    }

    /// Checks the settings that may change with each step.
    fn check_settings(&self) -> Result<()> {
        not_negative("learning rate", self.learning_rate)?;
        not_negative("weight decay", self.weight_decay)?;
        not_negative("scheduled learning rate", self.scheduled_learning_rate())?;
        self.groups.iter().try_for_each(|(_, group)| group.check())?;
        if let Some(dtype) = self.state_dtype.filter(|dtype| !dtype.is_float() || dtype.computed_in() != DType::F32) {
            return Err(Error::value("optimizer.step", format!("states of {dtype}: f32, f16 or bf16 is expected")));
        }
        Ok(())
    }

    /// What the next step of the parameters of a row goes by.
    fn of_row(&self, row: Row, smallest: f64) -> Step {
        Step {
            learning_rate: self.scheduled_learning_rate() * row.learning_rate_scale,
            weight_decay: row.weight_decay.unwrap_or(self.weight_decay),
            number: (self.count + 1) as f64,
            smallest,
        }
    }

    /// Checks a step, and makes it; then it counts.
    fn stepping(
        &mut self,
        model: &mut dyn Module,
        gradients: &Gradients,
        step: impl FnOnce(&mut Self, Vec<&mut Param>, &Device, Vec<Option<&Tensor>>) -> Result<()>,
    ) -> Result<()> {
        self.with_parameters(model, gradients, step)?;
        self.count += 1;
        Ok(())
    }

    /// Checks a step. Then `f` is given the parameters, their device, and for each of them its gradient, where it has one and is not
    /// frozen.
    fn with_parameters<T>(
        &mut self,
        model: &mut dyn Module,
        gradients: &Gradients,
        f: impl FnOnce(&mut Self, Vec<&mut Param>, &Device, Vec<Option<&Tensor>>) -> Result<T>,
    ) -> Result<T> {
        let _step = enter(Phase::Optimizer, "optimizer");
        let mut parameters = gather(model);
        if self.slots.knows(&parameters) {
            self.check_settings()?;
        } else {
            self.check(model)?;
            self.slots.assign(model, &self.groups);
            parameters = gather(model);
        }
        let (device, gradients) = self.slots.check(&parameters, gradients)?;
        f(self, parameters, &device, gradients)
    }

    /// One step of an elementwise rule.
    pub(crate) fn step<R: Listed>(
        &mut self,
        rule: &R,
        model: &mut dyn Module,
        gradients: &Gradients,
        apply: Option<&Tensor>,
    ) -> Result<()> {
        self.stepping(model, gradients, |state, mut parameters, device, gradients| {
            let own = |step: &Step| rule.constants(step);
            state.update(rule, &own, parameters.iter_mut().map(|p| p.value_mut()).collect(), device, &gradients, apply)
        })
    }

    /// Runs an elementwise rule, with these constants of a step: what it writes in the place of each parameter is its target.
    fn update<R: Listed>(
        &mut self,
        rule: &R,
        constants: &dyn Fn(&Step) -> Constants<f64>,
        targets: Vec<&mut Tensor>,
        device: &Device,
        gradients: &[Option<&Tensor>],
        apply: Option<&Tensor>,
    ) -> Result<()> {
        let kept = rule.keeps();
        self.slots.make_states(&targets, gradients, &kept[..R::STATES.len()], self.state_dtype)?;
        let uploaded = [DType::F32, DType::F64].map(|dtype| {
            let computed = |target: &&mut Tensor| target.dtype().computed_in() == dtype;
            targets.iter().any(computed).then(|| self.upload(constants, dtype, device)).transpose()
        });
        let [single, double] = uploaded;
        let constants = [single?, double?];

        let mut tensors = [Vec::with_capacity(targets.len()), Vec::new()];
        for ((slot, target), gradient) in self.slots.slots.iter_mut().zip(targets).zip(gradients) {
            let Some(gradient) = *gradient else { continue };
            let mut states = [const { None }; MAX_STATES];
            let kept = slot.tensors.iter_mut().zip(kept);
            states.iter_mut().zip(kept).for_each(|(to, (tensor, kept))| *to = tensor.as_mut().filter(|_| kept));
            let double = usize::from(target.dtype() == DType::F64);
            tensors[double].push(UpdateTensors { parameter: target, gradient, states, row: slot.row });
        }
        for (constants, tensors) in constants.iter().zip(&mut tensors) {
            if let Some(constants) = constants.as_ref().filter(|_| !tensors.is_empty()) {
                Tensor::update(R::RULE, constants, apply, tensors)?;
            }
        }
        self.constants = constants;
        Ok(())
    }

    /// The constants of the next step in the device's memory: written over the last step's, so that a recorded sequence of launches
    /// finds them at the same place.
    fn upload(&mut self, constants: &dyn Fn(&Step) -> Constants<f64>, dtype: DType, device: &Device) -> Result<Tensor> {
        let of_row = |row: &Row| constants(&self.of_row(*row, dtype.smallest_normal()));
        let rows: Vec<Constants<f64>> = self.slots.rows.iter().map(of_row).collect();
        let old = self.constants[usize::from(dtype == DType::F64)].take();
        let old = old.filter(|old| old.device() == device && old.dims()[0] == rows.len());
        if dtype == DType::F64 {
            return written(old, rows.as_flattened(), device);
        }
        let rounded: Vec<f32> = rows.as_flattened().iter().map(|&constant| constant as f32).collect();
        written(old, &rounded, device)
    }
}

/// Rows of constants in a tensor, the old one where there is one.
fn written<T: Element>(old: Option<Tensor>, rows: &[T], device: &Device) -> Result<Tensor> {
    match old {
        Some(mut tensor) => {
            tensor.upload(rows)?;
            Ok(tensor)
        }
        None => Tensor::from_slice(rows, [rows.len() / CONSTANTS, CONSTANTS], device),
    }
}
