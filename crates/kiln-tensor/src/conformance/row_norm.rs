//! Normalization of rows, with and without a residual sum, and its gradient, against their formulas and the composed form.

use super::cases::{Cases, FLOATS, Operand, Values, expect, rounded, tensor_of};
use super::composed::{ran, same};
use super::window::Inside;
use crate::{Arithmetic, Call, DType, Device, Result, RowNorm, RowNormCall, RowNormGradCall, Shape, Tensor, composed};

/// (rows, n): none, one, sizes on both sides of vectors and of what is taken together.
fn shape(cases: &mut Cases, case: usize) -> Shape {
    let dims = match case {
        0 => [0, 5],
        1 => [1, 1],
        2 => [300, 37],
        3 => [3, 5000],
        4 => [4100, 3],
        5 => [17, 64],
        6 => [40, 384],
        _ => [1 + cases.below(40), [1, 2, 3, 15, 16, 17, 31, 63, 65, 100][cases.below(10)]],
    };
    Shape::new(&dims).unwrap()
}

/// Operands of a normalization of rows.
struct Setting {
    form: RowNorm,
    shape: Shape,
    x: Operand,
    residual: Option<Operand>,
    weight: Option<Operand>,
    bias: Option<Operand>,
}

impl Setting {
    fn random(cases: &mut Cases, case: usize, dtype: DType, values: Values) -> Self {
        let shape = shape(cases, case);
        let row = Shape::new(&shape[1..]).unwrap();
        let x = cases.rows(&shape, dtype, values);
        let residual = cases.chance(2).then(|| cases.rows(&shape, dtype, Values::Between(-1.0, 1.0)));
        let mut factor = || cases.chance(2).then(|| cases.rows(&row, dtype.computed_in(), Values::Between(-1.5, 1.5)));
        let (weight, bias) = (factor(), factor());
        let form = RowNorm { axes: 1, centered: case.is_multiple_of(2), epsilon: 1e-2 };
        Setting { form, shape, x, residual, weight, bias }
    }

    /// The sum, as it is stored.
    fn sum(&self) -> Vec<f64> {
        let Some(residual) = &self.residual else { return self.x.values.clone() };
        let dtype = self.x.tensor.dtype();
        self.x.values.iter().zip(&residual.values).map(|(x, r)| rounded(x + r, dtype)).collect()
    }

    /// What measures each row: (mean, 1 / sqrt(… + ε)).
    fn measures(&self) -> Vec<(f64, f64)> {
        let count = self.shape[1] as f64;
        let of_row = |row: &[f64]| {
            let mean = if self.form.centered { row.iter().sum::<f64>() / count } else { 0.0 };
            let spread = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
            (mean, 1.0 / (spread + self.form.epsilon).sqrt())
        };
        self.sum().chunks(self.shape[1].max(1)).map(of_row).collect()
    }

    fn weight(&self, at: usize) -> f64 {
        self.weight.as_ref().map_or(1.0, |weight| weight.values[at % self.shape[1]])
    }

    /// (x − mean) / sqrt(… + ε)
    fn normal(&self) -> Vec<f64> {
        let measures = self.measures();
        let one = |(at, x): (usize, &f64)| {
            let (mean, inverse) = measures[at / self.shape[1]];
            (x - mean) * inverse
        };
        self.sum().iter().enumerate().map(one).collect()
    }

    fn output(&self) -> Vec<f64> {
        let bias = |at: usize| self.bias.as_ref().map_or(0.0, |bias| bias.values[at % self.shape[1]]);
        self.normal().into_iter().enumerate().map(|(at, normal)| normal * self.weight(at) + bias(at)).collect()
    }

    fn summed(&self) -> Result<Tensor> {
        self.residual.as_ref().map_or(Ok(self.x.tensor.clone()), |residual| self.x.tensor.add(&residual.tensor))
    }

    fn composed(&self) -> Result<Tensor> {
        let [weight, bias] = [&self.weight, &self.bias].map(|factor| factor.as_ref().map(|factor| &factor.tensor));
        self.summed()?.in_wide(|x| composed::row_norm(&self.form, x, weight, bias))
    }

    fn moments(&self) -> Shape {
        Shape::new(&[if self.form.centered { 2 } else { 1 }, self.shape[0]]).unwrap()
    }

    /// The normalized sum by a kernel, which writes to `sum`, `y` and `moments`, or composed; and whether it was a kernel.
    fn run(&self, device: &Device, [sum, y, moments]: [&Tensor; 3]) -> (Tensor, bool) {
        let view = |operand: &'_ Option<Operand>| operand.as_ref().map(|operand| operand.tensor.clone());
        let [residual, weight, bias] = [&self.residual, &self.weight, &self.bias].map(view);
        let call = Call::RowNorm(RowNormCall {
            form: self.form,
            out: y.out(),
            sum: residual.as_ref().map(|_| sum.out()),
            moments: moments.out(),
            x: self.x.tensor.view(),
            residual: residual.as_ref().map(Tensor::view),
            weight: weight.as_ref().map(Tensor::view),
            bias: bias.as_ref().map(Tensor::view),
        });
        match ran(device, &call) {
            true => (y.clone(), true),
            false => (self.composed().unwrap(), false),
        }
    }

    fn what(&self, name: &str) -> String {
        let given = [&self.residual, &self.weight, &self.bias].map(Option::is_some);
        format!("{name} of {}, {:?}, residual, weight, bias {given:?}", self.shape, self.form)
    }
}

