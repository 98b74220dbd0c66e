//! What settings do, and what holds for all of them.

use super::{built, close, cpu, uniform};
use kiln_autograd::Var;
use kiln_nn::*;
use kiln_tensor::{DType, Shape, Tensor};

fn shape(dims: &[usize]) -> Shape {
    Shape::new(dims).unwrap()
}

#[test]
fn gated_feed_forward_is_its_formula() {
    let layer = built(FeedForward::new(5).activation(Activation::Silu).gated(true), &shape(&[3, 4]));
    let x = uniform(&[2, 3, 4], 0);
    let state = layer.state_dict();
    let dense = |x: &Var, name: &str| {
        let of = |what: &str| Var::constant(state[&format!("{name}.{what}")].clone());
        x.linear(&of("weight"), Some(&of("bias")), None).unwrap()
    };
    let hidden = dense(&x, "gate").silu().unwrap().mul(&dense(&x, "linear1")).unwrap();
    let y = layer.forward(x, &Ctx::eval()).unwrap();
    close("gated", y.tensor(), dense(&hidden, "linear2").tensor(), 1e-6);
    assert_eq!(layer.flops(&shape(&[3, 4]).into()), 2 * 3 * 3 * 4 * 5);
}

#[test]
fn steps_that_do_not_count_may_be_nan() {
    let layer = built(TransformerEncoderLayer::new(2, 8), &shape(&[3, 4]));
    let mask = Tensor::from_slice(&[true, false, true, true, true, true], [2, 3], &cpu()).unwrap();
    let mut values = uniform(&[2, 3, 4], 0).into_tensor();
    let run = |values: &Tensor| {
        let x = Var::variable(values.clone());
        let y = layer.forward(Sequence::new(x.clone(), mask.clone()), &Ctx::train(1, 0)).unwrap().values;
        let counted = Var::select(
            &mask.unsqueeze(2).unwrap(),
            &y,
            &Var::constant(Tensor::zeros((), DType::F32, &cpu()).unwrap()),
        );
        let loss = counted.unwrap().square().unwrap().sum_all().unwrap();
        let gradients = loss.backward().unwrap();
        let named = layer.named_gradients(&gradients);
        named.iter().flat_map(|(_, gradient)| gradient.to_f64_vec().unwrap()).collect::<Vec<_>>()
    };
    let clean = run(&values);
    let nan = Tensor::full([1, 1, 4], f64::NAN, DType::F32, &cpu()).unwrap();
    let mut row = values.slice(0, 0..1).unwrap();
    row.slice_assign(1, 1..2, &nan).unwrap();
    values.slice_assign(0, 0..1, &row).unwrap();
    assert_eq!(run(&values), clean);
    assert!(clean.iter().all(|gradient| gradient.is_finite()));
}

/// With as many heads as samples, three axes are still those of samples, as in Keras; of batch · heads they are PyTorch's.
#[test]
fn masks_of_three_axes_are_of_samples_or_of_samples_and_heads() {
    let layer = built(MultiHeadAttention::new(2), &vec![shape(&[3, 4])]);
    let x = uniform(&[2, 3, 4], 0);
    let run = |mask: &Var| {
        layer
            .attend(&x, &x, &x, &AttentionInputs::new().mask(mask), &Ctx::eval())
            .unwrap()
            .tensor()
            .to_vec::<f32>()
            .unwrap()
    };
    let by_sample = uniform(&[2, 3, 3], 1);
    assert_eq!(run(&by_sample), run(&by_sample.reshape([2, 1, 3, 3]).unwrap()));
    assert_ne!(run(&by_sample), run(&by_sample.reshape([1, 2, 3, 3]).unwrap()));
    let by_head = uniform(&[4, 3, 3], 2);
    assert_eq!(run(&by_head), run(&by_head.reshape([2, 2, 3, 3]).unwrap()));
    let one = uniform(&[1, 3, 3], 3);
    assert_eq!(run(&one), run(&one.reshape([3, 3]).unwrap()));
}

#[test]
fn masks_of_keys_and_of_scores_are_joined() {
    let layer = built(MultiHeadAttention::new(2), &vec![shape(&[3, 4])]);
    let x = uniform(&[1, 3, 4], 0);
    let keys = Tensor::from_slice(&[true, true, false], [1, 3], &cpu()).unwrap();
    let scores = Tensor::from_slice(&[true, false, true, true, true, true, false, true, true], [3, 3], &cpu()).unwrap();
    let both = scores.logical_and(&keys).unwrap();
    let added = Tensor::from_slice(&[0.0f32, -1e30, 0.0, 0.0, 0.0, 0.0, -1e30, 0.0, 0.0], [3, 3], &cpu()).unwrap();
    let run = |inputs: &AttentionInputs<'_>| layer.attend(&x, &x, &x, inputs, &Ctx::eval()).unwrap().into_tensor();
    let expected = run(&AttentionInputs::new().mask(&Var::constant(both)));
    for mask in [scores, added] {
        let mask = Var::constant(mask);
        let found = run(&AttentionInputs::new().mask(&mask).key_mask(&keys));
        close("joined", &found, &expected, 1e-6);
    }
}

#[test]
fn dropout_is_a_function_of_seed_and_step() {
    let block = TransformerEncoderLayer::new(2, 8).dropout(0.5);
    let layer = built(TransformerEncoder::new(block, 2), &shape(&[3, 4]));
    let run = |ctx: Ctx| {
        layer.forward(uniform(&[2, 3, 4], 0).into(), &ctx).unwrap().values.into_tensor().to_f64_vec().unwrap()
    };
    assert_eq!(run(Ctx::train(1, 0)), run(Ctx::train(1, 0)));
    assert_ne!(run(Ctx::train(1, 0)), run(Ctx::train(1, 1)));
    assert_ne!(run(Ctx::train(1, 0)), run(Ctx::eval()));
}

