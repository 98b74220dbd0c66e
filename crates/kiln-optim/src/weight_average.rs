//! Averages of a model's weights over its training.

use crate::averages::average;
use kiln_nn::{Module, Snapshot, StateDict, Stateful};
use kiln_tensor::{Device, Error, ErrorKind, Result, Tensor};

/// An average of a model's parameters over its training; it often generalizes better than the final parameters.
///
/// [`ema`](WeightAverage::ema): a ← d·a + (1 − d)·p, an exponential moving average. [`equal`](WeightAverage::equal): the mean of all, as stochastic
/// weight averaging has it (Izmailov et al. 2018). The first update takes the parameters as they are. PyTorch's `AveragedModel`.
///
/// By hand: [`update`](WeightAverage::update) after each step, [`swap`](WeightAverage::swap) before and after an evaluation with the average,
/// [`copy_to`](WeightAverage::copy_to) at the end. With `fit`, the callbacks `Ema` and `Swa` of kiln-train do that. Buffers are not averaged:
/// batch norms' running averages are those of the weights in training. Compute them for averaged weights with
/// [`Ctx::commit_mean`](kiln_nn::Ctx::commit_mean), or `Trainer::update_batch_norm`.
///
/// ```
/// # use kiln_nn::{Dense, Module, Sequential};
/// # use kiln_tensor::Device;
/// use kiln_optim::WeightAverage;
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// # let mut model = Sequential::new().push(Dense::new(2)).build([3], &Device::cpu(), 1)?;
/// let mut average = WeightAverage::ema(0.999);
/// for step in 0..10 {
///     // … optimizer.step(&mut model, &gradients)?;
///     average.update(&model)?;
/// }
/// average.swap(&mut model)?; // evaluate …
/// average.swap(&mut model)?; // … and go on
/// average.copy_to(&mut model)?;
/// # Ok(())
/// # }
/// ```
///
/// Its state ([`Stateful`]): `updates`, `average.PATH`, and while the model has the average, `trained.PATH`. The average of half types is kept
/// in f32.
#[derive(Clone, Debug)]
pub struct WeightAverage {
    /// How much of the average stays; none where all count alike.
    decay: Option<f64>,
    /// By path.
    values: StateDict,
    updates: u64,
    /// What the model had, while it has the average.
    trained: Snapshot,
    swapped: bool,
}

impl WeightAverage {
    /// An exponential moving average of which the share `decay` stays in an update.
    pub fn ema(decay: f64) -> Self {
        WeightAverage { decay: Some(decay), ..WeightAverage::equal() }
    }

    /// The mean of all updates.
    pub fn equal() -> Self {
        WeightAverage { decay: None, values: StateDict::new(), updates: 0, trained: Snapshot::new(), swapped: false }
    }

    /// How many updates were made.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// Whether the model has the average now.
    pub fn is_swapped(&self) -> bool {
        self.swapped
    }

