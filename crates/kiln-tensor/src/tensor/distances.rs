//! Sums of distances and of their squares: what variances and norms are made of.

use super::{Axes, Tensor};
use crate::{Arithmetic, Call, Out, Ran, Result, Shape, View, unsupported_dtype};
use kiln_math::UnaryOp;

/// out = Σ (x − center) over axes, or Σ (x − center)²; without a center, of x itself.
#[derive(Clone, Copy, Debug)]
pub struct DistancesCall<'a> {
    /// Of x's dtype, its shape with the axes at size 1.
    pub out: Out<'a>,
    /// f32 or f64, any layout.
    pub x: View<'a>,
    /// Of out's shape and dtype, row-major.
    pub center: Option<View<'a>>,
    /// The axes.
    pub axes: Axes,
    /// Whether distances are squared.
    pub squared: bool,
}

/// The composed form, over `axes`, which stay at size 1.
///
/// # Errors
/// Those of the operations.
pub fn composed<T: Arithmetic>(x: &T, center: Option<&T>, axes: &[usize], squared: bool) -> Result<T> {
    let distance = center.map(|center| x.sub(center)).transpose()?;
    let distance = distance.as_ref().unwrap_or(x);
    if squared { distance.map(UnaryOp::Square)?.sum_keepdim(axes) } else { distance.sum_keepdim(axes) }
}

impl Tensor {
    /// Σ (x − center) or Σ (x − center)² over the axes, which stay at size 1.
    fn distances(&self, center: Option<&Tensor>, axes: Axes, squared: bool) -> Result<Tensor> {
        let mut kept = self.dims().to_vec();
        axes.iter().for_each(|&axis| kept[axis] = 1);
        let out = Tensor::output(&Shape::new(&kept)?, self.dtype, self.device())?;
        let (to, x, center_view) = (out.out(), self.view(), center.map(Tensor::view));
        let call = DistancesCall { out: to, x, center: center_view, axes, squared };
        match self.device().run(&Call::Distances(call))? {
            Ran::Done => Ok(out),
            Ran::NotHere => composed(self, center, &axes, squared),
        }
    }

    /// The mean over the axes, which stay at size 1, by way of the distances from a first element: of equal elements it is exactly
    /// that.
    fn centers(&self, axes: Axes) -> Result<Tensor> {
        let count: usize = axes.iter().map(|&axis| self.dims()[axis]).product();
        if count == 0 {
            return self.mean_keepdim(axes);
        }
        let first = axes.iter().try_fold(self.clone(), |x, &axis| x.slice(axis, 0..1))?.contiguous()?;
        let sum = self.distances(Some(&first), axes, false)?;
        first.add(&sum.div(&Tensor::full((), count as f64, self.dtype, self.device())?)?)
    }

    /// Σ x² over `axes`, which stay at size 1; of centered ones, Σ (x − mean)².
    pub(crate) fn squares(&self, axes: &[usize], centered: bool) -> Result<Tensor> {
        if !self.dtype.is_float() {
            return Err(unsupported_dtype("squares", self.dtype, "f32, f64, f16 or bf16"));
        }
        self.in_wide(|x| {
            let axes = Axes::those(x.shape(), |axis| axes.contains(&axis));
            let center = if centered { Some(x.centers(axes)?) } else { None };
            x.distances(center.as_ref(), axes, true)
        })
    }
}
