//! Layers that keep nothing for their gradients and are run again in the backward pass.

use super::held::Reference;
use super::list::{Entry, segment};
use crate::carried::CarriedStates;
use crate::context::Replay;
use crate::value::IntoValue;
use crate::visit::Visitor;
use crate::{AnyLayer, Ctx, Param, Segment, Value};
use kiln_autograd::{Var, recompute};
use kiln_tensor::{Error, Result};

/// The output of layers one after the other, of which `first` is the position of the first.
pub(super) fn run(entries: &[Entry], first: usize, x: Value, ctx: &Ctx) -> Result<Value> {
    let named =
        || entries.iter().enumerate().map(move |(at, Entry { name, layer })| (segment(first + at, name), layer));
    let weights = if ctx.records() { trainable(entries) } else { Vec::new() };
    let inputs = vars(&x);
    if weights.is_empty() && !inputs.iter().any(Var::requires_grad) {
        return in_order(named().map(|(segment, layer)| (segment, layer.get())), x, ctx);
    }
    let x = x.map_vars(&mut |var| var.detach());
    let layers = entries.iter().enumerate();
    let part = Part {
        layers: layers.map(|(at, entry)| (first + at, entry.name.clone(), entry.layer.refer())).collect(),
        carried: CarriedStates::of(entries.iter().map(|entry| entry.layer.get())),
        x: x.clone(),
        replay: ctx.replay(),
    };
    let (y, penalties) = ctx.silently(|| in_order(named().map(|(segment, layer)| (segment, layer.get())), x, ctx))?;
    let mut outputs = vars(&y);
    outputs.extend(penalties);
    let (inputs, weights) = (inputs.iter().collect::<Vec<_>>(), weights.iter().collect::<Vec<_>>());
    let mut outputs = recompute(move |inputs| part.again(inputs), &inputs, &weights, outputs).into_iter();
    let y = y.map_vars(&mut |var| outputs.next().unwrap_or(var));
    outputs.for_each(|penalty| ctx.add_loss(penalty));
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

fn in_order<'l>(
    layers: impl Iterator<Item = (Segment<'l>, &'l (dyn AnyLayer + 'static))>,
    mut x: Value,
    ctx: &Ctx,
) -> Result<Value> {
    for (segment, layer) in layers {
        x = ctx.layer(segment, layer, x)?;
    }
    Ok(x)
}

fn vars(value: &Value) -> Vec<Var> {
    let mut all = Vec::new();
    value.for_each_var(&mut |var| all.push(var.clone()));
    all
}

/// The parameters that get gradients.
fn trainable(entries: &[Entry]) -> Vec<Var> {
    struct Leaves(Vec<Var>);
    impl<'m> Visitor<'m> for Leaves {
        fn parameter(&mut self, parameter: &'m Param) {
            self.0.extend(parameter.leaf());
        }
    }
    let mut leaves = Leaves(Vec::new());
    entries.iter().for_each(|entry| entry.layer.get().visit(&mut leaves));
    leaves.0
}
