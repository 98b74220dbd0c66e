//! Attention against a loop over the textbook's formulas in f64, forward and backward.

mod case;

use crate::views::on_teams;
use case::{Answer, Case, MaskKind, Rows, Sum, cases};
use half::{bf16, f16};
use kiln_cpu::Isa;
use kiln_cpu::operand::Stored;
use proptest::prelude::*;

/// A plain case to begin from.
const PLAIN: Case = Case {
    batch: 1,
    key_heads: 1,
    group: 1,
    queries: 1,
    keys: 1,
    width: 64,
    value_width: 64,
    causal: false,
    window: None,
    alibi: false,
    mask: MaskKind::None,
    rate: 0.0,
    heads_inside: false,
    offsets: None,
    seed: 5,
};

/// The largest difference, and the largest size of a sum.
fn error<T: Stored<Compute = f32>>(found: &Rows<T>, expected: &Rows<Sum>) -> (f64, f64) {
    let [batch, heads, length, width] = expected.shape;
    let (mut error, mut largest) = (0.0f64, 0.0f64);
    for row in 0..batch * heads * length {
        for x in 0..width {
            let at = [row / length / heads, row / length % heads, row % length, x];
            let (found, expected) = (f64::from(found.at(at).load()), expected.at(at));
            error = if found.is_nan() { f64::INFINITY } else { error.max((found - expected.value).abs()) };
            largest = largest.max(expected.size);
        }
    }
    (error, largest)
}

/// That all answers are near those of the loop, relative to the largest size of their sums: gradients subtract sums over the values'
/// width from one another, which may leave next to nothing.
#[track_caller]
fn check<T: Stored<Compute = f32>>(case: &Case, isa: Isa, tolerance: f64) -> Answer<T> {
    let inputs = case.inputs::<T>();
    let answer = case.run(isa, &inputs);
    let (out, lse, gradients) = case.naive(&inputs);
    let names = ["out", "dq", "dk", "dv"];
    let found = [&answer.0].into_iter().chain(&answer.2);
    for ((name, found), expected) in names.iter().zip(found).zip([&out].into_iter().chain(&gradients)) {
        let (error, largest) = error(found, expected);
        let bound = tolerance * largest.max(1.0);
        assert!(error <= bound, "{name} {}: {error} of {largest}: {case:?}", isa.name());
    }
    for (found, expected) in answer.1.iter().zip(lse) {
        let near = (f64::from(*found) - expected).abs() <= 1e-5 * expected.abs().max(1.0);
        assert!(near || f64::from(*found) == expected, "lse {found}, expected {expected}: {case:?}");
    }
    answer
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn agrees_with_the_loop(case in cases()) {
        let mut bits = None;
        for &isa in Isa::available() {
            let (out, lse, gradients) = check::<f32>(&case, isa, 5e-6);
            if isa.fused() {
                // NaN is what was between the rows before.
                let rows = [&out].into_iter().chain(&gradients);
                let numbers = rows.flat_map(|rows| rows.data.iter()).chain(&lse);
                let these: Vec<u32> = numbers.map(|x| x.to_bits()).collect();
                prop_assert!(bits.get_or_insert_with(|| these.clone()) == &these, "{}: {:?}", isa.name(), case);
            }
        }
    }

    #[test]
    fn half_types_are_rounded_once(case in cases()) {
        // The gradients also read the output that was rounded.
        check::<bf16>(&case, Isa::best(), 1e-2);
        check::<f16>(&case, Isa::best(), 1e-3);
    }
}

/// Few queries whose window begins anywhere in a block of keys and goes on into the next.
#[test]
fn windows_of_few_queries_across_blocks_of_keys() {
    for keys in [257, 263, 280, 520] {
        for window in [9, 31, 179, 255] {
            for (queries, alibi) in [(1, false), (3, false), (2, true)] {
                let case = Case { causal: true, window: Some(window), alibi, queries, keys, width: 18, ..PLAIN };
                let grouped =
                    Case { group: 2, batch: 2, rate: 0.3, mask: MaskKind::Padding, causal: false, ..case.clone() };
                for &isa in Isa::available() {
                    check::<f32>(&case, isa, 5e-6);
                    check::<f32>(&grouped, isa, 5e-6);
                }
            }
        }
    }
}

#[test]
fn threads_do_not_change_results() {
    let wide = Case { queries: 400, keys: 600, causal: true, width: 40, value_width: 24, ..PLAIN };
    let cases = [
        // One head, few heads, many.
        wide.clone(),
        Case { key_heads: 3, mask: MaskKind::Seen, queries: 300, ..wide.clone() },
        Case { batch: 3, key_heads: 2, group: 2, queries: 200, keys: 260, rate: 0.3, ..wide.clone() },
        // Decoding.
        Case { queries: 1, keys: 3000, key_heads: 2, group: 2, ..wide.clone() },
        Case { offsets: Some([vec![0, 100, 100, 400], vec![0, 233, 300, 600]]), group: 2, ..wide.clone() },
        Case { window: Some(100), ..wide },
    ];
    for case in cases {
        let inputs = case.inputs::<f32>();
        for &isa in Isa::available() {
            on_teams(|| {
                let (out, lse, gradients) = case.run(isa, &inputs);
                let bits = |rows: &Rows<f32>| -> Vec<u32> { rows.data.iter().map(|x| x.to_bits()).collect() };
                (bits(&out), lse, gradients.map(|rows| bits(&rows)))
            });
        }
    }
}

