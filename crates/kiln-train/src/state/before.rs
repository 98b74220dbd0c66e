//! Where an epoch began, for a training that diverges in it.

use super::Tally;
use kiln_nn::{Snapshot, StateDict};
use kiln_tensor::{Device, Result, Tensor};

/// The training as it was when the epoch began, or when the rest of one was gone on with.
#[derive(Clone, Default, Debug)]
pub(crate) struct Before {
    pub(crate) weights: Snapshot,
    /// Epochs that were completed, and batches of the next one that were done.
    pub(crate) epoch: u64,
    pub(crate) batch: u64,
    pub(crate) step: u64,
    pub(crate) batches: u64,
    pub(crate) tally: Tally,
    pub(crate) carried: StateDict,
    pub(crate) loss_scale: StateDict,
}

impl Before {
    /// Adds `before.step`, `before.batches`, `before.weights.PATH`, `before.carried.PATH` and `before.loss_scale.NAME`; of what is not the beginning of an epoch
    /// nothing.
    pub(super) fn save(&self, state: &mut StateDict) -> Result<()> {
        if self.batch > 0 {
            return Ok(());
        }
        for (name, value) in [("step", self.step), ("batches", self.batches)] {
            state.insert(format!("before.{name}"), Tensor::scalar(value as i64, &Device::cpu())?);
        }
        let weights = self.weights.state_dict();
        state.extend(weights.into_iter().map(|(path, value)| (format!("before.weights.{path}"), value)));
        let carried = self.carried.iter().map(|(path, value)| (format!("before.carried.{path}"), value.clone()));
        state.extend(carried);
        let scale = self.loss_scale.iter().map(|(name, value)| (format!("before.loss_scale.{name}"), value.clone()));
        state.extend(scale);
        Ok(())
    }

    /// What [`Before::save`] wrote after so many epochs, with the names after `before.`; none where it is something else.
    pub(super) fn load(state: &StateDict, epoch: u64) -> Option<Self> {
        let number = |name: &str| state.get(name)?.item().ok().map(|number| number as u64);
        let mut before = Before { epoch, step: number("step")?, batches: number("batches")?, ..Before::default() };
        let mut weights = StateDict::new();
        for (name, value) in state {
            if let Some(path) = name.strip_prefix("weights.") {
                weights.insert(path.to_owned(), value.clone());
            } else if let Some(path) = name.strip_prefix("carried.") {
                before.carried.insert(path.to_owned(), value.clone());
            } else if let Some(name) = name.strip_prefix("loss_scale.") {
                before.loss_scale.insert(name.to_owned(), value.clone());
            } else if !["step", "batches"].contains(&name.as_str()) {
                return None;
            }
        }
        before.weights = weights.into();
        Some(before)
    }
}