    /// The average by path; empty before the first update.
    pub fn values(&self) -> &StateDict {
        &self.values
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// A decay outside [0, 1).
    pub fn check(&self) -> Result<()> {
        match self.decay {
            Some(decay) if !(0.0..1.0).contains(&decay) => {
                Err(Error::value("weight_average", format!("the decay is {decay}, expected a number in [0, 1)")))
            }
            _ => Ok(()),
        }
    }

    /// Averages the model's parameters in.
    ///
    /// # Errors
    /// A decay outside [0, 1), a model of other parameters, or one that has the average now: nothing is changed then.
    pub fn update<M: Module + ?Sized>(&mut self, model: &M) -> Result<()> {
        self.check()?;
        if self.swapped {
            return Err(Error::value("weight_average", "the model has the average now: swap it back before an update"));
        }
        let parameters = model.parameters();
        if self.updates == 0 {
            let wide = parameters.into_iter().map(|(path, parameter)| {
                let value = parameter.value();
                Ok((path, value.to_dtype(value.dtype().computed_in())?.copied()?))
            });
            self.values = wide.collect::<Result<_>>()?;
            self.updates = 1;
            return Ok(());
        }
        self.expect(parameters.iter().map(|(path, parameter)| (path.as_str(), parameter.value())))?;
        for (path, parameter) in &parameters {
            let value = parameter.value();
            if let Some(average) = self.values.get_mut(path).filter(|average| average.device() != value.device()) {
                *average = average.to_device(value.device())?;
            }
        }
        let share = match self.decay {
            Some(decay) => 1.0 - decay,
            None => 1.0 / (self.updates + 1) as f64,
        };
        // Both are in the order of the paths.
        let by_path: std::collections::BTreeMap<String, &Tensor> =
            parameters.into_iter().map(|(path, parameter)| (path, parameter.value())).collect();
        average(self.values.values_mut().zip(by_path.into_values()).collect(), 1.0 - share, share, None)?;
        self.updates += 1;
        Ok(())
    }

    /// Writes the average into the model's parameters.
    ///
    /// # Errors
    /// No update yet, or a model of other parameters: nothing is changed then.
    pub fn copy_to<M: Module + ?Sized>(&self, model: &mut M) -> Result<()> {
        if self.updates == 0 {
            return Err(Error::value("weight_average", "there is no average yet: call `update` first"));
        }
        let parameters = model.parameters();
        self.expect(parameters.iter().map(|(path, parameter)| (path.as_str(), parameter.value())))?;
        for (path, parameter) in model.parameters_mut() {
            if let Some(average) = self.values.get(&path) {
                let value = parameter.value_mut();
                let average = average.to_device(value.device())?;
                value.copy_from(&average)?;
            }
        }
        Ok(())
    }

    /// Gives the model the average and keeps what it had; the second time gives that back, with the buffers as they were.
    ///
    /// # Errors
    /// As [`WeightAverage::copy_to`].
    pub fn swap<M: Module + ?Sized>(&mut self, model: &mut M) -> Result<()> {
        if self.swapped {
            self.trained.restore(model)?;
        } else {
            self.trained.take(model)?;
            self.copy_to(model)?;
        }
        self.swapped = !self.swapped;
        Ok(())
    }

    /// Discards the trained weights that [`swap`](WeightAverage::swap) put away; the model keeps the average.
    pub fn forget_trained(&mut self) {
        (self.trained, self.swapped) = (Snapshot::new(), false);
    }

    /// Refuses other parameters than those of the average.
    fn expect<'p>(&self, parameters: impl Iterator<Item = (&'p str, &'p Tensor)>) -> Result<()> {
        let mut count = 0;
        for (path, value) in parameters {
            count += 1;
            match self.values.get(path) {
                Some(average) if average.shape() == value.shape() => {}
                Some(average) => {
                    let message =
                        format!("the average of {path} is {}, the parameter {}", average.shape(), value.shape());
                    return Err(Error::shape("weight_average", message));
                }
                None => {
                    return Err(Error::value(
                        "weight_average",
                        format!("the average has no `{path}`: it is that of another model"),
                    ));
                }
            }
        }
        if count != self.values.len() {
            let message = format!("the average is of {} parameters, the model has {count}", self.values.len());
            return Err(Error::value("weight_average", message));
        }
        Ok(())
    }
}

impl Stateful for WeightAverage {
    fn state_dict(&self) -> Result<StateDict> {
        let mut state = StateDict::new();
        state.insert("updates".into(), Tensor::scalar(self.updates as i64, &Device::cpu())?);
        state.extend(self.values.iter().map(|(path, value)| (format!("average.{path}"), value.clone())));
        if self.swapped {
            let trained = self.trained.state_dict().into_iter();
            state.extend(trained.map(|(path, value)| (format!("trained.{path}"), value)));
        }
        Ok(state)
    }

    fn load_state_dict(&mut self, state: &StateDict) -> Result<()> {
        let foreign = |why: String| {
            let message = format!("{why}: this is not the state of an average of weights; nothing was changed");
            Error::new(ErrorKind::Format, "weight_average.load_state_dict", message)
        };
        let updates = state.get("updates").ok_or_else(|| foreign("`updates` is missing".into()))?.item()?;
        let (mut values, mut trained) = (StateDict::new(), StateDict::new());
        for (name, value) in state {
            if let Some(path) = name.strip_prefix("average.") {
                values.insert(path.to_owned(), value.clone());
            } else if let Some(path) = name.strip_prefix("trained.") {
                trained.insert(path.to_owned(), value.clone());
            } else if name != "updates" {
                return Err(foreign(format!("`{name}` does not belong here")));
            }
        }
        if values.is_empty() != (updates == 0.0) {
            return Err(foreign(format!("{updates} updates with an average of {} parameters", values.len())));
        }
        self.updates = updates as u64;
        self.values = values;
        self.swapped = !trained.is_empty();
        self.trained = trained.into();
        Ok(())
    }
}
