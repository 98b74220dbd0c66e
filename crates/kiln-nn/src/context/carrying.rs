//! What layers carry in a pass: the tensors of the same use, all of them changed or, where the pass fails, none.

use super::Ctx;
use crate::Carried;
use crate::carried::Use;
use kiln_tensor::{Result, Tensor};
use std::cell::{Cell, RefCell};

/// What a pass has done so far with what layers carry.
#[derive(Default, Debug)]
pub(super) struct Carrying {
    /// How many parts of the pass are running, one within the other.
    depth: Cell<usize>,
    counts: RefCell<Counts>,
    /// Of each change the state before it, which comes back where the part of the pass fails that made it.
    changes: RefCell<Vec<(Carried, Use, Vec<Tensor>)>>,
}

/// How often each layer was used at each path.
#[derive(Default, Debug)]
pub(super) struct Counts(Vec<(Carried, Use)>);

impl Clone for Counts {
    fn clone(&self) -> Self {
        Counts(self.0.iter().map(|(carried, next)| (carried.shared(), next.clone())).collect())
    }
}

impl Counts {
    /// This use of a layer; the next one at this path has the next number.
    fn next(&mut self, carried: &Carried, path: &str) -> Use {
        let known = self.0.iter_mut().find(|(known, next)| next.path == path && known.is(carried));
        let this = known.as_ref().map_or_else(|| Use { path: path.to_owned(), number: 0 }, |(_, next)| next.clone());
        match known {
            Some((_, next)) => next.number += 1,
            None => self.0.push((carried.shared(), Use { number: 1, ..this.clone() })),
        }
        this
    }
}

impl Carrying {
    /// In the middle of a pass in which layers were used so often.
    pub(super) fn after(counts: Counts) -> Self {
        Carrying { counts: counts.into(), ..Carrying::default() }
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts.borrow().clone()
    }

    /// Runs a part of a pass; of the outermost part, `begins` tells whether a pass begins with it. Where it fails, layers carry
    /// what they did before.
    #[inline]
    pub(super) fn part<R>(&self, begins: bool, run: impl FnOnce() -> Result<R>) -> Result<R> {
        let depth = self.depth.get();
        let outermost = depth == 0;
        if outermost && begins {
            self.counts.borrow_mut().0.clear();
            self.changes.borrow_mut().clear();
        }
        let before = if outermost { 0 } else { self.changes.borrow().len() };
        self.depth.set(depth + 1);
        let result = run();
        self.depth.set(depth);
        match &result {
            Err(_) => self.undo(before),
            Ok(_) if outermost && begins => self.changes.borrow_mut().clear(),
            Ok(_) => {}
        }
        result
    }

    #[cold]
    fn undo(&self, from: usize) {
        let changes = self.changes.borrow_mut().split_off(from);
        changes.into_iter().rev().for_each(|(carried, of, before)| carried.set(&of, before));
    }
}

/// One use of a layer in a pass, with the tensors that the same use left in the pass before: [`Ctx::carried`].
#[derive(Debug)]
pub struct CarriedUse<'c> {
    ctx: &'c Ctx,
    carried: &'c Carried,
    of: Use,
}

impl CarriedUse<'_> {
    /// The tensors that this use left in the pass before; none at the beginning.
    pub fn get(&self) -> Vec<Tensor> {
        self.carried.get(&self.of)
    }

    /// Leaves tensors for the same use in the next pass. Where this pass fails, those of before come back.
    pub fn set(&self, tensors: Vec<Tensor>) {
        let before = self.get();
        self.set_after(tensors, before);
    }

    /// As [`CarriedUse::get`], for a layer that writes into the tensors' memory: nobody else has them. What was taken is set again
    /// in any case.
    pub(crate) fn take(&self) -> Vec<Tensor> {
        self.carried.take(&self.of)
    }

    /// As [`CarriedUse::set`], with what comes back where the pass fails.
    pub(crate) fn set_after(&self, tensors: Vec<Tensor>, before: Vec<Tensor>) {
        self.carried.set(&self.of, tensors);
        self.ctx.carrying.changes.borrow_mut().push((self.carried.shared(), self.of.clone(), before));
    }

    /// Puts back what was taken.
    pub(crate) fn put_back(&self, tensors: Vec<Tensor>) {
        self.carried.set(&self.of, tensors);
    }
}

