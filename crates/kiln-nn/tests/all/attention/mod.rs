//! Attention, positions and the blocks of transformers.

mod carried;
mod decoding;
mod dropout;
mod errors;
mod frameworks;
mod packed;
mod padded;
mod settings;
mod stream;

use kiln_autograd::Var;
use kiln_math::{Purpose, RandomStream};
use kiln_nn::*;
use kiln_tensor::{DType, Device, Shape, Tensor};

fn cpu() -> Device {
    Device::cpu()
}

fn uniform(shape: &[usize], index: u64) -> Var {
    let stream = RandomStream::new(5, Purpose::Data, index);
    Var::constant(Tensor::uniform(shape, -1.0, 1.0, DType::F32, &cpu(), stream).unwrap())
}

/// A layer for these samples of one value or several, whose weights are from seed 3.
fn built<L: Layer>(mut layer: L, samples: &ShapeOf<L::Input>) -> L {
    layer.build(samples, &mut Init::new(3, &cpu())).unwrap();
    layer
}

#[track_caller]
fn close(what: &str, found: &Tensor, expected: &Tensor, tolerance: f64) {
    assert_eq!(found.shape(), expected.shape(), "{what}");
    for (f, e) in found.to_f64_vec().unwrap().into_iter().zip(expected.to_f64_vec().unwrap()) {
        assert!((f - e).abs() <= tolerance * (1.0 + e.abs()), "{what}: {f}, expected {e}");
    }
}

/// A pass that goes on where the one before ended.
fn carrying() -> Ctx {
    Ctx::eval().carrying()
}

/// Two causal blocks of width 16.
fn blocks(attention: MultiHeadAttention) -> TransformerEncoder {
    let block = TransformerEncoderLayer::of(attention.causal(true), FeedForward::new(8)).norm_first(true);
    built(TransformerEncoder::new(block, 2), &Shape::new(&[9, 16]).unwrap())
}
