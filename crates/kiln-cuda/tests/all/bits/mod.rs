//! A GPU's results have the CPU's bits.

use kiln_math::{BinaryOp, Purpose, RandomStream, UnaryOp};
use kiln_tensor::{
    DType, Device, Element, MatmulOptions, Normalization, Order, Recurrence, RecurrentCell, RecurrentStates, Tensor,
    UnaryCall,
};

/// Values of both signs and many sizes, with those that make trouble among them.
fn values<T: Element>(count: usize, index: u64) -> Vec<T> {
    const SPECIAL: [f64; 12] =
        [0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1.0, -1.0, 1e-40, -1e-310, 88.73, -104.0, 3.0e38];
    let mut stream = RandomStream::new(3, Purpose::Data, index);
    let mut random = move || {
        let size = 10f64.powf(6.0 * stream.uniform_f64() - 4.0);
        if stream.bernoulli(0.5) { size } else { -size }
    };
    SPECIAL.into_iter().chain(std::iter::repeat_with(&mut random)).take(count).map(T::from_f64).collect()
}

/// A tensor on the CPU and the same on the GPU.
struct Pair {
    cpu: Tensor,
    gpu: Tensor,
}

impl Pair {
    fn new<T: Element>(count: usize, index: u64, gpu: &Device) -> Self {
        let cpu = Tensor::from_slice(&values::<T>(count, index), [count], &Device::cpu()).unwrap();
        Pair { gpu: cpu.to_device(gpu).unwrap(), cpu }
    }

    fn shaped(self, shape: &[usize]) -> Self {
        Pair { cpu: self.cpu.reshape(shape).unwrap(), gpu: self.gpu.reshape(shape).unwrap() }
    }
}

/// The same numbers bit by bit; any NaN is NaN.
fn same(what: &str, cpu: &Tensor, gpu: &Tensor) {
    assert_eq!((cpu.shape(), cpu.dtype()), (gpu.shape(), gpu.dtype()), "{what}");
    // f32 in f64 keeps its bits.
    let (cpu, gpu) = (cpu.to_f64_vec().unwrap(), gpu.to_f64_vec().unwrap());
    for (i, (c, g)) in cpu.iter().zip(&gpu).enumerate() {
        assert!(c.to_bits() == g.to_bits() || c.is_nan() && g.is_nan(), "{what}: element {i} is {g}, on the CPU {c}");
    }
}

/// The operation's constants.
fn params(op: UnaryOp) -> [f64; 2] {
    [[0.0, 0.0], [1.25, 0.0], [-0.75, 0.875]][op.params().min(2)]
}

pub(crate) fn elementwise(gpu: &Device) {
    let float = |dtype: DType, index: u64| match dtype {
        DType::F64 => Pair::new::<f64>(4000, index, gpu),
        _ => Pair::new::<f32>(4000, index, gpu),
    };
    for dtype in [DType::F32, DType::F64] {
        let (x, other, dy) = (float(dtype, 1), float(dtype, 2), float(dtype, 3));
        for &op in UnaryOp::ALL {
            let call = UnaryCall { op, params: params(op) };
            let y = Pair { cpu: x.cpu.unary(call).unwrap(), gpu: x.gpu.unary(call).unwrap() };
            same(op.name(), &y.cpu, &y.gpu);
            let gradient = |x: &Tensor, y: &Tensor, dy: &Tensor| dy.clone().unary_grad(call, Some(x), Some(y)).unwrap();
            let what = format!("gradient of {}", op.name());
            same(&what, &gradient(&x.cpu, &y.cpu, &dy.cpu), &gradient(&x.gpu, &y.gpu, &dy.gpu));
        }
        for &op in BinaryOp::ALL {
            let f = |a: &Tensor, b: &Tensor| a.binary(op, b).unwrap();
            same(op.name(), &f(&x.cpu, &other.cpu), &f(&x.gpu, &other.gpu));
        }
    }
}

