//! Winograd's convolutions: errors beside those of one chain, and bits for any number of threads.

use super::direct::{packed, run};
use super::layout::map_of;
use super::steps::{Kind, Operands, kinds};
use crate::conv::{form, lengths, plane};
use kiln_cpu::conv::Conv;
use kiln_cpu::inference::{Filter, Way, from_nhwc};
use kiln_cpu::{Isa, team};
use proptest::prelude::*;

const WAYS: [Way; 2] = [Way::WinogradF2, Way::WinogradF4];

/// About normal numbers.
fn normal(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    (0..count).map(|_| (0..4).map(|_| uniform()).sum::<f32>() * 1.7).collect()
}

/// y in f64, and as one chain of f32, of kernels of 3 × 3.
fn chains(c: &Conv, x: &[f32], w: &[f32]) -> (Vec<f64>, Vec<f32>) {
    let ([_, high, wide], [_, out_high, out_wide]) = (c.size, c.out);
    let mut sums = (Vec::new(), Vec::new());
    for i in 0..lengths(c)[2] {
        let (image, output, row, column) = (
            i / (c.outputs * out_high * out_wide),
            i / (out_high * out_wide) % c.outputs,
            i / out_wide % out_high,
            i % out_wide,
        );
        let (mut exact, mut chain) = (0.0_f64, 0.0_f32);
        for tap in 0..9 {
            let (y, at) = ((row + tap / 3).wrapping_sub(c.before[1]), (column + tap % 3).wrapping_sub(c.before[2]));
            if y >= high || at >= wide {
                continue;
            }
            for input in 0..c.inputs {
                let x = x[((image * c.inputs + input) * high + y) * wide + at];
                let w = w[(output * c.inputs + input) * 9 + tap];
                exact += f64::from(x) * f64::from(w);
                chain = x.mul_add(w, chain);
            }
        }
        sums.0.push(exact);
        sums.1.push(chain);
    }
    sums
}

/// The root of the mean square.
fn rms(x: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = x.len().max(1) as f64;
    (x.map(|x| x * x).sum::<f64>() / count).sqrt()
}

/// Errors of both ways over those of one chain, and all over the outputs: (F2, F4, chain).
fn errors(isa: Isa, c: &Conv) -> [f64; 3] {
    let [x, w] = [0, 1].map(|operand| normal(lengths(c)[operand], operand as u64 + 1));
    let (exact, chain) = chains(c, &x, &w);
    let scale = rms(exact.iter().copied()).max(1e-30);
    let error = |y: &[f32]| rms(y.iter().zip(&exact).map(|(y, exact)| f64::from(*y) - exact)) / scale;
    let [f2, f4] = WAYS.map(|way| {
        let filter = Filter::new(isa, way, c);
        let map = run(&filter, &packed(&filter, &w, None), &x, &[], 1);
        let mut y = vec![0.0; exact.len()];
        from_nhwc(isa, &map, (c.outputs, c.out_plane()), &mut y);
        assert_eq!(map_of(&y, c.outputs, c.out_plane()), map, "zeros after the channels");
        error(&y)
    });
    [f2, f4, error(&chain)]
}

fn forms() -> impl Strategy<Value = Conv> {
    let axis = (1_usize..20, 0_usize..3, 0_usize..3).prop_map(|(size, before, after)| [size, 3, 1, 1, before, after]);
    let channels = || prop_oneof![3 => 1_usize..6, 1 => 15_usize..40];
    (0_usize..3, channels(), channels(), axis.clone(), axis)
        .prop_filter_map("too small", |(n, i, o, high, wide)| form(2, [n, 1, i, o], [[1; 6], high, wide]))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, ..ProptestConfig::default() })]

    /// Of few channels a chain is so short that the transforms' own rounding counts.
    #[test]
    fn any_form_is_near_the_sum(c in forms()) {
        for &isa in Isa::available() {
            let [f2, f4, chain] = errors(isa, &c);
            prop_assert!(f2 <= 2.0 * chain + 2e-7 && f4 <= 3.0 * chain + 1e-6, "{:?}: {:e} {:e} {:e}", isa, f2, f4, chain);
        }
    }

    #[test]
    fn steps_have_the_bits_of_each_after_the_other(c in forms(), kinds in kinds()) {
        let [x, w] = [0, 1].map(|operand| normal(lengths(&c)[operand], operand as u64 + 1));
        for &isa in Isa::available() {
            for way in WAYS {
                let filter = Filter::new(isa, way, &c);
                let packed = packed(&filter, &w, None);
                let mut want = vec![0.0; lengths(&c)[2]];
                from_nhwc(isa, &run(&filter, &packed, &x, &[], 1), (c.outputs, c.out_plane()), &mut want);
                Operands::new(&c).separately(isa, &kinds, &mut want);
                let got = run(&filter, &packed, &x, &kinds, 1);
                prop_assert!(got.iter().zip(map_of(&want, c.outputs, c.out_plane())).all(|(a, b)| a.to_bits() == b.to_bits()));
            }
        }
    }
}

#[test]
fn errors_stay_beside_those_of_a_chain() {
    for c in [plane([1, 1, 64, 8], 14, 3, 1, 1), plane([1, 1, 256, 4], 10, 3, 1, 1), plane([2, 1, 512, 4], 7, 3, 1, 1)]
    {
        let [f2, f4, chain] = errors(Isa::best(), &c);
        assert!(f2 <= 2.0 * chain && f4 <= 3.0 * chain, "{f2:e} {f4:e} {chain:e} {c:?}");
    }
}

#[test]
fn scales_are_those_of_the_weights() {
    let c = plane([1, 1, 5, 18], 9, 3, 1, 1);
    let [x, w] = [0, 1].map(|operand| normal(lengths(&c)[operand], operand as u64 + 1));
    let scale = normal(18, 7);
    let folded: Vec<f32> = w.iter().enumerate().map(|(i, w)| w * scale[i / 45]).collect();
    for way in WAYS {
        let filter = Filter::new(Isa::best(), way, &c);
        let got = run(&filter, &packed(&filter, &w, Some(&scale)), &x, &[], 1);
        assert_eq!(got, run(&filter, &packed(&filter, &folded, None), &x, &[], 1));
    }
}

#[test]
fn bits_do_not_depend_on_threads_or_instruction_sets() {
    // Tiles dealt out, few of them and many; points dealt out, as weights come from far away.
    for c in
        [plane([2, 1, 40, 36], 28, 3, 1, 1), plane([9, 1, 130, 24], 17, 3, 1, 1), plane([1, 1, 128, 260], 7, 3, 1, 1)]
    {
        let [x, w] = [0, 1].map(|operand| normal(lengths(&c)[operand], operand as u64 + 1));
        for way in WAYS {
            let all = |isa: Isa, threads: usize| {
                let filter = Filter::new(isa, way, &c);
                let y = run(&filter, &packed(&filter, &w, None), &x, &[Kind::Normalize, Kind::Map], threads);
                y.into_iter().map(f32::to_bits).collect::<Vec<_>>()
            };
            let want = all(Isa::best(), 1);
            for threads in [1, 2, 3, 7] {
                let pool = team::ThreadPool::new(threads);
                for room in [1, 2, threads] {
                    assert!(team::run_in(&pool, || all(Isa::best(), room)) == want, "{threads} threads {room} {c:?}");
                }
            }
            for &isa in Isa::available().iter().filter(|isa| isa.fused() && Isa::best().fused()) {
                assert!(all(isa, 1) == want, "{isa:?} {c:?}");
            }
        }
    }
}
