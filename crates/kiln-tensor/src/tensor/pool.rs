//! Maxima of windows.

mod composed;

pub use composed::composed;

use super::{Tensor, check_device};
use crate::{Call, DType, Error, ErrorKind, Out, PoolOptions, Ran, Result, Shape, View, Window, unsupported_dtype};

/// out = the largest x in each window: the first of equals, or the last NaN. Padding is never chosen; each window meets at least
/// one element.
#[derive(Clone, Copy, Debug)]
pub struct MaxPoolCall<'a> {
    /// How the kernel moves.
    pub window: Window,
    /// (N, C, P…)
    pub out: Out<'a>,
    /// Where given, u8 (bytes, N, C, P…): becomes the number of the tap that meets the maximum, in [`Window::tap_bytes`] bytes,
    /// the lowest first.
    pub taps: Option<Out<'a>>,
    /// (N, C, D…), row-major.
    pub x: View<'a>,
}

/// The gradient of [`MaxPoolCall`]: out = 0, plus dy at what each window meets at its tap; what comes to one element adds up in
/// ascending order of position.
#[derive(Clone, Copy, Debug)]
pub struct MaxPoolGradCall<'a> {
    /// How the kernel moves.
    pub window: Window,
    /// (N, C, D…)
    pub out: Out<'a>,
    /// (N, C, P…), row-major.
    pub dy: View<'a>,
    /// As [`MaxPoolCall`] has written them, row-major.
    pub taps: View<'a>,
}

/// Where the maxima of [`Tensor::max_pool_with_taps`] are.
#[derive(Clone)]
pub struct Maxima {
    found: Found,
    window: Window,
    from: Shape,
}

#[derive(Clone)]
enum Found {
    /// At which taps of their windows, u8 (bytes, N, C, P…): one byte each, or two where the window has more than 256 taps.
    Taps(Tensor),
    /// Where in their planes, i64 (N, C, P…).
    Positions(Tensor),
}

impl Maxima {
    fn to(&self) -> Result<Shape> {
        match &self.found {
            Found::Taps(taps) => Shape::new(&taps.dims()[1..]),
            Found::Positions(positions) => Ok(*positions.shape()),
        }
    }

    /// Where in its plane D… of the input each maximum is: (N, C, P…), i64. They are computed on the host.
    ///
    /// # Errors
    /// Out of memory, a fault of the device.
    pub fn positions(&self) -> Result<Tensor> {
        let taps = match &self.found {
            Found::Taps(taps) => taps,
            Found::Positions(positions) => return Ok(positions.clone()),
        };
        let to = self.to()?;
        let Window { kernel, stride, dilation, padding } = self.window;
        let (outputs, sizes) = (Window::sizes(&to), Window::sizes(&self.from));
        let parts = |i: usize, of: [usize; 3]| [i / of[2] / of[1], i / of[2] % of[1], i % of[2]];
        let (device, count) = (taps.device().clone(), to.elements());
        let taps = taps.to_vec::<u8>()?;
        Tensor::write_with(to, &device, |positions: &mut [i64]| {
            for (i, position) in positions.iter_mut().enumerate() {
                let bytes = taps[i..].iter().step_by(count).enumerate();
                let tap = bytes.map(|(byte, &part)| usize::from(part) << (8 * byte)).sum();
                let (tap, output) = (parts(tap, kernel), parts(i % outputs.iter().product::<usize>(), outputs));
                *position = (0..3).fold(0, |place, axis| {
                    let at = output[axis] * stride[axis] + tap[axis] * dilation[axis] - padding[axis].0;
                    place * sizes[axis] as i64 + at as i64
                });
            }
            Ok(())
        })
    }

    /// The same among all elements of the input (of one axis), of one axis.
    ///
    /// # Errors
    /// As [`Maxima::positions`].
    pub fn flat_positions(&self) -> Result<Tensor> {
        flat_positions(&self.positions()?, &self.from)
    }

    /// The gradient of the input, of a gradient dy (N, C, P…) of the maxima: dy added up where they are.
    ///
    /// # Errors
    /// A shape that does not fit, a dtype that is not a float type, devices that differ.
    pub fn gradient(&self, dy: &Tensor) -> Result<Tensor> {
        let (Found::Taps(found) | Found::Positions(found)) = &self.found;
        check_device("max_pool_grad", dy, found)?;
        expect_float("max_pool_grad", dy)?;
        if *dy.shape() != self.to()? {
            return Err(no_gradient(dy, &self.to()?, &self.from));
        }
        if let Found::Taps(taps) = &self.found {
            let dy = dy.contiguous()?;
            let out = Tensor::output(&self.from, dy.dtype, dy.device())?;
            let call = MaxPoolGradCall { window: self.window, out: out.out(), dy: dy.view(), taps: taps.view() };
            if dy.device().run(&Call::MaxPoolGrad(call))? == Ran::Done {
                return Ok(out);
            }
        }
        dy.max_pool_grad(&self.positions()?, &self.from)
    }
}

