//! Convolution, pooling and normalisation, each a kernel, against the bodies that are made of finer primitives, over random settings.

use kiln_math::{Purpose, Stream, UnaryOp};
use kiln_tensor::{
    Backend, Buffer, Convolution, DType, Device, Epilogue, Layout, MAX_SPATIAL, Normalization, Out, Shape, View,
    Window, composed,
};

/// Row-major elements on a device.
struct Array<'d> {
    backend: &'d dyn Backend,
    buffer: Buffer,
    dtype: DType,
    layout: Layout,
}

impl<'d> Array<'d> {
    fn new(backend: &'d dyn Backend, shape: Shape, dtype: DType, values: &[f64]) -> Self {
        let bytes: Vec<u8> = match dtype {
            DType::F32 => values.iter().flat_map(|&value| (value as f32).to_ne_bytes()).collect(),
            DType::F64 => values.iter().flat_map(|&value| value.to_ne_bytes()).collect(),
            DType::U8 => values.iter().map(|&value| value as u8).collect(),
            other => panic!("{other}"),
        };
        let buffer = backend.alloc(bytes.len()).unwrap();
        backend.upload(buffer, 0, &bytes).unwrap();
        Array { backend, buffer, dtype, layout: Layout::contiguous(shape) }
    }

    /// Filled with what is no result.
    fn output(backend: &'d dyn Backend, shape: Shape, dtype: DType) -> Self {
        Array::new(backend, shape, dtype, &vec![77.0; shape.elements()])
    }

    fn view(&self) -> View<'_> {
        View { buffer: self.buffer, dtype: self.dtype, layout: &self.layout }
    }

    fn out(&self) -> Out<'_> {
        Out { buffer: self.buffer, dtype: self.dtype, shape: self.layout.shape(), offset: 0 }
    }

    fn values(&self) -> Vec<f64> {
        let mut bytes = vec![0; self.layout.shape().elements() * self.dtype.size()];
        self.backend.download(&mut bytes, self.buffer, 0).unwrap();
        match self.dtype {
            DType::F32 => bytes.as_chunks().0.iter().map(|&four| f32::from_ne_bytes(four).into()).collect(),
            DType::F64 => bytes.as_chunks().0.iter().map(|&eight| f64::from_ne_bytes(eight)).collect(),
            DType::U8 => bytes.into_iter().map(f64::from).collect(),
            other => panic!("{other}"),
        }
    }
}

impl Drop for Array<'_> {
    fn drop(&mut self) {
        self.backend.free(self.buffer);
    }
}

/// A source of settings and numbers.
struct Cases<'d> {
    backend: &'d dyn Backend,
    stream: Stream,
    dtype: DType,
}

impl<'d> Cases<'d> {
    fn new(device: &'d Device, number: u64, dtype: DType) -> Self {
        Cases { backend: device.backend(), stream: Stream::new(5, Purpose::Data, number), dtype }
    }

    fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.stream.below((high - low + 1) as u32) as usize
    }

    fn array(&mut self, shape: Shape) -> Array<'d> {
        let values: Vec<f64> = (0..shape.elements()).map(|_| 2.0 * self.stream.uniform_f64() - 1.0).collect();
        Array::new(self.backend, shape, self.dtype, &values)
    }

    /// A window that fits these sizes of the last axes, and the sizes of its output.
    fn window(&mut self, sizes: &[usize], largest: usize) -> (Window, [usize; MAX_SPATIAL]) {
        let (mut window, mut outputs) = (Window::default(), [1; MAX_SPATIAL]);
        let lead = MAX_SPATIAL - sizes.len();
        for (axis, &size) in (lead..).zip(sizes) {
            let padding = (self.between(0, 2), self.between(0, 2));
            window.padding[axis] = padding;
            window.stride[axis] = self.between(1, 3);
            window.kernel[axis] = self.between(1, largest.min(size));
            let room = (size - 1) / window.kernel[axis].saturating_sub(1).max(1);
            window.dilation[axis] = self.between(1, room.clamp(1, 2));
            outputs[axis] = (size + padding.0 + padding.1 - window.extent(axis)) / window.stride[axis] + 1;
        }
        (window, outputs)
    }
}

fn shape(dims: &[usize]) -> Shape {
    Shape::new(dims).unwrap()
}

/// The very same numbers: 0 is −0.
fn same(what: &str, got: &Array<'_>, want: &Array<'_>) {
    let (got, want) = (got.values(), want.values());
    for (i, (got, want)) in got.iter().zip(&want).enumerate() {
        assert!(got == want || got.is_nan() && want.is_nan(), "{what}: element {i} is {got}, composed {want}");
    }
}

/// Numbers that differ by the order of a sum of numbers of size `scale`.
fn close(what: &str, got: &Array<'_>, want: &Array<'_>, scale: f64) {
    let epsilon = if got.dtype == DType::F64 { 1e-14 } else { 2e-6 };
    let (got, want) = (got.values(), want.values());
    for (i, (got, want)) in got.iter().zip(&want).enumerate() {
        let near = (got - want).abs() <= epsilon * scale.max(want.abs());
        assert!(near || got.is_nan() && want.is_nan(), "{what}: element {i} is {got}, composed {want}");
    }
}

