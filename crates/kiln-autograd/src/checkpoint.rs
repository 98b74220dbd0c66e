//! Checkpoints: parts of a computation that record nothing, and are run again in the backward pass.

use crate::graph::{Node, NodeRef, next_id};
use crate::{Backward, Function, Squash, Var};
use kiln_tensor::{Error, Result, Shape, Tensor};
use std::collections::BTreeMap;

/// Computes `f(x)` without keeping the values that its gradient needs; the backward pass calls `f` again. Memory is saved for time,
/// as by PyTorch's `torch.utils.checkpoint`: a chain of n operations in √n checkpoints keeps about 2√n values instead of n.
///
/// Gradients are those without the checkpoint, bit for bit, and can be differentiated again. They reach `x` and every Var that `f`
/// holds. `f` is to compute the same each time: what is random in it has a fixed stream. A checkpoint may hold others.
///
/// ```
/// use kiln_autograd::{Var, checkpoint};
/// use kiln_tensor::{Device, Result, Tensor};
/// # fn main() -> Result<()> {
/// # let cpu = Device::cpu();
/// let w = Var::variable(Tensor::scalar(0.5f64, &cpu)?);
/// let x = Var::variable(Tensor::scalar(1.0f64, &cpu)?);
/// let inner = w.clone();
/// let y = checkpoint(move |x| x.mul(&inner)?.exp()?.sin(), &x)?;
/// let gradients = y.backward()?;
/// assert!(gradients.of(&x).is_some() && gradients.of(&w).is_some());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Those of `f`. In the backward pass: those of `f`, and an output of another shape than before.
pub fn checkpoint(f: impl Fn(&Var) -> Result<Var> + Send + Sync + 'static, x: &Var) -> Result<Var> {
    let mut outputs = checkpoint_many(move |inputs| Ok(vec![f(&inputs[0])?]), &[x])?;
    outputs.pop().ok_or_else(|| Error::value("checkpoint", "no output"))
}

/// As [`checkpoint`], of any number of inputs and outputs.
///
/// # Errors
/// As [`checkpoint`].
pub fn checkpoint_many(
    f: impl Fn(&[Var]) -> Result<Vec<Var>> + Send + Sync + 'static,
    inputs: &[&Var],
) -> Result<Vec<Var>> {
    let first = next_id();
    let outputs = f(&inputs.iter().map(|input| input.detach()).collect::<Vec<_>>())?;
    // Only what `f` holds can have been recorded.
    let held = outside(&outputs, first);
    Ok(made_again(f, inputs, held, outputs))
}

/// Outputs that were computed without a graph and are computed once more by `again`, in the backward pass: from the `inputs`, and
/// from `held`, Vars that it holds beside them and whose gradients are wanted. For layers; [`checkpoint`] finds out what is held.
///
/// `again` is to give as many outputs of the same shapes.
#[doc(hidden)]
pub fn recompute(
    again: impl Fn(&[Var]) -> Result<Vec<Var>> + Send + Sync + 'static,
    inputs: &[&Var],
    held: &[&Var],
    outputs: Vec<Var>,
) -> Vec<Var> {
    made_again(again, inputs, held.iter().filter_map(|var| var.node().cloned()).collect(), outputs)
}

fn made_again<F>(again: F, inputs: &[&Var], held: Vec<NodeRef>, outputs: Vec<Var>) -> Vec<Var>
where
    F: Fn(&[Var]) -> Result<Vec<Var>> + Send + Sync + 'static,
{
    let (inputs, layout) = Layout::flat(inputs.iter().copied());
    if held.is_empty() && !inputs.iter().any(Var::requires_grad) {
        return outputs;
    }
    let (outputs, output_layout) = Layout::flat(&outputs);
    let (saved, nodes): (Vec<Tensor>, Vec<Option<NodeRef>>) = inputs.into_iter().map(Var::into_parts).unzip();
    let shapes = outputs.iter().map(|output| *output.shape()).collect();
    let edges = nodes.into_iter().chain(held.into_iter().map(Some));
    let hub: NodeRef = Node::new(None, edges, Checkpoint { again, layout, inputs: saved, shapes });
    let output = |(position, output): (usize, Var)| {
        let output = output.into_tensor();
        if !output.dtype().is_float() {
            return Var::constant(output);
        }
        let node: NodeRef = Node::new(Some(*output.shape()), [Some(hub.clone())], Output(position));
        Var::with_node(output, Some(node))
    };
    output_layout.put_back(outputs.into_iter().enumerate().map(output))
}

