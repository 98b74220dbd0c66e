//! Where a training is: all that the model and the optimizer do not know.

mod before;
mod columns;
mod running;
mod tally;
mod validations;

use crate::{EpochRecord, Evaluation};
pub(crate) use before::Before;
use kiln_datasets::{Dataset, Loader};
use kiln_nn::{StateDict, Stateful};
use kiln_optim::LossScale;
use kiln_store::Generation;
use kiln_tensor::{Device, Error, ErrorKind, Result, Tensor};
pub(crate) use running::Running;
pub(crate) use tally::Tally;

/// Where a training is: epochs and steps done, the seed, the history, and of an epoch that was left its sums and what stateful
/// layers carry. With the model's and the optimizer's state it is all that another trainer needs to go on with the same bits:
///
/// ```
/// # use kiln_datasets::TensorDataset;
/// # use kiln_nn::{Dense, MeanSquaredError, Module, Sequential, Stateful};
/// # use kiln_optim::Adam;
/// # use kiln_tensor::{DType, Device, Tensor};
/// # use kiln_train::{FitOptions, compile};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// # let cpu = Device::cpu();
/// # let ones = |columns| Tensor::ones([50, columns], DType::F32, &cpu);
/// # let data = TensorDataset::new(ones(2)?, ones(1)?)?;
/// # let model = || Sequential::new().push(Dense::new(1)).build([2], &cpu, 1);
/// # let make = || Ok::<_, kiln_tensor::Error>(compile(model()?, Adam::new(0.1), MeanSquaredError::new()));
/// let mut first = make()?;
/// first.fit(&data, FitOptions::new().epochs(3).seed(7))?;
///
/// let mut second = make()?;
/// second.objective.load_state_dict(&first.objective.state_dict(), true)?;
/// second.optimizer.load_state_dict(&first.optimizer.state_dict()?)?;
/// second.state.load_state_dict(&first.state.state_dict()?)?;
/// second.fit(&data, FitOptions::new().epochs(3))?;
/// assert_eq!(second.state.history.len(), 6);
/// # Ok(())
/// # }
/// ```
///
/// [`Trainer`](crate::Trainer) is [`Stateful`] itself: its state is these three together.
#[derive(Clone, Default, Debug)]
pub struct TrainState {
    /// Epochs completed, over all calls of `fit`.
    pub epoch: u64,
    /// Batches done in the epoch that follows: 0 between epochs.
    pub batch: u64,
    /// Steps of the optimizer, over all epochs.
    pub step: u64,
    /// Batches trained on, over all epochs: what layers draw is counted by it. More than `step` where gradients of several
    /// batches make a step.
    pub batches: u64,
    /// The seed of the last `fit`.
    pub seed: u64,
    /// What the completed epochs reported.
    pub history: Vec<EpochRecord>,
    /// Validations between the ends of epochs, by the number of the step after which they were made
    /// ([`FitOptions::validate_every`](crate::FitOptions::validate_every)).
    pub validations: Vec<(u64, Evaluation)>,
    /// Sums of the epoch that is not completed.
    pub(crate) tally: Tally,
    /// What stateful layers carry into the next batch.
    pub(crate) carried: StateDict,
    /// What its order of batches depends on.
    pub(crate) order: Option<Order>,
    /// Where it began, to go back to.
    pub(crate) before: Option<Before>,
    /// What callbacks remember, for those of the next `fit`.
    pub(crate) callbacks: StateDict,
    /// Time of the epoch that is not completed.
    pub(crate) seconds: f64,
    /// The factor of the loss, and how many steps were left out because of gradients that were not finite: with [`Mixed::F16`](crate::Mixed)
    /// alone.
    pub loss_scale: LossScale,
    /// The checkpoint that the next `fit` resumes from.
    pub(crate) resumed: Option<Generation>,
}

/// What the order of batches in an epoch depends on, beside the seed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Order {
    pub(crate) samples: usize,
    pub(crate) batch_size: usize,
    pub(crate) batches: usize,
    pub(crate) shuffle: bool,
    pub(crate) seed: u64,
}

impl Order {
    pub(crate) fn new(loader: &Loader<&dyn Dataset>, batch_size: usize, shuffle: bool, seed: u64) -> Self {
        let samples = loader.dataset().len();
        Order { samples, batch_size, batches: loader.batches(), shuffle, seed }
    }

    /// As they are kept.
    fn numbers(&self) -> [i64; 5] {
        let Order { samples, batch_size, batches, shuffle, seed } = *self;
        [samples as i64, batch_size as i64, batches as i64, i64::from(shuffle), seed as i64]
    }

    fn from_numbers(numbers: &[i64]) -> Option<Self> {
        let &[samples, batch_size, batches, shuffle, seed] = numbers else { return None };
        let (samples, batch_size, batches) = (samples as usize, batch_size as usize, batches as usize);
        Some(Order { samples, batch_size, batches, shuffle: shuffle != 0, seed: seed as u64 })
    }
}

impl TrainState {
    /// Begins the next epoch: what was done of one that was left is not gone on with. The weights stay.
    pub fn leave_epoch(&mut self) {
        self.epoch += u64::from(self.batch > 0);
        self.end_epoch();
        self.carried.clear();
        self.before = None;
    }

    /// Between epochs.
    pub(crate) fn end_epoch(&mut self) {
        self.batch = 0;
        self.tally = Tally::default();
        self.seconds = 0.0;
        self.order = None;
    }

