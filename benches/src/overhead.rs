//! What a small operation costs with everything around it, what `fit` saves or costs over a loop by hand, and what a profile costs.

use crate::mnist;
use crate::timing::seconds;
use kiln::prelude::*;
use kiln::profile::Profiling;
use serde_json::{Value, json};
use std::path::Path;

/// Operations in a chain, chains of which the best counts: as in `overhead_torch.py`.
const CHAIN: usize = 1000;
const ROUNDS: usize = 300;

/// Pairs of runs, one epoch each, of which the best of either side counts.
const PAIRS: usize = 7;

/// Nanoseconds an operation of a chain of ReLUs, with the dropping of the chain and its graph.
fn chain(x: &Var) -> Result<f64> {
    let mut least = f64::INFINITY;
    for _ in 0..ROUNDS {
        let time = seconds(|| {
            let mut y = x.relu()?;
            for _ in 1..CHAIN {
                y = y.relu()?;
            }
            Ok(())
        })?;
        least = least.min(time);
    }
    Ok(least / CHAIN as f64 * 1e9)
}

pub(crate) fn costs(data: &Path, device: &Device) -> Result<Value> {
    let x = Tensor::normal([64], 0.0, 1.0, DType::F32, device, RandomStream::new(0, Purpose::Data, 0))?;
    let (plain, with_node) = kiln::tensor::Device::cpu()
        .session(|| Ok::<_, Error>((chain(&Var::constant(x.clone()))?, chain(&Var::variable(x.clone()))?)))?;
    let profiling = Profiling::start()?;
    let profiled = kiln::tensor::Device::cpu().session(|| chain(&Var::constant(x.clone())))?;
    drop(profiling);
    let data = Mnist::load(data)?;
    let (mut fit, mut hand, mut fit_profiled) = (f64::INFINITY, f64::INFINITY, f64::INFINITY);
    for _ in 0..PAIRS {
        fit = fit.min(mnist::by_fit(&data, device, 1, 0)?.0);
        hand = hand.min(mnist::by_hand(&data, device, 1, 0)?.0);
        let profiling = Profiling::start()?;
        fit_profiled = fit_profiled.min(mnist::by_fit(&data, device, 1, 0)?.0);
        drop(profiling);
    }
    Ok(json!({
        "task": "overhead",
        "op_ns": plain,
        "op_with_node_ns": with_node,
        "op_in_profile_ns": profiled,
        "fit_epoch_s": fit,
        "hand_epoch_s": hand,
        "hand_loop_over_fit": hand / fit,
        "profiled_fit_over_fit": fit_profiled / fit,
    }))
}
