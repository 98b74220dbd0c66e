//! Layer and RMS normalization of rows, alone and after a residual sum: the bits of the operations one after the other, gradients of both
//! outputs, and refusals.

use kiln_autograd::{Var, grad_check, grad_grad_check};
use kiln_tensor::{DType, Device, Result, Tensor};
use proptest::prelude::*;

/// Numbers of no order.
fn operand(shape: &[usize], seed: usize, dtype: DType) -> Tensor {
    let count: usize = shape.iter().product();
    let data: Vec<f64> = (0..count).map(|i| ((i * 37 + seed * 11 + 5) % 61) as f64 / 27.0 - 1.05).collect();
    Tensor::from_slice(&data, shape, &Device::cpu()).unwrap().to_dtype(dtype).unwrap()
}

fn bits(x: &Tensor) -> Vec<u32> {
    x.to_vec::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
}

/// Sum and layer normalization by a sum, a batch normalization of rows as channels, a product and a sum.
fn one_after_the_other(v: &[Var]) -> Result<[Var; 2]> {
    let sum = v[0].add(&v[1])?;
    let (&width, rows) = sum.dims().split_last().unwrap();
    let channels = sum.reshape([1, rows.iter().product(), width])?;
    let normal = channels.batch_norm(None, None, 1e-5, None)?.0.reshape(*sum.shape())?;
    let y = normal.mul(&v[2])?.add(&v[3])?;
    Ok([sum, y])
}

fn fused(v: &[Var]) -> Result<[Var; 2]> {
    v[0].add_layer_norm(&v[1], 1, Some(&v[2]), Some(&v[3]), 1e-5).map(<[Var; 2]>::from)
}

/// Both outputs and the gradients of all operands, where both outputs go into the loss.
fn all(program: fn(&[Var]) -> Result<[Var; 2]>, operands: &[Tensor]) -> Vec<Vec<u32>> {
    let v: Vec<Var> = operands.iter().cloned().map(Var::variable).collect();
    let [sum, y] = program(&v).unwrap();
    let mut all = vec![bits(sum.tensor()), bits(y.tensor())];
    // The sum goes on to a later part, as in a transformer's block.
    let loss = sum.add(&y.tanh().unwrap()).unwrap().square().unwrap().sum_all().unwrap();
    let gradients = loss.backward().unwrap();
    all.extend(v.iter().map(|v| bits(gradients.of(v).unwrap())));
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn values_and_gradients_have_the_bits_of_the_operations_one_after_the_other(
        batch in 1_usize..4, rows in 1_usize..40, width in prop_oneof![1_usize..20, 60_usize..70, 250_usize..260],
        seed in 0_usize..50,
    ) {
        let x = [batch, rows, width];
        let operands: Vec<Tensor> = [&x[..], &x, &x[2..], &x[2..]]
            .iter().enumerate().map(|(i, shape)| operand(shape, seed + i, DType::F32)).collect();
        prop_assert!(all(fused, &operands) == all(one_after_the_other, &operands));
    }
}

/// An operation on Vars.
type Program = fn(&[Var]) -> Result<Var>;

/// Programs whose outputs hang on both values, one of them, or on one operand twice.
const PROGRAMS: &[(&str, Program)] = &[
    ("both outputs of add_layer_norm", |v| {
        let (sum, y) = v[0].add_layer_norm(&v[1], 1, Some(&v[2]), Some(&v[3]), 1e-3)?;
        sum.mul(&y.tanh()?)
    }),
    ("the second output of add_layer_norm", |v| Ok(v[0].add_layer_norm(&v[1], 1, Some(&v[2]), Some(&v[3]), 1e-3)?.1)),
    ("the first output of add_layer_norm", |v| Ok(v[0].add_layer_norm(&v[1], 1, None, None, 1e-3)?.0)),
    ("both outputs of add_rms_norm", |v| {
        let (sum, y) = v[0].add_rms_norm(&v[1], 1, Some(&v[2]), 1e-3)?;
        sum.mul(&y.tanh()?)
    }),
    ("add_rms_norm of an operand twice", |v| {
        let (sum, y) = v[0].add_rms_norm(&v[0], 2, None, 1e-3)?;
        sum.add(&y)?.mul(&v[0])
    }),
    ("layer_norm beside another use", |v| v[0].layer_norm(1, Some(&v[2]), None, 1e-3)?.mul(&v[0])),
    ("two blocks", |v| {
        let (sum, y) = v[0].add_layer_norm(&v[1], 1, Some(&v[2]), Some(&v[3]), 1e-3)?;
        let (sum, y) = sum.add_rms_norm(&y.square()?, 1, Some(&v[3]), 1e-3)?;
        sum.add(&y)
    }),
];

#[test]
fn gradients_are_those_of_differences() {
    let shapes: [&[usize]; 4] = [&[3, 5], &[3, 5], &[5], &[5]];
    let operands: Vec<Tensor> = shapes.iter().enumerate().map(|(i, shape)| operand(shape, i, DType::F64)).collect();
    for (name, program) in PROGRAMS {
        grad_check(program, &operands).unwrap_or_else(|error| panic!("{name}: {error}"));
        grad_grad_check(program, &operands).unwrap_or_else(|error| panic!("{name}, twice: {error}"));
    }
}

#[test]
fn nothing_and_one_element_are_normalized() {
    for shape in [[0, 3], [1, 1], [2, 1]] {
        let x = Var::variable(operand(&shape, 1, DType::F32));
        let (sum, y) = x.add_layer_norm(&x, 1, None, None, 1e-5).unwrap();
        assert_eq!((sum.dims(), y.dims()), (&shape[..], &shape[..]));
        // One element is its own mean.
        assert!(y.tensor().to_vec::<f32>().unwrap().iter().all(|&y| y == 0.0));
        let gradients = sum.add(&y).unwrap().sum_all().unwrap().backward().unwrap();
        assert!(gradients.of(&x).unwrap().to_vec::<f32>().unwrap().iter().all(|&dx| dx == 2.0));
    }
}

#[test]
fn operands_that_do_not_fit_are_refused() {
    let x = Var::constant(operand(&[4, 6], 0, DType::F32));
    let other = |shape: &[usize], dtype: DType| Var::constant(operand(shape, 1, dtype));
    let refused = |residual: &Var, weight: &Var, words: &str| {
        let error = x.add_layer_norm(residual, 1, Some(weight), None, 1e-5).unwrap_err().to_string();
        assert!(error.contains("add_layer_norm") && error.contains(words), "{error}");
    };
    let weight = other(&[6], DType::F32);
    refused(&other(&[4, 5], DType::F32), &weight, "an operand of shape (4, 6) is expected, got (4, 5)");
    // A sum would stretch it.
    refused(&other(&[1, 6], DType::F32), &weight, "an operand of shape (4, 6) is expected, got (1, 6)");
    refused(&other(&[4, 6], DType::F64), &weight, "convert one with `to_dtype`");
    refused(&x, &other(&[5], DType::F32), "a weight or bias for the last 1 axes of (4, 6) has shape (6,), got (5,)");
    refused(&x, &other(&[6], DType::F64), "convert one with `to_dtype`");
}
