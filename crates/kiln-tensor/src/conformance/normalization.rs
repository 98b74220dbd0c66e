//! Moments of channels, and what is normalized by them, against their formulas.

use super::cases::{Cases, FLOATS, Operand, Values, expect, output, rounded, tensor_of};
use super::composed::{outcome, ran, same};
use super::window::Inside;
use crate::{
    Arithmetic, Call, DType, Device, MomentsCall, Normalization, NormalizeCall, NormalizeGradCall, Result, Shape,
    Tensor, UnaryCall, composed,
};
use kiln_math::UnaryOp;

/// Activations whose derivative is taken from their output, and how low the input may be.
const ACTIVATIONS: [(UnaryOp, [f64; 2]); 4] = [
    (UnaryOp::Relu, [0.0; 2]),
    (UnaryOp::Tanh, [0.0; 2]),
    (UnaryOp::Sigmoid, [0.0; 2]),
    (UnaryOp::LeakyRelu, [0.25, 0.0]),
];

/// (N, C, S): few, none, rows as of a layer's normalization, images.
fn shape(cases: &mut Cases, case: usize) -> Shape {
    let dims = match case {
        0 => [0, 3, 5],
        1 => [2, 5, 1],
        2 => [1, 300, 37],
        3 => [1, 3, 5000],
        4 => [70, 40, 1],
        5 => [8, 20, 196],
        6 => [300, 2, 3],
        _ => [1 + cases.below(5), 1 + cases.below(9), [1, 2, 3, 4, 9, 16, 31, 49, 65][cases.below(9)]],
    };
    Shape::new(&dims).unwrap()
}

/// The elements of channel `c`.
fn channel(values: &[f64], shape: &Shape, c: usize) -> Vec<f64> {
    let [channels, size] = [shape[1], shape[2]];
    (0..shape[0]).flat_map(|n| values[(n * channels + c) * size..][..size].to_vec()).collect()
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}

/// The mean and biased variance of a channel.
fn moments_of(values: &[f64]) -> (f64, f64) {
    let center = mean(values.iter().copied());
    (center, mean(values.iter().map(|value| (value - center).powi(2))))
}

/// (2, C) from the composed form.
fn composed_moments(x: &Tensor) -> Result<Tensor> {
    let [mean, variance] = composed::moments(&x.to_dtype(x.dtype().computed_in())?)?;
    Tensor::concat(&[&mean, &variance], 0)?.reshape([2, x.dims()[1]])
}

fn moments_by(device: &Device, x: &Tensor, out: &Tensor) -> Tensor {
    let call = Call::Moments(MomentsCall { out: out.out(), x: x.view() });
    outcome(device, &call, out, || composed_moments(x))
}

pub(super) fn moments(device: &Device) {
    let mut cases = Cases::new(device, 110);
    for dtype in FLOATS {
        for case in 1..30 {
            let shape = shape(&mut cases, case);
            let (channels, count) = (shape[1], shape[0] * shape[2]);
            // Far from 0 a difference of squares would leave nothing of the variance.
            let values = match case % 3 {
                0 if dtype.size() > 2 => Values::Between(1000.0, 1001.0),
                1 => Values::Between(-0.5, 0.5),
                _ => Values::Between(-2.0, 5.0),
            };
            let x = cases.rows(&shape, dtype, values);
            let out = Inside::new(&mut cases, &Shape::new(&[2, channels]).unwrap(), dtype.computed_in(), device);
            let got = moments_by(device, &x.tensor, &out.tensor);
            let each: Vec<(f64, f64)> = (0..channels).map(|c| moments_of(&channel(&x.values, &shape, c))).collect();
            let (means, variances): (Vec<f64>, Vec<f64>) = each.into_iter().unzip();
            let want = [means, variances].concat();
            let what = format!("moments of {shape}");
            out.check(&what);
            let size = (1.0 + (count as f64).sqrt() / 4.0) * if case % 3 == 0 { 2.0 } else { 1.0 };
            // The rounded mean moves every difference: its error counts as far as the range of the values is.
            expect(&what, &got, &want, |i| if i < channels { size * want[i].abs().max(1.0) } else { size * 25.0 });
        }
        // Channels that hold something that is not finite have no finite moments; the others do.
        let (nan, inf) = (f64::NAN, f64::INFINITY);
        let shape = Shape::new(&[2, 5, 2]).unwrap();
        let x =
            [[1.0, nan, 1.0, inf, 1.0, 2.0, 0.0, 0.0, -inf, 1.0], [1.0, 1.0, 0.0, -1.0, 3.0, 4.0, -0.0, 0.0, 2.0, 3.0]];
        let x = x.concat();
        let x = tensor_of(&x, &shape, dtype, device);
        let out = Inside::new(&mut cases, &Shape::new(&[2, 5]).unwrap(), dtype.computed_in(), device);
        let want = [nan, inf, 2.5, 0.0, -inf, nan, nan, 1.25, 0.0, nan];
        expect("moments of special values", &moments_by(device, &x, &out.tensor), &want, |_| 1.0);
        expect("composed moments of special values", &composed_moments(&x).unwrap(), &want, |_| 1.0);
    }
}

