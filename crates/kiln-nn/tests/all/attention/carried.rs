//! What passes carry: for each use of a layer, and only where the pass ended well.

use super::{blocks, built, carrying, close, cpu, uniform};
use kiln_autograd::Var;
use kiln_nn::*;
use kiln_tensor::{Error, Result, Shape, Tensor};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

fn samples(steps: usize, width: usize) -> Shape {
    Shape::new(&[steps, width]).unwrap()
}

/// The outputs of single steps, one pass each, are those of the whole.
#[track_caller]
fn step_by_step(what: &str, model: &Graph, inputs: &[Var]) {
    let run = |inputs: Vec<Var>, ctx: &Ctx| {
        let values = inputs.into_iter().map(Value::from).collect();
        let outputs = ctx.run(model, Value::Many(values)).unwrap().into_parts();
        outputs.into_iter().map(|output| output.var().unwrap().into_tensor()).collect::<Vec<_>>()
    };
    let whole = run(inputs.to_vec(), &Ctx::eval());
    let ctx = carrying(); // one context may serve several passes of a model
    for at in 0..inputs[0].dims()[1] {
        let step = |x: &Var| x.slice(1, at..at + 1).unwrap();
        for (found, whole) in run(inputs.iter().map(step).collect(), &ctx).iter().zip(&whole) {
            close(what, found, &whole.slice(1, at..at + 1).unwrap(), 2e-6);
        }
    }
    model.reset_states();
    assert!(model.carried_states().is_empty());
}

#[test]
fn each_use_of_a_shared_layer_carries_its_own_states() {
    fn shared<L: Layer + 'static>(what: &str, layer: L) {
        let mut g = Graph::new();
        let (a, b) = (g.input([6, 16]), g.input([6, 16]));
        let layer = g.layer(layer);
        let (ya, yb) = (g.call(&layer, &a).unwrap(), g.call(&layer, &b).unwrap());
        let model = g.build(&[&a, &b], &[&ya, &yb], &cpu(), 1).unwrap();
        step_by_step(what, &model, &[uniform(&[2, 6, 16], 0), uniform(&[2, 6, 16], 1)]);
    }
    shared("attention", blocks(MultiHeadAttention::new(2)));
    shared("learned", PositionEmbedding::new(6));
    shared("sinusoidal", SinusoidalPositions::new());
    shared("lstm", Lstm::new(3).return_sequences(true));
}

#[test]
fn an_encoder_and_a_decoder_may_share_their_layers() {
    let mut g = Graph::new();
    let (source, target) = (g.input([6, 16]), g.input([6, 16]));
    let positions = g.layer(PositionEmbedding::new(6));
    let block = g.layer(TransformerEncoderLayer::new(2, 8).causal(true));
    let encoded = g.call(&positions, &source).unwrap();
    let encoded = g.call(&block, &encoded).unwrap();
    let decoded = g.call(&positions, &target).unwrap();
    let decoded = g.call(&block, &decoded).unwrap();
    let sum = g.call(Add::new(), &[&encoded, &decoded]).unwrap();
    let model = g.build(&[&source, &target], &[&sum], &cpu(), 1).unwrap();
    step_by_step("encoder and decoder", &model, &[uniform(&[2, 6, 16], 0), uniform(&[2, 6, 16], 1)]);
}

/// Two uses at different paths, of which a later pass has only the second.
#[derive(Module, Describe)]
struct EncoderDecoder {
    shared: Lstm,
}

impl Layer for EncoderDecoder {
    type Input = Vec<Var>;
    type Output = Var;
    fn forward(&self, x: Vec<Var>, ctx: &Ctx) -> Result<Var> {
        let run = |name: &str, x: &Var| Ok(ctx.layer(name, &self.shared, x)?.values);
        match &x[..] {
            [target] => run("decode", target),
            [source, target] => {
                run("encode", source)?;
                run("decode", target)
            }
            _ => Err(Error::value("forward", "one value or two are expected")),
        }
    }
}

#[test]
fn uses_are_known_by_their_path() {
    let mut shared = Lstm::new(3).return_sequences(true);
    shared.build(&samples(4, 2), &mut Init::new(1, &cpu())).unwrap();
    let model = EncoderDecoder { shared };
    let (source, target) = (uniform(&[1, 4, 2], 0), uniform(&[1, 4, 2], 1));
    let whole = model.shared.forward((&target).into(), &Ctx::eval()).unwrap().values;
    let part = |range: std::ops::Range<usize>| target.slice(1, range).unwrap();
    carrying().run(&model, vec![source, part(0..2)]).unwrap();
    let rest = carrying().run(&model, vec![part(2..4)]).unwrap();
    close("decoder", rest.tensor(), whole.slice(1, 2..4).unwrap().tensor(), 1e-6);
    let names: Vec<String> = model.carried_states().into_keys().collect();
    assert!(names.contains(&"shared.carried.evaluation[decode#0].0".to_owned()), "{names:?}");
}

