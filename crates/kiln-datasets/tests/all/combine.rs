//! Data sets made of other ones: concat, zip, map, cache, weights. What comes out, and that workers do not change it.

use kiln_datasets::{
    Batch, Cache, Concat, Dataset, ImageDataset, Loader, Map, MapSamples, SequenceDataset, TensorDataset, TextStreams,
    Weighted, Weights, Zip,
};
use kiln_tensor::{DType, Device, Error, ErrorKind, Tensor};
use proptest::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};

fn tensor(values: &[f32], dims: &[usize]) -> Tensor {
    Tensor::from_slice(values, dims, &Device::cpu()).unwrap()
}

/// Samples (n, 2) of `first`, `first + 0.5`, …, whose targets are their numbers.
fn numbers(first: usize, count: usize) -> TensorDataset {
    let inputs: Vec<f32> = (0..2 * count).map(|i| first as f32 + i as f32 / 2.0).collect();
    let targets: Vec<i64> = (0..count).map(|i| (first + i) as i64).collect();
    let targets = Tensor::from_slice(&targets, [count], &Device::cpu()).unwrap();
    TensorDataset::new(tensor(&inputs, &[count, 2]), targets).unwrap()
}

fn batch<D: Dataset>(data: &D, indices: &[usize]) -> Batch {
    data.batch(indices, &[0], &Device::cpu()).unwrap()
}

fn targets(batch: &Batch) -> Vec<i64> {
    batch.targets.to_dtype(DType::I64).unwrap().to_vec().unwrap()
}

/// The inputs and targets of an epoch, batch after batch.
fn epoch<D: Dataset>(loader: &Loader<D>, epoch: u64) -> (Vec<f32>, Vec<i64>) {
    loader
        .epoch(epoch, |batches| {
            let mut all = (Vec::new(), Vec::new());
            for batch in batches {
                let batch = batch?;
                all.0.extend(batch.inputs.to_vec::<f32>()?);
                all.1.extend(targets(&batch));
            }
            Ok(all)
        })
        .unwrap()
}

fn assert_sentence(error: &Error, sentence: &str) {
    let text = error.to_string();
    assert!(text.contains(sentence) && !text.contains('\n'), "{text}, expected {sentence}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_concatenation_gives_each_sample_of_its_part(
        counts in prop::collection::vec(0usize..8, 1..4), picks in prop::collection::vec(any::<usize>(), 1..20),
    ) {
        let total: usize = counts.iter().sum();
        prop_assume!(total > 0);
        let mut first = 0;
        let parts: Vec<TensorDataset> = counts.iter().map(|&count| {
            first += count;
            numbers(first - count, count)
        }).collect();
        let all = Concat::new(parts).unwrap();
        prop_assert_eq!(all.len(), total);
        let indices: Vec<usize> = picks.iter().map(|pick| pick % total).collect();
        let found = batch(&all, &indices);
        let expected = batch(&numbers(0, total), &indices);
        prop_assert_eq!(targets(&found), targets(&expected));
        prop_assert_eq!(found.inputs.to_vec::<f32>().unwrap().len(), 2 * indices.len());
        let labels = all.class_labels().unwrap().unwrap();
        prop_assert_eq!(labels, (0..total as i64).collect::<Vec<_>>());
    }

    #[test]
    fn workers_and_batch_sizes_change_no_sample(size in 1usize..12, seed: u64, number in 1u64..5) {
        let data = numbers(0, 30);
        let noisy = MapSamples::new(&data, |sample, random| {
            let inputs = &*sample.inputs + f64::from(random.normal());
            Ok(Batch { inputs: inputs.into(), ..sample })
        }).unwrap();
        let all = Weighted::new(Concat::new([noisy]).unwrap(), &[1.0; 30]).unwrap();
        let expected = epoch(&Loader::new(&all).batch_size(5).seed(seed), number);
        for workers in 0..3 {
            let loader = Loader::new(&all).batch_size(size).seed(seed).workers(workers);
            prop_assert_eq!(&epoch(&loader, number), &expected);
        }
        prop_assert_ne!(&epoch(&Loader::new(&all).seed(seed), number + 1), &expected);
    }
}

#[test]
fn parts_of_different_types_with_and_without_weights_go_together() {
    let weighted = numbers(0, 2).sample_weights(tensor(&[0.5, 0.25], &[2])).unwrap();
    let plain = numbers(2, 3);
    let boxes: Vec<Box<dyn Dataset + '_>> = vec![Box::new(weighted), Box::new(Cache::new(&plain).unwrap())];
    let all = Concat::new(boxes).unwrap();
    let found = batch(&all, &[4, 1, 2, 0]);
    assert_eq!(targets(&found), [4, 1, 2, 0]);
    assert_eq!(found.weights.of(0).unwrap().to_vec::<f32>().unwrap(), [1.0, 0.25, 1.0, 0.5]);
    assert!(matches!(batch(&all, &[3, 2]).weights, Weights::Ones));
    assert_eq!(all.batch(&[5], &[], &Device::cpu()).unwrap_err().kind(), ErrorKind::Index);
}

