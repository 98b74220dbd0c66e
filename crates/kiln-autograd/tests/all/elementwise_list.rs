//! Walks kiln_math's lists: an operation added there is checked here without being named.

use kiln_autograd::{Var, grad, grad_check, grad_grad_check};
use kiln_math::{BinaryOp, UnaryOp};
use kiln_tensor::{Device, Result, Tensor, UnaryCall};

/// Points inside a domain that hit no round number, where the piecewise definitions have their corners.
fn points((low, high): (f64, f64), count: usize) -> Vec<f64> {
    (0..count).map(|i| low + (high - low) * ((i as f64 * 0.618_033_988_75 + 0.137).fract())).collect()
}

fn calls() -> impl Iterator<Item = UnaryCall> {
    UnaryOp::ALL.iter().map(|&op| UnaryCall {
        op,
        // Any constants will do but those that make the function trivial; clamp wants low < high.
        params: match op.params() {
            0 => [0.0; 2],
            1 => [1.3, 0.0],
            _ => [-0.7, 0.9],
        },
    })
}

#[test]
fn first_derivatives_of_every_unary_operation() -> Result<()> {
    for call in calls() {
        let x = Tensor::from_slice(&points(call.op.domain(), 7), [7], &Device::cpu())?;
        grad_check(|v| v[0].unary(call), &[x]).unwrap_or_else(|e| panic!("{}: {e}", call.op.name()));
    }
    Ok(())
}

#[test]
fn second_derivatives_of_every_unary_operation() -> Result<()> {
    for call in calls() {
        let x = Tensor::from_slice(&points(call.op.domain(), 5), [5], &Device::cpu())?;
        grad_grad_check(|v| v[0].unary(call), &[x]).unwrap_or_else(|e| panic!("{}: {e}", call.op.name()));
    }
    Ok(())
}

#[test]
fn every_binary_operation_with_broadcasting() -> Result<()> {
    for &op in BinaryOp::ALL {
        let (a, b) = op.domains();
        for (left, right) in [([2, 3], [2, 3]), ([2, 3], [1, 3]), ([2, 1], [1, 3]), ([1, 1], [2, 2])] {
            let cpu = Device::cpu();
            let x = Tensor::from_slice(&points(a, left.iter().product()), left, &cpu)?;
            // Other points, so that no two meet where maximum and minimum have their corner.
            let (low, high) = b;
            let y = Tensor::from_slice(&points((low, high - 0.1), right.iter().product()), right, &cpu)?;
            grad_check(|v| v[0].binary(op, &v[1]), &[x.clone(), y.clone()])
                .unwrap_or_else(|e| panic!("{} {left:?} {right:?}: {e}", op.name()));
            grad_grad_check(|v| v[0].binary(op, &v[1]), &[x, y])
                .unwrap_or_else(|e| panic!("second, {} {left:?} {right:?}: {e}", op.name()));
        }
    }
    Ok(())
}

/// The kernel's f32 gradient against the f64 one: the fast path of every dtype is the same formula.
#[test]
fn f32_gradients_agree_with_f64() -> Result<()> {
    for call in calls() {
        let values = points(call.op.domain(), 37);
        let slopes = |x: Tensor| -> Result<Vec<f64>> {
            let x = Var::variable(x);
            let gradients = x.unary(call)?.sum_all()?.backward()?;
            gradients.of(&x).unwrap().to_f64_vec()
        };
        let single: Vec<f32> = values.iter().map(|&v| v as f32).collect();
        let rounded: Vec<f64> = single.iter().map(|&v| f64::from(v)).collect();
        let coarse = slopes(Tensor::from_slice(&single, [37], &Device::cpu())?)?;
        let fine = slopes(Tensor::from_slice(&rounded, [37], &Device::cpu())?)?;
        for (x, (a, b)) in rounded.iter().zip(coarse.iter().zip(&fine)) {
            assert!((a - b).abs() <= 2e-5 * (1.0 + b.abs()), "{}'({x}): f32 {a}, f64 {b}", call.op.name());
        }
    }
    Ok(())
}

/// The recorded (differentiable) gradient is the same number as the kernel's.
#[test]
fn recorded_gradients_agree_with_the_kernels() -> Result<()> {
    for call in calls() {
        let x = Var::variable(Tensor::from_slice(&points(call.op.domain(), 9), [9], &Device::cpu())?);
        let loss = x.unary(call)?.sum_all()?;
        let recorded = grad(&loss, &[&x])?.remove(0).unwrap().tensor().broadcast_to([9])?.to_f64_vec()?;
        let kernel = loss.backward()?.of(&x).unwrap().to_f64_vec()?;
        for (a, b) in recorded.iter().zip(&kernel) {
            assert!((a - b).abs() <= 1e-13 * (1.0 + b.abs()), "{}: {a} {b}", call.op.name());
        }
    }
    Ok(())
}
