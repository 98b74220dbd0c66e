//! Convolutions as batched matrix products, one for each block of taps of the kernel, or for each tap.

use super::Scratch;
use crate::{Backend, Convolution, DType, Epilogue, Layout, MAX_SPATIAL, Out, Result, Shape, View, Window};
use kiln_math::{BinaryOp, taps_in_block};

/// The layout with each spatial axis cut to the positions that a tap meets.
fn at_tap(layout: &Layout, window: &Window, tap: [usize; MAX_SPATIAL], sizes: [usize; MAX_SPATIAL]) -> Result<Layout> {
    let spatial = layout.shape().rank() - 2;
    let mut cut = *layout;
    for axis in 0..spatial {
        let of = MAX_SPATIAL - spatial + axis;
        let start = tap[of] * window.dilation[of];
        cut = cut.slice(2 + axis, start, sizes[of], window.stride[of] as isize)?;
    }
    Ok(cut)
}

/// x (N, C, D…) between its zeros, in the type that is computed in.
fn padded<'b, B: Backend + ?Sized>(
    backend: &'b B,
    x: &View<'_>,
    padding: [(usize, usize); MAX_SPATIAL],
    dtype: DType,
) -> Result<Scratch<'b, B>> {
    let shape = *x.layout.shape();
    let (spatial, sizes) = (shape.rank() - 2, Window::sizes(&shape));
    let mut wide = sizes;
    for (size, (before, after)) in wide.iter_mut().zip(padding) {
        *size += before + after;
    }
    let scratch = Scratch::new(backend, Window::shape(&shape[..2], wide, spatial)?, dtype)?;
    let mut inner = scratch.layout;
    if wide != sizes {
        backend.fill(scratch.out(), 0.0)?;
        for axis in 0..spatial {
            let of = MAX_SPATIAL - spatial + axis;
            inner = inner.slice(2 + axis, padding[of].0, sizes[of], 1)?;
        }
    }
    backend.copy(View { layout: &inner, ..scratch.view() }, *x)?;
    Ok(scratch)
}

/// The weights of one tap, (groups, O/groups, C/groups), of a weight (O, C/groups, K…) that is row-major.
fn tap_of(weight: &View<'_>, groups: usize, tap: usize) -> Result<Layout> {
    let shape = weight.layout.shape();
    let taps: usize = shape[2..].iter().product();
    let split = Shape::new(&[groups, shape[0] / groups, shape[1], taps])?;
    let split = weight.layout.reshape(split).unwrap_or(Layout::contiguous(split));
    Ok(split.slice(3, tap, 1, 1)?.squeeze(3))
}

/// out (N, groups·M, P…) = Σ over taps of `weight(tap)` (groups, M, K) times what the tap meets of x (N, groups·K, D…). So many
/// taps are one product as are a block of the sum: see [`taps_in_block`].
fn sum_of_taps<B: Backend + ?Sized>(
    backend: &B,
    (window, groups): (&Window, usize),
    out: &Scratch<'_, B>,
    x: &Scratch<'_, B>,
    weight: &View<'_>,
    tap_weight: impl Fn(usize) -> Result<Layout>,
) -> Result<()> {
    let sizes = Window::sizes(&out.shape);
    let positions: usize = sizes.iter().product();
    let (n, rows) = (out.shape[0], out.shape[1] / groups);
    let (inner, spatial) = (x.shape[1] / groups, x.shape.rank() - 2);
    let each = taps_in_block(inner).min(window.taps());
    let met = Scratch::new(backend, Shape::new(&[n, groups, each * inner, positions])?, out.dtype)?;
    let weights = Scratch::new(backend, Shape::new(&[groups, rows, each * inner])?, out.dtype)?;
    let product = Shape::new(&[n, groups, rows, positions])?;
    // Axes cut in two, of channels here and of positions there, which layouts of any strides can be.
    let split = Window::shape(&[n, groups, inner], sizes, spatial)?;
    let taps: Vec<_> = window.each_tap().enumerate().collect();
    for (block, taps) in taps.chunks(each).enumerate() {
        for (place, &(number, tap)) in taps.iter().enumerate() {
            let cut = at_tap(&x.layout, window, tap, sizes)?;
            let to = met.layout.slice(2, place * inner, inner, 1)?;
            // Nothing is to be copied where there are no channels.
            let layouts = if inner > 0 { to.reshape(split).zip(cut.reshape(split)) } else { None };
            if let Some((to, from)) = layouts {
                backend.copy(View { layout: &to, ..met.view() }, View { layout: &from, ..x.view() })?;
            }
            let to = weights.layout.slice(2, place * inner, inner, 1)?;
            backend.copy(View { layout: &to, ..weights.view() }, View { layout: &tap_weight(number)?, ..*weight })?;
        }
        let terms = taps.len() * inner;
        let a = weights.layout.slice(2, 0, terms, 1)?.broadcast_to(&Shape::new(&[n, groups, rows, terms])?)?;
        let b = met.layout.slice(2, 0, terms, 1)?;
        let target = Out { shape: &product, ..out.out() };
        let epilogue = Epilogue { accumulate: block > 0, ..Epilogue::default() };
        backend.matmul(target, View { layout: &a, ..weights.view() }, View { layout: &b, ..met.view() }, epilogue)?;
    }
    Ok(())
}

