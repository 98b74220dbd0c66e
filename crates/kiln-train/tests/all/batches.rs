//! Evaluation and prediction in batches: how large they are, what memory they take, and that results do not depend on them.

use kiln_cpu::Isa;
use kiln_datasets::TensorDataset;
use kiln_nn::{Activation, Conv2d, Dense, Flatten, Sequential, SparseCategoricalCrossentropy};
use kiln_optim::Sgd;
use kiln_tensor::{DType, Device, ErrorKind, Result, Tensor};
use kiln_train::{Accuracy, EvaluateOptions, FitOptions, MeanMetric, Supervised, Trainer, compile};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The largest batch that it was shown.
#[derive(Clone, Default)]
struct Largest(Arc<AtomicUsize>);

impl MeanMetric for Largest {
    fn name(&self) -> &'static str {
        "largest"
    }

    fn each(&self, predictions: &Tensor, _: &Tensor) -> Result<Tensor> {
        self.0.fetch_max(predictions.dims()[0], Relaxed);
        Tensor::zeros([predictions.dims()[0]], DType::F32, predictions.device())
    }
}

impl Largest {
    fn take(&self) -> usize {
        self.0.swap(0, Relaxed)
    }
}

/// A device of the test's own, whose counts nobody else changes.
fn device() -> Device {
    Device::cpu_with(Isa::best())
}

/// Images in the memory of another device, and with their labels.
fn images(samples: usize) -> (Tensor, TensorDataset) {
    let cpu = Device::cpu();
    let pixels: Vec<f32> = (0..samples * 256).map(|i| (i * 37 % 101) as f32 / 101.0).collect();
    let labels: Vec<i64> = (0..samples as i64).map(|i| i * 7 % 3).collect();
    let images = Tensor::from_vec(pixels, [samples, 1, 16, 16], &cpu).unwrap();
    let labels = Tensor::from_vec(labels, [samples], &cpu).unwrap();
    (images.clone(), TensorDataset::new(images, labels).unwrap())
}

type Model = Trainer<Supervised<Sequential, SparseCategoricalCrossentropy>, Sgd>;

/// A model whose outputs are large beside its weights.
fn model(device: &Device) -> Model {
    let model = Sequential::new()
        .push(Conv2d::new(16, 3).activation(Activation::Relu))
        .push(Conv2d::new(16, 3).activation(Activation::Relu))
        .push(Flatten::new())
        .push(Dense::new(3))
        .build([1, 16, 16], device, 1)
        .unwrap();
    compile(model, Sgd::new(0.01), SparseCategoricalCrossentropy::from_logits())
}

#[test]
fn evaluation_needs_no_more_memory_than_training() {
    let (device, (_, data)) = (device(), images(300));
    let mut trainer = model(&device);
    trainer.fit(&data, FitOptions::new().batch_size(8)).unwrap();
    let trained = device.memory().peak;
    trainer.evaluate(&data).unwrap();
    assert_eq!(device.memory().peak, trained, "evaluate");
    // Nor does the validation of a fit.
    trainer.fit(&data, FitOptions::new().batch_size(8).validation(&data)).unwrap();
    assert_eq!(device.memory().peak, trained, "validation");
    // Larger batches are asked for.
    trainer.evaluate_with(&data, EvaluateOptions::new().batch_size(300)).unwrap();
    assert!(device.memory().peak > 4 * trained);
}

#[test]
fn predictions_need_the_memory_of_a_batch() {
    let device = device();
    let trainer = model(&device);
    let samples = 2000;
    let inputs = Tensor::ones([samples, 1, 16, 16], DType::F32, &Device::cpu()).unwrap();
    let before = device.memory();
    let outputs = trainer.predict(&inputs).unwrap();
    assert_eq!(outputs.dims(), [samples, 3]);
    // Two of the 16 planes of a batch of 32, what the kernels need beside them, and the outputs.
    let batch = 4 * 32 * 16 * 16 * 16;
    let more = device.memory().peak - before.live;
    assert!(more < 4 * batch + 2 * 4 * 3 * samples, "{more} bytes more");
}

#[test]
fn batches_are_as_large_as_those_of_the_last_fit() {
    let (device, (inputs, data)) = (device(), images(100));
    let largest = Largest::default();
    let mut trainer = model(&device).metric(largest.clone());
    trainer.evaluate(&data).unwrap();
    assert_eq!(largest.take(), 32, "before any fit");
    trainer.fit(&data, FitOptions::new().batch_size(20).validation_split(0.5)).unwrap();
    assert_eq!(largest.take(), 20, "validation");
    trainer.evaluate(&data).unwrap();
    assert_eq!(largest.take(), 20, "after a fit");
    trainer.evaluate_with(&data, EvaluateOptions::new().batch_size(64)).unwrap();
    assert_eq!(largest.take(), 64, "where it is said");
    for error in [
        trainer.evaluate_with(&data, EvaluateOptions::new().batch_size(0)).unwrap_err(),
        trainer.predict_with(&inputs, EvaluateOptions::new().batch_size(0)).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Value);
        assert!(error.to_string().ends_with("batches of 0 samples: at least 1 is needed"), "{error}");
    }
}

#[test]
fn results_do_not_depend_on_the_batch() {
    let (device, (inputs, data)) = (device(), images(100));
    let mut trainer = model(&device).metric(Accuracy);
    trainer.fit(&data, FitOptions::new().batch_size(10)).unwrap();
    let in_one = EvaluateOptions::new().batch_size(100);
    let (all, outputs) = (trainer.evaluate_with(&data, in_one).unwrap(), trainer.predict_with(&inputs, in_one));
    let outputs = outputs.unwrap().to_vec::<f32>().unwrap();
    for batch_size in [1, 7, 32, 99, 1000] {
        let options = EvaluateOptions::new().batch_size(batch_size);
        let evaluation = trainer.evaluate_with(&data, options).unwrap();
        assert!((evaluation.loss - all.loss).abs() < 1e-6, "{batch_size}: {} and {}", evaluation.loss, all.loss);
        assert!((evaluation.accuracy() - all.accuracy()).abs() < 1e-9, "{batch_size}");
        let predicted = trainer.predict_with(&inputs, options).unwrap();
        assert_eq!(predicted.dims(), [100, 3]);
        for (one, other) in predicted.to_vec::<f32>().unwrap().iter().zip(&outputs) {
            assert!((one - other).abs() < 1e-5, "{batch_size}: {one} and {other}");
        }
    }
    // No samples are no fault of a prediction.
    let none = inputs.slice(0, 0..0).unwrap();
    assert_eq!(trainer.predict(&none).unwrap().dims(), [0, 3]);
}
