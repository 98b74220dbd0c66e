//! The recorded graph: nodes that know their inputs' nodes and how to turn an output's gradient into theirs.

use crate::Function;
use kiln_tensor::{Shape, profile};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A node of the graph: one recorded operation, or a leaf.
///
/// Ids grow with time, so an operation's id is above those of all its inputs: going through pending nodes by descending
/// id is a topological order, and no sort is ever made.
pub(crate) struct Node<F: ?Sized = dyn Function> {
    pub(crate) id: u64,
    /// The layer that recorded it, for profiles: [`profile::scope`].
    pub(crate) scope: u32,
    /// The shape of its output, which its gradient must have. A parameter's leaf has none: its value may be another one later.
    pub(crate) shape: Option<Shape>,
    pub(crate) edges: Edges,
    pub(crate) function: F,
}

pub(crate) type NodeRef = Arc<Node>;

impl<F: Function> Node<F> {
    /// A node of the nodes of its inputs, in order.
    #[inline]
    pub(crate) fn new(
        shape: Option<Shape>,
        inputs: impl IntoIterator<Item = Option<NodeRef>>,
        function: F,
    ) -> Arc<Self> {
        let mut edges = Edges::default();
        for (position, input) in inputs.into_iter().enumerate() {
            edges.push(position, input);
        }
        Arc::new(Node { id: next_id(), scope: profile::scope(), shape, edges, function })
    }
}

/// The nodes of an operation's inputs, in order; `None` for an input that needs no gradient.
///
/// Three are held inline (a fused linear layer has three), which spares an allocation for all but `concat`.
#[derive(Default)]
pub(crate) struct Edges {
    inline: [Option<NodeRef>; 3],
    rest: Vec<Option<NodeRef>>,
}

impl Edges {
    fn push(&mut self, position: usize, edge: Option<NodeRef>) {
        match self.inline.get_mut(position) {
            Some(slot) => *slot = edge,
            None => self.rest.push(edge),
        }
    }

    pub(crate) fn get(&self, position: usize) -> Option<&NodeRef> {
        match self.inline.get(position) {
            Some(edge) => edge.as_ref(),
            None => self.rest.get(position - self.inline.len()).and_then(Option::as_ref),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &NodeRef> {
        self.inline.iter().chain(&self.rest).flatten()
    }

    fn drain_into(&mut self, to: &mut Vec<NodeRef>) {
        to.extend(self.inline.iter_mut().chain(&mut self.rest).filter_map(Option::take));
    }

    /// Whether an input's node has no other owner, so that dropping this one would drop it too.
    fn owns_alone(&self) -> bool {
        self.iter().any(|node| Arc::strong_count(node) == 1)
    }
}

/// A fresh id.
pub(crate) fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl<F: ?Sized> Drop for Node<F> {
    /// Frees a chain of nodes in a loop: a recurrent network's graph is deeper than the stack.
    fn drop(&mut self) {
        if !self.edges.owns_alone() {
            return;
        }
        let mut stack = Vec::new();
        self.edges.drain_into(&mut stack);
        while let Some(mut node) = stack.pop() {
            if let Some(node) = Arc::get_mut(&mut node) {
                node.edges.drain_into(&mut stack);
            }
        }
    }
}
