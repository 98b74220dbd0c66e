//! Maxima of windows, and where they go back to.

use super::cases::{Cases, FLOATS, Values, expect, expect_same, output, tensor_of, values_of};
use super::composed::{Composed, same};
use super::window::{Inside, Plane};
use crate::{Backend, DType, Device};

/// The largest of each window and its place: the first of equals, or the last NaN.
fn naive(plane: &Plane, planes: usize, x: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let (inputs, outputs) = (plane.inputs(), plane.outputs());
    let mut best: Vec<Option<(f64, usize)>> = vec![None; planes * outputs];
    for number in 0..planes {
        for [output, _, input] in plane.meetings() {
            let value = x[number * inputs + input];
            let best = &mut best[number * outputs + output];
            if best.is_none_or(|(largest, _)| value > largest || value.is_nan()) {
                *best = Some((value, input));
            }
        }
    }
    best.into_iter().map(|best| best.map(|(value, at)| (value, at as f64)).unwrap()).unzip()
}

fn planes(cases: &mut Cases, case: usize) -> Plane {
    match case {
        0 => Plane::of(&[54, 54], &[3, 3], 2, 1, (0, 0)),
        1 => Plane::of(&[26, 27], &[2, 2], 2, 1, (0, 0)),
        2 => Plane::of(&[13, 13], &[3, 3], 2, 1, (1, 1)),
        _ => {
            let spatial = 1 + cases.below(3);
            Plane::random(cases, spatial, true)
        }
    }
}

pub(super) fn max_pool(device: &Device) {
    let mut cases = Cases::new(device, 100);
    for dtype in FLOATS {
        for case in 0..60 {
            let plane = planes(&mut cases, case);
            let (n, c) = ([0, 1, 2, 3][cases.below(4)], [1, 2, 3, 20][cases.below(4)]);
            // Few distinct values, so that many are equal; or some that are not finite.
            let values = if case % 2 == 0 { Values::Below(4) } else { Values::Special(-1.0, 1.0) };
            let x = cases.rows(&plane.shape_from(&[n, c]), dtype, values);
            let shape = plane.shape_to(&[n, c]);
            let out = Inside::new(&mut cases, &shape, dtype, device);
            let index = Inside::new(&mut cases, &shape, DType::I64, device);
            let backend = device.backend();
            backend.max_pool(&plane.window, out.tensor.out(), index.tensor.out(), x.tensor.view()).unwrap();
            let what = format!("max_pool of {}, {:?}", x.tensor.shape(), plane.window);
            let (largest, places) = naive(&plane, n * c, &x.values);
            out.check(&what);
            index.check(&what);
            expect_same(&what, &out.tensor, &largest);
            expect_same(&format!("places of {what}"), &index.tensor, &places);
        }
        // Nothing but −∞ still has a place.
        let plane = Plane::of(&[3], &[2], 1, 1, (1, 1));
        let x = tensor_of(&[f64::NEG_INFINITY; 3], &plane.shape_from(&[1, 1]), dtype, device);
        let shape = plane.shape_to(&[1, 1]);
        let out = Inside::new(&mut cases, &shape, dtype, device);
        let index = Inside::new(&mut cases, &shape, DType::I64, device);
        device.backend().max_pool(&plane.window, out.tensor.out(), index.tensor.out(), x.view()).unwrap();
        expect_same("max_pool of −∞", &out.tensor, &[f64::NEG_INFINITY; 4]);
        expect_same("places of −∞", &index.tensor, &[0.0, 0.0, 1.0, 2.0]);
    }
}

pub(super) fn max_pool_grad(device: &Device) {
    let mut cases = Cases::new(device, 101);
    for dtype in FLOATS {
        for case in 0..40 {
            let plane = planes(&mut cases, case);
            let (n, c) = ([0, 1, 2, 3][cases.below(4)], [1, 2, 3, 20][cases.below(4)]);
            let (from, to) = (plane.shape_from(&[n, c]), plane.shape_to(&[n, c]));
            let dy = cases.rows(&to, dtype, Values::Special(-1.0, 1.0));
            // Those of a maximum, or any places at all.
            let places = if case % 2 == 0 {
                let x = cases.numbers(from.elements(), Values::Between(-1.0, 1.0));
                tensor_of(&naive(&plane, n * c, &x).1, &to, DType::I64, device)
            } else {
                cases.rows(&to, DType::I64, Values::Below(plane.inputs() as u32)).tensor
            };
            let out = Inside::new(&mut cases, &from, dtype, device);
            device.backend().max_pool_grad(out.tensor.out(), dy.tensor.view(), places.view()).unwrap();
            let (mut want, mut scale) = (vec![0.0; from.elements()], vec![0.0; from.elements()]);
            for (i, (&value, at)) in dy.values.iter().zip(values_of(&places)).enumerate() {
                let to = i / plane.outputs() * plane.inputs() + at as usize;
                want[to] += value;
                // The half types may round at every addition.
                let rounding = match dtype {
                    DType::F16 => 1e3,
                    DType::BF16 => 1e4,
                    _ => 1.0,
                };
                if value.is_finite() {
                    scale[to] += rounding * value.abs();
                }
            }
            let what = format!("gradient of max_pool of {from}, {:?}", plane.window);
            out.check(&what);
            expect(&what, &out.tensor, &want, |i| scale[i]);
        }
    }
}

/// Fused forms against the default bodies: the very same numbers.
pub(super) fn as_composed(device: &Device) {
    let mut cases = Cases::new(device, 102);
    for dtype in [DType::F32, DType::F64] {
        for case in 0..30 {
            let plane = planes(&mut cases, case);
            let (from, to) = (plane.shape_from(&[2, 3]), plane.shape_to(&[2, 3]));
            let values = if case % 2 == 0 { Values::Below(4) } else { Values::Special(-1.0, 1.0) };
            let x = cases.rows(&from, dtype, values);
            let composed = Composed(device.clone());
            let run = |backend: &dyn Backend| {
                let out = output(&to, dtype, device);
                let index = output(&to, DType::I64, device);
                backend.max_pool(&plane.window, out.out(), index.out(), x.tensor.view()).unwrap();
                (out, index)
            };
            let ((out, index), (want, places)) = (run(device.backend()), run(&composed));
            expect_same("max_pool", &out, &values_of(&want));
            expect_same("places of max_pool", &index, &values_of(&places));
            let dy = cases.rows(&to, dtype, Values::Between(-1.0, 1.0));
            same(device, "gradient of max_pool", &from, dtype, 1.0, &|backend, out| {
                backend.max_pool_grad(out.out(), dy.tensor.view(), places.view()).unwrap();
            });
        }
    }
}