/// Operands of a normalization.
struct Setting {
    form: Normalization,
    shape: Shape,
    x: Operand,
    moments: Operand,
    weight: Option<Operand>,
    bias: Option<Operand>,
}

impl Setting {
    fn random(cases: &mut Cases, case: usize, dtype: DType, values: Values) -> Self {
        let shape = shape(cases, case);
        let channels = shape[1];
        let vector = Shape::new(&[channels]).unwrap();
        let x = cases.rows(&shape, dtype, values);
        let mut moments: Vec<f64> = cases.numbers(channels, Values::Between(-1.0, 1.0));
        moments.extend(cases.numbers(channels, Values::Between(0.1, 2.0)));
        let computed = dtype.computed_in();
        moments.iter_mut().for_each(|value| *value = rounded(*value, computed));
        let tensor = tensor_of(&moments, &Shape::new(&[2, channels]).unwrap(), computed, &cases.device);
        let moments = Operand { tensor: tensor.clone(), values: moments, memory: tensor };
        let factor =
            |cases: &mut Cases| cases.chance(2).then(|| cases.rows(&vector, computed, Values::Between(-1.5, 1.5)));
        let activation = cases.chance(2).then(|| ACTIVATIONS[cases.below(ACTIVATIONS.len())]);
        let form = Normalization {
            epsilon: [1e-5, 1e-3][cases.below(2)],
            own_moments: cases.chance(2),
            activation: activation.map(|(op, params)| UnaryCall { op, params }),
        };
        Setting { form, shape, x, moments, weight: factor(cases), bias: factor(cases) }
    }

    fn channel_of(&self, at: usize) -> usize {
        at / self.shape[2] % self.shape[1]
    }

    fn scale(&self, c: usize) -> f64 {
        1.0 / (self.moments.values[self.shape[1] + c] + self.form.epsilon).sqrt()
    }

    fn factor(&self, c: usize) -> f64 {
        self.weight.as_ref().map_or(1.0, |weight| weight.values[c])
    }

    /// (x − mean) / sqrt(variance + ε)
    fn normal(&self) -> Vec<f64> {
        let one =
            |(at, x): (usize, &f64)| (x - self.moments.values[self.channel_of(at)]) * self.scale(self.channel_of(at));
        self.x.values.iter().enumerate().map(one).collect()
    }

    fn output(&self) -> Vec<f64> {
        let one = |(at, normal): (usize, f64)| {
            let c = self.channel_of(at);
            let z = normal * self.factor(c) + self.bias.as_ref().map_or(0.0, |bias| bias.values[c]);
            self.form.activation.map_or(z, |call| call.op.f(z, call.params))
        };
        self.normal().into_iter().enumerate().map(one).collect()
    }

    fn composed(&self) -> Result<Tensor> {
        let moments = [self.moments.tensor.index(0, 0)?, self.moments.tensor.index(0, 1)?];
        let [weight, bias] = [&self.weight, &self.bias].map(|factor| factor.as_ref().map(|factor| &factor.tensor));
        self.x.tensor.in_wide(|x| composed::normalize(&self.form, x, &moments, weight, bias))
    }

    /// By a kernel that writes to `out`, or composed.
    fn run(&self, device: &Device, out: &Tensor) -> Tensor {
        let [weight, bias] =
            [&self.weight, &self.bias].map(|factor| factor.as_ref().map(|factor| factor.tensor.view()));
        let (x, moments) = (self.x.tensor.view(), self.moments.tensor.view());
        let call = NormalizeCall { form: self.form, out: out.out(), x, moments, weight, bias };
        outcome(device, &Call::Normalize(call), out, || self.composed())
    }

    fn what(&self, name: &str) -> String {
        let (weight, bias) = (self.weight.is_some(), self.bias.is_some());
        format!("{name} of {}, {:?}, weight {weight}, bias {bias}", self.shape, self.form)
    }
}

