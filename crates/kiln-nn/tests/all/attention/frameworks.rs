//! PyTorch's and Keras's values (tests/fixtures/attention_layers.safetensors).

use super::{built, close, cpu};
use kiln_autograd::Var;
use kiln_nn::*;
use kiln_tensor::{Shape, Tensor};

/// What the fixture has of one case.
struct Case(StateDict);

impl Case {
    fn new(name: &str) -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/attention_layers.safetensors");
        let all = safetensors::read(path, &cpu()).unwrap();
        let start = format!("{name}/");
        Case(
            all.iter()
                .filter_map(|(name, value)| Some((name.strip_prefix(&start)?.to_owned(), value.clone())))
                .collect(),
        )
    }

    fn tensor(&self, name: &str) -> Tensor {
        self.0[name].clone()
    }

    fn var(&self, name: &str) -> Var {
        Var::constant(self.tensor(name))
    }

    fn masked(&self, name: &str, mask: &str) -> Sequence {
        Sequence::new(self.var(name), self.tensor(mask))
    }

    /// The entries below `layer`, without it.
    fn weights(&self) -> StateDict {
        self.0
            .iter()
            .filter_map(|(name, value)| Some((name.strip_prefix("layer/")?.to_owned(), value.clone())))
            .collect()
    }

    /// A layer with the case's weights.
    fn layer<L: Layer>(&self, layer: L, samples: &ShapeOf<L::Input>) -> L {
        let mut layer = built(layer, samples);
        layer.load_state_dict(&self.weights(), true).unwrap();
        layer
    }

    #[track_caller]
    fn check(&self, name: &str, found: &Var) {
        close(name, found.tensor(), &self.0[name], 2e-5);
    }
}

fn shape(dims: &[usize]) -> Shape {
    Shape::new(dims).unwrap()
}

#[test]
fn self_attention_is_pytorchs() {
    let case = Case::new("self");
    let layer = case.layer(MultiHeadAttention::new(3), &vec![shape(&[5, 12])]);
    let x = Sequence::from(case.var("x"));
    case.check("y", &layer.forward(vec![x], &Ctx::eval()).unwrap().values);
    let masked = layer.forward(vec![case.masked("x", "mask")], &Ctx::eval()).unwrap();
    assert!(masked.mask.is_some());
    // PyTorch computes queries at steps that do not count, too: those of the second sequence all count.
    let second = |y: &Tensor| y.slice(0, 1..2).unwrap();
    close("masked", &second(masked.values.tensor()), &second(&case.tensor("masked_y")), 2e-5);
    let first = |y: &Tensor| y.slice(0, 0..1).unwrap().slice(1, 0..3).unwrap();
    close("masked", &first(masked.values.tensor()), &first(&case.tensor("masked_y")), 2e-5);
}

#[test]
fn gradients_of_causal_attention_are_pytorchs() {
    let case = Case::new("self");
    let layer = case.layer(MultiHeadAttention::new(3).causal(true), &vec![shape(&[5, 12])]);
    let x = Var::variable(case.tensor("x"));
    let y = layer.forward(vec![(&x).into()], &Ctx::train(1, 0)).unwrap().values;
    case.check("causal_y", &y);
    let gradients = y.mul(&y).unwrap().sum_all().unwrap().backward().unwrap();
    close("dx", gradients.of(&x).unwrap(), &case.tensor("causal_dx"), 1e-4);
    let named = layer.named_gradients(&gradients);
    for (at, path, expected) in [(0, "in_proj_weight", "causal_dweight"), (1, "in_proj_bias", "causal_dbias")] {
        assert_eq!(named[at].0, path);
        close(path, named[at].1, &case.tensor(expected), 1e-4);
    }
}

#[test]
fn attention_to_inputs_of_other_widths_is_pytorchs() {
    let case = Case::new("cross");
    let samples = vec![shape(&[5, 12]), shape(&[4, 8]), shape(&[4, 6])];
    let layer = case.layer(MultiHeadAttention::new(3).use_bias(false), &samples);
    let (x, key, value, mask) = (case.var("x"), case.var("key"), case.var("value"), case.var("mask"));
    let y = layer.attend(&x, &key, &value, &AttentionInputs::new().mask(&mask), &Ctx::eval()).unwrap();
    case.check("y", &y);
}

#[test]
fn attention_is_kerass() {
    for (name, layer) in [
        ("keras", MultiHeadAttention::new(3).head_width(5).value_width(7)),
        ("keras_grouped", MultiHeadAttention::new(4).key_heads(2).head_width(3)),
    ] {
        let case = Case::new(name);
        let mut layer = built(layer, &vec![shape(&[5, 12]), shape(&[4, 12])]);
        layer.load_keras(&case.weights()).unwrap();
        let y = layer.forward(vec![case.var("x").into(), case.var("memory").into()], &Ctx::eval()).unwrap();
        case.check("y", &y.values);
    }
}