pub(crate) fn convolutions(device: &Device, count: usize) {
    for dtype in [DType::F32, DType::F64] {
        let mut cases = Cases::new(device, 1, dtype);
        for case in 0..count {
            let spatial = cases.between(1, 3);
            let most = [40, 12, 6][spatial - 1];
            let sizes: Vec<usize> = (0..spatial).map(|_| cases.between(1, most)).collect();
            let (window, outputs) = cases.window(&sizes, 4);
            // Many channels take the larger tiles, and more than one step at each tap.
            let (groups, [rows, inner]) = match case % 4 {
                0 => (1, [cases.between(32, 70), cases.between(15, 40)]),
                1 => (cases.between(1, 5), [cases.between(1, 2), 1]),
                _ => (cases.between(1, 3), [cases.between(1, 20), cases.between(1, 20)]),
            };
            let (conv, samples) = (Convolution { window, groups }, cases.between(1, 3));
            let of = |channels: usize, sizes: [usize; MAX_SPATIAL]| {
                Window::shape(&[samples, channels], sizes, spatial).unwrap()
            };
            let mut inputs = [1; MAX_SPATIAL];
            inputs[MAX_SPATIAL - spatial..].copy_from_slice(&sizes);
            let (x_shape, y_shape) = (of(groups * inner, inputs), of(groups * rows, outputs));
            let weight_shape = Window::shape(&[groups * rows, inner], window.kernel, spatial).unwrap();
            let [x, dy, weight] = [x_shape, y_shape, weight_shape].map(|shape| cases.array(shape));
            let bias = cases.array(shape(&[groups * rows]));
            let what = format!("{dtype} {conv:?}: {x_shape} by {weight_shape}");
            let pair = |shape: Shape| [(); 2].map(|()| Array::output(cases.backend, shape, dtype));
            let backend = cases.backend;

            let activation = [None, Some(UnaryOp::Relu.into()), Some(UnaryOp::Tanh.into())][case % 3];
            let bias = (case % 2 == 0).then(|| bias.view());
            let epilogue = Epilogue { bias, activation, accumulate: false };
            let [y, reference] = pair(y_shape);
            backend.conv(&conv, y.out(), x.view(), weight.view(), epilogue).unwrap();
            composed::conv(backend, &conv, reference.out(), x.view(), weight.view(), epilogue).unwrap();
            same(&format!("conv {what}"), &y, &reference);

            let [dx, reference] = pair(x_shape);
            backend.conv_grad_input(&conv, dx.out(), dy.view(), weight.view()).unwrap();
            composed::conv_grad_input(backend, &conv, reference.out(), dy.view(), weight.view()).unwrap();
            same(&format!("conv_grad_input {what}"), &dx, &reference);

            let [dw, reference] = pair(weight_shape);
            backend.conv_grad_weight(&conv, dw.out(), x.view(), dy.view()).unwrap();
            composed::conv_grad_weight(backend, &conv, reference.out(), x.view(), dy.view()).unwrap();
            close(&format!("conv_grad_weight {what}"), &dw, &reference, 20.0);
        }
    }
}

/// A weight's gradient whose positions are split among blocks, and nothing at all.
pub(crate) fn weights_of_many_positions(device: &Device) {
    let backend = device.backend();
    let mut cases = Cases::new(device, 2, DType::F32);
    let window = Window { kernel: [1, 3, 3], padding: [(0, 0), (1, 1), (1, 1)], ..Window::default() };
    let conv = Convolution { window, groups: 1 };
    for (samples, channels, rows) in [(5, 2, 3), (4, 5, 33), (0, 2, 3)] {
        let (x, dy) = (cases.array(shape(&[samples, channels, 21, 23])), cases.array(shape(&[samples, rows, 21, 23])));
        let [dw, again, reference] =
            [(); 3].map(|()| Array::output(backend, shape(&[rows, channels, 3, 3]), DType::F32));
        backend.conv_grad_weight(&conv, dw.out(), x.view(), dy.view()).unwrap();
        backend.conv_grad_weight(&conv, again.out(), x.view(), dy.view()).unwrap();
        composed::conv_grad_weight(backend, &conv, reference.out(), x.view(), dy.view()).unwrap();
        close(&format!("{samples} samples"), &dw, &reference, 100.0);
        same("the same again", &dw, &again);
    }
}

