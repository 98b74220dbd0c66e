//! An operation from outside: its kernel, its composed form, its gradients.

use kiln_autograd::{CustomFunction, Var, grad_check, grad_grad_check};
use kiln_tensor::conformance::Composed;
use kiln_tensor::{CustomOp, DType, Device, Error, HostOperand, HostOutput, Ran, Result, Shape, Tensor};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// weight · (x + residual) / sqrt(mean of squares + ε) along the last axis; of f64 alone there is a kernel.
#[derive(Default)]
struct AddRmsNorm {
    kernels: AtomicUsize,
    with_gradient: bool,
}

const EPSILON: f64 = 1e-3;

impl CustomOp for AddRmsNorm {
    fn name(&self) -> &'static str {
        "add_rms_norm"
    }

    fn output(&self, operands: &[&Tensor]) -> Result<(Shape, DType)> {
        match operands {
            [x, residual, weight] if x.shape() == residual.shape() && x.dims().last() == weight.dims().first() => {
                Ok((*x.shape(), x.dtype()))
            }
            _ => Err(Error::shape("add_rms_norm", "x, a residual of its shape and a weight (n,) are expected")),
        }
    }

    fn cpu(&self, operands: &[HostOperand<'_>], mut out: HostOutput<'_>) -> Result<Ran> {
        if out.dtype() != DType::F64 {
            return Ok(Ran::NotHere);
        }
        self.kernels.fetch_add(1, Ordering::Relaxed);
        let [x, residual, weight] = [0, 1, 2].map(|i| operands[i].as_slice::<f64>());
        let (x, residual, weight) = (x?, residual?, weight?);
        let n = weight.len();
        for (row, y) in out.as_mut_slice::<f64>()?.chunks_exact_mut(n).enumerate() {
            for (i, y) in y.iter_mut().enumerate() {
                *y = x[row * n + i] + residual[row * n + i];
            }
            let scale = 1.0 / (y.iter().map(|y| y * y).sum::<f64>() / n as f64 + EPSILON).sqrt();
            y.iter_mut().zip(weight).for_each(|(y, weight)| *y *= scale * weight);
        }
        Ok(Ran::Done)
    }
}

impl CustomFunction for AddRmsNorm {
    fn composed(&self, operands: &[Var]) -> Result<Var> {
        let sum = operands[0].add(&operands[1])?;
        let scale = sum.square()?.mean_keepdim(-1)?.add_scalar(EPSILON)?.rsqrt()?;
        sum.mul(&scale)?.mul(&operands[2])
    }

    fn gradients(&self, operands: &[Tensor], y: &Tensor, dy: &Tensor) -> Result<Option<Vec<Option<Tensor>>>> {
        if !self.with_gradient {
            return Ok(None);
        }
        assert_eq!(y.shape(), dy.shape());
        let vars: Vec<Var> = operands.iter().cloned().map(Var::variable).collect();
        let total = self.composed(&vars)?.mul(&Var::constant(dy.clone()))?.sum_all()?;
        let mut gradients = total.backward()?;
        Ok(Some(vars.iter().map(|var| gradients.remove(var.id()?)).collect()))
    }
}

fn operands(dtype: DType, device: &Device) -> [Tensor; 3] {
    let of = |shape: &[usize], seed: usize| {
        let count: usize = shape.iter().product();
        let data: Vec<f64> = (0..count).map(|i| ((i * 37 + seed * 11 + 5) % 29) as f64 / 13.0 - 1.05).collect();
        Tensor::from_slice(&data, shape, device).unwrap().to_dtype(dtype).unwrap()
    };
    [of(&[4, 5], 1), of(&[4, 5], 2), of(&[5], 3)]
}

#[test]
fn gradients_of_both_orders() {
    for with_gradient in [false, true] {
        let op = Arc::new(AddRmsNorm { with_gradient, ..AddRmsNorm::default() });
        let f = |v: &[Var]| Var::custom(&op, &[&v[0], &v[1], &v[2]])?.square();
        let inputs = operands(DType::F64, &Device::cpu());
        grad_check(f, &inputs).unwrap();
        grad_grad_check(f, &inputs).unwrap();
        assert!(op.kernels.load(Ordering::Relaxed) > 0);
    }
}