pub(crate) fn reductions(gpu: &Device) {
    for (shape, axes) in [
        (vec![3, 5, 7], vec![1_usize]),
        (vec![64, 33], vec![0]),
        (vec![40, 500], vec![1]),
        (vec![2, 9000], vec![1]),
        (vec![20_000], vec![0]),
        (vec![4, 70, 60], vec![0, 2]),
        (vec![2, 0], vec![1]),
    ] {
        let x = Pair::new::<f32>(shape.iter().product(), 4, gpu).shaped(&shape);
        // Without infinities, whose sum says little.
        let x = Pair { cpu: x.cpu.clamp(-9.0, 9.0).unwrap(), gpu: x.gpu.clamp(-9.0, 9.0).unwrap() };
        let what = format!("sum of {shape:?} over {axes:?}");
        same(&what, &x.cpu.sum(&axes[..]).unwrap(), &x.gpu.sum(&axes[..]).unwrap());
        same(&what, &x.cpu.mean_keepdim(&axes[..]).unwrap(), &x.gpu.mean_keepdim(&axes[..]).unwrap());
        let what = format!("along {} of {shape:?}", axes[0]);
        for of in [cumulative, sorted] {
            for (cpu, gpu) in of(&x.cpu, axes[0]).iter().zip(of(&x.gpu, axes[0])) {
                same(&what, cpu, &gpu);
            }
        }
    }
    for width in [1, 10, 33, 5000] {
        let x = Pair::new::<f32>(3 * width, 8, gpu).shaped(&[3, width]);
        let what = format!("softmax of rows of {width}");
        same(&what, &x.cpu.softmax(-1).unwrap(), &x.gpu.softmax(-1).unwrap());
        same(&what, &x.cpu.log_softmax(-1).unwrap(), &x.gpu.log_softmax(-1).unwrap());
    }
}

/// Cumulative operations.
fn cumulative(x: &Tensor, axis: usize) -> Vec<Tensor> {
    let (highest, at) = x.cummax(axis).unwrap();
    let small = x.mul_scalar(0.1).unwrap();
    let recurrence = small.linear_recurrence(x, axis).unwrap();
    let [sums, products] = [x.cumsum(axis).unwrap(), small.cumprod(axis).unwrap()];
    vec![sums, products, x.logcumsumexp(axis).unwrap(), highest, at, recurrence]
}

/// What sorts.
fn sorted(x: &Tensor, axis: usize) -> Vec<Tensor> {
    let (values, positions) = x.sort_with_positions(axis, Order::Descending).unwrap();
    let (first, at) = x.topk(x.dims()[axis].min(3), axis, Order::Ascending).unwrap();
    vec![values, positions, first, at]
}

