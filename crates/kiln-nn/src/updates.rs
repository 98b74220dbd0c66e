//! What a forward pass hands in for buffers, until the step has succeeded.

use crate::visit::VisitorMut;
use crate::{Buffer, BufferId, Module, Param};
use kiln_math::UpdateRule;
use kiln_math::update::{Average, CONSTANTS, MAX_STATES, Rule, Step};
use kiln_tensor::{DType, Device, Error, ErrorKind, Result, Tensor, UpdateTensors};
use std::collections::{BTreeMap, BTreeSet};

/// What a buffer is to become.
#[derive(Clone, Debug)]
enum Update {
    /// This value.
    Set(Tensor),
    /// An average with this.
    Average(Average, Tensor),
}

impl Update {
    /// What is handed in.
    fn value(&self) -> &Tensor {
        match self {
            Update::Set(value) | Update::Average(_, value) => value,
        }
    }
}

/// What one tensor becomes.
type Pair<'u, 't> = (&'t mut Tensor, &'u Update);

/// Writes each update into the memory of its own tensor, those that average in one kernel. Where `applies` is false, nothing is
/// written.
fn write(pairs: Vec<Pair<'_, '_>>, applies: Option<&Tensor>) -> Result<()> {
    // By the type that is computed in: f32, then f64.
    let mut averages: [Vec<(&mut Tensor, &Average, &Tensor)>; 2] = [Vec::new(), Vec::new()];
    for (buffer, update) in pairs {
        match (update, applies) {
            (Update::Set(value), None) => buffer.copy_from(value)?,
            (Update::Set(value), Some(applies)) => {
                let chosen = Tensor::select(applies, value, buffer)?;
                buffer.copy_from(&chosen)?;
            }
            (Update::Average(rule, batch), _) => {
                averages[usize::from(buffer.dtype() == DType::F64)].push((buffer, rule, batch));
            }
        }
    }
    for (dtype, averages) in [DType::F32, DType::F64].into_iter().zip(averages) {
        average(dtype, averages, applies)?;
    }
    Ok(())
}

/// One kernel over all that is averaged and computed in `dtype`.
fn average(dtype: DType, averages: Vec<(&mut Tensor, &Average, &Tensor)>, applies: Option<&Tensor>) -> Result<()> {
    let Some((first, ..)) = averages.first() else { return Ok(()) };
    let device = first.device().clone();
    let step = Step { learning_rate: 0.0, weight_decay: 0.0, number: 1.0, smallest: dtype.smallest_normal() };
    let (mut rows, mut tensors) = (Vec::with_capacity(averages.len()), Vec::with_capacity(averages.len()));
    for (row, (parameter, rule, gradient)) in averages.into_iter().enumerate() {
        rows.push(rule.constants(&step));
        tensors.push(UpdateTensors { parameter, gradient, states: [const { None }; MAX_STATES], row });
    }
    Tensor::update(UpdateRule::Average, &constants(rows.as_flattened(), dtype, &device)?, applies, &mut tensors)
}

/// Rows of constants, rounded once.
fn constants(rows: &[f64], dtype: DType, device: &Device) -> Result<Tensor> {
    let shape = [rows.len() / CONSTANTS, CONSTANTS];
    if dtype == DType::F64 {
        return Tensor::from_slice(rows, shape, device);
    }
    Tensor::from_vec(rows.iter().map(|&constant| constant as f32).collect(), shape, device)
}

/// Updates of buffers, in the order in which they were handed in.
#[derive(Clone, Default, Debug)]
pub(crate) struct Updates(Vec<(BufferId, Update)>);

impl Updates {
    /// The buffer becomes this value; what was handed in for it before does not count.
    pub(crate) fn set(&mut self, buffer: &Buffer, value: Tensor) {
        self.0.retain(|(id, _)| *id != buffer.id());
        self.0.push((buffer.id(), Update::Set(value)));
    }

    /// The buffer becomes own · buffer + share · batch, after what was handed in for it before.
    pub(crate) fn average(&mut self, buffer: &Buffer, batch: Tensor, own: f64, share: f64) {
        self.0.push((buffer.id(), Update::Average(Average { own, share }, batch)));
    }

