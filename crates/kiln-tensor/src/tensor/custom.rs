//! Operations from outside of Kiln.

use super::{Tensor, check_device};
use crate::{Call, DType, Element, Error, Out, Ran, Result, Shape, View};
use std::any::Any;
use std::fmt;

/// An operation from outside of Kiln: the check of its operands, and kernels for the devices that it knows.
///
/// The kernel for the CPU is plain safe code over slices; that for a GPU is found by its backend in [`CustomOp::kernels`]. Where a
/// device has no kernel, and for gradients, the operation's composed form runs: see `kiln_autograd::CustomFunction`. A crate with all
/// of these is crates/kiln/examples/custom-op.
///
/// ```
/// use kiln_tensor::{CustomOp, DType, Device, Error, HostOperand, HostOutput, Ran, Result, Shape, Tensor};
///
/// /// x³ in one pass.
/// struct Cube;
///
/// impl CustomOp for Cube {
///     fn name(&self) -> &'static str {
///         "cube"
///     }
///     fn output(&self, operands: &[&Tensor]) -> Result<(Shape, DType)> {
///         match operands {
///             [x] if x.dtype() == DType::F32 => Ok((*x.shape(), DType::F32)),
///             _ => Err(Error::value("cube", "one operand of f32 is expected")),
///         }
///     }
///     fn cpu(&self, operands: &[HostOperand<'_>], mut out: HostOutput<'_>) -> Result<Ran> {
///         let x = operands[0].as_slice::<f32>()?;
///         out.as_mut_slice::<f32>()?.iter_mut().zip(x).for_each(|(y, x)| *y = x * x * x);
///         Ok(Ran::Done)
///     }
/// }
///
/// let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0], [3], &Device::cpu())?;
/// assert_eq!(Tensor::custom(&Cube, &[&x])?.unwrap().to_vec::<f32>()?, [1.0, 8.0, 27.0]);
/// # Ok::<(), Error>(())
/// ```
pub trait CustomOp: Send + Sync + 'static {
    /// The operation's name, for error messages.
    fn name(&self) -> &'static str;

    /// Checks the operands, and gives the shape and dtype of the output. All operands are on one device.
    ///
    /// # Errors
    /// Operands that do not fit, in one sentence with the way out.
    fn output(&self, operands: &[&Tensor]) -> Result<(Shape, DType)>;

    /// Computes every element of `out` on the CPU, or answers [`Ran::NotHere`]. `kiln_cpu::team::parallel` shares the work among
    /// threads.
    ///
    /// # Errors
    /// What goes wrong.
    fn cpu(&self, operands: &[HostOperand<'_>], out: HostOutput<'_>) -> Result<Ran> {
        let _ = (operands, out);
        Ok(Ran::NotHere)
    }

    /// Kernels for another kind of device, of the type that its backend looks for: for GPUs a `kiln_cuda::GpuKernel`.
    fn kernels(&self) -> Option<&dyn Any> {
        None
    }
}

/// A [`CustomOp`] with its operands.
#[derive(Clone, Copy)]
pub struct CustomCall<'a> {
    /// The operation, which has checked its operands.
    pub op: &'a dyn CustomOp,
    /// The operands, row-major.
    pub operands: &'a [View<'a>],
    /// As [`CustomOp::output`] says.
    pub out: Out<'a>,
}

impl fmt::Debug for CustomCall<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CustomCall { op, operands, out } = self;
        f.debug_struct("CustomCall").field("op", &op.name()).field("operands", operands).field("out", out).finish()
    }
}

/// An operand in the host's memory, row-major.
#[derive(Clone, Copy, Debug)]
pub struct HostOperand<'a>(View<'a>);

/// An output in the host's memory, row-major. Its elements hold anything before they are written.
#[derive(Debug)]
pub struct HostOutput<'a>(Out<'a>);

fn expect_type<T: Element>(dtype: DType) -> Result<()> {
    if T::DTYPE == dtype {
        return Ok(());
    }
    Err(Error::value("custom", format!("elements of {dtype} are asked for as {}", T::DTYPE)))
}

impl<'a> HostOperand<'a> {
    /// The shape.
    pub fn shape(&self) -> &'a Shape {
        self.0.layout.shape()
    }

    /// Type of the elements.
    pub fn dtype(&self) -> DType {
        self.0.dtype
    }

    /// The elements.
    ///
    /// # Errors
    /// Another dtype than `T`'s.
    pub fn as_slice<T: Element>(&self) -> Result<&'a [T]> {
        expect_type::<T>(self.0.dtype)?;
        let first = (self.0.buffer.address as *const T).wrapping_add(self.0.layout.offset());
        // SAFETY: only `run_on_cpu` makes one: a contiguous view of this dtype, in memory that lives for 'a.
        Ok(unsafe { std::slice::from_raw_parts(first, self.shape().elements()) })
    }
}

impl HostOutput<'_> {
    /// The shape.
    pub fn shape(&self) -> &Shape {
        self.0.shape
    }

    /// Type of the elements.
    pub fn dtype(&self) -> DType {
        self.0.dtype
    }

    /// The elements.
    ///
    /// # Errors
    /// Another dtype than `T`'s.
    pub fn as_mut_slice<T: Element>(&mut self) -> Result<&mut [T]> {
        expect_type::<T>(self.0.dtype)?;
        let first = (self.0.buffer.address as *mut T).wrapping_add(self.0.offset);
        let count = self.0.elements();
        // SAFETY: only `run_on_cpu` makes one: an output of this dtype, row-major, that nobody else uses meanwhile; any bytes are a
        // valid number, and bools were zeroed.
        Ok(unsafe { std::slice::from_raw_parts_mut(first, count) })
    }
}

impl CustomCall<'_> {
    /// The call on a backend whose memory is the host's.
    ///
    /// # Safety
    /// As for [`crate::Backend::run`].
    pub unsafe fn run_on_cpu(&self) -> Result<Ran> {
        let operands: Vec<HostOperand<'_>> = self.operands.iter().map(|&view| HostOperand(view)).collect();
        self.op.cpu(&operands, HostOutput(self.out))
    }
}

impl Tensor {
    /// The operation `op` of these operands; `None` where the device has no kernel for it.
    ///
    /// # Errors
    /// What the operation refuses; no operands; operands on different devices.
    pub fn custom(op: &dyn CustomOp, operands: &[&Tensor]) -> Result<Option<Tensor>> {
        let Some(first) = operands.first() else {
            return Err(Error::value("custom", format!("`{}` has no operand: there must be 1 or more", op.name())));
        };
        operands.iter().try_for_each(|operand| check_device(op.name(), first, operand))?;
        let (shape, dtype) = op.output(operands)?;
        let rows = operands.iter().map(|operand| operand.contiguous()).collect::<Result<Vec<_>>>()?;
        let views: Vec<View<'_>> = rows.iter().map(Tensor::view).collect();
        // A reused buffer may hold bytes that are not valid as `bool`, and the kernel may leave elements unwritten.
        let out = if dtype == DType::Bool {
            Tensor::zeros(shape, dtype, first.device())?
        } else {
            Tensor::output(&shape, dtype, first.device())?
        };
        let ran = first.device().run(&Call::Custom(CustomCall { op, operands: &views, out: out.out() }))?;
        Ok((ran == Ran::Done).then_some(out))
    }
}