/// Moments of channels, what is normalized by them, and its gradients.
pub(crate) fn normalizations(gpu: &Device) {
    const SHAPES: [[usize; 3]; 9] = [
        [1, 3, 1],
        [3, 5, 7],
        [600, 3, 1],
        [70, 4, 65],
        [1, 5, 63],
        [1, 5, 100],
        [3, 2, 700],
        [2, 1, 40_000],
        [1, 2, 70_001],
    ];
    for dtype in [DType::F32, DType::F64, DType::F16, DType::BF16] {
        for (case, [n, c, s]) in SHAPES.into_iter().enumerate() {
            let draw = |index: u64, count: usize| {
                let stream = RandomStream::new(6, Purpose::Data, index);
                let cpu = Tensor::uniform([count], -1.0, 3.0, DType::F64, &Device::cpu(), stream).unwrap();
                let cpu = cpu.to_dtype(dtype).unwrap();
                Pair { gpu: cpu.to_device(gpu).unwrap(), cpu }
            };
            let [x, dy] = [1, 2].map(|index| draw(index, n * c * s).shaped(&[n, c, s]));
            let [weight, bias] = [3, 4].map(|index| draw(index, c));
            let (relu, own_moments) = (case % 2 == 0, case % 3 != 1);
            let form = Normalization { epsilon: 1e-3, own_moments, activation: relu.then(|| UnaryOp::Relu.into()) };
            let all = |x: &Tensor, dy: &Tensor, weight: &Tensor, bias: &Tensor| {
                let moments = x.moments().unwrap();
                let (weight, bias) = ((case % 4 != 1).then_some(weight), (case % 4 != 2).then_some(bias));
                let y = x.normalize(&form, &moments, weight, bias).unwrap();
                let slopes = x.normalize_grad(&form, &moments, weight, Some(&y), dy).unwrap().unwrap();
                [moments, y, slopes.dx, slopes.weight, slopes.bias]
            };
            let on_cpu = all(&x.cpu, &dy.cpu, &weight.cpu, &bias.cpu);
            let on_gpu = all(&x.gpu, &dy.gpu, &weight.gpu, &bias.gpu);
            for (name, (cpu, gpu)) in ["moments", "y", "dx", "weight", "bias"].iter().zip(on_cpu.iter().zip(&on_gpu)) {
                same(&format!("{name} of {dtype} {n}×{c}×{s}"), cpu, gpu);
            }
        }
    }
}

pub(crate) fn products_and_random_numbers(gpu: &Device) {
    let small = [[1, 1, 1], [17, 33, 18], [32, 100, 10], [5, 600, 40], [3, 1100, 20]];
    // These take the larger tiles, the first two on the simulator, the last two on a card.
    let large = [[200, 41, 210], [450, 37, 460], [1100, 19, 1291]];
    for [m, k, n] in small.into_iter().chain(large) {
        let finite = |count: usize, index: u64| {
            let x = Pair::new::<f32>(count, index, gpu);
            Pair { cpu: x.cpu.tanh().unwrap().abs().unwrap(), gpu: x.gpu.tanh().unwrap().abs().unwrap() }
        };
        let (a, b) = (finite(m * k, 5).shaped(&[m, k]), finite(n * k, 6).shaped(&[n, k]));
        let bias = finite(n, 7);
        let product = |a: &Tensor, b: &Tensor, bias: &Tensor| {
            let options = MatmulOptions { bias: Some(bias), activation: Some(UnaryOp::Relu.into()) };
            let mut y = a.matmul_with(&b.t().unwrap(), options).unwrap();
            // Factors that lie the other way round, onto what is there.
            let [a, b] = [a, b].map(|factor| factor.t().unwrap().contiguous().unwrap());
            y.add_matmul(&a.t().unwrap(), &b).unwrap();
            y
        };
        let what = format!("{m}×{k}×{n}");
        same(&what, &product(&a.cpu, &b.cpu, &bias.cpu), &product(&a.gpu, &b.gpu, &bias.gpu));
    }
    for dtype in [DType::F32, DType::F64] {
        for count in [1, 7, 1000] {
            let stream = RandomStream::new(1, Purpose::Data, 9);
            let draw = |device: &Device| {
                [
                    Tensor::uniform([count], -2.0, 3.0, dtype, device, stream).unwrap(),
                    Tensor::normal([count], 1.0, 2.0, dtype, device, stream).unwrap(),
                ]
            };
            let (cpu, drawn) = (draw(&Device::cpu()), draw(gpu));
            same("uniform", &cpu[0], &drawn[0]);
            same("normal", &cpu[1], &drawn[1]);
        }
    }
    let stream = RandomStream::new(1, Purpose::Data, 10);
    let draw = |device: &Device| {
        let logits = Tensor::normal([20, 9], 0.0, 1.0, DType::F32, device, stream).unwrap();
        [
            Tensor::gamma([500], 0.7, 2.0, DType::F32, device, stream).unwrap(),
            Tensor::beta([500], 0.7, 2.0, DType::F32, device, stream).unwrap(),
            Tensor::poisson([500], 30.0, DType::I32, device, stream).unwrap(),
            Tensor::exponential([500], 3.0, DType::BF16, device, stream).unwrap(),
            Tensor::bernoulli([500], 0.4, DType::Bool, device, stream).unwrap(),
            Tensor::randint([500], -100, 100, DType::I8, device, stream).unwrap(),
            Tensor::truncated_normal([500], [0.0, 2.0], [-1.0, 9.0], DType::F32, device, stream).unwrap(),
            logits.categorical(stream).unwrap(),
            logits.abs().unwrap().multinomial(4, false, stream).unwrap(),
            logits.abs().unwrap().multinomial(4, true, stream).unwrap(),
        ]
    };
    for (at, (cpu, drawn)) in draw(&Device::cpu()).iter().zip(&draw(gpu)).enumerate() {
        same(&format!("draw {at}"), cpu, drawn);
    }
}

