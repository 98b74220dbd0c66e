//! Training on a GPU, or on the simulator, is training on the CPU.

use kiln::nn::AnyLayer;
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
    both("lamb", &|| Box::new(Lamb::new(0.01).weight_decay(0.01)));
    both("adafactor", &|| Box::new(Adafactor::new(0.01)));
    both("muon", &|| Box::new(Muon::new(0.01)));
    both("lookahead", &|| Box::new(Lookahead::new(Adam::new(0.01), 3, 0.5)));
    both("sam", &|| Box::new(Sam::new(Sgd::new(0.1), 0.05)));
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

/// Mixed precision: the device's weights are close to the CPU's, and of steps that overflow in f16 as many are left out.
fn mixed_precision_trains_alike(device: &str) {
    let train = |device: &Device, precision: Mixed| {
        let model = Sequential::new()
            .push(Dense::new(16).activation(Activation::Tanh))
            .push(BatchNorm1d::new())
            .push(Dense::new(3).activation(Activation::Softmax))
            .build([2], device, 7)
            .unwrap();
        let loss = SparseCategoricalCrossentropy::new();
        let mut trainer = compile(model, Sgd::new(0.1).clip_norm(1.0), loss).precision(precision);
        trainer.state.loss_scale = LossScale::new().initial(2f64.powi(22));
        let history = trainer.fit(&data(96, 1), FitOptions::new().epochs(2).batch_size(16).seed(3)).unwrap();
        assert!(history.epochs[1].train.loss < history.epochs[0].train.loss);
        let weights = trainer.objective.state_dict()["0.weight"].to_f64_vec().unwrap();
        (weights, trainer.state.loss_scale.skipped().unwrap(), trainer.state.loss_scale.factor().unwrap())
    };
    for precision in [Mixed::Bf16, Mixed::F16] {
        let (here, there) = (train(&Device::cpu(), precision), train(&kiln::device(device).unwrap(), precision));
        for (here, there) in here.0.iter().zip(&there.0) {
            assert!((here - there).abs() < 0.01, "{precision:?}: {there}, on the CPU {here}");
        }
        assert_eq!((here.1, here.2), (there.1, there.2));
        assert_eq!(here.1 > 0, precision == Mixed::F16, "{}", here.1);
    }
}

/// Ends a training as a kill does: nothing is saved after it.
struct KillAfter(u64);

impl Callback for KillAfter {
    fn on_batch_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        if run.state.batches == self.0 { Err(Error::value("kill", "killed")) } else { Ok(()) }
    }
}

/// A run that was killed in the middle of an epoch goes on, on the same device with the same bits, and on another one.
fn a_killed_run_goes_on(device: &str) {
    let (device, cpu) = (kiln::device(device).unwrap(), Device::cpu());
    let parent = tempfile::tempdir().unwrap();
    let (train, test) = (data(96, 1), data(50, 2));
    let fit = |device: &Device, name: &str, kill: Option<u64>| {
        let model = Sequential::new()
            .push(Dense::new(16).activation(Activation::Relu))
            .push(BatchNorm1d::new())
            .push(Dropout::new(0.2))
            .push(Dense::new(3))
            .build([2], device, 7)
            .unwrap();
        let loss = SparseCategoricalCrossentropy::from_logits();
        let mut trainer = compile(model, Adam::new(0.01), loss).metric(Accuracy);
        let folder = parent.path().join(name);
        if folder.exists() {
            trainer.resume(&folder).unwrap();
        }
        let mut options = FitOptions::new().until_epoch(3).batch_size(16).seed(3).validation(&test);
        options = options.callback(Ema::new(0.9)).callback(Checkpoint::new(&folder).every(Every::Steps(1)));
        if let Some(batches) = kill {
            options = options.callback(KillAfter(batches));
        }
        let fitted = trainer.fit(&train, options).map(drop);
        assert_eq!(fitted.is_err(), kill.is_some());
        let state = trainer.state_dict().unwrap();
        let state = state.into_iter().filter(|(name, _)| name.starts_with("model.") || name.contains("history"));
        let state = state.filter(|(name, _)| !name.ends_with("seconds"));
        state.flat_map(|(_, value)| value.to_f64_vec().unwrap()).collect::<Vec<f64>>()
    };
    let whole = fit(&device, "whole", None);
    fit(&device, "same", Some(9));
    assert_eq!(fit(&device, "same", None), whole);
    for (first, second, name) in [(&device, &cpu, "down"), (&cpu, &device, "up")] {
        fit(first, name, Some(9));
        close(name, &fit(second, name, None), &whole);
    }
}

/// Numbers of this shape.
fn normal(shape: &[usize], index: u64) -> Tensor {
    Tensor::normal(shape, 0.0, 1.0, DType::F32, &Device::cpu(), RandomStream::new(5, Purpose::Data, index)).unwrap()
}