    /// Adds updates that come after these.
    pub(crate) fn append(&mut self, mut later: Updates) {
        self.0.append(&mut later.0);
    }

    /// The buffer's value after these updates.
    pub(crate) fn value_of(&self, buffer: &Buffer) -> Result<Tensor> {
        let mut value = buffer.value().clone();
        for (_, update) in self.0.iter().filter(|(id, _)| *id == buffer.id()) {
            write(vec![(&mut value, update)], None)?;
        }
        Ok(value)
    }

    /// Makes each running average the plain mean of what it was averaged with in so many passes, of which this is the last.
    pub(crate) fn into_means(mut self, passes: u64) -> Result<Self> {
        let mut of_pass: BTreeMap<BufferId, (u64, u64)> = BTreeMap::new();
        for (id, _) in &self.0 {
            of_pass.entry(*id).or_default().0 += 1;
        }
        for (id, update) in &mut self.0 {
            let Update::Average(rule, batch) = update else { continue };
            // An average that never changes stays so.
            if rule.own >= 1.0 {
                continue;
            }
            let (all, seen) = of_pass.entry(*id).or_default();
            *seen += 1;
            let count = ((passes.max(1) - 1) * *all + *seen) as f64;
            let factor = rule.share / (1.0 - rule.own);
            *update = match count {
                // What was there may not be finite, and 0 of it is not either.
                1.0 => Update::Set(batch.mul_scalar(factor)?),
                _ => Update::Average(Average { own: 1.0 - 1.0 / count, share: factor / count }, batch.clone()),
            };
        }
        Ok(self)
    }

    /// Writes them into the buffers' memory; where `applies`, one truth value in the buffers' device's memory, is false, the
    /// buffers keep their values.
    pub(crate) fn commit<M: Module + ?Sized>(self, model: &mut M, applies: Option<&Tensor>) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut gather = Gather { updates: self.0, pairs: Vec::new() };
        model.visit_mut(&mut gather);
        if !gather.updates.is_empty() {
            let buffers: BTreeSet<BufferId> = gather.updates.iter().map(|(id, _)| *id).collect();
            let message = format!(
                "{} updated buffer(s) are not visited by this model: is one under `#[module(skip)]`?",
                buffers.len()
            );
            return Err(Error::new(ErrorKind::Value, "ctx.commit", message));
        }
        for (buffer, updates) in &gather.pairs {
            updates.iter().try_for_each(|update| check(buffer, update))?;
        }
        // A buffer of a layer that ran twice has two updates, one after the other.
        let rounds = gather.pairs.iter().map(|(_, updates)| updates.len()).max().unwrap_or(0);
        for round in 0..rounds {
            let pairs = gather.pairs.iter_mut();
            let pairs = pairs.filter_map(|(buffer, updates)| Some((buffer.value_mut(), updates.get(round)?)));
            write(pairs.collect(), applies)?;
        }
        Ok(())
    }
}

/// Whether a buffer can take an update.
fn check(buffer: &Buffer, update: &Update) -> Result<()> {
    buffer.accepts(update.value())?;
    if matches!(update, Update::Average(..)) && !buffer.value().dtype().is_float() {
        let message = format!("a buffer of {} has no running average: a float type is needed", buffer.value().dtype());
        return Err(Error::new(ErrorKind::DType, "ctx.commit", message));
    }
    Ok(())
}

/// Pairs buffers with their updates.
struct Gather<'m> {
    updates: Vec<(BufferId, Update)>,
    pairs: Vec<(&'m mut Buffer, Vec<Update>)>,
}

impl<'m> VisitorMut<'m> for Gather<'m> {
    fn parameter(&mut self, _: &'m mut Param) {}
    fn buffer(&mut self, buffer: &'m mut Buffer) {
        let own = self.updates.extract_if(.., |(id, _)| *id == buffer.id());
        let own: Vec<Update> = own.map(|(_, update)| update).collect();
        if !own.is_empty() {
            self.pairs.push((buffer, own));
        }
    }
}
