//! Recurrent layers and cells.

mod errors;
mod frameworks;
mod padding;
mod settings;

use kiln_autograd::{Var, grad_check};
use kiln_math::{Purpose, RandomStream};
use kiln_nn::*;
use kiln_tensor::{DType, Device, Result, Tensor};

fn cpu() -> Device {
    Device::cpu()
}

fn fixture(name: &str) -> StateDict {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    safetensors::read(path, &cpu()).unwrap()
}

/// The entries below a path, without it.
fn below(values: &StateDict, path: &str) -> StateDict {
    let path = format!("{path}/");
    values.iter().filter_map(|(name, value)| Some((name.strip_prefix(&path)?.to_owned(), value.clone()))).collect()
}

#[track_caller]
fn close(what: &str, found: &Tensor, expected: &Tensor, tolerance: f64) {
    assert_eq!(found.shape(), expected.shape(), "{what}");
    for (f, e) in found.to_f64_vec().unwrap().into_iter().zip(expected.to_f64_vec().unwrap()) {
        assert!((f - e).abs() <= tolerance * (1.0 + e.abs()), "{what}: {f}, expected {e}");
    }
}

/// The fixtures' sum.
fn counted(y: &Var, phase: usize) -> Var {
    let counts: Vec<f64> = (0..y.tensor().elements()).map(|i| 0.5 + ((i * 7 + phase) % 11) as f64 / 11.0).collect();
    let counts = Tensor::from_slice(&counts, y.shape(), &cpu()).unwrap().to_dtype(y.dtype()).unwrap();
    y.mul(&Var::constant(counts)).unwrap().sum_all().unwrap()
}

/// What all three layers have.
trait Recurrent: Layer<Input = Sequence, Output = Sequence> + Sized {
    fn run(&self, x: &Var, inputs: &SequenceInputs<'_>, ctx: &Ctx) -> Result<(Var, RecurrentState)>;
    fn keras(&mut self, state: &StateDict) -> Result<()>;
    fn settings(self, layers: usize, both: Option<Merge>, bias: bool, all: bool) -> Self;
}

macro_rules! recurrent {
    ($($layer:ident),+) => {$(
        impl Recurrent for $layer {
            fn run(&self, x: &Var, inputs: &SequenceInputs<'_>, ctx: &Ctx) -> Result<(Var, RecurrentState)> {
                self.run(x, inputs, ctx)
            }
            fn keras(&mut self, state: &StateDict) -> Result<()> {
                self.load_keras(state)
            }
            fn settings(self, layers: usize, both: Option<Merge>, bias: bool, all: bool) -> Self {
                let layer = self.layers(layers).use_bias(bias).return_sequences(all);
                match both {
                    Some(merge) => layer.bidirectional(merge),
                    None => layer,
                }
            }
        }
    )+};
}
recurrent!(Lstm, Gru, PeepholeLstm, SimpleRnn);

/// Builds a layer for the fixtures' inputs.
fn built<L: Layer<Input = Sequence, Output = Sequence>>(mut layer: L, dtype: DType) -> L {
    let sample = kiln_tensor::Shape::new(&[5, 4]).unwrap();
    layer.build(&sample, &mut Init::new(0, &cpu()).dtype(dtype)).unwrap();
    layer
}

fn uniform(shape: &[usize], index: u64) -> Tensor {
    Tensor::uniform(shape, -1.0, 1.0, DType::F64, &cpu(), RandomStream::new(5, Purpose::Data, index)).unwrap()
}

fn built_tokens(mut embedding: Embedding) -> Embedding {
    embedding.build(&kiln_tensor::Shape::new(&[2]).unwrap(), &mut Init::new(1, &cpu())).unwrap();
    embedding
}
