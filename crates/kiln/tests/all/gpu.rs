//! Training on a GPU, or on the simulator, is training on the CPU.

use kiln::prelude::*;
use kiln::tensor::Element;

/// Points in a square, in three stripes.
fn data(samples: usize, index: u64) -> TensorDataset {
    let stream = RandomStream::new(1, Purpose::Data, index);
    let points = Tensor::uniform([samples, 2], -1.0, 1.0, DType::F32, &Device::cpu(), stream).unwrap();
    let stripe = |x: &[f32]| i64::from(x[0] + x[1] > -0.4) + i64::from(x[0] + x[1] > 0.4);
    let labels: Vec<i64> = points.to_vec::<f32>().unwrap().chunks(2).map(stripe).collect();
    TensorDataset::new(points, Tensor::from_slice(&labels, [samples], &Device::cpu()).unwrap()).unwrap()
}

/// What a run reports, and the weights it leaves.
fn train(device: &Device, optimizer: impl Optimizer) -> (Vec<f64>, Vec<f64>) {
    let model = Sequential::new()
        .push(Dense::new(16).activation(Activation::Relu))
        .push(Dropout::new(0.2))
        .push(Dense::new(3).activation(Activation::Softmax))
        .build([2], device, 7)
        .unwrap();
    let mut trainer = compile(model, optimizer, SparseCategoricalCrossentropy::new()).metric(Accuracy);
    let (train, test) = (data(96, 1), data(50, 2));
    let history = trainer.fit(&train, FitOptions::new().epochs(3).batch_size(16).seed(3).validation(&test)).unwrap();
    let numbers = history.epochs.iter().flat_map(|epoch| {
        let validation = epoch.validation.as_ref().unwrap();
        [epoch.train.loss, epoch.train.accuracy(), validation.loss, validation.accuracy()]
    });
    let weights = trainer.objective.parameters().into_iter().flat_map(|(_, parameter)| {
        parameter.value().to_vec::<f32>().unwrap().into_iter().map(Element::to_f64).collect::<Vec<_>>()
    });
    (numbers.collect(), weights.collect())
}

fn close(what: &str, gpu: &[f64], cpu: &[f64]) {
    assert_eq!(gpu.len(), cpu.len());
    for (g, c) in gpu.iter().zip(cpu) {
        assert!((g - c).abs() <= 1e-5 * c.abs().max(1.0), "{what}: {g}, on the CPU {c}");
    }
}

/// Trains with each optimizer on a device and on the CPU.
fn optimizers_train_alike(device: &str) {
    let both = |name: &str, optimizer: &dyn Fn() -> Box<dyn Optimizer>| {
        let cpu = train(&Device::cpu(), optimizer());
        let gpu = train(&kiln::device(device).unwrap(), optimizer());
        close(&format!("{name}: reports"), &gpu.0, &cpu.0);
        close(&format!("{name}: weights"), &gpu.1, &cpu.1);
    };
    both("adam", &|| Box::new(Adam::new(0.01)));
    both("adamw", &|| Box::new(AdamW::new(0.01)));
    both("rmsprop", &|| Box::new(RmsProp::new(0.001).momentum(0.9).centered(true)));
    both("sgd", &|| Box::new(Sgd::new(0.1).momentum(0.9).nesterov(true)));
}

/// A step whose loss is not finite changes neither weights nor running averages nor what the optimizer keeps, though the host hears
/// of it at the end of the epoch only.
fn a_step_that_is_not_finite_is_not_applied(device: &str) {
    let device = kiln::device(device).unwrap();
    let column =
        |value: &dyn Fn(usize) -> f32| Tensor::from_vec((0..40).map(value).collect(), [40, 1], &Device::cpu()).unwrap();
    let targets = column(&|i| i as f32 / 40.0);
    let good = TensorDataset::new(column(&|i| (i % 7) as f32), targets.clone()).unwrap();
    // The third of four batches.
    let bad = TensorDataset::new(column(&|i| if i == 25 { f32::NAN } else { (i % 7) as f32 }), targets).unwrap();
    let fit = |data: &dyn Dataset, options: FitOptions<'_>| {
        let model = Sequential::new().push(Dense::new(3)).push(BatchNorm1d::new()).push(Dense::new(1));
        let model = model.build([1], &device, 7).unwrap();
        let mut trainer = compile(model, Adam::new(0.01), MeanSquaredError::new());
        let error = trainer.fit(data, options.batch_size(10).shuffle(false)).err().map(|error| error.to_string());
        let (model, optimizer) = (trainer.objective.state_dict(), trainer.optimizer.state_dict().unwrap());
        let values = |state: kiln::nn::StateDict| -> Vec<(String, Vec<f64>)> {
            state.into_iter().map(|(path, value)| (path, value.to_f64_vec().unwrap())).collect()
        };
        (error, values(model), values(optimizer))
    };
    let (error, model, optimizer) = fit(&bad, FitOptions::new().snapshot(false));
    let error = error.unwrap();
    assert!(
        error.contains("the loss of epoch 1 is NaN; the first values that are not finite are the input"),
        "{error}"
    );
    for (path, values) in model.iter().chain(&optimizer) {
        assert!(values.iter().all(|value| value.is_finite()), "{path}: {values:?}");
    }
    // It went on after the bad batch; two batches would have left other weights.
    let (_, after_two, _) = fit(&good, FitOptions::new().steps_per_epoch(2));
    assert_ne!(model, after_two);
    // Several batches to a step: none of the step with the bad one is applied, so these are the first two's.
    let (_, model, _) = fit(&bad, FitOptions::new().snapshot(false).accumulate(2));
    let (_, after_two, _) = fit(&good, FitOptions::new().steps_per_epoch(2).accumulate(2));
    assert_eq!(model, after_two);
    // By default the weights are those before the epoch.
    let (error, model, _) = fit(&bad, FitOptions::new());
    assert!(error.unwrap().ends_with("again those that it began with"));
    let untrained = Sequential::new().push(Dense::new(3)).push(BatchNorm1d::new()).push(Dense::new(1));
    let untrained = untrained.build([1], &Device::cpu(), 7).unwrap().state_dict();
    assert!(model.iter().zip(&untrained).all(|((_, found), (_, value))| *found == value.to_f64_vec().unwrap()));
}

