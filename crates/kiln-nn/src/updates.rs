//! What a forward pass hands in for buffers, until the step has succeeded.

use crate::module::VisitorMut;
use crate::{Buffer, BufferId, Module, Param};
use kiln_tensor::{Error, ErrorKind, Result, Tensor};

/// What a buffer is to become.
#[derive(Clone, Debug)]
enum Update {
    /// This value.
    Set(Tensor),
    /// own · buffer + share · batch
    Average { batch: Tensor, own: f64, share: f64 },
}

impl Update {
    /// What is handed in.
    fn value(&self) -> &Tensor {
        match self {
            Update::Set(value) | Update::Average { batch: value, .. } => value,
        }
    }

    /// Writes into the buffer's own memory.
    fn apply(&self, buffer: &mut Tensor) -> Result<()> {
        match self {
            Update::Set(value) => buffer.copy_from(value),
            Update::Average { batch, own, share } => {
                buffer.mul_scalar_assign(*own)?;
                buffer.add_assign(&batch.mul_scalar(*share)?)
            }
        }
    }
}

/// Updates of buffers, in the order in which they were handed in.
#[derive(Default, Debug)]
pub(crate) struct Updates(Vec<(BufferId, Update)>);

impl Updates {
    /// The buffer becomes this value; what was handed in for it before does not count.
    pub(crate) fn set(&mut self, buffer: &Buffer, value: Tensor) {
        self.0.retain(|(id, _)| *id != buffer.id());
        self.0.push((buffer.id(), Update::Set(value)));
    }

    /// The buffer becomes own · buffer + share · batch, after what was handed in for it before.
    pub(crate) fn average(&mut self, buffer: &Buffer, batch: Tensor, own: f64, share: f64) {
        self.0.push((buffer.id(), Update::Average { batch, own, share }));
    }

    /// The buffer's value after these updates.
    pub(crate) fn value_of(&self, buffer: &Buffer) -> Result<Tensor> {
        let mut value = buffer.value().clone();
        for (_, update) in self.0.iter().filter(|(id, _)| *id == buffer.id()) {
            update.apply(&mut value)?;
        }
        Ok(value)
    }

    /// Writes them into the buffers' memory; where `applies`, one truth value in the buffers' device's memory, is false, the
    /// buffers keep their values.
    pub(crate) fn commit<M: Module + ?Sized>(self, model: &mut M, applies: Option<&Tensor>) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut gather = Gather { updates: self.0, pairs: Vec::new() };
        model.visit_mut(&mut gather);
        if let Some((strange, _)) = gather.updates.first() {
            let mut strange: Vec<BufferId> = vec![*strange];
            gather.updates.iter().for_each(|(id, _)| {
                if !strange.contains(id) {
                    strange.push(*id);
                }
            });
            let message = format!(
                "{} updated buffer(s) are not visited by this model: is one under `#[module(skip)]`?",
                strange.len()
            );
            return Err(Error::new(ErrorKind::Value, "ctx.commit", message));
        }
        for (buffer, updates) in &gather.pairs {
            updates.iter().try_for_each(|update| buffer.accepts(update.value()))?;
        }
        for (buffer, updates) in &mut gather.pairs {
            let value = buffer.value_mut();
            match applies {
                None => updates.iter().try_for_each(|update| update.apply(value))?,
                Some(applies) => {
                    let mut next = value.clone();
                    updates.iter().try_for_each(|update| update.apply(&mut next))?;
                    let chosen = Tensor::select(applies, &next, value)?;
                    drop(next);
                    value.copy_from(&chosen)?;
                }
            }
        }
        Ok(())
    }
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
