//! Accuracy against plain loops, for every form of prediction and target.

use kiln_autograd::Var;
use kiln_tensor::{DType, Device, Tensor};
use kiln_train::{
    Accuracy, Count, CtcErrorRate, CtcExactMatch, ExactMatch, MeanMetric, Measured, Metric, MetricState, Seen,
};
use proptest::prelude::*;

fn right(predictions: &Tensor, targets: &Tensor) -> f64 {
    let Measured { sum, count } = Accuracy.measure(predictions, targets, None).unwrap();
    assert!(matches!(count, Count::Known(count) if count == predictions.dims()[0] as f64));
    sum.item().unwrap()
}

proptest! {
    #[test]
    fn counts_rows_whose_largest_is_the_targets(
        rows in 1usize..40, classes in 2usize..12, seed in prop::collection::vec((0u8..5, any::<u8>()), 480),
    ) {
        // Few different values, so that there are ties: the first counts, as in NumPy and PyTorch.
        let values: Vec<f32> = seed.iter().take(rows * classes).map(|&(v, _)| f32::from(v)).collect();
        let labels: Vec<u8> = seed.iter().take(rows).map(|&(_, l)| l % classes as u8).collect();
        let first_largest = |row: &[f32]| (0..classes).rev().max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
        let expected = values.chunks(classes).zip(&labels).filter(|(row, l)| first_largest(row) == usize::from(**l)).count();
        let cpu = Device::cpu();
        let predictions = Tensor::from_slice(&values, [rows, classes], &cpu).unwrap();
        let labels = Tensor::from_slice(&labels, [rows], &cpu).unwrap();
        let wide = labels.to_dtype(DType::I64).unwrap();
        let one_hot = wide.one_hot(classes).unwrap().to_dtype(DType::F32).unwrap();
        for targets in [&labels, &wide, &one_hot] {
            prop_assert_eq!(right(&predictions, targets), expected as f64);
        }
        prop_assert_eq!(right(&predictions.to_dtype(DType::F64).unwrap(), &labels), expected as f64);
        // A column of labels, as Keras has it.
        prop_assert_eq!(right(&predictions, &wide.reshape([rows, 1]).unwrap()), expected as f64);
    }

    #[test]
    fn a_single_output_is_compared_with_one_half(pairs in prop::collection::vec((0.0f32..1.0, any::<bool>()), 1..50)) {
        let expected = pairs.iter().filter(|&&(p, t)| (p > 0.5) == t).count() as f64;
        let n = pairs.len();
        let cpu = Device::cpu();
        let p = Tensor::from_slice(&pairs.iter().map(|x| x.0).collect::<Vec<_>>(), [n, 1], &cpu).unwrap();
        let t = Tensor::from_slice(&pairs.iter().map(|x| f32::from(u8::from(x.1))).collect::<Vec<_>>(), [n, 1], &cpu).unwrap();
        prop_assert_eq!(right(&p, &t), expected);
        prop_assert_eq!(right(&p.reshape([n]).unwrap(), &t.reshape([n]).unwrap()), expected);
        prop_assert_eq!(right(&p, &t.to_dtype(DType::U8).unwrap().reshape([n]).unwrap()), expected);
    }
}

#[test]
fn targets_that_do_not_pair_are_refused() {
    let cpu = Device::cpu();
    let predictions = Tensor::ones([4, 3], DType::F32, &cpu).unwrap();
    for targets in [[1usize, 1], [2, 2], [3, 1]] {
        let targets = Tensor::zeros(targets, DType::I64, &cpu).unwrap();
        assert!(Accuracy.each(&predictions, &targets).is_err(), "{}", targets.shape());
    }
    assert!(Accuracy.each(&predictions, &Tensor::zeros([1], DType::I64, &cpu).unwrap()).is_err());
}

#[test]
fn a_sequence_matches_when_all_of_its_counted_steps_are_right() {
    let cpu = Device::cpu();
    let said = Tensor::from_slice(&[1i64, 2, 0, 1, 2, 1, 0, 0, 0, 2, 2, 2], [4, 3], &cpu).unwrap();
    let predictions = said.one_hot(3).unwrap().to_dtype(DType::F32).unwrap();
    // The first differs in a step that does not count, the second in one that counts; of the third no step counts.
    let targets = Tensor::from_slice(&[1i64, 2, -1, 1, 0, 1, 1, 1, 1, 2, 2, 2], [4, 3], &cpu).unwrap();
    let mask = [true, true, false, true, true, true, false, false, false, true, true, true];
    let mask = Tensor::from_slice(&mask, [4, 3], &cpu).unwrap();
    let value = |seen: &Seen<'_>| {
        let mut state = MetricState::default();
        ExactMatch.update(&mut state, seen).unwrap();
        ExactMatch.value(&state).unwrap().number()
    };
    let output = Var::from(&predictions);
    let masked = Seen { mask: Some(&mask), ..Seen::new(&output, &targets) };
    assert_eq!(value(&masked), 2.0 / 3.0);
    let weights = Tensor::from_slice(&[3.0f32, 1.0, 5.0, 0.0], [4], &cpu).unwrap();
    assert_eq!(value(&Seen { weights: Some(&weights), ..masked }), 3.0 / 4.0);

    // Without a mask all steps count; the state is that of all batches.
    let mut state = MetricState::default();
    for at in 0..4 {
        let part = |x: &Tensor| x.slice(0, at..at + 1).unwrap();
        let (output, targets) = (Var::from(part(&predictions)), part(&targets));
        ExactMatch.update(&mut state, &Seen::new(&output, &targets)).unwrap();
    }
    assert_eq!(ExactMatch.value(&state).unwrap().number(), 1.0 / 4.0);
    // One target a sample is accuracy.
    let (one, label) = (predictions.index(1, 0).unwrap(), targets.index(1, 0).unwrap());
    assert_eq!(ExactMatch.of(&one, &label).unwrap().number(), Accuracy.of(&one, &label).unwrap().number());
    assert!(ExactMatch.value(&MetricState::default()).unwrap().number().is_nan());
    assert!(ExactMatch.of(&predictions, &label).is_err());
}

#[test]
fn what_is_spelled_is_held_against_the_labels() {
    let cpu = Device::cpu();
    // Read as 1 2, 1 1 and nothing.
    let steps = Tensor::from_slice(&[1i64, 1, 0, 2, 1, 0, 1, 1, 0, 0, 0, 0], [3, 4], &cpu).unwrap();
    let predictions = steps.one_hot(3).unwrap().to_dtype(DType::F32).unwrap();
    let targets = Tensor::from_slice(&[1i64, 2, 0, 1, 2, 0, 2, -1, -1], [3, 3], &cpu).unwrap();
    assert_eq!(CtcExactMatch::new().of(&predictions, &targets).unwrap().number(), 1.0 / 3.0);
    assert_eq!(CtcErrorRate::new().of(&predictions, &targets).unwrap().number(), 2.0 / 5.0);
    let fewer = targets.slice(0, 0..2).unwrap();
    assert!(
        CtcErrorRate::new().of(&predictions, &fewer).is_err() && CtcExactMatch::new().of(&steps, &targets).is_err()
    );
}
