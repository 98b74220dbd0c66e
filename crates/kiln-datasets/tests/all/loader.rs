//! Loaders: the order is a permutation fixed by seed and epoch, and workers change neither order nor bits.

// Helpers may unwrap like the tests that call them.

use kiln_datasets::{AddingProblem, Batch, Dataset, ImageDataset, Loader, TensorDataset};
use kiln_tensor::{Device, Error, ErrorKind, Result, Tensor};
use proptest::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::Duration;

/// Images whose first two bytes tell which they are.
fn images(count: usize) -> ImageDataset {
    let pixel = |i: usize| match i % 6 {
        0 => (i / 6) as u8,
        1 => (i / 6 / 256) as u8,
        _ => (i * 37 % 256) as u8,
    };
    let labels = (0..count).map(|i| (i % 10) as u8).collect();
    ImageDataset::new((0..count * 6).map(pixel).collect(), labels, &[2, 3], 10).unwrap()
}

/// The inputs' bits and the targets of all batches of an epoch.
fn bits<D: Dataset>(loader: &Loader<D>, epoch: u64) -> Vec<(Vec<u32>, Vec<u8>)> {
    let bits = |batch: Batch| {
        let inputs = batch.inputs.to_vec::<f32>().unwrap().iter().map(|x| x.to_bits()).collect();
        (inputs, batch.targets.to_vec::<u8>().unwrap())
    };
    loader.epoch(epoch, |batches| batches.map(|batch| batch.map(bits)).collect()).unwrap()
}

/// Which images an epoch hands out, in order.
fn order(loader: &Loader<&ImageDataset>, epoch: u64) -> Vec<usize> {
    let number = |image: &[u32]| {
        let byte = |bits: u32| (f32::from_bits(bits) * 255.0).round() as usize;
        byte(image[0]) + 256 * byte(image[1])
    };
    bits(loader, epoch).iter().flat_map(|(inputs, _)| inputs.chunks(6).map(number).collect::<Vec<_>>()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn workers_change_neither_order_nor_bits(
        count in 1usize..400, batch_size in 1usize..70, seed: Option<u64>, epoch: u64, drop_last: bool,
    ) {
        let data = images(count);
        let mut loader = Loader::new(&data).batch_size(batch_size).drop_last(drop_last);
        if let Some(seed) = seed {
            loader = loader.shuffle(seed);
        }
        let expected = bits(&loader, epoch);
        prop_assert_eq!(expected.len(), loader.batches());
        prop_assert_eq!(loader.batches(), if drop_last { count / batch_size } else { count.div_ceil(batch_size) });
        for workers in 1..=3 {
            prop_assert_eq!(&bits(&loader.clone().workers(workers), epoch), &expected);
        }
    }

    #[test]
    fn shuffled_order_is_a_permutation_of_seed_and_epoch(
        count in 1usize..600, sizes in (1usize..50, 1usize..50), seed: u64, epoch in 0u64..u64::MAX,
    ) {
        let data = images(count);
        let loader = Loader::new(&data).shuffle(seed);
        let first = order(&loader.clone().batch_size(sizes.0), epoch);
        let mut sorted = first.clone();
        sorted.sort_unstable();
        prop_assert_eq!(sorted, (0..count).collect::<Vec<_>>());
        prop_assert_eq!(&order(&loader.clone().batch_size(sizes.1), epoch), &first);
        if count > 20 {
            prop_assert_ne!(&order(&loader, epoch + 1), &first);
            prop_assert_ne!(&order(&Loader::new(&data).shuffle(seed ^ 1), epoch), &first);
        }
    }
}

#[test]
fn without_shuffling_samples_come_in_the_order_of_the_data() {
    let data = images(300);
    assert_eq!(order(&Loader::new(&data).batch_size(64), 5), (0..300).collect::<Vec<_>>());
}

#[test]
fn every_image_comes_early_as_often_as_late() {
    // 20 samples, 2000 epochs: the mean place of each is 9.5 ± 6 standard errors of 5.77 / √2000.
    let data = images(20);
    let mut places = [0usize; 20];
    for epoch in 0..2000 {
        for (place, image) in order(&Loader::new(&data).shuffle(3), epoch).into_iter().enumerate() {
            places[image] += place;
        }
    }
    assert!(places.iter().all(|&sum| (sum as f64 / 2000.0 - 9.5).abs() < 0.78), "{places:?}");
}

/// Batches take their time, unequally; one can fail or panic; how many were begun is counted.
struct Slow {
    fails: Option<usize>,
    panics: bool,
    begun: AtomicUsize,
}

impl Slow {
    fn new(fails: Option<usize>, panics: bool) -> Slow {
        Slow { fails, panics, begun: AtomicUsize::new(0) }
    }
}

impl Dataset for Slow {
    fn len(&self) -> usize {
        60
    }
    fn input_shape(&self) -> &[usize] {
        &[]
    }
    fn batch(&self, indices: &[usize], _: &[usize], device: &Device) -> Result<Batch> {
        self.begun.fetch_add(1, Ordering::Relaxed);
        sleep(Duration::from_micros([0, 3000, 200, 0, 900][indices[0] % 5]));
        if self.fails == Some(indices[0]) {
            assert!(!self.panics, "no such file");
            return Err(Error::new(ErrorKind::Io, "Slow", "no such file"));
        }
        let inputs = Tensor::from_slice(&[indices[0] as f32], [1], device)?;
        Ok(Batch::new(inputs, Tensor::from_slice(&[indices[0] as u8], [1], device)?))
    }
}

#[test]
fn unequal_workers_still_hand_over_in_order() {
    let data = Slow::new(None, false);
    for workers in 0..=4 {
        let found: Vec<u8> =
            bits(&Loader::new(&data).batch_size(1).workers(workers), 0).into_iter().flat_map(|(_, y)| y).collect();
        assert_eq!(found, (0..60).collect::<Vec<u8>>(), "{workers} workers");
    }
}

#[test]
fn an_error_of_a_worker_arrives_in_its_place() {
    let data = Slow::new(Some(7), false);
    for workers in 0..=3 {
        let mut before = 0;
        let error = Loader::new(&data)
            .batch_size(1)
            .workers(workers)
            .epoch(0, |batches| {
                for batch in batches {
                    batch?;
                    before += 1;
                }
                Ok(())
            })
            .unwrap_err();
        assert_eq!((before, error.to_string().as_str()), (7, "Slow: no such file"), "{workers} workers");
    }
}

#[test]
fn a_panic_of_a_worker_is_an_error_in_its_place_with_its_words() {
    let data = Slow::new(Some(7), true);
    let loader = Loader::new(&data).batch_size(1).workers(2);
    let mut before = 0;
    let run = |batches: &mut kiln_datasets::Epoch<'_>| {
        batches.try_for_each(|batch| {
            before += usize::from(batch.is_ok());
            batch.map(drop)
        })
    };
    let error = loader.epoch(0, run).unwrap_err();
    assert_eq!((before, error.kind()), (7, ErrorKind::Fault));
    assert_eq!(error.to_string(), "Loader: the data set panicked on worker thread 1: no such file");
}

