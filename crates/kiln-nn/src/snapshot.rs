//! A copy of a module's values, in memory kept for it.

use crate::{Module, StateDict};
use kiln_tensor::{Result, Tensor};

/// A copy of all parameters and buffers of a module, to go back to: the weights of the best epoch, or of the last good one.
///
/// A [`StateDict`] shares memory with the module, whose parameters then move at the next step. A snapshot has memory of its own,
/// which the first [`take`](Snapshot::take) allocates and later ones write again, so the module's parameters never move.
///
/// ```
/// # use kiln_nn::{Dense, Module, Sequential, Snapshot};
/// # use kiln_tensor::Device;
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let mut model = Sequential::new().push(Dense::new(2)).build([3], &Device::cpu(), 1)?;
/// let mut best = Snapshot::new();
/// best.take(&model)?;
/// model.parameters_mut()[0].1.value_mut().fill(0.0)?; // training …
/// best.restore(&mut model)?;
/// assert_ne!(model.parameters()[0].1.value().to_f64_vec()?, [0.0; 6]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default, Debug)]
pub struct Snapshot {
    values: StateDict,
}

impl Snapshot {
    /// An empty one.
    pub fn new() -> Self {
        Snapshot::default()
    }

    /// Whether nothing was taken yet.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Copies the module's values.
    ///
    /// # Errors
    /// Out of memory, the first time.
    pub fn take<M: Module + ?Sized>(&mut self, module: &M) -> Result<()> {
        let values = module.state_dict();
        if fits(&self.values, &values) {
            return self.values.values_mut().zip(values.values()).try_for_each(|(kept, value)| kept.copy_from(value));
        }
        let copied = values.into_iter().map(|(path, value)| Ok((path, value.copied()?)));
        self.values = copied.collect::<Result<_>>()?;
        Ok(())
    }

    /// Copies the values back, into the memory of the module's parameters and buffers.
    ///
    /// # Errors
    /// A module of other parameters than the one that the snapshot was taken of; nothing is changed then.
    pub fn restore<M: Module + ?Sized>(&self, module: &mut M) -> Result<()> {
        module.load_state_dict(&self.values, true).map(drop)
    }

    /// The values by path, shared: a snapshot that is taken later does not change them.
    pub fn state_dict(&self) -> StateDict {
        self.values.clone()
    }
}

/// The values are kept as they are, and the next snapshot gets memory of its own.
impl From<StateDict> for Snapshot {
    fn from(values: StateDict) -> Self {
        Snapshot { values }
    }
}

/// Whether the copies are of such tensors: under the same paths, of their shapes and types, on their devices.
fn fits(copies: &StateDict, values: &StateDict) -> bool {
    let same = |((path, copy), (of, value)): ((&String, &Tensor), (&String, &Tensor))| {
        path == of && copy.shape() == value.shape() && copy.dtype() == value.dtype() && copy.device() == value.device()
    };
    copies.len() == values.len() && copies.iter().zip(values).all(same)
}