#[test]
fn kernel_and_composed_form() {
    let cpu = Device::cpu();
    let op = Arc::new(AddRmsNorm::default());
    let run = |dtype, device: &Device| {
        let [x, r, w] = operands(dtype, device).map(Var::constant);
        // A transposed operand is laid out first.
        let x = x.t().unwrap().tensor().contiguous().unwrap();
        let x = Var::constant(x).t().unwrap();
        Var::custom(&op, &[&x, &r, &w]).unwrap().tensor().to_f64_vec().unwrap()
    };
    let kernel = run(DType::F64, &cpu);
    assert_eq!(op.kernels.load(Ordering::Relaxed), 1);
    for (dtype, device, tolerance) in
        [(DType::F32, cpu.clone(), 1e-6), (DType::F64, Composed::device(&cpu), 1e-14), (DType::BF16, cpu, 4e-2)]
    {
        let composed = run(dtype, &device);
        assert!(
            kernel.iter().zip(&composed).all(|(a, b)| (a - b).abs() < tolerance),
            "{dtype}: {kernel:?} {composed:?}"
        );
    }
    assert_eq!(op.kernels.load(Ordering::Relaxed), 1, "f32 and a device without kernels are composed");
}

#[test]
fn bad_operands() {
    let op = Arc::new(AddRmsNorm::default());
    let [x, r, w] = operands(DType::F64, &Device::cpu()).map(Var::constant);
    let error = |operands: &[&Var]| Var::custom(&op, operands).unwrap_err().to_string();
    assert!(error(&[]).contains("`add_rms_norm` has no operand"), "{}", error(&[]));
    assert!(error(&[&x, &w, &w]).contains("a residual of its shape"));
    let elsewhere = Var::constant(r.tensor().to_device(&Device::cpu_of(1 << 20)).unwrap());
    assert!(error(&[&x, &elsewhere, &w]).contains("devices"));
    // A kernel that asks for another type gets an error, not other numbers.
    struct Wrong;
    impl CustomOp for Wrong {
        fn name(&self) -> &'static str {
            "wrong"
        }
        fn output(&self, operands: &[&Tensor]) -> Result<(Shape, DType)> {
            Ok((*operands[0].shape(), DType::Bool))
        }
        fn cpu(&self, operands: &[HostOperand<'_>], mut out: HostOutput<'_>) -> Result<Ran> {
            assert!(out.as_mut_slice::<bool>()?.iter().all(|&value| !value));
            operands[0].as_slice::<f32>().map(|_| Ran::Done)
        }
    }
    let error = Tensor::custom(&Wrong, &[x.tensor()]).unwrap_err().to_string();
    assert_eq!(error, "custom: elements of f64 are asked for as f32");
}

/// What a kernel leaves unwritten of a bool output is false, whatever the memory held before.
#[test]
fn a_bool_output_that_is_not_written() {
    struct Lazy;
    impl CustomOp for Lazy {
        fn name(&self) -> &'static str {
            "lazy"
        }
        fn output(&self, operands: &[&Tensor]) -> Result<(Shape, DType)> {
            Ok((*operands[0].shape(), DType::Bool))
        }
        fn cpu(&self, _: &[HostOperand<'_>], _: HostOutput<'_>) -> Result<Ran> {
            Ok(Ran::Done)
        }
    }
    let cpu = Device::cpu_of(1 << 20);
    drop(Tensor::full([64], 7.0, DType::U8, &cpu).unwrap());
    let x = Tensor::ones([64], DType::U8, &cpu).unwrap();
    drop(Tensor::full([64], 7.0, DType::U8, &cpu).unwrap());
    assert_eq!(Tensor::custom(&Lazy, &[&x]).unwrap().unwrap().to_vec::<bool>().unwrap(), [false; 64]);
}

/// Its composed form forgets an axis, or rounds.
struct Wrong(DType);

impl CustomOp for Wrong {
    fn name(&self) -> &'static str {
        "wrong"
    }

    fn output(&self, operands: &[&Tensor]) -> Result<(Shape, DType)> {
        Ok((*operands[0].shape(), operands[0].dtype()))
    }
}

impl CustomFunction for Wrong {
    fn composed(&self, operands: &[Var]) -> Result<Var> {
        let x = operands[0].to_dtype(self.0)?;
        if self.0 == DType::F32 { x.sum(0) } else { Ok(x) }
    }
}

#[test]
fn a_composed_form_of_another_shape_or_dtype_is_refused() {
    let x = Var::variable(Tensor::from_slice(&[1.0f32, 2.0], [2], &Device::cpu()).unwrap());
    for (dtype, found) in [(DType::F32, "f32 ()"), (DType::F64, "f64 (2,)")] {
        let error = Var::custom(&Arc::new(Wrong(dtype)), &[&x]).unwrap_err().to_string();
        assert_eq!(error, format!("wrong: `composed` gives {found}, `output` says f32 (2,): they must agree"));
    }
}
