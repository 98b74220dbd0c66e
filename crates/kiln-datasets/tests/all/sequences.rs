//! Text, series, padding, buckets, and the tasks.

use kiln_datasets::*;
use kiln_tensor::{DType, Device, Tensor};
use proptest::prelude::*;

fn cpu() -> Device {
    Device::cpu()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn windows_are_followed_by_their_targets(count in 2usize..60, length in 1usize..20, stride in 1usize..9) {
        let tokens: Vec<i64> = (0..count as i64).collect();
        match TextWindows::new(tokens, length, stride) {
            Err(_) => prop_assert!(count <= length),
            Ok(text) => {
                let all: Vec<usize> = (0..text.len()).collect();
                let batch = text.batch(&all, &[], &cpu()).unwrap();
                let (x, y) = (batch.inputs.to_vec::<i64>().unwrap(), batch.targets.to_vec::<i64>().unwrap());
                prop_assert!(x.iter().zip(&y).all(|(x, y)| x + 1 == *y));
                prop_assert_eq!(x[x.len() - length] as usize, (text.len() - 1) * stride);
                // Another window would not fit.
                prop_assert!(text.len() * stride + length + 1 > count);
            }
        }
    }

    #[test]
    fn streams_go_on(count in 2usize..200, streams in 1usize..6, length in 1usize..9) {
        let Ok(text) = TextStreams::new((0..count as i64).collect(), streams, length) else {
            prop_assert!(count <= streams * length);
            return Ok(());
        };
        prop_assert!(text.len() > 0 && text.len() % streams == 0);
        let mut before: Option<Vec<i64>> = None;
        prop_assert_eq!(Loader::new(&text).batches(), text.len() / streams);
        Loader::new(&text).shuffle(1).epoch(0, |batches| {
            for batch in batches {
                let batch = batch?;
                let (x, y) = (batch.inputs.to_vec::<i64>()?, batch.targets.to_vec::<i64>()?);
                if let Some(before) = &before {
                    assert!(x.chunks(length).zip(before.chunks(length)).all(|(x, before)| x[0] == before[length - 1]));
                }
                before = Some(y);
            }
            Ok(())
        }).unwrap();
        prop_assert!(before.unwrap().iter().all(|&token| token < count as i64));
    }

    #[test]
    fn buckets_keep_every_sample(
        lengths in prop::collection::vec(1usize..30, 1..120), batch_size in 1usize..9, bucket in 0usize..5,
        seed: Option<u64>, epoch: u64,
    ) {
        // Tokens tell whose they are.
        let sequences: Vec<Vec<i64>> = lengths.iter().enumerate().map(|(i, &n)| vec![i as i64; n]).collect();
        let data = SequenceDataset::of_tokens(sequences, lengths.len()).unwrap();
        let mut loader = Loader::new(&data).batch_size(batch_size).bucket_by_length(bucket);
        if let Some(seed) = seed {
            loader = loader.shuffle(seed);
        }
        let run = |loader: &Loader<&SequenceDataset>| {
            loader.epoch(epoch, |batches| {
                batches.map(|batch| {
                    let batch = batch?;
                    let steps = batch.inputs.dims()[1];
                    Ok(batch.inputs.to_vec::<i64>()?.chunks(steps).map(|row| row[0]).collect::<Vec<_>>())
                }).collect::<kiln_tensor::Result<Vec<_>>>()
            }).unwrap()
        };
        let batches = run(&loader);
        prop_assert_eq!(&batches, &run(&loader.clone().workers(2)));
        prop_assert!(batches[..batches.len() - 1].iter().all(|batch| batch.len() == batch_size));
        let mut all: Vec<i64> = batches.concat();
        all.sort_unstable();
        prop_assert_eq!(all, (0..lengths.len() as i64).collect::<Vec<_>>());
        if bucket * batch_size >= lengths.len() {
            // All in one bucket: no two batches have lengths that overlap by more than a bound.
            let mut spans: Vec<(usize, usize)> = batches.iter().map(|batch| {
                let of = batch.iter().map(|&i| lengths[i as usize]);
                (of.clone().min().unwrap(), of.max().unwrap())
            }).collect();
            spans.sort_unstable();
            prop_assert!(spans.windows(2).all(|pair| pair[0].1 <= pair[1].0));
        }
    }
}

