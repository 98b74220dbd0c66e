//! The state of an optimizer as tensors by name.

use super::State;
use super::slots::{Slot, Slots};
use crate::group::Group;
use crate::schedule::load;
use kiln_nn::StateDict;
use kiln_tensor::{Device, Error, ErrorKind, Result, Tensor};
use std::collections::HashMap;

/// What a state dict holds, told apart.
struct Parts {
    count: u64,
    learning_rate: f64,
    groups: Vec<Group>,
    schedule: StateDict,
    slots: Vec<Slot>,
}

fn text(text: &str) -> Result<Tensor> {
    Tensor::from_slice(text.as_bytes(), [text.len()], &Device::cpu())
}

impl State {
    /// The entries of an optimizer of this name: see [`Optimizer`](crate::Optimizer).
    ///
    /// # Errors
    /// Out of memory.
    pub fn state_dict(&self, name: &str) -> Result<StateDict> {
        let cpu = Device::cpu();
        let mut state = StateDict::new();
        state.insert("optimizer".into(), text(name)?);
        state.insert("step".into(), Tensor::scalar(self.count as i64, &cpu)?);
        state.insert("learning_rate".into(), Tensor::scalar(self.learning_rate, &cpu)?);
        for (at, (select, group)) in self.groups.iter().enumerate() {
            state.insert(format!("group.{at}.{}", select.name()), group.to_tensor()?);
        }
        if let Some(schedule) = &self.schedule {
            state.insert("schedule".into(), text(&schedule.name())?);
            let own = schedule.stateful().map(|schedule| schedule.state_dict()).transpose()?.unwrap_or_default();
            state.extend(own.into_iter().map(|(key, value)| (format!("schedule.{key}"), value)));
        }
        for slot in self.slots.slots.iter().chain(&self.slots.parked) {
            for (name, tensor) in self.names.iter().zip(&slot.tensors) {
                if let Some(tensor) = tensor {
                    state.insert(format!("state.{}.{name}", slot.path), tensor.clone());
                }
            }
        }
        Ok(state)
    }

    /// Takes over the entries of an optimizer of this name; that the tensors fit the model is checked by the next step, before it
    /// changes anything.
    ///
    /// # Errors
    /// Entries that are missing, or those of another optimizer, other groups or another schedule. Nothing is changed then.
    pub fn load_state_dict(&mut self, name: &str, state: &StateDict) -> Result<()> {
        self.expect_text("optimizer", Some(name), state)?;
        let schedule = self.schedule.as_ref().map(|schedule| schedule.name());
        self.expect_text("schedule", schedule.as_deref(), state)?;
        let parts = self.parts(name, state)?;
        if let Some(schedule) = &mut self.schedule {
            load(schedule, &parts.schedule)?;
        }
        self.groups.iter_mut().zip(parts.groups).for_each(|((_, group), loaded)| *group = loaded);
        self.slots = Slots { parked: parts.slots, ..Slots::default() };
        self.count = parts.count;
        self.learning_rate = parts.learning_rate;
        Ok(())
    }

    /// Refuses a state that is that of another optimizer or schedule.
    fn expect_text(&self, what: &str, expected: Option<&str>, state: &StateDict) -> Result<()> {
        let found = match state.get(what) {
            Some(found) => Some(String::from_utf8_lossy(&found.to_vec::<u8>()?).into_owned()),
            None => None,
        };
        if found.as_deref() == expected {
            return Ok(());
        }
        let of = |name: Option<&str>| name.map_or_else(|| format!("no {what}"), |name| format!("the {what} {name}"));
        Err(foreign(format!("the state is that of {}, not of {}", of(found.as_deref()), of(expected))))
    }

    fn parts(&self, name: &str, state: &StateDict) -> Result<Parts> {
        let scalar = |key: &str| match state.get(key) {
            Some(value) => value.item(),
            None => Err(foreign(format!("`{key}` is missing in the state of {name}"))),
        };
        let (count, learning_rate) = (scalar("step")?, scalar("learning_rate")?);
        if !(count >= 0.0 && count.fract() == 0.0) {
            return Err(foreign(format!("`step` is {count} in the state of {name}")));
        }
        let (mut slots, mut schedule, mut groups) = (HashMap::new(), StateDict::new(), self.groups.clone());
        let mut seen = 0;
        for (key, tensor) in state {
            if let Some(key) = key.strip_prefix("schedule.") {
                schedule.insert(key.into(), tensor.clone());
            } else if let Some(rest) = key.strip_prefix("group.") {
                let position = (0..groups.len()).find(|at| rest == format!("{at}.{}", groups[*at].0.name()));
                let (Some(position), Some(group)) = (position, Group::of_tensor(tensor)) else {
                    return Err(foreign(format!(
                        "the state of {name} has a group `{key}`, which this optimizer does not have"
                    )));
                };
                groups[position].1 = group;
                seen += 1;
            } else if let Some(rest) = key.strip_prefix("state.") {
                self.tensor(&mut slots, rest, tensor)?;
            } else if !["optimizer", "schedule", "step", "learning_rate"].contains(&key.as_str()) {
                return Err(foreign(format!("`{key}` is not an entry of an optimizer's state")));
            }
        }
        if seen != groups.len() {
            return Err(foreign(format!("the state of {name} has {seen} groups, this optimizer {}", groups.len())));
        }
        let groups = groups.into_iter().map(|(_, group)| group).collect();
        Ok(Parts { count: count as u64, learning_rate, groups, schedule, slots: slots.into_values().collect() })
    }

    /// Files a tensor `PATH.NAME`.
    fn tensor(&self, slots: &mut HashMap<String, Slot>, key: &str, tensor: &Tensor) -> Result<()> {
        let found = key
            .rsplit_once('.')
            .and_then(|(path, name)| Some((path, self.names.iter().position(|known| *known == name)?)));
        let Some((path, position)) = found else {
            return Err(foreign(format!("`state.{key}` is not among `state.PATH.{{{}}}`", self.names.join(", "))));
        };
        if !tensor.dtype().is_float() {
            return Err(foreign(format!("`state.{key}` is of {}", tensor.dtype())));
        }
        let slot = slots.entry(path.to_owned()).or_insert_with(|| Slot::new(path.to_owned()));
        *slot.tensor_mut(position) = Some(tensor.clone());
        Ok(())
    }
}

#[cold]
fn foreign(why: String) -> Error {
    Error::new(ErrorKind::Format, "optimizer.load_state_dict", format!("{why}; nothing was changed"))
}
