//! Sequences, images and volumes in another size.
#![allow(missing_docs, clippy::missing_errors_doc)] // the list has them

use crate::tensor::taps;
use crate::{Arithmetic, PerAxis, Result, Tensor, Window};

/// The family's signatures.
#[doc(hidden)]
#[macro_export]
macro_rules! derived_resample {
    ($callback:path) => {
        $callback! { resample {
            /// x (N, C, D…) in another size, each element that of the nearest below: ⌊i·D/to⌋ along each axis, as PyTorch's `nearest`.
            /// Where the size is a multiple, elements are repeated (Keras's `UpSampling2D`).
            ///
            /// ```
            /// # use kiln_tensor::{Device, Tensor};
            /// let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0], [1, 1, 2, 2], &Device::cpu())?;
            /// assert_eq!(x.upsample_nearest([2, 3])?.to_vec::<f32>()?, [1.0, 1.0, 2.0, 3.0, 3.0, 4.0]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// A rank that does not fit, an axis without elements, a size of 0.
            fn upsample_nearest(to: impl Into<$crate::PerAxis>) -> Self;

            /// x (N, C, D…) in another size, by linear interpolation along each axis: bilinear for images, trilinear for volumes. With
            /// `align_corners` first and last elements lie on first and last; otherwise centers of pixels lie on centers (PyTorch's default
            /// and Keras's way).
            ///
            /// ```
            /// # use kiln_tensor::{Device, Tensor};
            /// let x = Tensor::from_slice(&[1.0f32, 2.0], [1, 1, 2], &Device::cpu())?;
            /// assert_eq!(x.upsample_bilinear(4, false)?.to_vec::<f32>()?, [1.0, 1.25, 1.75, 2.0]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// A rank that does not fit, an axis without elements, a size of 0, a dtype that is not a float type.
            fn upsample_bilinear(to: impl Into<$crate::PerAxis>, align_corners: bool) -> Self;

            /// x (N, C, D…) in another size, by cubic convolution along each axis (Keys 1981, with a = −0.75 as in PyTorch): bicubic for
            /// images. Past the ends the first and last elements go on. `align_corners` is that of
            /// [`upsample_bilinear`](Self::upsample_bilinear).
            ///
            /// ```
            /// # use kiln_tensor::{Device, Tensor};
            /// let x = Tensor::from_slice(&[0.0f32, 0.0, 1.0, 1.0], [1, 1, 4], &Device::cpu())?;
            /// let y = x.upsample_bicubic(7, true)?.to_vec::<f32>()?;
            /// assert_eq!(y, [0.0, -0.09375, 0.0, 0.5, 1.0, 1.09375, 1.0]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// As [`upsample_bilinear`](Self::upsample_bilinear).
            fn upsample_bicubic(to: impl Into<$crate::PerAxis>, align_corners: bool) -> Self;
        } }
    };
}

/// `step` along each spatial axis whose size changes, with its sizes before and after. Those that shrink come first, then the last
/// ones, so that there is least to compute.
fn by_axis<A: Arithmetic>(
    operation: &'static str,
    x: &A,
    to: PerAxis,
    step: impl Fn(&A, usize, [usize; 2]) -> Result<A>,
) -> Result<A> {
    let (to, from) = Window::resized(operation, x.shape(), to)?;
    let first = 3 + 2 - x.shape().rank();
    Window::shape(&x.shape()[..2], to, 3 - first)?;
    let shrinks = (first..3).filter(|&axis| to[axis] < from[axis]);
    let grows = (first..3).rev().filter(|&axis| to[axis] > from[axis]);
    shrinks.chain(grows).try_fold(x.clone(), |x, axis| step(&x, 2 + axis - first, [from[axis], to[axis]]))
}

pub fn upsample_nearest<A: Arithmetic>(x: &A, to: impl Into<PerAxis>) -> Result<A> {
    let below = |[from, to]: [usize; 2], i: usize| (i as u128 * from as u128 / to as u128) as usize;
    if x.value().dtype().is_float() {
        return x.in_wide(|x| {
            by_axis("upsample_nearest", x, to.into(), |x, axis, sizes| {
                x.blend(axis, &taps("upsample_nearest", sizes, sizes[1], |i| [(below(sizes, i), 1.0)])?)
            })
        });
    }
    by_axis("upsample_nearest", x, to.into(), |x, axis, sizes| {
        let index = Tensor::write_with([sizes[1]], x.value().device(), |index: &mut [i64]| {
            index.iter_mut().enumerate().for_each(|(i, index)| *index = below(sizes, i) as i64);
            Ok(())
        })?;
        x.index_select(axis, &index)
    })
}

/// Where element i of a result lies among those that it is made of.
fn place([from, to]: [usize; 2], align_corners: bool, i: usize) -> f64 {
    match align_corners {
        // Centers of pixels lie on centers.
        false => (i as f64 + 0.5) * (from as f64 / to as f64) - 0.5,
        true if to > 1 => i as f64 * ((from - 1) as f64 / (to - 1) as f64),
        true => 0.0,
    }
}

pub fn upsample_bilinear<A: Arithmetic>(x: &A, to: impl Into<PerAxis>, align_corners: bool) -> Result<A> {
    x.in_wide(|x| {
        by_axis("upsample_bilinear", x, to.into(), |x, axis, sizes| {
            let neighbors = |i| {
                // Before the first there is but one neighbor.
                let place = place(sizes, align_corners, i).max(0.0);
                let first = (place as usize).min(sizes[0] - 1);
                let weight = place - first as f64;
                [(first, 1.0 - weight), ((first + 1).min(sizes[0] - 1), weight)]
            };
            x.blend(axis, &taps("upsample_bilinear", sizes, sizes[1].saturating_mul(2), neighbors)?)
        })
    })
}

/// The slope parameter of cubic convolution, as in PyTorch and OpenCV.
const CUBIC: f64 = -0.75;

/// The weight of an element at this distance, of 0 to 2.
fn cubic(distance: f64) -> f64 {
    let d = distance;
    if d <= 1.0 {
        ((CUBIC + 2.0) * d - (CUBIC + 3.0)) * d * d + 1.0
    } else {
        ((CUBIC * d - 5.0 * CUBIC) * d + 8.0 * CUBIC) * d - 4.0 * CUBIC
    }
}

pub fn upsample_bicubic<A: Arithmetic>(x: &A, to: impl Into<PerAxis>, align_corners: bool) -> Result<A> {
    x.in_wide(|x| {
        by_axis("upsample_bicubic", x, to.into(), |x, axis, sizes| {
            let neighbors = |i| {
                let place = place(sizes, align_corners, i);
                let (first, part) = (place.floor(), place - place.floor());
                [-1.0, 0.0, 1.0, 2.0].map(|step| {
                    let at = (first + step).clamp(0.0, (sizes[0] - 1) as f64) as usize;
                    (at, cubic((step - part).abs()))
                })
            };
            x.blend(axis, &taps("upsample_bicubic", sizes, sizes[1].saturating_mul(4), neighbors)?)
        })
    })
}