#[test]
fn an_epoch_left_early_stops_the_workers() {
    let data = Slow::new(None, false);
    let loader = Loader::new(&data).batch_size(1).workers(2);
    loader.epoch(0, |batches| batches.next().map_or(Ok(()), |batch| batch.map(drop))).unwrap();
    // Handed over: 1. Of each worker: the queue's, the one that waits for room in it, and one more begun meanwhile.
    let begun = data.begun.load(Ordering::Relaxed);
    assert!(begun <= 10, "{begun} of 60 batches were begun");
}

#[test]
fn nothing_to_load_is_an_error() {
    let none = images(0);
    let some = images(3);
    for loader in [Loader::new(&none), Loader::new(&some).batch_size(0)] {
        let error = loader.epoch(0, |_| Ok(())).unwrap_err();
        assert!(error.kind() == ErrorKind::Value && error.to_string().contains("at least 1"), "{error}");
    }
    assert_eq!(Loader::new(&some).batch_size(4).drop_last(true).epoch(0, |b| Ok(b.len())).unwrap(), 0);
}

#[test]
fn data_sets_refuse_what_does_not_fit() {
    let cpu = Device::cpu();
    let refused = |result: Result<ImageDataset>| result.unwrap_err().to_string();
    assert!(
        refused(ImageDataset::new(vec![0; 7], vec![0, 1], &[2, 2], 10)).contains("7 bytes are not 2 images of [2, 2]")
    );
    assert!(
        refused(ImageDataset::new(vec![0; 2], vec![0, 4], &[1], 4)).contains("image 1 has label 4, expected 0 to 3")
    );
    assert!(refused(ImageDataset::new(vec![0], vec![0], &[1; 6], 10)).contains("6 axes"));
    assert!(refused(ImageDataset::new(vec![0], vec![0, 0], &[usize::MAX, 2], 10)).contains("are not"));
    let x = Tensor::from_slice(&[1f32, 2., 3., 4.], [2, 2], &cpu).unwrap();
    let y = Tensor::from_slice(&[1i64, 2, 3], [3], &cpu).unwrap();
    assert!(TensorDataset::new(x.clone(), y).unwrap_err().to_string().contains("as many rows"));
    assert!(TensorDataset::new(Tensor::scalar(1f32, &cpu).unwrap(), x.clone()).is_err());
    let data = TensorDataset::new(x.clone(), x).unwrap();
    assert_eq!(data.batch(&[1], &[], &cpu).unwrap().inputs.to_vec::<f32>().unwrap(), [3., 4.]);
    for error in [data.batch(&[0, 2], &[], &cpu).unwrap_err(), images(2).batch(&[0, 2], &[], &cpu).unwrap_err()] {
        assert!(error.kind() == ErrorKind::Index && error.to_string().contains("sample 2"), "{error}");
    }
}

