//! Callbacks that report numbers of a training on the simulated GPU: how often they wait for it.
#![cfg(feature = "sim")]

use kiln::prelude::*;

fn uniform(shape: [usize; 2], index: u64) -> Tensor {
    let stream = RandomStream::new(5, Purpose::Data, index);
    Tensor::uniform(shape, -1.0, 1.0, DType::F32, &Device::cpu(), stream).unwrap()
}

#[test]
fn reports_of_callbacks_wait_for_the_device_once() {
    let gpu = kiln_cuda::Simulated::new();
    let device = gpu.device();
    let make = || {
        let hidden = Dense::new(4).activation(Activation::Relu);
        let model = Sequential::new().push(hidden).push(Dense::new(2)).build([3], &device, 1).unwrap();
        compile(model, Sgd::new(0.1), MeanSquaredError::new())
    };
    let (x, y) = (uniform([16, 3], 0), uniform([16, 2], 1));
    let data = TensorDataset::new(x, y).unwrap();
    // Four steps, and reports after two of them.
    let downloads = |options: FitOptions<'_>| {
        let mut trainer = make();
        let before = gpu.downloads();
        trainer.fit(&data, options.batch_size(4)).unwrap();
        gpu.downloads() - before
    };
    let options = FitOptions::new;
    let plain = downloads(options());
    let norms = GradientNorms::new().every(2).update_ratios(true);
    assert_eq!(downloads(options().callback(norms)), plain + 2);
    assert_eq!(downloads(options().callback(ActivationStatistics::new().every(2))), plain + 2);
    assert_eq!(downloads(options().callback(Meter::new().every(1))), plain);
}

#[test]
fn a_meter_waits_for_the_device_before_a_validation_and_at_the_end_of_an_epoch() {
    let gpu = kiln_cuda::Simulated::new();
    let data = TensorDataset::new(uniform([16, 3], 0), uniform([16, 2], 1)).unwrap();
    let waits = |options: FitOptions<'_>| {
        let model = Sequential::new().push(Dense::new(2)).build([3], &gpu.device(), 1).unwrap();
        let before = gpu.synchronizations();
        compile(model, Sgd::new(0.1), MeanSquaredError::new()).fit(&data, options.batch_size(4)).unwrap();
        gpu.synchronizations() - before
    };
    let plain = waits(FitOptions::new().validation(&data));
    assert_eq!(waits(FitOptions::new().validation(&data).callback(Meter::new())), plain + 2);
    assert_eq!(waits(FitOptions::new().callback(Meter::new())), waits(FitOptions::new()) + 1);
}

#[test]
fn a_learning_rate_is_found_on_a_device_too() {
    let (x, y) = (uniform([12, 3], 0), uniform([12, 2], 1));
    let data = TensorDataset::new(x, y).unwrap();
    let search = |device: &Device| {
        let model = Sequential::new().push(Dense::new(2)).build([3], device, 1).unwrap();
        let mut trainer = compile(model, Sgd::new(0.1), MeanSquaredError::new());
        let finder = LearningRateFinder::new().min(1e-3).max(1e4).steps(20);
        trainer.find_learning_rate(&data, FitOptions::new().batch_size(6), &finder).unwrap()
    };
    let (cpu, gpu) = (search(&Device::cpu()), search(&kiln_cuda::Simulated::new().device()));
    assert!(cpu.diverged && gpu.diverged && cpu.points.len() == gpu.points.len());
    for (cpu, gpu) in cpu.points.iter().zip(&gpu.points) {
        assert!(cpu.rate == gpu.rate && (cpu.loss - gpu.loss).abs() <= 1e-4 * cpu.loss, "{cpu:?} {gpu:?}");
    }
}
