//! The kernels against the composed form and each other, and the gradients.
#![allow(clippy::unwrap_used)] // a panic is a test's report

use add_rms_norm::AddRmsNorm;
use kiln::autograd::{CustomFunction, Var, grad_check, grad_grad_check};
use kiln::math::{Purpose, RandomStream};
use kiln::tensor::{DType, Device, Tensor};
use std::sync::Arc;

const EPSILON: f64 = 1e-3;

/// One element; odd widths; rows shorter and longer than a warp; rows and widths at random; enough for several tasks.
fn shapes() -> Vec<Vec<usize>> {
    let mut shapes: Vec<Vec<usize>> =
        [&[1][..], &[1, 1], &[33], &[3, 7], &[2, 3, 31], &[5, 64], &[0, 4], &[300, 257]].map(<[usize]>::to_vec).into();
    shapes.extend((0u64..12).map(|i| vec![(i * 7 % 5 + 1) as usize, (i * i * 29 % 97 + 1) as usize]));
    shapes
}

fn operands(shape: &[usize], dtype: DType, device: &Device) -> [Tensor; 3] {
    let of = |shape: &[usize], index| {
        let stream = RandomStream::new(5, Purpose::Data, index);
        let x = Tensor::uniform(shape, -2.0, 2.0, DType::F64, &Device::cpu(), stream).unwrap();
        x.to_dtype(dtype).unwrap().to_device(device).unwrap()
    };
    [of(shape, 1), of(shape, 2), of(&shape[shape.len() - 1..], 3)]
}

fn kernel(op: &Arc<AddRmsNorm>, operands: &[Tensor; 3]) -> Tensor {
    let [x, residual, weight] = operands.clone().map(Var::constant);
    op.apply(&x, &residual, &weight).unwrap().tensor().clone()
}

fn composed(op: &AddRmsNorm, operands: &[Tensor; 3]) -> Tensor {
    op.composed(&operands.clone().map(Var::constant)).unwrap().tensor().clone()
}

fn differ_by(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!((a.shape(), a.dtype()), (b.shape(), b.dtype()));
    let (a, b) = (a.to_f64_vec().unwrap(), b.to_f64_vec().unwrap());
    a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn the_cpus_kernel_is_the_composed_form() {
    let op = AddRmsNorm::new(EPSILON);
    for (dtype, most) in [(DType::F32, 2e-6), (DType::F64, 4e-15)] {
        for shape in shapes() {
            let operands = operands(&shape, dtype, &Device::cpu());
            let difference = differ_by(&kernel(&op, &operands), &composed(&op, &operands));
            assert!(difference <= most, "{dtype} {shape:?}: {difference}");
        }
    }
}

#[test]
fn what_no_kernel_is_for_is_composed() {
    let op = AddRmsNorm::new(EPSILON);
    for dtype in [DType::F16, DType::BF16] {
        let operands = operands(&[3, 7], dtype, &Device::cpu());
        assert_eq!(differ_by(&kernel(&op, &operands), &composed(&op, &operands)), 0.0);
    }
}

#[test]
fn gradients_of_both_orders() {
    let op = AddRmsNorm::new(EPSILON);
    let f = |v: &[Var]| op.apply(&v[0], &v[1], &v[2])?.square();
    for shape in [&[1][..], &[2, 3], &[3, 5]] {
        let operands = operands(shape, DType::F64, &Device::cpu());
        grad_check(f, &operands).unwrap();
        grad_grad_check(f, &operands).unwrap();
    }
}

#[test]
fn operands_that_do_not_fit_are_told() {
    let op = AddRmsNorm::new(EPSILON);
    let [x, residual, weight] = operands(&[2, 3], DType::F32, &Device::cpu()).map(Var::constant);
    let told = |x: &Var, residual: &Var, weight: &Var| op.apply(x, residual, weight).unwrap_err().to_string();
    assert!(told(&x, &residual.t().unwrap(), &weight).contains("must have one shape"));
    assert!(told(&x, &residual, &x).contains("the length of its last axis"));
    let wide = Var::constant(weight.tensor().to_dtype(DType::F64).unwrap());
    assert!(told(&x, &residual, &wide).contains("the weight of f64; convert them"));
    let scalar = Var::constant(Tensor::scalar(1.0f32, &Device::cpu()).unwrap());
    assert!(told(&scalar, &scalar, &weight).contains("must have one shape"));
}

/// On a device of GPUs: the CPU's bits.
#[cfg(any(feature = "sim", feature = "cuda"))]
fn has_the_cpus_bits(gpu: &Device) {
    let op = AddRmsNorm::new(EPSILON);
    for shape in shapes() {
        let [there, here] = [gpu, &Device::cpu()]
            .map(|device| kernel(&op, &operands(&shape, DType::F32, device)).to_vec::<f32>().unwrap());
        assert_eq!(there, here, "{shape:?}");
    }
}

#[cfg(feature = "cuda")]
#[test]
#[ignore = "needs an NVIDIA card"]
fn a_card_has_the_cpus_bits() {
    has_the_cpus_bits(&kiln::device("cuda").unwrap());
}

#[cfg(feature = "sim")]
mod on_the_simulator {
    use super::*;
    use kiln::cuda::Simulated;

    #[test]
    fn the_gpus_kernel_has_the_cpus_bits() {
        let gpu = Simulated::new();
        has_the_cpus_bits(&gpu.device());
        // Of no elements nothing need be launched.
        assert!(gpu.launches("add_rms_norm") >= shapes().len() as u64 - 1);
    }

    #[test]
    fn a_gpu_without_a_kernel_composes() {
        let (op, gpu) = (AddRmsNorm::new(EPSILON), Simulated::new());
        for dtype in [DType::F64, DType::F16] {
            let operands = operands(&[4, 9], dtype, &gpu.device());
            assert_eq!(differ_by(&kernel(&op, &operands), &composed(&op, &operands)), 0.0);
        }
        assert_eq!(gpu.launches("add_rms_norm"), 0);
    }

    #[test]
    fn gradients_are_the_cpus() {
        let op = AddRmsNorm::new(EPSILON);
        let [there, here] = [kiln::device("sim").unwrap(), Device::cpu()].map(|device| {
            let operands = operands(&[3, 33], DType::F32, &device).map(Var::variable);
            let [x, residual, weight] = &operands;
            let loss = op.apply(x, residual, weight).unwrap().square().unwrap().sum_all().unwrap();
            let gradients = kiln::autograd::grad(&loss, &[x, residual, weight]).unwrap();
            gradients.into_iter().map(|gradient| gradient.unwrap().tensor().to_f64_vec().unwrap()).collect::<Vec<_>>()
        });
        for (there, here) in there.concat().into_iter().zip(here.concat()) {
            assert!((there - here).abs() <= 1e-4, "{there} {here}");
        }
    }
}
