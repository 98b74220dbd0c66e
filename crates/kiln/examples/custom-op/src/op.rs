//! The operation: the check of its operands, its kernels, its composed form.
#![forbid(unsafe_code)]

use crate::cpu::add_rms_norm;
use kiln::autograd::{CustomFunction, Var};
use kiln::tensor::{CustomOp, DType, Error, HostOperand, HostOutput, Ran, Result, Shape, Tensor};
use std::sync::Arc;

/// y = weight·(x + residual) / √(mean((x + residual)²) + ε) along the last axis: the RMS norm of a sum.
///
/// x and the residual have one shape (…, n), the weight has shape (n,); all have one floating dtype.
pub struct AddRmsNorm {
    epsilon: f64,
    #[cfg(any(feature = "sim", feature = "cuda"))]
    gpu: kiln::cuda::GpuKernel,
}

impl AddRmsNorm {
    /// The operation with that ε.
    pub fn new(epsilon: f64) -> Arc<Self> {
        Arc::new(AddRmsNorm {
            epsilon,
            #[cfg(any(feature = "sim", feature = "cuda"))]
            gpu: crate::gpu::kernel(epsilon),
        })
    }

    /// y of these.
    ///
    /// # Errors
    /// Shapes or dtypes that do not fit; operands on different devices.
    pub fn apply(self: &Arc<Self>, x: &Var, residual: &Var, weight: &Var) -> Result<Var> {
        Var::custom(self, &[x, residual, weight])
    }

    /// On the CPU, in `T`.
    fn on_cpu<T>(&self, operands: &[HostOperand<'_>], out: &mut HostOutput<'_>) -> Result<Ran>
    where
        T: kiln::math::Real + kiln::tensor::Element,
    {
        let [x, residual, weight] = [0, 1, 2].map(|i| operands[i].as_slice::<T>());
        add_rms_norm(out.as_mut_slice()?, [x?, residual?], weight?, T::constant(self.epsilon));
        Ok(Ran::Done)
    }
}

impl CustomOp for AddRmsNorm {
    fn name(&self) -> &'static str {
        "add_rms_norm"
    }

    fn output(&self, operands: &[&Tensor]) -> Result<(Shape, DType)> {
        let [x, residual, weight] = operands else {
            return Err(Error::value(self.name(), "x, a residual and a weight are expected"));
        };
        let dtype = x.dtype();
        if x.shape() != residual.shape() || weight.rank() != 1 || x.dims().last() != weight.dims().first() {
            let (x, residual, weight) = (x.shape(), residual.shape(), weight.shape());
            let message = format!(
                "x is {x}, the residual {residual} and the weight {weight}; x and the residual must have one shape, and \
                 the weight the length of its last axis"
            );
            return Err(Error::shape(self.name(), message));
        }
        if !dtype.is_float() || residual.dtype() != dtype || weight.dtype() != dtype {
            let (residual, weight) = (residual.dtype(), weight.dtype());
            let message = format!(
                "x is of {dtype}, the residual of {residual} and the weight of {weight}; convert them to one floating \
                 dtype with `to_dtype`"
            );
            return Err(Error::value(self.name(), message));
        }
        Ok((*x.shape(), dtype))
    }

    fn cpu(&self, operands: &[HostOperand<'_>], mut out: HostOutput<'_>) -> Result<Ran> {
        match out.dtype() {
            DType::F32 => self.on_cpu::<f32>(operands, &mut out),
            DType::F64 => self.on_cpu::<f64>(operands, &mut out),
            _ => Ok(Ran::NotHere), // composed
        }
    }

    #[cfg(any(feature = "sim", feature = "cuda"))]
    fn kernels(&self) -> Option<&dyn std::any::Any> {
        Some(&self.gpu)
    }
}

impl CustomFunction for AddRmsNorm {
    fn composed(&self, operands: &[Var]) -> Result<Var> {
        let sum = operands[0].add(&operands[1])?;
        let scale = sum.square()?.mean_keepdim(-1)?.add_scalar(self.epsilon)?.rsqrt()?;
        sum.mul(&scale)?.mul(&operands[2])
    }
}
