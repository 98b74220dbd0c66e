//! The latent values of a variational autoencoder: what is drawn, what it adds to the loss, and gradients.

use kiln_autograd::{Var, grad_check};
use kiln_nn::*;
use kiln_tensor::{DType, Device, Tensor};

/// Samples of means 1 and −2, and variances 4 and 0.25.
fn inputs(samples: usize, dtype: DType) -> Tensor {
    let row = [1.0, -2.0, 4f64.ln(), 0.25f64.ln()];
    let rows = Tensor::from_slice(&row, [1, 4], &Device::cpu()).unwrap().to_dtype(dtype).unwrap();
    rows.broadcast_to([samples, 4]).unwrap()
}

fn run(layer: &Reparameterize, x: &Tensor, ctx: &Ctx) -> Tensor {
    ctx.run(layer, x.clone()).unwrap().into_tensor()
}

#[test]
fn what_is_drawn_has_the_mean_and_the_variance() {
    const SAMPLES: usize = 40_000;
    let x = inputs(SAMPLES, DType::F32);
    let z = run(&Reparameterize::new(), &x, &Ctx::train(1, 0)).to_f64_vec().unwrap();
    for (column, mean, std) in [(0, 1.0, 2.0), (1, -2.0, 0.5)] {
        let values: Vec<f64> = z.iter().skip(column).step_by(2).copied().collect();
        let found = values.iter().sum::<f64>() / SAMPLES as f64;
        let deviation = (values.iter().map(|z| (z - found).powi(2)).sum::<f64>() / SAMPLES as f64).sqrt();
        let bound = 5.0 * std / (SAMPLES as f64).sqrt();
        assert!((found - mean).abs() < bound && (deviation - std).abs() < bound, "{found} and {deviation}");
    }
}

#[test]
fn the_draw_is_fixed_by_seed_and_step_and_there_is_none_in_evaluation() {
    let (layer, x) = (Reparameterize::new(), inputs(3, DType::F32));
    let draw = |seed, step| run(&layer, &x, &Ctx::train(seed, step)).to_vec::<f32>().unwrap();
    assert_eq!(draw(1, 0), draw(1, 0));
    assert_ne!(draw(1, 0), draw(1, 1));
    assert_ne!(draw(1, 0), draw(2, 0));
    assert_eq!(run(&layer, &x, &Ctx::eval()).to_vec::<f32>().unwrap(), [1.0, -2.0].repeat(3));
}

#[test]
fn the_divergence_is_the_mean_over_the_samples() {
    // ½ Σ (μ² + σ² − 1 − ln σ²)
    let expected = 0.5 * ((1.0 + 4.0 - 1.0 - 4f64.ln()) + (4.0 + 0.25 - 1.0 - 0.25f64.ln()));
    for (ctx, weight) in [(Ctx::eval(), 1.0), (Ctx::train(1, 0), 0.5)] {
        run(&Reparameterize::new().weight(weight), &inputs(6, DType::F64), &ctx);
        let penalty = ctx.penalty().unwrap().unwrap().item().unwrap();
        assert!((penalty - weight * expected).abs() < 1e-12, "{penalty}");
    }
}

#[test]
fn gradients_go_through_the_draw_and_the_divergence() {
    let loss = |v: &[Var]| {
        let ctx = Ctx::train(7, 3);
        let z = ctx.run(&Reparameterize::new().weight(0.3), &v[0])?;
        z.square()?.sum_all()?.add(&ctx.penalty()?.unwrap())
    };
    grad_check(loss, &[inputs(2, DType::F64).contiguous().unwrap()]).unwrap();
}

#[test]
fn what_makes_no_sense_is_refused() {
    let build = |layer: Reparameterize, sample: usize| {
        Sequential::new().push(layer).build(sample, &Device::cpu(), 1).unwrap_err().to_string()
    };
    assert!(build(Reparameterize::new(), 5).contains("means and logarithms of variances, are expected, got (5,)"));
    for weight in [-1.0, f64::NAN, f64::INFINITY] {
        assert!(
            build(Reparameterize::new().weight(weight), 4).contains("a weight of 0 or more and finite is expected")
        );
    }
}

/// σ² = e¹² is beyond f16; a hundredth of the divergence is not.
#[test]
fn the_divergence_of_half_types_is_taken_in_f32() {
    let x = Tensor::from_slice(&[0.0f32, 12.0], [1, 2], &Device::cpu()).unwrap().to_dtype(DType::F16).unwrap();
    let ctx = Ctx::eval();
    run(&Reparameterize::new().weight(0.01), &x, &ctx);
    let penalty = ctx.penalty().unwrap().unwrap().item().unwrap();
    let expected = 0.005 * (12f64.exp() - 13.0);
    assert!((penalty / expected - 1.0).abs() < 1e-3, "{penalty}, expected {expected}");
}

/// The stream is that of noise, not that by which data are drawn.
#[test]
fn the_draw_is_that_of_noise_at_the_same_place() {
    let zeros = |columns: usize| Tensor::zeros([5, columns], DType::F32, &Device::cpu()).unwrap();
    let z = run(&Reparameterize::new(), &zeros(6), &Ctx::train(3, 1));
    let noise = Ctx::train(3, 1).run(&GaussianNoise::new(1.0), zeros(3)).unwrap();
    assert_eq!(z.to_vec::<f32>().unwrap(), noise.tensor().to_vec::<f32>().unwrap());
}
