//! Passes that go on where the one before ended: token by token, the outputs are those of the whole sequence.

use super::{blocks, built, carrying, close, cpu, uniform};
use kiln_autograd::Var;
use kiln_nn::*;
use kiln_tensor::{Device, Shape, Tensor};

const STEPS: usize = 9;

fn samples(width: usize) -> Shape {
    Shape::new(&[STEPS, width]).unwrap()
}

/// The outputs of parts of x of these sizes, one pass each, put together.
fn by_parts<L: Layer<Input = Sequence, Output = Sequence>>(
    layer: &L,
    x: &Sequence,
    sizes: &[usize],
    ctx: fn() -> Ctx,
) -> Tensor {
    layer.reset_states();
    let mut start = 0;
    let parts: Vec<Var> = sizes
        .iter()
        .map(|size| {
            let range = start..start + size;
            start += size;
            let values = x.values.slice(1, range.clone()).unwrap();
            let mask = x.mask.as_ref().map(|mask| mask.slice(1, range).unwrap().into());
            layer.forward(Sequence { values, mask }, &ctx()).unwrap().values
        })
        .collect();
    Var::concat(&parts.iter().collect::<Vec<_>>(), 1).unwrap().into_tensor()
}

/// Every division of the steps gives what the whole gives.
#[track_caller]
fn as_the_whole<L: Layer<Input = Sequence, Output = Sequence>>(what: &str, layer: &L, x: &Sequence) {
    let whole = layer.forward(x.clone(), &Ctx::eval()).unwrap().values.into_tensor();
    for sizes in [&[1; STEPS][..], &[4, 1, 1, 3], &[STEPS], &[2, 7]] {
        close(what, &by_parts(layer, x, sizes, carrying), &whole, 2e-6);
    }
}

#[test]
fn tokens_one_by_one_give_the_outputs_of_the_whole() {
    let x = uniform(&[2, STEPS, 16], 0).into();
    as_the_whole("plain", &blocks(MultiHeadAttention::new(4)), &x);
    as_the_whole("grouped", &blocks(MultiHeadAttention::new(4).key_heads(2)), &x);
    as_the_whole("window", &blocks(MultiHeadAttention::new(2).window(3)), &x);
    as_the_whole("window of 1", &blocks(MultiHeadAttention::new(2).window(1)), &x);
    as_the_whole("ALiBi", &blocks(MultiHeadAttention::new(4).alibi(true)), &x);
    let rotary = MultiHeadAttention::new(2).key_heads(1).rotary(Rotary::new());
    as_the_whole("rotary", &blocks(rotary.clone()), &x);
    as_the_whole("rotary, window", &blocks(rotary.window(4)), &x);
}

#[test]
fn a_decoder_keeps_the_memory() {
    let block = TransformerDecoderLayer::new(2, 8).norm_first(true);
    let layer = built(TransformerDecoder::new(block, 2), &(samples(16), Shape::new(&[4, 16]).unwrap()));
    let (x, memory) = (uniform(&[2, STEPS, 16], 0), uniform(&[2, 4, 16], 1));
    let mask = Tensor::from_slice(&[true, true, false, false, true, true, true, true], [2, 4], &cpu()).unwrap();
    let run = |range: std::ops::Range<usize>, memory: &Var, ctx: &Ctx| {
        let memory = Sequence::new(memory.clone(), mask.clone());
        layer.forward((x.slice(1, range).unwrap().into(), memory), ctx).unwrap().values.into_tensor()
    };
    let whole = run(0..STEPS, &memory, &Ctx::eval());
    let later = uniform(&[2, 4, 16], 2);
    for at in 0..STEPS {
        // What comes later is not looked at.
        let found = run(at..at + 1, if at == 0 { &memory } else { &later }, &carrying());
        close("token", &found, &whole.slice(1, at..at + 1).unwrap(), 2e-6);
    }
    layer.reset_states();
    let expected = run(0..1, &later, &Ctx::eval());
    close("another memory", &run(0..1, &later, &carrying()), &expected, 2e-6);
}

