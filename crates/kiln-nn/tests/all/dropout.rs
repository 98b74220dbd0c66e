//! Dropout: what it keeps on average, and what its draws depend on.

use kiln_autograd::Var;
use kiln_math::{Purpose, RandomStream};
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

/// Numbers that a layer makes of ones in training.
fn noise(layer: &dyn AnyLayer, n: usize) -> Vec<f64> {
    run(layer, &Ctx::train(1, 0), n).into_iter().map(f64::from).collect()
}

/// The mean and the variance.
fn moments(values: &[f64]) -> (f64, f64) {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    (mean, values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / values.len() as f64)
}

#[test]
fn noise_has_the_moments_that_it_should() {
    const N: usize = 100_000;
    let close = |what: &str, (mean, variance): (f64, f64), expected: (f64, f64)| {
        assert!((mean - expected.0).abs() < 0.01 && (variance - expected.1).abs() < 0.02, "{what}: {mean}, {variance}");
    };
    close("added", moments(&noise(&GaussianNoise::new(0.5), N)), (1.0, 0.25));
    close("multiplied", moments(&noise(&GaussianDropout::new(0.2), N)), (1.0, 0.25));
    // Of numbers of mean 0 and variance 1, alpha dropout makes such again.
    let x = Tensor::normal(N, 0.0, 1.0, DType::F32, &Device::cpu(), RandomStream::new(1, Purpose::Data, 0)).unwrap();
    let y = AlphaDropout::new(0.3).forward(Var::constant(x), &Ctx::train(1, 0)).unwrap();
    close("alpha", moments(&y.tensor().to_f64_vec().unwrap()), (0.0, 1.0));
}

#[test]
fn alpha_dropout_is_its_formula() {
    let (rate, alpha) = (0.25f64, -1.758_099_340_847_376_6);
    let a = ((1.0 - rate) * (1.0 + rate * alpha * alpha)).powf(-0.5);
    let b = -a * alpha * rate;
    let y = noise(&AlphaDropout::new(rate), 10_000);
    let (kept, dropped) = (a + b, a * alpha + b);
    let near = |v: f64, to: f64| (v - to).abs() < 1e-5;
    assert!(y.iter().all(|&v| near(v, kept) || near(v, dropped)));
    let share = y.iter().filter(|&&v| near(v, dropped)).count() as f64 / 10_000.0;
    assert!((share - rate).abs() < 0.02, "{share}");
}

#[test]
fn noise_is_repeatable_and_evaluation_without_effect() {
    let layers: [Box<dyn AnyLayer>; 4] = [
        Box::new(GaussianNoise::new(0.5)),
        Box::new(GaussianDropout::new(0.5)),
        Box::new(AlphaDropout::new(0.5)),
        Box::new(DropPath::new(0.5)),
    ];
    for layer in layers {
        let draw = |seed, step| run(&*layer, &Ctx::train(seed, step), 1024);
        assert_eq!(draw(1, 0), draw(1, 0), "{}", layer.name());
        assert_eq!(run(&*layer, &Ctx::eval(), 64), [1.0; 64], "{}", layer.name());
        if layer.name() != "DropPath" {
            assert!(draw(1, 0) != draw(1, 1) && draw(1, 0) != draw(2, 0), "{}", layer.name());
        }
    }
}

#[test]
fn whole_samples_are_dropped() {
    let x = Var::variable(Tensor::ones([400, 2, 3], DType::F32, &Device::cpu()).unwrap());
    let y = DropPath::new(0.25).forward(x.clone(), &Ctx::train(1, 0)).unwrap();
    let values = y.tensor().to_vec::<f32>().unwrap();
    let rows: Vec<&[f32]> = values.chunks_exact(6).collect();
    assert!(rows.iter().all(|row| row.iter().all(|v| *v == row[0] && (*v == 0.0 || (*v - 4.0 / 3.0).abs() < 1e-6))));
    let share = rows.iter().filter(|row| row[0] == 0.0).count() as f64 / 400.0;
    assert!((share - 0.25).abs() < 0.08, "{share}");
    let gradients = y.sum_all().unwrap().backward().unwrap();
    assert_eq!(gradients.of(&x).unwrap().to_vec::<f32>().unwrap(), values);
}

#[test]
fn noise_that_makes_no_sense() {
    let refused = |layer: Box<dyn AnyLayer>, sentence: &str| {
        let error = layer.forward_any(ones(4).into(), &Ctx::train(0, 0)).unwrap_err().to_string();
        assert_eq!(error, sentence);
        let mut layer = layer;
        assert!(layer.build_any(&Shapes::from([4]), &mut Init::new(1, &Device::cpu())).is_err());
    };
    refused(
        Box::new(GaussianNoise::new(-0.5)),
        "gaussian_noise: a standard deviation of 0 or more is expected, got -0.5",
    );
    refused(Box::new(GaussianDropout::new(1.0)), "gaussian_dropout: a rate from 0 to below 1 is expected, got 1");
    refused(Box::new(AlphaDropout::new(f64::NAN)), "alpha_dropout: a rate from 0 to below 1 is expected, got NaN");
    refused(Box::new(DropPath::new(1.5)), "dropout: a rate from 0 to 1 is expected, got 1.5");
}
