//! `Stateful`: state that can be saved and loaded.

use crate::StateDict;
use kiln_tensor::Result;

/// Something with state that training resumes from: an optimizer, a schedule, a callback, the loader's position.
///
/// A new instance with the same settings that loads the state continues with the same bits as the old one.
pub trait Stateful {
    /// The state, tensors by name. Empty where there is nothing to keep.
    ///
    /// # Errors
    /// Out of memory, a fault of the device.
    fn state_dict(&self) -> Result<StateDict>;

    /// Takes over what [`Stateful::state_dict`] gave.
    ///
    /// # Errors
    /// Entries that are missing, or that do not belong here: the state is that of something else. Nothing is changed then.
    fn load_state_dict(&mut self, state: &StateDict) -> Result<()>;
}

impl<S: Stateful + ?Sized> Stateful for Box<S> {
    fn state_dict(&self) -> Result<StateDict> {
        (**self).state_dict()
    }
    fn load_state_dict(&mut self, state: &StateDict) -> Result<()> {
        (**self).load_state_dict(state)
    }
}