#[test]
fn threads_change_no_bit() {
    let block = TransformerEncoderLayer::new(3, 40).causal(true).norm_first(true).dropout(0.1);
    let layer = built(TransformerEncoder::new(block, 2), &shape(&[70, 24]));
    let gradients = |threads: usize| {
        let pool = kiln_cpu::team::ThreadPool::new(threads);
        kiln_cpu::team::run_in(&pool, || {
            let y = layer.forward(uniform(&[3, 70, 24], 0).into(), &Ctx::train(1, 0)).unwrap().values;
            let gradients = y.square().unwrap().sum_all().unwrap().backward().unwrap();
            let named = layer.named_gradients(&gradients);
            let bits =
                |tensor: &Tensor| tensor.to_vec::<f32>().unwrap().into_iter().map(f32::to_bits).collect::<Vec<_>>();
            named.into_iter().map(|(_, gradient)| bits(gradient)).collect::<Vec<_>>()
        })
    };
    let one = gradients(1);
    assert!((2..=3).all(|threads| gradients(threads) == one));
}

#[test]
fn layers_of_a_stack_begin_with_values_of_their_own() {
    let layer = built(TransformerEncoder::new(TransformerEncoderLayer::new(2, 8), 2), &shape(&[3, 4]));
    let state = layer.state_dict();
    let first = |at: usize| state[&format!("layers.{at}.self_attn.in_proj_weight")].to_f64_vec().unwrap();
    assert_ne!(first(0), first(1));
    assert!(!state.contains_key("norm.weight"));
    let pre = TransformerEncoderLayer::new(2, 8).norm_first(true);
    let layer = built(TransformerEncoder::new(pre, 1), &shape(&[3, 4]));
    assert!(layer.state_dict().contains_key("norm.weight"));
}

/// A language model whose output layer is its embedding.
fn tied() -> Graph {
    let mut g = Graph::new();
    let tokens = g.input([6]);
    let embedding = g.layer(Embedding::new(11, 8));
    let x = g.call(&embedding, &tokens).unwrap();
    let x = g.call(PositionEmbedding::new(6), &x).unwrap();
    let block = TransformerEncoderLayer::new(2, 16).causal(true).norm_first(true);
    let x = g.call(TransformerEncoder::new(block, 2), &x).unwrap();
    let logits = g.call_with(&embedding, Embedding::LOGITS, &x).unwrap();
    g.build(&[&tokens], &[&logits], &cpu(), 1).unwrap()
}

#[test]
fn an_embedding_is_the_output_layer_too() {
    let model = tied();
    let embeddings = model.parameters().iter().filter(|(path, _)| *path == "embedding.weight").count();
    assert_eq!(embeddings, 1);
    let tokens = Tensor::from_slice(&[1i64, 4, 10, 0, 3, 2], [1, 6], &cpu()).unwrap();
    let logits = model.forward(&tokens, &Ctx::train(1, 0)).unwrap();
    assert_eq!(logits.dims(), [1, 6, 11]);
    // The gradient of both uses: of rows that came, and of all rows as the output's weights.
    let gradients = logits.square().unwrap().sum_all().unwrap().backward().unwrap();
    let named = model.named_gradients(&gradients);
    assert!(named[0].1.to_f64_vec().unwrap().iter().all(|gradient| *gradient != 0.0));
    let again = Graph::from_architecture(&model.architecture(), &cpu()).unwrap();
    assert_eq!(again.architecture(), model.architecture());
}

#[test]
fn per_sample_norms_know_attention() {
    let block = TransformerEncoderLayer::new(2, 16).causal(true).norm_first(true);
    let model = Sequential::new()
        .push(Embedding::new(11, 8))
        .push(PositionEmbedding::new(6))
        .push(block)
        .push(Flatten::new())
        .push(Dense::new(2))
        .build([4], &cpu(), 1)
        .unwrap();
    let tokens = Tensor::from_slice(&[1i64, 4, 10, 0, 3, 2, 2, 5], [2, 4], &cpu()).unwrap();
    let target = Tensor::zeros([2, 2], DType::F32, &cpu()).unwrap();
    let loss = MeanSquaredError::new();
    let norms =
        per_sample_norms(&model, Ctx::train(1, 0), |ctx| loss.per_sample(&model.forward(&tokens, ctx)?, &target))
            .unwrap();
    for row in 0..2 {
        let y = model.forward(tokens.slice(0, row..row + 1).unwrap(), &Ctx::train(1, 0)).unwrap();
        let gradients = loss.forward(&y, &target.slice(0, row..row + 1).unwrap()).unwrap().backward().unwrap();
        for (path, gradient) in model.named_gradients(&gradients) {
            let expected = gradient.to_f64_vec().unwrap().iter().map(|g| g * g).sum::<f64>().sqrt();
            let found = norms.of(&path).unwrap().to_f64_vec().unwrap()[row];
            assert!((found - expected).abs() <= 1e-4 * (1.0 + expected), "{path}: {found}, expected {expected}");
        }
    }
}

#[test]
fn flops_are_those_of_the_products() {
    let attention = built(MultiHeadAttention::new(4).key_heads(2), &vec![shape(&[5, 8]), shape(&[7, 8])]);
    let (queries, keys, out, scores) = (5 * 8 * 8, 7 * 2 * 4 * 8, 5 * 8 * 8, 5 * 7 * 4 * (2 + 2));
    assert_eq!(attention.flops(&shape(&[5, 8]).into()), 2 * (queries + keys + out + scores));
}
