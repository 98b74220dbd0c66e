//! What comes out of layers, in numbers.

mod state;
mod watch;

use super::Every;
use crate::{Callback, EpochRecord, Run};
use kiln_datasets::Batch;
use kiln_nn::Stateful;
use kiln_tensor::{DType, Result, Tensor};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use watch::{Look, NUMBERS, Watch};

/// Reports what comes out of each layer: `activation_mean.PATH`, `activation_std.PATH`, `activation_zeros.PATH` (the share of numbers that
/// are exactly 0), and of layers whose activation is `relu`, `relu6`, `hard_sigmoid` or a `threshold` to 0, as their settings
/// ([`Describe::config`](kiln_nn::Describe::config)) say, `dead_units.PATH`: the share of units that were 0 for all samples and positions of
/// all batches looked at in this epoch. A unit that stays dead gets no gradient and does not learn.
///
/// After every so many steps the last batch goes through the model once more, in evaluation mode, so that what dropout sets to 0 does not
/// count. The training has the same bits with and without it. A unit is a number of the last axis, of maps (N, C, H, W) a channel. The second
/// use of a layer is `PATH#2`, the model itself, where it does more than its layers, `model`. A device computes the numbers itself; each
/// report waits for it once.
///
/// What was seen of an epoch, and which layers were warned of, is its state ([`Stateful`]): a training that is resumed in the middle of
/// one reports the same.
///
/// ```
/// # use kiln_datasets::TensorDataset;
/// # use kiln_nn::{Activation, Dense, MeanSquaredError, Sequential};
/// # use kiln_optim::Sgd;
/// # use kiln_tensor::{DType, Device, Tensor};
/// # use kiln_train::{ActivationStatistics, FitOptions, compile};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// # let cpu = Device::cpu();
/// # let ones = |columns| Tensor::ones([50, columns], DType::F32, &cpu);
/// # let data = TensorDataset::new(ones(2)?, ones(1)?)?;
/// let hidden = Dense::new(16).activation(Activation::Relu);
/// let model = Sequential::new().push(hidden).push(Dense::new(1)).build([2], &cpu, 1)?;
/// let mut trainer = compile(model, Sgd::new(0.1), MeanSquaredError::new());
/// let mut statistics = ActivationStatistics::new().every(10);
/// trainer.fit(&data, FitOptions::new().epochs(20).callback(&mut statistics))?;
/// for dead in statistics.dead() {
///     println!("{dead}");
/// }
/// # Ok(())
/// # }
/// ```
pub struct ActivationStatistics {
    every: Every,
    warn: Option<Warn>,
    /// Layers that were told of.
    warned: BTreeSet<String>,
    /// What was seen in this epoch, by path.
    seen: BTreeMap<String, Seen>,
    /// Batches looked at in it.
    batches: usize,
    epoch: usize,
}

/// Told of a layer whose units are mostly dead.
type Warn = Box<dyn FnMut(&DeadUnits) + Send>;

/// What was seen of a layer.
struct Seen {
    layer: String,
    /// Which units were not always 0, bool (units,) in the device's memory.
    active: Tensor,
    units: usize,
    dead: usize,
    /// Whether its activation gives 0 for a range of inputs.
    rectifies: bool,
}

/// A layer with units that were 0 for all samples looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeadUnits {
    /// The layer's path.
    pub path: String,
    /// Its name: `Dense`.
    pub layer: String,
    /// How many of its units were always 0.
    pub dead: usize,
    /// How many it has.
    pub units: usize,
    /// Batches looked at.
    pub batches: usize,
    /// The epoch they are from, from 1.
    pub epoch: usize,
}

impl fmt::Display for DeadUnits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DeadUnits { path, layer, dead, units, batches, epoch } = self;
        write!(
            f,
            "{dead} of {units} units of {path} ({layer}) were 0 for all samples of the {batches} batches looked at in epoch {epoch}, and \
             do not learn: a smaller learning rate, another initializer or a leaky ReLU may help"
        )
    }
}

impl Default for ActivationStatistics {
    fn default() -> Self {
        ActivationStatistics {
            every: Every(100),
            warn: None,
            warned: BTreeSet::new(),
            seen: BTreeMap::new(),
            batches: 0,
            epoch: 0,
        }
    }
}

impl fmt::Debug for ActivationStatistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActivationStatistics").field("every", &self.every.0).field("dead", &self.dead()).finish()
    }
}

impl ActivationStatistics {
    /// Every 100 steps.
    pub fn new() -> Self {
        ActivationStatistics::default()
    }

    /// Looks at a batch after every so many steps, counted over all calls of `fit`.
    #[must_use]
    pub fn every(self, steps: u64) -> Self {
        ActivationStatistics { every: Every(steps), ..self }
    }

