//! Samples with their axes in another order.

use crate::{Ctx, Describe, Init, Layer, LayerPrecision, Module};
use kiln_autograd::Var;
use kiln_tensor::{Error, Result, Shape};
use serde::{Deserialize, Serialize};

/// The axes of each sample in another order, counted from 1 as the batch's is 0 (Keras's `Permute`): `Permute::new([2, 1])` makes
/// (N, T, F) of (N, F, T).
///
/// ```
/// use kiln_nn::{Permute, Sequential};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// // Images with the channels last.
/// let model = Sequential::new().push(Permute::new([3, 1, 2])).build([28, 24, 3], &kiln_tensor::Device::cpu(), 1)?;
/// assert_eq!(model.output_shapes()[0], [3, 28, 24]);
/// # Ok(())
/// # }
/// ```
#[derive(Module, Describe, Clone, Debug, Serialize, Deserialize)]
#[describe(settings)]
pub struct Permute {
    #[module(skip)]
    axes: Vec<usize>,
}

impl Permute {
    /// Axis `axes[i]` of the sample becomes axis i + 1.
    pub fn new(axes: impl AsRef<[usize]>) -> Self {
        Permute { axes: axes.as_ref().to_vec() }
    }

    /// The order of a batch's axes, for samples of so many.
    fn order(&self, axes: usize) -> Result<Vec<usize>> {
        let mut sorted = self.axes.clone();
        sorted.sort_unstable();
        if !sorted.iter().copied().eq(1..=axes) {
            let message = format!("axes 1 to {axes} in some order are expected for samples of {axes} axes, got {:?}", self.axes);
            return Err(Error::value("permute", message));
        }
        Ok([&[0], &self.axes[..]].concat())
    }
}

impl Layer for Permute {
    type Input = Var;
    type Output = Var;

    fn precision(&self) -> LayerPrecision {
        LayerPrecision::AsGiven
    }

    fn forward(&self, x: Var, _: &Ctx) -> Result<Var> {
        x.permute(&self.order(x.shape().rank().saturating_sub(1))?)
    }

    fn build(&mut self, input: &Shape, _: &mut Init) -> Result<Shape> {
        let order = self.order(input.rank())?;
        Shape::new(&order[1..].iter().map(|axis| input[axis - 1]).collect::<Vec<_>>())
    }
}
