//! Normalization of rows against the sum, the moments and the normalization one after the other, to the bit, and against its formula.

use half::{bf16, f16};
use kiln_cpu::normalization::{
    Channels, Normalizer, RowNorm, RowOutputs, RowSlopes, Slopes, moments, normalize, normalize_grad, normalize_rows,
    normalize_rows_grad,
};
use kiln_cpu::operand::{Output, Stored, Strided};
use kiln_cpu::reduce::{Reduction, reduce};
use kiln_cpu::{Isa, team};
use proptest::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};

fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    // One NaN is as good as another.
    values.iter().map(|x| if x.is_nan() { f32::NAN.to_bits() } else { x.to_bits() }).collect()
}

/// What the fused passes give: sum, y, moments, dx, affine.
struct Fused<E, T> {
    sum: Vec<E>,
    y: Vec<E>,
    moments: Vec<T>,
    dx: Vec<E>,
    affine: Vec<T>,
}

fn fused<E: Stored>(
    isa: Isa,
    form: &RowNorm<'_, E::Compute>,
    x: &[E],
    residual: Option<&[E]>,
    dy: &[E],
    direct: Option<&[E]>,
) -> Fused<E, E::Compute> {
    let zeros = |count: usize| vec![E::Compute::default(); count];
    let (mut sum, mut y, mut dx) = (x.to_vec(), x.to_vec(), x.to_vec());
    let mut moments = zeros(form.rows * if form.centered { 2 } else { 1 });
    let mut affine = zeros(2 * form.width);
    let out = RowOutputs { sum: residual.map(|_| &mut sum[..]), y: &mut y, moments: &mut moments };
    normalize_rows(isa, form, out, x, residual);
    let of = RowSlopes { x: &sum, dy, direct };
    normalize_rows_grad(isa, form, &moments, (&mut dx, &mut affine), of);
    Fused { sum, y, moments, dx, affine }
}

/// Σ over rows, by the kernel of sums.
fn column_sums(isa: Isa, rows: usize, width: usize, x: &[f32]) -> Vec<f32> {
    let mut out = vec![0.0; width];
    let (shape, strides) = ([rows, width], [width as isize, 1]);
    // SAFETY: so many elements lie in the slice.
    let x = unsafe { Strided::new(x.as_ptr(), &shape, &strides) };
    reduce(isa, Reduction::Sum, &mut Output::from_slice(&mut out), x, &[0]);
    out
}

/// The same by one kernel after the other, of a layer normalization.
fn composed(
    isa: Isa,
    form: &RowNorm<'_, f32>,
    x: &[f32],
    residual: Option<&[f32]>,
    dy: &[f32],
    direct: Option<&[f32]>,
) -> Fused<f32, f32> {
    let added = |a: &[f32], b: Option<&[f32]>| match b {
        Some(b) => a.iter().zip(b).map(|(a, b)| a + b).collect(),
        None => a.to_vec(),
    };
    let channels = Channels { samples: 1, channels: form.rows, size: form.width };
    let by_column = |of: &[f32], factor: Option<&[f32]>, f: fn(f32, f32) -> f32| match factor {
        Some(factor) => of.iter().enumerate().map(|(i, &x)| f(x, factor[i % form.width])).collect(),
        None => of.to_vec(),
    };
    let sum = added(x, residual);
    let (mut pair, mut normal) = (vec![0.0; 2 * form.rows], vec![0.0; x.len()]);
    moments(isa, &channels, &mut pair, &sum);
    let by = Normalizer { moments: &pair, epsilon: form.epsilon, weight: None, bias: None, relu: false };
    normalize(isa, &channels, &by, &mut normal, &sum);
    let y = by_column(&by_column(&normal, form.weight, |x, w| x * w), form.bias, |x, b| x + b);
    let dz = by_column(dy, form.weight, |dy, w| dy * w);
    let (mut dx, mut unused) = (vec![0.0; x.len()], vec![0.0; 2 * form.rows]);
    normalize_grad(isa, &channels, &by, true, (&mut dx, &mut unused), Slopes { x: &sum, y: &dz, dy: &dz });
    let products: Vec<f32> = dy.iter().zip(&normal).map(|(dy, normal)| dy * normal).collect();
    let affine = [products.as_slice(), dy].map(|of| column_sums(isa, form.rows, form.width, of)).concat();
    Fused { sum, y, moments: pair, dx: added(&dx, direct), affine }
}