/// Values of metrics, with a mask and weights of samples, and of losses with their gradients.
fn metrics_and_losses_are_alike(device: &str) {
    let (device, cpu) = (kiln::device(device).unwrap(), Device::cpu());
    let x = normal(&[40, 5], 1);
    let p = x.softmax(1).unwrap();
    let labels = Tensor::from_vec((0..40i64).map(|i| (i * i + i / 5) % 5).collect(), [40], &cpu).unwrap();
    let half = Tensor::full((), 0.5, DType::F32, &cpu).unwrap();
    let several = normal(&[40, 5], 2).gt(&half).unwrap().to_dtype(DType::F32).unwrap();
    let mask = Tensor::from_vec((0..40).map(|i| i % 7 != 3).collect::<Vec<bool>>(), [40], &cpu).unwrap();
    let weights = normal(&[40], 3).square().unwrap();
    let metrics: [(Box<dyn Metric>, &Tensor); 14] = [
        (Box::new(Accuracy), &labels),
        (Box::new(TopKAccuracy::new(2)), &labels),
        (Box::new(F1::new().average(ClassAverage::Macro)), &labels),
        (Box::new(F1::new().average(ClassAverage::Micro).multilabel()), &several),
        (Box::new(CohenKappa::new()), &labels),
        (Box::new(ConfusionMatrix::new()), &labels),
        (Box::new(Iou::new()), &labels),
        (Box::new(Auc::new()), &labels),
        (Box::new(AveragePrecision::new().thresholds(50)), &several),
        (Box::new(MultilabelAccuracy::new()), &several),
        (Box::new(R2), &several),
        (Box::new(Rmse), &several),
        (Box::new(Mape), &p),
        (Box::new(Perplexity::new()), &labels),
    ];
    for (metric, targets) in &metrics {
        let of = |device: &Device| {
            let there = |t: &Tensor| t.to_device(device).unwrap();
            let (output, targets, mask, weights) =
                (Var::from(there(&p)), there(targets), there(&mask), there(&weights));
            let mut state = kiln::train::MetricState::default();
            for weights in [None, Some(&weights)] {
                let seen =
                    kiln::train::Seen { mask: Some(&mask), weights, ..kiln::train::Seen::new(&output, &targets) };
                metric.update(&mut state, &seen).unwrap();
            }
            let value = metric.value(&state).unwrap();
            value.table().map_or_else(|| vec![value.number()], |table| table.values().to_vec())
        };
        close(&metric.name(), &of(&device), &of(&cpu));
    }
    let sequence = normal(&[3, 6, 5], 4);
    let spelled = Tensor::from_slice(&[1i64, 2, 2, 3, 0, 0, 4, 1, 0], [3, 3], &cpu).unwrap();
    let ignoring = Tensor::from_vec((0..40i64).map(|i| i % 6).collect(), [40], &cpu).unwrap();
    let losses: [(Box<dyn Loss>, &Tensor, &Tensor); 9] = [
        (Box::new(SparseCategoricalCrossentropy::from_logits().label_smoothing(0.1).ignore_index(5)), &x, &ignoring),
        (Box::new(Nll::new().ignore_index(5)), &x, &ignoring),
        (Box::new(BinaryCrossentropy::from_logits().pos_weight(&[2.0])), &x, &several),
        (Box::new(KlDivergence::from_logits()), &x, &p),
        (Box::new(CategoricalFocal::from_logits()), &x, &labels),
        (Box::new(Hinge), &x, &several),
        (Box::new(CosineSimilarity::new()), &x, &p),
        (Box::new(LogCosh), &x, &p),
        (Box::new(Ctc::new()), &sequence, &spelled),
    ];
    for (loss, x, targets) in &losses {
        let of = |device: &Device| {
            let x = Var::variable(x.to_device(device).unwrap());
            let value = loss.forward(&x, &targets.to_device(device).unwrap()).unwrap();
            let mut numbers = vec![value.item().unwrap()];
            numbers.extend(value.backward().unwrap().of(&x).unwrap().to_f64_vec().unwrap());
            numbers
        };
        close(loss.name(), &of(&device), &of(&cpu));
    }
}

/// A step of a layer: its output and the gradients of its input and parameters.
fn step_of(layer: &mut dyn AnyLayer, x: &Tensor, device: &Device) -> Vec<f64> {
    let sample = kiln::tensor::Shape::new(&x.dims()[1..]).unwrap();
    layer.build_any(&sample.into(), &mut Init::new(5, device)).unwrap();
    let x = Var::variable(x.to_device(device).unwrap());
    let y = layer.forward_any((&x).into(), &Ctx::train(3, 1)).unwrap().var().unwrap();
    let gradients = y.square().unwrap().sum_all().unwrap().backward().unwrap();
    let mut numbers = y.tensor().to_f64_vec().unwrap();
    numbers.extend(gradients.of(&x).unwrap().to_f64_vec().unwrap());
    for (_, parameter) in layer.parameters() {
        numbers.extend(gradients.get(parameter.id()).unwrap().to_f64_vec().unwrap());
    }
    numbers
}

