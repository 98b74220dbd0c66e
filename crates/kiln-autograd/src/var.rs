//! `Var`: a tensor that may remember how it was made.

use crate::graph::{Node, NodeRef};
use crate::{Function, Origin};
use kiln_tensor::{DType, Device, Result, Shape, Tensor};
use std::fmt;
use std::sync::Arc;

/// A tensor in a computation that may be differentiated.
///
/// It wraps a [`Tensor`] and, where a gradient is needed, the node of the graph that made it. Operations on Vars of which
/// none has a node record nothing. There is no `Deref` to `Tensor`: that would drop gradients silently; ask for
/// [`Var::tensor`].
#[derive(Clone)]
pub struct Var {
    tensor: Tensor,
    place: Place,
}

/// What a Var remembers, in two words: with a third one the compiler moves Vars by calls instead of inline, which costs a small
/// operation a fifth of its time.
#[derive(Clone)]
enum Place {
    Recorded(NodeRef),
    Elsewhere(Option<Arc<Known>>),
}

/// Of probabilities: their place in the graph, if there is one, and beside it their logits. In evaluation there is no graph.
struct Known {
    node: Option<NodeRef>,
    origin: Origin,
}

impl Place {
    const NOWHERE: Place = Place::Elsewhere(None);

    #[inline]
    fn of(node: Option<NodeRef>) -> Self {
        node.map_or(Place::NOWHERE, Place::Recorded)
    }

    #[inline]
    fn node(&self) -> Option<&NodeRef> {
        match self {
            Place::Recorded(node) => Some(node),
            Place::Elsewhere(None) => None,
            Place::Elsewhere(Some(known)) => known.node.as_ref(),
        }
    }
}

/// Identity of a leaf: what a gradient is filed under.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct LeafId(pub(crate) u64);

/// A place in graphs for a value that is learned: it outlives the value's updates and the graphs themselves.
#[derive(Clone)]
pub struct Leaf(NodeRef);

/// A leaf's function: the end of the way.
struct LeafFunction;

impl Function for LeafFunction {
    fn name(&self) -> &'static str {
        "leaf"
    }
    fn backward(&self, _: Var, _: &mut crate::Backward<'_>) -> Result<()> {
        Ok(())
    }
}

impl Leaf {
    /// A fresh leaf.
    pub fn new() -> Self {
        Leaf::of(None)
    }

    fn of(shape: Option<Shape>) -> Self {
        Leaf(Node::new(shape, [], LeafFunction))
    }

    /// What gradients are filed under.
    #[inline]
    pub fn id(&self) -> LeafId {
        LeafId(self.0.id)
    }

    /// The leaf with this value, as an input of a computation that will be differentiated.
    #[inline]
    pub fn var(&self, value: &Tensor) -> Var {
        Var { tensor: value.clone(), place: Place::Recorded(self.0.clone()) }
    }
}

impl Default for Leaf {
    fn default() -> Self {
        Leaf::new()
    }
}

impl fmt::Debug for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Leaf({})", self.0.id)
    }
}

impl Var {
    /// A value that needs no gradient.
    #[inline]
    pub fn constant(tensor: Tensor) -> Self {
        Var { tensor, place: Place::NOWHERE }
    }

    /// A value that gradients are wanted of, as a leaf of its own.
    pub fn variable(tensor: Tensor) -> Self {
        let leaf = Leaf::of(Some(*tensor.shape()));
        Var { tensor, place: Place::Recorded(leaf.0) }
    }

    /// The output of an operation: recorded where one of the inputs needs a gradient.
    #[inline]
    pub fn from_function<F: Function>(function: F, output: Tensor, inputs: &[&Var]) -> Self {
        if inputs.iter().all(|input| input.node().is_none()) {
            return Var::constant(output);
        }
        let nodes = inputs.iter().map(|input| input.node().cloned());
        let node = Node::new(Some(*output.shape()), nodes, function);
        Var { tensor: output, place: Place::Recorded(node) }
    }

