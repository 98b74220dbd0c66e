//! Maxima of windows and normalization by channel against naive sums, over forms, instruction sets and numbers of threads.

use half::bf16;
use kiln_cpu::normalization::{Channels, Normalizer, Slopes, moments, normalize, normalize_grad};
use kiln_cpu::pool::{Pool, max_pool, max_pool_grad};
use kiln_cpu::{Isa, team};
use proptest::prelude::*;
use std::panic::catch_unwind;

fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

/// Value, tap and place of each window's maximum: the first of equals, or the last NaN.
fn naive_pool(pool: &Pool, plane: &[f32]) -> Vec<(f32, usize, usize)> {
    let flat = |at: [usize; 3], size: [usize; 3]| (at[0] * size[1] + at[1]) * size[2] + at[2];
    let positions = |size: [usize; 3]| {
        (0..size.iter().product::<usize>()).map(move |i| [i / size[2] / size[1], i / size[2] % size[1], i % size[2]])
    };
    positions(pool.out)
        .map(|p| {
            let mut best: Option<(f32, usize, usize)> = None;
            for k in positions(pool.kernel) {
                let at: Option<Vec<usize>> = (0..3)
                    .map(|a| (p[a] * pool.stride[a] + k[a] * pool.dilation[a]).checked_sub(pool.before[a]))
                    .zip(pool.size)
                    .map(|(at, size)| at.filter(|&at| at < size))
                    .collect();
                let Some(at) = at else { continue };
                let place = flat([at[0], at[1], at[2]], pool.size);
                let value = plane[place];
                if best.is_none_or(|(best, ..)| value > best || value.is_nan()) {
                    best = Some((value, flat(k, pool.kernel), place));
                }
            }
            best.unwrap()
        })
        .collect()
}