/// Sizes on both sides of vectors, of the 64 from which lanes go along a row, of blocks and chunks.
fn sizes() -> impl Strategy<Value = (usize, usize)> {
    let rows = prop_oneof![0_usize..4, 14_usize..19, 30_usize..70];
    let width = prop_oneof![
        0_usize..20,
        60_usize..70,
        250_usize..260,
        508_usize..516,
        680_usize..686,
        1000_usize..1032,
        2040_usize..2060
    ];
    (rows, width)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, ..ProptestConfig::default() })]

    #[test]
    fn a_layer_norm_has_the_bits_of_its_parts(
        (rows, width) in sizes(), given in prop::array::uniform4(any::<bool>()), special in any::<bool>(), seed in any::<u64>(),
    ) {
        let count = rows * width;
        let (mut x, other) = (numbers(count, seed), numbers(count, seed ^ 1));
        if special {
            for (i, x) in x.iter_mut().enumerate() {
                *x = match (i as u64).wrapping_mul(seed | 1) >> 58 { 0 => f32::NAN, 1 => f32::NEG_INFINITY, 2 => -0.0, _ => *x };
            }
        }
        let (dy, direct) = (numbers(count, seed ^ 2), numbers(count, seed ^ 3));
        let (weight, bias) = (numbers(width, seed ^ 4), numbers(width, seed ^ 5));
        let [residual, direct] = [(given[0], &other), (given[1], &direct)].map(|(with, of)| with.then_some(&of[..]));
        let [weight, bias] = [(given[2], &weight), (given[3], &bias)].map(|(with, of)| with.then_some(&of[..]));
        let form = RowNorm { rows, width, centered: true, epsilon: 1e-5, weight, bias };
        for &isa in Isa::available() {
            let got = fused::<f32>(isa, &form, &x, residual, &dy, direct);
            let want = composed(isa, &form, &x, residual, &dy, direct);
            for (what, got, want) in [
                ("sum", &got.sum, &want.sum), ("y", &got.y, &want.y), ("moments", &got.moments, &want.moments),
                ("dx", &got.dx, &want.dx), ("affine", &got.affine, &want.affine),
            ] {
                prop_assert!(bits(got) == bits(want), "{what} of {form:?} on {isa:?}: {got:?} {want:?}");
            }
        }
    }

    #[test]
    fn an_rms_norm_is_the_formula(
        (rows, width) in sizes(), given in prop::array::uniform3(any::<bool>()), seed in any::<u64>(),
    ) {
        let count = rows * width;
        let (x, dy, direct) = (numbers(count, seed), numbers(count, seed ^ 1), numbers(count, seed ^ 2));
        let (other, weight) = (numbers(count, seed ^ 3), numbers(width, seed ^ 4));
        let [residual, direct] = [(given[0], &other), (given[1], &direct)].map(|(with, of)| with.then_some(&of[..]));
        let weight = given[2].then_some(&weight[..]);
        let form = RowNorm { rows, width, centered: false, epsilon: 1e-3, weight, bias: None };
        for &isa in Isa::available() {
            let got = fused::<f32>(isa, &form, &x, residual, &dy, direct);
            let mut sums = vec![0.0; width];
            for row in 0..rows {
                let at = |column: usize| row * width + column;
                let s = |column: usize| f64::from(x[at(column)] + residual.map_or(0.0, |of| of[at(column)]));
                let w = |column: usize| weight.map_or(1.0, |w| f64::from(w[column]));
                let mean = (0..width).map(|column| s(column).powi(2)).sum::<f64>() / width as f64;
                let r = 1.0 / (mean + 1e-3).sqrt();
                let through: f64 = (0..width).map(|c| f64::from(dy[at(c)]) * w(c) * s(c)).sum::<f64>() / width as f64;
                let tolerance = 1e-5 * (1.0 + r.powi(3));
                for column in 0..width {
                    prop_assert!((f64::from(got.y[at(column)]) - s(column) * r * w(column)).abs() < tolerance);
                    let dz = f64::from(dy[at(column)]) * w(column);
                    let known = direct.map_or(0.0, |of| f64::from(of[at(column)]));
                    let want = dz * r - s(column) * r.powi(3) * through + known;
                    prop_assert!((f64::from(got.dx[at(column)]) - want).abs() < tolerance, "{} {want}", got.dx[at(column)]);
                    sums[column] += f64::from(dy[at(column)]) * s(column) * r;
                }
            }
            for (got, want) in got.affine.iter().zip(&sums) {
                prop_assert!((f64::from(*got) - want).abs() < 1e-4 * (1.0 + rows as f64));
            }
        }
    }
}

