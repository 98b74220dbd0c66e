//! Convolutions and their gradients against sums over every tap.

use super::cases::{Cases, FLOATS, Operand, Values, expect};
use super::composed::{outcome, same};
use super::window::{Inside, Plane};
use crate::{
    Call, ConvCall, ConvGradInputCall, ConvGradWeightCall, Convolution, DType, Device, Epilogue, MatmulOptions, Shape,
    UnaryCall, composed,
};
use kiln_math::UnaryOp;

const ACTIVATIONS: [(UnaryOp, [f64; 2]); 4] = [
    (UnaryOp::Relu, [0.0; 2]),
    (UnaryOp::Tanh, [0.0; 2]),
    (UnaryOp::Gelu, [0.0; 2]),
    (UnaryOp::LeakyRelu, [0.25, 0.0]),
];

/// A convolution of a certain size.
pub(super) struct Setting {
    pub(super) plane: Plane,
    pub(super) conv: Convolution,
    pub(super) samples: usize,
    /// Input and output channels of each group.
    channels: [usize; 2],
    pub(super) x: Shape,
    pub(super) weight: Shape,
    pub(super) out: Shape,
}

impl Setting {
    fn new(plane: Plane, samples: usize, groups: usize, channels: [usize; 2]) -> Self {
        let conv = Convolution { window: plane.window, groups };
        let [c, o] = channels;
        let weight = crate::Window::shape(&[groups * o, c], plane.window.kernel, plane.spatial).unwrap();
        let (x, out) = (plane.shape_from(&[samples, groups * c]), plane.shape_to(&[samples, groups * o]));
        assert_eq!(conv.output_shape(&x, &weight).unwrap(), out);
        Setting { plane, conv, samples, channels, x, weight, out }
    }

    pub(super) fn random(cases: &mut Cases) -> Self {
        loop {
            let spatial = 1 + cases.below(3);
            let plane = Plane::random(cases, spatial, false);
            let samples = [0, 1, 1, 2, 3][cases.below(5)];
            let groups = [1, 1, 2, 3][cases.below(4)];
            let mut channels = [1 + cases.below(9), 1 + cases.below(9)];
            let mut depth = groups;
            if cases.chance(4) {
                // Depthwise, of one or two outputs each.
                (channels, depth) = ([1, 1 + cases.below(2)], 1 + cases.below(20));
            }
            let work = samples * depth * channels[0] * channels[1] * plane.outputs() * plane.window.taps();
            if work <= 100_000 {
                return Setting::new(plane, samples, depth, channels);
            }
        }
    }

    /// Sizes at which kernels take other ways: many channels, few, one tap, depthwise, more rows than a block.
    fn large() -> Vec<Self> {
        let of = |from: &[usize], kernel: &[usize], stride, padding| Plane::of(from, kernel, stride, 1, padding);
        vec![
            Setting::new(of(&[14, 14], &[3, 3], 1, (1, 1)), 2, 1, [70, 40]),
            Setting::new(of(&[35, 35], &[11, 11], 4, (0, 0)), 2, 1, [3, 33]),
            Setting::new(of(&[30, 31], &[5, 5], 1, (2, 2)), 1, 1, [3, 20]),
            Setting::new(of(&[13, 14], &[1, 1], 1, (0, 0)), 3, 1, [70, 33]),
            Setting::new(of(&[9, 9], &[1, 1], 2, (0, 0)), 2, 1, [40, 17]),
            Setting::new(of(&[20, 21], &[3, 3], 1, (1, 1)), 2, 40, [1, 1]),
            Setting::new(of(&[20, 21], &[5, 5], 2, (1, 2)), 1, 19, [1, 1]),
            Setting::new(of(&[4, 4], &[3, 3], 1, (1, 1)), 70, 1, [33, 34]),
            Setting::new(of(&[2, 2], &[3, 3], 1, (1, 1)), 17, 2, [18, 35]),
            Setting::new(of(&[1, 1], &[3, 3], 1, (1, 1)), 33, 1, [20, 20]),
            Setting::new(of(&[300], &[7], 2, (3, 3)), 2, 1, [5, 30]),
            Setting::new(of(&[7, 8, 9], &[3, 3, 3], 1, (1, 1)), 1, 1, [9, 17]),
        ]
    }

    fn what(&self, name: &str) -> String {
        format!("{name} of {} by {}, {:?}", self.x, self.weight, self.conv)
    }

