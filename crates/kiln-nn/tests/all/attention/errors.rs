//! What does not fit, in a sentence each.

use super::{built, cpu, uniform};
use kiln_autograd::Var;
use kiln_nn::*;
use kiln_tensor::{DType, Shape, Tensor};

fn shape(dims: &[usize]) -> Shape {
    Shape::new(dims).unwrap()
}

#[track_caller]
fn refused(attention: MultiHeadAttention, expected: &str) {
    let error = attention.with_input(10, &mut Init::new(1, &cpu())).unwrap_err();
    assert_eq!(error.message(), expected);
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    refused(
        MultiHeadAttention::new(4),
        "4 heads do not divide a width of 10: use a number of heads that divides it, or set `head_width`",
    );
    refused(
        MultiHeadAttention::new(5).key_heads(2),
        "5 heads cannot share 2 key heads evenly: use a number that divides 5",
    );
    refused(MultiHeadAttention::new(0), "0 heads cannot share 0 key heads evenly: use at least 1");
    refused(MultiHeadAttention::new(5).head_width(0), "heads of width 0 with values of width 0: both must be above 0");
    refused(MultiHeadAttention::new(5).dropout(1.5), "a `dropout` from 0 to 1 is expected, got 1.5");
    refused(MultiHeadAttention::new(5).window(0), "a `window` of 0 keys: at least 1 is needed");
    refused(
        MultiHeadAttention::new(5).stateful(true),
        "`stateful` needs `causal`: without it the outputs of earlier steps depend on later ones",
    );
    refused(
        MultiHeadAttention::new(2).rotary(Rotary::new()),
        "rotary positions turn pairs of elements: 5 of a head of 5 is not possible",
    );
    refused(
        MultiHeadAttention::new(5).rotary(Rotary::new().scaling(RotaryScaling::Linear { factor: 0.0 })),
        "the `factor` of a rotary scaling must be above 0, got 0",
    );
}

#[test]
fn inputs_that_do_not_fit_are_refused() {
    let layer = built(MultiHeadAttention::new(2), &vec![shape(&[3, 4])]);
    let run = |x: Vec<Sequence>| layer.forward(x, &Ctx::eval()).unwrap_err().message().to_owned();
    let x = || Sequence::from(uniform(&[2, 3, 4], 0));
    assert_eq!(
        run(vec![uniform(&[2, 3, 5], 0).into()]),
        "the queries are expected of (batch, steps, 4) with 1 step or more, got (2, 3, 5)"
    );
    assert_eq!(
        run(vec![x(), uniform(&[2, 4], 0).into()]),
        "the keys are expected of (batch, steps, 4) with 1 step or more, got (2, 4)"
    );
    assert_eq!(
        run(vec![uniform(&[2, 0, 4], 0).into()]),
        "the queries are expected of (batch, steps, 4) with 1 step or more, got (2, 0, 4)"
    );
    let none = SinusoidalPositions::new().forward(uniform(&[2, 0, 4], 0).into(), &Ctx::eval()).unwrap_err();
    assert_eq!(none.message(), "sequences of 0 steps: at least 1 is needed");
    let mask = Tensor::ones([2, 4], DType::Bool, &cpu()).unwrap();
    assert_eq!(
        run(vec![Sequence::new(uniform(&[2, 3, 4], 0), mask)]),
        "the mask of the keys is bool (2, 4), expected bool (2, 3), true where a key counts"
    );
    assert_eq!(
        run(vec![x(), x(), x(), x()]),
        "this takes queries, queries and a memory, or queries, keys and values; 4 values are given"
    );
    let x = uniform(&[2, 3, 4], 0);
    let mask = uniform(&[3, 7], 1);
    let attend = |mask: &Var| layer.attend(&x, &x, &x, &AttentionInputs::new().mask(mask), &Ctx::eval());
    let error = attend(&mask).unwrap_err();
    assert!(error.message().contains("(3, 7)"), "{error}");
    assert_eq!(
        attend(&uniform(&[3, 3, 3], 1)).unwrap_err().message(),
        "a mask of 3 axes is (batch, queries, keys) or (batch · heads, queries, keys), here with 2 or 4 first, got (3, 3, 3): give one mask \
         for each head as (1, heads, queries, keys)"
    );
    let error = MultiHeadAttention::new(2).forward(vec![x.into()], &Ctx::eval()).unwrap_err();
    assert!(error.message().contains("`MultiHeadAttention::with_input`"), "{error}");
    let mut layer = layer;
    let error = layer.build(&vec![shape(&[3, 6])], &mut Init::new(1, &cpu())).unwrap_err();
    assert_eq!(
        error.message(),
        "this layer is already built, for queries, keys and values of widths [4, 4, 4]; inputs of widths [6, 6, 6] do not fit it"
    );
}

#[test]
fn a_context_longer_than_the_positions_is_refused() {
    let expected = "the context of 7 steps is longer than the 6 positions of this layer: shorten it, or make the layer with more \
                    positions";
    let mut layer = PositionEmbedding::new(6);
    let error = layer.build(&shape(&[7, 4]), &mut Init::new(1, &cpu())).unwrap_err();
    assert_eq!(error.message(), expected);
    let layer = built(layer, &shape(&[6, 4]));
    let error = layer.forward(uniform(&[1, 7, 4], 0).into(), &Ctx::eval()).unwrap_err();
    assert_eq!(error.message(), expected);
    // Token by token, the seventh is one too many.
    layer.forward(uniform(&[1, 6, 4], 0).into(), &Ctx::eval().carrying()).unwrap();
    let error = layer.forward(uniform(&[1, 1, 4], 0).into(), &Ctx::eval().carrying()).unwrap_err();
    assert_eq!(error.message(), expected);
}

#[test]
fn stacks_say_where_a_fault_is() {
    let block = TransformerEncoderLayer::new(3, 8);
    let model = Sequential::new().push(TransformerEncoder::new(block, 2));
    let error = model.build([5, 4], &cpu(), 1).unwrap_err().to_string();
    assert!(
        error.starts_with("model.0.layers.0.self_attn (MultiHeadAttention): build: 3 heads do not divide"),
        "{error}"
    );
    let none = Sequential::new().push(TransformerEncoder::new(TransformerEncoderLayer::new(2, 8), 0));
    let error = none.build([5, 4], &cpu(), 1).unwrap_err();
    assert_eq!(error.message(), "0 layers: at least 1 is needed");
}

#[test]
fn settings_within_settings_are_checked() {
    let description = serde_json::json!({"layers": [
        {"layer": "TransformerEncoderLayer", "attention": {"heads": 2, "casual": true}, "feed_forward": {"hidden": 8}}
    ]});
    let error = Sequential::from_architecture(&description, &cpu()).unwrap_err();
    assert!(error.message().contains("unknown setting `casual`; the nearest is `causal`"), "{error}");
}
