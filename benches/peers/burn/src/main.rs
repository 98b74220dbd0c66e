//! The benchmark tasks in burn on its fastest CPU backend, flex: `mnist-mlp [epochs [seed]]`, `gemm`. One JSON line each.

#[path = "../../common.rs"]
mod common;

use burn::backend::{Autodiff, Flex};
use burn::module::AutodiffModule;
use burn::nn::{Linear, LinearConfig, Relu, loss::CrossEntropyLossConfig};
use burn::optim::{AdamConfig, GradientsParams, Optimizer};
use burn::prelude::*;
use burn::tensor::Distribution;
use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
use serde_json::{Map, json};
use std::time::Instant;

type Cpu = Flex;
type Train = Autodiff<Cpu>;

const PEER: &str = "burn 0.21 flex";

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("mnist-mlp") => mnist(common::argument(1, 10), common::argument(2, 0)),
        Some("gemm") => gemm(),
        _ => {
            eprintln!("burn-peer mnist-mlp [epochs [seed]] | gemm");
            std::process::exit(2);
        }
    }
}

#[derive(Module, Debug)]
struct Mlp<B: Backend> {
    first: Linear<B>,
    relu: Relu,
    second: Linear<B>,
}

impl<B: Backend> Mlp<B> {
    fn forward(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        self.second.forward(self.relu.forward(self.first.forward(x)))
    }
}

fn images<B: Backend>(x: Vec<f32>, y: Vec<u8>, device: &B::Device) -> (Tensor<B, 2>, Tensor<B, 1, Int>) {
    let rows = y.len();
    let y: Vec<i64> = y.into_iter().map(i64::from).collect();
    (
        Tensor::from_data(TensorData::new(x, [rows, 784]), device),
        Tensor::from_data(TensorData::new(y, [rows]), device),
    )
}

/// The MNIST listing: Dense 128 ReLU, Dense 10; Adam; batch 32; evaluated after each epoch.
fn mnist(epochs: u64, seed: u64) {
    let device = Default::default();
    Train::seed(&device, seed);
    let [(x, y), (xt, yt)] = common::mnist();
    let (x, y) = images::<Train>(x, y, &device);
    let (xt, yt) = images::<Cpu>(xt, yt, &device);
    let mut model = Mlp::<Train> {
        first: LinearConfig::new(784, 128).init(&device),
        relu: Relu::new(),
        second: LinearConfig::new(128, 10).init(&device),
    };
    let loss = CrossEntropyLossConfig::new().init(&device);
    let mut optimizer = AdamConfig::new().with_epsilon(1e-7).init();
    let mut order: Vec<i64> = (0..y.dims()[0] as i64).collect();
    let mut draws = StdRng::seed_from_u64(seed);
    let mut accuracy = 0.0;
    let start = Instant::now();
    for _ in 0..epochs {
        order.shuffle(&mut draws);
        for indices in order.chunks(32) {
            let indices = Tensor::<Train, 1, Int>::from_data(TensorData::new(indices.to_vec(), [indices.len()]), &device);
            let logits = model.forward(x.clone().select(0, indices.clone()));
            let gradients = loss.forward(logits, y.clone().select(0, indices)).backward();
            let gradients = GradientsParams::from_grads(gradients, &model);
            model = optimizer.step(1e-3, model, gradients);
        }
        let classes = model.valid().forward(xt.clone()).argmax(1).squeeze_dim::<1>(1);
        let right: f64 = classes.equal(yt.clone()).int().sum().into_scalar().elem();
        accuracy = right / yt.dims()[0] as f64;
    }
    let fit = start.elapsed().as_secs_f64();
    println!(
        "{}",
        json!({"peer": PEER, "task": "mnist-mlp", "epochs": epochs, "fit_s": fit, "test_accuracy": accuracy})
    );
}

fn gemm() {
    let device = Default::default();
    let mut rates = Map::new();
    for [m, k, n] in common::SIZES {
        let a = Tensor::<Cpu, 2>::random([m, k], Distribution::Normal(0.0, 1.0), &device);
        let b = Tensor::<Cpu, 2>::random([k, n], Distribution::Normal(0.0, 1.0), &device);
        let rate = common::gflops([m, k, n], || drop(a.clone().matmul(b.clone())));
        rates.insert(format!("float32 {m}x{k}x{n}"), json!((rate * 10.0).round() / 10.0));
    }
    println!("{}", json!({"peer": PEER, "task": "gemm", "gflops": rates}));
}
