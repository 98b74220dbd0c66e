//! Convolution, pooling and normalization, each a kernel, against their composed forms on the same device, over random settings.

use kiln_math::{Purpose, RandomStream, UnaryOp};
use kiln_tensor::{
    Convolution, DType, Device, MAX_SPATIAL, MatmulOptions, Normalization, PerAxis, PoolOptions, Shape, Tensor, Window,
    composed,
};

/// A source of settings and numbers.
struct Cases<'d> {
    device: &'d Device,
    stream: RandomStream,
    dtype: DType,
}

impl<'d> Cases<'d> {
    fn new(device: &'d Device, number: u64, dtype: DType) -> Self {
        Cases { device, stream: RandomStream::new(5, Purpose::Data, number), dtype }
    }

    fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.stream.below((high - low + 1) as u32) as usize
    }

    fn tensor(&mut self, shape: Shape) -> Tensor {
        let values: Vec<f64> = (0..shape.elements()).map(|_| 2.0 * self.stream.uniform_f64() - 1.0).collect();
        tensor_of(&values, shape, self.dtype, self.device)
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

fn per_axis<T: Copy>(of: &[T]) -> PerAxis<T> {
    match *of {
        [a] => [a].into(),
        [a, b] => [a, b].into(),
        [a, b, c] => [a, b, c].into(),
        _ => panic!("{} axes", of.len()),
    }
}

fn tensor_of(values: &[f64], shape: Shape, dtype: DType, device: &Device) -> Tensor {
    match dtype {
        DType::F32 => Tensor::from_vec(values.iter().map(|&value| value as f32).collect(), shape, device).unwrap(),
        _ => Tensor::from_slice(values, shape, device).unwrap(),
    }
}

/// Holds each pair of elements against each other.
fn compare(what: &str, got: &Tensor, want: &Tensor, near: impl Fn(f64, f64) -> bool) {
    assert_eq!((got.shape(), got.dtype()), (want.shape(), want.dtype()), "{what}");
    let (got, want) = (got.to_f64_vec().unwrap(), want.to_f64_vec().unwrap());
    for (i, (&got, &want)) in got.iter().zip(&want).enumerate() {
        assert!(near(got, want) || got.is_nan() && want.is_nan(), "{what}: element {i} is {got}, composed {want}");
    }
}

/// The very same numbers: 0 is −0.
fn same(what: &str, got: &Tensor, want: &Tensor) {
    compare(what, got, want, |got, want| got == want);
}

/// Numbers that differ by the order of a sum of numbers of size `scale`.
fn close(what: &str, got: &Tensor, want: &Tensor, scale: f64) {
    let epsilon = if got.dtype() == DType::F64 { 1e-14 } else { 2e-6 };
    compare(what, got, want, |got, want| (got - want).abs() <= epsilon * scale.max(want.abs()));
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
            let [x, dy, weight] = [x_shape, y_shape, weight_shape].map(|shape| cases.tensor(shape));
            let bias = cases.tensor(shape(&[groups * rows]));
            let what = format!("{dtype} {conv:?}: {x_shape} by {weight_shape}");

            let activation = [None, Some(UnaryOp::Relu.into()), Some(UnaryOp::Tanh.into())][case % 3];
            let after = MatmulOptions { bias: (case % 2 == 0).then_some(&bias), activation };
            let y = x.conv_with(&weight, &conv, after).unwrap();
            same(&format!("conv {what}"), &y, &composed::conv(&x, &weight, &conv, after).unwrap());

            let dx = dy.conv_grad_input(&weight, &conv, &x_shape).unwrap();
            let want = composed::conv_grad_input(&dy, &weight, &conv, &x_shape).unwrap();
            same(&format!("conv_grad_input {what}"), &dx, &want);

            let dw = x.conv_grad_weight(&dy, &conv).unwrap();
            let want = composed::conv_grad_weight(&x, &dy, &conv).unwrap();
            close(&format!("conv_grad_weight {what}"), &dw, &want, 20.0);
        }
    }
}

/// A weight's gradient whose positions are split among blocks, and nothing at all.
pub(crate) fn weights_of_many_positions(device: &Device) {
    let mut cases = Cases::new(device, 2, DType::F32);
    let window = Window { kernel: [1, 3, 3], padding: [(0, 0), (1, 1), (1, 1)], ..Window::default() };
    let conv = Convolution { window, groups: 1 };
    for (samples, channels, rows) in [(5, 2, 3), (4, 5, 33), (0, 2, 3)] {
        let (x, dy) =
            (cases.tensor(shape(&[samples, channels, 21, 23])), cases.tensor(shape(&[samples, rows, 21, 23])));
        let [dw, again] = [(); 2].map(|()| x.conv_grad_weight(&dy, &conv).unwrap());
        close(&format!("{samples} samples"), &dw, &composed::conv_grad_weight(&x, &dy, &conv).unwrap(), 100.0);
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
            let what = format!("{dtype} {window:?} of {x_shape}");
            let x = tensor_of(&values, x_shape, dtype, device);
            let lead = MAX_SPATIAL - spatial;
            let axes = |of: [usize; MAX_SPATIAL]| per_axis(&of[lead..]);
            let options =
                PoolOptions::new(axes(window.kernel)).stride(axes(window.stride)).dilation(axes(window.dilation));
            let options = options.padding(per_axis(&window.padding[lead..]));
            let (y, maxima) = x.max_pool_with_taps(&options).unwrap();
            let (want, positions) = composed::max_pool(&window, &x, &y_shape).unwrap();
            same(&format!("max_pool {what}"), &y, &want);
            same(&format!("max_pool without taps {what}"), &x.max_pool_values(&options).unwrap(), &want);
            same(&format!("max_pool's positions {what}"), &maxima.positions().unwrap(), &positions);

            let dy = cases.tensor(y_shape);
            let want = dy.max_pool_grad(&positions, &x_shape).unwrap();
            same(&format!("max_pool_grad {what}"), &maxima.gradient(&dy).unwrap(), &want);
        }
    }
}

pub(crate) fn normalizations(device: &Device) {
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
            let x = cases.tensor(shape(&sizes));
            let [weight, bias] = [(); 2].map(|()| cases.tensor(shape(&[sizes[1]])));
            let what = format!("{dtype} {sizes:?}");
            let moments = if x.elements() > 0 {
                let moments = x.moments().unwrap();
                let [mean, variance] = composed::moments(&x).unwrap();
                let want = Tensor::concat(&[&mean, &variance], 0).unwrap().reshape([2, sizes[1]]).unwrap();
                close(&format!("moments of {what}"), &moments, &want, 1.0);
                moments
            } else {
                cases.tensor(shape(&[2, sizes[1]]))
            };
            for form in 0..6 {
                let form = Normalization {
                    epsilon: 1e-3,
                    own_moments: form % 2 == 0,
                    activation: [None, Some(UnaryOp::Relu.into()), Some(UnaryOp::Sigmoid.into())][form / 2],
                };
                let (weight, bias) = ((case % 3 != 1).then_some(&weight), (case % 3 != 2).then_some(&bias));
                let rows = [moments.index(0, 0).unwrap(), moments.index(0, 1).unwrap()];
                let y = x.normalize(&form, &moments, weight, bias).unwrap();
                let want = composed::normalize(&form, &x, &rows, weight, bias).unwrap();
                close(&format!("normalize {what} {form:?}"), &y, &want, 4.0);
            }
        }
    }
}
