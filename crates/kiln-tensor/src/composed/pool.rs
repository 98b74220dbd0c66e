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

/// An i64 scratch of these numbers.
fn numbers<'b, B: Backend + ?Sized>(backend: &'b B, shape: Shape, values: &[i64]) -> Result<Scratch<'b, B>> {
    let scratch = Scratch::new(backend, shape, DType::I64)?;
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_ne_bytes()).collect();
    backend.upload(scratch.buffer, 0, &bytes)?;
    Ok(scratch)
}

/// See [`Backend::max_pool`].
pub fn max_pool<B: Backend + ?Sized>(
    backend: &B,
    window: &Window,
    out: Out<'_>,
    index: Out<'_>,
    x: View<'_>,
) -> Result<()> {
    if out.elements() == 0 {
        return Ok(());
    }
    let (shape, given) = (*out.shape, *x.layout.shape());
    let spatial = shape.rank() - 2;
    let (outputs, sizes) = (Window::sizes(&shape), Window::sizes(&given));
    let whole = |out: &Out<'_>| Layout::contiguous(shape).moved(out.offset);
    let (best_layout, place_layout) = (whole(&out), whole(&index));
    let best = View { buffer: out.buffer, dtype: out.dtype, layout: &best_layout };
    let place = View { buffer: index.buffer, dtype: DType::I64, layout: &place_layout };
    let plane = Window::shape(&[1, 1], sizes, spatial)?;
    let positions: Vec<i64> = (0..plane.elements() as i64).collect();
    let positions = numbers(backend, plane, &positions)?;
    let positions_over = positions.over(&given)?;
    backend.fill(out, f64::NEG_INFINITY)?;
    // No tap has been met: a window of −∞ alone still names an element of its own.
    backend.fill(index, -1.0)?;
    let zero = numbers(backend, Shape::SCALAR, &[0])?;
    for tap in window.each_tap() {
        let (mut to, mut from, mut at) = (best_layout, *x.layout, positions_over);
        let mut place_at = place_layout;
        for axis in 0..spatial {
            let of = MAX_SPATIAL - spatial + axis;
            let (first, count, start) = met(window, of, tap[of], outputs[of], sizes[of]);
            to = to.slice(2 + axis, first, count, 1)?;
            place_at = place_at.slice(2 + axis, first, count, 1)?;
            let step = window.stride[of] as isize;
            from = from.slice(2 + axis, start, count, step)?;
            at = at.slice(2 + axis, start, count, step)?;
        }
        if to.shape().elements() == 0 {
            continue;
        }
        let cut = *to.shape();
        let (value, old) = (View { layout: &from, ..x }, View { layout: &to, ..best });
        let (position, old_position) = (positions.repeated(&at), View { layout: &place_at, ..place });
        let (mask, chosen) = (Scratch::new(backend, cut, DType::Bool)?, Scratch::new(backend, cut, out.dtype)?);
        let chosen_at = Scratch::new(backend, cut, DType::I64)?;
        let none = zero.over(&cut)?;
        // Larger; or NaN, which differs from itself; or the first.
        for (op, a, b) in [
            (CompareOp::Gt, value, old),
            (CompareOp::Ne, value, value),
            (CompareOp::Lt, old_position, zero.repeated(&none)),
        ] {
            backend.compare(op, mask.out(), a, b)?;
            backend.select(chosen.out(), mask.view(), value, old)?;
            backend.select(chosen_at.out(), mask.view(), position, old_position)?;
            backend.copy(old, chosen.view())?;
            backend.copy(old_position, chosen_at.view())?;
        }
    }
    Ok(())
}

/// See [`Backend::max_pool_grad`].
pub fn max_pool_grad<B: Backend + ?Sized>(backend: &B, out: Out<'_>, dy: View<'_>, index: View<'_>) -> Result<()> {
    backend.fill(out, 0.0)?;
    let (shape, given) = (*dy.layout.shape(), *out.shape);
    let (planes, count) = (given[0] * given[1], shape[2..].iter().product::<usize>());
    if planes * count == 0 || given.elements() == 0 {
        return Ok(());
    }
    let plane: i64 = given[2..].iter().product::<usize>() as i64;
    let starts: Vec<i64> = (0..planes as i64).map(|number| number * plane).collect();
    let starts = numbers(backend, Shape::new(&[planes, 1])?, &starts)?;
    let rows = Shape::new(&[planes, count])?;
    let flat = Scratch::new(backend, rows, DType::I64)?;
    let over = starts.over(&rows)?;
    let index_rows = Layout::contiguous(rows).moved(index.layout.offset());
    backend.binary(BinaryOp::Add, flat.out(), View { layout: &index_rows, ..index }, starts.repeated(&over))?;
    let (all, line) = (Shape::new(&[given.elements()])?, Layout::contiguous(Shape::new(&[planes * count])?));
    let dy_line = line.moved(dy.layout.offset());
    let target = Out { shape: &all, ..out };
    backend.scatter_add(target, View { layout: &dy_line, ..dy }, View { layout: &line, ..flat.view() }, 0)
}