    /// Calls `visit` with the places in x, in the weight and in the output of each product of the sum.
    fn products(&self, mut visit: impl FnMut(usize, usize, usize)) {
        let (meetings, groups) = (self.plane.meetings(), self.conv.groups);
        let ([c, o], taps) = (self.channels, self.plane.window.taps());
        let (inputs, outputs) = (self.plane.inputs(), self.plane.outputs());
        for sample in 0..self.samples {
            for to in 0..groups * o {
                for from in 0..c {
                    let x = (sample * groups * c + to / o * c + from) * inputs;
                    let weight = (to * c + from) * taps;
                    let out = (sample * groups * o + to) * outputs;
                    for &[output, tap, input] in &meetings {
                        visit(x + input, weight + tap, out + output);
                    }
                }
            }
        }
    }
}

/// Tolerance of a sum of so many products of this total size.
fn leeway(size: f64, count: usize) -> f64 {
    2.0 * size * (1.0 + (count as f64).sqrt() / 4.0)
}

/// Sums of products at each place, and how far off they may be.
struct Sums {
    values: Vec<f64>,
    sizes: Vec<f64>,
    counts: Vec<usize>,
}

impl Sums {
    fn new(count: usize) -> Self {
        Sums { values: vec![0.0; count], sizes: vec![0.0; count], counts: vec![0; count] }
    }

    fn add(&mut self, at: usize, product: f64) {
        self.values[at] += product;
        self.sizes[at] += product.abs();
        self.counts[at] += 1;
    }

    fn leeway(&self, at: usize) -> f64 {
        // Where something is not finite, so is the sum, and it is compared as such.
        if self.sizes[at].is_finite() { leeway(self.sizes[at], self.counts[at]) } else { 0.0 }
    }
}

fn forward(cases: &mut Cases, setting: &Setting, x: &Operand, weight: &Operand) {
    let (device, dtype) = (cases.device.clone(), x.tensor.dtype());
    let channels = Shape::new(&setting.out[1..2]).unwrap();
    let bias = cases.chance(2).then(|| cases.rows(&channels, dtype, Values::Between(-1.0, 1.0)));
    let activation = cases.chance(2).then(|| ACTIVATIONS[cases.below(ACTIVATIONS.len())]);
    let out = Inside::new(cases, &setting.out, dtype, &device);
    let epilogue = Epilogue {
        bias: bias.as_ref().map(|bias| bias.tensor.view()),
        activation: activation.map(|(op, params)| UnaryCall { op, params }),
        accumulate: false,
    };
    let after = MatmulOptions { bias: bias.as_ref().map(|bias| &bias.tensor), activation: epilogue.activation };
    let (x_view, w) = (x.tensor.view(), weight.tensor.view());
    let call = ConvCall { conv: setting.conv, out: out.tensor.out(), x: x_view, weight: w, epilogue };
    let composed = || composed::conv(&x.tensor, &weight.tensor, &setting.conv, after);
    let y = outcome(&device, &Call::Conv(call), &out.tensor, composed);
    let mut sums = Sums::new(setting.out.elements());
    setting.products(|x_at, w_at, at| sums.add(at, x.values[x_at] * weight.values[w_at]));
    let positions = setting.plane.outputs();
    for at in 0..sums.values.len() {
        if let Some(bias) = &bias {
            sums.add(at, bias.values[at / positions % setting.out[1]]);
        }
        if let Some((op, params)) = activation {
            sums.values[at] = op.f(sums.values[at], params);
        }
    }
    let what = setting.what(&format!("conv with bias {}, activation {activation:?},", bias.is_some()));
    out.check(&what);
    expect(&what, &y, &sums.values, |i| sums.leeway(i));
}

fn input_gradient(cases: &mut Cases, setting: &Setting, dy: &Operand, weight: &Operand) {
    let device = cases.device.clone();
    let out = Inside::new(cases, &setting.x, dy.tensor.dtype(), &device);
    let (dy_view, w) = (dy.tensor.view(), weight.tensor.view());
    let call = ConvGradInputCall { conv: setting.conv, out: out.tensor.out(), dy: dy_view, weight: w };
    let composed = || composed::conv_grad_input(&dy.tensor, &weight.tensor, &setting.conv, &setting.x);
    let dx = outcome(&device, &Call::ConvGradInput(call), &out.tensor, composed);
    let mut sums = Sums::new(setting.x.elements());
    setting.products(|at, w_at, dy_at| sums.add(at, dy.values[dy_at] * weight.values[w_at]));
    let what = setting.what("input gradient");
    out.check(&what);
    expect(&what, &dx, &sums.values, |i| sums.leeway(i));
}

