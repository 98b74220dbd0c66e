//! The constraints of parameters that a pass has used.

use crate::visit::{Visitor, VisitorMut};
use crate::{Buffer, Constraint, Module, Param};
use kiln_autograd::LeafId;
use kiln_tensor::{Error, Result, Tensor};

/// Parameters by identity, each with what it is to be brought back to.
#[derive(Default, Debug)]
pub(super) struct Constrained(Vec<(LeafId, Constraint)>);

impl Constrained {
    /// The first constraint of a parameter counts.
    pub(super) fn add(&mut self, id: LeafId, constraint: &Constraint) {
        if self.0.iter().all(|(known, _)| *known != id) {
            self.0.push((id, constraint.clone()));
        }
    }

    /// Adds those of a later pass.
    pub(super) fn append(&mut self, later: Constrained) {
        later.0.iter().for_each(|(id, constraint)| self.add(*id, constraint));
    }

    /// What the parameters are to become; where `applies` is false, what they are.
    pub(super) fn values<M: Module + ?Sized>(self, model: &M, applies: Option<&Tensor>) -> Result<Values> {
        if self.0.is_empty() {
            return Ok(Values(Vec::new()));
        }
        let mut found = Found { constrained: self.0, parameters: Vec::new() };
        model.visit(&mut found);
        if !found.constrained.is_empty() {
            let message = format!(
                "{} constrained parameter(s) are not visited by this model: is one under `#[module(skip)]`?",
                found.constrained.len()
            );
            return Err(Error::value("ctx.commit", message));
        }
        let value = |(parameter, constraint): (&Param, Constraint)| {
            let value = constraint.apply(parameter.value())?;
            let value = match applies {
                Some(applies) => Tensor::select(applies, &value, parameter.value())?,
                None => value,
            };
            Ok((parameter.id(), value))
        };
        found.parameters.into_iter().map(value).collect::<Result<_>>().map(Values)
    }
}

/// New values of parameters.
pub(super) struct Values(Vec<(LeafId, Tensor)>);

impl Values {
    /// Writes them into the parameters' own memory.
    pub(super) fn write<M: Module + ?Sized>(self, model: &mut M) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut writing = Writing { values: self.0, written: Ok(()) };
        model.visit_mut(&mut writing);
        writing.written
    }
}

/// Pairs parameters with their constraints.
struct Found<'m> {
    constrained: Vec<(LeafId, Constraint)>,
    parameters: Vec<(&'m Param, Constraint)>,
}

impl<'m> Visitor<'m> for Found<'m> {
    fn parameter(&mut self, parameter: &'m Param) {
        if let Some(at) = self.constrained.iter().position(|(id, _)| *id == parameter.id()) {
            self.parameters.push((parameter, self.constrained.swap_remove(at).1));
        }
    }
}

struct Writing {
    values: Vec<(LeafId, Tensor)>,
    written: Result<()>,
}

impl<'m> VisitorMut<'m> for Writing {
    fn parameter(&mut self, parameter: &'m mut Param) {
        if let Some((_, value)) = self.values.iter().find(|(id, _)| *id == parameter.id())
            && self.written.is_ok()
        {
            self.written = parameter.value_mut().copy_from(value);
        }
    }
    fn buffer(&mut self, _: &'m mut Buffer) {}
}