/// Every number that a recurrent layer and its gradients give, of masked steps too.
fn recurrent_layer(
    cell: RecurrentCell,
    [t, n, h]: [usize; 3],
    optional: bool,
    dtype: DType,
    on: &Device,
) -> Vec<Tensor> {
    let (cpu, mut index) = (Device::cpu(), 20);
    let mut draw = |dims: &[usize]| {
        index += 1;
        let stream = RandomStream::new(4, Purpose::Data, index);
        Tensor::uniform(dims, -1.0, 1.0, dtype, &cpu, stream).unwrap().to_device(on).unwrap()
    };
    let width = cell.gates() * h;
    let (input, weight) = (draw(&[t, n, width]), draw(&[width, h]));
    let [h0, keep, last, cell_grad, c0] = [(); 5].map(|()| draw(&[n, h]));
    let (own, dy) = (draw(&[cell.unit_weights() * h]), draw(&[t, n, h]));
    let mask: Vec<bool> = (0..t * n).map(|i| i % 3 != 1).collect();
    let mask = Tensor::from_slice(&mask, [t, n], on).unwrap();
    let has_cell = cell.has_cell_state();
    let layer = Recurrence {
        cell,
        reverse: optional,
        weight: &weight,
        unit_weights: (optional && own.elements() > 0).then_some(&own),
        mask: optional.then_some(&mask),
        keep: optional.then_some(&keep),
        h0: optional.then_some(&h0),
        c0: (optional && has_cell).then_some(&c0),
    };
    let after = input.recurrent(&layer).unwrap();
    let [last, cell_grad] = [(last, optional), (cell_grad, has_cell)].map(|(x, given)| given.then_some(x));
    let slopes = after.grad(&layer, Some(&dy), last.as_ref(), cell_grad.as_ref()).unwrap().unwrap();
    let RecurrentStates { gates, states, inner, .. } = after;
    let some = [inner, slopes.product, slopes.c0, slopes.unit_weights].into_iter().flatten();
    [gates.unwrap(), states, slopes.gates, slopes.h0].into_iter().chain(some).collect()
}

pub(crate) fn recurrent_layers(gpu: &Device) {
    for &cell in RecurrentCell::ALL {
        // Of the last one blocks go from one gate to the next.
        for sizes in [[1, 1, 1], [3, 2, 17], [5, 7, 64], [0, 2, 3], [2, 0, 3], [1, 1, 172]] {
            for (optional, dtype) in [(false, DType::F32), (true, DType::F32), (false, DType::F64), (true, DType::F64)]
            {
                let run = |device: &Device| recurrent_layer(cell, sizes, optional, dtype, device);
                for (i, (cpu, gpu)) in run(&Device::cpu()).iter().zip(&run(gpu)).enumerate() {
                    same(&format!("{cell:?} {sizes:?} {dtype}, options {optional}, result {i}"), cpu, gpu);
                }
            }
        }
    }
}
