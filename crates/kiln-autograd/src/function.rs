//! What a recorded operation must know: its name and its derivative.

use crate::{Backward, Var};
use kiln_tensor::Result;

/// The derivative rule of an operation, with the values that it saved.
///
/// Rules are written over [`Var`]s once and serve twice: in an ordinary backward pass the Vars carry no graph and cost
/// nothing more than their tensors; when the gradient itself is to be differentiated ([`crate::grad`]), they do.
///
/// Implement it for a custom operation and make its output with [`Var::from_function`]:
///
/// ```
/// use kiln_autograd::{Backward, Function, Var};
/// use kiln_tensor::{Device, Result, Tensor};
///
/// /// y = x³, with the input saved.
/// struct Cube(Tensor);
/// impl Function for Cube {
///     fn name(&self) -> &'static str {
///         "cube"
///     }
///     fn backward(&self, dy: Var, pass: &mut Backward<'_>) -> Result<()> {
///         let x = pass.input(0, &self.0);
///         let slope = x.mul(&x)?.mul_scalar(3.0)?;
///         pass.accumulate(0, dy.mul(&slope)?)
///     }
/// }
///
/// # fn main() -> Result<()> {
/// let x = Var::variable(Tensor::from_slice(&[2.0f64], [1], &Device::cpu())?);
/// let t = x.tensor();
/// let y = Var::from_function(Cube(t.clone()), t.mul(t)?.mul(t)?, &[&x]);
/// let gradients = y.sum_all()?.backward()?;
/// assert_eq!(gradients.of(&x).unwrap().item()?, 12.0);
/// # Ok(())
/// # }
/// ```
pub trait Function: Send + Sync + 'static {
    /// The operation's name, for error messages.
    fn name(&self) -> &'static str;

    /// Adds each input's gradient, given the output's, by [`Backward::accumulate`]; inputs for which
    /// [`Backward::needs`] is false may be skipped.
    ///
    /// # Errors
    /// Those of the tensor operations.
    fn backward(&self, dy: Var, pass: &mut Backward<'_>) -> Result<()>;
}