/// A half type's passes, beside those of f32 of the same values, with what a half type rounds rounded.
fn half<E: Stored<Compute = f32> + PartialEq + std::fmt::Debug>() {
    for (rows, width) in [(3, 5), (17, 64), (5, 700)] {
        let stored = |seed: u64| numbers(rows * width, seed).into_iter().map(E::store).collect::<Vec<E>>();
        let wide = |of: &[E]| of.iter().map(|x| x.load()).collect::<Vec<f32>>();
        let [x, residual, dy, direct] = [1, 2, 3, 4].map(stored);
        let weight = numbers(width, 5);
        for centered in [true, false] {
            let form = RowNorm { rows, width, centered, epsilon: 1e-5, weight: Some(&weight), bias: None };
            let got = fused::<E>(Isa::best(), &form, &x, Some(&residual), &dy, Some(&direct));
            let sum: Vec<E> = wide(&x).iter().zip(wide(&residual)).map(|(x, r)| E::store(x + r)).collect();
            assert_eq!(got.sum, sum);
            let want = fused::<f32>(Isa::best(), &form, &wide(&sum), None, &wide(&dy), Some(&wide(&direct)));
            let rounded = |of: &[f32]| of.iter().map(|&x| E::store(x)).collect::<Vec<E>>();
            assert_eq!((got.y, got.dx), (rounded(&want.y), rounded(&want.dx)));
            assert_eq!((bits(&got.moments), bits(&got.affine)), (bits(&want.moments), bits(&want.affine)));
        }
    }
}

#[test]
fn half_types_are_computed_in_f32_and_rounded_once() {
    half::<f16>();
    half::<bf16>();
}

#[test]
fn bits_do_not_depend_on_threads_or_instruction_sets() {
    // Rows beyond a chunk of 4096, and beyond the elements of one.
    for (rows, width) in [(700, 33), (9000, 5), (40, 384), (3, 9001)] {
        let operands = [1, 2, 3, 4].map(|seed| numbers(rows * width, seed));
        let factors = [5, 6].map(|seed| numbers(width, seed));
        for centered in [true, false] {
            let [weight, bias] = factors.each_ref().map(|factor| Some(&factor[..]));
            let form = RowNorm { rows, width, centered, epsilon: 1e-5, weight, bias };
            let all = |isa: Isa| {
                let [x, residual, dy, direct] = &operands;
                let Fused { sum, y, moments, dx, affine } =
                    fused::<f32>(isa, &form, x, Some(residual), dy, Some(direct));
                [sum, y, moments, dx, affine].map(|of| bits(&of))
            };
            let want = all(Isa::best());
            for threads in [1, 2, 3, 5] {
                let pool = team::ThreadPool::new(threads);
                assert!(team::run_in(&pool, || all(Isa::best())) == want, "{threads} threads, {rows} x {width}");
            }
            for &isa in Isa::available().iter().filter(|isa| isa.fused() && Isa::best().fused()) {
                assert!(all(isa) == want, "{isa:?} {rows} x {width}");
            }
        }
    }
}

#[test]
fn many_rows_have_the_sums_of_the_tree() {
    let (rows, width) = (9001, 3);
    let (x, dy) = (numbers(rows * width, 1), numbers(rows * width, 2));
    let form = RowNorm { rows, width, centered: true, epsilon: 1e-5, weight: None, bias: None };
    let got = fused::<f32>(Isa::best(), &form, &x, None, &dy, None);
    let want = composed(Isa::best(), &form, &x, None, &dy, None);
    assert_eq!(bits(&got.affine), bits(&want.affine));
}

#[test]
fn slices_of_other_lengths_are_refused() {
    let refused = |x: usize, others: [usize; 4], sum: bool, factor: usize| {
        let ones = |count: usize| vec![1.0_f32; count];
        let [y, residual, moments, affine] = others;
        let (weight, x) = (ones(factor), ones(x));
        let form = RowNorm { rows: 4, width: 3, centered: true, epsilon: 0.0, weight: Some(&weight), bias: None };
        let forward = catch_unwind(AssertUnwindSafe(|| {
            let (mut to, mut y, mut moments) = (ones(12), ones(y), ones(moments));
            let out = RowOutputs { sum: sum.then_some(&mut to), y: &mut y, moments: &mut moments };
            normalize_rows(Isa::best(), &form, out, &x, Some(&ones(residual)));
        }));
        let backward = catch_unwind(AssertUnwindSafe(|| {
            let of = RowSlopes { x: &x, dy: &ones(y), direct: Some(&ones(residual)) };
            normalize_rows_grad(Isa::best(), &form, &ones(moments), (&mut ones(12), &mut ones(affine)), of);
        }));
        (forward.is_err(), backward.is_err())
    };
    assert_eq!(refused(12, [12, 12, 8, 6], true, 3), (false, false));
    for (x, others, factor) in [
        (11, [12, 12, 8, 6], 3),
        (12, [11, 12, 8, 6], 3),
        (12, [12, 13, 8, 6], 3),
        (12, [12, 12, 7, 6], 3),
        (12, [12, 12, 8, 6], 2),
    ] {
        assert_eq!(refused(x, others, true, factor), (true, true), "{x} {others:?} {factor}");
    }
    assert_eq!(refused(12, [12, 12, 8, 5], true, 3), (false, true));
    assert_eq!(refused(12, [12, 12, 8, 6], false, 3), (true, false));
}
