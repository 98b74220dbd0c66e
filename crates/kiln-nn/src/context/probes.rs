//! Hooks on the inputs and outputs of layers: a check for NaN, kept outputs, a custom profiler.

use super::Here;
use kiln_autograd::Var;
use kiln_tensor::{Result, Tensor};
use std::any::Any;
use std::fmt::Debug;
use std::sync::{Mutex, PoisonError};

/// Looks on while a model runs: called before and after every layer, with what goes in and what comes out. Given to a context
/// by [`Ctx::with_probe`](crate::Ctx::with_probe) and asked for by [`Ctx::probe`](crate::Ctx::probe).
///
/// A context without probes does not pay for them.
pub trait Probe: Any + Debug + Send {
    /// Before a layer runs.
    ///
    /// # Errors
    /// What ends the pass.
    fn before(&self, here: Here<'_>, inputs: &[&Var]) -> Result<()> {
        let _ = (here, inputs);
        Ok(())
    }

    /// After a layer has run: a container after the layers in it.
    ///
    /// # Errors
    /// What ends the pass.
    fn after(&self, here: Here<'_>, outputs: &[&Var]) -> Result<()>;
}

/// Finds where values first became NaN or infinite: to find out why a loss is NaN. Each layer's values are copied to the host.
#[derive(Default, Debug)]
pub struct NotFinite(Mutex<Option<String>>);

impl NotFinite {
    /// Where such values were first met: `the output of model.2 (Dense)`.
    pub fn found(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn look_at(&self, what: &str, here: Here<'_>, values: &[&Var]) -> Result<()> {
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for value in values {
            if found.is_none() && !value.tensor().to_f64_vec()?.iter().all(|value| value.is_finite()) {
                *found = Some(format!("the {what} of {here}"));
            }
        }
        Ok(())
    }
}

impl Probe for NotFinite {
    fn before(&self, here: Here<'_>, inputs: &[&Var]) -> Result<()> {
        self.look_at("input", here, inputs)
    }
    fn after(&self, here: Here<'_>, outputs: &[&Var]) -> Result<()> {
        self.look_at("output", here, outputs)
    }
}

/// Keeps what comes out of every layer: feature maps to be looked at.
///
/// ```
/// # use kiln_nn::{Activation, Ctx, Dense, KeptOutputs, Sequential};
/// # use kiln_tensor::{DType, Device, Tensor};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// # let cpu = Device::cpu();
/// # let x = Tensor::ones([1, 3], DType::F32, &cpu)?;
/// let model = Sequential::new().push(Dense::new(4)).push(Activation::Relu).build([3], &cpu, 1)?;
/// let ctx = Ctx::eval().with_probe(KeptOutputs::default());
/// model.forward(&x, &ctx)?;
/// let paths: Vec<String> = ctx.probe::<KeptOutputs>().unwrap().take().into_iter().map(|(path, _)| path).collect();
/// assert_eq!(paths, ["0", "1", ""]);
/// # Ok(())
/// # }
/// ```
#[derive(Default, Debug)]
pub struct KeptOutputs(Mutex<Vec<(String, Tensor)>>);

impl KeptOutputs {
    /// What was kept since it was last asked: of every layer its path and what it gave, in the order in which they were done,
    /// a container after the layers in it. Of a layer with several outputs one entry for each.
    pub fn take(&self) -> Vec<(String, Tensor)> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Probe for KeptOutputs {
    fn after(&self, here: Here<'_>, outputs: &[&Var]) -> Result<()> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(outputs.iter().map(|output| (here.path.to_owned(), output.tensor().clone())));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kiln_tensor::Device;

    #[test]
    fn the_first_values_that_are_not_finite_are_told() {
        let (probe, cpu) = (NotFinite::default(), Device::cpu());
        let of = |values: &[f32]| Var::from(Tensor::from_slice(values, [values.len()], &cpu).unwrap());
        let (a, b) = (Here::new("a", "Dense"), Here::new("b", "Relu"));
        probe.after(a, &[&of(&[1.0, 2.0])]).unwrap();
        assert_eq!(probe.found(), None);
        probe.before(b, &[&of(&[1.0, f32::NAN])]).unwrap();
        probe.after(b, &[&of(&[f32::INFINITY])]).unwrap();
        assert_eq!(probe.found().unwrap(), "the input of model.b (Relu)");
    }
}
