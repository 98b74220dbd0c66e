//! A device without kernels of coarse operations: values and gradients are those of one that has them.

use kiln_autograd::{RecurrentOptions, RecurrentOutput, Var};
use kiln_math::UnaryOp;
use kiln_tensor::conformance::Composed;
use kiln_tensor::{
    AttentionOptions, ConvOptions, DType, Device, PoolOptions, Recurrence, RecurrentCell, Result, Tensor,
};

/// An operation on Vars.
type Program = fn(&[Var]) -> Result<Var>;

/// Each coarse operation, and the shapes of its operands.
const OPERATIONS: &[(&str, Program, &[&[usize]])] = &[
    ("softmax", |v| v[0].softmax(-1), &[&[3, 4, 5]]),
    ("log_softmax", |v| v[0].log_softmax(1), &[&[3, 4, 5]]),
    ("logsumexp", |v| v[0].logsumexp(1), &[&[3, 4, 5]]),
    ("cross_entropy of labels", |v| v[0].cross_entropy(&labels(v[0].device(), 6)?), &[&[6, 3]]),
    ("cross_entropy of weights", |v| v[0].cross_entropy(v[1].softmax(-1)?.tensor()), &[&[6, 3], &[6, 3]]),
    ("dropout", |v| v[0].dropout(0.4, &Tensor::from_slice(&[3i64, 0], [2], v[0].device())?), &[&[3, 40]]),
    (
        "conv",
        |v| v[0].conv(&v[1], Some(&v[2]), &ConvOptions::new().stride(2).padding(1), Some(UnaryOp::Tanh.into())),
        &[&[2, 3, 7, 6], &[4, 3, 3, 2], &[4]],
    ),
    ("conv_transpose", |v| v[0].conv_transpose(&v[1], None, &ConvOptions::new().stride(3)), &[&[2, 4, 5], &[4, 2, 2]]),
    ("max_pool", |v| v[0].max_pool(&PoolOptions::new(3).stride(2).padding(1)), &[&[2, 3, 8, 7]]),
    (
        "batch_norm",
        |v| Ok(v[0].batch_norm(Some(&v[1]), Some(&v[2]), 1e-3, Some(UnaryOp::Relu.into()))?.0),
        &[&[4, 3, 5], &[3], &[3]],
    ),
    ("batch_norm without factors", |v| Ok(v[0].batch_norm(None, None, 1e-3, None)?.0), &[&[4, 3, 5]]),
    (
        "batch_norm_with",
        |v| {
            let moments = v[3].tensor().abs()?.add_scalar(0.5)?;
            v[0].batch_norm_with(&moments, Some(&v[1]), Some(&v[2]), 1e-3, Some(UnaryOp::Gelu.into()))
        },
        &[&[4, 3, 5], &[3], &[3], &[2, 3]],
    ),
    ("layer_norm", |v| v[0].layer_norm(1, Some(&v[1]), None, 1e-5), &[&[4, 6], &[6]]),
    ("rms_norm", |v| v[0].rms_norm(2, Some(&v[1]), 1e-5), &[&[4, 2, 3], &[2, 3]]),
    (
        "add_layer_norm",
        |v| {
            let (sum, y) = v[0].add_layer_norm(&v[1], 1, Some(&v[2]), Some(&v[3]), 1e-3)?;
            sum.tanh()?.add(&y)
        },
        &[&[4, 6], &[4, 6], &[6], &[6]],
    ),
    (
        "add_rms_norm",
        |v| {
            let (sum, y) = v[0].add_rms_norm(&v[1], 1, Some(&v[2]), 1e-3)?;
            sum.tanh()?.add(&y)
        },
        &[&[4, 6], &[4, 6], &[6]],
    ),
    ("attention", |v| v[0].attention(&v[1], &v[2], None, &AttentionOptions::new()), ATTENTION),
    ("causal attention", |v| attention(v, AttentionOptions::new().causal(true).window(3).alibi(true)), ATTENTION),
    ("attention with dropout", |v| attention(v, AttentionOptions::new().dropout(0.3, &stream(v)?)), ATTENTION),
    ("packed attention", |v| attention(v, AttentionOptions::new().packed(&[0, 2, 5], &[0, 4, 7])), ATTENTION),
    (
        "attention with a mask that learns",
        |v| v[0].attention(&v[1], &v[2], Some(&v[3]), &AttentionOptions::new().scale(0.8)),
        &[&[1, 4, 5, 3], &[1, 2, 7, 3], &[1, 2, 7, 4], &[4, 1, 7]],
    ),
    ("tanh cell", |v| recurrent(RecurrentCell::Tanh, v), &[&[3, 2, 4], &[4, 4], &[2, 4]]),
    ("relu cell", |v| recurrent(RecurrentCell::Relu, v), &[&[3, 2, 4], &[4, 4], &[2, 4]]),
    ("LSTM", |v| recurrent(RecurrentCell::Lstm, v), &[&[3, 2, 16], &[16, 4], &[2, 4]]),
    ("GRU", |v| recurrent(RecurrentCell::Gru, v), &[&[3, 2, 12], &[12, 4], &[2, 4], &[4]]),
    ("GRU before", |v| recurrent(RecurrentCell::GruResetBefore, v), &[&[3, 2, 12], &[12, 4], &[2, 4]]),
];