    /// As [`Var::from_function`], but the function is only made where it is recorded.
    #[inline(always)]
    pub(crate) fn record<F: Function>(inputs: &[&Var], output: Tensor, function: impl FnOnce(&Tensor) -> F) -> Self {
        if inputs.iter().all(|input| input.node().is_none()) {
            return Var::constant(output);
        }
        let function = function(&output);
        Var::from_function(function, output, inputs)
    }

    #[inline]
    pub(crate) fn with_node(tensor: Tensor, node: Option<NodeRef>) -> Self {
        Var { tensor, place: Place::of(node) }
    }

    #[inline]
    pub(crate) fn node(&self) -> Option<&NodeRef> {
        self.place.node()
    }

    /// The same value at the same place of the graph, with its logits.
    pub(crate) fn known(self, origin: Origin) -> Self {
        let node = self.node().cloned();
        Var { tensor: self.tensor, place: Place::Elsewhere(Some(Arc::new(Known { node, origin }))) }
    }

    #[inline]
    pub(crate) fn known_origin(&self) -> Option<&Origin> {
        match &self.place {
            Place::Elsewhere(Some(known)) => Some(&known.origin),
            _ => None,
        }
    }

    #[inline]
    pub(crate) fn into_parts(self) -> (Tensor, Option<NodeRef>) {
        let node = match self.place {
            Place::Recorded(node) => Some(node),
            Place::Elsewhere(known) => known.and_then(|known| known.node.clone()),
        };
        (self.tensor, node)
    }

    /// The value.
    #[inline]
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// The value, to be changed in place: only for gradients on their way, which no graph has saved.
    #[inline]
    pub(crate) fn tensor_mut(&mut self) -> &mut Tensor {
        &mut self.tensor
    }

    /// The value alone.
    #[inline]
    pub fn into_tensor(self) -> Tensor {
        self.tensor
    }

    /// The same value, of which no gradient is needed.
    #[inline]
    pub fn detach(&self) -> Self {
        let value = Var::constant(self.tensor.clone());
        match self.origin() {
            Some(origin) => value.made_of(origin.squash(), &Var::constant(origin.logits().tensor().clone())),
            None => value,
        }
    }

    /// Whether a gradient can flow through this value.
    #[inline]
    pub fn requires_grad(&self) -> bool {
        self.node().is_some()
    }

    /// What the gradient of this value is filed under, if it has a place in a graph.
    #[inline]
    pub fn id(&self) -> Option<LeafId> {
        self.node().map(|node| LeafId(node.id))
    }

    /// The value's shape.
    #[inline]
    pub fn shape(&self) -> &Shape {
        self.tensor.shape()
    }

    /// Sizes of the axes.
    #[inline]
    pub fn dims(&self) -> &[usize] {
        self.tensor.dims()
    }

    /// The value's data type.
    #[inline]
    pub fn dtype(&self) -> DType {
        self.tensor.dtype()
    }

    /// Where the value is.
    #[inline]
    pub fn device(&self) -> &Device {
        self.tensor.device()
    }

    /// The value of a tensor of one element.
    ///
    /// # Errors
    /// More or fewer than one element.
    pub fn item(&self) -> Result<f64> {
        self.tensor.item()
    }
}

/// A clone: it shares the tensor and the place in the graph.
impl From<&Var> for Var {
    #[inline]
    fn from(var: &Var) -> Self {
        var.clone()
    }
}

impl From<Tensor> for Var {
    fn from(tensor: Tensor) -> Self {
        Var::constant(tensor)
    }
}

impl From<&Tensor> for Var {
    fn from(tensor: &Tensor) -> Self {
        Var::constant(tensor.clone())
    }
}

impl fmt::Debug for Var {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.node() {
            Some(node) => write!(f, "Var({:?}, by {})", self.tensor, node.function.name()),
            None => write!(f, "Var({:?})", self.tensor),
        }
    }
}

impl fmt::Display for Var {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.tensor, f)
    }
}
