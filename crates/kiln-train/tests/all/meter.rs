//! `Meter`: what it counts, and what it leaves out.

use super::logged::{Logged, by_name};
use kiln_datasets::TensorDataset;
use kiln_nn::*;
use kiln_optim::Sgd;
use kiln_tensor::{DType, Device, Result, Tensor};
use kiln_train::*;
use std::time::{Duration, Instant};

fn ones(rows: usize, columns: usize) -> Tensor {
    Tensor::ones([rows, columns], DType::F32, &Device::cpu()).unwrap()
}

fn trainer() -> Trainer<Supervised<Sequential, MeanSquaredError>, Sgd> {
    let model = Sequential::new().push(Dense::new(1)).build([2], &Device::cpu(), 1).unwrap();
    compile(model, Sgd::new(0.1), MeanSquaredError::new())
}

/// Takes some time in each step, and much in each validation.
struct Slow;

const STEP: Duration = Duration::from_millis(4);
const VALIDATION: Duration = Duration::from_millis(150);

impl Callback for Slow {
    fn on_step_end(&mut self, _: &mut Run<'_>) -> Result<()> {
        std::thread::sleep(STEP);
        Ok(())
    }
    fn on_validation_batch_end(&mut self, _: &mut Run<'_>) -> Result<()> {
        std::thread::sleep(VALIDATION);
        Ok(())
    }
}

#[test]
fn samples_and_time_of_training_count_and_validations_do_not() {
    let data = TensorDataset::new(ones(50, 2), ones(50, 1)).unwrap();
    let validation = TensorDataset::new(ones(8, 2), ones(8, 1)).unwrap();
    let (mut meter, mut logged) = (Meter::new().every(3), Logged::default());
    let options = FitOptions::new().epochs(2).batch_size(8).accumulate(2).validation(&validation).callback(Slow);
    let began = Instant::now();
    trainer().fit(&data, options.callback(&mut meter).callback(&mut logged)).unwrap();
    // Two validations of a batch each; all else may take as long as the machine is busy.
    let without_validations = (began.elapsed() - 2 * VALIDATION).as_secs_f64();
    // Seven batches an epoch are four steps.
    let total = meter.total().unwrap();
    assert_eq!((total.samples, total.steps, meter.epochs().len()), (100, 8, 2));
    for epoch in meter.epochs() {
        assert_eq!((epoch.samples, epoch.steps), (50, 4));
        assert!(epoch.seconds >= 4.0 * STEP.as_secs_f64(), "{epoch:?}");
        assert!((epoch.samples_per_second * epoch.seconds - 50.0).abs() < 1e-6);
        assert!((epoch.ms_per_step * 4.0 - 1e3 * epoch.seconds).abs() < 1e-6);
        assert!(epoch.memory > 0 && epoch.peak_memory >= epoch.memory);
    }
    assert!(total.seconds <= without_validations, "{total:?}, {without_validations}");
    assert!(total.seconds >= meter.epochs().iter().map(|epoch| epoch.seconds).sum::<f64>() - 1e-9);
    let steps = |name: &str| by_name(&logged, name).into_iter().map(|(step, _)| step).collect::<Vec<_>>();
    assert_eq!((steps("ms_per_step"), steps("samples_per_second")), (vec![3, 6], vec![3, 6]));
    assert_eq!((steps("epoch_ms_per_step"), steps("epoch_samples_per_second")), (vec![4, 8], vec![4, 8]));
    let reported: Vec<f64> = by_name(&logged, "ms_per_step").into_iter().map(|(_, ms)| ms).collect();
    assert!(reported.iter().all(|ms| *ms >= 4.0), "{reported:?}");
    // Each is of three steps.
    assert!(3.0 * reported.iter().sum::<f64>() <= 1e3 * total.seconds + 1e-6, "{reported:?}, {total:?}");
    if cfg!(target_os = "linux") {
        let resident = total.resident.unwrap();
        assert!(resident > 1 << 20 && steps("resident_bytes") == [3, 6], "{resident}");
    }
}

#[test]
fn the_memory_is_that_of_tensors_on_the_models_device() {
    let data = TensorDataset::new(ones(4, 2), ones(4, 1)).unwrap();
    let kept = Tensor::zeros([1 << 20], DType::F32, &Device::cpu()).unwrap();
    let mut meter = Meter::new();
    trainer().fit(&data, FitOptions::new().callback(&mut meter)).unwrap();
    let total = meter.total().unwrap();
    assert!(total.memory >= kept.elements() * 4 && total.peak_memory >= total.memory, "{total:?}");
    let refused = trainer().fit(&data, FitOptions::new().callback(Meter::new().every(0))).unwrap_err();
    assert!(refused.to_string().contains("every(0)"), "{refused}");
}
