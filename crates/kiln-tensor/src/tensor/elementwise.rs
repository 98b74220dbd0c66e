//! Elementwise operations: one method each, made from kiln-math's lists.

use super::integers::Arithmetic;
use super::{Tensor, check_device, check_pair};
use crate::{CompareOp, DType, Result, UnaryCall, broadcast_shapes, unsupported_dtype};
use kiln_math::{BinaryOp, UnaryOp};

impl Tensor {
    #[inline]
    fn expect_float(&self, operation: &'static str) -> Result<()> {
        if self.dtype.is_float() {
            Ok(())
        } else {
            Err(unsupported_dtype(operation, self.dtype, "f32, f64, f16 or bf16"))
        }
    }

    /// The elementwise operation `call`. Of integers: those whose results are integers too (neg, abs, sign, square, relu, floor,
    /// ceil, round, trunc, clamp, powf and affine with whole numbers), which wrap.
    ///
    /// # Errors
    /// A dtype without such arithmetic.
    #[inline]
    pub fn unary(&self, call: UnaryCall) -> Result<Tensor> {
        if !self.dtype.is_float() {
            return self.unary_of_integers(call);
        }
        let out = Tensor::output(self.shape(), self.dtype, self.device())?;
        self.device().unary(call, out.out(), self.view())?;
        Ok(out)
    }

    /// As [`Tensor::unary`], into this tensor's own memory where it is the only owner of it.
    ///
    /// # Errors
    /// As [`Tensor::unary`].
    pub fn into_unary(self, call: UnaryCall) -> Result<Tensor> {
        if !(self.is_unique() && self.is_contiguous() && self.dtype.is_float()) {
            return self.unary(call);
        }
        self.device().unary(call, self.out(), self.view())?;
        Ok(self)
    }

    /// This gradient dy times the slope of `call` at x, where y = f(x); in this tensor's own memory where it is the only
    /// owner of it. Give `None` for what the slope does not depend on (`kiln_math::UnaryOp::df` says).
    ///
    /// # Errors
    /// Shapes, dtypes or devices that differ.
    #[inline]
    pub fn unary_grad(self, call: UnaryCall, x: Option<&Tensor>, y: Option<&Tensor>) -> Result<Tensor> {
        self.expect_float(call.op.name())?;
        for other in [x, y].into_iter().flatten() {
            check_pair("unary_grad", &self, other)?;
            if other.shape() != self.shape() {
                return Err(crate::Error::shape(
                    "unary_grad",
                    format!(
                        "the gradient of {} has shape {}, its operand {}",
                        call.op.name(),
                        self.shape(),
                        other.shape()
                    ),
                ));
            }
        }
        let device = self.device();
        // dy stands in for what is not read.
        let (x, y) = (x.unwrap_or(&self), y.unwrap_or(&self));
        if self.is_unique() && self.is_contiguous() {
            device.unary_grad(call, self.out(), x.view(), y.view(), self.view())?;
            return Ok(self);
        }
        let out = Tensor::output(self.shape(), self.dtype, self.device())?;
        device.unary_grad(call, out.out(), x.view(), y.view(), self.view())?;
        Ok(out)
    }

    /// The elementwise operation `op`, with NumPy's broadcasting. Of integers: those of [`IntegerOp`](kiln_math::IntegerOp), which
    /// wrap; of bool: maximum and minimum.
    ///
    /// # Errors
    /// Shapes that do not broadcast, dtypes or devices that differ, a dtype without such arithmetic; of integers on a host, a
    /// divisor of 0 or a negative exponent.
    #[inline]
    pub fn binary(&self, op: BinaryOp, other: &Tensor) -> Result<Tensor> {
        check_pair(op.name(), self, other)?;
        self.binary_as(op.name(), Arithmetic::of(op, self.dtype)?, other)
    }

    /// An operation of a pair that was checked.
    #[inline]
    pub(super) fn binary_as(&self, operation: &'static str, op: Arithmetic, other: &Tensor) -> Result<Tensor> {
        op.check(other)?;
        let device = self.device();
        if self.shape() == other.shape() {
            let out = Tensor::output(self.shape(), self.dtype, self.device())?;
            op.run(device, out.out(), self.view(), other.view())?;
            return Ok(out);
        }
        let shape = broadcast_shapes(operation, self.shape(), other.shape())?;
        let (a, b) = (self.broadcast_to(shape)?, other.broadcast_to(shape)?);
        let out = Tensor::output(&shape, self.dtype, self.device())?;
        op.run(device, out.out(), a.view(), b.view())?;
        Ok(out)
    }