#[test]
fn positions_go_on() {
    let x = uniform(&[2, STEPS, 6], 0).into();
    as_the_whole("learned", &built(PositionEmbedding::new(STEPS), &samples(6)), &x);
    as_the_whole("sinusoidal", &built(SinusoidalPositions::new(), &samples(6)), &x);
}

/// Rows of which the first is filled up on the left.
fn filled_up(x: Var) -> Sequence {
    let mask: Vec<bool> = (0..2 * STEPS).map(|at| at >= 4).collect();
    Sequence::new(x, Tensor::from_slice(&mask, [2, STEPS], &cpu()).unwrap())
}

#[test]
fn filler_on_the_left_changes_nothing() {
    let model = built(PositionEmbedding::new(STEPS), &samples(16));
    let blocks = blocks(MultiHeadAttention::new(4));
    let run = |x: Sequence, ctx: &Ctx| blocks.forward(model.forward(x, ctx).unwrap(), ctx).unwrap().values;
    let x = uniform(&[2, STEPS, 16], 0);
    let alone = run(x.slice(0, 0..1).unwrap().slice(1, 4..STEPS).unwrap().into(), &Ctx::eval());
    let whole = run(filled_up(x.clone()), &Ctx::eval());
    let counted = |y: &Var| y.slice(0, 0..1).unwrap().slice(1, 4..STEPS).unwrap();
    close("whole", counted(&whole).tensor(), alone.tensor(), 2e-6);

    // The prompt with its mask, then single steps without one.
    model.reset_states();
    blocks.reset_states();
    let prompt = filled_up(x.clone());
    let mask = prompt.mask.as_ref().unwrap().slice(1, 0..6).unwrap();
    let mut parts = vec![run(Sequence::new(x.slice(1, 0..6).unwrap(), mask), &carrying())];
    parts.extend((6..STEPS).map(|at| run(x.slice(1, at..at + 1).unwrap().into(), &carrying())));
    let parts = Var::concat(&parts.iter().collect::<Vec<_>>(), 1).unwrap();
    close("by parts", counted(&parts).tensor(), alone.tensor(), 2e-6);
    let second = |y: &Var| y.slice(0, 1..2).unwrap();
    close("the other row", second(&parts).tensor(), second(&whole).tensor(), 2e-6);
}

#[test]
fn what_is_carried_is_forgotten_and_put_back() {
    let layer = blocks(MultiHeadAttention::new(4));
    let x = uniform(&[2, STEPS, 16], 0);
    let first = || layer.forward(x.slice(1, 0..5).unwrap().into(), &carrying()).unwrap().values.into_tensor();
    let (start, later) = (first(), first());
    assert_ne!(start.to_f64_vec().unwrap(), later.to_f64_vec().unwrap());
    layer.reset_states();
    assert!(layer.carried_states().is_empty());
    assert_eq!(first().to_f64_vec().unwrap(), start.to_f64_vec().unwrap());
    // A copy of the states goes on there, however far the layer has gone.
    let states = layer.carried_states();
    first();
    layer.set_carried_states(&states).unwrap();
    assert_eq!(first().to_f64_vec().unwrap(), later.to_f64_vec().unwrap());
    // A batch of another size begins anew, and so does a pass that carries nothing.
    let row = layer.forward(x.slice(0, 0..1).unwrap().slice(1, 0..5).unwrap().into(), &carrying()).unwrap().values;
    close("another batch", row.tensor(), &start.slice(0, 0..1).unwrap(), 2e-6);
    let plain = layer.forward(x.slice(1, 0..5).unwrap().into(), &Ctx::eval()).unwrap().values;
    assert_eq!(plain.into_tensor().to_f64_vec().unwrap(), start.to_f64_vec().unwrap());
}

