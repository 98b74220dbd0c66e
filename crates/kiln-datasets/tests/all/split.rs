//! Subsets by their indices, and splits of data sets: which samples, in what proportion, and what is refused.

use kiln_datasets::{
    Batch, Dataset, ImageDataset, SequenceDataset, SeriesWindows, Subset, TensorDataset, TextStreams, TextWindows,
};
use kiln_tensor::{DType, Device, ErrorKind, Result, Tensor};

/// Images of one byte with these labels.
fn images(labels: Vec<u8>) -> ImageDataset {
    ImageDataset::new(vec![0; labels.len()], labels, &[1], 256).unwrap()
}

/// Samples with these whole numbers as targets.
fn integers(targets: &[i64]) -> TensorDataset {
    let targets = Tensor::from_slice(targets, [targets.len()], &Device::cpu()).unwrap();
    TensorDataset::new(targets.clone(), targets).unwrap()
}

fn floats(targets: &[f32], dims: &[usize]) -> TensorDataset {
    let targets = Tensor::from_slice(targets, dims, &Device::cpu()).unwrap();
    TensorDataset::new(targets.clone(), targets).unwrap()
}

fn indices<D: Dataset>(parts: Result<[Subset<D>; 2]>) -> [Vec<usize>; 2] {
    parts.unwrap().map(|part| part.indices().to_vec())
}

#[test]
fn a_subset_is_its_samples_and_nothing_beside_them() {
    let data = images((0..20).collect());
    let labels = |batch: Batch| batch.targets.to_vec::<u8>().unwrap();
    let cpu = Device::cpu();
    let subset = Subset::new(&data, 5..12).unwrap();
    assert_eq!((subset.len(), subset.input_shape()), (7, data.input_shape()));
    assert_eq!(labels(subset.batch(&[6, 0], &[1], &cpu).unwrap()), [11, 5]);
    // Any order, and one several times.
    let subset = Subset::new(&data, [19, 3, 3, 0]).unwrap();
    assert_eq!(labels(subset.batch(&[0, 1, 2, 3], &[], &cpu).unwrap()), [19, 3, 3, 0]);
    assert_eq!(subset.class_labels().unwrap(), Some(vec![19, 3, 3, 0]));
    let part = Subset::new(&subset, [3, 0]).unwrap();
    assert_eq!(labels(part.batch(&[0, 1], &[9], &cpu).unwrap()), [0, 19]);
    assert_eq!(part.batch(&[2], &[], &cpu).unwrap_err().kind(), ErrorKind::Index);
    assert!(Subset::new(&data, []).unwrap().is_empty());
    for outside in [0..21, 20..usize::MAX] {
        let error = Subset::new(&data, outside).unwrap_err();
        assert!(error.to_string().contains("sample 20 was asked for, there are 20"), "{error}");
    }
}

#[test]
fn streams_stay_where_whole_batches_follow_one_another() {
    let text = TextStreams::new((0..401).collect(), 4, 10).unwrap();
    let streams = |indices: &[usize]| Subset::new(&text, indices.iter().copied()).unwrap().fixed_batch_size();
    assert_eq!(streams(&[4, 5, 6, 7, 8, 9, 10, 11]), Some(4));
    for other in [&[3, 4, 5, 6][..], &[0, 1, 2], &[0, 1, 3, 2], &[0, 1, 2, 3, 8, 9, 10, 11]] {
        assert_eq!(streams(other), None);
    }
}

#[test]
fn parts_are_disjoint_whole_and_fixed_by_the_seed() {
    let data = floats(&[0.5; 103], &[103]);
    for (fraction, count) in [(0.2, 21), (0.5, 52), (0.9, 93), (0.005, 1), (0.99, 102)] {
        let [first, second] = indices(data.split(fraction, 7));
        assert_eq!(second.len(), count, "{fraction}");
        assert!(first.is_sorted() && second.is_sorted());
        let mut all = [first, second].concat();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..103));
    }
    let parts = indices(data.split(0.2, 7));
    assert_eq!(parts, indices(data.split(0.2, 7)));
    assert_ne!(parts, indices(data.split(0.2, 8)));
    assert_ne!(parts[1], (82..103).collect::<Vec<_>>());
    // Each sample may be chosen.
    let mut chosen = [0; 103];
    (0..60).flat_map(|seed| indices(data.split(0.2, seed))[1].clone()).for_each(|sample| chosen[sample] += 1);
    assert!(chosen.iter().all(|times| (1..30).contains(times)), "{chosen:?}");
}

#[test]
fn each_class_is_split_in_proportion() {
    // 60, 30, 9 and 1 samples, sorted.
    let labels = [[0; 60].as_slice(), &[1; 30], &[2; 9], &[3]].concat();
    for seed in 0..20 {
        let data = images(labels.clone());
        let [first, second] = data.split_stratified(0.2, seed).unwrap();
        let counts = |part: &Subset<&ImageDataset>| {
            let labels = part.class_labels().unwrap().unwrap();
            [0, 1, 2, 3].map(|class| labels.iter().filter(|&&label| label == class).count())
        };
        assert_eq!((counts(&second), counts(&first)), ([12, 6, 2, 0], [48, 24, 7, 1]), "{seed}");
    }
    let data = images(labels);
    assert_eq!(indices(data.split_stratified(0.2, 1)), indices(data.split_stratified(0.2, 1)));
    assert_ne!(indices(data.split_stratified(0.2, 1)), indices(data.split_stratified(0.2, 2)));
    // Ten classes of two, for four places: four of them, which ones the seed says.
    let pairs = integers(&(0..20).map(|sample| sample / 2).collect::<Vec<_>>());
    let chosen =
        |seed| indices(pairs.split_stratified(0.2, seed))[1].iter().map(|sample| sample / 2).collect::<Vec<_>>();
    assert!(chosen(1).len() == 4 && chosen(1).is_sorted_by(|before, after| before < after));
    assert!((2..20).any(|seed| chosen(seed) != chosen(1)));
}

