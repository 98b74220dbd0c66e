//! What settings do: the order of axes, composed cells, dropout, regularizers, first values; gradients.

use super::*;

#[test]
fn composed_cells_do_what_fused_ones_do() {
    let x = Tensor::normal([3, 5, 4], 0.0, 1.0, DType::F64, &cpu(), RandomStream::new(1, Purpose::Data, 0)).unwrap();
    let mask = Tensor::from_slice(&[true, true, false, true, false].repeat(3), [3, 5], &cpu()).unwrap();
    // A projection by the identity to all units but the last two, which nothing reads, is no projection.
    let mut projected = built(Lstm::new(5).projection(3).bidirectional(Merge::Sum), DType::F64);
    let mut plain = built(Lstm::new(5).bidirectional(Merge::Sum), DType::F64);
    let mut weights = projected.state_dict();
    for (name, weight) in &mut weights {
        if name.starts_with("weight_hr") {
            *weight = Tensor::eye(5, DType::F64, &cpu()).unwrap().slice(0, 0..3).unwrap().contiguous().unwrap();
        }
    }
    projected.load_state_dict(&weights, true).unwrap();
    for (name, weight) in &mut weights {
        if name.starts_with("weight_hh") {
            *weight = weight.pad(&[(0, 0), (0, 2)], 0.0).unwrap();
        }
    }
    weights.retain(|name, _| !name.starts_with("weight_hr"));
    plain.load_state_dict(&weights, true).unwrap();
    let sequence = || Sequence::new(Var::from(&x), mask.clone());
    let found = projected.forward(sequence(), &Ctx::eval()).unwrap().values;
    let expected = plain.forward(sequence(), &Ctx::eval()).unwrap().values.slice(1, 0..3).unwrap();
    close("projected", found.tensor(), expected.tensor(), 1e-13);
}

#[test]
fn time_first_is_the_same_transposed() {
    let x = Var::constant(uniform(&[3, 5, 4], 0));
    let layer = built(Lstm::new(3).return_sequences(true), DType::F64);
    let turned = layer.clone().batch_first(false);
    let y = layer.forward((&x).into(), &Ctx::eval()).unwrap().values;
    let z = turned.forward(x.transpose(0, 1).unwrap().into(), &Ctx::eval()).unwrap().values.transpose(0, 1).unwrap();
    assert_eq!(y.tensor().to_f64_vec().unwrap(), z.tensor().to_f64_vec().unwrap());
    let mask = Tensor::from_slice(&[true; 15], [5, 3], &cpu()).unwrap();
    assert!(turned.run(&x.transpose(0, 1).unwrap(), &SequenceInputs::new().mask(&mask), &Ctx::eval()).is_ok());
}

#[test]
fn a_state_carried_on_is_one_long_call() {
    let x = Var::constant(uniform(&[2, 7, 4], 0));
    let layer = built(Gru::new(6).layers(2).return_sequences(true), DType::F64);
    let ctx = Ctx::eval();
    let (whole, end) = layer.run(&x, &SequenceInputs::new(), &ctx).unwrap();
    let (first, state) = layer.run(&x.slice(1, 0..3).unwrap(), &SequenceInputs::new(), &ctx).unwrap();
    let (rest, last) =
        layer.run(&x.slice(1, 3..7).unwrap(), &SequenceInputs::new().state(&state.detach()), &ctx).unwrap();
    let joined = Var::concat(&[&first, &rest], 1).unwrap();
    assert_eq!(whole.tensor().to_f64_vec().unwrap(), joined.tensor().to_f64_vec().unwrap());
    assert_eq!(end.h.tensor().to_f64_vec().unwrap(), last.h.tensor().to_f64_vec().unwrap());
}

#[test]
fn gradients_of_layers() {
    let gru = built(Gru::new(2).reset_after(false).layers(2).bidirectional(Merge::Mul), DType::F64);
    let run = |v: &[Var]| Ok(gru.forward((&v[0]).into(), &Ctx::train(0, 0))?.values);
    grad_check(run, &[uniform(&[2, 3, 4], 3)]).unwrap();
    let dropped = built(Lstm::new(3).recurrent_dropout(0.4).layers(2).dropout(0.3), DType::F64);
    let run = |v: &[Var]| Ok(dropped.forward((&v[0]).into(), &Ctx::train(3, 1))?.values);
    grad_check(run, &[uniform(&[2, 3, 4], 4)]).unwrap();
    let embedding = built_tokens(Embedding::new(5, 3).padding(0));
    let tokens = Tensor::from_slice(&[1i64, 0, 4, 1], [2, 2], &cpu()).unwrap();
    let ctx = Ctx::train(0, 0);
    let y = embedding.forward((&tokens).into(), &ctx).unwrap().values;
    let gradients = counted(&y, 1).backward().unwrap();
    let gradient = gradients.get(embedding.weight().unwrap().id()).unwrap().to_f64_vec().unwrap();
    let counts: Vec<f64> = (0..12).map(|i| 0.5 + ((i * 7 + 1) % 11) as f64 / 11.0).collect();
    let mut expected = vec![0.0; 15];
    for (row, &token) in [1usize, 0, 4, 1].iter().enumerate().filter(|(_, token)| **token != 0) {
        for column in 0..3 {
            expected[token * 3 + column] += counts[row * 3 + column];
        }
    }
    assert!(gradient.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6));
}