fn weight_gradient(cases: &mut Cases, setting: &Setting, x: &Operand, dy: &Operand) {
    let device = cases.device.clone();
    let out = Inside::new(cases, &setting.weight, x.tensor.dtype(), &device);
    let (x_view, dy_view) = (x.tensor.view(), dy.tensor.view());
    let call = ConvGradWeightCall { conv: setting.conv, out: out.tensor.out(), x: x_view, dy: dy_view };
    let composed = || composed::conv_grad_weight(&x.tensor, &dy.tensor, &setting.conv);
    let dw = outcome(&device, &Call::ConvGradWeight(call), &out.tensor, composed);
    let mut sums = Sums::new(setting.weight.elements());
    setting.products(|x_at, at, dy_at| sums.add(at, x.values[x_at] * dy.values[dy_at]));
    let what = setting.what("weight gradient");
    out.check(&what);
    expect(&what, &dw, &sums.values, |i| sums.leeway(i));
}

pub(super) const ALL: Values = Values::Between(-1.0, 1.0);

/// Settings for a dtype: many small ones, and for the usual types large ones.
fn settings(cases: &mut Cases, dtype: DType) -> Vec<Setting> {
    let small = if dtype.size() == 2 { 25 } else { 60 };
    let mut all: Vec<Setting> = (0..small).map(|_| Setting::random(cases)).collect();
    if dtype.size() != 2 {
        all.extend(Setting::large());
    }
    all
}

pub(super) fn conv(device: &Device) {
    let mut cases = Cases::new(device, 90);
    for dtype in FLOATS {
        for setting in settings(&mut cases, dtype) {
            let (x, weight) = (cases.rows(&setting.x, dtype, ALL), cases.rows(&setting.weight, dtype, ALL));
            forward(&mut cases, &setting, &x, &weight);
        }
    }
}

pub(super) fn conv_grad_input(device: &Device) {
    let mut cases = Cases::new(device, 91);
    for dtype in FLOATS {
        for setting in settings(&mut cases, dtype) {
            let (dy, weight) = (cases.rows(&setting.out, dtype, ALL), cases.rows(&setting.weight, dtype, ALL));
            input_gradient(&mut cases, &setting, &dy, &weight);
        }
    }
}

pub(super) fn conv_grad_weight(device: &Device) {
    let mut cases = Cases::new(device, 92);
    for dtype in FLOATS {
        for setting in settings(&mut cases, dtype) {
            let (x, dy) = (cases.rows(&setting.x, dtype, ALL), cases.rows(&setting.out, dtype, ALL));
            weight_gradient(&mut cases, &setting, &x, &dy);
        }
    }
}

/// NaN and infinities of x and dy go where they belong, and nowhere else.
pub(super) fn special(device: &Device) {
    let mut cases = Cases::new(device, 93);
    for dtype in [DType::F32, DType::F64, DType::BF16] {
        for _ in 0..25 {
            let setting = Setting::random(&mut cases);
            let special = Values::Special(-1.0, 1.0);
            let weight = cases.rows(&setting.weight, dtype, Values::Between(0.5, 1.0));
            let x = cases.rows(&setting.x, dtype, special);
            forward(&mut cases, &setting, &x, &weight);
            let dy = cases.rows(&setting.out, dtype, special);
            input_gradient(&mut cases, &setting, &dy, &weight);
            let dy = cases.rows(&setting.out, dtype, Values::Between(0.5, 1.0));
            weight_gradient(&mut cases, &setting, &x, &dy);
        }
    }
}

/// Kernels against composed forms.
pub(super) fn as_composed(device: &Device) {
    let mut cases = Cases::new(device, 94);
    for dtype in [DType::F32, DType::F64] {
        for _ in 0..30 {
            let setting = Setting::random(&mut cases);
            let x = cases.rows(&setting.x, dtype, ALL);
            let (weight, dy) = (cases.rows(&setting.weight, dtype, ALL), cases.rows(&setting.out, dtype, ALL));
            let bias = cases.rows(&Shape::new(&setting.out[1..2]).unwrap(), dtype, ALL);
            let (x, w, dy, conv) = (&x.tensor, &weight.tensor, &dy.tensor, &setting.conv);
            let after = MatmulOptions { bias: Some(&bias.tensor), activation: Some(UnaryOp::Relu.into()) };
            let terms = (setting.channels[0] * setting.plane.window.taps()) as f64;
            let by_taps = composed::conv(x, w, conv, after).unwrap();
            same(&setting.what("conv"), terms, &x.conv_with(w, conv, after).unwrap(), &by_taps);
            let terms = (setting.channels[1] * setting.plane.window.taps()) as f64;
            let by_taps = composed::conv_grad_input(dy, w, conv, &setting.x).unwrap();
            same(&setting.what("dx"), terms, &dy.conv_grad_input(w, conv, &setting.x).unwrap(), &by_taps);
            let terms = (setting.samples * setting.plane.outputs()).max(1) as f64;
            let by_taps = composed::conv_grad_weight(x, dy, conv).unwrap();
            same(&setting.what("dw"), terms, &x.conv_grad_weight(dy, conv).unwrap(), &by_taps);
        }
    }
}
