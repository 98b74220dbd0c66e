//! Batch normalization's running statistics: when they change, by what, and when they stay.

use kiln_autograd::Var;
use kiln_math::{Purpose, RandomStream};
use kiln_nn::*;
use kiln_tensor::{DType, Device, Tensor};
use proptest::prelude::*;

fn random(dims: &[usize], seed: u64) -> Tensor {
    Tensor::uniform(dims, -2.0, 3.0, DType::F64, &Device::cpu(), RandomStream::new(seed, Purpose::Data, 0)).unwrap()
}

fn built<const N: usize>(layer: BatchNorm<N>, channels: usize) -> BatchNorm<N> {
    layer.with_input(channels, &mut Init::new(1, &Device::cpu()).dtype(DType::F64)).unwrap()
}

fn running<const N: usize>(layer: &BatchNorm<N>) -> (Vec<f64>, Vec<f64>) {
    let (mean, variance) = layer.running().unwrap();
    (mean.value().to_f64_vec().unwrap(), variance.value().to_f64_vec().unwrap())
}

/// One step's pass and its commit.
fn step<const N: usize>(layer: &mut BatchNorm<N>, x: &Tensor) -> Tensor {
    let ctx = Ctx::train(0, 0);
    let y = layer.forward(Var::from(x), &ctx).unwrap();
    ctx.commit(layer).unwrap();
    y.into_tensor()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Against loops over (N, C, S): outputs in training and evaluation, and averages over three steps.
    #[test]
    fn outputs_and_averages(n in 1usize..5, c in 1usize..5, h in 1usize..5, w in 1usize..5, keras: bool, relu: bool,
                            momentum in 0.0f64..1.0, seed: u64) {
        prop_assume!(n * h * w > 1);
        let (epsilon, unbiased) = if keras { (1e-3, false) } else { (1e-5, true) };
        let layer = if keras { BatchNorm2d::new().keras() } else { BatchNorm2d::new() };
        let activation = if relu { Activation::Relu } else { Activation::Linear };
        let mut layer = built(layer.momentum(momentum).activation(activation), c);
        let (mut mean, mut variance) = (vec![0.0; c], vec![1.0; c]);
        let activated = |y: f64| if relu { y.max(0.0) } else { y };
        for round in 0..3 {
            let x = random(&[n, c, h, w], seed.wrapping_add(round));
            let values = x.to_f64_vec().unwrap();
            let channel = |at: usize| at / (h * w) % c;
            let y = step(&mut layer, &x).to_f64_vec().unwrap();
            let count = (n * h * w) as f64;
            for channel_at in 0..c {
                let own: Vec<f64> = values.iter().enumerate().filter(|(at, _)| channel(*at) == channel_at).map(|(_, v)| *v).collect();
                let m = own.iter().sum::<f64>() / count;
                let v = own.iter().map(|x| (x - m) * (x - m)).sum::<f64>() / count;
                for (at, x) in values.iter().enumerate().filter(|(at, _)| channel(*at) == channel_at) {
                    let expected = activated((x - m) / (v + epsilon).sqrt());
                    prop_assert!((y[at] - expected).abs() < 1e-10, "{} for {}", y[at], expected);
                }
                let v = if unbiased { v * count / (count - 1.0) } else { v };
                mean[channel_at] = (1.0 - momentum) * mean[channel_at] + momentum * m;
                variance[channel_at] = (1.0 - momentum) * variance[channel_at] + momentum * v;
            }
            let (found_mean, found_variance) = running(&layer);
            for (found, expected) in found_mean.iter().chain(&found_variance).zip(mean.iter().chain(&variance)) {
                prop_assert!((found - expected).abs() < 1e-12 * (1.0 + expected.abs()));
            }
            let y = layer.forward(Var::from(&x), &Ctx::eval()).unwrap().tensor().to_f64_vec().unwrap();
            for (at, x) in values.iter().enumerate() {
                let expected = activated((x - mean[channel(at)]) / (variance[channel(at)] + epsilon).sqrt());
                prop_assert!((y[at] - expected).abs() < 1e-10);
            }
        }
    }
}

#[test]
fn a_step_that_is_not_committed_leaves_the_averages() {
    let mut layer = built(BatchNorm1d::new(), 3);
    let before = running(&layer);
    let ctx = Ctx::train(0, 0);
    layer.forward(Var::from(&random(&[4, 3], 1)), &ctx).unwrap();
    assert_eq!(running(&layer), before);
    ctx.commit(&mut layer).unwrap();
    assert_ne!(running(&layer), before);
}

#[test]
fn frozen_layers_use_their_averages_and_keep_them() {
    let x = random(&[4, 3], 1);
    let mut by_setting = built(BatchNorm1d::new().frozen(true), 3);
    let mut by_parameters = built(BatchNorm1d::new(), 3);
    by_parameters.set_trainable(false);
    for layer in [&mut by_setting, &mut by_parameters] {
        let before = running(layer);
        let y = step(layer, &x);
        assert_eq!(running(layer), before);
        let evaluated = layer.forward(Var::from(&x), &Ctx::eval()).unwrap();
        assert_eq!(y.to_f64_vec().unwrap(), evaluated.tensor().to_f64_vec().unwrap());
    }
}

#[test]
fn one_element_has_no_unbiased_variance() {
    let mut layer = built(BatchNorm1d::new(), 3);
    let x = random(&[1, 3], 1);
    let error = layer.forward(Var::from(&x), &Ctx::train(0, 0)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "batch_norm: more than one element of each channel is needed in training, got (1, 3); use another batch size, \
         leave out a last batch of 1 sample with `drop_last`, or take `BatchNorm::keras`"
    );
    assert_eq!(running(&layer).0, [0.0; 3]);
    // Keras's form takes it: the output is the bias.
    let mut layer_of_keras = built(BatchNorm1d::new().keras(), 3);
    assert_eq!(step(&mut layer_of_keras, &x).to_f64_vec().unwrap(), [0.0; 3]);
    // Evaluation and more than one position do as well.
    layer.forward(Var::from(&x), &Ctx::eval()).unwrap();
    step(&mut layer, &random(&[1, 3, 2], 1));
}

#[test]
fn constants_that_make_no_sense() {
    for layer in
        [BatchNorm2d::new().epsilon(-1.0), BatchNorm2d::new().epsilon(f64::NAN), BatchNorm2d::new().momentum(1.5)]
    {
        let error = layer.with_input(3, &mut Init::new(1, &Device::cpu())).unwrap_err().to_string();
        assert!(
            error.starts_with("build: an epsilon of at least 0 and a momentum from 0 to 1 are expected, got"),
            "{error}"
        );
    }
}

#[test]
fn pytorchs_counter_of_batches_is_passed_over() {
    let mut layer = built(BatchNorm2d::new(), 2);
    let mut state = layer.state_dict();
    assert_eq!(state.keys().collect::<Vec<_>>(), ["bias", "running_mean", "running_var", "weight"]);
    let count = Tensor::from_slice(&[7i64], (), &Device::cpu()).unwrap();
    state.insert("num_batches_tracked".into(), count.clone());
    assert_eq!(layer.load_state_dict(&state, true).unwrap(), Unmatched::default());
    state.insert("other.num_batches_tracked".into(), count);
    let error = layer.load_state_dict(&state, true).unwrap_err().to_string();
    assert!(error.ends_with("Unexpected (1): other.num_batches_tracked."), "{error}");
}
