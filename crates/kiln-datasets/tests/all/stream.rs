//! Streams: each sample once, in an order of the seed and the epoch alone, and what a short one says.

use kiln_datasets::{Batch, Dataset, Loader, Map, Stream, Subset};
use kiln_tensor::{Device, Error, ErrorKind, Result, Tensor};
use proptest::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};

fn sample(number: usize) -> Result<Batch> {
    let number = Tensor::from_slice(&[number as i64], [1], &Device::cpu())?;
    Ok(Batch::new(number.clone(), number))
}

/// The numbers of an epoch in their order.
fn numbers<D: Dataset>(loader: &Loader<D>, epoch: u64) -> Vec<i64> {
    let numbers = |batch: Result<Batch>| batch.and_then(|batch| batch.inputs.to_vec::<i64>());
    loader.epoch(epoch, |batches| batches.map(numbers).collect::<Result<Vec<_>>>()).unwrap().concat()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn each_sample_comes_once_whoever_reads(
        count in 1usize..120, buffer in 1usize..50, size in 1usize..20, seed: u64, epoch in 1u64..4,
    ) {
        let stream = Stream::new(count, || Ok((0..).map(sample))).unwrap().shuffle_buffer(buffer);
        let expected = numbers(&Loader::new(&stream).batch_size(9).seed(seed), epoch);
        let mut sorted = expected.clone();
        sorted.sort_unstable();
        prop_assert!(sorted.into_iter().eq(0..count as i64));
        // None comes more than a buffer early.
        prop_assert!(expected.iter().enumerate().all(|(at, &number)| (number as usize) < at + buffer));
        for workers in 0..4 {
            let loader = Loader::new(&stream).batch_size(size).shuffle(seed).workers(workers);
            prop_assert_eq!(&numbers(&loader, epoch), &expected);
        }
        let plain = Loader::new(&stream).plain().shuffle(seed).workers(2);
        prop_assert!(numbers(&plain, epoch).into_iter().eq(0..count as i64));
    }
}

#[test]
fn a_buffer_mixes_by_seed_and_epoch() {
    let stream = Stream::new(100, || Ok((0..100).map(sample))).unwrap().shuffle_buffer(100);
    let order = |seed, epoch| numbers(&Loader::new(&stream).seed(seed), epoch);
    assert!(order(1, 1) != order(1, 2) && order(1, 1) != order(2, 1) && !order(1, 1).is_sorted());
}

#[test]
fn a_pass_opens_it_once() {
    let opened = AtomicUsize::new(0);
    let open = || {
        opened.fetch_add(1, Ordering::Relaxed);
        Ok((0..200).map(sample))
    };
    let stream = Stream::new(200, open).unwrap();
    let data = Map::new(&stream, Ok).unwrap();
    for workers in [0, 3] {
        opened.store(0, Ordering::Relaxed);
        for epoch in 1..4 {
            numbers(&Loader::new(&data).batch_size(8).shuffle(1).workers(workers), epoch);
        }
        assert_eq!(opened.load(Ordering::Relaxed), 3, "{workers} workers");
    }
    // A part is read through what is before it, and a split cuts the stream in two.
    let [train, test] = stream.split(0.1, 1).unwrap();
    assert_eq!(test.indices(), (180..200).collect::<Vec<_>>());
    assert!(numbers(&Loader::new(&test).shuffle(3), 1).into_iter().eq(180..200));
    assert_eq!(numbers(&Loader::new(&train), 1).len(), 180);
    assert_eq!(numbers(&Loader::new(Subset::new(&stream, [7, 3, 7]).unwrap()), 1), [7, 3, 7]);
}

#[test]
fn without_an_end_it_goes_on() {
    let stream = Stream::new(usize::MAX, || Ok((0..).map(sample))).unwrap().shuffle_buffer(4);
    let loader = Loader::new(&stream).batch_size(5).steps_per_epoch(3).seed(2).workers(2);
    let both = [numbers(&loader, 1), numbers(&loader, 2)].concat();
    assert_eq!(both.len(), 30);
    let mut sorted = both.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(sorted.len(), 30);
}

#[test]
fn what_goes_wrong_is_one_sentence_and_the_next_pass_begins_anew() {
    let short = Stream::new(10, || Ok((0..6).map(sample))).unwrap();
    let loader = Loader::new(&short).batch_size(4);
    for _ in 0..2 {
        let error = loader.epoch(1, |batches| batches.try_for_each(|batch| batch.map(drop))).unwrap_err();
        assert_eq!(error.to_string(), "Stream: the samples ended after 6, but 10 are expected");
    }
    assert!(numbers(&Loader::new(Subset::new(&short, 0..6).unwrap()), 1).into_iter().eq(0..6));
    let nothing = Stream::new(3, || Ok(std::iter::empty())).map(drop).unwrap_err();
    assert!(nothing.to_string().contains("ended after 0, but 3 are expected"), "{nothing}");
    type Samples = std::vec::IntoIter<Result<Batch>>;
    let gone = || -> Result<Samples> { Err(Error::new(ErrorKind::Io, "Stream", "no such file")) };
    assert_eq!(Stream::new(3, gone).map(drop).unwrap_err().kind(), ErrorKind::Io);
    let pair = || {
        let two = Tensor::from_slice(&[1i64, 2], [2], &Device::cpu())?;
        Ok([Ok(Batch::new(two.clone(), two))].into_iter())
    };
    let error = Stream::new(1, pair).unwrap().batch(&[0], &[], &Device::cpu()).unwrap_err();
    assert!(error.to_string().contains("sample 0 is a batch of 2: one sample at a time"), "{error}");
    assert_eq!(short.batch(&[10], &[], &Device::cpu()).unwrap_err().kind(), ErrorKind::Index);
}

#[test]
fn samples_that_are_read_in_order_are_not_drawn_by_weight() {
    let stream = Stream::new(4, || Ok((0..).map(sample))).unwrap();
    let error = kiln_datasets::Weighted::new(&stream, &[1.0; 4]).map(drop).unwrap_err().to_string();
    assert!(error.contains("cannot be drawn one by one"), "{error}");
}