#[test]
#[cfg(feature = "sim")]
fn on_the_simulator() {
    optimizers_train_alike("sim");
}

#[test]
#[cfg(feature = "sim")]
fn the_simulator_leaves_out_a_step_that_is_not_finite() {
    a_step_that_is_not_finite_is_not_applied("sim");
}

#[test]
#[cfg(feature = "cuda")]
#[ignore = "needs an NVIDIA card"]
fn a_card_leaves_out_a_step_that_is_not_finite() {
    a_step_that_is_not_finite_is_not_applied("cuda");
}

#[test]
#[cfg(feature = "cuda")]
#[ignore = "needs an NVIDIA card"]
fn on_a_card() {
    optimizers_train_alike("cuda");
}

/// Gradients are clipped by the norm of all of them as on the CPU, and the host waits for nothing.
#[test]
#[cfg(feature = "sim")]
fn norms_are_clipped_on_the_device() {
    use DType::{BF16, F16, F32, F64};
    use kiln::optim::clip_gradient_norm;
    let gpu = kiln_cuda::Simulated::new();
    let infinite = f64::INFINITY;
    let cases: [(&[&[f64]], DType, f64); 13] = [
        (&[&[3.0, 0.0], &[4.0], &[]], F32, 1.0),
        (&[&[3.0, 0.0], &[4.0]], F32, 5.0),
        (&[&[3.0, 0.0], &[4.0]], F32, 0.0),
        (&[&[3.0, 0.0], &[4.0]], F32, infinite),
        (&[&[0.0, 0.0], &[0.0]], F32, 1.0),
        (&[&[3e30, -4e30], &[2e30]], F32, 2.0),
        (&[&[3e-30, -4e-30]], F32, 1e-31),
        (&[&[3e300, -4e300], &[1e300]], F64, 1.0),
        (&[&[3e-300, -4e-300]], F64, 1e-301),
        (&[&[300.0, -20.0], &[60_000.0]], F16, 1.0),
        (&[&[1e30, 1e20], &[2e30]], BF16, 3.0),
        (&[&[infinite, 1.0], &[2.0]], F32, 1.0),
        (&[&[f64::NAN, 1.0], &[2.0]], F64, 1.0),
    ];
    for (values, dtype, max) in cases {
        let ids: Vec<_> =
            values.iter().map(|_| Param::new(Tensor::zeros((), F32, &Device::cpu()).unwrap()).id()).collect();
        let clipped = |device: &Device| -> Vec<Tensor> {
            let mut gradients = Gradients::default();
            for (id, values) in ids.iter().zip(values) {
                let gradient = Tensor::from_slice(values, [values.len()], device).unwrap().to_dtype(dtype).unwrap();
                gradients.insert(*id, gradient);
            }
            let clipped = clip_gradient_norm(gradients, max).unwrap();
            ids.iter().map(|id| clipped.get(*id).unwrap().clone()).collect()
        };
        let tolerance = match dtype {
            F64 => 1e-14,
            F32 => 1e-6,
            _ => 0.01,
        };
        let before = gpu.downloads();
        let on_gpu = clipped(&gpu.device());
        assert_eq!(gpu.downloads(), before, "{values:?}");
        for (gpu, cpu) in on_gpu.iter().zip(clipped(&Device::cpu())) {
            assert_eq!(gpu.dtype(), dtype);
            for (g, c) in gpu.to_f64_vec().unwrap().into_iter().zip(cpu.to_f64_vec().unwrap()) {
                let same = (g.is_nan() && c.is_nan()) || g == c || ((g - c) / c).abs() < tolerance;
                assert!(same, "{values:?} {dtype} {max}: {g:e}, on the CPU {c:e}");
            }
        }
    }
}