    /// Calls this for a layer after the first completed epoch in which more than half of its units were dead, once for each layer over all
    /// calls of `fit`.
    #[must_use]
    pub fn warn(self, warn: impl FnMut(&DeadUnits) + Send + 'static) -> Self {
        ActivationStatistics { warn: Some(Box::new(warn)), ..self }
    }

    /// The layers of which more than half of the units were dead in the last epoch, by path.
    pub fn dead(&self) -> Vec<DeadUnits> {
        let mostly = self.seen.iter().filter(|(_, seen)| seen.rectifies && 2 * seen.dead > seen.units);
        let told = |(path, seen): (&String, &Seen)| DeadUnits {
            path: path.clone(),
            layer: seen.layer.clone(),
            dead: seen.dead,
            units: seen.units,
            batches: self.batches,
            epoch: self.epoch,
        };
        mostly.map(told).collect()
    }

    fn look(&mut self, run: &mut Run<'_>) -> Result<()> {
        let Some(batch) = run.batch.clone() else { return Ok(()) };
        let looks = looks(run, &batch)?;
        let mut numbers: Vec<Tensor> = Vec::new();
        for look in &looks {
            let active = match self.seen.get(&look.path) {
                Some(before) if before.active.shape() == look.active.shape() => {
                    // What was loaded may be elsewhere.
                    before.active.to_device(look.active.device())?.logical_or(&look.active)?
                }
                _ => look.active.clone(),
            };
            let units = active.elements();
            numbers.extend(look.numbers.iter().cloned());
            numbers.push(active.count_nonzero(..)?.to_dtype(DType::F64)?);
            let rectifies = self.seen.get(&look.path).is_none_or(|seen| seen.rectifies) && look.rectifies;
            let seen = Seen { layer: look.layer.clone(), active, units, dead: 0, rectifies };
            self.seen.insert(look.path.clone(), seen);
        }
        if numbers.is_empty() {
            return Ok(());
        }
        let values = Tensor::stack(&numbers.iter().collect::<Vec<_>>(), 0)?.to_vec::<f64>()?;
        self.batches += 1;
        for (look, values) in looks.iter().zip(values.chunks(NUMBERS + 1)) {
            self.report(run, &look.path, values);
        }
        Ok(())
    }

    /// The numbers of a layer: mean, standard deviation, share of zeros, the smallest, units that were active.
    fn report(&mut self, run: &mut Run<'_>, path: &str, values: &[f64]) {
        let &[mean, std, zeros, smallest, active] = values else { return };
        run.log(format!("activation_mean.{path}"), mean);
        run.log(format!("activation_std.{path}"), std);
        run.log(format!("activation_zeros.{path}"), zeros);
        let Some(seen) = self.seen.get_mut(path) else { return };
        seen.dead = seen.units - active as usize;
        seen.rectifies &= smallest >= 0.0;
        if seen.rectifies && seen.units > 0 {
            run.log(format!("dead_units.{path}"), seen.dead as f64 / seen.units as f64);
        }
    }
}

/// What the layers give for a batch. What they carry from batch to batch stays as it is.
fn looks(run: &Run<'_>, batch: &Batch) -> Result<Vec<Look>> {
    let ctx = run.eval_ctx().with_probe(Watch::default());
    let carried = run.model.carried_states();
    let done = run.model.loss(batch, &ctx);
    run.model.set_carried_states(&carried)?;
    done?;
    Ok(ctx.probe::<Watch>().map(Watch::take).unwrap_or_default())
}

impl Callback for ActivationStatistics {
    fn on_fit_begin(&mut self, _: &mut Run<'_>) -> Result<()> {
        self.every.check("ActivationStatistics", "every(0)")
    }

    fn on_epoch_begin(&mut self, run: &mut Run<'_>) -> Result<()> {
        // The rest of an epoch goes on with what was seen of it.
        if run.state.batch == 0 {
            self.seen.clear();
            self.batches = 0;
        }
        self.epoch = run.state.epoch as usize + 1;
        Ok(())
    }

    fn on_step_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        if self.every.is_due(run.state.step) { self.look(run) } else { Ok(()) }
    }

    fn on_epoch_end(&mut self, run: &mut Run<'_>, record: &EpochRecord) -> Result<()> {
        if !run.has_completed(record) {
            return Ok(());
        }
        let dead = self.dead();
        if let Some(warn) = &mut self.warn {
            for dead in dead.iter().filter(|dead| !self.warned.contains(&dead.path)) {
                warn(dead);
            }
            self.warned.extend(dead.into_iter().map(|dead| dead.path));
        }
        Ok(())
    }

    fn state(&mut self) -> Option<(&'static str, &mut dyn Stateful)> {
        Some(("ActivationStatistics", self))
    }
}
