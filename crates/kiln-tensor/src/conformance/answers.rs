//! Which calls a device composes.

use super::composed::forward;
use crate::{
    Backend, Call, ConvOptions, DType, Device, DeviceBuffer, MatmulOptions, MemoryStats, Normalization, PoolOptions,
    Ran, Recurrence, RecurrentCell, Result, SoftmaxKind, Tensor, UpdateRule, UpdateTensors,
};
use kiln_math::UnaryOp;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// A device that takes down how calls were answered.
struct Answers {
    device: Device,
    seen: Mutex<Vec<((&'static str, DType), Ran)>>,
}

forward!(Answers, device, |answers: &Answers, call: &Call<'_>| {
    let ran = answers.device.run(call)?;
    answers.seen.lock().unwrap_or_else(PoisonError::into_inner).push((call.name(), ran));
    Ok(ran)
});

/// The calls that `device` answers with "not here", of those that a program over all operations makes in every float type:
/// `dropout of f32`, say. A backend's test pins them, so that a kernel that is not found is noticed.
pub fn composed_calls(device: &Device) -> BTreeSet<String> {
    let answers = Arc::new(Answers { device: device.clone(), seen: Mutex::default() });
    let device = Device::new(answers.clone());
    for dtype in [DType::F32, DType::F64, DType::F16, DType::BF16] {
        every_call(dtype, &device).unwrap();
    }
    let seen = answers.seen.lock().unwrap_or_else(PoisonError::into_inner);
    let composed = seen.iter().filter(|(_, ran)| *ran == Ran::NotHere);
    composed.map(|((name, dtype), _)| format!("{name} of {dtype}")).collect()
}

/// Every operation that is a call, with its gradient.
fn every_call(dtype: DType, device: &Device) -> Result<()> {
    let of = |shape: &[usize]| {
        let count = shape.iter().product();
        let values = Tensor::arange(count, device)?.to_dtype(DType::F32)?.affine(1.0 / count as f64, 0.1)?;
        values.reshape(shape)?.to_dtype(dtype)
    };
    let x = of(&[4, 6])?;
    for kind in [SoftmaxKind::Softmax, SoftmaxKind::LogSoftmax] {
        let y = if kind == SoftmaxKind::Softmax { x.softmax(-1)? } else { x.log_softmax(-1)? };
        y.softmax_grad(kind, &x)?;
    }
    x.logsumexp(-1)?;
    let labels = Tensor::from_slice(&[0i64, 1, 2, 3], [4], device)?;
    let weights = x.softmax(-1)?;
    x.cross_entropy(&labels)?;
    x.cross_entropy_grad(&labels, &of(&[4])?)?;
    // A backend may have a kernel for labels alone.
    x.cross_entropy(&weights)?;
    x.cross_entropy_grad(&weights, &of(&[4])?)?;
    x.dropout(0.5, &Tensor::from_slice(&[1i64, 0], [2], device)?)?;
    windows(&of)?;
    if dtype == dtype.computed_in() {
        recurrent(&of, device)?;
        update(&of, device)?;
    }
    Ok(())
}

fn windows(of: &dyn Fn(&[usize]) -> Result<Tensor>) -> Result<()> {
    let (image, weight) = (of(&[2, 3, 5, 5])?, of(&[4, 3, 3, 3])?);
    let conv = ConvOptions::new().resolve(image.shape(), weight.shape())?;
    let after = MatmulOptions { bias: Some(&of(&[4])?), activation: Some(UnaryOp::Tanh.into()) };
    let dy = image.conv_with(&weight, &conv, after)?;
    dy.conv_grad_input(&weight, &conv, image.shape())?;
    image.conv_grad_weight(&dy, &conv)?;
    let (y, maxima) = image.max_pool_with_taps(&PoolOptions::new(2))?;
    maxima.gradient(&y)?;
    let (moments, factor) = (image.moments()?, of(&[3])?);
    for activation in [None, Some(UnaryOp::Relu.into())] {
        let form = Normalization { epsilon: 1e-3, own_moments: true, activation };
        let y = image.normalize(&form, &moments, Some(&factor), Some(&factor))?;
        image.normalize_grad(&form, &moments, Some(&factor), Some(&y), &y)?;
    }
    Ok(())
}

fn recurrent(of: &dyn Fn(&[usize]) -> Result<Tensor>, device: &Device) -> Result<()> {
    let mask = Tensor::from_slice(&[true; 6], [3, 2], device)?;
    for &cell in RecurrentCell::ALL {
        let (width, state) = (cell.gates() * 4, of(&[2, 4])?);
        let weight = of(&[width, 4])?;
        let (mask, keep, h0) = (Some(&mask), Some(&state), Some(&state));
        let layer = Recurrence { mask, keep, h0, ..Recurrence::new(cell, &weight) };
        let after = of(&[3, 2, width])?.recurrent(&layer)?;
        after.grad(&layer, Some(&after.states), Some(&state), None)?;
    }
    Ok(())
}

fn update(of: &dyn Fn(&[usize]) -> Result<Tensor>, device: &Device) -> Result<()> {
    let step = Tensor::from_slice(&[0.1f64, 1.0], [2], device)?;
    let rules = [
        UpdateRule::Sgd { momentum: 0.9, dampening: 0.0, weight_decay: 0.0, nesterov: false },
        UpdateRule::Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0, decoupled: true },
    ];
    for rule in rules {
        let (mut parameter, mut first, mut second) = (of(&[5])?, of(&[5])?, of(&[5])?);
        let states = [Some(&mut first), (rule.states() > 1).then_some(&mut second)];
        let gradient = &of(&[5])?;
        Tensor::update(rule, &step, &mut [UpdateTensors { parameter: &mut parameter, gradient, states }])?;
    }
    Ok(())
}