#[test]
fn limit_and_normalization() {
    let data = images(9).limit(4).normalized(2.0 / 255.0, -1.0);
    assert_eq!((data.len(), data.pixels().len(), data.clone().limit(50).len()), (4, 24, 4));
    let x = data.batch(&[3], &[], &Device::cpu()).unwrap().inputs.to_vec::<f32>().unwrap();
    for (found, &byte) in x.iter().zip(&data.pixels()[18..]) {
        assert!((f64::from(*found) - (f64::from(byte) / 127.5 - 1.0)).abs() < 1e-6);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_rest_of_an_epoch_is_its_end(
        count in 1usize..200, batch_size in 1usize..30, steps in proptest::option::of(1usize..20), epoch in 1u64..5,
        first in 0usize..20, workers in 0usize..3,
    ) {
        let data = images(count);
        let mut loader = Loader::new(&data).batch_size(batch_size).shuffle(3);
        if let Some(steps) = steps {
            loader = loader.steps_per_epoch(steps);
        }
        let numbers = |batches: &mut kiln_datasets::Epoch<'_>| -> Result<Vec<Vec<f32>>> {
            batches.map(|batch| batch.and_then(|batch| batch.inputs.to_vec())).collect()
        };
        let all = loader.epoch(epoch, numbers).unwrap();
        let rest = loader.workers(workers).epoch_from(epoch, first, numbers).unwrap();
        prop_assert_eq!(&rest[..], all.get(first..).unwrap_or_default());
    }

    #[test]
    fn epochs_of_some_steps_are_pieces_of_passes(
        count in 1usize..200, batch_size in 1usize..30, steps in 1usize..20, drop_last: bool,
    ) {
        prop_assume!(!drop_last || count >= batch_size);
        let data = images(count);
        let passes = Loader::new(&data).batch_size(batch_size).shuffle(3).drop_last(drop_last);
        let pieces = passes.clone().steps_per_epoch(steps);
        prop_assert_eq!(pieces.batches(), steps);
        let in_passes: Vec<_> = (1..=20 * steps as u64).flat_map(|pass| bits(&passes, pass)).take(3 * steps).collect();
        let in_pieces: Vec<_> = (1..=3).flat_map(|epoch| bits(&pieces, epoch)).collect();
        prop_assert_eq!(in_pieces, in_passes);
        for batch in 0..3 * steps {
            let (epoch, at) = ((batch / steps) as u64 + 1, batch % steps);
            prop_assert_eq!(pieces.begins_pass(epoch, at), batch % passes.batches() == 0);
        }
    }
}

#[test]
fn data_without_an_end_comes_in_order() {
    let endless = AddingProblem::new(usize::MAX, 4, 7).unwrap();
    let finite = AddingProblem::new(60, 4, 7).unwrap();
    let loader = Loader::new(endless).batch_size(10).shuffle(1).steps_per_epoch(3);
    let inputs = |loader: &Loader<AddingProblem>, epoch| {
        let values = |batch: Result<Batch>| batch.and_then(|batch| batch.inputs.to_vec::<f32>());
        loader.epoch(epoch, |batches| batches.map(values).collect::<Result<Vec<_>>>()).unwrap()
    };
    let expected = inputs(&Loader::new(finite).batch_size(10), 1);
    assert_eq!(inputs(&loader, 1), expected[..3]);
    assert_eq!(inputs(&loader.workers(2), 2), expected[3..]);
}