/// A window of 0 keys, a mask of zeros, and queries before the first key.
#[test]
fn a_query_that_sees_nothing_gives_zeros() {
    let mut inputs = Case { mask: MaskKind::Seen, queries: 5, keys: 7, ..PLAIN }.inputs::<f32>();
    inputs.seen[..14].fill(0);
    inputs.seen[14..].fill(1);
    for &isa in Isa::available() {
        let case = Case { mask: MaskKind::Seen, queries: 5, keys: 7, ..PLAIN };
        let (out, lse, [dq, ..]) = case.run(isa, &inputs);
        for (row, lse) in lse.iter().enumerate() {
            let zero = |rows: &Rows<f32>| (0..64).all(|x| rows.at([0, 0, row, x]) == 0.0);
            assert_eq!((zero(&out), zero(&dq), *lse == f32::NEG_INFINITY), (row < 2, row < 2, row < 2), "{row}");
        }
        for case in [
            Case { causal: true, window: Some(0), queries: 30, keys: 20, ..PLAIN },
            Case { causal: true, queries: 30, keys: 20, ..PLAIN },
            Case { keys: 0, queries: 3, ..PLAIN },
        ] {
            let (out, ..) = check::<f32>(&case, isa, 5e-6);
            assert!((0..64).all(|x| out.at([0, 0, 0, x]) == 0.0));
        }
    }
}

/// Nothing is added to gradients by queries that see nothing, whatever was computed before.
#[test]
fn a_window_of_no_keys_has_no_gradients() {
    for &isa in Isa::available() {
        check::<f32>(&Case { causal: true, queries: 70, keys: 70, ..PLAIN }, isa, 5e-6);
        let case = Case { causal: true, window: Some(0), queries: 2, keys: 2, group: 4, ..PLAIN };
        let (.., gradients) = case.run(isa, &case.inputs::<f32>());
        for rows in gradients {
            let [_, heads, length, width] = rows.shape;
            assert!(
                (0..heads * length * width)
                    .all(|i| { rows.at([0, i / width / length, i / width % length, i % width]) == 0.0 })
            );
        }
    }
}

/// A NaN reaches what it is a part of, and no query that does not see it.
#[test]
fn nan_goes_where_it_is_seen() {
    let case = Case { queries: 40, keys: 40, causal: true, ..PLAIN };
    for &isa in Isa::available() {
        let row = |key: usize| key * 67..key * 67 + 64;
        let nan_rows = |answer: &Answer<f32>| -> Vec<bool> {
            (0..40).map(|i| (0..64).all(|x| answer.0.at([0, 0, i, x]).is_nan())).collect()
        };
        let mut inputs = case.inputs::<f32>();
        inputs.key.data[row(30)].fill(f32::NAN);
        let answer = case.run(isa, &inputs);
        assert_eq!(nan_rows(&answer), (0..40).map(|i| i >= 30).collect::<Vec<_>>(), "{}", isa.name());
        assert!(answer.1[30].is_nan() && !answer.1[29].is_nan());
        let mut inputs = case.inputs::<f32>();
        inputs.query.data[row(10)].fill(f32::NAN);
        let answer = case.run(isa, &inputs);
        assert_eq!(nan_rows(&answer), (0..40).map(|i| i == 10).collect::<Vec<_>>(), "{}", isa.name());
        // Padding may hold anything.
        let padded = Case { mask: MaskKind::Padding, causal: false, ..case.clone() };
        let mut inputs = padded.inputs::<f32>();
        for key in (0..40).filter(|&key| inputs.seen[key] == 0) {
            inputs.key.data[row(key)].fill(f32::NAN);
            inputs.value.data[row(key)].fill(f32::NAN);
        }
        let (out, _, gradients) = padded.run(isa, &inputs);
        let all = [&out].into_iter().chain(&gradients);
        let finite = |rows: &Rows<f32>| (0..40 * 64).all(|i| rows.at([0, 0, i / 64, i % 64]).is_finite());
        assert!(all.clone().all(finite), "{}", isa.name());
    }
}

#[test]
#[should_panic(expected = "attention: offsets of keys go from 0 to 7, in a batch of 1")]
fn offsets_end_with_the_last_key() {
    let case = Case { queries: 5, keys: 7, offsets: Some([vec![0, 2, 5], vec![0, 3, 6]]), ..PLAIN };
    case.run(Isa::best(), &case.inputs::<f32>());
}
