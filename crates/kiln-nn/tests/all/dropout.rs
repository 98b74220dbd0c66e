//! Dropout: what it keeps on average, and what its draws depend on.

use kiln_autograd::Var;
use kiln_nn::*;
use kiln_tensor::{DType, Device, Tensor};

fn ones(n: usize) -> Var {
    Var::constant(Tensor::ones([1, n], DType::F32, &Device::cpu()).unwrap())
}

fn run(layer: &dyn AnyLayer, ctx: &Ctx, n: usize) -> Vec<f32> {
    layer.forward_any(ones(n).into(), ctx).unwrap().var().unwrap().tensor().to_vec::<f32>().unwrap()
}

#[test]
fn keeps_the_share_and_the_mean() {
    const N: usize = 100_000;
    for rate in [0.1, 0.5, 0.9] {
        let y = run(&Dropout::new(rate), &Ctx::train(1, 0), N);
        let kept = y.iter().filter(|&&v| v != 0.0).count() as f64 / N as f64;
        assert!(
            (kept - (1.0 - rate)).abs() < 5.0 * (rate * (1.0 - rate) / N as f64).sqrt(),
            "rate {rate}: kept {kept}"
        );
        let scale = (1.0 / (1.0 - rate)) as f32;
        assert!(y.iter().all(|&v| v == 0.0 || (v - scale).abs() <= f32::EPSILON * scale));
    }
}

#[test]
fn neighbors_are_independent() {
    const N: usize = 100_000;
    let y = run(&Dropout::new(0.5), &Ctx::train(1, 0), N);
    for lag in [1, 2, 4, 16, 64] {
        let both = y.iter().zip(&y[lag..]).filter(|(a, b)| **a != 0.0 && **b != 0.0).count() as f64 / (N - lag) as f64;
        assert!((both - 0.25).abs() < 0.01, "lag {lag}: {both}");
    }
}

#[test]
fn the_draw_is_fixed_by_seed_step_and_place() {
    let layer = Dropout::new(0.5);
    let draw = |seed, step| run(&layer, &Ctx::train(seed, step), 64);
    assert_eq!(draw(1, 0), draw(1, 0));
    assert_ne!(draw(1, 0), draw(1, 1));
    assert_ne!(draw(1, 0), draw(2, 0));
    let ctx = Ctx::train(1, 0);
    let first = run(&layer, &ctx, 64);
    assert_ne!(first, run(&layer, &ctx, 64), "a layer that is used twice draws twice");
    assert_eq!(first, draw(1, 0));

    let two = Sequential::new().push(Dropout::new(0.5)).push(Dropout::new(0.5)).build(64, &Device::cpu(), 1).unwrap();
    let kept = run(&two, &Ctx::train(1, 0), 64);
    let survivors = kept.iter().filter(|&&v| v == 4.0).count();
    assert!(
        kept.iter().all(|&v| v == 0.0 || v == 4.0) && (4..30).contains(&survivors),
        "{survivors} of 64, about 16 expected"
    );
}

#[test]
fn evaluation_and_rate_zero_change_nothing() {
    for (rate, ctx) in [(0.5, Ctx::eval()), (0.0, Ctx::train(1, 0))] {
        let x = ones(16);
        let y = Dropout::new(rate).forward(x.clone(), &ctx).unwrap();
        assert_eq!(y.tensor().storage_id(), x.tensor().storage_id());
    }
}

#[test]
fn the_gradient_has_the_same_mask() {
    let x = Var::variable(Tensor::ones([1, 50], DType::F32, &Device::cpu()).unwrap());
    let y = Dropout::new(0.5).forward(x.clone(), &Ctx::train(1, 0)).unwrap();
    let kept = y.tensor().to_vec::<f32>().unwrap();
    let gradients = y.sum_all().unwrap().backward().unwrap();
    assert_eq!(gradients.of(&x).unwrap().to_vec::<f32>().unwrap(), kept);
}

#[test]
fn whole_channels_are_dropped() {
    let (samples, channels, positions) = (50, 40, 6);
    let x = Var::variable(Tensor::ones([samples, channels, 2, 3], DType::F32, &Device::cpu()).unwrap());
    let y = Dropout2d::new(0.25).forward(x.clone(), &Ctx::train(1, 0)).unwrap();
    let values = y.tensor().to_vec::<f32>().unwrap();
    let scale = (1.0 / 0.75) as f32;
    let dropped = values.chunks_exact(positions).filter(|plane| plane.iter().all(|&v| v == 0.0)).count();
    let kept = values.chunks_exact(positions).filter(|plane| plane.iter().all(|&v| (v - scale).abs() < 1e-6)).count();
    assert_eq!(dropped + kept, samples * channels);
    let share = dropped as f64 / (samples * channels) as f64;
    assert!((share - 0.25).abs() < 0.05, "{share}");
    let gradients = y.sum_all().unwrap().backward().unwrap();
    assert_eq!(gradients.of(&x).unwrap().to_vec::<f32>().unwrap(), values);
    let evaluated = Dropout2d::new(0.25).forward(x.clone(), &Ctx::eval()).unwrap();
    assert_eq!(evaluated.tensor().storage_id(), x.tensor().storage_id());
}

#[test]
fn rates_that_make_no_sense() {
    for rate in [-0.1, 1.1, f64::NAN] {
        let error = Sequential::new().push(Dropout::new(rate)).build(4, &Device::cpu(), 1).unwrap_err().to_string();
        assert!(error.starts_with("model.0 (Dropout): dropout: a rate from 0 to 1 is expected"), "{error}");
        assert!(Dropout::new(rate).forward(ones(4), &Ctx::train(0, 0)).is_err());
    }
}

/// Nothing is kept, not even what is not finite, and no gradient flows.
#[test]
fn at_a_rate_of_one_everything_is_dropped() {
    let cpu = Device::cpu();
    let values = [1.0f32, -2.0, f32::INFINITY, f32::NAN];
    let x = Var::variable(Tensor::from_slice(&values, [1, 4], &cpu).unwrap());
    let y = Dropout::new(1.0).forward(x.clone(), &Ctx::train(0, 0)).unwrap();
    assert_eq!(y.tensor().to_vec::<f32>().unwrap(), [0.0; 4]);
    let gradients = y.sum_all().unwrap().backward().unwrap();
    assert_eq!(gradients.of(&x).unwrap().to_vec::<f32>().unwrap(), [0.0; 4]);
    let evaluated = Dropout::new(1.0).forward(ones(4), &Ctx::eval()).unwrap();
    assert_eq!(evaluated.tensor().to_vec::<f32>().unwrap(), [1.0; 4]);
    let image = Var::constant(Tensor::ones([1, 2, 2, 2], DType::F32, &cpu).unwrap());
    let y = Dropout2d::new(1.0).forward(image.clone(), &Ctx::train(0, 0)).unwrap();
    assert_eq!(y.tensor().to_vec::<f32>().unwrap(), [0.0; 8]);
}