#[test]
fn time_distributed_is_the_layer_at_each_step() {
    let layer = TimeDistributed::new(Dense::new(3).activation(Activation::Tanh));
    let model = Sequential::new().push(layer).build([5, 4], &cpu(), 1).unwrap();
    assert_eq!(model.parameters()[0].0, "0.layer.weight");
    let x = Var::constant(uniform(&[2, 5, 4], 0).to_dtype(DType::F32).unwrap());
    let y = model.forward(&x, &Ctx::eval()).unwrap();
    let (weight, bias) = (&model.state_dict()["0.layer.weight"], &model.state_dict()["0.layer.bias"]);
    let expected = x.tensor().matmul(&weight.t().unwrap()).unwrap().add(bias).unwrap().tanh().unwrap();
    close("dense", y.tensor(), &expected, 1e-6);
    let error = model.forward(x.flatten(0).unwrap(), &Ctx::eval()).unwrap_err().to_string();
    assert!(error.contains("(batch, steps, …)"), "{error}");
}

#[test]
fn regularizers_know_their_weights() {
    let penalty = |layer: Lstm| {
        let layer = built(layer.bias_initializer(Initializer::Constant(0.5)), DType::F64);
        let ctx = Ctx::train(0, 0);
        layer.forward(uniform(&[2, 5, 4], 0).into(), &ctx).unwrap();
        (ctx.penalty().unwrap().unwrap().item().unwrap(), layer.state_dict())
    };
    let square = |t: &Tensor| t.to_f64_vec().unwrap().iter().map(|x| x * x).sum::<f64>();
    let lstm = || Lstm::new(3).unit_forget_bias(false);
    let (value, state) = penalty(lstm().kernel_regularizer(L2(0.1)));
    assert!((value - 0.1 * square(&state["weight_ih_l0"])).abs() < 1e-12);
    let (value, _) = penalty(lstm().recurrent_regularizer(L2(0.1)));
    assert!((value - 0.1 * 3.0).abs() < 1e-12, "three orthonormal columns");
    let (value, _) = penalty(lstm().bias_regularizer(L1(0.1)));
    assert!((value - 0.1 * 24.0 * 0.5).abs() < 1e-12);
    let (value, _) = penalty(lstm().activity_regularizer(L1(0.1)));
    assert!(value > 0.0);
}

#[test]
fn dropout_is_for_training_and_fixed_by_the_seed() {
    let layer = built(Lstm::new(8).layers(2).dropout(0.5).recurrent_dropout(0.5), DType::F32);
    let x = Var::constant(uniform(&[4, 5, 4], 0).to_dtype(DType::F32).unwrap());
    let run = |ctx: Ctx| layer.forward((&x).into(), &ctx).unwrap().values.into_tensor().to_vec::<f32>().unwrap();
    assert_eq!(run(Ctx::eval()), run(Ctx::eval()));
    assert_eq!(run(Ctx::train(1, 0)), run(Ctx::train(1, 0)));
    assert_ne!(run(Ctx::train(1, 0)), run(Ctx::train(1, 1)));
    assert_ne!(run(Ctx::train(1, 0)), run(Ctx::eval()));
    // Each alone changes something.
    for layer in [Lstm::new(8).layers(2).dropout(0.5), Lstm::new(8).recurrent_dropout(0.5)] {
        let layer = built(layer, DType::F32);
        let run = |ctx: Ctx| layer.forward((&x).into(), &ctx).unwrap().values.into_tensor().to_vec::<f32>().unwrap();
        assert_ne!(run(Ctx::train(1, 0)), run(Ctx::eval()));
    }
}

#[test]
fn first_values() {
    let layer = built(Lstm::new(6), DType::F64);
    let state = layer.state_dict();
    let bias = state["bias_ih_l0"].to_f64_vec().unwrap();
    assert!(bias.iter().enumerate().all(|(i, &b)| b == if (6..12).contains(&i) { 1.0 } else { 0.0 }));
    assert!(state["bias_hh_l0"].to_f64_vec().unwrap().iter().all(|&b| b == 0.0));
    let w = &state["weight_hh_l0"];
    close("orthogonal", &w.t().unwrap().matmul(w).unwrap(), &Tensor::eye(6, DType::F64, &cpu()).unwrap(), 1e-13);
    let limit = (6.0f64 / (4.0 + 24.0)).sqrt();
    assert!(state["weight_ih_l0"].to_f64_vec().unwrap().iter().all(|x| x.abs() <= limit));
    let layer = Gru::with_sizes(4, 16, &mut Init::new(0, &cpu())).unwrap();
    assert!(layer.parameters().iter().all(|(_, p)| p.value().to_f64_vec().unwrap().iter().all(|x| x.abs() <= 0.25)));
    // Keras's count, and a second bias.
    let model = Sequential::new().push(Lstm::new(128)).build([28, 28], &cpu(), 1).unwrap();
    assert_eq!(model.parameter_count(), 80_384 + 512);
    assert_eq!(model.layers().next().unwrap().flops(&model.output_shapes()[0]), 2 * 28 * 512 * (28 + 128));
}

#[test]
fn architectures_come_back() {
    let model = Sequential::new()
        .push(Embedding::new(20, 6).padding(0).mask_padding(true))
        .push(Gru::new(5).reset_after(false).bidirectional(Merge::Ave).return_sequences(true).recurrent_dropout(0.1))
        .push(TimeDistributed::new(Dense::new(4)))
        .push(Masking::new(0.0))
        .push(SimpleRnn::new(3).relu().return_sequences(true).kernel_regularizer(L2(0.1)))
        .push(Lstm::new(2).layers(2).dropout(0.5))
        .build([9], &cpu(), 1)
        .unwrap();
    let architecture = model.architecture();
    let again = Sequential::from_architecture(&architecture, &cpu()).unwrap();
    assert_eq!(again.architecture(), architecture);
    assert_eq!(again.output_shapes(), model.output_shapes());
    let names = |model: &Sequential| model.parameters().into_iter().map(|(path, _)| path).collect::<Vec<_>>();
    assert_eq!(names(&again), names(&model));
}
