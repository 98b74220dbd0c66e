//! Which calls a device composes.

use super::composed::forward;
use crate::{
    AttentionOptions, Backend, Call, ConvOptions, DType, Device, DeviceBuffer, MatmulOptions, MemoryStats,
    Normalization, Order, PoolOptions, Ran, Recurrence, RecurrentCell, Result, RowNorm, SoftmaxKind, Tensor,
    UpdateRule, UpdateTensors,
};
use kiln_math::UnaryOp;
use kiln_math::update::{CONSTANTS, MAX_STATES};
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
    attention(&of)?;
    windows(&of)?;
    rows(&x)?;
    row_norms(&x, &of(&[6])?)?;
    if dtype == dtype.computed_in() {
        recurrent(&of, device)?;
    }
    update(&of, device)?;
    Ok(())
}

fn attention(of: &dyn Fn(&[usize]) -> Result<Tensor>) -> Result<()> {
    let (query, key) = (of(&[2, 4, 3, 5])?, of(&[2, 2, 6, 5])?);
    let options = AttentionOptions::new().causal(true);
    let after = query.attend(&key, &key, None, &options)?;
    after.grad([&query, &key, &key], None, &options, &after.out)?;
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

fn row_norms(x: &Tensor, factor: &Tensor) -> Result<()> {
    for centered in [true, false] {
        let form = RowNorm { axes: 1, centered, epsilon: 1e-5 };
        x.row_norm(&form, Some(x), Some(factor), Some(factor))?;
        let moments = Tensor::ones([if centered { 2 } else { 1 }, 4], x.dtype().computed_in(), x.device())?;
        x.row_norm_grad(&form, &moments, Some(factor), x, Some(x))?;
    }
    Ok(())
}

/// What sorts and accumulates.
fn rows(x: &Tensor) -> Result<()> {
    let sorted = x.sort(-1, Order::Ascending)?;
    x.kthvalue(1, -1)?;
    sorted.searchsorted(x, false)?;
    x.cumsum(-1)?;
    x.cummax(-1)?;
    x.linear_recurrence(x, -1)?;
    x.var(.., 1)?;
    x.reshape([1, 4, 6])?.upsample_bilinear(9, false)?;
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

/// A step of every rule, whose gradient is of the dtype.
fn update(of: &dyn Fn(&[usize]) -> Result<Tensor>, device: &Device) -> Result<()> {
    for &rule in UpdateRule::ALL {
        let (mut parameter, gradient) = (of(&[5])?, &of(&[5])?);
        let dtype = parameter.dtype().computed_in();
        let mut given: [Tensor; MAX_STATES] = [of(&[5])?, of(&[5])?, of(&[5])?];
        let kept = given.iter_mut().enumerate().map(|(at, state)| (at < rule.states().len()).then_some(state));
        let mut states = [const { None }; MAX_STATES];
        states.iter_mut().zip(kept).for_each(|(to, state)| *to = state);
        let tensors = UpdateTensors { parameter: &mut parameter, gradient, states, row: 0 };
        Tensor::update(rule, &Tensor::ones([1, CONSTANTS], dtype, device)?, None, &mut [tensors])?;
    }
    Ok(())
}
