//! The backward pass.

use crate::checkpoint::nodes_since;
use crate::graph::NodeRef;
use crate::{Gradients, LeafId, Var};
use kiln_tensor::profile::{self, Phase};
use kiln_tensor::{DType, Error, ErrorKind, Result, Shape, Tensor};
use std::borrow::Borrow;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};

/// A node whose gradient is known in part or whole.
struct Pending {
    node: NodeRef,
    gradient: Var,
    /// The type of each of its parts: those of a half type are added up in f32.
    dtype: DType,
}

/// What a pass has yet to do.
#[derive(Default)]
struct Ahead {
    pending: BTreeMap<u64, Pending>,
    /// Of a pending node with several outputs, their gradients.
    of_outputs: BTreeMap<u64, Vec<(usize, Var)>>,
}

impl Ahead {
    /// Adds a gradient to that of a node. The first one is moved in; a later one is added in place where the sum has one owner.
    fn add(&mut self, node: &NodeRef, gradient: Var, records: bool) -> Result<()> {
        let Some(pending) = self.pending.get_mut(&node.id) else {
            let dtype = gradient.dtype();
            self.pending.insert(node.id, Pending { node: node.clone(), gradient, dtype });
            return Ok(());
        };
        let gradient = if gradient.is_half() {
            pending.gradient = pending.gradient.widened()?;
            gradient.widened()?
        } else {
            gradient
        };
        if records {
            pending.gradient = pending.gradient.add(&gradient)?;
            return Ok(());
        }
        pending.gradient.tensor_mut().add_assign(gradient.tensor())
    }
}

/// The pass as a derivative rule sees it: which inputs want a gradient, the saved values, and where gradients go.
pub struct Backward<'p> {
    node: &'p NodeRef,
    ahead: &'p mut Ahead,
    /// Nodes that lead to what was asked for; everything, where nothing particular was.
    wanted: Option<&'p mut HashSet<u64>>,
    records: bool,
}

impl Backward<'_> {
    /// Whether the input at `position` wants a gradient.
    #[inline]
    pub fn needs(&self, position: usize) -> bool {
        match (self.node.edges.get(position), &self.wanted) {
            (Some(edge), Some(wanted)) => wanted.contains(&edge.id),
            (edge, _) => edge.is_some(),
        }
    }

    /// Whether the gradient itself will be differentiated: then a rule must compute by Var operations throughout;
    /// otherwise it may work on the tensors.
    #[inline]
    pub fn records(&self) -> bool {
        self.records
    }

    /// A saved input as a Var: with its place in the graph where the pass [records](Self::records).
    #[inline]
    pub fn input(&self, position: usize, saved: &Tensor) -> Var {
        let node = if self.records { self.node.edges.get(position).cloned() } else { None };
        Var::with_node(saved.clone(), node)
    }

    /// The saved output as a Var: with its place in the graph where the pass [records](Self::records).
    #[inline]
    pub fn output(&self, saved: &Tensor) -> Var {
        Var::with_node(saved.clone(), self.records.then(|| self.node.clone()))
    }

    /// Adds `gradient` to that of the input at `position`.
    ///
    /// # Errors
    /// A gradient of another shape than the input's, which is a mistake of the rule; those of the addition.
    pub fn accumulate(&mut self, position: usize, gradient: Var) -> Result<()> {
        if !self.needs(position) {
            return Ok(());
        }
        let Some(edge) = self.node.edges.get(position) else { return Ok(()) };
        if let Some(expected) = edge.shape
            && *gradient.shape() != expected
        {
            return Err(self.wrong_shape(position, gradient.shape(), &expected));
        }
        self.ahead.add(edge, gradient, self.records)
    }

    /// What is known so far of the gradient of the input at `position`, taken out of the pass: for a rule that adds its own part while it
    /// makes it, in one pass over memory, and accumulates the sum. `None` where nothing is known, where the pass records, and of half
    /// types, whose parts are added up in f32.
    pub(crate) fn take(&mut self, position: usize) -> Option<Var> {
        if self.records || !self.needs(position) {
            return None;
        }
        let id = self.node.edges.get(position)?.id;
        let Pending { gradient, dtype, .. } = self.ahead.pending.get(&id)?;
        if gradient.is_half() || gradient.dtype() != *dtype || self.ahead.of_outputs.contains_key(&id) {
            return None;
        }
        self.ahead.pending.remove(&id).map(|pending| pending.gradient)
    }

    /// Adds the gradients, given the output's gradient `dy`, of what `forward` computes from the inputs that it takes: the rule of
    /// an operation whose gradient no kernel gives, or which is to be differentiated itself.
    ///
    /// # Errors
    /// Those of `forward` and of its operations' rules.
    pub fn differentiate(&mut self, dy: &Var, forward: impl FnOnce(&mut Inputs<'_>) -> Result<Var>) -> Result<()> {
        let mut inputs = Inputs { pass: self, taken: Vec::new() };
        let y = forward(&mut inputs)?;
        let taken = inputs.taken;
        let targets: Vec<&Var> = taken.iter().map(|(_, input)| input).collect();
        let gradients = gradients(y, dy.clone(), &targets, self.records)?;
        for ((position, _), gradient) in taken.iter().zip(gradients) {
            if let Some(gradient) = gradient {
                self.accumulate(*position, gradient)?;
            }
        }
        Ok(())
    }

    /// Keeps the gradient of an output of the node at the first input, which has several.
    pub(crate) fn hand_over(&mut self, output: usize, gradient: Var) {
        if !self.needs(0) {
            return;
        }
        let Some(edge) = self.node.edges.get(0) else { return };
        self.ahead.of_outputs.entry(edge.id).or_default().push((output, gradient.clone()));
        let dtype = gradient.dtype();
        // It is pending; what it goes by are the gradients above.
        self.ahead.pending.entry(edge.id).or_insert_with(|| Pending { node: edge.clone(), gradient, dtype });
    }

    /// The gradients of this node's outputs, as [`Backward::hand_over`] kept them.
    pub(crate) fn received(&mut self) -> Vec<(usize, Var)> {
        self.ahead.of_outputs.remove(&self.node.id).unwrap_or_default()
    }

    /// The input at `position`, of this value, with its place in the graph.
    pub(crate) fn placed_input(&self, position: usize, value: &Tensor) -> Var {
        Var::with_node(value.clone(), self.node.edges.get(position).cloned())
    }

    /// Goes on with these gradients at `outputs`, whose graph was made since `first`, instead of this node's inputs.
    pub(crate) fn continue_at(&mut self, outputs: Vec<Var>, gradients: Vec<(usize, Var)>, first: u64) -> Result<()> {
        if let Some(wanted) = &mut self.wanted {
            for (id, node) in nodes_since(&outputs, first) {
                if node.edges.iter().any(|edge| wanted.contains(&edge.id)) {
                    wanted.insert(id);
                }
            }
        }
        for (position, gradient) in gradients {
            let Some(node) = outputs.get(position).and_then(Var::node) else { continue };
            if self.wanted.as_ref().is_none_or(|wanted| wanted.contains(&node.id)) {
                self.ahead.add(node, gradient, self.records)?;
            }
        }
        Ok(())
    }

    #[cold]
    fn wrong_shape(&self, position: usize, found: &Shape, expected: &Shape) -> Error {
        Error::shape(
            "backward",
            format!(
                "the rule of `{}` gives its input {position} a gradient of shape {found}, the input has {expected}: a rule sums \
                 over the axes that its operation has stretched (`sum_to`)",
                self.node.function.name()
            ),
        )
    }
}

