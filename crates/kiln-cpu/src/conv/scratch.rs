//! Memory that convolutions keep from one call to the next.

use crate::gemm::scratch::{ScratchBuffer, with_kept};
use std::cell::Cell;

/// What the threads of a call share; it is the calling thread's.
#[derive(Default)]
pub(super) struct Shared {
    /// Weights as panels, or the partial sums of a weight's gradient.
    pub(super) weights: ScratchBuffer,
    /// Images with adjacent channels.
    pub(super) field: ScratchBuffer,
    /// A gradient with adjacent images.
    pub(super) gradient: ScratchBuffer,
}

/// What a task needs for itself.
#[derive(Default)]
pub(super) struct Local {
    /// A strip of an image with adjacent channels, between its zeros.
    pub(super) strip: ScratchBuffer,
    /// Results before they go to their planes.
    pub(super) stage: ScratchBuffer,
    /// Terms of a sum.
    pub(super) spans: ScratchBuffer,
}

thread_local! {
    static SHARED: Cell<Option<Box<Shared>>> = const { Cell::new(None) };
    static LOCAL: Cell<Option<Box<Local>>> = const { Cell::new(None) };
}

pub(super) fn shared<R>(f: impl FnOnce(&mut Shared) -> R) -> R {
    with_kept(&SHARED, f)
}

pub(super) fn local<R>(f: impl FnOnce(&mut Local) -> R) -> R {
    with_kept(&LOCAL, f)
}

/// An address that tasks on several threads write through, each its own part.
#[derive(Clone, Copy)]
pub(super) struct Place<T>(pub(super) *mut T);

// SAFETY: a place is an address only; whoever writes there vouches for the part being its own.
unsafe impl<T> Send for Place<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Place<T> {}

impl<T> Place<T> {
    /// So many elements further on.
    pub(super) fn at(&self, elements: usize) -> *mut T {
        self.0.wrapping_add(elements)
    }
}
