//! Pooling and normalisation: from windows and views to the kernels' forms.

use super::memory::{slice, slice_mut};
use super::rows::{rows, write_rows};
use crate::{Normalization, Out, Result, Shape, View, Window};
use kiln_cpu::Isa;
use kiln_cpu::normalization::{self, Channels, Normalizer, Slopes};
use kiln_cpu::operand::{Number, Stored};
use kiln_cpu::pool::{self, Pool};
use kiln_math::UnaryOp;

fn pool_of(window: &Window, from: &Shape, to: &Shape) -> Pool {
    let Window { kernel, stride, dilation, padding } = *window;
    let before = padding.map(|(before, _)| before);
    Pool { size: Window::sizes(from), out: Window::sizes(to), kernel, stride, dilation, before }
}

pub(super) fn max_pool<T: Stored>(
    isa: Isa,
    window: &Window,
    out: &Out<'_>,
    taps: Option<&Out<'_>>,
    x: &View<'_>,
) -> Result<()> {
    let form = pool_of(window, x.layout.shape(), out.shape);
    let x = rows::<T>(x)?;
    // SAFETY: taps are bytes, row-major, and apart from the output.
    let taps = taps.map(|taps| unsafe { slice_mut::<u8>(taps) });
    write_rows::<T>(out, |y| pool::max_pool(isa, &form, &x, y, taps))
}

pub(super) fn max_pool_grad<T: Stored>(window: &Window, out: &Out<'_>, dy: &View<'_>, taps: &View<'_>) -> Result<()> {
    let form = pool_of(window, out.shape, dy.layout.shape());
    let dy = rows::<T>(dy)?;
    // SAFETY: taps are bytes, and contiguous.
    let taps = unsafe { slice::<u8>(taps) };
    write_rows::<T>(out, |dx| pool::max_pool_grad(&form, dx, &dy, taps))
}

fn channels(shape: &Shape) -> Channels {
    Channels { samples: shape[0], channels: shape[1], size: shape[2] }
}

/// Whether the kernels do what follows; else the composed form does.
pub(super) fn is_fused(form: &Normalization) -> bool {
    form.activation.is_none_or(|call| call.op == UnaryOp::Relu)
}

/// Numbers of channels, which are of the type that is computed in.
fn of_channels<'a, T: Stored>(view: &View<'a>) -> &'a [T::Compute] {
    // SAFETY: of that type, and contiguous: checked above the trait.
    unsafe { slice::<T::Compute>(view) }
}

pub(super) fn moments<T: Stored>(isa: Isa, out: &Out<'_>, x: &View<'_>) -> Result<()> {
    let (form, x) = (channels(x.layout.shape()), rows::<T>(x)?);
    // SAFETY: moments are of the type that is computed in, row-major, and apart from x.
    normalization::moments(isa, &form, unsafe { slice_mut::<T::Compute>(out) }, &x);
    Ok(())
}

pub(super) fn normalize<T: Stored>(
    isa: Isa,
    form: &Normalization,
    out: &Out<'_>,
    x: &View<'_>,
    moments: &View<'_>,
    affine: &[Option<View<'_>>; 2],
) -> Result<()> {
    let [weight, bias] = affine.each_ref().map(|operand| operand.as_ref().map(of_channels::<T>));
    let by = Normalizer {
        moments: of_channels::<T>(moments),
        epsilon: T::Compute::from_f64(form.epsilon),
        weight,
        bias,
        relu: form.activation.is_some(),
    };
    let (form, x) = (channels(out.shape), rows::<T>(x)?);
    write_rows::<T>(out, |y| normalization::normalize(isa, &form, &by, y, &x))
}

pub(super) fn normalize_grad<T: Stored>(
    isa: Isa,
    form: &Normalization,
    (dx, affine): (&Out<'_>, &Out<'_>),
    [x, y, dy]: [&View<'_>; 3],
    moments: &View<'_>,
    weight: Option<&View<'_>>,
) -> Result<()> {
    let by = Normalizer {
        moments: of_channels::<T>(moments),
        epsilon: T::Compute::from_f64(form.epsilon),
        weight: weight.map(of_channels::<T>),
        bias: None,
        relu: form.activation.is_some(),
    };
    let (x, y, dy) = (rows::<T>(x)?, rows::<T>(y)?, rows::<T>(dy)?);
    let (own, form, of) = (form.own_moments, channels(dx.shape), Slopes { x: &x, y: &y, dy: &dy });
    // SAFETY: of the type that is computed in, row-major, and apart from the others.
    let affine = unsafe { slice_mut::<T::Compute>(affine) };
    write_rows::<T>(dx, |dx| normalization::normalize_grad(isa, &form, &by, own, (dx, affine), of))
}