/// The inputs of an operation that [`Backward::differentiate`] computes once more.
pub struct Inputs<'p> {
    pass: &'p Backward<'p>,
    taken: Vec<(usize, Var)>,
}

impl Inputs<'_> {
    /// The input at `position`, with the value that was saved of it.
    ///
    /// # Errors
    /// Allocation failure.
    pub fn take(&mut self, position: usize, saved: &Tensor) -> Result<Var> {
        if !self.pass.needs(position) {
            return Ok(Var::constant(saved.clone()));
        }
        // A node of its own: an input that depends on another is not followed further here.
        let input = if self.pass.records {
            self.pass.input(position, saved).reshape(*saved.shape())?
        } else {
            Var::variable(saved.clone())
        };
        self.taken.push((position, input.clone()));
        Ok(input)
    }
}

/// Goes through the graph of `root` by descending id, giving each node's finished gradient to `finished` where the node is
/// a leaf (`asked` is none) or was asked for.
fn run(
    root: Var,
    seed: Var,
    records: bool,
    mut asked: Option<(&HashSet<u64>, &mut HashSet<u64>)>,
    mut finished: impl FnMut(LeafId, Var) -> Result<()>,
) -> Result<()> {
    let mut ahead = Ahead::default();
    let (tensor, node) = root.into_parts();
    drop(tensor);
    if let Some(node) = node {
        let dtype = seed.dtype();
        ahead.pending.insert(node.id, Pending { node, gradient: seed, dtype });
    }
    while let Some((id, Pending { node, gradient, dtype })) = ahead.pending.pop_last() {
        let gradient = if gradient.dtype() == dtype { gradient } else { gradient.to_dtype(dtype)? };
        let is_leaf = node.edges.iter().next().is_none();
        match &asked {
            Some((targets, _)) if targets.contains(&id) => finished(LeafId(id), gradient.clone())?,
            None if is_leaf => {
                finished(LeafId(id), gradient)?;
                continue;
            }
            _ => {}
        }
        let wanted = asked.as_mut().map(|(_, wanted)| &mut **wanted);
        let mut pass = Backward { node: &node, ahead: &mut ahead, wanted, records };
        let _layer = profile::enter_node(node.scope);
        node.function.backward(gradient, &mut pass)?;
        // Dropping the node here frees what it saved, unless the user holds on to it.
    }
    Ok(())
}

