//! Draws: element by element what the stream's words say.

use super::cases::{Cases, Values, expect, expect_same, output, rounded, values_of};
use super::composed::{dropout_call, outcome};
use crate::{DType, Device, Distribution, Shape, Tensor};
use kiln_math::draws::{normal_pair_f64, unit_f32, unit_f64};
use kiln_math::laws::integer_between;
use kiln_math::{Law, RandomStream};

const SIZES: [usize; 9] = [0, 1, 2, 3, 5, 64, 65, 1000, 70_003];
const NAMES: [(u64, u64); 3] = [(0, 0), (0x0123_4567_89ab_cdef, 7), (u64::MAX, u32::MAX as u64 - 2)];

/// The streams that a size is drawn from: the one that is shared out among threads, once.
fn names(size: usize) -> &'static [(u64, u64)] {
    if size > 10_000 { &NAMES[1..2] } else { &NAMES }
}

fn stream(key: u64, counter: u64, device: &Device) -> Tensor {
    Tensor::from_slice(&[key as i64, counter as i64], [2], device).unwrap()
}

/// Word `i` of a draw.
fn word(key: u64, counter: u64, i: usize) -> u32 {
    RandomStream::from_key(key).at(counter + i as u64 / 4)[i % 4]
}

fn long_word(key: u64, counter: u64, i: usize) -> u64 {
    u64::from(word(key, counter, 2 * i)) | u64::from(word(key, counter, 2 * i + 1)) << 32
}

pub(super) fn uniform(device: &Device) {
    for dtype in [DType::F32, DType::F64] {
        for size in SIZES {
            for &(key, counter) in names(size) {
                for (low, high) in [(0.0, 1.0), (-0.25, 0.75), (3.0, 3.0), (1e4, 10_000.001)] {
                    let shape = Shape::new(&[size]).unwrap();
                    let out = output(&shape, dtype, device);
                    let stream = stream(key, counter, device);
                    device.random(Distribution::Uniform { low, high }, out.out(), stream.view()).unwrap();
                    let ends = (rounded(low, dtype), rounded(high, dtype));
                    for (i, value) in values_of(&out).into_iter().enumerate() {
                        let unit = match dtype {
                            DType::F32 => f64::from(unit_f32(word(key, counter, i))),
                            _ => unit_f64(long_word(key, counter, i)),
                        };
                        let want = rounded(low + (high - low) * unit, dtype);
                        let fits = value >= ends.0 && (value < ends.1 || low == high);
                        assert!(
                            fits && (value == want || want == ends.1),
                            "uniform {dtype} in [{low}, {high}): element {i} is {value}, expected {want}"
                        );
                    }
                }
            }
        }
    }
}

pub(super) fn normal(device: &Device) {
    for dtype in [DType::F32, DType::F64] {
        for size in SIZES {
            for &(key, counter) in names(size) {
                let (mean, std) = (0.5, 2.0);
                let shape = Shape::new(&[size]).unwrap();
                let out = output(&shape, dtype, device);
                let stream = stream(key, counter, device);
                device.random(Distribution::Normal { mean, std }, out.out(), stream.view()).unwrap();
                let want: Vec<f64> = (0..size)
                    .map(|i| {
                        let pair = i / 2;
                        let z = match dtype {
                            DType::F32 => {
                                let [a, b] = [0, 1].map(|j| f64::from(unit_f32(word(key, counter, 2 * pair + j))));
                                let radius = (-2.0 * (1.0 - a).ln()).sqrt();
                                let angle = b * std::f64::consts::TAU;
                                (radius * angle.cos(), radius * angle.sin())
                            }
                            _ => normal_pair_f64(
                                long_word(key, counter, 2 * pair),
                                long_word(key, counter, 2 * pair + 1),
                            ),
                        };
                        mean + std * if i % 2 == 0 { z.0 } else { z.1 }
                    })
                    .collect();
                expect("normal", &out, &want, |_| 10.0);
            }
        }
    }
}

pub(super) fn integers(device: &Device) {
    for size in SIZES {
        for &(key, counter) in names(size) {
            for (low, high) in [(0, 1), (-3, 4), (i64::MIN, i64::MAX), (-5, 3 << 61)] {
                let out = output(&Shape::new(&[size]).unwrap(), DType::I64, device);
                let stream = stream(key, counter, device);
                device.random(Distribution::Integers { low, high }, out.out(), stream.view()).unwrap();
                let want = (0..size as u64).map(|i| integer_between(key, counter.wrapping_add(i), low, high));
                assert!(out.to_vec::<i64>().unwrap().into_iter().eq(want), "integers in [{low}, {high})");
            }
        }
    }
}

/// Numbers of each law, of parameters that lie anyhow: bit for bit.
pub(super) fn sample(device: &Device) {
    let mut cases = Cases::new(device, 53);
    for law in Law::ALL {
        for case in 0..16 {
            let shape = cases.shape();
            let (low, high) = if law == Law::Bernoulli { (-0.1, 1.1) } else { (-0.1, [0.5, 3.0, 20.0][case % 3]) };
            let [a, b] = [0; 2].map(|_| cases.operand(&shape, DType::F64, Values::Special(low, high)));
            let (key, counter) = NAMES[case % 3];
            let (out, stream) = (output(&shape, DType::F64, device), stream(key, counter, device));
            device.sample(law, out.out(), a.tensor.view(), b.tensor.view(), stream.view()).unwrap();
            let of = |i: usize| law.sample(key, counter.wrapping_add(i as u64), [a.values[i], b.values[i]]);
            let want: Vec<f64> = (0..a.values.len()).map(of).collect();
            expect_same(law.name(), &out, &want);
        }
    }
}

pub(super) fn dropout(device: &Device) {
    let mut cases = Cases::new(device, 52);
    for dtype in [DType::F32, DType::F64] {
        for size in SIZES {
            for &(key, counter) in names(size) {
                for rate in [0.0, 0.1, 0.5, 0.9, 1.0] {
                    let shape = Shape::new(&[size]).unwrap();
                    let x = cases.operand(&shape, dtype, Values::Special(-3.0, 3.0));
                    let out = output(&shape, dtype, device);
                    let stream = stream(key, counter, device);
                    let call = dropout_call(rate, out.out(), &x.tensor, &stream);
                    let composed = || crate::composed::dropout(rate, &x.tensor, &stream);
                    let out = outcome(device, &call, &out, composed);
                    let kept = |i: usize| unit_f32(word(key, counter, i)) >= rate as f32;
                    let want: Vec<f64> = (0..size)
                        .map(|i| if kept(i) && rate < 1.0 { x.values[i] / (1.0 - rate) } else { 0.0 })
                        .collect();
                    expect(&format!("dropout of {rate}"), &out, &want, |_| 0.0);
                }
            }
        }
    }
    // No part of it twice the same.
    let shape = Shape::new(&[3, 50]).unwrap();
    let x = cases.rows(&shape, DType::F32, Values::Between(1.0, 2.0));
    let (fresh, stream) = (output(&shape, DType::F32, device), stream(3, 0, device));
    let composed = || crate::composed::dropout(0.5, &x.tensor, &stream);
    let fresh = outcome(device, &dropout_call(0.5, fresh.out(), &x.tensor, &stream), &fresh, composed);
    let want = values_of(&fresh);
    assert_ne!(
        want[..50].iter().map(|&v| v == 0.0).collect::<Vec<_>>(),
        want[50..100].iter().map(|&v| v == 0.0).collect::<Vec<_>>()
    );
}
