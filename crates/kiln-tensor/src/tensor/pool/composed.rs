//! Maxima of windows, tap by tap.

use super::{Tensor, flat_positions};
use crate::{Arithmetic, Device, Error, MAX_SPATIAL, Result, Shape, Window};

type Sizes = [usize; MAX_SPATIAL];

/// i64 (P…) on a device: what `place` says of each output of a plane.
fn grid(sizes: Sizes, spatial: usize, device: &Device, place: impl Fn(Sizes) -> i64) -> Result<Tensor> {
    Tensor::write_with(Window::shape(&[], sizes, spatial)?, device, |to: &mut [i64]| {
        let [_, rows, columns] = sizes;
        for (i, to) in to.iter_mut().enumerate() {
            *to = place([i / columns / rows, i / columns % rows, i % columns]);
        }
        Ok(())
    })
}

/// Where in its plane D… of x (N, C, D…) each window's largest element is, i64 (N, C, P…): the first of equals, or the last NaN.
fn positions(window: &Window, x: &Tensor, shape: &Shape) -> Result<Tensor> {
    let (spatial, device) = (x.rank() - 2, x.device());
    let (sizes, outputs) = (Window::sizes(x.shape()), Window::sizes(shape));
    let met = |axis: usize, output: usize, tap: usize| {
        (output * window.stride[axis] + tap * window.dilation[axis]).checked_sub(window.padding[axis].0)
    };
    let place = |at: [Option<usize>; MAX_SPATIAL]| {
        (0..MAX_SPATIAL).fold(0, |place, axis| place * sizes[axis] as i64 + at[axis].unwrap_or(0) as i64)
    };
    // Padding is the least there is and comes after the first element that a window meets, so that it is never chosen.
    let padded = x.pad(&window.padding[MAX_SPATIAL - spatial..], f64::NEG_INFINITY)?;
    let first = |axis: usize, output: usize| (0..window.kernel[axis]).find_map(|tap| met(axis, output, tap));
    let firsts = grid(outputs, spatial, device, |output| place(std::array::from_fn(|axis| first(axis, output[axis]))))?;
    let mut found = firsts.broadcast_to(shape)?;
    let mut best = Tensor::full(shape, f64::NEG_INFINITY, x.dtype, device)?;
    for tap in window.each_tap() {
        let mut value = padded.clone();
        for axis in 0..spatial {
            let of = MAX_SPATIAL - spatial + axis;
            let start = tap[of] * window.dilation[of];
            let reach = (outputs[of] - 1) * window.stride[of] + 1;
            value = value.slice_by(2 + axis, start..start + reach, window.stride[of] as isize)?;
        }
        let here = grid(outputs, spatial, device, |output| {
            place(std::array::from_fn(|axis| met(axis, output[axis], tap[axis])))
        })?;
        // Larger; or NaN, which differs from itself.
        let better = value.gt(&best)?.logical_or(&value.ne(&value)?)?;
        found = Tensor::select(&better, &here, &found)?;
        best = Tensor::select(&better, &value, &best)?;
    }
    Ok(found)
}

/// The composed form: the maxima of x (N, C, D…) in the windows of an output of `shape` (N, C, P…), and where in their planes they
/// are (i64).
///
/// # Errors
/// Another shape than the output's; those of the operations.
pub fn composed<T: Arithmetic>(window: &Window, x: &T, shape: &Shape) -> Result<(T, Tensor)> {
    let value = x.value();
    let sizes = window.output_sizes("max_pool", value.shape())?;
    if Window::shape(&value.dims()[..2], sizes, value.rank() - 2)? != *shape {
        return Err(Error::shape("max_pool", format!("{} has no output of shape {shape}", value.shape())));
    }
    if shape.elements() == 0 {
        let nothing = Tensor::zeros(shape, value.dtype, value.device())?;
        return Ok((T::constant(nothing), Tensor::zeros(shape, crate::DType::I64, value.device())?));
    }
    let positions = positions(window, value, shape)?;
    let flat = flat_positions(&positions, value.shape())?;
    let all = Shape::new(&[value.elements()])?;
    Ok((x.reshape(all)?.index_select(0, &flat)?.reshape(*shape)?, positions))
}