/// The nodes from which one of `targets` can be reached.
fn leading_to(targets: &HashSet<u64>, root: &NodeRef) -> HashSet<u64> {
    let lowest = targets.iter().min().copied().unwrap_or(u64::MAX);
    let mut reaches: HashMap<u64, bool> = HashMap::new();
    let mut stack = vec![(root, false)];
    while let Some((node, expanded)) = stack.pop() {
        if expanded {
            let any = targets.contains(&node.id) || node.edges.iter().any(|edge| reaches.get(&edge.id) == Some(&true));
            reaches.insert(node.id, any);
        } else if let Entry::Vacant(unseen) = reaches.entry(node.id) {
            unseen.insert(false);
            stack.push((node, true));
            // A node made before the first target cannot lead to one.
            stack.extend(node.edges.iter().filter(|edge| edge.id >= lowest).map(|edge| (edge, false)));
        }
    }
    reaches.into_iter().filter_map(|(id, yes)| yes.then_some(id)).collect()
}

/// The gradient of one number with respect to itself.
pub(crate) fn seed_of(operation: &'static str, output: &Var) -> Result<Var> {
    if output.tensor().elements() != 1 {
        return Err(Error::new(
            ErrorKind::Shape,
            operation,
            format!(
                "gradients are taken of one number, this Var has shape {}: reduce it first (`mean_all`, `sum_all`)",
                output.shape()
            ),
        ));
    }
    Ok(Var::constant(Tensor::ones(output.shape(), output.dtype(), output.device())?))
}

impl Var {
    /// The gradients of this scalar with respect to every leaf that it depends on. Consumes the Var and frees the graph
    /// as it goes; clone the Var first to keep its graph.
    ///
    /// # Errors
    /// A Var of more than one element, or one that depends on no leaf.
    pub fn backward(self) -> Result<Gradients> {
        let mut gradients = Vec::new();
        self.backward_with(|id, gradient| {
            gradients.push((id, gradient));
            Ok(())
        })?;
        // They came by descending id.
        Ok(gradients.into_iter().rev().collect())
    }

    /// As [`Var::backward`], handing each gradient to `each` as soon as it is complete: to clip, reduce or apply it while
    /// the rest is computed.
    ///
    /// # Errors
    /// As [`Var::backward`], or what `each` returns.
    pub fn backward_with(self, mut each: impl FnMut(LeafId, Tensor) -> Result<()>) -> Result<()> {
        let _pass = profile::enter(Phase::Backward, "backward pass");
        let seed = seed_of("backward", &self)?;
        if !self.requires_grad() {
            return Err(Error::new(
                ErrorKind::Value,
                "backward",
                "this Var depends on no parameter or variable: was the forward pass in eval mode, or detached?",
            ));
        }
        run(self, seed, false, None, |id, gradient| each(id, gradient.into_tensor()))
    }
}

/// The gradients of the scalar `output` with respect to `inputs` (leaves or intermediate Vars), as Vars that can be
/// differentiated again. `None` for an input that the output does not depend on.
///
/// ```
/// use kiln_autograd::{Var, grad};
/// use kiln_tensor::{Device, Result, Tensor};
/// # fn main() -> Result<()> {
/// let x = Var::variable(Tensor::from_slice(&[3.0f64], [1], &Device::cpu())?);
/// let y = x.mul(&x)?.mul(&x)?.sum_all()?; // x³
/// let slope = grad(&y, &[&x])?.remove(0).unwrap(); // 3x²
/// let curvature = grad(&slope.sum_all()?, &[&x])?.remove(0).unwrap(); // 6x
/// assert_eq!((slope.item()?, curvature.item()?), (27.0, 18.0));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// An output of more than one element, or an input that needs no gradient.
pub fn grad(output: &Var, inputs: &[&Var]) -> Result<Vec<Option<Var>>> {
    let _pass = profile::enter(Phase::Backward, "backward pass");
    let seed = seed_of("grad", output)?;
    gradients(output.clone(), seed, &needing("grad", inputs)?, true)
}

/// The inputs, all of which have a place in a graph.
pub(crate) fn needing<'v>(operation: &'static str, inputs: &'v [impl Borrow<Var>]) -> Result<Vec<&'v Var>> {
    let inputs: Vec<&Var> = inputs.iter().map(Borrow::borrow).collect();
    match inputs.iter().position(|input| !input.requires_grad()) {
        None => Ok(inputs),
        Some(position) => {
            let message = format!("input {position} needs no gradient: make it with `Var::variable`");
            Err(Error::value(operation, message))
        }
    }
}

/// The gradients of each of `inputs`, all of which have a node, where that of `output` is `seed`.
pub(crate) fn gradients(output: Var, seed: Var, inputs: &[&Var], records: bool) -> Result<Vec<Option<Var>>> {
    let targets: HashSet<u64> = inputs.iter().filter_map(|input| input.id()).map(|id| id.0).collect();
    let Some(root) = output.node() else { return Ok(vec![None; inputs.len()]) };
    let mut wanted = leading_to(&targets, root);
    let mut found: HashMap<u64, Var> = HashMap::new();
    if wanted.contains(&root.id) {
        run(output, seed, records, Some((&targets, &mut wanted)), |id, gradient| {
            found.insert(id.0, gradient);
            Ok(())
        })?;
    }
    Ok(inputs.iter().map(|input| input.id().and_then(|id| found.get(&id.0).cloned())).collect())
}