pub(super) fn row_norm(device: &Device) {
    let mut cases = Cases::new(device, 121);
    for dtype in FLOATS {
        for case in 0..40 {
            let setting = Setting::random(&mut cases, case, dtype, Values::Between(-3.0, 3.0));
            let sum = Inside::new(&mut cases, &setting.shape, dtype, device);
            let y = Inside::new(&mut cases, &setting.shape, dtype, device);
            let moments = Inside::new(&mut cases, &setting.moments(), dtype.computed_in(), device);
            let (got, by_kernel) = setting.run(device, [&sum.tensor, &y.tensor, &moments.tensor]);
            let what = setting.what("row_norm");
            [&sum, &y, &moments].into_iter().for_each(|inside| inside.check(&what));
            let terms = 2.0 + (setting.shape[1] as f64).sqrt() / 4.0;
            let measures = setting.measures();
            expect(&what, &got, &setting.output(), |i| {
                let inverse = measures[i / setting.shape[1]].1;
                4.0 * terms * (1.0 + inverse * (1.0 + inverse) * (1.0 + setting.weight(i).abs()))
            });
            same(&what, 40.0, &got, &setting.composed().unwrap());
            if by_kernel && setting.residual.is_some() {
                expect(&format!("sum by {what}"), &sum.tensor, &setting.sum(), |_| 0.0);
            }
        }
    }
}

/// Rows with something that is not finite are NaN; the others are as they would be.
pub(super) fn special(device: &Device) {
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    for dtype in FLOATS {
        for centered in [true, false] {
            let shape = Shape::new(&[4, 3]).unwrap();
            let x = [[1.0, nan, 2.0], [inf, 1.0, 0.0], [0.0, -0.0, 0.0], [1.0, -1.0, 0.0]].concat();
            let x = tensor_of(&x, &shape, dtype, device);
            let form = RowNorm { axes: 1, centered, epsilon: 0.5 };
            let composed = x.in_wide(|x| composed::row_norm(&form, x, None, None)).unwrap();
            let y = x.row_norm(&form, None, None, None).unwrap().map_or(composed, |after| after.y);
            let r = 1.0 / (2.0f64 / 3.0 + 0.5).sqrt();
            // ∞ / ∞ is no number, 1 / ∞ is 0; a mean that is not finite leaves none.
            let infinite = if centered { [nan; 3] } else { [nan, 0.0, 0.0] };
            let want = [[nan; 3], infinite, [0.0; 3], [r, -r, 0.0]].concat();
            expect("row_norm of special values", &y, &want, |_| 2.0);
        }
    }
}

pub(super) fn row_norm_grad(device: &Device) {
    let mut cases = Cases::new(device, 122);
    for dtype in FLOATS {
        for case in 0..40 {
            let setting = Setting::random(&mut cases, case, dtype, Values::Between(-3.0, 3.0));
            let (shape, width) = (setting.shape, setting.shape[1]);
            let dy = cases.rows(&shape, dtype, Values::Between(-1.0, 1.0));
            let direct = cases.chance(2).then(|| cases.rows(&shape, dtype, Values::Between(-1.0, 1.0)));
            let sum = tensor_of(&setting.sum(), &shape, dtype, device);
            let Some(after) = sum.row_norm(&setting.form, None, None, None).unwrap() else { continue };
            let dx = Inside::new(&mut cases, &shape, dtype, device);
            let affine = Inside::new(&mut cases, &Shape::new(&[2, width]).unwrap(), dtype.computed_in(), device);
            let call = RowNormGradCall {
                form: setting.form,
                dx: dx.tensor.out(),
                affine: affine.tensor.out(),
                x: sum.view(),
                moments: after.moments.view(),
                weight: setting.weight.as_ref().map(|weight| weight.tensor.view()),
                dy: dy.tensor.view(),
                direct: direct.as_ref().map(|direct| direct.tensor.view()),
            };
            if !ran(device, &Call::RowNormGrad(call)) {
                continue;
            }
            let what = setting.what("row_norm_grad");
            dx.check(&what);
            affine.check(&what);
            let (normal, measures) = (setting.normal(), setting.measures());
            let dz: Vec<f64> = dy.values.iter().enumerate().map(|(at, dy)| dy * setting.weight(at)).collect();
            let mean_of = |row: usize, f: &dyn Fn(usize) -> f64| {
                (row * width..(row + 1) * width).map(f).sum::<f64>() / width as f64
            };
            let mut want = Vec::new();
            for (row, (_, inverse)) in measures.iter().enumerate() {
                let mean = if setting.form.centered { mean_of(row, &|at| dz[at]) } else { 0.0 };
                let through = mean_of(row, &|at| dz[at] * normal[at]);
                want.extend((row * width..(row + 1) * width).map(|at| {
                    let known = direct.as_ref().map_or(0.0, |direct| direct.values[at]);
                    inverse * (dz[at] - mean - normal[at] * through) + known
                }));
            }
            let terms = 1.0 + (width as f64).sqrt() / 4.0;
            expect(&format!("dx by {what}"), &dx.tensor, &want, |i| {
                let inverse = measures[i / width].1;
                20.0 * terms * (1.0 + inverse.powi(3)) * (1.0 + setting.weight(i).abs())
            });
            let (mut sums, mut sizes) = (vec![0.0; 2 * width], vec![0.0; 2 * width]);
            for (at, dy) in dy.values.iter().enumerate() {
                for (to, term) in [(at % width, dy * normal[at]), (width + at % width, *dy)] {
                    sums[to] += term;
                    sizes[to] += term.abs() * (1.0 + measures[at / width].1);
                }
            }
            expect(&format!("weight and bias by {what}"), &affine.tensor, &sums, |i| 8.0 * terms * (1.0 + sizes[i]));
        }
    }
}
