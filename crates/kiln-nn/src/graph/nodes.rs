//! What calls of a graph take and give.

use super::Graph;
use crate::Layer;
use kiln_tensor::{Error, Result};
use std::marker::PhantomData;

/// A place in a [`Graph`]: the value of an input or of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Node {
    pub(super) graph: u64,
    pub(super) at: usize,
}

/// A layer of a [`Graph`] that is called in several places, with one set of parameters.
#[derive(Debug)]
pub struct Shared<L> {
    pub(super) graph: u64,
    pub(super) layer: usize,
    pub(super) of: PhantomData<fn(L)>,
}

impl<L> Clone for Shared<L> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<L> Copy for Shared<L> {}

/// What [`Graph::call`] can call: a layer, which it adds to the graph, or a [`Shared`] layer of the graph.
pub trait Callee {
    /// The layer's number in the graph.
    ///
    /// # Errors
    /// A layer of another graph.
    fn within(self, graph: &mut Graph) -> Result<usize>;
}

impl<L: Layer + 'static> Callee for L {
    fn within(self, graph: &mut Graph) -> Result<usize> {
        Ok(graph.layer(self).layer)
    }
}

impl<L> Callee for &Shared<L> {
    fn within(self, graph: &mut Graph) -> Result<usize> {
        if self.graph != graph.id {
            return Err(Error::value("graph", "this layer was added to another graph"));
        }
        Ok(self.layer)
    }
}

/// The arguments of a call: one place or several.
pub trait Nodes {
    /// The places in order.
    fn nodes(&self) -> Vec<Node>;
}

impl Nodes for &Node {
    fn nodes(&self) -> Vec<Node> {
        vec![**self]
    }
}

impl Nodes for &[&Node] {
    fn nodes(&self) -> Vec<Node> {
        self.iter().map(|&&node| node).collect()
    }
}

impl<const N: usize> Nodes for &[&Node; N] {
    fn nodes(&self) -> Vec<Node> {
        self.iter().map(|&&node| node).collect()
    }
}