/// Places in planes, i64 (N, C, P…), as places among all elements of a shape (N, C, D…), of one axis.
fn flat_positions(positions: &Tensor, shape: &Shape) -> Result<Tensor> {
    let (planes, plane) = (shape[0] * shape[1], shape[2..].iter().product::<usize>());
    let starts = Tensor::write_with([planes, 1], positions.device(), |starts: &mut [i64]| {
        starts.iter_mut().enumerate().for_each(|(i, start)| *start = (i * plane) as i64);
        Ok(())
    })?;
    let count = positions.dims()[2..].iter().product::<usize>();
    positions.reshape([planes, count])?.add(&starts)?.reshape([planes * count])
}

fn expect_float(operation: &'static str, x: &Tensor) -> Result<()> {
    if x.dtype.is_float() { Ok(()) } else { Err(unsupported_dtype(operation, x.dtype, "f32, f64, f16 or bf16")) }
}

#[cold]
fn no_gradient(dy: &Tensor, index: &Shape, from: &Shape) -> Error {
    Error::shape(
        "max_pool_grad",
        format!("{} at {index} is not the shape of a gradient of the maxima of {from}", dy.shape()),
    )
}

impl Tensor {
    /// The largest element in each window of x (N, C, D…), and where in its plane D… that is (i64): the first of equals, or
    /// the last NaN. Padding is never chosen.
    ///
    /// # Errors
    /// What [`PoolOptions::output_shape`] says, a dtype that is not a float type.
    pub fn max_pool(&self, options: &PoolOptions) -> Result<(Tensor, Tensor)> {
        let (y, maxima) = self.max_pool_with_taps(options)?;
        Ok((y, maxima.positions()?))
    }

    /// As [`Tensor::max_pool`], with what the gradient needs in place of positions.
    ///
    /// # Errors
    /// As [`Tensor::max_pool`].
    pub fn max_pool_with_taps(&self, options: &PoolOptions) -> Result<(Tensor, Maxima)> {
        let (y, maxima) = self.maxima(options, true)?;
        // They were asked for.
        let maxima = maxima.ok_or_else(|| Error::new(ErrorKind::Unsupported, "max_pool", "the device gave no taps"))?;
        Ok((y, maxima))
    }

    /// As [`Tensor::max_pool`], the largest elements alone.
    ///
    /// # Errors
    /// As [`Tensor::max_pool`].
    pub fn max_pool_values(&self, options: &PoolOptions) -> Result<Tensor> {
        Ok(self.maxima(options, false)?.0)
    }

    fn maxima(&self, options: &PoolOptions, keep: bool) -> Result<(Tensor, Option<Maxima>)> {
        expect_float("max_pool", self)?;
        let window = options.resolve("max_pool", self.shape())?;
        let sizes = window.output_sizes("max_pool", self.shape())?;
        let shape = Window::shape(&self.dims()[..2], sizes, self.rank() - 2)?;
        let x = self.contiguous()?;
        let out = Tensor::output(&shape, self.dtype, self.device())?;
        let taps = if keep {
            let all = Shape::new(&[&[window.tap_bytes()], shape.dims()].concat())?;
            Some(Tensor::output(&all, DType::U8, self.device())?)
        } else {
            None
        };
        let call = MaxPoolCall { window, out: out.out(), taps: taps.as_ref().map(Tensor::out), x: x.view() };
        let maxima = |found| Maxima { found, window, from: *self.shape() };
        match self.device().run(&Call::MaxPool(call))? {
            Ran::Done => Ok((out, taps.map(Found::Taps).map(maxima))),
            Ran::NotHere => {
                let (y, positions) = composed(&window, &x, &shape)?;
                Ok((y, Some(maxima(Found::Positions(positions)))))
            }
        }
    }

    /// The gradient of [`Tensor::max_pool`] of an input of this shape: this dy (N, C, P…), added up at `index` of each plane.
    ///
    /// # Errors
    /// Shapes that do not fit, an index that is not i64 or outside of its plane, devices that differ.
    pub fn max_pool_grad(&self, index: &Tensor, shape: &Shape) -> Result<Tensor> {
        check_device("max_pool_grad", self, index)?;
        index.expect_dtype("max_pool_grad", DType::I64)?;
        expect_float("max_pool_grad", self)?;
        let fits = self.rank() == shape.rank() && self.rank() >= 3 && self.dims()[..2] == shape[..2];
        if self.shape() != index.shape() || !fits {
            return Err(no_gradient(self, index.shape(), shape));
        }
        let plane = shape[2..].iter().product::<usize>();
        let outside = |place: &i64| usize::try_from(*place).map_or(true, |place| place >= plane);
        if let Some(place) = index.to_vec::<i64>()?.into_iter().find(outside) {
            let message = format!("index {place} is outside of its plane of {plane} elements in {shape}");
            return Err(Error::new(ErrorKind::Index, "max_pool_grad", message));
        }
        // Half types are added up in f32 and rounded once.
        let computed = if self.dtype == DType::F64 { DType::F64 } else { DType::F32 };
        let mut dx = Tensor::zeros([shape.elements()], computed, self.device())?;
        dx.index_add_assign(0, &flat_positions(index, shape)?, &self.to_dtype(computed)?.reshape([self.elements()])?)?;
        dx.reshape(shape)?.to_dtype(self.dtype)
    }
}