    /// Element by element: does the comparison hold? A bool tensor, by NumPy's broadcasting. With NaN only `Ne` holds.
    ///
    /// # Errors
    /// Shapes that do not broadcast, dtypes or devices that differ.
    pub fn compare(&self, op: CompareOp, other: &Tensor) -> Result<Tensor> {
        check_pair("compare", self, other)?;
        let shape = broadcast_shapes("compare", self.shape(), other.shape())?;
        let (a, b) = (self.broadcast_to(shape)?, other.broadcast_to(shape)?);
        let out = Tensor::output(&shape, DType::Bool, self.device())?;
        self.device().compare(op, out.out(), a.view(), b.view())?;
        Ok(out)
    }

    /// `a` where the condition (bool) holds, else `b`; all three broadcast.
    ///
    /// # Errors
    /// Shapes that do not broadcast, dtypes or devices that differ, a condition that is not bool.
    pub fn select(condition: &Tensor, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        condition.expect_dtype("select", DType::Bool)?;
        check_pair("select", a, b)?;
        check_device("select", condition, a)?;
        let shape = broadcast_shapes("select", a.shape(), b.shape())?;
        let shape = broadcast_shapes("select", &shape, condition.shape())?;
        let (c, x, y) = (condition.broadcast_to(shape)?, a.broadcast_to(shape)?, b.broadcast_to(shape)?);
        let out = Tensor::output(&shape, a.dtype, a.device())?;
        a.device().select(out.out(), c.view(), x.view(), y.view())?;
        Ok(out)
    }

    /// x + value, in this tensor's dtype.
    ///
    /// # Errors
    /// A number that an integer dtype does not hold; bool.
    pub fn add_scalar(&self, value: f64) -> Result<Tensor> {
        self.affine(1.0, value)
    }

    /// x · value, in this tensor's dtype.
    ///
    /// # Errors
    /// A number that an integer dtype does not hold; bool.
    pub fn mul_scalar(&self, value: f64) -> Result<Tensor> {
        self.affine(value, 0.0)
    }
}

macro_rules! comparisons {
    ($($method:ident $op:ident $sign:literal),+) => {
        impl Tensor {$(
            #[doc = concat!("Element by element: a ", $sign, " b, as a bool tensor.")]
            ///
            /// # Errors
            /// As [`Tensor::compare`].
            pub fn $method(&self, other: &Tensor) -> Result<Tensor> {
                self.compare(CompareOp::$op, other)
            }
        )+}
    };
}
comparisons!(eq Eq "=", ne Ne "≠", lt Lt "<", le Le "≤", gt Gt ">", ge Ge "≥");

macro_rules! unary_methods {
    ($({ $doc:literal, $op:ident, $method:ident, ($($param:ident),*) })+) => {
        impl Tensor {$(
            #[doc = $doc]
            #[doc = concat!(
                "\n```\n# use kiln_tensor::{Device, Tensor};\n",
                "let x = Tensor::from_slice(&[0.25f32, 0.75], [2], &Device::cpu())?;\n",
                $("let ", stringify!($param), " = 0.5;\n",)*
                "let y = x.", stringify!($method), "(", stringify!($($param),*), ")?; // of each element\n",
                "assert_eq!(y.shape(), x.shape());\n# Ok::<(), kiln_tensor::Error>(())\n```\n",
            )]
            /// # Errors
            /// A dtype without such arithmetic: see [`Tensor::unary`].
            #[inline]
            pub fn $method(&self $(, $param: f64)*) -> Result<Tensor> {
                let mut params = [0.0; 2];
                let given: &[f64] = &[$($param),*];
                params[..given.len()].copy_from_slice(given);
                self.unary(UnaryCall { op: UnaryOp::$op, params })
            }
        )+}
    };
}
kiln_math::for_each_unary!(unary_methods);

macro_rules! binary_methods {
    ($({ $doc:literal, $op:ident, $method:ident })+) => {
        impl Tensor {$(
            #[doc = $doc]
            #[doc = concat!(
                "\n```\n# use kiln_tensor::{Device, Tensor};\n# let cpu = Device::cpu();\n",
                "let a = Tensor::from_slice(&[0.25f32, 0.75], [2], &cpu)?;\n",
                "let b = Tensor::from_slice(&[0.5f32, 2.0, 3.0], [3, 1], &cpu)?;\n",
                "let y = a.", stringify!($method), "(&b)?; // of each pair of elements: the shapes broadcast\n",
                "assert_eq!(y.dims(), [3, 2]);\n# Ok::<(), kiln_tensor::Error>(())\n```\n",
            )]
            /// # Errors
            /// As [`Tensor::binary`].
            #[inline]
            pub fn $method(&self, other: &Tensor) -> Result<Tensor> {
                self.binary(BinaryOp::$op, other)
            }
        )+}
    };
}
kiln_math::for_each_binary!(binary_methods);