#[test]
fn stateful_layers_carry_in_evaluation_alone() {
    let layer = built(MultiHeadAttention::new(2).causal(true).stateful(true), &vec![samples(16)]);
    let x = uniform(&[1, STEPS, 16], 0);
    let run = |range: std::ops::Range<usize>, ctx: &Ctx| {
        layer.forward(vec![x.slice(1, range).unwrap().into()], ctx).unwrap().values.into_tensor()
    };
    let whole = run(0..STEPS, &Ctx::train(1, 0));
    assert!(layer.carried_states().is_empty());
    run(0..6, &Ctx::eval());
    close("stateful", &run(6..STEPS, &Ctx::eval()), &whole.slice(1, 6..STEPS).unwrap(), 2e-6);
}

#[test]
fn the_steps_of_a_carrying_pass_have_their_gradients() {
    let layer = built(MultiHeadAttention::new(2).causal(true), &vec![samples(16)]);
    let x = uniform(&[1, STEPS, 16], 0);
    let gradients = |first: &Ctx, ctx: &Ctx| {
        layer.reset_states();
        layer.forward(vec![x.slice(1, 0..3).unwrap().into()], first).unwrap();
        let y = layer.forward(vec![x.slice(1, 3..STEPS).unwrap().into()], ctx).unwrap().values;
        let gradients = y.square().unwrap().sum_all().unwrap().backward().unwrap();
        layer.named_gradients(&gradients)[0].1.clone()
    };
    // Without a past both are the same; with one, keys and values of the new steps are still learned.
    close(
        "alone",
        &gradients(&Ctx::eval(), &Ctx::train(1, 0).carrying()),
        &gradients(&Ctx::eval(), &Ctx::train(1, 0)),
        1e-5,
    );
    let found = gradients(&carrying(), &Ctx::train(1, 0).carrying()).slice(0, 16..48).unwrap();
    assert!(found.to_f64_vec().unwrap().iter().all(|gradient| *gradient != 0.0));
}

#[test]
fn a_token_copies_no_cache() {
    let layer = built(MultiHeadAttention::new(2).causal(true), &vec![samples(16)]);
    let x = uniform(&[1, 1, 16], 0);
    // Where keys and values lie, after so many tokens.
    let places = |tokens: usize| {
        layer.reset_states();
        let mut seen: Vec<usize> = Vec::new();
        for _ in 0..tokens {
            layer.forward(vec![(&x).into()], &carrying()).unwrap();
            let states = layer.carried_states();
            let keys = &states["cache[#0].1"];
            seen.push(keys.as_slice::<f32>().unwrap().as_ptr() as usize);
        }
        seen.dedup();
        seen.len()
    };
    assert_eq!(places(64), 1);
    assert_eq!(places(200), 3);
}

#[test]
fn a_window_keeps_little() {
    let layer = built(MultiHeadAttention::new(2).causal(true).window(8), &vec![samples(16)]);
    let x = uniform(&[1, 1, 16], 0);
    for _ in 0..500 {
        layer.forward(vec![(&x).into()], &carrying()).unwrap();
    }
    let states = layer.carried_states();
    assert_eq!(states["cache[#0].1"].dims(), [1, 2, 64, 8]);
    assert_eq!(states["cache[#0].0"].to_vec::<i64>().unwrap()[2], 500);
}

#[test]
fn recurrent_layers_go_on_too() {
    let cpu = Device::cpu();
    let model = Sequential::new().push(Lstm::new(3).return_sequences(true)).build([STEPS, 4], &cpu, 1).unwrap();
    let x = uniform(&[2, STEPS, 4], 0);
    let whole = model.forward(&x, &Ctx::eval()).unwrap();
    model.reset_states();
    model.forward(x.slice(1, 0..5).unwrap(), &carrying()).unwrap();
    let rest = model.forward(x.slice(1, 5..STEPS).unwrap(), &carrying()).unwrap();
    close("lstm", rest.tensor(), whole.slice(1, 5..STEPS).unwrap().tensor(), 1e-6);
}
