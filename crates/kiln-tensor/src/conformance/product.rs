//! Matrix products, with all that may follow them.

use super::cases::{Cases, FLOATS, Operand, Values, expect, output, rounded, tensor_of};
use crate::{DType, Device, Epilogue, Shape, UnaryCall};
use kiln_math::UnaryOp;

const ACTIVATIONS: [(UnaryOp, [f64; 2]); 4] = [
    (UnaryOp::Relu, [0.0; 2]),
    (UnaryOp::Tanh, [0.0; 2]),
    (UnaryOp::Gelu, [0.0; 2]),
    (UnaryOp::LeakyRelu, [0.25, 0.0]),
];

/// One product of operands (…, m, k) and (…, k, n), with a random epilogue.
fn check(cases: &mut Cases, batch: &[usize], [m, k, n]: [usize; 3], a: &Operand, b: &Operand) {
    let (device, dtype) = (cases.device.clone(), a.tensor.dtype());
    let values = Values::Between(-1.0, 1.0);
    let bias = cases.chance(2).then(|| cases.operand(&Shape::new(&[n]).unwrap(), dtype, values));
    let activation = cases.chance(2).then(|| ACTIVATIONS[cases.below(ACTIVATIONS.len())]);
    let accumulate = cases.chance(3);
    let shape = Shape::new(&[batch, &[m, n]].concat()).unwrap();
    let start: Vec<f64> =
        cases.numbers(shape.elements(), values).into_iter().map(|value| rounded(value, dtype)).collect();
    let out = if accumulate { tensor_of(&start, &shape, dtype, &device) } else { output(&shape, dtype, &device) };
    let epilogue = Epilogue {
        bias: bias.as_ref().map(|bias| bias.tensor.view()),
        activation: activation.map(|(op, params)| UnaryCall { op, params }),
        accumulate,
    };
    device.matmul(out.out(), a.tensor.view(), b.tensor.view(), epilogue).unwrap();
    let (mut want, mut scale) = (Vec::new(), Vec::new());
    for (at, &start) in start.iter().enumerate() {
        let (which, row, column) = (at / (m * n), at / n % m, at % n);
        let terms = (0..k).map(|i| a.values[(which * m + row) * k + i] * b.values[(which * k + i) * n + column]);
        let begin = if accumulate { start } else { 0.0 };
        let add = bias.as_ref().map_or(0.0, |bias| bias.values[column]);
        let sum = begin + terms.clone().sum::<f64>() + add;
        want.push(activation.map_or(sum, |(op, p)| op.f(sum, p)));
        let size = begin.abs() + add.abs() + terms.map(f64::abs).sum::<f64>();
        scale.push(2.0 * size * (1.0 + (k as f64).sqrt() / 4.0));
    }
    let what = format!(
        "matmul {batch:?} {m}×{k}×{n} of strides {:?} and {:?}, bias {}, activation {activation:?}, accumulate {accumulate}",
        a.tensor.layout().strides(),
        b.tensor.layout().strides(),
        bias.is_some()
    );
    expect(&what, &out, &want, |i| scale[i]);
}

pub(super) fn matmul(device: &Device) {
    let mut cases = Cases::new(device, 30);
    for dtype in FLOATS {
        for case in 0..60 {
            let dims = if case < 50 {
                [cases.size(), cases.size(), cases.size()]
            } else {
                [1 + cases.below(90), 1 + cases.below(300), 1 + cases.below(90)]
            };
            let [m, k, n] = dims;
            let values = Values::Between(-1.0, 1.0);
            let a = cases.operand(&Shape::new(&[m, k]).unwrap(), dtype, values);
            let b = cases.operand(&Shape::new(&[k, n]).unwrap(), dtype, values);
            check(&mut cases, &[], dims, &a, &b);
        }
    }
    // NaN and infinities go where they belong, and nowhere else.
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    for dtype in FLOATS {
        let square = Shape::new(&[3, 3]).unwrap();
        let a = [1.0, nan, 2.0, 3.0, 4.0, 5.0, inf, 0.0, 1.0];
        let b = [1.0, 0.0, 2.0, 3.0, 1.0, 1.0, 0.0, 1.0, -1.0];
        let (x, y) = (tensor_of(&a, &square, dtype, device), tensor_of(&b, &square, dtype, device));
        let out = output(&square, dtype, device);
        device.matmul(out.out(), x.view(), y.view(), Epilogue::default()).unwrap();
        let want = [nan, nan, nan, 15.0, 9.0, 5.0, inf, nan, inf];
        expect("matmul of special values", &out, &want, |_| 0.0);
    }
    assert!(
        {
            let x = tensor_of(&[1.0], &Shape::new(&[1, 1]).unwrap(), DType::I64, device);
            device.matmul(x.out(), x.view(), x.view(), Epilogue::default())
        }
        .is_err()
    );
}

pub(super) fn batches(device: &Device) {
    let mut cases = Cases::new(device, 31);
    for dtype in FLOATS {
        for _ in 0..40 {
            let rank = 1 + cases.below(2);
            let batch: Vec<usize> = (0..rank).map(|_| [0, 1, 2, 3, 5][cases.below(5)]).collect();
            let dims = [1 + cases.below(12), cases.below(20), 1 + cases.below(12)];
            let [m, k, n] = dims;
            let values = Values::Between(-1.0, 1.0);
            let a = cases.operand(&Shape::new(&[&batch[..], &[m, k]].concat()).unwrap(), dtype, values);
            let mut b = cases.operand(&Shape::new(&[&batch[..], &[k, n]].concat()).unwrap(), dtype, values);
            if cases.chance(2) {
                // One matrix for all the batch.
                let one = cases.operand(&Shape::new(&[k, n]).unwrap(), dtype, values);
                let tensor = one.tensor.broadcast_to(b.tensor.shape()).unwrap();
                b = Operand { tensor, values: one.values.repeat(batch.iter().product()), memory: one.memory };
            }
            check(&mut cases, &batch, dims, &a, &b);
        }
    }
}
