//! Preprocessing layers that are adapted to data sets.

use super::training::{cpu, patterns};
use kiln_datasets::{Loader, TensorDataset};
use kiln_nn::*;
use kiln_tensor::{DType, Tensor};
use kiln_train::*;

/// All of it, once, in an order that does not matter.
#[test]
fn layers_are_adapted_to_data_sets() {
    let data = patterns(1500, 0);
    let mut normalization = Normalization::new().whole();
    adapt(&mut normalization, &data).unwrap();
    let mut pixels = Vec::new();
    Loader::new(&data)
        .plain()
        .epoch(0, |batches| {
            batches.for_each(|batch| pixels.extend(batch.unwrap().inputs.iter().next().unwrap().to_f64_vec().unwrap()));
            Ok(())
        })
        .unwrap();
    let mean = pixels.iter().sum::<f64>() / pixels.len() as f64;
    let variance = pixels.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / pixels.len() as f64;
    let (found_mean, found_variance) = normalization.moments().unwrap();
    assert!((found_mean.value().item().unwrap() - mean).abs() < 1e-12);
    assert!((found_variance.value().item().unwrap() - variance).abs() < 1e-12);

    let x = || Tensor::ones([3, 2], DType::F32, &cpu()).unwrap();
    let two = TensorDataset::new((x(), x()), x()).unwrap();
    let error = adapt(&mut normalization, &two).unwrap_err().to_string();
    assert!(error.contains("the data has 2 inputs, and a layer adapts to one"), "{error}");
    assert_eq!(normalization.moments().unwrap().0.value().dims(), [0usize; 0]);
}
