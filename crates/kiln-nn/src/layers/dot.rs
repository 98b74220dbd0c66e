//! The product of two inputs summed over an axis.

use super::setters::setters;
use crate::{Ctx, Describe, Init, Layer, Module, several};
use kiln_autograd::Var;
use kiln_tensor::{Error, Result, Several, Shape};
use serde::{Deserialize, Serialize};

/// The product of two inputs, sample by sample, summed over an axis of each (Keras's `Dot`): of (N, A, C) and (N, C, B) over axes
/// `[2, 1]` (N, A, B). The output has the other axes of the first input, then those of the second one; of two vectors it is (N, 1).
///
/// Axis 0 counts samples, and negative axes count from the end. No mask goes on.
///
/// ```
/// use kiln_autograd::Var;
/// use kiln_nn::{Ctx, Dot, Layer};
/// use kiln_tensor::{Device, Tensor};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let of = |values: &[f32]| Tensor::from_slice(values, [1, 2], &Device::cpu()).map(Var::constant);
/// let inputs = (of(&[3.0, 4.0])?, of(&[6.0, 8.0])?);
/// assert_eq!(Dot::new(1).forward(inputs.clone(), &Ctx::eval())?.item()?, 50.0);
/// let cosine = Dot::new(-1).normalize(true).forward(inputs, &Ctx::eval())?;
/// assert!((cosine.item()? - 1.0).abs() < 1e-6);
/// # Ok(())
/// # }
/// ```
#[derive(Module, Describe, Clone, Debug, Serialize, Deserialize)]
#[describe(settings)]
pub struct Dot {
    #[module(skip)]
    #[serde(deserialize_with = "several::deserialize")]
    axes: Vec<isize>,
    #[serde(default)]
    normalize: bool,
}

impl Dot {
    /// Over this axis of both inputs, `1` or `-1`, or over one of each, `[2, 1]`.
    pub fn new(axes: impl Several) -> Self {
        Dot { axes: axes.several(), normalize: false }
    }

    setters! {
        /// Whether both are divided by their norms along the axis first, so that the output is a cosine. By default not. A norm below
        /// 10⁻⁷ counts as that.
        fn normalize(self, normalize: bool) { self.normalize = normalize }
    }

    /// The axes that are summed over, of batches of these shapes.
    fn of(&self, shapes: [&Shape; 2]) -> Result<[usize; 2]> {
        let given = match self.axes[..] {
            [both] => [both, both],
            [first, second] => [first, second],
            _ => return Err(Error::value("dot", format!("one axis or two are expected, got {:?}", self.axes))),
        };
        let axis = |at: usize| {
            let (shape, rank) = (shapes[at], shapes[at].rank() as isize);
            if rank < 2 {
                return Err(Error::value("dot", "samples of one number each have no axis to sum over: multiply them"));
            }
            let axis = if given[at] < 0 { given[at] + rank } else { given[at] };
            if axis == 0 || !(0..rank).contains(&axis) {
                let message = format!("axis {} of {shape}: an axis from 1 to {} is expected", given[at], rank - 1);
                return Err(Error::value("dot", message));
            }
            Ok(axis as usize)
        };
        let axes = [axis(0)?, axis(1)?];
        if shapes[0][axes[0]] != shapes[1][axes[1]] {
            let message = format!(
                "axis {} of {} and axis {} of {} are summed over together: they must be equal",
                axes[0], shapes[0], axes[1], shapes[1]
            );
            return Err(Error::shape("dot", message));
        }
        Ok(axes)
    }
}

/// The shape of the output.
fn output(shapes: [&Shape; 2], axes: [usize; 2]) -> Result<Shape> {
    let rest = |at: usize, from: usize| {
        let sizes = shapes[at].iter().copied().enumerate().skip(from);
        sizes.filter(move |&(axis, _)| axis != axes[at]).map(|(_, size)| size)
    };
    let mut dims: Vec<usize> = rest(0, 0).chain(rest(1, 1)).collect();
    if dims.len() == 1 {
        dims.push(1);
    }
    Shape::new(&dims)
}

impl Layer for Dot {
    type Input = (Var, Var);
    type Output = Var;

    fn forward(&self, (x, y): (Var, Var), _: &Ctx) -> Result<Var> {
        let shapes = [*x.shape(), *y.shape()];
        let axes = self.of([&shapes[0], &shapes[1]])?;
        if shapes[0][0] != shapes[1][0] {
            let message = format!("{} and {} are of different numbers of samples", shapes[0], shapes[1]);
            return Err(Error::shape("dot", message));
        }
        let to = output([&shapes[0], &shapes[1]], axes)?;
        let side = |value: Var, axis: usize| match self.normalize {
            true => value.normalized(2.0, axis, 1e-7),
            false => Ok(value),
        };
        // (N, A, C) times (N, C, B), where A and B are the other axes of each.
        let rows = |value: Var, axis: usize| -> Result<Var> {
            let (batch, size) = (value.dims()[0], value.dims()[axis]);
            let others = value.shape().elements() / (batch * size).max(1);
            side(value, axis)?.movedim(axis, -1)?.reshape([batch, others, size])
        };
        rows(x, axes[0])?.matmul(&rows(y, axes[1])?.transpose(1, 2)?)?.reshape(to)
    }

    fn build(&mut self, (x, y): &(Shape, Shape), _: &mut Init) -> Result<Shape> {
        let batch = |sample: &Shape| Shape::new(&[&[1], &sample[..]].concat());
        let shapes = [&batch(x)?, &batch(y)?];
        let to = output(shapes, self.of(shapes)?)?;
        Shape::new(&to[1..])
    }
}