/// Layers that move, resample, disturb and go over sequences of images.
fn layers_are_alike(device: &str) {
    type Make = fn() -> Box<dyn AnyLayer>;
    let cases: [(Make, &[usize]); 25] = [
        (|| Box::new(Upsample2d::new(2)), &[2, 3, 4, 3]),
        (|| Box::new(Upsample2d::to([3, 7]).bilinear()), &[2, 3, 4, 3]),
        (|| Box::new(Upsample2d::new([1, 3]).bicubic().align_corners()), &[2, 2, 4, 3]),
        (|| Box::new(Upsample3d::new(2).bilinear()), &[1, 2, 2, 3, 2]),
        (|| Box::new(Cropping2d::new([(1, 0), (0, 2)])), &[2, 3, 4, 5]),
        (|| Box::new(ZeroPad3d::new(1)), &[1, 2, 2, 1, 3]),
        (|| Box::new(PixelShuffle::new(2)), &[2, 8, 3, 2]),
        (|| Box::new(PixelUnshuffle::new(2).blocks_first(true)), &[2, 3, 4, 6]),
        (|| Box::new(ConvTranspose3d::new(2, [2, 3, 2]).stride(2)), &[2, 2, 2, 3, 2]),
        (|| Box::new(SqueezeExcitation::new(2)), &[3, 4, 3, 2]),
        (|| Box::new(ConvLstm2d::new(2, 2).return_sequences(true)), &[2, 3, 1, 4, 3]),
        (|| Box::new(RepeatVector::new(3)), &[4, 5]),
        (|| Box::new(GaussianNoise::new(0.5)), &[4, 5]),
        (|| Box::new(GaussianDropout::new(0.5)), &[4, 5]),
        (|| Box::new(AlphaDropout::new(0.5)), &[4, 5]),
        (|| Box::new(DropPath::new(0.5)), &[8, 2, 3]),
        (|| Box::new(Dropout3d::new(0.5)), &[2, 3, 2, 2, 2]),
        (|| Box::new(Cropping1d::new(1)), &[2, 3, 5]),
        (|| Box::new(Cropping3d::new(1)), &[1, 2, 3, 4, 3]),
        (|| Box::new(Reparameterize::new()), &[4, 6]),
        (|| Box::new(SkipConcat::new(Sequential::new().push(Dense::new(3)))), &[4, 5]),
        (|| Box::new(WeightNorm::new(Dense::new(3))), &[4, 5]),
        (|| Box::new(SpectralNorm::new(Conv2d::new(2, 3))), &[2, 2, 4, 5]),
        (|| Box::new(Rescaling::new(0.5, -1.0)), &[4, 5]),
        (|| Box::new(Resizing::new(3, 4).antialias(true)), &[2, 2, 7, 6]),
    ];
    for (make, shape) in cases {
        let x = normal(shape, 6);
        let of = |device: &Device| step_of(&mut *make(), &x, device);
        close(make().name(), &of(&kiln::device(device).unwrap()), &of(&Device::cpu()));
    }
}

#[test]
#[cfg(feature = "sim")]
fn layers_on_the_simulator() {
    layers_are_alike("sim");
}

#[test]
#[cfg(feature = "cuda")]
#[ignore = "needs an NVIDIA card"]
fn layers_on_a_card() {
    layers_are_alike("cuda");
}

#[test]
#[cfg(feature = "sim")]
fn on_the_simulator() {
    optimizers_train_alike("sim");
}

#[test]
#[cfg(feature = "sim")]
fn mixed_precision_on_the_simulator() {
    mixed_precision_trains_alike("sim");
}

#[test]
#[cfg(feature = "sim")]
fn a_killed_run_goes_on_on_the_simulator() {
    a_killed_run_goes_on("sim");
}

#[test]
#[cfg(feature = "sim")]
fn metrics_and_losses_on_the_simulator() {
    metrics_and_losses_are_alike("sim");
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

#[test]
#[cfg(feature = "cuda")]
#[ignore = "needs an NVIDIA card"]
fn mixed_precision_on_a_card() {
    mixed_precision_trains_alike("cuda");
}

#[test]
#[cfg(feature = "cuda")]
#[ignore = "needs an NVIDIA card"]
fn a_killed_run_goes_on_on_a_card() {
    a_killed_run_goes_on("cuda");
}

#[test]
#[cfg(feature = "cuda")]
#[ignore = "needs an NVIDIA card"]
fn metrics_and_losses_on_a_card() {
    metrics_and_losses_are_alike("cuda");
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
