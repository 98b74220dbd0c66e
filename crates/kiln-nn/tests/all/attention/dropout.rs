//! Dropout of attention's probabilities.

use super::{built, close, cpu, uniform};
use kiln_autograd::Var;
use kiln_cpu::team::{ThreadPool, run_in};
use kiln_nn::*;
use kiln_tensor::{Shape, Tensor};

const RATE: f64 = 0.3;

fn layer(rate: f64) -> MultiHeadAttention {
    let attention = MultiHeadAttention::new(4).key_heads(2).causal(true).dropout(rate);
    built(attention, &vec![Shape::new(&[9, 16]).unwrap()])
}

fn run(layer: &MultiHeadAttention, x: &Var, ctx: &Ctx) -> Tensor {
    ctx.run(layer, vec![Sequence::from(x)]).unwrap().values.into_tensor()
}

#[test]
fn in_training_it_is_drawn_from_the_seed_and_the_step() {
    let (layer, x) = (layer(RATE), uniform(&[2, 9, 16], 0));
    let values = |ctx: Ctx| run(&layer, &x, &ctx).to_vec::<f32>().unwrap();
    assert_eq!(values(Ctx::train(1, 5)), values(Ctx::train(1, 5)));
    assert_ne!(values(Ctx::train(1, 5)), values(Ctx::train(2, 5)));
    assert_ne!(values(Ctx::train(1, 5)), values(Ctx::train(1, 6)));
    // Two uses in one pass drop differently.
    let ctx = Ctx::train(1, 5);
    assert_ne!(run(&layer, &x, &ctx).to_vec::<f32>().unwrap(), run(&layer, &x, &ctx).to_vec::<f32>().unwrap());
}

#[test]
fn in_evaluation_it_is_off() {
    let x = uniform(&[2, 9, 16], 0);
    let plain = run(&layer(0.0), &x, &Ctx::train(1, 0)).to_vec::<f32>().unwrap();
    assert_eq!(run(&layer(RATE), &x, &Ctx::eval()).to_vec::<f32>().unwrap(), plain);
    assert_ne!(run(&layer(RATE), &x, &Ctx::train(1, 0)).to_vec::<f32>().unwrap(), plain);
}

#[test]
fn the_mean_over_many_draws_is_the_output_without_it() {
    let (layer, x) = (layer(RATE), uniform(&[1, 9, 16], 0));
    let draws = 4000;
    let mut sum = vec![0.0; 9 * 16];
    for step in 0..draws {
        let y = run(&layer, &x, &Ctx::train(3, step).recording(false)).to_f64_vec().unwrap();
        sum.iter_mut().zip(y).for_each(|(sum, y)| *sum += y / draws as f64);
    }
    let mean = Tensor::from_slice(&sum, [1, 9, 16], &cpu()).unwrap();
    close("mean", &mean, &run(&layer, &x, &Ctx::eval()), 0.02);
    // Of all probabilities dropped, the bias of `out_proj` is left.
    let nothing = run(&self::layer(1.0), &x, &Ctx::train(1, 0)).to_f64_vec().unwrap();
    assert!(nothing.iter().all(|y| *y == 0.0));
}

#[test]
fn bits_are_the_same_for_any_number_of_threads() {
    let layer = built(MultiHeadAttention::new(4).dropout(RATE), &vec![Shape::new(&[70, 16]).unwrap()]);
    let x = uniform(&[3, 70, 16], 0).into_tensor();
    let pass = || {
        let x = Var::variable(x.clone());
        let y = Ctx::train(1, 2).run(&layer, vec![Sequence::from(&x)]).unwrap().values;
        let gradients = y.square().unwrap().sum_all().unwrap().backward().unwrap();
        let of_weights = layer.named_gradients(&gradients).into_iter().map(|(_, gradient)| gradient.clone());
        let all = of_weights.chain([y.into_tensor(), gradients.of(&x).unwrap().clone()]);
        all.flat_map(|tensor| tensor.to_vec::<f32>().unwrap()).map(f32::to_bits).collect::<Vec<_>>()
    };
    let expected = pass();
    for threads in [1, 2, 3] {
        let pool = ThreadPool::new(threads);
        run_in(&pool, || assert_eq!(pass(), expected, "{threads} threads"));
    }
}
