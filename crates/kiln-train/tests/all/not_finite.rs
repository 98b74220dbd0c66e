//! Losses that are not finite: where training stops, with which weights, and what is named.

use super::training::{bits, cpu};
use kiln_autograd::Var;
use kiln_datasets::{Dataset, TensorDataset};
use kiln_nn::*;
use kiln_optim::Sgd;
use kiln_tensor::{DType, Result, Tensor};
use kiln_train::*;

#[test]
fn a_loss_that_is_no_number_stops_at_its_step_with_the_weights_of_before() {
    let mut inputs = vec![0.5f32; 40];
    inputs[25] = f32::NAN;
    let inputs = Tensor::from_slice(&inputs, [40, 1], &cpu()).unwrap();
    let data = TensorDataset::new(inputs.clone(), Tensor::ones([40, 1], DType::F32, &cpu()).unwrap()).unwrap();
    let model = Sequential::new().push(Dense::new(1)).build([1], &cpu(), 1).unwrap();
    let mut trainer = compile(model, Sgd::new(0.1), MeanSquaredError::new());
    let before = bits(&trainer.objective);
    // Batches of ten in order: the third has it.
    let error = trainer.fit(&data, FitOptions::new().batch_size(10).shuffle(false)).unwrap_err().to_string();
    assert!(error.contains("the loss of step 3 is NaN; the first"), "{error}");
    assert!(error.contains("are the input of model (Sequential)"), "{error}");
    assert!(error.ends_with("; the weights are again those that it began with"), "{error}");
    assert_eq!((bits(&trainer.objective), trainer.steps()), (before, 0));
}

#[test]
fn a_run_that_diverges_keeps_its_last_completed_epoch() {
    let column = |values: &[f32]| Tensor::from_slice(values, [values.len(), 1], &cpu()).unwrap();
    let data = TensorDataset::new(column(&[1.0, 2.0, 3.0, 4.0]), column(&[1.0, 0.0, 1.0, 0.0])).unwrap();
    // Each step overshoots the minimum by more than the last one did.
    let trainer = || {
        let model = Sequential::new().push(Dense::new(1)).build([1], &cpu(), 1).unwrap();
        compile(model, Sgd::new(10.0), MeanSquaredError::new())
    };
    // In the middle of an epoch or in its validation.
    for batch_size in [2, 4] {
        let options = |epochs| FitOptions::new().epochs(epochs).batch_size(batch_size);
        let mut diverging = trainer();
        let mut completed = 0;
        let validated = options(1000).validation(&data).on_epoch(|record| completed = record.epoch);
        let error = diverging.fit(&data, validated).unwrap_err().to_string();
        assert!(completed > 2 && error.ends_with(&format!("again those of epoch {completed}")), "{error}");

        let mut until_then = trainer();
        until_then.fit(&data, options(completed)).unwrap();
        assert_eq!(bits(&diverging.objective), bits(&until_then.objective));
        assert_eq!(diverging.steps(), until_then.steps());
    }
}

#[test]
fn a_validation_loss_that_is_no_number_stops_the_training() {
    let ones = |value: f64| Tensor::full([4, 1], value, DType::F32, &cpu()).unwrap();
    let data = TensorDataset::new(ones(1.0), ones(0.0)).unwrap();
    let model = Sequential::new().push(Dense::new(1)).build([1], &cpu(), 1).unwrap();
    let mut trainer = compile(model, Sgd::new(1e300), MeanSquaredError::new());
    let before = bits(&trainer.objective);
    // One step: its loss is that of the first weights, the next ones are infinite.
    let error = trainer.fit(&data, FitOptions::new().validation(&data)).unwrap_err().to_string();
    assert!(error.contains("the validation loss after step 1 is inf; the first values that are not finite"), "{error}");
    assert_eq!(bits(&trainer.objective), before);
}

/// A layer that overflows in training, on some samples only.
#[derive(Module, Describe)]
struct Explosive;