/// Where among flat Vars those are that came with logits: [`Var::origin`].
struct Layout(Vec<Option<Squash>>);

impl Layout {
    /// Each Var, followed by its logits where it has some.
    fn flat<'v>(vars: impl IntoIterator<Item = &'v Var>) -> (Vec<Var>, Self) {
        let (mut flat, mut squashes) = (Vec::new(), Vec::new());
        for var in vars {
            flat.push(Var::with_node(var.tensor().clone(), var.node().cloned()));
            flat.extend(var.origin().map(|origin| origin.logits().clone()));
            squashes.push(var.origin().map(|origin| origin.squash()));
        }
        (flat, Layout(squashes))
    }

    /// The Vars, each with its logits.
    fn put_back(&self, flat: impl IntoIterator<Item = Var>) -> Vec<Var> {
        let mut flat = flat.into_iter();
        let var = |squash: &Option<Squash>| {
            let var = flat.next()?;
            match squash {
                Some(squash) => Some(var.made_of(*squash, &flat.next()?)),
                None => Some(var),
            }
        };
        self.0.iter().map_while(var).collect()
    }
}

/// The node between the inputs and the outputs of a checkpoint.
struct Checkpoint<F> {
    again: F,
    layout: Layout,
    inputs: Vec<Tensor>,
    shapes: Vec<Shape>,
}

impl<F> Function for Checkpoint<F>
where
    F: Fn(&[Var]) -> Result<Vec<Var>> + Send + Sync + 'static,
{
    fn name(&self) -> &'static str {
        "checkpoint"
    }

    /// Puts the graph of what is computed once more in this node's place: the pass goes on through that.
    fn backward(&self, _: Var, pass: &mut Backward<'_>) -> Result<()> {
        let gradients = pass.received();
        let first = next_id();
        let inputs = self.inputs.iter().enumerate().map(|(position, saved)| pass.placed_input(position, saved));
        let outputs = (self.again)(&self.layout.put_back(inputs))?;
        let (outputs, _) = Layout::flat(&outputs);
        if !outputs.iter().map(Var::shape).eq(&self.shapes) {
            let message = "the backward pass computed outputs of other shapes than the forward pass: the function must do the same \
                           both times";
            return Err(Error::shape("checkpoint", message));
        }
        pass.continue_at(outputs, gradients, first)
    }
}

/// One of a checkpoint's outputs.
struct Output(usize);

impl Function for Output {
    fn name(&self) -> &'static str {
        "checkpoint"
    }
    fn backward(&self, dy: Var, pass: &mut Backward<'_>) -> Result<()> {
        pass.hand_over(self.0, dy);
        Ok(())
    }
}

/// The nodes made since `first` that these Vars depend on, by ascending id, so each after those of its inputs.
pub(crate) fn nodes_since(vars: &[Var], first: u64) -> BTreeMap<u64, NodeRef> {
    let mut seen = BTreeMap::new();
    let mut stack: Vec<NodeRef> = vars.iter().filter_map(|var| var.node().cloned()).collect();
    while let Some(node) = stack.pop() {
        if node.id >= first && !seen.contains_key(&node.id) {
            stack.extend(node.edges.iter().cloned());
            seen.insert(node.id, node);
        }
    }
    seen
}

/// The nodes from before `first` that these Vars depend on.
fn outside(vars: &[Var], first: u64) -> Vec<NodeRef> {
    let inside = nodes_since(vars, first);
    let own = vars.iter().filter_map(Var::node);
    let mut found = BTreeMap::new();
    for node in own.chain(inside.values().flat_map(|node| node.edges.iter())) {
        if node.id < first {
            found.insert(node.id, node.clone());
        }
    }
    found.into_values().collect()
}