impl Ctx {
    /// The same, going on where the pass before ended: recurrent layers with their states, causal attention with its keys and values
    /// (a KV cache), positions with their count, as if all of these layers were stateful. So a text is read and written token by token.
    /// [`Layer::reset_states`](crate::Layer::reset_states) forgets what is carried.
    ///
    /// A layer that is used several times in a pass carries something for each use: its n-th use at a path goes on from the n-th use
    /// at that path in the pass before. A pass that fails changes nothing that layers carry. A pass is one call of [`Ctx::run`] or of a model's
    /// `forward`; where layers are called by hand, each pass needs a context of its own.
    ///
    /// ```
    /// # use kiln_nn::{Ctx, Dense, Embedding, Layer, Lstm, Sequential};
    /// # use kiln_tensor::{Device, Tensor};
    /// # fn main() -> Result<(), kiln_tensor::Error> {
    /// let cpu = Device::cpu();
    /// let model = Sequential::new().push(Embedding::new(50, 8)).push(Lstm::new(8).return_sequences(true)).push(Dense::new(50));
    /// let model = model.build([4], &cpu, 1)?;
    /// model.reset_states();
    /// for token in [7i64, 3, 9] {
    ///     let x = Tensor::from_slice(&[token], [1, 1], &cpu)?;
    ///     let logits = model.forward(&x, &Ctx::eval().carrying())?; // (1, 1, 50), given all tokens so far
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn carrying(mut self) -> Self {
        self.mode.carrying = true;
        self
    }

    /// Whether a layer goes on where the pass before ended, because of this context or because it is `stateful`, which counts in
    /// evaluation.
    pub(crate) fn carries(&self, stateful: bool) -> bool {
        self.mode.carrying || (stateful && !self.is_training())
    }

    /// What a layer carries for this use of it. A layer asks once in each forward pass:
    ///
    /// ```
    /// # use kiln_autograd::Var;
    /// # use kiln_nn::{Carried, Ctx, Describe, Layer, Module};
    /// # use kiln_tensor::{Result, Tensor};
    /// /// The sum of all batches so far.
    /// #[derive(Module, Describe, Default)]
    /// struct RunningSum {
    ///     carried: Carried,
    /// }
    /// impl Layer for RunningSum {
    ///     type Input = Var;
    ///     type Output = Var;
    ///     fn forward(&self, x: Var, ctx: &Ctx) -> Result<Var> {
    ///         let carried = ctx.carried(&self.carried);
    ///         let sum = match carried.get().first() {
    ///             Some(before) => x.add(&Var::constant(before.clone()))?,
    ///             None => x,
    ///         };
    ///         carried.set(vec![sum.tensor().clone()]);
    ///         Ok(sum)
    ///     }
    ///     fn reset_states(&self) {
    ///         self.carried.clear();
    ///     }
    /// }
    /// # fn main() -> Result<()> {
    /// # let x = Tensor::ones([2], kiln_tensor::DType::F32, &kiln_tensor::Device::cpu())?;
    /// let layer = RunningSum::default();
    /// Ctx::eval().run(&layer, &x)?;
    /// assert_eq!(Ctx::eval().run(&layer, &x)?.tensor().to_vec::<f32>()?, [2.0, 2.0]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn carried<'c>(&'c self, carried: &'c Carried) -> CarriedUse<'c> {
        let of = self.place.with("", |here| self.carrying.counts.borrow_mut().next(carried, here.path));
        CarriedUse { ctx: self, carried, of }
    }
}
