//! Parameters and buffers: what a module owns beside its settings.

use crate::{Ctx, Mode};
use kiln_autograd::{Leaf, LeafId, Var};
use kiln_tensor::{Error, ErrorKind, Result, Tensor};
use std::sync::atomic::{AtomicU64, Ordering};

/// A value that is learned: a tensor, and the leaf that its gradients are filed under.
#[derive(Debug)]
pub struct Param {
    value: Tensor,
    leaf: Leaf,
    trainable: bool,
    /// How often the value was lent to be changed.
    version: u64,
}

impl Param {
    /// A trainable parameter with this first value.
    pub fn new(value: Tensor) -> Self {
        Param { value, leaf: Leaf::new(), trainable: true, version: 0 }
    }

    /// The value.
    #[inline]
    pub fn value(&self) -> &Tensor {
        &self.value
    }

    /// The value, to be changed in place by an optimizer; shape, dtype and device are to stay ([`Param::set`] checks that).
    #[inline]
    pub fn value_mut(&mut self) -> &mut Tensor {
        self.version += 1;
        &mut self.value
    }

    /// Changes whenever the value may have.
    #[inline]
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// Replaces the value; the identity, and with it an optimizer's state, stays.
    ///
    /// # Errors
    /// A value of another shape or dtype. (Another device is a move.)
    pub fn set(&mut self, value: Tensor) -> Result<()> {
        same_kind("param.set", &self.value, &value)?;
        *self.value_mut() = value;
        Ok(())
    }

    /// The parameter in a computation: tracked where the context records gradients and the parameter is trainable, a
    /// constant otherwise. Within [`Ctx::replacing`] it is what stands for it.
    #[inline]
    pub fn var(&self, ctx: &Ctx) -> Var {
        let Some(replacement) = ctx.replacement(self) else {
            return ctx.converted_parameter(self, self.own_var(ctx));
        };
        // Counted beside the use that the replacement is computed from: its gradient is not the parameter's own.
        self.record_use(ctx);
        match ctx.compute_here() {
            Some(dtype) if dtype != replacement.dtype() => replacement.to_dtype(dtype).unwrap_or(replacement),
            _ => replacement,
        }
    }

    /// As [`Param::var`]; where the pass computes in a half type in its own type, for factors of normalizations, which are computed in f32.
    #[inline]
    pub(crate) fn factor(&self, ctx: &Ctx) -> Var {
        match ctx.compute_here() {
            Some(dtype) if dtype.is_half() => ctx.replacement(self).unwrap_or_else(|| self.own_var(ctx)),
            _ => self.var(ctx),
        }
    }

    /// As [`Param::var`], of itself and in its own type.
    #[inline]
    pub(crate) fn own_var(&self, ctx: &Ctx) -> Var {
        self.record_use(ctx);
        self.leaf_in(ctx.mode())
    }

    #[inline]
    fn record_use(&self, ctx: &Ctx) {
        if let Some(recorder) = ctx.recorder() {
            recorder.used(self.id());
        }
    }

    /// As [`Param::var`], of itself and in its own type, in a pass of this kind.
    #[inline]
    pub(crate) fn leaf_in(&self, mode: Mode) -> Var {
        match self.trainable && mode.recording {
            true => self.leaf.var(&self.value),
            false => Var::constant(self.value.clone()),
        }
    }

    /// The place that its gradients are filed under; none where it is frozen.
    pub(crate) fn leaf(&self) -> Option<Var> {
        self.trainable.then(|| self.leaf.var(&self.value))
    }

    /// What its gradients are filed under.
    #[inline]
    pub fn id(&self) -> LeafId {
        self.leaf.id()
    }

    /// Whether gradients are taken of it.
    #[inline]
    pub fn trainable(&self) -> bool {
        self.trainable
    }

    /// Freezes it (`false`) or lets it learn again. A frozen parameter gets no gradient, so optimizers leave it alone.
    pub fn set_trainable(&mut self, trainable: bool) {
        self.trainable = trainable;
    }
}

impl Clone for Param {
    /// A parameter of its own with the same value: it shares neither gradients nor later updates. To share a weight
    /// between two places, use the same layer in both.
    fn clone(&self) -> Self {
        Param { value: self.value.clone(), leaf: Leaf::new(), trainable: self.trainable, version: 0 }
    }
}

/// Identity of a [`Buffer`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct BufferId(u64);

/// A value that a module keeps but does not learn by gradients: running statistics. It belongs to the state that is saved.
///
/// A forward pass does not write it: it hands a batch's part to [`Ctx::average`], or the new value to [`Ctx::update`], and
/// [`Ctx::commit`] writes it into the buffer's memory once the step has succeeded.
#[derive(Debug)]
pub struct Buffer {
    value: Tensor,
    id: BufferId,
    trainable: bool,
}

impl Buffer {
    /// A buffer with this first value.
    pub fn new(value: Tensor) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Buffer { value, id: BufferId(NEXT.fetch_add(1, Ordering::Relaxed)), trainable: true }
    }

    /// The committed value; [`Ctx::value_of`] also sees what the running step has handed in.
    #[inline]
    pub fn value(&self) -> &Tensor {
        &self.value
    }

    /// Replaces the value.
    ///
    /// # Errors
    /// A value of another shape or dtype.
    pub fn set(&mut self, value: Tensor) -> Result<()> {
        self.accepts(&value)?;
        self.value = value;
        Ok(())
    }

    /// Whether [`Buffer::set`] would take this value.
    pub(crate) fn accepts(&self, value: &Tensor) -> Result<()> {
        same_kind("buffer.set", &self.value, value)
    }

    /// The value, to be changed in place.
    pub(crate) fn value_mut(&mut self) -> &mut Tensor {
        &mut self.value
    }

    /// Replaces the value by one that was checked, or is meant to be of another dtype.
    pub(crate) fn replace(&mut self, value: Tensor) {
        self.value = value;
    }

    /// Whether training is to change it.
    #[inline]
    pub fn trainable(&self) -> bool {
        self.trainable
    }

    /// Freezes it (`false`), or lets training change it again.
    pub fn set_trainable(&mut self, trainable: bool) {
        self.trainable = trainable;
    }

    /// Its identity.
    #[inline]
    pub fn id(&self) -> BufferId {
        self.id
    }
}

impl Clone for Buffer {
    /// A buffer of its own with the same value.
    fn clone(&self) -> Self {
        Buffer::new(self.value.clone())
    }
}

fn same_kind(operation: &'static str, old: &Tensor, new: &Tensor) -> Result<()> {
    if old.shape() == new.shape() && old.dtype() == new.dtype() {
        return Ok(());
    }
    let kind = if old.shape() == new.shape() { ErrorKind::DType } else { ErrorKind::Shape };
    Err(Error::new(
        kind,
        operation,
        format!("expected {} {}, got {} {}", old.dtype(), old.shape(), new.dtype(), new.shape()),
    ))
}
