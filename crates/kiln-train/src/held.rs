//! What a model holds beside its parameters.

use crate::Objective;
use kiln_nn::{Buffer, Carried, Module, Param, Visitor};

/// Whether a model has buffers, and whether it has layers that carry states from batch to batch.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Held {
    pub(crate) buffers: bool,
    pub(crate) carried: bool,
}

impl Held {
    pub(crate) fn of(model: &dyn Objective) -> Held {
        let mut held = Held::default();
        Module::visit(model, &mut held);
        held
    }
}

impl<'m> Visitor<'m> for Held {
    fn parameter(&mut self, _: &'m Param) {}
    fn buffer(&mut self, _: &'m Buffer) {
        self.buffers = true;
    }
    fn carried(&mut self, _: &'m Carried) {
        self.carried = true;
    }
}
