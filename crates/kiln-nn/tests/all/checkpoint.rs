//! `Sequential::checkpoint_every`: the same bits as without, whatever the layers remember, draw or hand in.

use kiln_autograd::{Gradients, Var, grad};
use kiln_nn::*;
use kiln_tensor::{DType, Device, Result, Tensor};

fn cpu() -> Device {
    Device::cpu()
}

/// Dropout, running averages, carried states, penalties of weights and outputs, a block of several layers.
fn layers() -> Sequential {
    let block = Sequential::new()
        .push(Conv1d::new(6, 3).padding(1).kernel_regularizer(L2(0.01)))
        .push(BatchNorm1d::new().activation(Activation::Relu))
        .push(Dropout::new(0.3));
    Sequential::new()
        .push(Embedding::new(11, 6))
        .push(Lstm::new(6).return_sequences(true).stateful(true))
        .push(Dropout::new(0.5))
        .push(Residual::new(block.checkpoint_every(2)))
        .push(Dense::new(5).activation(Activation::Tanh).activity_regularizer(L1(0.02)).kernel_regularizer(L1(0.03)))
        .push(Dropout::new(0.2))
        .push(Flatten::new())
        .push(Dense::new(3).activation(Activation::Softmax))
}

fn tokens(at: i64) -> Tensor {
    let tokens: Vec<i64> = (0..24).map(|i| (i * 7 + at) % 11).collect();
    Tensor::from_slice(&tokens, [4, 6], &cpu()).unwrap()
}

/// Gradients of two batches one after the other, then all that the model remembers.
fn trained(model: Sequential) -> (Vec<f64>, Vec<Vec<f64>>, Vec<Vec<f64>>) {
    let mut model = model.build([6], &cpu(), 5).unwrap();
    let labels = Tensor::from_slice(&[0i64, 2, 1, 1], [4], &cpu()).unwrap();
    let (mut losses, mut gradients) = (Vec::new(), Vec::new());
    for step in 0..2 {
        let ctx = Ctx::train(3, step);
        let y = model.forward(tokens(step as i64), &ctx).unwrap();
        let loss = SparseCategoricalCrossentropy::new().forward(&y, &labels).unwrap();
        let loss = loss.add(&ctx.penalty().unwrap().unwrap()).unwrap();
        losses.push(loss.item().unwrap());
        let all: Gradients = loss.backward().unwrap();
        gradients.extend(model.named_gradients(&all).iter().map(|(_, gradient)| gradient.to_f64_vec().unwrap()));
        assert_eq!(all.len(), model.parameters().len());
        ctx.commit(&mut model).unwrap();
    }
    let kept = model.state_dict().into_iter().chain(model.carried_states());
    (losses, gradients, kept.map(|(_, value)| value.to_f64_vec().unwrap()).collect())
}

#[test]
fn training_has_the_same_bits() {
    let plain = trained(layers());
    for every in [1, 2, 3, 5, 100] {
        assert!(trained(layers().checkpoint_every(every)) == plain, "{every}");
    }
}

#[test]
fn gradients_of_gradients_are_the_same() -> Result<()> {
    let values = |every: Option<usize>| -> Result<Vec<f64>> {
        let model =
            Sequential::new().push(Dense::new(4).activation(Activation::Tanh)).push(Dense::new(3)).push(Dense::new(1));
        let model = every.into_iter().fold(model, Sequential::checkpoint_every);
        let model = model.build_with([3], &mut Init::new(2, &cpu()).dtype(DType::F64))?;
        let x = Var::variable(Tensor::from_slice(&[0.3f64, -0.4, 0.9, 1.0, 0.2, -0.8], [2, 3], &cpu())?);
        let y = model.forward(&x, &Ctx::train(0, 0))?.sum_all()?;
        // A penalty on the slopes, as of a WGAN's critic.
        let slopes = grad(&y, &[&x])?.remove(0).expect("x counts");
        let gradients = slopes.square()?.sum_all()?.backward()?;
        let named = model.named_gradients(&gradients).into_iter();
        Ok(named.flat_map(|(_, gradient)| gradient.to_f64_vec().unwrap()).collect())
    };
    let plain = values(None)?;
    assert!(!plain.is_empty());
    assert_eq!(values(Some(2))?, plain);
    Ok(())
}

#[test]
fn a_prediction_runs_each_layer_once_and_records_nothing() -> Result<()> {
    let model = layers().checkpoint_every(2).build([6], &cpu(), 5)?;
    let ctx = Ctx::eval().with_probe(KeptOutputs::default());
    let y = model.forward(tokens(0), &ctx)?;
    assert!(!y.requires_grad());
    let plain = layers().build([6], &cpu(), 5)?.forward(tokens(0), &Ctx::eval())?;
    assert_eq!(y.tensor().to_f64_vec()?, plain.tensor().to_f64_vec()?);
    // In training, probes see each layer once too.
    let ctx = Ctx::train(0, 0).with_probe(KeptOutputs::default());
    let y = model.forward(tokens(0), &ctx)?;
    let seen = ctx.probe::<KeptOutputs>().expect("it was given").take().len();
    y.sum_all()?.backward()?;
    assert!(seen > 8 && ctx.probe::<KeptOutputs>().expect("it was given").take().is_empty());
    Ok(())
}

#[test]
fn layers_that_change_before_the_backward_pass_are_refused() -> Result<()> {
    let mut model =
        Sequential::new().push(Dense::new(2)).push(Dense::new(1)).checkpoint_every(1).build([2], &cpu(), 1)?;
    let x = Tensor::ones([3, 2], DType::F32, &cpu())?;
    let loss = model.forward(&x, &Ctx::train(0, 0))?.mean_all()?;
    for (_, parameter) in model.parameters_mut() {
        let value = parameter.value().mul_scalar(2.0)?;
        parameter.set(value)?;
    }
    let error = loss.backward().unwrap_err().to_string();
    assert!(error.contains("call `backward` before the optimizer's step"), "{error}");
    // The model itself is as good as before.
    assert_eq!(model.forward(&x, &Ctx::train(0, 0))?.mean_all()?.backward()?.len(), 4);
    Ok(())
}

#[test]
fn it_is_part_of_the_architecture() -> Result<()> {
    let model = layers().checkpoint_every(3).build([6], &cpu(), 5)?;
    let architecture = model.architecture();
    assert_eq!(architecture["checkpoint_every"], 3);
    assert_eq!(Sequential::from_architecture(&architecture, &cpu())?.architecture(), architecture);
    let error = layers().checkpoint_every(0).build([6], &cpu(), 5).unwrap_err().to_string();
    assert!(error.contains("checkpoint_every(0)"), "{error}");
    let error =
        Sequential::new().push(Flatten::new()).checkpoint_every(0).forward(tokens(0), &Ctx::eval()).unwrap_err();
    assert!(error.to_string().contains("checkpoint_every(0)"), "{error}");
    Ok(())
}
