//! The probe that looks at what comes out of layers.

use kiln_autograd::Var;
use kiln_nn::{Activation, ClassAxis, Here, Probe};
use kiln_tensor::{DType, Result, Tensor};
use std::sync::{Mutex, PoisonError};

/// How many numbers there are of a layer: mean, standard deviation, share of zeros, the smallest.
pub(super) const NUMBERS: usize = 4;

/// What came out of a layer.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) path: String,
    pub(super) layer: String,
    /// f64 numbers in the device's memory.
    pub(super) numbers: [Tensor; NUMBERS],
    /// Which units are not 0 throughout, bool (units,).
    pub(super) active: Tensor,
    /// Whether the layer's activation gives 0 for a range of inputs, where it has no gradient.
    pub(super) rectifies: bool,
}

/// Looks at what comes out of each layer.
#[derive(Default, Debug)]
pub(super) struct Watch(Mutex<Seen>);

#[derive(Default, Debug)]
struct Seen {
    looks: Vec<Look>,
    /// The output before, with the axis of its units.
    last: Option<(Tensor, usize)>,
}

impl Watch {
    /// What was seen, in order.
    pub(super) fn take(&self) -> Vec<Look> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).looks)
    }
}

/// Whether the layer is, or ends with, an activation that gives 0 for a range of inputs. (Those of a sigmoid or a softmax come near 0 only.)
fn rectifies(here: Here<'_>) -> bool {
    let Some(activation) = here.config().and_then(|config| config.get("activation").cloned()) else { return false };
    let activation = serde_json::from_value(activation).unwrap_or_default();
    match activation {
        Activation::Relu | Activation::Relu6 | Activation::HardSigmoid => true,
        Activation::Threshold(_, value) => value == 0.0,
        _ => false,
    }
}

impl Probe for Watch {
    fn after(&self, here: Here<'_>, outputs: &[&Var]) -> Result<()> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for output in outputs.iter().map(|output| output.tensor()) {
            // A container gives what its last layer gave, and a view has the numbers of what it is one of.
            let known = seen.last.as_ref().is_some_and(|(last, _)| last.storage_id() == output.storage_id());
            if known || !output.dtype().is_float() || output.elements() == 0 {
                continue;
            }
            let axis = axis_of_units(here, output, seen.last.as_ref())?;
            let path = if here.path.is_empty() { "model" } else { here.path };
            // A layer that is used several times is a number for each use.
            let uses = seen.looks.iter().filter(|look| look.path.split('#').next() == Some(path)).count();
            let look = Look {
                path: if uses == 0 { path.to_owned() } else { format!("{path}#{}", uses + 1) },
                layer: here.layer.to_owned(),
                numbers: numbers(output)?,
                active: active(output, axis)?,
                rectifies: rectifies(here),
            };
            seen.looks.push(look);
            seen.last = Some((output.clone(), axis));
        }
        Ok(())
    }
}

/// The axis of units: the last one, of maps and of what has channels first axis 1. A layer that keeps the shape keeps it.
fn axis_of_units(here: Here<'_>, output: &Tensor, last: Option<&(Tensor, usize)>) -> Result<usize> {
    match last {
        Some((last, axis)) if last.shape() == output.shape() => Ok(*axis),
        _ if here.layer.ends_with("1d") && output.rank() == 3 => Ok(1),
        _ if output.rank() == 0 => Ok(0),
        _ => ClassAxis::BY_RANK.of("ActivationStatistics", output.shape()),
    }
}

fn numbers(output: &Tensor) -> Result<[Tensor; NUMBERS]> {
    let wide = output.to_dtype(output.dtype().computed_in())?;
    let zero = Tensor::zeros((), wide.dtype(), wide.device())?;
    let zeros = wide.eq(&zero)?.count_nonzero(..)?.to_dtype(DType::F64)?.mul_scalar(1.0 / wide.elements() as f64)?;
    let f64_of = |number: Tensor| number.to_dtype(DType::F64);
    Ok([f64_of(wide.mean_all()?)?, f64_of(wide.std(.., 0)?)?, zeros, f64_of(wide.min(..)?)?])
}

/// Which units are not 0 throughout.
fn active(output: &Tensor, axis: usize) -> Result<Tensor> {
    // The samples of a layer without further axes are no units: it has one.
    if output.rank() < 2 {
        return output.any(..)?.reshape([1]);
    }
    let others: Vec<usize> = (0..output.rank()).filter(|other| *other != axis).collect();
    output.any(others.as_slice())
}
