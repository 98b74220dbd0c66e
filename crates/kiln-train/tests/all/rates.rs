//! The learning rate that callbacks see, and settings of the optimizer that are refused before anything is read.

use kiln_datasets::TensorDataset;
use kiln_nn::*;
use kiln_optim::{Clip, CosineDecay, Group, LinearWarmup, Optimizer, Schedule, Sgd, StepDecay};
use kiln_tensor::{DType, Device, Result, Tensor};
use kiln_train::*;

fn data(columns: usize) -> TensorDataset {
    let ones = |columns| Tensor::ones([12, columns], DType::F32, &Device::cpu()).unwrap();
    TensorDataset::new(ones(columns), ones(2)).unwrap()
}

fn trainer<P: Optimizer>(optimizer: P) -> Trainer<Supervised<Sequential, MeanSquaredError>, P> {
    let model = Sequential::new().push(Dense::new(4)).push(Dense::new(2)).build([3], &Device::cpu(), 1).unwrap();
    compile(model, optimizer, MeanSquaredError::new())
}

/// The learning rates that the hooks of steps and epochs see.
#[derive(Default)]
struct Rates {
    begin: Vec<f64>,
    end: Vec<f64>,
    scaled: Vec<f64>,
    epochs: Vec<f64>,
}

impl Callback for Rates {
    fn on_step_begin(&mut self, run: &mut Run<'_>) -> Result<()> {
        self.begin.push(run.learning_rate());
        Ok(())
    }
    fn on_step_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        self.end.push(run.learning_rate());
        self.scaled.extend(["0.weight", "1.weight", "1.bias"].map(|path| run.learning_rate_of(path)));
        Ok(())
    }
    fn on_epoch_end(&mut self, run: &mut Run<'_>, _: &EpochRecord) -> Result<()> {
        self.epochs.push(run.learning_rate());
        Ok(())
    }
}

#[test]
fn callbacks_see_the_rate_of_the_step() {
    let optimizer = Sgd::new(0.5)
        .schedule(StepDecay::new(1, 0.5))
        .group("1.*", Group::new().learning_rate_scale(0.125))
        .group("*.bias", Group::new().frozen(true));
    let mut rates = Rates::default();
    // Of 12 samples two steps of two batches.
    let options = FitOptions::new().epochs(2).batch_size(3).accumulate(2).callback(&mut rates);
    trainer(optimizer).fit(&data(3), options).unwrap();
    let expected = [0.5, 0.25, 0.125, 0.0625];
    assert_eq!(
        (&rates.begin[..], &rates.end[..], &rates.epochs[..]),
        (&expected[..], &expected[..], &[0.25, 0.0625][..])
    );
    assert_eq!(rates.scaled[..6], [0.5, 0.0625, 0.0, 0.25, 0.03125, 0.0]);
}

/// A callback that changes the rate changes that of the step which is about to be made.
#[test]
fn a_rate_that_is_set_is_that_of_the_next_step() {
    struct Set;
    impl Callback for Set {
        fn on_step_begin(&mut self, run: &mut Run<'_>) -> Result<()> {
            run.optimizer.set_learning_rate(0.75);
            assert_eq!(run.learning_rate(), 0.75);
            Ok(())
        }
        fn on_step_end(&mut self, run: &mut Run<'_>) -> Result<()> {
            run.optimizer.set_learning_rate(0.25);
            assert_eq!(run.learning_rate(), 0.75);
            Ok(())
        }
    }
    trainer(Sgd::new(0.5)).fit(&data(3), FitOptions::new().callback(Set)).unwrap();
}

#[test]
fn settings_are_refused_before_data_is_read() {
    // Data that does not fit the model: nobody hears of it.
    let refused = |optimizer: Box<dyn Optimizer>| {
        let mut trainer = trainer(optimizer);
        let error = trainer.fit(&data(5), FitOptions::new()).unwrap_err().to_string();
        assert_eq!(trainer.state.batches, 0);
        error
    };
    let group = || Group::new().learning_rate_scale(0.1);
    let error = refused(Box::new(Sgd::new(0.1).group("features.*", group())));
    assert!(error.contains("the pattern `features.*` matches none of the 4 parameters"), "{error}");
    let error = refused(Box::new(Sgd::new(0.1).group("features.*", group()).clip_norm(1.0)));
    assert!(error.contains("the pattern `features.*` matches none"), "{error}");
    let schedule = LinearWarmup::new(3).then(3, CosineDecay::new(0));
    let error = refused(Box::new(Sgd::new(0.1).schedule(schedule)));
    assert!(error.contains("CosineDecay over 0 steps: at least 1 is needed"), "{error}");
    let error = refused(Box::new(Sgd::new(0.1).schedule(StepDecay::new(3, -0.5).times(CosineDecay::new(2)))));
    assert!(error.contains("the factor of StepDecay is -0.5"), "{error}");
    assert!(refused(Box::new(Sgd::new(0.1).momentum(-1.0))).contains("the momentum is -1"));
    assert!(refused(Box::new(Sgd::new(0.1).clip_norm(f64::NAN))).contains("gradient norm to clip at is NaN"));
}