#[test]
fn targets_are_classes_where_they_look_like_such() {
    let cpu = Device::cpu();
    assert_eq!(integers(&[3, -1, 3]).class_labels().unwrap(), Some(vec![3, -1, 3]));
    let one_hot = [0., 1., 0., 1., 0., 0.];
    assert_eq!(floats(&one_hot, &[2, 3]).class_labels().unwrap(), Some(vec![1, 0]));
    assert_eq!(floats(&[0., 1., 1.], &[3, 1]).class_labels().unwrap(), Some(vec![0, 1, 1]));
    // Late in the data it turns out that they are none.
    let mut late = vec![1.0; 3000];
    late[2999] = 0.5;
    for (values, dims) in [
        (vec![0.0, 1.0, 2.0], vec![3]),
        (vec![1.0, 1.0, 0.0, 1.0], vec![2, 2]),
        (vec![0.0, 0.0, 0.0, 1.0], vec![2, 2]),
        (vec![0.0, 1.0, f32::NAN], vec![3]),
        (vec![0.0, 1.0], vec![2, 1, 1]),
        (late, vec![3000]),
    ] {
        assert_eq!(floats(&values, &dims).class_labels().unwrap(), None, "{dims:?}");
    }
    let flags = Tensor::from_slice(&[true, false], [2], &cpu).unwrap();
    let data = TensorDataset::new(flags.clone(), flags).unwrap();
    assert_eq!(data.class_labels().unwrap(), Some(vec![1, 0]));
    let tokens = SequenceDataset::of_tokens(vec![vec![1], vec![2, 3]], 4).unwrap();
    assert_eq!(tokens.class_labels().unwrap(), None);
    assert_eq!(tokens.labels(vec![1, 0]).unwrap().class_labels().unwrap(), Some(vec![1, 0]));
}

#[test]
fn samples_that_overlap_are_cut_in_two() {
    let series = Tensor::zeros([40, 1], DType::F32, &Device::cpu()).unwrap();
    let series = SeriesWindows::new(&series, 10).unwrap();
    let windows = TextWindows::new((0..40).collect(), 10, 1).unwrap();
    let streams = TextStreams::new((0..401).collect(), 4, 10).unwrap();
    for parts in [indices(series.split(0.2, 1)), indices(windows.split(0.2, 1)), indices(streams.split(0.2, 1))] {
        assert!(parts.concat().is_sorted() && parts[1].len() > 1);
    }
    assert!(windows.split_stratified(0.2, 1).unwrap_err().to_string().contains("follow one another"));
}

/// Streams that go on from batch to batch stay whole: each part is made of whole batches.
#[test]
fn both_parts_of_streams_are_whole_batches() {
    let streams = TextStreams::new((0..401).collect(), 4, 10).unwrap();
    for fraction in [0.03, 0.2, 0.33, 0.5, 0.97] {
        let [first, second] = streams.split(fraction, 1).unwrap();
        assert_eq!((first.fixed_batch_size(), second.fixed_batch_size()), (Some(4), Some(4)), "{fraction}");
        assert_eq!(first.len() + second.len(), streams.len());
    }
    let one = TextStreams::new((0..45).collect(), 4, 10).unwrap();
    assert!(one.split(0.5, 1).unwrap_err().to_string().contains("not two batches of 4"));
}

#[test]
fn splits_that_make_no_sense_are_one_sentence() {
    let data = integers(&[0, 0, 1, 1]);
    for (fraction, sentence) in [
        (0.0, "above 0 and below 1"),
        (1.0, "above 0 and below 1"),
        (f64::NAN, "above 0 and below 1"),
        (0.1, "leaves the second part without a sample: there are 4 samples"),
        (0.9, "leaves the first part without a sample: there are 4 samples"),
    ] {
        for error in [data.split(fraction, 1).unwrap_err(), data.split_stratified(fraction, 1).unwrap_err()] {
            let text = error.to_string();
            assert!(error.kind() == ErrorKind::Value && text.contains(sentence) && !text.contains('\n'), "{text}");
        }
    }
    let nothing = integers(&[]);
    assert!(nothing.split(0.5, 1).unwrap_err().to_string().contains("there are 0 samples"));
    let error = integers(&[0, 1, 2, 3, 4, 4]).split_stratified(0.5, 1).unwrap_err().to_string();
    assert!(error.contains("3 of 6 samples") && error.contains("only 1 can be"), "{error}");
    let error = floats(&[0.5; 4], &[4]).split_stratified(0.5, 1).unwrap_err().to_string();
    assert!(error.contains("no class labels: `split` splits it without classes"), "{error}");
}