/// Fails on demand.
#[derive(Module, Describe, Clone)]
struct Fails(#[module(skip)] Arc<AtomicBool>);

impl Layer for Fails {
    type Input = Var;
    type Output = Var;
    fn forward(&self, x: Var, _: &Ctx) -> Result<Var> {
        match self.0.load(Ordering::Relaxed) {
            true => Err(Error::value("fails", "as was wanted")),
            false => Ok(x),
        }
    }
}

#[test]
fn a_pass_that_fails_changes_nothing_of_what_is_carried() {
    let fails = Fails(Arc::new(AtomicBool::new(false)));
    let model = Sequential::new()
        .push(PositionEmbedding::new(400))
        .push(blocks(MultiHeadAttention::new(2).rotary(Rotary::new())))
        .push(blocks(MultiHeadAttention::new(2).window(3).rotary(Rotary::new())))
        .push(blocks(MultiHeadAttention::new(2).alibi(true)))
        .push(Gru::new(16).return_sequences(true))
        .push(fails.clone())
        .build([6, 16], &cpu(), 1)
        .unwrap();
    let masked = |steps: usize, seed: u64, counted: [usize; 2]| {
        let mask: Vec<bool> = (0..2 * steps).map(|at| at % steps < counted[at / steps]).collect();
        let mask = Tensor::from_slice(&mask, [2, steps], &cpu()).unwrap();
        Value::from(Sequence::new(uniform(&[2, steps, 16], seed), mask))
    };
    // Steps in place, more than there is room for, and with fillers.
    let passes = |wrong: bool| {
        model.reset_states();
        let batches = [
            masked(5, 0, [5, 2]),
            uniform(&[2, 1, 16], 1).into(),
            uniform(&[2, 150, 16], 2).into(),
            masked(4, 3, [1, 3]),
            uniform(&[2, 2, 16], 4).into(),
        ];
        let mut outputs = Vec::new();
        for batch in batches {
            if wrong {
                let before = model.carried_states();
                let values = |states: StateDict| -> Vec<(String, Vec<f64>)> {
                    states.into_iter().map(|(name, tensor)| (name, tensor.to_f64_vec().unwrap())).collect()
                };
                let before = values(before);
                fails.0.store(true, Ordering::Relaxed);
                for steps in [1, 70] {
                    model.forward(uniform(&[2, steps, 16], 9), &carrying()).unwrap_err();
                    model.forward(masked(steps + 1, 9, [1, 0]), &carrying()).unwrap_err();
                }
                // A step that does not fit fails within the first layers.
                model.forward(uniform(&[2, 1, 15], 9), &carrying()).unwrap_err();
                fails.0.store(false, Ordering::Relaxed);
                let places = |all: &[(String, Vec<f64>)]| {
                    all.iter().map(|(name, values)| (name.clone(), values.len())).collect::<Vec<_>>()
                };
                let after = values(model.carried_states());
                assert_eq!(places(&after), places(&before));
            }
            outputs.extend(model.forward(batch, &carrying()).unwrap().into_tensor().to_f64_vec().unwrap());
        }
        outputs
    };
    assert_eq!(passes(true), passes(false));
}

#[test]
fn a_mask_that_does_not_fit_leaves_the_cache_as_it_is() {
    let layer = built(MultiHeadAttention::new(2).causal(true), &vec![samples(6, 16)]);
    let x = uniform(&[1, 6, 16], 0);
    let whole = layer.attend(&x, &x, &x, &AttentionInputs::new(), &Ctx::eval()).unwrap();
    let step = |at: usize, inputs: &AttentionInputs<'_>| {
        let x = x.slice(1, at..at + 1).unwrap();
        layer.attend(&x, &x, &x, inputs, &carrying())
    };
    let wrong = uniform(&[1, 1, 3, 7], 1);
    for at in 0..6 {
        step(at, &AttentionInputs::new().mask(&wrong)).unwrap_err();
        let found = step(at, &AttentionInputs::new()).unwrap();
        close("step", found.tensor(), whole.slice(1, at..at + 1).unwrap().tensor(), 2e-6);
    }
}

#[test]
fn after_a_long_prompt_a_window_keeps_little() {
    let layer = built(MultiHeadAttention::new(2).causal(true).window(8), &vec![samples(6, 16)]);
    let x = uniform(&[1, 530, 16], 0);
    let whole = layer.forward(vec![(&x).into()], &Ctx::eval()).unwrap().values;
    let mut start = 0;
    for steps in [500, 1, 1, 20, 1, 7] {
        let part = x.slice(1, start..start + steps).unwrap();
        let y = layer.forward(vec![part.into()], &carrying()).unwrap().values;
        close("steps", y.tensor(), whole.slice(1, start..start + steps).unwrap().tensor(), 2e-6);
        assert_eq!(layer.carried_states()["cache[#0].1"].dims(), [1, 2, 64, 8], "after {start} + {steps} steps");
        start += steps;
    }
}
