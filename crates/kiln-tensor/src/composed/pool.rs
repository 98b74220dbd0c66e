//! Maxima of windows, tap by tap.

use super::Scratch;
use crate::{Backend, CompareOp, DType, Layout, MAX_SPATIAL, Out, Result, Shape, View, Window};
use kiln_math::BinaryOp;

/// Positions of an input axis that a tap meets: the outputs of which it meets one, from the first on, and where it meets that.
fn met(window: &Window, axis: usize, tap: usize, outputs: usize, size: usize) -> (usize, usize, usize) {
    let (stride, before) = (window.stride[axis], window.padding[axis].0);
    let reach = tap * window.dilation[axis];
    let first = before.saturating_sub(reach).div_ceil(stride).min(outputs);
    let end = (size + before).saturating_sub(reach).div_ceil(stride).min(outputs);
    if first >= end { (0, 0, 0) } else { (first, end - first, first * stride + reach - before) }
}

/// The outputs of a tensor (…, P…) that meet an element at a tap, and the elements of an input (…, D…) that they meet, as layouts
/// cut from those of all; `None` where there are none.
fn cut(window: &Window, tap: [usize; MAX_SPATIAL], outputs: &Layout, inputs: &Layout) -> Result<Option<[Layout; 2]>> {
    let spatial = outputs.shape().rank() - 2;
    let (counts, sizes) = (Window::sizes(outputs.shape()), Window::sizes(inputs.shape()));
    let (mut to, mut from) = (*outputs, *inputs);
    for axis in 0..spatial {
        let of = MAX_SPATIAL - spatial + axis;
        let (first, count, start) = met(window, of, tap[of], counts[of], sizes[of]);
        to = to.slice(2 + axis, first, count, 1)?;
        from = from.slice(2 + axis, start, count, window.stride[of] as isize)?;
    }
    Ok((to.shape().elements() > 0).then_some([to, from]))
}

/// A tap's place along each axis.
fn tap_of(window: &Window, number: usize) -> [usize; MAX_SPATIAL] {
    let [_, rows, columns] = window.kernel;
    [number / columns / rows, number / columns % rows, number % columns]
}

/// A byte on the device.
fn byte<B: Backend + ?Sized>(backend: &B, value: u8) -> Result<Scratch<'_, B>> {
    let scratch = Scratch::new(backend, Shape::SCALAR, DType::U8)?;
    backend.upload(scratch.buffer, 0, &[value])?;
    Ok(scratch)
}

/// Each byte plane of taps, of outputs that are laid out like `outputs`.
fn planes(taps: &Out<'_>, count: usize, outputs: &Layout) -> impl Iterator<Item = (u32, Layout)> {
    let (first, bytes) = (taps.offset, taps.elements().checked_div(count).unwrap_or(0));
    (0..bytes).map(move |byte| (8 * byte as u32, outputs.moved(first + byte * count)))
}

