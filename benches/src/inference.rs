//! Trained networks run on images: a fast plan, an exact one, and `forward`.

use crate::timing::{best_of_half_a_second, median, peak_rss_mb};
use kiln::nn::models;
use kiln::prelude::*;
use serde_json::{Map, Value, json};
use std::time::Instant;

/// Makes a network.
type Make = fn() -> Sequential;

/// The same list is in `inference_torch.py` and `inference_ort.py`: names, networks, shapes of a sample and batches.
const NETWORKS: [(&str, Make, &[usize], &[usize]); 7] = [
    ("mlp", mlp, &[28, 28], &[1, 32]),
    ("lstm", lstm, &[28, 28], &[1]),
    ("resnet18", || models::resnet18(1000), &[3, 224, 224], &[1, 32]),
    ("alexnet", alexnet, &[3, 224, 224], &[1, 32]),
    ("mobilenet_v2", || models::mobilenet_v2(1000), &[3, 224, 224], &[1, 32]),
    ("resnet50", || models::resnet50(1000), &[3, 224, 224], &[1, 32]),
    ("vgg16", || models::vgg16(1000), &[3, 224, 224], &[1, 32]),
];

/// The network that is also run by 8-bit integers.
const INT8: &str = "resnet50";

/// A plan of 8-bit integers, calibrated on two batches at random.
fn integers(model: &Sequential, x: &Tensor) -> Result<InferencePlan> {
    let stream = RandomStream::new(1, Purpose::Data, 0);
    let other = Tensor::normal(x.shape(), 0.0, 1.0, DType::F32, &Device::cpu(), stream)?;
    let calibration = Calibration::new(model, &[x.clone(), other])?;
    model.compile_for_inference_with(x.shape(), &InferenceOptions::new().int8(&calibration))
}

fn mlp() -> Sequential {
    Sequential::new().push(Flatten::new()).push(Dense::new(128).activation(Activation::Relu)).push(Dense::new(10))
}

/// torchvision's AlexNet: one group, no local response normalization.
fn alexnet() -> Sequential {
    let conv = |channels, kernel| Conv2d::new(channels, kernel).activation(Activation::Relu);
    let pool = || MaxPool2d::new(3).stride(2);
    Sequential::new()
        .push(conv(64, 11).stride(4).padding(2))
        .push(pool())
        .push(conv(192, 5).padding(2))
        .push(pool())
        .push(conv(384, 3).padding(1))
        .push(conv(256, 3).padding(1))
        .push(conv(256, 3).padding(1))
        .push(pool())
        .push(Flatten::new())
        .push(Dense::new(4096).activation(Activation::Relu))
        .push(Dense::new(4096).activation(Activation::Relu))
        .push(Dense::new(1000))
}

fn lstm() -> Sequential {
    Sequential::new().push(Lstm::new(128)).push(Dense::new(10))
}

/// Milliseconds of a run: the median of some seconds, in turn with other ways.
fn times(ways: &[&dyn Fn() -> Result<()>], device: &Device) -> Result<Vec<f64>> {
    let first = best_of_half_a_second(ways[0])?;
    let runs = ((2.0 / first) as usize).clamp(3, 4000);
    let mut all = vec![Vec::with_capacity(runs); ways.len()];
    for _ in 0..runs {
        for (way, times) in ways.iter().zip(&mut all) {
            let start = Instant::now();
            way()?;
            device.synchronize()?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
    }
    Ok(all.into_iter().map(median).collect())
}

/// Milliseconds by network and batch. KILN_BENCH_ONLY names one network.
pub(crate) fn all(device: &Device) -> Result<Value> {
    let only = std::env::var("KILN_BENCH_ONLY").ok();
    let [mut fast_ms, mut exact_ms, mut forward_ms, mut errors] = std::array::from_fn(|_| Map::new());
    for (name, make, sample, batches) in NETWORKS {
        if only.as_deref().is_some_and(|only| only != name) {
            continue;
        }
        let model = make().build(sample, device, 0)?;
        for &batch in batches {
            let key = format!("{name} {batch}");
            let shape = kiln::tensor::Shape::new(&[&[batch], sample].concat())?;
            let exact = model.compile_for_inference(shape)?;
            let fast = model.compile_for_inference_with(shape, &InferenceOptions::new().fast())?;
            let stream = RandomStream::new(0, Purpose::Data, 0);
            let x = Tensor::normal(shape, 0.0, 1.0, DType::F32, device, stream)?;
            let int8 = (name == INT8).then(|| integers(&model, &x)).transpose()?;
            let run_int8 = || int8.as_ref().map_or(Ok(()), |plan| plan.run(&x).map(drop));
            let ways: [&dyn Fn() -> Result<()>; 4] = [
                &|| fast.run(&x).map(drop),
                &|| exact.run(&x).map(drop),
                &|| Device::cpu().session(|| model.forward(&x, &Ctx::eval())).map(drop),
                &run_int8,
            ];
            let times = times(&ways[..3 + usize::from(int8.is_some())], device)?;
            let shown = |time: f64| json!((time * 1e4).round() / 1e4);
            for (to, &time) in [&mut fast_ms, &mut exact_ms, &mut forward_ms].into_iter().zip(&times) {
                to.insert(key.clone(), shown(time));
            }
            if let Some(&time) = times.get(3) {
                fast_ms.insert(format!("{name} int8 {batch}"), shown(time));
            }
            errors.insert(key, json!(fast.error()));
            if std::env::var_os("KILN_BENCH_TABLE").is_some() {
                for (way, plan) in [("fast", Some(&fast)), ("int8", int8.as_ref())] {
                    if let Some(plan) = plan {
                        eprintln!("{name} {batch} {way}\n{}", plan.table(std::slice::from_ref(&x))?);
                    }
                }
            }
        }
    }
    Ok(json!({
        "task": "inference",
        "ms": fast_ms,
        "exact_ms": exact_ms,
        "forward_ms": forward_ms,
        "error": errors,
        "peak_rss_mb": peak_rss_mb(),
    }))
}