/// A row-major copy in the type that is computed in.
fn converted<'b, B: Backend + ?Sized>(backend: &'b B, x: &View<'_>, dtype: DType) -> Result<Scratch<'b, B>> {
    let copy = Scratch::new(backend, *x.layout.shape(), dtype)?;
    backend.copy(copy.view(), *x)?;
    Ok(copy)
}

/// See [`Backend::conv`].
pub fn conv<B: Backend + ?Sized>(
    backend: &B,
    conv: &Convolution,
    out: Out<'_>,
    x: View<'_>,
    weight: View<'_>,
    epilogue: Epilogue<'_>,
) -> Result<()> {
    if out.elements() == 0 {
        return Ok(());
    }
    let dtype = out.dtype.computed_in();
    let x = padded(backend, &x, conv.window.padding, dtype)?;
    let sum = Scratch::new(backend, *out.shape, dtype)?;
    let weight = converted(backend, &weight, dtype)?;
    let taps = weight.view();
    sum_of_taps(backend, (&conv.window, conv.groups), &sum, &x, &taps, |tap| tap_of(&taps, conv.groups, tap))?;
    if let Some(bias) = epilogue.bias {
        let bias = converted(backend, &bias, dtype)?;
        let column = Window::shape(&[1, out.shape[1]], [1; MAX_SPATIAL], out.shape.rank() - 2)?;
        let over = Layout::contiguous(column).broadcast_to(out.shape)?;
        backend.binary(BinaryOp::Add, sum.out(), sum.view(), bias.repeated(&over))?;
    }
    if let Some(activation) = epilogue.activation {
        backend.unary(activation, sum.out(), sum.view())?;
    }
    let to = Layout::contiguous(*out.shape).moved(out.offset);
    backend.copy(View { buffer: out.buffer, dtype: out.dtype, layout: &to }, sum.view())
}