pub(crate) fn pools(device: &Device, count: usize) {
    for dtype in [DType::F32, DType::F64] {
        let mut cases = Cases::new(device, 3, dtype);
        for case in 0..count {
            let spatial = cases.between(1, 3);
            let most = [150, 13, 6][spatial - 1];
            let sizes: Vec<usize> = (0..spatial).map(|_| cases.between(1, most)).collect();
            let (mut window, mut outputs) = cases.window(&sizes, 3);
            // Each window must meet an element: padding less than what the kernel covers, at either end.
            for (axis, &size) in (MAX_SPATIAL - spatial..).zip(&sizes) {
                if window.dilation[axis] > 1 || window.extent(axis) < 3 {
                    (window.dilation[axis], window.padding[axis]) = (1, (0, 0));
                    outputs[axis] = (size - window.extent(axis)) / window.stride[axis] + 1;
                }
            }
            let planes = [cases.between(1, 3), cases.between(1, 4)];
            let [x_shape, y_shape] =
                [&sizes[..], &outputs[MAX_SPATIAL - spatial..]].map(|sizes| shape(&[&planes[..], sizes].concat()));
            // Small integers are often equal; among them are −∞, ∞ and NaN.
            let mut number = || match (case % 2, cases.stream.below(12)) {
                (1, 0) => f64::NAN,
                (1, 1) => f64::INFINITY,
                (1, 2..8) => f64::NEG_INFINITY,
                (_, n) => f64::from(n),
            };
            let values: Vec<f64> = (0..x_shape.elements()).map(|_| number()).collect();
            let (backend, what) = (cases.backend, format!("{dtype} {window:?} of {x_shape}"));
            let x = Array::new(backend, x_shape, dtype, &values);
            let taps_shape = shape(&[&[window.tap_bytes()], y_shape.dims()].concat());
            let run = |pool: &dyn Fn(Out<'_>, Option<Out<'_>>)| {
                let taps = Array::output(backend, taps_shape, DType::U8);
                let [y, alone] = [(); 2].map(|()| Array::output(backend, y_shape, dtype));
                pool(y.out(), Some(taps.out()));
                pool(alone.out(), None);
                same(&format!("max_pool without taps {what}"), &alone, &y);
                (y, taps)
            };
            let (y, taps) = run(&|y, taps| backend.max_pool(&window, y, taps, x.view()).unwrap());
            let (reference, taps_reference) =
                run(&|y, taps| composed::max_pool(backend, &window, y, taps, x.view()).unwrap());
            same(&format!("max_pool {what}"), &y, &reference);
            same(&format!("max_pool's taps {what}"), &taps, &taps_reference);

            let dy = cases.array(y_shape);
            let [dx, reference] = [(); 2].map(|()| Array::output(backend, x_shape, dtype));
            backend.max_pool_grad(&window, dx.out(), dy.view(), taps.view()).unwrap();
            composed::max_pool_grad(backend, &window, reference.out(), dy.view(), taps.view()).unwrap();
            same(&format!("max_pool_grad {what}"), &dx, &reference);
        }
    }
}

pub(crate) fn normalisations(device: &Device) {
    const SHAPES: [[usize; 3]; 9] = [
        [1, 1, 1],
        [3, 5, 7],
        [64, 3, 1],
        [2, 40, 16],
        [7, 2, 650],
        [2, 1, 40_000],
        [1, 2, 70_000],
        [0, 3, 4],
        [4, 0, 4],
    ];
    for dtype in [DType::F32, DType::F64] {
        let mut cases = Cases::new(device, 4, dtype);
        for (case, sizes) in SHAPES.into_iter().enumerate() {
            let [x, dy] = [(); 2].map(|()| cases.array(shape(&sizes)));
            let [weight, bias] = [(); 2].map(|()| cases.array(shape(&[sizes[1]])));
            let (backend, pair_shape) = (cases.backend, shape(&[2, sizes[1]]));
            let pair = |shape: Shape| [(); 2].map(|()| Array::output(backend, shape, dtype));
            let [moments, reference] = pair(pair_shape);
            backend.moments(moments.out(), x.view()).unwrap();
            composed::moments(backend, reference.out(), x.view()).unwrap();
            close(&format!("moments of {dtype} {sizes:?}"), &moments, &reference, 1.0);

            for form in 0..6 {
                let form = Normalization {
                    epsilon: 1e-3,
                    own_moments: form % 2 == 0,
                    activation: [None, Some(UnaryOp::Relu.into()), Some(UnaryOp::Sigmoid.into())][form / 2],
                };
                let weight = (case % 3 != 1).then(|| weight.view());
                let affine = [weight, (case % 3 != 2).then(|| bias.view())];
                let what = format!("{dtype} {sizes:?} {form:?}");
                let [y, reference] = pair(shape(&sizes));
                backend.normalize(&form, y.out(), x.view(), moments.view(), affine).unwrap();
                composed::normalize(backend, &form, reference.out(), x.view(), moments.view(), affine).unwrap();
                close(&format!("normalize {what}"), &y, &reference, 4.0);

                let ([dx, reference], [sums, reference_sums]) = (pair(shape(&sizes)), pair(pair_shape));
                let (operands, of_x) = ([x.view(), y.view(), dy.view()], moments.view());
                let [a, b, c] = operands;
                backend.normalize_grad(&form, dx.out(), sums.out(), a, b, c, of_x, weight).unwrap();
                let (to, to_sums) = (reference.out(), reference_sums.out());
                composed::normalize_grad(backend, &form, to, to_sums, operands, of_x, weight).unwrap();
                close(&format!("normalize_grad {what}"), &dx, &reference, 200.0);
                let size = 10.0 * (sizes[0] * sizes[2]) as f64;
                close(&format!("normalize_grad's sums {what}"), &sums, &reference_sums, size);
            }
        }
    }
}
