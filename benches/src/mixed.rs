//! Training steps in f32 and in mixed precision, and operations of half types beside those of f32.

use crate::timing::{best_of_half_a_second, median, peak_rss_mb, seconds};
use crate::transformer;
use kiln::models;
use kiln::prelude::*;
use serde_json::{Map, Value, json};

const STEPS: u64 = 7;
/// Elements of an operation's operands.
const COUNT: usize = 1 << 24;

/// A network with a batch for it.
struct Task {
    name: &'static str,
    model: Sequential,
    inputs: Tensor,
    targets: Tensor,
}

fn labels(count: usize, classes: usize, device: &Device) -> Result<Tensor> {
    let labels: Vec<i64> = (0..count).map(|i| (i * 7 % classes) as i64).collect();
    Tensor::from_slice(&labels, [count], device)
}

fn images(count: usize, size: usize, device: &Device) -> Result<Tensor> {
    Tensor::uniform([count, 3, size, size], 0.0, 1.0, DType::F32, device, RandomStream::new(0, Purpose::Data, 0))
}

fn tasks(device: &Device) -> Result<Vec<Task>> {
    let (inputs, targets) = transformer::batch(device)?;
    Ok(vec![
        Task {
            name: "alexnet",
            model: models::alexnet_cifar(10).build([3, 32, 32], device, 0)?,
            inputs: images(64, 32, device)?,
            targets: labels(64, 10, device)?,
        },
        Task {
            name: "resnet18",
            model: models::resnet18(1000).build([3, 224, 224], device, 0)?,
            inputs: images(16, 224, device)?,
            targets: labels(16, 1000, device)?,
        },
        Task { name: "gpt", model: transformer::model(device)?, inputs, targets },
    ])
}

/// Milliseconds of a training step with Adam, the median.
fn step(task: &mut Task, dtype: DType, device: &Device) -> Result<f64> {
    let (mut optimizer, loss_of) = (Adam::new(1e-4), SparseCategoricalCrossentropy::from_logits());
    let mut times = Vec::new();
    for step in 0..STEPS + 2 {
        let time = seconds(|| {
            let ctx = Ctx::train(0, step);
            let ctx = if dtype == DType::F32 { ctx } else { ctx.compute(dtype) };
            let loss = loss_of.forward(&task.model.forward(&task.inputs, &ctx)?, &task.targets)?;
            optimizer.step(&mut task.model, &loss.backward()?)?;
            ctx.commit(&mut task.model)?;
            device.synchronize()
        })?;
        if step >= 2 {
            times.push(time);
        }
    }
    Ok(median(times) * 1e3)
}

type Operation = fn(&Tensor, &Tensor) -> Result<Tensor>;

/// By name, of two operands (COUNT,); rows have 512 elements.
const OPERATIONS: &[(&str, Operation)] = &[
    ("relu", |x, _| x.relu()),
    ("add", |x, y| x.add(y)),
    ("gelu", |x, _| x.gelu()),
    ("softmax", |x, _| x.reshape([COUNT / 512, 512])?.softmax(-1)),
    ("layer_norm", |x, _| Var::from(x).reshape([COUNT / 512, 512])?.layer_norm(1, None, None, 1e-5).map(Var::into_tensor)),
    ("sum of columns", |x, _| x.reshape([COUNT / 512, 512])?.sum(0)),
];

/// Milliseconds of a step by network and type, and of operations by name and type.
pub(crate) fn all(device: &Device) -> Result<Value> {
    let (mut steps, mut ms) = (Map::new(), Map::new());
    device.session(|| -> Result<()> {
        for mut task in tasks(device)? {
            for dtype in [DType::F32, DType::BF16] {
                steps.insert(format!("{} {dtype}", task.name), json!(step(&mut task, dtype, device)?));
            }
        }
        let operand = |index| {
            Tensor::normal([COUNT], 0.0, 1.0, DType::F32, device, RandomStream::new(0, Purpose::Data, index))
        };
        let (x, y) = (operand(1)?, operand(2)?);
        for dtype in [DType::F32, DType::BF16, DType::F16] {
            let (x, y) = (x.to_dtype(dtype)?, y.to_dtype(dtype)?);
            for (name, run) in OPERATIONS {
                let time = best_of_half_a_second(|| {
                    run(&x, &y)?;
                    device.synchronize()
                })?;
                ms.insert(format!("{name} {dtype}"), json!(time * 1e3));
            }
        }
        Ok(())
    })?;
    Ok(json!({"task": "mixed", "step_ms": steps, "ms": ms, "peak_rss_mb": peak_rss_mb()}))
}