pub(super) fn normalize(device: &Device) {
    let mut cases = Cases::new(device, 111);
    for dtype in FLOATS {
        for case in 0..40 {
            let values = if case % 4 == 3 { Values::Special(-3.0, 3.0) } else { Values::Between(-3.0, 3.0) };
            let setting = Setting::random(&mut cases, case, dtype, values);
            let out = Inside::new(&mut cases, &setting.shape, dtype, device);
            let y = setting.run(device, &out.tensor);
            let what = setting.what("normalize");
            out.check(&what);
            expect(&what, &y, &setting.output(), |i| {
                let c = setting.channel_of(i);
                2.0 * (4.0 * setting.scale(c) * setting.factor(c).abs() + 1.5)
            });
        }
    }
}

/// dz, its sums over each channel with x̂ and alone, dx, and the sizes of what these are made of.
struct Gradients {
    dx: Vec<f64>,
    affine: Vec<f64>,
    sizes: Vec<f64>,
}

fn gradients(setting: &Setting, y: &[f64], dy: &[f64]) -> Gradients {
    let (shape, normal) = (&setting.shape, setting.normal());
    let slope = |y: f64| setting.form.activation.map_or(1.0, |call| call.op.df(y, y, call.params));
    let dz: Vec<f64> = dy.iter().zip(y).map(|(dy, &y)| dy * slope(y)).collect();
    let products: Vec<f64> = dz.iter().zip(&normal).map(|(dz, normal)| dz * normal).collect();
    let sums = |values: &[f64], size: bool| -> Vec<f64> {
        let of = |c| channel(values, shape, c).into_iter().map(|v| if size { v.abs() } else { v }).sum();
        (0..shape[1]).map(of).collect()
    };
    let (with, alone) = (sums(&products, false), sums(&dz, false));
    let count = (shape[0] * shape[2]) as f64;
    let dx = (0..dz.len()).map(|at| {
        let c = setting.channel_of(at);
        let means = if setting.form.own_moments { alone[c] / count + normal[at] * with[c] / count } else { 0.0 };
        setting.scale(c) * setting.factor(c) * (dz[at] - means)
    });
    Gradients {
        dx: dx.collect(),
        affine: [with, alone].concat(),
        sizes: [sums(&products, true), sums(&dz, true)].concat(),
    }
}

pub(super) fn normalize_grad(device: &Device) {
    let mut cases = Cases::new(device, 112);
    for dtype in FLOATS {
        for case in 0..40 {
            let setting = Setting::random(&mut cases, case, dtype, Values::Between(-3.0, 3.0));
            let dy = cases.rows(&setting.shape, dtype, Values::Between(-1.0, 1.0));
            let y: Vec<f64> = setting.output().into_iter().map(|value| rounded(value, dtype)).collect();
            let output = tensor_of(&y, &setting.shape, dtype, device);
            let dx = Inside::new(&mut cases, &setting.shape, dtype, device);
            let affine = Inside::new(&mut cases, setting.moments.tensor.shape(), dtype.computed_in(), device);
            let call = NormalizeGradCall {
                form: setting.form,
                dx: dx.tensor.out(),
                affine: affine.tensor.out(),
                x: setting.x.tensor.view(),
                y: output.view(),
                dy: dy.tensor.view(),
                moments: setting.moments.tensor.view(),
                weight: setting.weight.as_ref().map(|weight| weight.tensor.view()),
            };
            if !ran(device, &Call::NormalizeGrad(call)) {
                continue;
            }
            let want = gradients(&setting, &y, &dy.values);
            let what = setting.what("normalize_grad");
            dx.check(&what);
            affine.check(&what);
            let count = (setting.shape[0] * setting.shape[2]) as f64;
            let terms = 1.0 + count.sqrt() / 4.0;
            expect(&format!("dx by {what}"), &dx.tensor, &want.dx, |i| {
                let c = setting.channel_of(i);
                20.0 * setting.scale(c).powi(3) * (1.0 + setting.factor(c).abs())
            });
            expect(&format!("weight and bias by {what}"), &affine.tensor, &want.affine, |i| {
                4.0 * terms * (want.sizes[i] * (1.0 + setting.scale(i % setting.shape[1])))
            });
        }
    }
}

/// Kernels against composed forms.
pub(super) fn as_composed(device: &Device) {
    let mut cases = Cases::new(device, 113);
    for dtype in [DType::F32, DType::F64] {
        for case in 1..30 {
            let special = if case % 4 == 3 { Values::Special(-2.0, 2.0) } else { Values::Between(-2.0, 2.0) };
            let setting = Setting::random(&mut cases, case, dtype, special);
            let out = output(&setting.shape, dtype, device);
            same(&setting.what("normalize"), 40.0, &setting.run(device, &out), &setting.composed().unwrap());
            if case % 4 != 3 {
                let x = &setting.x.tensor;
                same("moments", 40.0, &x.moments().unwrap(), &composed_moments(x).unwrap());
            }
        }
    }
}
