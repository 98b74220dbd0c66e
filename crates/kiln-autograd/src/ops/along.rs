//! Elements that were chosen along an axis, each by its position: what sorting, order statistics and cumulative extrema give.

use crate::{Backward, Function, Var};
use kiln_tensor::{DType, Result, Shape, Tensor};

/// y = x at positions along an axis; dx adds dy up at them.
struct Chosen {
    axis: usize,
    positions: Tensor,
    shape: Shape,
}

impl Function for Chosen {
    fn name(&self) -> &'static str {
        "chosen"
    }
    fn backward(&self, dy: Var, pass: &mut Backward<'_>) -> Result<()> {
        // Position by position along the axis is element by element of all.
        let (count, picked) = (self.shape.elements(), dy.shape().elements());
        let places = places(&self.positions, self.axis, &self.shape)?;
        let dx = dy.reshape([picked])?.index_add(0, &places, Shape::new(&[count])?)?;
        pass.accumulate(0, dx.reshape(self.shape)?)
    }
}

/// Where among all elements of `shape`, in row-major order, those at `positions` along `axis` are.
fn places(positions: &Tensor, axis: usize, shape: &Shape) -> Result<Tensor> {
    let (outer, inner) = (shape[..axis].iter().product::<usize>(), shape[axis + 1..].iter().product::<usize>());
    let device = positions.device();
    let count = |n: usize| Tensor::full((), n as f64, DType::I64, device);
    let rows = Tensor::arange(outer, device)?.mul(&count(shape[axis] * inner)?)?.reshape([outer, 1, 1])?;
    let columns = Tensor::arange(inner, device)?.reshape([1, 1, inner])?;
    let along = positions.reshape([outer, positions.dims()[axis], inner])?.mul(&count(inner)?)?;
    along.add(&rows)?.add(&columns)?.reshape([positions.elements()])
}

impl Var {
    /// The elements at `positions` along `axis`, which are `values`.
    pub(super) fn chosen_from(&self, axis: usize, values: Tensor, positions: &Tensor) -> Var {
        Var::record(&[self], values, |_| Chosen { axis, positions: positions.clone(), shape: *self.shape() })
    }
}