/// See [`Backend::max_pool`].
pub fn max_pool<B: Backend + ?Sized>(
    backend: &B,
    window: &Window,
    out: Out<'_>,
    taps: Option<Out<'_>>,
    x: View<'_>,
) -> Result<()> {
    if out.elements() == 0 {
        return Ok(());
    }
    let (count, whole) = (out.elements(), Layout::contiguous(*out.shape));
    let bytes = |to: &Layout| taps.iter().flat_map(|taps| planes(taps, count, to)).collect::<Vec<_>>();
    let tap_buffer = taps.as_ref().map_or(out.buffer, |taps| taps.buffer);
    backend.fill(out, f64::NEG_INFINITY)?;
    // A window of −∞ alone has its first tap: from the last to the first, each overwrites those after it.
    for number in (0..window.taps()).rev().filter(|_| taps.is_some()) {
        let Some([to, _]) = cut(window, tap_of(window, number), &whole, x.layout)? else { continue };
        for (shift, at) in bytes(&to) {
            let number = byte(backend, (number >> shift) as u8)?;
            let over = number.over(to.shape())?;
            let target = View { buffer: tap_buffer, dtype: DType::U8, layout: &at };
            backend.copy(target, number.repeated(&over))?;
        }
    }
    for number in 0..window.taps() {
        let Some([to, from]) = cut(window, tap_of(window, number), &whole, x.layout)? else { continue };
        let moved = to.moved(out.offset);
        let (shape, old) = (*to.shape(), View { layout: &moved, buffer: out.buffer, dtype: out.dtype });
        let value = View { layout: &from, ..x };
        let (better, chosen) = (Scratch::new(backend, shape, DType::Bool)?, Scratch::new(backend, shape, out.dtype)?);
        // Larger; or NaN, which differs from itself.
        for (op, other) in [(CompareOp::Gt, old), (CompareOp::Ne, value)] {
            backend.compare(op, better.out(), value, other)?;
            for (shift, at) in bytes(&to) {
                let old = View { buffer: tap_buffer, dtype: DType::U8, layout: &at };
                let (number, chosen) =
                    (byte(backend, (number >> shift) as u8)?, Scratch::new(backend, shape, DType::U8)?);
                let over = number.over(&shape)?;
                backend.select(chosen.out(), better.view(), number.repeated(&over), old)?;
                backend.copy(old, chosen.view())?;
            }
            backend.select(chosen.out(), better.view(), value, old)?;
            backend.copy(old, chosen.view())?;
        }
    }
    Ok(())
}

/// See [`Backend::max_pool_grad`].
pub fn max_pool_grad<B: Backend + ?Sized>(
    backend: &B,
    window: &Window,
    out: Out<'_>,
    dy: View<'_>,
    taps: View<'_>,
) -> Result<()> {
    backend.fill(out, 0.0)?;
    let shape = *dy.layout.shape();
    if shape.elements() == 0 || out.elements() == 0 {
        return Ok(());
    }
    let inputs = Layout::contiguous(*out.shape).moved(out.offset);
    let all = Out { buffer: taps.buffer, dtype: DType::U8, shape: taps.layout.shape(), offset: taps.layout.offset() };
    let outputs = Layout::contiguous(shape);
    // The last tap of an element meets the first of its outputs.
    for number in (0..window.taps()).rev() {
        let Some([to, from]) = cut(window, tap_of(window, number), &outputs, &inputs)? else { continue };
        let cut = *to.shape();
        let moved = to.moved(dy.layout.offset());
        let (given, sum) =
            (View { layout: &moved, ..dy }, View { layout: &from, buffer: out.buffer, dtype: out.dtype });
        // What is not this tap's adds nothing.
        let mine = Scratch::new(backend, cut, out.dtype)?;
        backend.copy(mine.view(), given)?;
        let zero = Scratch::new(backend, Shape::SCALAR, out.dtype)?;
        backend.fill(zero.out(), 0.0)?;
        let nothing = zero.over(&cut)?;
        for (shift, at) in planes(&all, shape.elements(), &to) {
            let (wanted, met) = (byte(backend, (number >> shift) as u8)?, Scratch::new(backend, cut, DType::Bool)?);
            let over = wanted.over(&cut)?;
            let there = View { buffer: taps.buffer, dtype: DType::U8, layout: &at };
            backend.compare(CompareOp::Eq, met.out(), there, wanted.repeated(&over))?;
            let chosen = Scratch::new(backend, cut, out.dtype)?;
            backend.select(chosen.out(), met.view(), mine.view(), zero.repeated(&nothing))?;
            backend.copy(mine.view(), chosen.view())?;
        }
        let added = Scratch::new(backend, cut, out.dtype)?;
        backend.binary(BinaryOp::Add, added.out(), sum, mine.view())?;
        backend.copy(sum, added.view())?;
    }
    Ok(())
}