impl Layer for Explosive {
    type Input = Var;
    type Output = Var;

    fn forward(&self, x: Var, ctx: &Ctx) -> Result<Var> {
        if ctx.is_training() { x.mul_scalar(1e30)?.exp() } else { Ok(x) }
    }
}

/// What `fit` says of a model whose loss is not finite in its first step.
fn first_words<L: Loss>(model: Sequential, loss: L, data: &dyn Dataset) -> String {
    let mut trainer = compile(model, Sgd::new(0.1), loss);
    let error = trainer.fit(data, FitOptions::new()).unwrap_err().to_string();
    assert!(error.starts_with("fit: the loss of step 1 is ") && trainer.steps() == 0, "{error}");
    error
}

#[test]
fn the_first_layer_that_is_not_finite_is_named() {
    let ones = |columns: usize| Tensor::ones([4, columns], DType::F32, &cpu()).unwrap();
    let data = TensorDataset::new(ones(2), ones(1)).unwrap();
    let dense = |units: usize, value: f64| Dense::new(units).kernel_initializer(Initializer::Constant(value));
    let build = |model: Sequential| model.build([2], &cpu(), 1).unwrap();
    let mse = MeanSquaredError::new();

    // Inside an inner model, after dropout that is drawn again as it was.
    let inner = Sequential::new().push(Dropout::new(0.5)).push(Explosive);
    let model = Sequential::new().push(dense(64, 1.0)).push(inner).push(dense(1, 1.0));
    let error = first_words(build(model), mse, &data);
    assert!(error.contains("not finite are the output of model.1.1 (Explosive): a smaller"), "{error}");
    // Weights that are not finite themselves.
    let mut model = build(Sequential::new().push(dense(3, 1.0)).push(Activation::Tanh).push(dense(1, 1.0)));
    let parameters = model.parameters_mut();
    let (_, weight) = parameters.into_iter().nth(2).unwrap();
    weight.set(Tensor::full([1, 3], f64::NAN, DType::F32, &cpu()).unwrap()).unwrap();
    let error = first_words(model, mse, &data);
    assert!(error.contains("the output of model.2 (Dense)"), "{error}");
    // A loss of its own making, and a penalty.
    let broken = TensorDataset::new(ones(2), Tensor::full([4, 1], f64::INFINITY, DType::F32, &cpu()).unwrap()).unwrap();
    let error = first_words(build(Sequential::new().push(dense(1, 1.0))), mse, &broken);
    assert!(error.contains("the values of all layers are finite"), "{error}");
    let error = first_words(build(Sequential::new().push(dense(1, 1e15).kernel_regularizer(L2(1e30)))), mse, &data);
    assert!(error.contains("the targets, the loss or a penalty"), "{error}");
}

#[test]
fn a_model_of_one_layer_is_named_as_well() {
    let layer = Dense::with_sizes(2, 1, &mut Init::new(1, &cpu())).unwrap();
    let ones = |columns: usize| Tensor::ones([4, columns], DType::F32, &cpu()).unwrap();
    let mut trainer = compile(layer, Sgd::new(0.1), MeanSquaredError::new());
    let narrow = TensorDataset::new(ones(3), ones(1)).unwrap();
    let error = trainer.fit(&narrow, FitOptions::new()).unwrap_err().to_string();
    assert!(error.contains("model (Dense): linear"), "{error}");
    let huge = TensorDataset::new(ones(2).mul_scalar(f64::from(f32::MAX)).unwrap(), ones(1)).unwrap();
    trainer.objective.model.parameters_mut()[0].1.set(Tensor::full([1, 2], 8.0, DType::F32, &cpu()).unwrap()).unwrap();
    let error = trainer.fit(&huge, FitOptions::new()).unwrap_err().to_string();
    assert!(
        error.contains(
            "the loss of step 1 is inf; the first values that are not finite are the output of model (Dense)"
        )
    );
}