/// Query, key and value; two query heads share a key head.
const ATTENTION: &[&[usize]] = &[&[1, 4, 5, 3], &[1, 2, 7, 3], &[1, 2, 7, 4]];

fn stream(v: &[Var]) -> Result<Tensor> {
    Tensor::from_slice(&[3i64, 0], [2], v[0].device())
}

/// With a mask that hides the key 2, and from the query 1 all keys.
fn attention(v: &[Var], options: AttentionOptions) -> Result<Var> {
    let seen: Vec<bool> = (0..35).map(|pair| pair / 7 != 1 && pair % 7 != 2).collect();
    let mask = Var::constant(Tensor::from_slice(&seen, [5, 7], v[0].device())?);
    v[0].attention(&v[1], &v[2], Some(&mask), &options)
}

fn labels(device: &Device, count: i64) -> Result<Tensor> {
    Tensor::from_vec((0..count).map(|i| i % 3).collect(), [count as usize], device)
}

fn recurrent(cell: RecurrentCell, v: &[Var]) -> Result<Var> {
    let mask = Tensor::from_slice(&[true, true, true, false, true, false], [3, 2], v[0].device())?;
    let (h0, unit_weights, mask) = (v.get(2), v.get(3), Some(&mask));
    let layer = Recurrence { h0, unit_weights, mask, ..Recurrence::new(cell, &v[1]) };
    v[0].clone().recurrent(&layer, RecurrentOptions { output: RecurrentOutput::WithCell, twice: false })
}

/// Numbers of no order, on a device.
fn operand(shape: &[usize], seed: usize, dtype: DType, device: &Device) -> Tensor {
    let count: usize = shape.iter().product();
    let data: Vec<f64> = (0..count).map(|i| ((i * 37 + seed * 11 + 5) % 61) as f64 / 27.0 - 1.05).collect();
    Tensor::from_slice(&data, shape, device).unwrap().to_dtype(dtype).unwrap()
}

/// The value, and the gradient of each operand.
fn run(program: Program, shapes: &[&[usize]], dtype: DType, device: &Device) -> Vec<Vec<f64>> {
    let operands: Vec<Var> =
        shapes.iter().enumerate().map(|(i, shape)| Var::variable(operand(shape, i, dtype, device))).collect();
    let y = program(&operands).unwrap();
    let weights = Var::constant(operand(y.dims(), 7, y.dtype(), device));
    let mut all = vec![y.tensor().to_f64_vec().unwrap()];
    let gradients = y.mul(&weights).unwrap().sum_all().unwrap().backward().unwrap();
    all.extend(operands.iter().map(|operand| gradients.of(operand).map_or(vec![], |dx| dx.to_f64_vec().unwrap())));
    all
}

#[test]
fn gradients_without_kernels_are_those_of_the_kernels() {
    let cpu = Device::cpu();
    let composed = Composed::device(&cpu);
    for &(name, program, shapes) in OPERATIONS {
        for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 2e-5), (DType::F16, 2e-2), (DType::BF16, 1e-1)] {
            let with = run(program, shapes, dtype, &cpu);
            let without = run(program, shapes, dtype, &composed);
            for (i, (with, without)) in with.iter().zip(&without).enumerate() {
                assert_eq!(with.len(), without.len(), "{name} {dtype} {i}");
                let scale = with.iter().fold(1.0, |most: f64, x| most.max(x.abs()));
                let near = |(a, b): (&f64, &f64)| (a - b).abs() <= tolerance * scale;
                assert!(with.iter().zip(without).all(near), "{name} {dtype} {i}:\n{with:?}\n{without:?}");
            }
        }
    }
}
