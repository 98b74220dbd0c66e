//! Maxima of windows, and where they go back to.

use super::cases::{Cases, FLOATS, Values, expect, expect_same, tensor_of};
use super::composed::ran;
use super::window::{Inside, Plane};
use crate::{Call, DType, Device, MaxPoolCall, MaxPoolGradCall, Shape, Tensor};

/// Tap and input of each output's maximum: the first of equals, or the last NaN.
fn naive(plane: &Plane, planes: usize, x: &[f64]) -> (Vec<f64>, Vec<[usize; 2]>) {
    let (inputs, outputs) = (plane.inputs(), plane.outputs());
    let mut best: Vec<Option<(f64, [usize; 2])>> = vec![None; planes * outputs];
    for number in 0..planes {
        for [output, tap, input] in plane.meetings() {
            let value = x[number * inputs + input];
            let best = &mut best[number * outputs + output];
            if best.is_none_or(|(largest, _)| value > largest || value.is_nan()) {
                *best = Some((value, [tap, number * inputs + input]));
            }
        }
    }
    best.into_iter().map(Option::unwrap).unzip()
}

/// Some tap of each output that meets an input, and that input.
fn any_taps(cases: &mut Cases, plane: &Plane, planes: usize) -> Vec<[usize; 2]> {
    let meetings = plane.meetings();
    let outputs = planes * plane.outputs();
    let one = |output: usize| {
        let of: Vec<_> = meetings.iter().filter(|meeting| meeting[0] == output % plane.outputs()).collect();
        let [_, tap, input] = *of[cases.below(of.len())];
        [tap, output / plane.outputs() * plane.inputs() + input]
    };
    (0..outputs).map(one).collect()
}

fn planes(cases: &mut Cases, case: usize) -> Plane {
    match case {
        0 => Plane::of(&[54, 54], &[3, 3], 2, 1, (0, 0)),
        1 => Plane::of(&[26, 27], &[2, 2], 2, 1, (0, 0)),
        2 => Plane::of(&[13, 13], &[3, 3], 2, 1, (1, 1)),
        // 256 taps have one byte, 257 two.
        3 => Plane::of(&[17, 18], &[16, 16], 1, 1, (0, 0)),
        4 => Plane::of(&[280], &[257], 1, 1, (20, 9)),
        5 => Plane::of(&[9, 70], &[3, 3], 1, 1, (1, 1)),
        _ => {
            let spatial = 1 + cases.below(3);
            Plane::random(cases, spatial, true)
        }
    }
}

/// The shape of taps, and their bytes.
fn bytes(plane: &Plane, to: &Shape, taps: &[[usize; 2]]) -> (Shape, Vec<f64>) {
    let count = plane.window.tap_bytes();
    let shape = Shape::new(&[&[count], to.dims()].concat()).unwrap();
    let byte = |byte: usize| taps.iter().map(move |[tap, _]| f64::from((tap >> (8 * byte)) as u8));
    (shape, (0..count).flat_map(byte).collect())
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
            check_maxima(&mut cases, device, &plane, dtype, [n, c], &x.tensor, &x.values);
        }
        // Nothing but −∞ still has a tap.
        for (size, before) in [(3, 1), (50, 1)] {
            let plane = Plane::of(&[size], &[2], 1, 1, (before, before));
            let values = vec![f64::NEG_INFINITY; size];
            let x = tensor_of(&values, &plane.shape_from(&[1, 1]), dtype, device);
            check_maxima(&mut cases, device, &plane, dtype, [1, 1], &x, &values);
        }
    }
}

fn check_maxima(
    cases: &mut Cases,
    device: &Device,
    plane: &Plane,
    dtype: DType,
    [n, c]: [usize; 2],
    x: &Tensor,
    values: &[f64],
) {
    let shape = plane.shape_to(&[n, c]);
    let (largest, places) = naive(plane, n * c, values);
    let (taps_shape, taps) = bytes(plane, &shape, &places);
    let out = Inside::new(cases, &shape, dtype, device);
    let given = Inside::new(cases, &taps_shape, DType::U8, device);
    let alone = Inside::new(cases, &shape, dtype, device);
    let window = plane.window;
    // Hundreds of taps, which the composed form takes one at a time, in one type.
    if window.taps() < 100 || dtype == DType::F32 {
        let (values, positions) = crate::composed::max_pool(&window, x, &shape).unwrap();
        let within: Vec<f64> = places.iter().map(|[_, input]| (input % plane.inputs()) as f64).collect();
        expect_same("composed max_pool", &values, &largest);
        expect_same("composed positions of max_pool", &positions, &within);
    }
    let without = MaxPoolCall { window, out: alone.tensor.out(), taps: None, x: x.view() };
    let with = MaxPoolCall { out: out.tensor.out(), taps: Some(given.tensor.out()), ..without };
    if !ran(device, &Call::MaxPool(with)) || !ran(device, &Call::MaxPool(without)) {
        return;
    }
    let what = format!("max_pool of {}, {:?}", x.shape(), plane.window);
    for out in [out, alone] {
        out.check(&what);
        expect_same(&what, &out.tensor, &largest);
    }
    given.check(&what);
    expect_same(&format!("taps of {what}"), &given.tensor, &taps);
}

pub(super) fn max_pool_grad(device: &Device) {
    let mut cases = Cases::new(device, 101);
    for dtype in FLOATS {
        for case in 0..40 {
            let plane = planes(&mut cases, case);
            let (n, c) = ([0, 1, 2, 3][cases.below(4)], [1, 2, 3, 20][cases.below(4)]);
            let (from, to) = (plane.shape_from(&[n, c]), plane.shape_to(&[n, c]));
            let dy = cases.rows(&to, dtype, Values::Special(-1.0, 1.0));
            // Those of a maximum, or any at all.
            let places = if case % 2 == 0 {
                let x = cases.numbers(from.elements(), Values::Between(-1.0, 1.0));
                naive(&plane, n * c, &x).1
            } else {
                any_taps(&mut cases, &plane, n * c)
            };
            let (shape, values) = bytes(&plane, &to, &places);
            let taps = tensor_of(&values, &shape, DType::U8, device);
            let out = Inside::new(&mut cases, &from, dtype, device);
            let (out_view, dy_view, taps) = (out.tensor.out(), dy.tensor.view(), taps.view());
            let call = MaxPoolGradCall { window: plane.window, out: out_view, dy: dy_view, taps };
            if !ran(device, &Call::MaxPoolGrad(call)) {
                continue;
            }
            let (mut want, mut scale) = (vec![0.0; from.elements()], vec![0.0; from.elements()]);
            for (&value, [_, to]) in dy.values.iter().zip(places) {
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