#[test]
fn parts_draw_their_augmentation_by_themselves() {
    let data = numbers(0, 20);
    let noisy = || {
        MapSamples::new(&data, |sample: Batch, random| {
            Ok(Batch { inputs: tensor(&[random.normal(), 0.0], &[1, 2]).into(), ..sample })
        })
        .unwrap()
    };
    let both = Concat::new([noisy(), noisy()]).unwrap();
    let (inputs, _) = epoch(&Loader::new(&both).seed(3), 1);
    assert_ne!(inputs[..40], inputs[40..]);
}

#[test]
fn what_cannot_be_one_data_set_is_told() {
    let cpu = Device::cpu();
    let zeros = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &cpu).unwrap();
    let of = |inputs: &[usize], targets: &[usize]| TensorDataset::new(zeros(inputs), zeros(targets)).unwrap();
    let error = Concat::new([of(&[3, 4], &[3]), of(&[3, 5], &[3])]).unwrap_err();
    assert_sentence(&error, "data set 0 have the shape [4], those of data set 1 [5]: one shape is needed");
    assert_sentence(&Concat::<TensorDataset>::new([]).unwrap_err(), "at least one data set");
    let text = TextStreams::new((0..401).collect(), 4, 10).unwrap();
    assert_sentence(&Concat::new([&text]).unwrap_err(), "continue from batch to batch");
    // Targets that are unlike show where they meet.
    let unlike = Concat::new([of(&[3, 4], &[3]), of(&[3, 4], &[3, 2])]).unwrap();
    let error = unlike.batch(&[0, 3], &[], &cpu).unwrap_err();
    assert_sentence(&error, "samples with targets of shape [] f32 and of [2] f32 do not go into one batch");
}

#[test]
fn two_data_sets_side_by_side() {
    let weighted = numbers(7, 4).sample_weights(tensor(&[1., 2., 3., 4.], &[4])).unwrap();
    let pair = Zip::new(numbers(0, 4), &weighted).unwrap();
    let found = batch(&pair, &[2, 0]);
    assert_eq!((found.inputs.count(), found.targets.count(), targets(&found)), (2, 1, vec![2, 0]));
    assert_eq!(found.inputs.iter().nth(1).unwrap().to_vec::<f32>().unwrap(), [9.0, 9.5, 7.0, 7.5]);
    assert!(matches!(found.weights, Weights::Ones));
    let found = batch(&pair.all_targets(), &[2, 0]);
    assert_eq!(found.targets.iter().nth(1).unwrap().to_vec::<i64>().unwrap(), [9, 7]);
    assert!(found.weights.of(0).is_none());
    assert_eq!(found.weights.of(1).unwrap().to_vec::<f32>().unwrap(), [3.0, 1.0]);
    // Masks stay with their inputs.
    let words = SequenceDataset::of_tokens(vec![vec![1], vec![2, 3]], 4).unwrap().labels(vec![1, 0]).unwrap();
    let found = batch(&Zip::new(numbers(0, 2), words).unwrap(), &[0, 1]);
    assert!(found.masks[0].is_none() && found.masks[1].is_some());
    let error = Zip::new(numbers(0, 4), numbers(0, 5)).unwrap_err();
    assert_sentence(&error, "the first data set has 4 samples, the second 5");
}