#[test]
fn keras_weights_that_do_not_fit_are_named() {
    let case = Case::new("keras");
    let mut layer = built(MultiHeadAttention::new(3).head_width(5), &vec![shape(&[5, 12])]);
    let before = layer.state_dict();
    let error = layer.load_keras(&case.weights()).unwrap_err().to_string();
    assert_eq!(error, "keras weights: value/kernel has shape (12, 3, 7), expected (12, 3, 5)");
    let mut weights = case.weights();
    weights.remove("multi_head_attention/key/bias");
    let error = layer.load_keras(&weights).unwrap_err().to_string();
    assert!(error.contains("value/kernel"), "{error}");
    let bits = |state: &StateDict| state.values().flat_map(|value| value.to_f64_vec().unwrap()).collect::<Vec<_>>();
    assert_eq!(bits(&layer.state_dict()), bits(&before));
    let mut layer = built(MultiHeadAttention::new(3).head_width(5).value_width(7), &vec![shape(&[5, 12])]);
    let error = layer.load_keras(&weights).unwrap_err().to_string();
    assert_eq!(error, "keras weights: there is no `key/bias` among the names");
}

#[test]
fn blocks_are_pytorchs() {
    let inputs = Case::new("blocks");
    let (x, memory) = (shape(&[5, 12]), shape(&[4, 12]));
    let pair = || (inputs.var("x").into(), inputs.masked("memory", "memory_mask"));
    let unmasked = || (inputs.var("x").into(), inputs.var("memory").into());
    for (name, first) in [("post", false), ("pre", true)] {
        let case = Case::new(&format!("encoder_layer/{name}"));
        let block = || TransformerEncoderLayer::new(3, 16).norm_first(first);
        let layer = case.layer(block().activation(Activation::Gelu), &x);
        let y = layer.forward(inputs.masked("x", "mask"), &Ctx::eval()).unwrap().values;
        let counted = |y: &Tensor| y.slice(0, 0..1).unwrap(); // all of the first sequence
        close(name, &counted(y.tensor()), &counted(&case.tensor("y")), 2e-5);
        let counted = |y: &Tensor| y.slice(0, 1..2).unwrap().slice(1, 0..3).unwrap();
        close(name, &counted(y.tensor()), &counted(&case.tensor("y")), 2e-5);

        let case = Case::new(&format!("decoder_layer/{name}"));
        let layer = case.layer(TransformerDecoderLayer::new(3, 16).norm_first(first), &(x, memory));
        case.check("y", &layer.forward(pair(), &Ctx::eval()).unwrap().values);

        let case = Case::new(&format!("encoder/{name}"));
        let layer = case.layer(TransformerEncoder::new(block(), 2), &x);
        case.check("y", &layer.forward(inputs.var("x").into(), &Ctx::eval()).unwrap().values);

        let case = Case::new(&format!("decoder/{name}"));
        let block = TransformerDecoderLayer::new(3, 16).norm_first(first);
        let layer = case.layer(TransformerDecoder::new(block, 2), &(x, memory));
        case.check("y", &layer.forward(unmasked(), &Ctx::eval()).unwrap().values);
    }
}

#[test]
fn positions_are_those_of_the_papers() {
    let case = Case::new("rotary");
    let x = case.var("x");
    case.check("half", &Rotary::new().rotate(&x, 0).unwrap());
    case.check("interleaved", &Rotary::new().interleaved(true).rotate(&x, 0).unwrap());
    let scaling =
        RotaryScaling::Llama3 { factor: 8.0, low_freq_factor: 1.0, high_freq_factor: 4.0, original_positions: 32 };
    case.check("llama3", &Rotary::new().scaling(scaling).rotate(&x, 0).unwrap());
    let later = Rotary::new().rotate(&x.slice(1, 2..5).unwrap(), 2).unwrap();
    close("from a position on", later.tensor(), &case.tensor("half").slice(1, 2..5).unwrap(), 2e-5);
    let part = Rotary::new().width(8).rotate(&Var::concat(&[&x, &x], 3).unwrap(), 0).unwrap();
    close("of a part", part.slice(3, 0..8).unwrap().tensor(), &case.tensor("half"), 2e-5);
    close("of a part", part.slice(3, 8..16).unwrap().tensor(), x.tensor(), 0.0);

    let table = Case::new("sinusoidal").tensor("table");
    let zeros = Var::constant(Tensor::zeros([1, 5, 12], table.dtype(), &cpu()).unwrap());
    let y = SinusoidalPositions::new().forward(zeros.into(), &Ctx::eval()).unwrap().values;
    close("sinusoidal", y.squeeze(0).unwrap().tensor(), &table, 2e-6);
}