    /// Fails where an epoch that was left had another order of batches.
    pub(crate) fn expect_order(&self, order: &Order) -> Result<()> {
        let Some(old) = self.order.filter(|old| self.batch > 0 && old != order) else { return Ok(()) };
        let show = |order: &Order| {
            let Order { samples, batch_size, batches, shuffle, seed } = order;
            let shuffled = if *shuffle { "shuffled" } else { "in order" };
            format!("{samples} samples {shuffled} in batches of {batch_size}, {batches} an epoch, seed {seed}")
        };
        let message = format!(
            "epoch {} was left after batch {} and was of {}; this `fit` has {}: go on with the same data and options, or begin the \
             next epoch with `trainer.state.leave_epoch()`",
            self.epoch + 1,
            self.batch,
            show(&old),
            show(order)
        );
        Err(Error::value("fit", message))
    }
}

/// Where the columns of the history and of validations are.
const HISTORY: &str = "history.";
const VALIDATIONS: &str = "validations.";

/// The counters that are kept as numbers of their own.
const COUNTERS: [&str; 5] = ["epoch", "batch", "step", "batches", "seed"];

impl Stateful for TrainState {
    /// `epoch`, `batch`, `step`, `batches`, `seed`, `seconds`, the history and the validations in columns (`history.POSITION.NAME`,
    /// `validations.POSITION.NAME`), and of an epoch that was left
    /// `order`, `sums.…`, `carried.…`, and where it began, `before.…`, to which a training that diverges goes back. In a checkpoint
    /// also what callbacks remember, `callbacks.NAME.…`. Of a training in f16 `loss_scale.…`.
    fn state_dict(&self) -> Result<StateDict> {
        let cpu = Device::cpu();
        let mut state = StateDict::new();
        for (name, value) in COUNTERS.into_iter().zip([self.epoch, self.batch, self.step, self.batches, self.seed]) {
            state.insert(name.to_owned(), Tensor::scalar(value as i64, &cpu)?);
        }
        state.insert("seconds".to_owned(), Tensor::scalar(self.seconds, &cpu)?);
        columns::save(HISTORY, &self.history, &mut state)?;
        columns::save(VALIDATIONS, &validations::records(&self.validations), &mut state)?;
        self.tally.save("sums", &mut state)?;
        if let Some(order) = &self.order {
            state.insert("order".to_owned(), Tensor::from_slice(&order.numbers(), [5], &cpu)?);
        }
        if let Some(before) = self.before.as_ref().filter(|_| self.batch > 0) {
            before.save(&mut state)?;
        }
        let scale = self.loss_scale.state_dict()?;
        for (prefix, values) in [("carried", &self.carried), ("callbacks", &self.callbacks), ("loss_scale", &scale)] {
            state.extend(values.iter().map(|(name, value)| (format!("{prefix}.{name}"), value.clone())));
        }
        Ok(state)
    }

    fn load_state_dict(&mut self, state: &StateDict) -> Result<()> {
        let numbers = |name: &str| match state.get(name) {
            Some(value) => value.to_vec::<i64>().map_err(|error| foreign(format!("`{name}`: {}", error.message()))),
            None => Err(foreign(format!("`{name}` is missing"))),
        };
        let mut counters = [0; 5];
        for (name, counter) in COUNTERS.into_iter().zip(&mut counters) {
            let &[value] = &numbers(name)?[..] else { return Err(foreign(format!("`{name}` is not one number"))) };
            *counter = value as u64;
        }
        let [epoch, batch, step, batches, seed] = counters;
        let mut new = TrainState { epoch, batch, step, batches, seed, ..TrainState::default() };
        new.history = columns::load(HISTORY, state)?;
        new.validations = validations::of(columns::load(VALIDATIONS, state)?);
        new.seconds = state.get("seconds").map_or(Ok(0.0), Tensor::item)?;
        let (mut before, mut scale) = (StateDict::new(), StateDict::new());
        for (name, value) in state {
            let known = if COUNTERS.contains(&name.as_str())
                || name == "seconds"
                || [HISTORY, VALIDATIONS].iter().any(|prefix| name.starts_with(prefix))
            {
                true
            } else if name == "order" {
                new.order = Order::from_numbers(&numbers(name)?);
                new.order.is_some()
            } else if let Some(carried) = name.strip_prefix("carried.") {
                new.carried.insert(carried.to_owned(), value.clone());
                true
            } else if let Some(callback) = name.strip_prefix("callbacks.") {
                new.callbacks.insert(callback.to_owned(), value.clone());
                true
            } else if let Some(part) = name.strip_prefix("loss_scale.") {
                scale.insert(part.to_owned(), value.clone());
                true
            } else if let Some(part) = name.strip_prefix("before.") {
                before.insert(part.to_owned(), value.clone());
                true
            } else if let Some(sum) = name.strip_prefix("sums.") {
                new.tally.load(sum, value)?
            } else {
                false
            };
            if !known {
                return Err(foreign(format!("`{name}` does not belong here")));
            }
        }
        if !before.is_empty() {
            let loaded = Before::load(&before, epoch)
                .ok_or_else(|| foreign("`before` is not the beginning of an epoch".into()))?;
            new.before = Some(loaded);
        }
        // Its settings stay.
        new.loss_scale = self.loss_scale.clone();
        new.loss_scale.load_state_dict(&scale)?;
        *self = new;
        Ok(())
    }
}

#[cold]
fn foreign(why: String) -> Error {
    let message = format!("{why}: this is not the state of a training; nothing was changed");
    Error::new(ErrorKind::Format, "train_state.load_state_dict", message)
}
