//! Averages of weights, steps of two passes, and rates that fall on a plateau, in `fit`.

use kiln_datasets::{AddingProblem, TensorDataset};
use kiln_math::{Purpose, RandomStream};
use kiln_nn::*;
use kiln_optim::*;
use kiln_tensor::{DType, Device, Result, Tensor};
use kiln_train::*;

fn cpu() -> Device {
    Device::cpu()
}

fn draw(dims: &[usize], index: u64) -> Tensor {
    Tensor::uniform(dims, -1.0, 1.0, DType::F32, &cpu(), RandomStream::new(3, Purpose::Data, index)).unwrap()
}

fn data() -> TensorDataset {
    TensorDataset::new(draw(&[12, 3], 0), draw(&[12, 2], 1)).unwrap()
}

fn model() -> Sequential {
    let hidden = Dense::new(4).activation(Activation::Tanh);
    let model = Sequential::new().push(BatchNorm1d::new()).push(hidden).push(Dropout::new(0.2)).push(Dense::new(2));
    model.build([3], &cpu(), 1).unwrap()
}

fn trainer<P: Optimizer>(optimizer: P) -> Trainer<Supervised<Sequential, MeanSquaredError>, P> {
    compile(model(), optimizer, MeanSquaredError::new())
}

fn values(model: &dyn Module) -> Vec<(String, Vec<f64>)> {
    model.state_dict().into_iter().map(|(path, value)| (path, value.to_f64_vec().unwrap())).collect()
}

fn near(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    let close = found.iter().zip(expected).all(|(f, e)| (f - e).abs() <= tolerance * (1.0 + e.abs()));
    assert!(close, "{found:?}, expected {expected:?}");
}

/// The last layer's weight after each step, and of each epoch the validation's loss.
#[derive(Default)]
struct Seen {
    weights: Vec<Vec<f64>>,
    losses: Vec<f64>,
}

impl Callback for Seen {
    fn on_step_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        self.weights.push(run.model.state_dict()["3.weight"].to_f64_vec()?);
        Ok(())
    }
    fn on_epoch_end(&mut self, _: &mut Run<'_>, record: &EpochRecord) -> Result<()> {
        self.losses.extend(record.validation.as_ref().map(|validation| validation.loss));
        Ok(())
    }
}

#[test]
fn a_moving_average_of_the_steps() {
    let (mut ema, mut seen) = (Ema::new(0.8), Seen::default());
    let validation = data();
    let options = FitOptions::new().epochs(3).batch_size(4).seed(5).validation(&validation);
    let mut trainer = trainer(Sgd::new(0.1));
    trainer.fit(&data(), options.callback(&mut seen).callback(&mut ema)).unwrap();
    let mut expected = seen.weights[0].clone();
    for weights in &seen.weights[1..] {
        expected.iter_mut().zip(weights).for_each(|(average, new)| *average = 0.8 * *average + 0.2 * new);
    }
    // The model has it at the end, and had it in the validation.
    near(&trainer.objective.state_dict()["3.weight"].to_f64_vec().unwrap(), &expected, 1e-6);
    assert_eq!(trainer.evaluate(&validation).unwrap().loss, seen.losses[2]);
    ema.average.swap(&mut trainer.objective).unwrap();
    assert_eq!(&trainer.objective.state_dict()["3.weight"].to_f64_vec().unwrap(), seen.weights.last().unwrap());
    assert_ne!(trainer.evaluate(&validation).unwrap().loss, seen.losses[2]);
}

