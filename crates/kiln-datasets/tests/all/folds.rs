//! Cross-validation and splits by group: which samples, in what proportion, and what is refused.

use kiln_datasets::{Dataset, ImageDataset, SeriesWindows, Subset, TextStreams};
use kiln_tensor::{DType, Device, Tensor};
use proptest::prelude::*;

/// Images of one byte with these labels.
fn images(labels: Vec<u8>) -> ImageDataset {
    ImageDataset::new(vec![0; labels.len()], labels, &[1], 256).unwrap()
}

/// The indices of both parts of each fold.
fn indices<D: Dataset>(folds: &[[Subset<D>; 2]]) -> Vec<[Vec<usize>; 2]> {
    folds.iter().map(|parts| [0, 1].map(|part| parts[part].indices().to_vec())).collect()
}

/// Each fold's two parts are all samples, and each sample is in the second part of one fold.
fn assert_covers(folds: &[[Vec<usize>; 2]], samples: usize) {
    for [train, own] in folds {
        let mut all = [train.as_slice(), own].concat();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..samples) && train.is_sorted() && own.is_sorted());
    }
    let mut validated: Vec<usize> = folds.iter().flat_map(|[_, own]| own.clone()).collect();
    validated.sort_unstable();
    assert!(validated.into_iter().eq(0..samples));
}

proptest! {
    #[test]
    fn folds_cover_the_data_and_are_of_like_size(folds in 2usize..8, more in 0usize..60, seed: u64) {
        let samples = folds + more;
        let data = images(vec![0; samples]);
        let parts = indices(&data.k_fold(folds, seed).unwrap());
        assert_covers(&parts, samples);
        // scikit-learn's sizes: the first n mod k folds have one more.
        for (fold, [_, own]) in parts.iter().enumerate() {
            prop_assert_eq!(own.len(), samples / folds + usize::from(fold < samples % folds));
        }
        prop_assert_eq!(&indices(&data.k_fold(folds, seed).unwrap()), &parts);
    }

    #[test]
    fn classes_are_in_every_fold_in_proportion(
        folds in 2usize..6, classes in prop::collection::vec(0usize..20, 1..5), seed: u64,
    ) {
        let mut labels: Vec<u8> = Vec::new();
        for (class, more) in classes.iter().enumerate() {
            labels.extend(vec![class as u8; folds + more]);
        }
        let data = images(labels.clone());
        let parts = indices(&data.k_fold_stratified(folds, seed).unwrap());
        assert_covers(&parts, labels.len());
        for [_, own] in &parts {
            prop_assert!(own.len().abs_diff(labels.len() / folds) <= 1);
            for (class, more) in classes.iter().enumerate() {
                let count = own.iter().filter(|&&sample| usize::from(labels[sample]) == class).count();
                prop_assert!(count == (folds + more) / folds || count == (folds + more).div_ceil(folds));
            }
        }
    }

    #[test]
    fn no_group_is_on_both_sides(groups in prop::collection::vec(0u8..12, 30..80), folds in 2usize..5, seed: u64) {
        let data = images(vec![0; groups.len()]);
        let mut names = groups.clone();
        names.sort_unstable();
        names.dedup();
        prop_assume!(names.len() >= folds);
        let mut cuts = indices(&data.k_fold_grouped(&groups, folds, seed).unwrap());
        assert_covers(&cuts, groups.len());
        let split = data.split_grouped(&groups, 0.3, seed).unwrap();
        let second: Vec<u8> = split[1].indices().iter().map(|&sample| groups[sample]).collect();
        cuts.extend(indices(&[split]));
        for [first, second] in cuts {
            let of = |part: &[usize]| part.iter().map(|&sample| groups[sample]).collect::<Vec<_>>();
            prop_assert!(!second.is_empty() && of(&first).iter().all(|group| !of(&second).contains(group)));
        }
        let chosen = names.iter().filter(|group| second.contains(group)).count();
        prop_assert_eq!(chosen, (names.len() as f64 * 0.3).round() as usize);
    }
}

#[test]
fn large_groups_are_spread_over_the_folds() {
    // scikit-learn's GroupKFold of groups of 5, 4, 3, 2 and 1 samples in three folds: 5, 4 + 1 and 3 + 2.
    let groups = [vec!["a"; 5], vec!["b"; 4], vec!["c"; 3], vec!["d"; 2], vec!["e"]].concat();
    let data = images(vec![0; 15]);
    let folds = data.k_fold_grouped(&groups, 3, 1).unwrap();
    assert_eq!(folds.iter().map(|[_, own]| own.len()).collect::<Vec<_>>(), [5, 5, 5]);
    assert_eq!(folds[1][1].indices(), [5, 6, 7, 8, 14]);
}

#[test]
fn the_seed_chooses_and_order_does_not() {
    let data = images(vec![0; 50]);
    let own = |seed| indices(&data.k_fold(5, seed).unwrap())[0][1].clone();
    assert!(own(1) != own(2) && own(1) != (0..10).collect::<Vec<_>>());
    // Samples that follow one another stay together.
    let series = Tensor::zeros([40, 1], DType::F32, &Device::cpu()).unwrap();
    let windows = SeriesWindows::new(&series, 10).unwrap();
    let folds = indices(&windows.k_fold(3, 1).unwrap());
    assert_eq!(folds[1][1], (10..20).collect::<Vec<_>>());
}

#[test]
fn folds_that_make_no_sense_are_one_sentence() {
    let data = images(vec![0, 0, 0, 1, 1]);
    let text = TextStreams::new((0..401).collect(), 4, 10).unwrap();
    let errors = [
        (data.k_fold(1, 0).unwrap_err(), "1 folds: at least 2 are expected"),
        (data.k_fold(6, 0).unwrap_err(), "6 folds of 5 samples: each fold needs at least one"),
        (data.k_fold_stratified(3, 0).unwrap_err(), "class 1 has 2 samples, and each of 3 folds needs one"),
        (data.k_fold_grouped(&[1, 1, 2, 2, 2], 3, 0).unwrap_err(), "3 folds of 2 groups"),
        (data.k_fold_grouped(&[1, 1, 2], 2, 0).unwrap_err(), "3 groups for 5 samples: one for each"),
        (data.split_grouped(&[1, 1, 2], 0.5, 0).unwrap_err(), "3 groups for 5 samples: one for each"),
        (
            data.split_grouped(&[1; 5], 0.5, 0).unwrap_err(),
            "leaves the first part without a sample: there are 1 groups",
        ),
        (data.split_grouped(&[1, 2, 3, 4, 5], 1.5, 0).unwrap_err(), "above 0 and below 1"),
        (text.k_fold(2, 0).unwrap_err(), "continue from batch to batch"),
        (text.k_fold_stratified(2, 0).unwrap_err(), "`k_fold` splits it without classes"),
    ];
    for (error, sentence) in errors {
        let text = error.to_string();
        assert!(text.contains(sentence) && !text.contains('\n'), "{text}, expected {sentence}");
    }
}