pub(crate) fn pools() -> impl Strategy<Value = Pool> {
    // Lines of up to a dozen outputs, and longer ones.
    let axis = |sizes: std::ops::Range<usize>, kernels: std::ops::Range<usize>| {
        (sizes, kernels, 1_usize..4, 1_usize..3, 0_usize..3, 0_usize..3).prop_filter_map(
            "does not fit",
            |(size, kernel, stride, dilation, before, after)| {
                let extent = (kernel - 1) * dilation + 1;
                let out = (size + before + after).checked_sub(extent)? / stride + 1;
                // Each window meets something.
                let met =
                    |p: usize| (0..kernel).any(|k| (before..before + size).contains(&(p * stride + k * dilation)));
                (0..out).all(met).then_some([size, out, kernel, stride, dilation, before])
            },
        )
    };
    let last = prop_oneof![axis(1..12, 1..5), axis(60..140, 1..5), axis(40..140, 20..30)];
    let rows = prop_oneof![3 => axis(1..12, 1..5), 1 => axis(14..18, 12..14)];
    (axis(1..12, 1..5), rows, last).prop_map(|(planes, rows, columns)| {
        let axes = [planes, rows, columns];
        let of = |i: usize| std::array::from_fn(|axis: usize| axes[axis][i]);
        Pool { size: of(0), out: of(1), kernel: of(2), stride: of(3), dilation: of(4), before: of(5) }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn maxima_are_the_naive_ones(pool in pools(), planes in 0_usize..4, seed in any::<u64>()) {
        let (plane, out) = (pool.plane(), pool.outputs());
        let mut x = numbers(planes * plane, seed);
        for (i, x) in x.iter_mut().enumerate() {
            // Equal ones, infinities and NaN among them.
            *x = match (i as u64).wrapping_mul(seed | 1) >> 60 { 0 => f32::NAN, 1 => f32::NEG_INFINITY, 2 => 0.5, _ => *x };
        }
        let dy = numbers(planes * out, seed ^ 1);
        let want: Vec<_> = x.chunks(plane).flat_map(|plane| naive_pool(&pool, plane)).collect();
        let mut dx_want = vec![0.0; x.len()];
        for (i, ((.., place), dy)) in want.iter().zip(&dy).enumerate() {
            dx_want[i / out * plane + place] += dy;
        }
        let taps_want: Vec<u8> =
            (0..pool.tap_bytes()).flat_map(|byte| want.iter().map(move |(_, tap, _)| (tap >> (8 * byte)) as u8)).collect();
        prop_assert_eq!(pool.tap_bytes(), if pool.taps() <= 256 { 1 } else { 2 });
        for &isa in Isa::available() {
            let (mut y, mut taps) = (vec![7.0; want.len()], vec![77; taps_want.len()]);
            max_pool(isa, &pool, &x, &mut y, Some(&mut taps));
            prop_assert_eq!(&taps, &taps_want, "{:?}", isa);
            let mut values = vec![7.0; want.len()];
            max_pool(isa, &pool, &x, &mut values, None);
            for (i, (y, value)) in y.iter().zip(&values).enumerate() {
                prop_assert_eq!([y.to_bits(), value.to_bits()], [want[i].0.to_bits(); 2], "{} {:?}", i, isa);
            }
            let mut dx = vec![7.0; x.len()];
            max_pool_grad(&pool, &mut dx, &dy, &taps);
            prop_assert_eq!(&dx, &dx_want);
        }
    }

    #[test]
    fn normalization_is_the_formula(
        samples in 1_usize..6, channels in 1_usize..40, size in prop_oneof![1_usize..9, 500_usize..530],
        relu in any::<bool>(), own in any::<bool>(), affine in any::<bool>(), seed in any::<u64>(),
    ) {
        let form = Channels { samples, channels, size };
        let count = samples * channels * size;
        let (x, dy) = (numbers(count, seed), numbers(count, seed ^ 1));
        let (weight, bias) = (numbers(channels, seed ^ 2), numbers(channels, seed ^ 3));
        let epsilon = 1e-3;
        let at = |channel: usize| (0..count).filter(move |i| i / size % channels == channel);
        let elements = (samples * size) as f64;
        for &isa in Isa::available() {
            let mut pair = vec![9.0; 2 * channels];
            moments(isa, &form, &mut pair, &x);
            let (weight, bias) = (affine.then_some(&weight[..]), affine.then_some(&bias[..]));
            let by = Normalizer { moments: &pair, epsilon, weight, bias, relu };
            let mut y = vec![9.0; count];
            normalize(isa, &form, &by, &mut y, &x);
            let (mut dx, mut gradients) = (vec![9.0; count], vec![9.0; 2 * channels]);
            let of = Slopes { x: &x, y: &y, dy: &dy };
            normalize_grad(isa, &form, &by, own, (&mut dx, &mut gradients), of);
            for channel in 0..channels {
                let mean = at(channel).map(|i| f64::from(x[i])).sum::<f64>() / elements;
                let variance = at(channel).map(|i| (f64::from(x[i]) - mean).powi(2)).sum::<f64>() / elements;
                prop_assert!((f64::from(pair[channel]) - mean).abs() < 1e-5);
                prop_assert!((f64::from(pair[channels + channel]) - variance).abs() < 1e-5);
                let inverse = 1.0 / (variance + f64::from(epsilon)).sqrt();
                let (w, b) = (weight.map_or(1.0, |w| f64::from(w[channel])), bias.map_or(0.0, |b| f64::from(b[channel])));
                let dz = |i: usize| if relu && y[i] <= 0.0 { 0.0 } else { f64::from(dy[i]) };
                let normal = |i: usize| (f64::from(x[i]) - mean) * inverse;
                let sum: f64 = at(channel).map(dz).sum();
                let product: f64 = at(channel).map(|i| dz(i) * normal(i)).sum();
                let scale = 1e-5 * (1.0 + inverse) * (1.0 + inverse) * elements;
                prop_assert!((f64::from(gradients[channel]) - product).abs() < scale, "{product} {gradients:?}");
                prop_assert!((f64::from(gradients[channels + channel]) - sum).abs() < scale);
                for i in at(channel) {
                    let z = normal(i) * w + b;
                    let want = if relu { z.max(0.0) } else { z };
                    prop_assert!((f64::from(y[i]) - want).abs() < 1e-4 * (1.0 + inverse), "{want} {}", y[i]);
                    let through = if own { (sum + normal(i) * product) / elements } else { 0.0 };
                    let want = w * inverse * (dz(i) - through);
                    prop_assert!((f64::from(dx[i]) - want).abs() < 1e-4 * (1.0 + inverse.powi(3)), "{want} {}", dx[i]);
                }
            }
        }
    }
}

#[test]
fn bits_do_not_depend_on_threads_or_instruction_sets() {
    for (samples, channels, size) in [(32, 700, 1), (9, 33, 64), (3, 5, 3000), (700, 3, 13), (2, 2, 9001)] {
        let form = Channels { samples, channels, size };
        let count = samples * channels * size;
        let (x, dy) = (numbers(count, 1), numbers(count, 2));
        let all = |isa: Isa| {
            let (mut pair, mut y, mut dx) = (vec![0.0; 2 * channels], vec![0.0; count], vec![0.0; count]);
            let mut gradients = pair.clone();
            moments(isa, &form, &mut pair, &x);
            let by = Normalizer { moments: &pair, epsilon: 1e-5, weight: None, bias: None, relu: true };
            normalize(isa, &form, &by, &mut y, &x);
            normalize_grad(isa, &form, &by, true, (&mut dx, &mut gradients), Slopes { x: &x, y: &y, dy: &dy });
            [pair, y, dx, gradients].map(|v| v.into_iter().map(f32::to_bits).collect::<Vec<_>>())
        };
        let want = all(Isa::best());
        for threads in [1, 2, 5] {
            let pool = team::ThreadPool::new(threads);
            assert!(team::run_in(&pool, || all(Isa::best())) == want, "{threads} threads {form:?}");
        }
        for &isa in Isa::available().iter().filter(|isa| isa.fused() && Isa::best().fused()) {
            assert!(all(isa) == want, "{isa:?} {form:?}");
        }
    }
}

#[test]
fn nothing_has_no_moments_and_no_gradient() {
    for (samples, channels, size) in [(0, 3, 4), (2, 3, 0), (2, 0, 4)] {
        let form = Channels { samples, channels, size };
        let (mut pair, mut gradients) = (vec![0.0_f32; 2 * channels], vec![1.0; 2 * channels]);
        moments(Isa::best(), &form, &mut pair, &[] as &[f32]);
        assert!(pair.iter().all(|x| x.is_nan()));
        let by = Normalizer { moments: &pair, epsilon: 1e-5, weight: None, bias: None, relu: false };
        normalize(Isa::best(), &form, &by, &mut [] as &mut [f32], &[]);
        let of = Slopes::<f32> { x: &[], y: &[], dy: &[] };
        normalize_grad(Isa::best(), &form, &by, true, (&mut [], &mut gradients), of);
        assert!(gradients.iter().all(|&x| x == 0.0));
    }
}

/// Mean and variance of numbers in f64.
fn exact(values: &[f32]) -> (f64, f64) {
    let mean = values.iter().map(|&x| f64::from(x)).sum::<f64>() / values.len() as f64;
    (mean, values.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / values.len() as f64)
}

#[test]
fn moments_of_long_channels_far_from_0_are_exact_to_f32() {
    // One large channel, and as many elements in many samples of one and of 49.
    for (samples, size) in [(1, 1_000_000), (1_000_000, 1), (20_000, 49)] {
        let form = Channels { samples, channels: 1, size };
        let x: Vec<f32> = numbers(samples * size, 5).into_iter().map(|x| 10_000.0 + 1.732 * x).collect();
        let (mean, variance) = exact(&x);
        for &isa in Isa::available() {
            let mut pair = [0.0; 2];
            moments(isa, &form, &mut pair, &x);
            // The mean is rounded to f32, whose neighbors are 0.001 apart here.
            assert!((f64::from(pair[0]) - mean).abs() <= 0.0005, "{form:?}: {} {mean}", pair[0]);
            assert!((f64::from(pair[1]) - variance).abs() <= 2e-6 * variance, "{form:?}: {} {variance}", pair[1]);
        }
    }
}

#[test]
fn channels_of_equal_elements_have_no_variance() {
    for (samples, channels, size) in [(3, 40, 7), (1, 2, 5000), (300, 2, 1)] {
        let form = Channels { samples, channels, size };
        let x: Vec<f32> = (0..samples * channels * size).map(|i| 0.1 + (i / size % channels) as f32).collect();
        for &isa in Isa::available() {
            let mut pair = vec![9.0; 2 * channels];
            moments(isa, &form, &mut pair, &x);
            let want: Vec<f32> = (0..channels).map(|c| 0.1 + c as f32).chain(vec![0.0; channels]).collect();
            assert_eq!(pair, want, "{form:?} {isa:?}");
        }
    }
}

#[test]
fn sums_of_gradients_over_many_positions_are_exact_to_f32() {
    for (samples, size) in [(1, 1_000_000), (1_000_000, 1), (20_000, 49)] {
        let form = Channels { samples, channels: 1, size };
        let x = numbers(samples * size, 5);
        let dy: Vec<f32> = numbers(x.len(), 6).into_iter().map(|x| 100.0 + x).collect();
        let by = Normalizer { moments: &[0.0, 1.0], epsilon: 0.0, weight: None, bias: None, relu: false };
        let (mut dx, mut sums) = (vec![0.0; x.len()], [0.0; 2]);
        let of = Slopes { x: &x, y: &x, dy: &dy };
        normalize_grad(Isa::best(), &form, &by, false, (&mut dx, &mut sums), of);
        let want: f64 = dy.iter().map(|&dy| f64::from(dy)).sum();
        assert!((f64::from(sums[1]) - want).abs() <= 3e-7 * want, "{form:?}: {} {want}", sums[1]);
    }
}

#[test]
fn slices_of_other_lengths_are_refused() {
    let form = Channels { samples: 2, channels: 3, size: 4 };
    let refuses = |run: &dyn Fn()| std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err();
    let (x, short, pair) = ([0.0f32; 24], [0.0f32; 23], [1.0f32; 6]);
    let isa = Isa::best();
    assert!(refuses(&|| moments(isa, &form, &mut [0.0; 6], &short)));
    assert!(refuses(&|| moments(isa, &form, &mut [0.0; 5], &x)));
    let plain = Normalizer { moments: &pair[..], epsilon: 0.0, weight: None, bias: None, relu: true };
    let fewer = [
        Normalizer { moments: &pair[..5], ..plain },
        Normalizer { weight: Some(&pair[..2]), ..plain },
        Normalizer { bias: Some(&pair[..4]), ..plain },
    ];
    for by in &fewer {
        assert!(refuses(&|| normalize(isa, &form, by, &mut [0.0; 24], &x)));
        let of = Slopes { x: &x, y: &x, dy: &x };
        assert!(refuses(&|| normalize_grad(isa, &form, by, true, (&mut [0.0; 24], &mut [0.0; 6]), of)));
    }
    for of in
        [Slopes { x: &short, y: &x, dy: &x }, Slopes { x: &x, y: &short, dy: &x }, Slopes { x: &x, y: &x, dy: &short }]
    {
        assert!(refuses(&|| normalize_grad(isa, &form, &plain, true, (&mut [0.0; 24], &mut [0.0; 6]), of)));
    }
    let vast = Channels { samples: 1 << 32, channels: 1 << 32, size: 1 };
    assert!(refuses(&|| moments::<f32, f32>(isa, &vast, &mut [], &[])));
}

/// What does not fit is refused before anything is read or written.
#[test]
fn pools_that_do_not_fit_are_refused() {
    let pool = |size: usize, out: usize, kernel: usize| Pool {
        size: [1, 1, size],
        out: [1, 1, out],
        kernel: [1, 1, kernel],
        stride: [1; 3],
        dilation: [1; 3],
        before: [0; 3],
    };
    let refused = |pool: Pool, inputs: usize, outputs: usize, taps: usize| {
        let forward = catch_unwind(|| {
            max_pool(Isa::best(), &pool, &vec![0.0_f32; inputs], &mut vec![0.0; outputs], Some(&mut vec![0; taps]));
        });
        let backward = catch_unwind(|| {
            max_pool_grad(&pool, &mut vec![0.0_f32; inputs], &vec![0.0; outputs], &vec![0; taps]);
        });
        assert!(forward.is_err() && backward.is_err(), "{pool:?} of {inputs}, {outputs}, {taps}");
    };
    // An empty plane; windows beyond the plane; slices that are too short, in turn.
    refused(pool(0, 1, 1), 0, 1, 1);
    refused(pool(0, 100, 1), 0, 100, 100);
    refused(pool(2, 5, 2), 2, 5, 5);
    refused(pool(5, 4, 2), 4, 4, 4);
    refused(pool(5, 4, 2), 5, 3, 3);
    refused(pool(5, 4, 2), 5, 4, 3);
    refused(pool(5, 4, 2), 10, 4, 4);
    refused(pool(300, 1, 300), 300, 1, 1);
    // No taps, steps of 0, sizes whose product has no number.
    refused(pool(5, 4, 0), 5, 4, 4);
    refused(Pool { stride: [1, 1, 0], ..pool(5, 4, 2) }, 5, 4, 4);
    refused(Pool { size: [usize::MAX, 2, 1], ..pool(1, 1, 1) }, 1, 1, 1);
    refused(Pool { before: [0, 0, usize::MAX], ..pool(5, 4, 2) }, 5, 4, 4);
    // Nothing at all is no fault.
    max_pool::<f32, f32>(Isa::best(), &pool(5, 4, 2), &[], &mut [], None);
    max_pool_grad::<f32>(&pool(5, 4, 2), &mut [], &[], &[]);
    // A tap that the kernel does not have.
    assert!(catch_unwind(|| max_pool_grad(&pool(5, 4, 2), &mut [0.0_f32; 5], &[1.0; 4], &[0, 1, 0, 2])).is_err());
    assert!(catch_unwind(|| max_pool_grad(&pool(2, 1, 2), &mut [0.0_f32; 2], &[1.0], &[255])).is_err());
}

/// Taps that meet padding alone take no memory, however far away they are.
#[test]
fn taps_far_apart_meet_what_is_between() {
    for far in [7, 1 << 20, 1 << 40] {
        let (size, dilation, before) = ([1, 4, 5], [1, far, far], [0, far, far]);
        let pool = Pool { size, out: size, kernel: [1, 3, 3], stride: [1; 3], dilation, before };
        let x = numbers(40, 9);
        let (mut y, mut taps) = (vec![0.0; 40], vec![0; 40]);
        max_pool(Isa::best(), &pool, &x, &mut y, Some(&mut taps));
        assert_eq!(y, x, "each window has its middle");
        assert_eq!(taps, [4; 40]);
    }
}

/// Kernels that load and store bf16 in registers have the bits of f32's on converted numbers, rounded at the end.
#[test]
fn bf16_is_computed_as_f32() {
    let to_half = |x: &[f32]| x.iter().map(|&x| bf16::from_f32(x)).collect::<Vec<_>>();
    let to_f32 = |x: &[bf16]| x.iter().map(|x| x.to_f32()).collect::<Vec<_>>();
    for (samples, channels, size) in [(3, 5, 7), (2, 3, 700), (1, 4, 100), (9, 40, 1)] {
        let form = Channels { samples, channels, size };
        let count = samples * channels * size;
        let [x, dy, y] = [1, 2, 3].map(|seed| to_half(&numbers(count, seed)));
        let (weight, bias) = (numbers(channels, 4), numbers(channels, 5));
        for &isa in Isa::available() {
            let (mut half, mut single) = (vec![0.0_f32; 2 * channels], vec![0.0_f32; 2 * channels]);
            moments(isa, &form, &mut half, &x);
            moments(isa, &form, &mut single, &to_f32(&x));
            assert_eq!(half, single, "{form:?} {isa:?}");
            let (weight, bias) = (Some(&weight[..]), Some(&bias[..]));
            let by = Normalizer { moments: &single, epsilon: 1e-5, weight, bias, relu: true };
            let (mut half, mut single) = (vec![bf16::ZERO; count], vec![0.0_f32; count]);
            normalize(isa, &form, &by, &mut half, &x);
            normalize(isa, &form, &by, &mut single, &to_f32(&x));
            assert_eq!(half, to_half(&single), "{form:?} {isa:?}");
            let (mut of_half, mut of_single) = (vec![0.0_f32; 2 * channels], vec![0.0_f32; 2 * channels]);
            normalize_grad(isa, &form, &by, true, (&mut half, &mut of_half), Slopes { x: &x, y: &y, dy: &dy });
            let of = Slopes { x: &to_f32(&x)[..], y: &to_f32(&y), dy: &to_f32(&dy) };
            normalize_grad(isa, &form, &by, true, (&mut single, &mut of_single), of);
            assert_eq!((half, of_half), (to_half(&single), of_single), "{form:?} {isa:?}");
        }
    }
    let (size, out, kernel) = ([1, 1, 9], [1, 1, 4], [1, 1, 3]);
    let pool = Pool { size, out, kernel, stride: [1, 1, 2], dilation: [1; 3], before: [0; 3] };
    let x = to_half(&numbers(36, 6));
    let (mut half, mut single) = (vec![bf16::ZERO; 16], vec![0.0_f32; 16]);
    let (mut taps, mut others) = (vec![0; 16], vec![0; 16]);
    max_pool(Isa::best(), &pool, &x, &mut half, Some(&mut taps));
    max_pool(Isa::best(), &pool, &to_f32(&x), &mut single, Some(&mut others));
    assert_eq!((half, taps), (to_half(&single), others));
}