/// Two epochs and two more are four, with the same callback and with one that takes over its state.
#[test]
fn averages_go_on() {
    fn options<'a>(epochs: usize, average: &'a mut (dyn Callback + 'a)) -> FitOptions<'a> {
        FitOptions::new().epochs(epochs).batch_size(4).seed(5).callback(average)
    }
    let averages: [(Made, &str); 3] = [
        (|| Box::new(Ema::new(0.8).every(2)), "ema"),
        (|| Box::new(Swa::from_epoch(2)), "swa"),
        // The first two epochs end before it begins.
        (|| Box::new(Swa::from_epoch(3)), "swa of the second fit"),
    ];
    for (made, name) in averages {
        let (mut whole, mut average) = (trainer(Adam::new(0.05)), made());
        whole.fit(&data(), options(4, average.callback())).unwrap();
        let (mut parts, mut average) = (trainer(Adam::new(0.05)), made());
        parts.fit(&data(), options(2, average.callback())).unwrap();
        let (state, kept) = (parts.state_dict().unwrap(), average.state_dict().unwrap());
        parts.fit(&data(), options(2, average.callback())).unwrap();
        assert_eq!(values(&whole.objective), values(&parts.objective), "{name}");
        let (mut resumed, mut average) = (trainer(Adam::new(0.05)), made());
        resumed.load_state_dict(&state).unwrap();
        average.load_state_dict(&kept).unwrap();
        resumed.fit(&data(), options(2, average.callback())).unwrap();
        assert_eq!(values(&whole.objective), values(&resumed.objective), "{name}, resumed");
    }
}

type Made = fn() -> Box<dyn Average>;

/// A callback with a state.
trait Average: Stateful {
    fn callback(&mut self) -> &mut dyn Callback;
}

impl<A: Stateful + Callback> Average for A {
    fn callback(&mut self) -> &mut dyn Callback {
        self
    }
}

/// The mean of the weights after epochs 2 to 4, and batch norms with the mean of the data's statistics.
#[test]
fn stochastic_weight_averaging() {
    let mut after = Vec::new();
    struct Epochs<'s>(&'s mut Vec<Vec<f64>>);
    impl Callback for Epochs<'_> {
        fn on_epoch_end(&mut self, run: &mut Run<'_>, _: &EpochRecord) -> Result<()> {
            self.0.push(run.model.state_dict()["3.weight"].to_f64_vec()?);
            Ok(())
        }
    }
    let mut trainer = trainer(Sgd::new(0.3));
    let options = FitOptions::new().epochs(4).batch_size(4).seed(5).callback(Epochs(&mut after));
    trainer.fit(&data(), options.callback(Swa::from_epoch(2))).unwrap();
    let mean: Vec<f64> = (0..after[0].len()).map(|at| (after[1][at] + after[2][at] + after[3][at]) / 3.0).collect();
    let state = trainer.objective.state_dict();
    near(&state["3.weight"].to_f64_vec().unwrap(), &mean, 1e-6);
    let x = draw(&[12, 3], 0);
    near(&state["0.running_mean"].to_f64_vec().unwrap(), &x.mean(0).unwrap().to_f64_vec().unwrap(), 1e-6);

    // By hand: the mean of the batches' unbiased variances.
    trainer.update_batch_norm(&data()).unwrap();
    let parts = (0..3).map(|at| x.slice(0, at * 4..at * 4 + 4).unwrap().var(0, 1).unwrap().to_f64_vec().unwrap());
    let mut variance = vec![0.0; 3];
    parts.for_each(|part| variance.iter_mut().zip(part).for_each(|(sum, part)| *sum += part / 3.0));
    near(&trainer.objective.state_dict()["0.running_var"].to_f64_vec().unwrap(), &variance, 1e-6);

    for (wrong, expected) in [(Ema::new(1.0), "the decay is 1"), (Ema::new(0.9).every(0), "every(0)")] {
        let error = trainer.fit(&data(), FitOptions::new().callback(wrong)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

/// A last batch of 1 sample, which batch norms cannot be computed for, is left out; data without an end is refused.
#[test]
fn statistics_of_data_that_leaves_one_sample() {
    let (x, y) = (draw(&[13, 3], 0), draw(&[13, 2], 1));
    let all = TensorDataset::new(x.copied().unwrap(), y.copied().unwrap()).unwrap();
    let most = |of: &Tensor| of.slice(0, 0..12).unwrap().copied().unwrap();
    let (mut found, mut expected) = (trainer(Sgd::new(0.1)), trainer(Sgd::new(0.1)));
    for trainer in [&mut found, &mut expected] {
        trainer.fit(&data(), FitOptions::new().batch_size(4).seed(5)).unwrap();
    }
    found.update_batch_norm(&all).unwrap();
    expected.update_batch_norm(&TensorDataset::new(most(&x), most(&y)).unwrap()).unwrap();
    assert_eq!(values(&found.objective), values(&expected.objective));

    let before = values(&found.objective);
    let error = found.update_batch_norm(&AddingProblem::new(usize::MAX, 5, 1).unwrap()).unwrap_err().to_string();
    assert!(error.contains("the data has no end"), "{error}");
    assert_eq!(values(&found.objective), before);
}

/// What layers carry is what it was, also after data that does not fit.
#[test]
fn statistics_leave_carried_states() {
    let layers = Sequential::new()
        .push(Lstm::new(3).return_sequences(true).stateful(true))
        .push(BatchNorm1d::new())
        .push(Dense::new(1));
    let model = layers.build([6, 2], &cpu(), 1).unwrap();
    let mut trainer = compile(model, Sgd::new(0.1), MeanSquaredError::new());
    let sequences = TensorDataset::new(draw(&[4, 6, 2], 0), draw(&[4, 6, 1], 1)).unwrap();
    trainer.fit(&sequences, FitOptions::new().batch_size(2).shuffle(false)).unwrap();
    let carried = |trainer: &Trainer<Supervised<Sequential, MeanSquaredError>, Sgd>| {
        let states = trainer.objective.carried_states().into_iter();
        states.map(|(name, value)| (name, value.to_f64_vec().unwrap())).collect::<Vec<_>>()
    };
    let before = carried(&trainer);
    assert!(!before.is_empty());
    let wrong = TensorDataset::new(draw(&[4, 6, 2], 0), draw(&[4, 5, 1], 1)).unwrap();
    assert!(trainer.update_batch_norm(&wrong).is_err());
    assert_eq!(carried(&trainer), before);
    trainer.update_batch_norm(&sequences).unwrap();
    assert_eq!(carried(&trainer), before);
}

/// `fit` makes both passes: as `step_with` does, with the batch norm's averages of the first one.
#[test]
fn two_passes() {
    let sam = || Sam::new(Sgd::new(0.1).momentum(0.9), 0.5);
    let (mut fitted, mut by_hand, mut optimizer) = (trainer(sam()), model(), sam());
    let set = data();
    let (x, y) = (draw(&[12, 3], 0), draw(&[12, 2], 1));
    fitted.fit(&set, FitOptions::new().epochs(3).batch_size(12).shuffle(false).seed(5)).unwrap();
    for step in 0..3 {
        let mut first = None;
        let loss = |model: &Sequential| {
            let ctx = Ctx::train(5, step);
            let output = model.forward(kiln_autograd::Var::constant(x.clone()), &ctx)?;
            first.get_or_insert(ctx);
            MeanSquaredError::new().forward(&output, &y)
        };
        optimizer.step_with(&mut by_hand, loss).unwrap();
        first.unwrap().commit(&mut by_hand).unwrap();
    }
    assert_eq!(values(&fitted.objective), values(&by_hand));
    // It is not the step of one pass, and goes through clipping and accumulation.
    let mut plain = trainer(Sgd::new(0.1).momentum(0.9));
    plain.fit(&set, FitOptions::new().epochs(3).batch_size(12).shuffle(false).seed(5)).unwrap();
    assert_ne!(values(&plain.objective), values(&by_hand));
    let halves = FitOptions::new().batch_size(6).accumulate(2).clip_norm(1e-3).seed(5);
    let mut both = trainer(sam());
    both.fit(&set, halves).unwrap();
    let moved = values(&both.objective)
        .iter()
        .zip(values(&model()))
        .filter(|((path, _), _)| !path.contains("running"))
        .flat_map(|((_, new), (_, old))| new.iter().zip(old).map(|(new, old)| (new - old).powi(2)).collect::<Vec<_>>())
        .sum::<f64>()
        .sqrt();
    near(&[moved], &[1e-4], 1e-6);
}

/// The second pass begins with the states that the first one began with, and leaves those that it left.
#[test]
fn carried_states_go_on_once() {
    let sequences = TensorDataset::new(draw(&[4, 6, 2], 0), draw(&[4, 6, 1], 1)).unwrap();
    let trained = |optimizer: Box<dyn Optimizer>| {
        let layers = Sequential::new().push(Lstm::new(3).return_sequences(true).stateful(true)).push(Dense::new(1));
        let mut trainer = compile(layers.build([6, 2], &cpu(), 1).unwrap(), optimizer, MeanSquaredError::new());
        trainer.fit(&sequences, FitOptions::new().epochs(2).batch_size(1).shuffle(false).accumulate(2)).unwrap();
        values(&trainer.objective)
    };
    // With hardly any radius it is the optimizer within.
    let (plain, sam) = (trained(Box::new(Sgd::new(0.5))), trained(Box::new(Sam::new(Sgd::new(0.5), 1e-9))));
    for ((_, plain), (_, sam)) in plain.iter().zip(&sam) {
        near(sam, plain, 1e-6);
    }
}

#[test]
fn a_plateau_is_pytorchs() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/plateau.safetensors");
    let expected = safetensors::read(path, &cpu()).unwrap();
    let made = [
        ("defaults", ReduceOnPlateau::new().patience(3)),
        ("cooldown", ReduceOnPlateau::new().factor(0.5).patience(1).cooldown(3).threshold(0.05)),
        ("absolute", ReduceOnPlateau::new().factor(0.3).patience(0).absolute_threshold(0.02).least_rate(1e-3)),
        ("max", ReduceOnPlateau::new().larger_is_better(true).factor(0.7).patience(2).threshold(1e-3)),
    ];
    let seen = expected["values"].to_f64_vec().unwrap();
    for (name, mut plateau) in made {
        let mut optimizer = Sgd::new(1.0);
        for (epoch, expected) in expected[name].to_f64_vec().unwrap().into_iter().enumerate() {
            if epoch == 20 {
                // Another one that takes over the state goes on alike.
                let state = plateau.state_dict().unwrap();
                plateau.observe(f64::INFINITY, &mut Sgd::new(1.0)).unwrap();
                plateau.load_state_dict(&state).unwrap();
            }
            let value = if name == "max" { -seen[epoch] } else { seen[epoch] };
            plateau.observe(value, &mut optimizer).unwrap();
            let found = optimizer.learning_rate();
            assert!((found - expected).abs() < 1e-15, "{name}, epoch {epoch}: {found}, PyTorch has {expected}");
        }
    }
}

#[test]
fn a_plateau_and_a_schedule() {
    let mut rates = Vec::new();
    struct Rates<'r>(&'r mut Vec<f64>);
    impl Callback for Rates<'_> {
        fn on_epoch_end(&mut self, run: &mut Run<'_>, _: &EpochRecord) -> Result<()> {
            self.0.push(run.learning_rate());
            Ok(())
        }
    }
    let ones = |columns| Tensor::ones([8, columns], DType::F32, &cpu()).unwrap();
    let set = TensorDataset::new(ones(3), ones(2)).unwrap();
    let plateau = ReduceOnPlateau::new().monitor("loss").patience(1).factor(0.5).absolute_threshold(1e9);
    let mut trainer = compile(
        Sequential::new().push(Dense::new(2)).build([3], &cpu(), 1).unwrap(),
        Sgd::new(0.1).schedule(StepDecay::new(3, 0.1)),
        MeanSquaredError::new(),
    );
    let options = FitOptions::new().epochs(6).batch_size(8).callback(Rates(&mut rates));
    trainer.fit(&set, options.callback(plateau)).unwrap();
    // The plateau halves after epochs 3 and 5, the schedule is a tenth from step 3 on.
    near(&rates, &[0.1, 0.1, 0.1, 0.005, 0.005, 0.0025], 1e-12);
    let wrong = [
        (ReduceOnPlateau::new(), "no epoch reports `val_loss`, only loss; give `fit` data to validate on"),
        (ReduceOnPlateau::new().monitor("loss").factor(1.0), "factor 1: a number between 0 and 1 is expected"),
        (ReduceOnPlateau::new().monitor("loss").threshold(-1.0), "threshold -1: at least 0 and finite"),
        (ReduceOnPlateau::new().monitor("loss").least_rate(f64::NAN), "least_rate NaN"),
    ];
    for (plateau, expected) in wrong {
        let error = trainer.fit(&set, FitOptions::new().callback(plateau)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let mut foreign = trainer.optimizer.state_dict().unwrap();
    assert!(ReduceOnPlateau::new().load_state_dict(&foreign).unwrap_err().to_string().contains("does not belong here"));
    foreign.clear();
    assert!(ReduceOnPlateau::new().load_state_dict(&foreign).unwrap_err().to_string().contains("`wait` is missing"));
}
