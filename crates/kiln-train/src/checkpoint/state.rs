//! What `Checkpoint` remembers.

use super::{Best, Checkpoint};
use crate::callbacks::foreign;
use kiln_nn::{StateDict, Stateful};
use kiln_tensor::{Device, Result, Tensor};

impl Stateful for Checkpoint<'_> {
    /// Once there is one, `best`, `best_epoch`, `best_generation` and the number's name in bytes, `monitor`.
    fn state_dict(&self) -> Result<StateDict> {
        let cpu = Device::cpu();
        let mut state = StateDict::new();
        if let Some(Best { monitor, value, epoch, generation }) = &self.best {
            state.insert("monitor".to_owned(), Tensor::from_slice(monitor.as_bytes(), [monitor.len()], &cpu)?);
            state.insert("best".to_owned(), Tensor::scalar(*value, &cpu)?);
            state.insert("best_epoch".to_owned(), Tensor::scalar(*epoch as i64, &cpu)?);
            state.insert("best_generation".to_owned(), Tensor::scalar(*generation as i64, &cpu)?);
        }
        Ok(state)
    }

    fn load_state_dict(&mut self, state: &StateDict) -> Result<()> {
        const NAMES: [&str; 3] = ["best", "best_epoch", "best_generation"];
        let foreign = |why| foreign("checkpoint.load_state_dict", "Checkpoint", why);
        if let Some(name) = state.keys().find(|name| !NAMES.contains(&name.as_str()) && *name != "monitor") {
            return Err(foreign(format!("`{name}` does not belong here")));
        }
        let number = |name: &str| match state.get(name) {
            Some(value) => value.item(),
            None => Err(foreign(format!("`{name}` is missing"))),
        };
        let [value, epoch, generation] = NAMES.map(number);
        let monitor = state.get("monitor").ok_or_else(|| foreign("`monitor` is missing".to_owned()))?.to_vec::<u8>()?;
        let monitor = String::from_utf8_lossy(&monitor).into_owned();
        let best = Best { monitor, value: value?, epoch: epoch? as u64, generation: generation? as u64 };
        // A training that goes on may keep its best by another number, or not at all.
        self.best = (self.monitor.as_ref() == Some(&best.monitor)).then_some(best);
        self.best_before.clone_from(&self.best);
        Ok(())
    }
}
