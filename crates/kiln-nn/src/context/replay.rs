//! A part of a forward pass that is run without recording, and once more in the backward pass.

use super::carrying::{Carrying, Counts};
use super::effects::Effects;
use super::place::{Place, Spot};
use super::precision::{Conversions, Where};
use super::{Ctx, Mode};
use crate::updates::Updates;
use kiln_autograd::{LeafId, Var};
use kiln_tensor::Result;

/// What a context was when a part began: the same random numbers, and buffers as they were seen.
pub(crate) struct Replay {
    mode: Mode,
    conversions: Where,
    spot: Spot,
    updates: Updates,
    uses: Counts,
    replacements: Vec<(LeafId, Var)>,
}

impl Replay {
    /// A context to run the part in once more. What it leaves to be done is not done: it was, the first time.
    pub(crate) fn ctx(&self) -> Ctx {
        Ctx {
            mode: self.mode,
            silent: false.into(),
            place: Place::at(&self.spot),
            effects: Effects::after(self.updates.clone()),
            carrying: Carrying::after(self.uses.clone()),
            replacements: self.replacements.clone().into(),
            conversions: Conversions::at(self.conversions),
            probes: Vec::new(),
            recorder: None,
        }
    }
}

impl Ctx {
    /// What it takes to run the part that begins here once more.
    pub(crate) fn replay(&self) -> Replay {
        let replacements = self.replacements.borrow().clone();
        let (updates, uses) = (self.effects.updates(), self.carrying.counts());
        Replay {
            mode: self.mode,
            conversions: self.conversions.place(),
            spot: self.place.spot(),
            updates,
            uses,
            replacements,
        }
    }

    /// Runs a part without recording gradients. Gives what it returns and the penalties that depend on the part's values, each
    /// with its place: [`Ctx::replace_penalty`].
    pub(crate) fn silently<R>(&self, run: impl FnOnce() -> Result<R>) -> Result<(R, Vec<(usize, Var)>)> {
        let penalties = self.effects.penalties_so_far();
        let before = self.silent.replace(true);
        let result = run();
        self.silent.set(before);
        Ok((result?, self.effects.penalties_of_values(penalties)?))
    }

    /// Puts a penalty with a gradient in the place of one without.
    pub(crate) fn replace_penalty(&self, at: usize, value: Var) {
        self.effects.replace_penalty(at, value);
    }

    /// The penalties that depend on the values of a part, which is all that this context has run.
    pub(crate) fn penalties_of_values(&self) -> Result<impl Iterator<Item = Var> + use<>> {
        Ok(self.effects.penalties_of_values(0)?.into_iter().map(|(_, value)| value))
    }
}
