//! Normalization by channel: from views to the kernels' forms.

use super::memory::{slice, slice_mut};
use super::rows::{rows, write_rows};
use crate::{
    DType, MomentsCall, Normalization, NormalizeCall, NormalizeGradCall, Ran, Result, Shape, View, unsupported_dtype,
};
use half::{bf16, f16};
use kiln_cpu::Isa;
use kiln_cpu::normalization::{self, Channels, Normalizer, Slopes};
use kiln_cpu::operand::{Number, Stored};
use kiln_math::UnaryOp;

fn channels(shape: &Shape) -> Channels {
    Channels { samples: shape[0], channels: shape[1], size: shape[2] }
}

/// Whether the kernels apply the activation.
fn is_fused(form: &Normalization) -> bool {
    form.activation.is_none_or(|call| call.op == UnaryOp::Relu)
}

/// Numbers of channels, which are of the type that is computed in.
fn of_channels<'a, T: Stored>(view: &View<'a>) -> &'a [T::Compute] {
    // SAFETY: of that type, and contiguous: checked above the trait.
    unsafe { slice::<T::Compute>(view) }
}

fn normalizer<'a, T: Stored>(
    form: &Normalization,
    moments: &View<'a>,
    [weight, bias]: [Option<&View<'a>>; 2],
) -> Normalizer<'a, T::Compute> {
    Normalizer {
        moments: of_channels::<T>(moments),
        epsilon: T::Compute::from_f64(form.epsilon),
        weight: weight.map(of_channels::<T>),
        bias: bias.map(of_channels::<T>),
        relu: form.activation.is_some(),
    }
}

pub(super) fn moments(isa: Isa, call: &MomentsCall<'_>) -> Result<()> {
    let form = channels(call.x.layout.shape());
    floats!(call.x.dtype, "moments", T => {
        let x = rows::<T>(&call.x)?;
        // SAFETY: moments are of the type that is computed in, row-major, and apart from x.
        let out = unsafe { slice_mut::<<T as Stored>::Compute>(&call.out) };
        normalization::moments(isa, &form, out, &x);
    });
    Ok(())
}

pub(super) fn normalize(isa: Isa, call: &NormalizeCall<'_>) -> Result<Ran> {
    if !is_fused(&call.form) {
        return Ok(Ran::NotHere);
    }
    let form = channels(call.out.shape);
    floats!(call.out.dtype, "normalize", T => {
        let by = normalizer::<T>(&call.form, &call.moments, [call.weight.as_ref(), call.bias.as_ref()]);
        let x = rows::<T>(&call.x)?;
        write_rows::<T>(&call.out, |y| normalization::normalize(isa, &form, &by, y, &x))?;
    });
    Ok(Ran::Done)
}

pub(super) fn normalize_grad(isa: Isa, call: &NormalizeGradCall<'_>) -> Result<Ran> {
    if !is_fused(&call.form) {
        return Ok(Ran::NotHere);
    }
    let (form, own) = (channels(call.dx.shape), call.form.own_moments);
    floats!(call.dx.dtype, "normalize_grad", T => {
        let by = normalizer::<T>(&call.form, &call.moments, [call.weight.as_ref(), None]);
        let (x, y, dy) = (rows::<T>(&call.x)?, rows::<T>(&call.y)?, rows::<T>(&call.dy)?);
        // SAFETY: of the type that is computed in, row-major, and apart from the others.
        let affine = unsafe { slice_mut::<<T as Stored>::Compute>(&call.affine) };
        let of = Slopes { x: &x, y: &y, dy: &dy };
        write_rows::<T>(&call.dx, |dx| normalization::normalize_grad(isa, &form, &by, own, (dx, affine), of))?;
    });
    Ok(Ran::Done)
}
