//! Operations from outside of Kiln, with their gradients.

use crate::{Backward, Function, Var};
use kiln_tensor::{CustomOp, Error, Result, Tensor};
use std::sync::Arc;

/// A [`CustomOp`] that can be differentiated: with its composed form, which is its gradient too, and a gradient of its own where
/// that is faster.
///
/// ```
/// use kiln_autograd::{CustomFunction, Var, grad};
/// use kiln_tensor::{CustomOp, DType, Device, HostOperand, HostOutput, Ran, Result, Shape, Tensor};
/// use std::sync::Arc;
///
/// /// x³ in one pass.
/// struct Cube;
///
/// impl CustomOp for Cube {
///     fn name(&self) -> &'static str {
///         "cube"
///     }
///     fn output(&self, operands: &[&Tensor]) -> Result<(Shape, DType)> {
///         Ok((*operands[0].shape(), operands[0].dtype()))
///     }
///     fn cpu(&self, operands: &[HostOperand<'_>], mut out: HostOutput<'_>) -> Result<Ran> {
///         if out.dtype() != DType::F64 {
///             return Ok(Ran::NotHere); // composed
///         }
///         let x = operands[0].as_slice::<f64>()?;
///         out.as_mut_slice::<f64>()?.iter_mut().zip(x).for_each(|(y, x)| *y = x * x * x);
///         Ok(Ran::Done)
///     }
/// }
///
/// impl CustomFunction for Cube {
///     fn composed(&self, operands: &[Var]) -> Result<Var> {
///         operands[0].mul(&operands[0])?.mul(&operands[0])
///     }
/// }
///
/// # fn main() -> Result<()> {
/// let x = Var::variable(Tensor::scalar(2.0f64, &Device::cpu())?);
/// let y = Var::custom(&Arc::new(Cube), &[&x])?;
/// let slope = grad(&y, &[&x])?.remove(0).unwrap();
/// let curvature = grad(&slope, &[&x])?.remove(0).unwrap();
/// assert_eq!([y.item()?, slope.item()?, curvature.item()?], [8.0, 12.0, 12.0]);
/// # Ok(())
/// # }
/// ```
pub trait CustomFunction: CustomOp {
    /// The same by operations on Vars: what runs where a device has no kernel, and what gradients are derived from. It is called with
    /// as many operands as the operation was.
    ///
    /// # Errors
    /// Those of the operations.
    fn composed(&self, operands: &[Var]) -> Result<Var>;

    /// The gradient of each operand, from the operands, the output y and its gradient dy; `None` (the default) takes the derivative
    /// of the composed form. It is asked where the gradient itself will not be differentiated.
    ///
    /// # Errors
    /// What goes wrong.
    fn gradients(&self, operands: &[Tensor], y: &Tensor, dy: &Tensor) -> Result<Option<Vec<Option<Tensor>>>> {
        let _ = (operands, y, dy);
        Ok(None)
    }
}

/// The composed form, whose shape and dtype must be those that [`CustomOp::output`] says.
fn composed<O: CustomFunction>(op: &O, operands: &[Var]) -> Result<Var> {
    let y = op.composed(operands)?;
    let (shape, dtype) = op.output(&operands.iter().map(Var::tensor).collect::<Vec<_>>())?;
    if *y.shape() == shape && y.dtype() == dtype {
        return Ok(y);
    }
    let (found, found_dtype) = (y.shape(), y.dtype());
    let message = format!("`composed` gives {found_dtype} {found}, `output` says {dtype} {shape}: they must agree");
    Err(Error::shape(op.name(), message))
}

struct Custom<O> {
    op: Arc<O>,
    operands: Vec<Tensor>,
    y: Tensor,
}

impl<O: CustomFunction> Function for Custom<O> {
    fn name(&self) -> &'static str {
        self.op.name()
    }
    fn backward(&self, dy: Var, pass: &mut Backward<'_>) -> Result<()> {
        if !pass.records()
            && let Some(gradients) = self.op.gradients(&self.operands, &self.y, dy.tensor())?
        {
            if gradients.len() != self.operands.len() {
                let (given, expected) = (gradients.len(), self.operands.len());
                let message = format!("`gradients` gives {given} gradients for {expected} operands");
                return Err(Error::value(self.op.name(), message));
            }
            for (position, gradient) in gradients.into_iter().enumerate() {
                if let Some(gradient) = gradient {
                    pass.accumulate(position, Var::constant(gradient))?;
                }
            }
            return Ok(());
        }
        pass.differentiate(&dy, |inputs| {
            let operands = self.operands.iter().enumerate().map(|(position, saved)| inputs.take(position, saved));
            composed(&*self.op, &operands.collect::<Result<Vec<_>>>()?)
        })
    }
}

impl Var {
    /// The custom operation `op` of these operands: by its kernel where the device has one, else by its composed form.
    ///
    /// # Errors
    /// What the operation refuses; no operands; operands on different devices; a composed form of another shape or dtype than
    /// [`CustomOp::output`] says.
    pub fn custom<O: CustomFunction>(op: &Arc<O>, operands: &[&Var]) -> Result<Var> {
        let tensors: Vec<&Tensor> = operands.iter().map(|operand| operand.tensor()).collect();
        let Some(y) = Tensor::custom(&**op, &tensors)? else {
            return composed(&**op, &operands.iter().map(|&operand| operand.clone()).collect::<Vec<_>>());
        };
        Ok(Var::record(operands, y, |y| Custom {
            op: op.clone(),
            operands: tensors.into_iter().cloned().collect(),
            y: y.clone(),
        }))
    }
}