#[test]
fn padded_sequences() {
    let padded = pad_sequences(&[&[1.0f32, 2.0][..], &[3.0, 4.0, 5.0, 6.0]], 2, -1.0, &cpu()).unwrap();
    assert_eq!(padded.values.dims(), [2, 2, 2]);
    assert_eq!(padded.values.to_vec::<f32>().unwrap(), [1.0, 2.0, -1.0, -1.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(padded.lengths.to_vec::<i64>().unwrap(), [1, 2]);
    let error = pad_sequences(&[&[1i64][..], &[]], 0, 0, &cpu()).unwrap_err().to_string();
    assert!(error.contains("sequence 1 has 0 values"), "{error}");
    assert!(pad_sequences(&[&[1.0f32][..]], 2, 0.0, &cpu()).is_err());
    let none: [&[i64]; 0] = [];
    assert_eq!(pad_sequences(&none, 0, 0, &cpu()).unwrap().values.dims(), [0, 0]);
}

#[test]
fn sequences_with_labels() {
    let tokens = || SequenceDataset::of_tokens(vec![vec![1, 2], vec![3]], 4).unwrap();
    let batch = tokens().labels_of_steps(vec![vec![7, 8], vec![9]]).unwrap().batch(&[1, 0], &[], &cpu()).unwrap();
    assert_eq!(batch.inputs.to_vec::<i64>().unwrap(), [3, 0, 1, 2]);
    assert_eq!(batch.targets.to_vec::<i64>().unwrap(), [9, 0, 7, 8]);
    let features =
        SequenceDataset::of_features(vec![vec![0.5; 6], vec![0.25; 3]], 3).unwrap().labels(vec![0, 1]).unwrap();
    let batch = features.batch(&[0, 1], &[], &cpu()).unwrap();
    assert_eq!((batch.inputs.dims(), batch.inputs.dtype()), (&[2, 2, 3][..], DType::F32));
    assert_eq!((features.length(1), features.length(2)), (Some(1), None));
    let subset = Subset::new(&features, 1..2).unwrap();
    assert_eq!((subset.length(0), subset.length(1)), (Some(1), None));

    let error = SequenceDataset::of_tokens(vec![vec![1], vec![2, 65]], 65).unwrap_err().to_string();
    assert!(error.contains("token 65 at position 1 of sequence 1 is outside the vocabulary"), "{error}");
    assert!(tokens().labels(vec![1]).unwrap_err().to_string().contains("1 labels for 2 sequences"));
    assert!(
        tokens()
            .labels_of_steps(vec![vec![1], vec![1]])
            .unwrap_err()
            .to_string()
            .contains("sequence 0 has 2 steps and 1")
    );
    assert!(
        SequenceDataset::of_tokens(vec![vec![]], 3).is_err()
            && SequenceDataset::of_features(vec![vec![1.0]], 2).is_err()
    );
    assert!(tokens().batch(&[2], &[], &cpu()).is_err());
}

#[test]
fn series() {
    let values = Tensor::from_vec((0..30).map(f64::from).collect(), [10, 3], &cpu()).unwrap();
    let windows = SeriesWindows::new(&values, 4).unwrap().stride(2).horizon(3).targets([2]).unwrap();
    assert_eq!(windows.len(), 2); // beginning at 0 and 2
    let batch = windows.batch(&[1], &[], &cpu()).unwrap();
    assert_eq!(batch.inputs.to_vec::<f32>().unwrap(), (6..18).map(|x| x as f32).collect::<Vec<_>>());
    assert_eq!(batch.targets.to_vec::<f32>().unwrap(), [20.0, 23.0, 26.0]);
    let both = windows.targets([2, 0]).unwrap().batch(&[1], &[], &cpu()).unwrap();
    assert_eq!(
        (both.targets.dims(), both.targets.to_vec::<f32>().unwrap()[..4].to_vec()),
        (&[1, 6][..], vec![20.0, 18.0, 23.0, 21.0])
    );
    assert!(SeriesWindows::new(&values, 4).unwrap().targets([]).is_err());
    assert_eq!(SeriesWindows::new(&values, 4).unwrap().horizon(7).len(), 0);
    assert!(SeriesWindows::new(&values, 10).is_err() && SeriesWindows::new(&values, 2).unwrap().targets([3]).is_err());
    assert!(SeriesWindows::new(&Tensor::zeros([4], DType::F32, &cpu()).unwrap(), 2).is_err());
}

#[test]
fn windows_that_no_series_has() {
    let series = Tensor::zeros([5, 1], DType::F32, &cpu()).unwrap();
    let windows = SeriesWindows::new(&series, 2).unwrap().horizon(usize::MAX);
    assert_eq!(windows.len(), 0);
}

#[test]
fn tasks() {
    let adding = AddingProblem::new(50, 9, 1).unwrap();
    let all: Vec<usize> = (0..50).collect();
    let batch = adding.batch(&all, &[], &cpu()).unwrap();
    let (x, y) = (batch.inputs.to_vec::<f32>().unwrap(), batch.targets.to_vec::<f32>().unwrap());
    let mut places = std::collections::BTreeSet::new();
    for (x, y) in x.chunks(18).zip(y) {
        let marked: Vec<usize> = (0..9).filter(|t| x[2 * t + 1] == 1.0).collect();
        assert!(marked.len() == 2 && marked[0] < 4 && marked[1] >= 4);
        assert_eq!(marked.iter().map(|t| x[2 * t]).sum::<f32>(), y);
        places.extend(marked);
    }
    assert_eq!(places.len(), 9);
    let again = adding.batch(&[7], &[], &cpu()).unwrap().inputs.to_vec::<f32>().unwrap();
    assert_eq!(again, x[7 * 18..8 * 18]);
    assert!(AddingProblem::new(1, 1, 0).is_err() && adding.batch(&[50], &[], &cpu()).is_err());

    let copying = CopyTask::new(20, 8, 3, 5, 1).unwrap();
    assert_eq!((copying.vocabulary(), copying.input_shape()), (10, &[11][..]));
    let batch = copying.batch(&[0, 19], &[], &cpu()).unwrap();
    let (x, y) = (batch.inputs.to_vec::<i64>().unwrap(), batch.targets.to_vec::<i64>().unwrap());
    for (x, y) in x.chunks(11).zip(y.chunks(11)) {
        assert!(x[..3].iter().all(|symbol| (1..=8).contains(symbol)));
        assert_eq!(x[3..], [0, 0, 0, 0, 9, 0, 0, 0]);
        assert_eq!((&y[..8], &y[8..]), (&[0; 8][..], &x[..3]));
    }
    assert!(CopyTask::new(1, 0, 1, 1, 0).is_err());
}

#[test]
fn strings_of_digits() {
    // A picture of digit d is d + 1 everywhere.
    let pixels: Vec<u8> = (1..=10u8).flat_map(|digit| [digit; 28 * 28]).collect();
    let digits = ImageDataset::new(pixels, (0..10).collect(), &[28, 28], 10).unwrap();
    let strings = DigitStrings::new(digits.clone(), 60, 3, 1).unwrap();
    assert_eq!(strings.input_shape(), [28, 80]);
    let all: Vec<usize> = (0..60).collect();
    let batch = strings.batch(&all, &[], &cpu()).unwrap();
    let (x, y) = (batch.inputs.to_vec::<f32>().unwrap(), batch.targets.to_vec::<i64>().unwrap());
    let mut lengths = [0; 3];
    for (x, y) in x.chunks(28 * 80).zip(y.chunks(3)) {
        let length = y.iter().take_while(|&&label| label > 0).count();
        lengths[length - 1] += 1;
        assert!(y[length..].iter().all(|&label| label == 0) && y.iter().all(|label| (0..=10).contains(label)));
        // The lighter of two digits is drawn over by the darker one.
        let seen: std::collections::BTreeSet<i64> = x.iter().map(|&pixel| (pixel * 255.0).round() as i64).collect();
        let largest = y.iter().copied().max().unwrap();
        assert!(
            seen.contains(&largest) && seen.iter().all(|pixel| *pixel == 0 || y.contains(pixel)),
            "{y:?}: {seen:?}"
        );
    }
    assert!(lengths.iter().all(|&count| count > 5), "{lengths:?}");
    let again = strings.batch(&[7], &[], &cpu()).unwrap().inputs.to_vec::<f32>().unwrap();
    assert_eq!(again, x[7 * 28 * 80..8 * 28 * 80]);
    assert!(DigitStrings::new(digits, 1, 0, 1).is_err() && strings.batch(&[60], &[], &cpu()).is_err());
}