/// See [`Backend::conv_grad_input`]: dy, spread to the distances of the stride, under the reversed kernel.
pub fn conv_grad_input<B: Backend + ?Sized>(
    backend: &B,
    conv: &Convolution,
    out: Out<'_>,
    dy: View<'_>,
    weight: View<'_>,
) -> Result<()> {
    if out.elements() == 0 {
        return Ok(());
    }
    let (window, dtype) = (&conv.window, out.dtype.computed_in());
    let spatial = out.shape.rank() - 2;
    let (sizes, given) = (Window::sizes(out.shape), Window::sizes(dy.layout.shape()));
    let mut wide = sizes;
    for (axis, size) in wide.iter_mut().enumerate() {
        *size += window.extent(axis) - 1;
    }
    let spread = Scratch::new(backend, Window::shape(&dy.layout.shape()[..2], wide, spatial)?, dtype)?;
    backend.fill(spread.out(), 0.0)?;
    let (mut to, mut from) = (spread.layout, *dy.layout);
    for axis in 0..spatial {
        let of = MAX_SPATIAL - spatial + axis;
        let (stride, lead, before) = (window.stride[of], window.extent(of) - 1, window.padding[of].0);
        // Output p lies at p·stride + lead − before; those outside met padding alone.
        let first = before.saturating_sub(lead).div_ceil(stride);
        let end = (wide[of] + before).saturating_sub(lead).div_ceil(stride).min(given[of]);
        let count = end.saturating_sub(first);
        to = to.slice(2 + axis, if count == 0 { 0 } else { first * stride + lead - before }, count, stride as isize)?;
        from = from.slice(2 + axis, if count == 0 { 0 } else { first }, count, 1)?;
    }
    backend.copy(View { layout: &to, ..spread.view() }, View { layout: &from, ..dy })?;
    let weight = converted(backend, &weight, dtype)?;
    let (taps, last) = (weight.view(), window.taps() - 1);
    let sum = Scratch::new(backend, *out.shape, dtype)?;
    let unit = Window { stride: [1; MAX_SPATIAL], padding: [(0, 0); MAX_SPATIAL], ..*window };
    sum_of_taps(backend, (&unit, conv.groups), &sum, &spread, &taps, |tap| {
        Ok(tap_of(&taps, conv.groups, last - tap)?.transpose(1, 2))
    })?;
    let to = Layout::contiguous(*out.shape).moved(out.offset);
    backend.copy(View { buffer: out.buffer, dtype: out.dtype, layout: &to }, sum.view())
}

/// See [`Backend::conv_grad_weight`]: for each tap, dy times what it meets, summed over positions and samples.
pub fn conv_grad_weight<B: Backend + ?Sized>(
    backend: &B,
    conv: &Convolution,
    out: Out<'_>,
    x: View<'_>,
    dy: View<'_>,
) -> Result<()> {
    let (window, groups, dtype) = (&conv.window, conv.groups, out.dtype.computed_in());
    let shape = *dy.layout.shape();
    let (n, rows, inner) = (shape[0], out.shape[0] / groups, out.shape[1]);
    let (spatial, sizes) = (shape.rank() - 2, Window::sizes(&shape));
    let sums = n * sizes.iter().product::<usize>();
    let to = Layout::contiguous(*out.shape).moved(out.offset);
    let target = View { buffer: out.buffer, dtype: out.dtype, layout: &to };
    if sums == 0 || out.elements() == 0 {
        return backend.fill(out, 0.0);
    }
    // Samples last: (channels, positions, samples).
    let samples_last = |layout: &Layout| -> Result<Layout> {
        let order: Vec<usize> = (1..layout.shape().rank()).chain([0]).collect();
        layout.permute(&order)
    };
    let x = padded(backend, &x, window.padding, dtype)?;
    let dy = converted(backend, &View { layout: &samples_last(dy.layout)?, ..dy }, dtype)?;
    let met = Scratch::new(
        backend,
        *samples_last(&Layout::contiguous(Window::shape(&x.shape[..2], sizes, spatial)?))?.shape(),
        dtype,
    )?;
    let sum = Scratch::new(backend, Shape::new(&[groups, rows, inner])?, dtype)?;
    let a = Layout::contiguous(Shape::new(&[groups, rows, sums])?);
    let b = Layout::contiguous(Shape::new(&[groups, inner, sums])?).transpose(1, 2);
    for (number, tap) in window.each_tap().enumerate() {
        let cut = samples_last(&at_tap(&x.layout, window, tap, sizes)?)?;
        backend.copy(met.view(), View { layout: &cut, ..x.view() })?;
        let (a, b) = (View { layout: &a, ..dy.view() }, View { layout: &b, ..met.view() });
        backend.matmul(sum.out(), a, b, Epilogue::default())?;
        backend.copy(View { layout: &tap_of(&target, groups, number)?, ..target }, sum.view())?;
    }
    Ok(())
}
