//! A layer that graphs refer to.

use crate::AnyLayer;
use std::sync::{Arc, Weak};

/// A layer of a container. A graph may refer to it, to run it again in the backward pass; once the layer is lent out to be
/// changed, the reference is void, so that no gradient is of other weights than the output was.
pub(crate) struct Held(Arc<Box<dyn AnyLayer>>);

/// What a graph holds of a layer.
pub(crate) struct Reference(Weak<Box<dyn AnyLayer>>);

impl Held {
    pub(crate) fn new(layer: Box<dyn AnyLayer>) -> Self {
        Held(Arc::new(layer))
    }

    #[inline]
    pub(crate) fn get(&self) -> &(dyn AnyLayer + 'static) {
        &**self.0
    }

    /// The layer, to be changed.
    pub(crate) fn get_mut(&mut self) -> &mut (dyn AnyLayer + 'static) {
        while Arc::get_mut(&mut self.0).is_none() {
            self.leave_graphs();
        }
        match Arc::get_mut(&mut self.0) {
            Some(layer) => &mut **layer,
            None => unreachable!("no graph refers to it any more"),
        }
    }

    /// Moves the layer, away from what refers to it.
    #[cold]
    fn leave_graphs(&mut self) {
        let nothing: Box<dyn AnyLayer> = Box::new(crate::Activation::Linear);
        match Arc::try_unwrap(std::mem::replace(&mut self.0, Arc::new(nothing))) {
            Ok(layer) => self.0 = Arc::new(layer),
            Err(shared) => {
                // A backward pass on another thread is running the layer.
                self.0 = shared;
                std::thread::yield_now();
            }
        }
    }

    pub(crate) fn refer(&self) -> Reference {
        Reference(Arc::downgrade(&self.0))
    }
}

impl Reference {
    /// The layer; none where it has been lent out to be changed since, or is gone.
    pub(crate) fn layer(&self) -> Option<Arc<Box<dyn AnyLayer>>> {
        self.0.upgrade()
    }
}
