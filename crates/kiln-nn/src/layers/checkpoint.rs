//! Layers that keep nothing for their gradients and are run again in the backward pass.

use super::held::Reference;
use super::list::{Entry, segment};
use crate::carried::CarriedStates;
use crate::context::Replay;
use crate::value::IntoValue;
use crate::visit::Visitor;
use crate::{AnyLayer, Ctx, Param, Segment, Sequential, Value};
use kiln_autograd::{Var, recompute};
use kiln_tensor::{Error, Result};

impl Sequential {
    /// Trades time for memory in training: of each group of `layers` layers only the input is kept, and the backward pass runs
    /// the group again (activation checkpointing, Chen et al. 2016). A chain of n layers needs the least memory with about √n of them.
    ///
    /// Gradients are those of the layers without it, bit for bit: dropout drops the same, running averages count a batch once, and
    /// stateful layers go on from where they were. A layer of several, such as a `Sequential` in this one, is one layer here;
    /// `Sequential::new().push(layer).checkpoint_every(1)` makes a checkpoint of any layer. Checkpoints in checkpoints work, and so do
    /// gradients of gradients. `backward` is to be called before the parameters change.
    ///
    /// ```
    /// use kiln_nn::{Activation, Dense, Sequential};
    /// # fn main() -> Result<(), kiln_tensor::Error> {
    /// let mut model = Sequential::new().checkpoint_every(7);
    /// for _ in 0..50 {
    ///     model.add(Dense::new(64).activation(Activation::Relu));
    /// }
    /// let model = model.build([64], &kiln_tensor::Device::cpu(), 1)?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn checkpoint_every(mut self, layers: usize) -> Self {
        self.checkpoint_every = Some(layers);
        self
    }

    /// How many layers make a checkpoint; none where all that gradients need is kept.
    pub(crate) fn checkpoints(&self) -> Option<usize> {
        self.checkpoint_every
    }
}

/// Fails of checkpoints of no layers.
pub(super) fn check(every: usize) -> Result<()> {
    if every > 0 {
        return Ok(());
    }
    Err(Error::value("checkpoint_every", "checkpoint_every(0): at least 1 layer makes a checkpoint"))
}

/// The output of layers one after the other, of which so many make a checkpoint.
pub(super) fn run(entries: &[Entry], every: usize, mut x: Value, ctx: &Ctx) -> Result<Value> {
    check(every)?;
    for (at, entries) in entries.chunks(every).enumerate() {
        x = checkpoint(entries, at * every, x, ctx)?;
    }
    Ok(x)
}

/// The output of one checkpoint, of which `first` is the position of the first layer.
fn checkpoint(entries: &[Entry], first: usize, x: Value, ctx: &Ctx) -> Result<Value> {
    let entries_by_place = || entries.iter().enumerate().map(|(at, entry)| (first + at, entry));
    let layers = || entries_by_place().map(|(at, entry)| (segment(at, &entry.name), entry.layer.get()));
    let weights = if ctx.records() { trainable(entries, ctx) } else { Vec::new() };
    let inputs = vars(&x);
    if weights.is_empty() && !inputs.iter().any(Var::requires_grad) {
        return in_order(layers(), x, ctx);
    }
    let x = x.map_vars(&mut |var| var.detach());
    let part = Part {
        layers: entries_by_place().map(|(at, entry)| (at, entry.name.clone(), entry.layer.refer())).collect(),
        carried: CarriedStates::of(layers().map(|(_, layer)| layer)),
        x: x.clone(),
        replay: ctx.replay(),
    };
    let (y, penalties) = ctx.silently(|| in_order(layers(), x, ctx))?;
    let mut outputs = vars(&y);
    outputs.extend(penalties.iter().map(|(_, value)| value.clone()));
    let (inputs, weights) = (inputs.iter().collect::<Vec<_>>(), weights.iter().collect::<Vec<_>>());
    let mut outputs = recompute(move |inputs| part.again(inputs), &inputs, &weights, outputs).into_iter();
    let y = y.map_vars(&mut |var| outputs.next().unwrap_or(var));
    penalties.iter().zip(outputs).for_each(|((at, _), value)| ctx.replace_penalty(*at, value));
    Ok(y)
}

/// Layers one after the other, and what they began with.
struct Part {
    layers: Vec<(usize, Option<String>, Reference)>,
    x: Value,
    replay: Replay,
    carried: CarriedStates,
}

impl Part {
    /// All that depends on the inputs, once more: the output, then penalties.
    fn again(&self, inputs: &[Var]) -> Result<Vec<Var>> {
        let layer = |(at, name, reference): &'_ (usize, Option<String>, Reference)| {
            reference.layer().map(|layer| (segment(*at, name).to_string(), layer)).ok_or_else(changed)
        };
        let layers = self.layers.iter().map(layer).collect::<Result<Vec<_>>>()?;
        let mut inputs = inputs.iter().cloned();
        let x = self.x.clone().map_vars(&mut |var| inputs.next().unwrap_or(var));
        let ctx = self.replay.ctx();
        let named = || layers.iter().map(|(name, layer)| (Segment::Name(name), &***layer));
        let all = || named().map(|(_, layer)| layer);
        let now = CarriedStates::of(all());
        self.carried.put(all());
        let y = in_order(named(), x, &ctx);
        now.put(all());
        let mut outputs = vars(&y?);
        outputs.extend(ctx.penalties_of_values()?);
        Ok(outputs)
    }
}

#[cold]
fn changed() -> Error {
    let message = "a checkpointed layer was changed, moved or dropped after the forward pass, and the backward pass cannot run it again: \
                   call `backward` before the optimizer's step and before `ctx.commit`";
    Error::value("checkpoint", message)
}

/// The output of layers one after the other. What the last one leaves to be computed stays so.
pub(super) fn in_order<'l>(
    layers: impl Iterator<Item = (Segment<'l>, &'l (dyn AnyLayer + 'static))>,
    mut x: Value,
    ctx: &Ctx,
) -> Result<Value> {
    for (segment, layer) in layers {
        if matches!(x, Value::Projection(..)) {
            x = x.computed()?;
        }
        x = ctx.layer(segment, layer, x)?;
    }
    Ok(x)
}

fn vars(value: &Value) -> Vec<Var> {
    let mut all = Vec::new();
    value.for_each_var(&mut |var| all.push(var.clone()));
    all
}

/// The parameters that get gradients, or what stands for them.
fn trainable(entries: &[Entry], ctx: &Ctx) -> Vec<Var> {
    struct Trainable<'c>(&'c Ctx, Vec<Var>);
    impl<'m> Visitor<'m> for Trainable<'_> {
        fn parameter(&mut self, parameter: &'m Param) {
            self.1.extend(self.0.replacement(parameter).or_else(|| parameter.leaf()));
        }
    }
    let mut trainable = Trainable(ctx, Vec::new());
    entries.iter().for_each(|entry| entry.layer.get().visit(&mut trainable));
    trainable.1
}
