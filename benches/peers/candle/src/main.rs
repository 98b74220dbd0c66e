//! The benchmark tasks in candle: `mnist-mlp [epochs [seed]]`, `gemm`. One JSON line each.

#[path = "../../common.rs"]
mod common;

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::{AdamW, Linear, Module, Optimizer, ParamsAdamW, VarBuilder, VarMap, linear, loss};
use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
use serde_json::{Map, json};
use std::time::Instant;

const PEER: &str = "candle 0.11";

fn main() -> Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("mnist-mlp") => mnist(common::argument(1, 10), common::argument(2, 0)),
        Some("gemm") => gemm(),
        _ => candle_core::bail!("candle-peer mnist-mlp [epochs [seed]] | gemm"),
    }
}

struct Mlp {
    first: Linear,
    second: Linear,
}

impl Module for Mlp {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.second.forward(&self.first.forward(x)?.relu()?)
    }
}

/// The MNIST listing: Dense 128 ReLU, Dense 10; Adam; batch 32; evaluated after each epoch.
fn mnist(epochs: u64, seed: u64) -> Result<()> {
    let cpu = Device::Cpu;
    let [(x, y), (xt, yt)] = common::mnist();
    let tensors = |x: Vec<f32>, y: Vec<u8>| -> Result<(Tensor, Tensor)> {
        let rows = y.len();
        let y: Vec<u32> = y.into_iter().map(u32::from).collect();
        Ok((Tensor::from_vec(x, (rows, 784), &cpu)?, Tensor::from_vec(y, rows, &cpu)?))
    };
    let ((x, y), (xt, yt)) = (tensors(x, y)?, tensors(xt, yt)?);
    let map = VarMap::new();
    let names = VarBuilder::from_varmap(&map, DType::F32, &cpu);
    let model = Mlp { first: linear(784, 128, names.pp("first"))?, second: linear(128, 10, names.pp("second"))? };
    let adam = ParamsAdamW { lr: 1e-3, eps: 1e-7, weight_decay: 0.0, ..ParamsAdamW::default() };
    let mut optimizer = AdamW::new(map.all_vars(), adam)?;
    let mut order: Vec<u32> = (0..y.dim(0)? as u32).collect();
    let mut draws = StdRng::seed_from_u64(seed);
    let mut accuracy = 0.0;
    let start = Instant::now();
    for _ in 0..epochs {
        order.shuffle(&mut draws);
        for indices in order.chunks(32) {
            let indices = Tensor::new(indices, &cpu)?;
            let logits = model.forward(&x.index_select(&indices, 0)?)?;
            optimizer.backward_step(&loss::cross_entropy(&logits, &y.index_select(&indices, 0)?)?)?;
        }
        let right = model.forward(&xt)?.argmax(1)?.eq(&yt)?.to_dtype(DType::F32)?.sum_all()?;
        accuracy = f64::from(right.to_scalar::<f32>()?) / yt.dim(0)? as f64;
    }
    let fit = start.elapsed().as_secs_f64();
    println!(
        "{}",
        json!({"peer": PEER, "task": "mnist-mlp", "epochs": epochs, "fit_s": fit, "test_accuracy": accuracy})
    );
    Ok(())
}

fn gemm() -> Result<()> {
    let mut rates = Map::new();
    for [m, k, n] in common::SIZES {
        let a = Tensor::randn(0f32, 1.0, (m, k), &Device::Cpu)?;
        let b = Tensor::randn(0f32, 1.0, (k, n), &Device::Cpu)?;
        let rate = common::gflops([m, k, n], || drop(a.matmul(&b)));
        rates.insert(format!("float32 {m}x{k}x{n}"), json!((rate * 10.0).round() / 10.0));
    }
    println!("{}", json!({"peer": PEER, "task": "gemm", "gflops": rates}));
    Ok(())
}
