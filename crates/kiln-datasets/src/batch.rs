//! What a data set hands out.

use kiln_tensor::{Result, Tensor, Tensors};

/// Some samples together: inputs (n, …) and their targets (n,) or (n, …), one of each or several.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The model's inputs, one sample a row; several of a model with several inputs, in their order.
    pub inputs: Tensors,
    /// What the model should say: labels, one-hot rows, values; one for each output of the model, in their order.
    pub targets: Tensors,
    /// How much each sample counts in the loss, floats (n,), or each step, (n, T); without them each counts 1.
    pub weights: Weights,
    /// Which steps of each input's sequences count, bool (n, steps), in the inputs' order; of an input that has none here all do.
    pub masks: Vec<Option<Tensor>>,
}

/// How much samples count in the losses of a model's outputs (Keras's `sample_weight`): floats (n,), or (n, T) of each step.
///
/// ```
/// use kiln_datasets::Weights;
/// use kiln_tensor::{Device, Tensor};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let weights = Tensor::from_slice(&[1.0f32, 0.5], [2], &Device::cpu())?;
/// let for_all = Weights::from(weights.clone());
/// let of_the_second_output = Weights::Each(vec![None, Some(weights)]);
/// assert!(for_all.of(0).is_some() && of_the_second_output.of(0).is_none());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub enum Weights {
    /// None: each sample counts 1.
    #[default]
    Ones,
    /// For every output alike.
    All(Tensor),
    /// For each output, in their order; an output without weights counts each sample 1.
    Each(Vec<Option<Tensor>>),
}

impl Weights {
    /// Those of an output, by its place among them.
    pub fn of(&self, output: usize) -> Option<&Tensor> {
        match self {
            Weights::Ones => None,
            Weights::All(weights) => Some(weights),
            Weights::Each(each) => each.get(output)?.as_ref(),
        }
    }

    /// What `f` makes of each tensor.
    ///
    /// # Errors
    /// Those of `f`.
    pub fn try_map<E>(&self, f: impl Fn(&Tensor) -> Result<Tensor, E>) -> Result<Weights, E> {
        Ok(match self {
            Weights::Ones => Weights::Ones,
            Weights::All(weights) => Weights::All(f(weights)?),
            Weights::Each(each) => Weights::Each(
                each.iter().map(|weights| weights.as_ref().map(&f).transpose()).collect::<Result<_, _>>()?,
            ),
        })
    }
}

impl From<Tensor> for Weights {
    fn from(weights: Tensor) -> Self {
        Weights::All(weights)
    }
}

impl From<Vec<Option<Tensor>>> for Weights {
    fn from(each: Vec<Option<Tensor>>) -> Self {
        Weights::Each(each)
    }
}

impl Batch {
    /// Samples that count alike.
    pub fn new(inputs: impl Into<Tensors>, targets: impl Into<Tensors>) -> Self {
        Batch { inputs: inputs.into(), targets: targets.into(), weights: Weights::Ones, masks: Vec::new() }
    }

    /// The same with which steps of the first input count, bool (n, steps).
    #[must_use]
    pub fn masked(self, mask: Tensor) -> Self {
        Batch { masks: vec![Some(mask)], ..self }
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.inputs.dims().first().copied().unwrap_or(0)
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A pass over a data set in training: what is random about its samples is drawn from it and the sample's index.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Pass {
    /// The run's seed.
    pub seed: u64,
    /// Number of the pass.
    pub epoch: u64,
}