#[test]
fn a_function_on_batches() {
    let doubled = Map::new(numbers(0, 5), |batch: Batch| {
        let inputs = Tensor::concat(&[&batch.inputs, &batch.inputs], 1)?;
        Ok(Batch { inputs: inputs.into(), ..batch })
    })
    .unwrap();
    assert_eq!((doubled.input_shape(), doubled.len()), (&[4][..], 5));
    assert_eq!(batch(&doubled, &[1]).inputs.to_vec::<f32>().unwrap(), [1.0, 1.5, 1.0, 1.5]);
    assert_eq!(doubled.class_labels().unwrap(), Some(vec![0, 1, 2, 3, 4]));
    // In training alone.
    let zeroed = |batch: Batch| Ok(Batch { inputs: (&*batch.inputs * 0.0).into(), ..batch });
    let data = Map::new(numbers(1, 5), zeroed).unwrap().training_only();
    assert_eq!(epoch(&Loader::new(&data), 1).0, [0.0; 10]);
    assert_eq!(epoch(&Loader::new(&data).plain(), 1), epoch(&Loader::new(numbers(1, 5)), 1));
    // A sample too many is refused, here and when the data set is made.
    let halved = |batch: Batch| Ok(Batch { inputs: batch.inputs.slice(0, 0..1)?.into(), ..batch });
    let halved = Map::new(numbers(0, 5), halved).unwrap();
    let error = halved.batch(&[0, 1], &[], &Device::cpu()).unwrap_err();
    assert_sentence(&error, "the function made 1 samples of 2: as many are needed");
    let none = |batch: Batch| Ok(Batch { inputs: batch.inputs.slice(0, 0..0)?.into(), ..batch });
    assert_sentence(&Map::new(numbers(0, 5), none).map(drop).unwrap_err(), "made 0 samples of 1");
}

#[test]
fn samples_are_made_once() {
    let made = AtomicUsize::new(0);
    let slow = Map::new(numbers(0, 50), |batch: Batch| {
        made.fetch_add(batch.len(), Ordering::Relaxed);
        Ok(batch)
    })
    .unwrap();
    let data = Cache::new(&slow).unwrap();
    made.store(0, Ordering::Relaxed);
    for number in 1..4 {
        let loader = Loader::new(&data).batch_size(7).shuffle(5).workers(2);
        assert_eq!(epoch(&loader, number), epoch(&Loader::new(numbers(0, 50)).batch_size(7).shuffle(5), number));
    }
    assert_eq!((made.load(Ordering::Relaxed), data.kept()), (50, 50));
    assert_eq!(data.batch(&[50], &[], &Device::cpu()).unwrap_err().kind(), ErrorKind::Index);
    let words = SequenceDataset::of_tokens(vec![vec![1], vec![2, 3]], 4).unwrap();
    assert_sentence(&Cache::new(&words).unwrap_err(), "filled up batch by batch");
}

#[test]
fn draws_are_in_proportion_to_the_weights() {
    let data = numbers(0, 4);
    let draws = Weighted::new(&data, &[0.0, 1.0, 3.0, 0.0]).unwrap().draws(4000);
    let (_, found) = epoch(&Loader::new(&draws).seed(1), 1);
    let count = |sample| found.iter().filter(|&&drawn| drawn == sample).count();
    // 4000 draws of probability 3/4: 3000 ± 4 standard deviations of 27.4.
    assert_eq!((found.len(), count(0), count(3)), (4000, 0, 0));
    assert!(count(2).abs_diff(3000) < 110, "{}", count(2));
    // Evaluation has the same draws each time.
    let plain = Loader::new(&draws).plain();
    assert_eq!(epoch(&plain, 1), epoch(&plain, 2));
    assert_eq!(draws.batch(&[4000], &[], &Device::cpu()).unwrap_err().kind(), ErrorKind::Index);
}

#[test]
fn classes_are_balanced() {
    let labels = [vec![0; 90], vec![1; 9], vec![2]].concat();
    let images = ImageDataset::new(vec![0; 100], labels, &[1], 3).unwrap();
    let balanced = Weighted::balanced(&images).unwrap().draws(3000);
    let (_, found) = epoch(&Loader::new(&balanced), 1);
    for class in 0..3 {
        let count = found.iter().filter(|&&drawn| drawn == class).count();
        assert!(count.abs_diff(1000) < 110, "{class}: {count}"); // 4 standard deviations of 25.8
    }
}

#[test]
fn weights_that_make_no_sense_are_one_sentence() {
    let data = numbers(0, 3);
    for (weights, sentence) in [
        (&[1.0, -0.5, 1.0][..], "the weight of sample 1 is -0.5"),
        (&[1.0, 1.0, f64::NAN], "the weight of sample 2 is NaN"),
        (&[f64::INFINITY, 1.0, 1.0], "the weight of sample 0 is inf"),
        (&[0.0; 3], "the weights add up to 0"),
        (&[f64::MAX; 3], "the weights add up to inf"),
        (&[1.0; 2], "there are 2 weights for 3 samples"),
    ] {
        assert_sentence(&Weighted::new(&data, weights).unwrap_err(), sentence);
    }
    assert_sentence(&Weighted::new(numbers(0, 0), &[]).unwrap_err(), "no sample to draw");
    let values = TensorDataset::new(tensor(&[0.5, 1.5], &[2, 1]), tensor(&[0.5, 1.5], &[2])).unwrap();
    assert_sentence(&Weighted::balanced(&values).unwrap_err(), "no class labels to balance");
}
