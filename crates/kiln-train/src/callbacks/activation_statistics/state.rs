//! What was seen of an epoch that is not completed, and what was told.

use super::{ActivationStatistics, Seen};
use crate::callbacks::foreign;
use kiln_nn::{StateDict, Stateful};
use kiln_tensor::{DType, Device, Result, Tensor};
use std::collections::{BTreeMap, BTreeSet};

impl Stateful for ActivationStatistics {
    /// `batches`, of each layer `active.PATH`, `rectifies.PATH` and its name, `layer.PATH`, and `warned.PATH` of those that were warned of.
    fn state_dict(&self) -> Result<StateDict> {
        let cpu = Device::cpu();
        let mut state = StateDict::new();
        state.insert("batches".to_owned(), Tensor::scalar(self.batches as i64, &cpu)?);
        for (path, seen) in &self.seen {
            let name = seen.layer.as_bytes();
            state.insert(format!("active.{path}"), seen.active.clone());
            state.insert(format!("rectifies.{path}"), Tensor::scalar(i64::from(seen.rectifies), &cpu)?);
            state.insert(format!("layer.{path}"), Tensor::from_slice(name, [name.len()], &cpu)?);
        }
        for path in &self.warned {
            state.insert(format!("warned.{path}"), Tensor::scalar(1i64, &cpu)?);
        }
        Ok(state)
    }

    fn load_state_dict(&mut self, state: &StateDict) -> Result<()> {
        let foreign = |why| foreign("activation_statistics.load_state_dict", "ActivationStatistics", why);
        let need = |name: String| state.get(&name).ok_or_else(|| foreign(format!("`{name}` is missing")));
        let batches = need("batches".to_owned())?.item()? as usize;
        let (mut seen, mut warned) = (BTreeMap::new(), BTreeSet::new());
        for (name, value) in state {
            match name.split_once('.') {
                Some(("active", path)) if value.dtype() == DType::Bool => {
                    let (active, units) = (value.clone(), value.elements());
                    let dead = units - active.count_nonzero(..)?.item()? as usize;
                    let layer = need(format!("layer.{path}"))?.to_vec::<u8>()?;
                    let layer = String::from_utf8_lossy(&layer).into_owned();
                    let rectifies = need(format!("rectifies.{path}"))?.item()? != 0.0;
                    seen.insert(path.to_owned(), Seen { layer, active, units, dead, rectifies });
                }
                Some(("warned", path)) => {
                    warned.insert(path.to_owned());
                }
                Some(("layer" | "rectifies", _)) => {}
                _ if name == "batches" => {}
                _ => return Err(foreign(format!("`{name}` does not belong here"))),
            }
        }
        (self.batches, self.seen, self.warned) = (batches, seen, warned);
        Ok(())
    }
}
