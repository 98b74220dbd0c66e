//! The losses of a model's outputs.

use kiln_nn::Loss;
use kiln_nn::losses::labels_of;
use kiln_tensor::{Error, Result, Tensor};

/// What a model's outputs are held against its targets by: a [`Loss`], or [`Losses`] of several outputs.
pub trait Criterion: Send + Sync {
    /// The loss of each of `count` outputs, in order. `names` are the outputs' names, where the model has some.
    ///
    /// # Errors
    /// Losses that are not one for each output.
    fn of_outputs(&self, names: &[&str], count: usize) -> Result<Vec<OutputLoss<'_>>>;

    /// The class of each target, by which `class_weight` goes; see [`Loss::labels`].
    ///
    /// # Errors
    /// Targets that have no classes; several outputs.
    fn labels(&self, targets: &Tensor) -> Result<Tensor> {
        labels_of(targets)
    }
}

/// The loss of one output.
#[derive(Clone, Copy)]
pub struct OutputLoss<'l> {
    /// The loss.
    pub loss: &'l dyn Loss,
    /// What it is multiplied by in the sum of all.
    pub weight: f64,
}

impl<L: Loss> Criterion for L {
    fn of_outputs(&self, _: &[&str], count: usize) -> Result<Vec<OutputLoss<'_>>> {
        if count != 1 {
            let message = format!(
                "the model has {count} outputs and one loss: give each output its own, \
                 `Losses::new().output(\"name\", loss)`"
            );
            return Err(Error::value("fit", message));
        }
        Ok(vec![OutputLoss { loss: self, weight: 1.0 }])
    }

    fn labels(&self, targets: &Tensor) -> Result<Tensor> {
        Loss::labels(self, targets)
    }
}

/// A loss for each output of a model with several, by the output's name: what is minimized is the sum of weight · loss.
///
/// ```
/// use kiln_nn::{MeanSquaredError, SparseCategoricalCrossentropy};
/// use kiln_train::Losses;
/// let losses = Losses::new()
///     .output("digit", SparseCategoricalCrossentropy::new())
///     .weighted("width", 0.2, MeanSquaredError::new());
/// ```
///
/// The names are those of a [`Graph`](kiln_nn::Graph)'s outputs. Of a model that has none, the losses are those of its outputs in
/// order.
#[derive(Default)]
pub struct Losses {
    of: Vec<(String, Box<dyn Loss>, f64)>,
}

impl Losses {
    /// No losses yet.
    pub fn new() -> Self {
        Losses::default()
    }

    /// The loss of one more output, with the weight 1.
    #[must_use]
    pub fn output(self, name: impl Into<String>, loss: impl Loss + 'static) -> Self {
        self.weighted(name, 1.0, loss)
    }

    /// The loss of one more output, with its weight in the sum.
    #[must_use]
    pub fn weighted(mut self, name: impl Into<String>, weight: f64, loss: impl Loss + 'static) -> Self {
        self.of.push((name.into(), Box::new(loss), weight));
        self
    }

    /// Fails where the losses are not one for each output.
    fn check(&self, names: &[&str], count: usize) -> Result<()> {
        let refused = |message: String| Err(Error::value("fit", message));
        for (at, (name, _, weight)) in self.of.iter().enumerate() {
            if self.of[..at].iter().any(|(other, ..)| other == name) {
                return refused(format!("two losses for the output `{name}`: each output takes one"));
            }
            if !(0.0..f64::INFINITY).contains(weight) {
                return refused(format!(
                    "the loss of `{name}` has the weight {weight}: it must be 0 or more and finite"
                ));
            }
            if !names.is_empty() && !names.contains(&name.as_str()) {
                return refused(format!("a loss for `{name}`, but the model's outputs are {}", names.join(", ")));
            }
        }
        if self.of.len() != count {
            return refused(format!("{} losses for {count} outputs: one for each is needed", self.of.len()));
        }
        Ok(())
    }
}

impl Criterion for Losses {
    fn of_outputs(&self, names: &[&str], count: usize) -> Result<Vec<OutputLoss<'_>>> {
        self.check(names, count)?;
        let at = |output: usize| match names.get(output) {
            Some(name) => self.of.iter().position(|(known, ..)| known == name).unwrap_or(output),
            None => output,
        };
        Ok((0..count)
            .map(|output| {
                let (_, loss, weight) = &self.of[at(output)];
                OutputLoss { loss: &**loss, weight: *weight }
            })
            .collect())
    }

    fn labels(&self, targets: &Tensor) -> Result<Tensor> {
        match self.of.as_slice() {
            [(_, loss, _)] => Loss::labels(loss, targets),
            _ => Err(Error::value("class_weight", "class weights are for a model with one output")),
        }
    }
}
