//! Sums that blocks leave to the next normalization: the bits are those of sums made at once, as in a pass that is looked at.

use super::*;
use kiln_tensor::{Result, Shape};

fn bits(x: &Tensor) -> Vec<u32> {
    x.to_vec::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
}

/// The output of a model in training, and the gradients of its parameters and of x.
fn all<L: Layer>(layer: &L, x: &Var, ctx: &Ctx, run: impl Fn(&Var, &Ctx) -> Result<Sequence>) -> Vec<Vec<u32>> {
    let x = Var::variable(x.tensor().clone());
    let y = run(&x, ctx).unwrap().values;
    let mut all = vec![bits(y.tensor())];
    let gradients = y.square().unwrap().sum_all().unwrap().backward().unwrap();
    all.extend(layer.named_gradients(&gradients).into_iter().map(|(_, gradient)| bits(gradient)));
    all.push(bits(gradients.of(&x).unwrap()));
    all
}

#[track_caller]
fn same<L: Layer>(what: &str, layer: &L, x: &Var, run: impl Fn(&Var, &Ctx) -> Result<Sequence>) {
    let left = all(layer, x, &Ctx::train(1, 0), &run);
    let at_once = all(layer, x, &Ctx::train(1, 0).with_probe(KeptOutputs::default()), &run);
    assert!(left.len() > 20 && left == at_once, "{what}");
}

#[test]
fn sums_left_to_normalizations_change_no_bit() {
    let (x, memory) = (uniform(&[2, 5, 8], 0), uniform(&[2, 4, 8], 1));
    let mask = Tensor::from_slice(&[[true; 5], [true, true, true, false, false]].concat(), [2, 5], &cpu()).unwrap();
    let sample = |steps: usize| Shape::new(&[steps, 8]).unwrap();
    for norm in [BlockNorm::Layer, BlockNorm::Rms] {
        for norm_first in [false, true] {
            let what = format!("{norm:?}, first {norm_first}");
            let block = TransformerEncoderLayer::new(2, 12).norm(norm).norm_first(norm_first).dropout(0.2);
            let encoder = built(TransformerEncoder::new(block, 3), &sample(5));
            same(&what, &encoder, &x, |x, ctx| ctx.run(&encoder, x));
            same(&format!("{what}, masked"), &encoder, &x, |x, ctx| {
                ctx.run(&encoder, Sequence::new(x.clone(), mask.clone()))
            });
            let block = TransformerDecoderLayer::new(2, 12).norm(norm).norm_first(norm_first).dropout(0.2);
            let decoder = built(TransformerDecoder::new(block, 2), &(sample(5), sample(4)));
            same(&format!("{what}, decoder"), &decoder, &x, |x, ctx| {
                let inputs: (Sequence, Sequence) = (x.into(), (&memory).into());
                ctx.run(&decoder, inputs)
            });
        }
    }
}
