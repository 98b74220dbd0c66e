//! What does not fit, and how the error says it.

use super::*;

#[test]
fn projections_that_mean_nothing_are_refused() {
    let says = |layer: Lstm, message: &str| {
        let error = Sequential::new().push(layer).build([5, 4], &cpu(), 1).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    };
    says(Lstm::new(3).projection(3), "a projection of 3 units to 3: a size from 1 to less than the units is expected");
    says(Lstm::new(3).projection(0), "a projection of 3 units to 0");
    let gru = serde_json::json!({"layers": [{"layer": "Gru", "units": 3, "projection": 2}], "input": [5, 4]});
    let error = Sequential::from_architecture(&gru, &cpu()).unwrap_err().to_string();
    assert!(error.contains("the cell `gru` has no projection and no layer_norm"), "{error}");
    let model = Sequential::new().push(Lstm::new(3).projection(2).layer_norm(true)).build([5, 4], &cpu(), 1).unwrap();
    let again = Sequential::from_architecture(&model.architecture(), &cpu()).unwrap();
    assert_eq!((again.architecture(), again.parameter_count()), (model.architecture(), model.parameter_count()));
}

#[test]
fn what_does_not_fit_is_named() {
    let x = Var::constant(Tensor::zeros([2, 5, 4], DType::F32, &cpu()).unwrap());
    let layer = built(Lstm::new(3), DType::F32);
    let run = |inputs: &SequenceInputs<'_>| layer.run(&x, inputs, &Ctx::eval()).unwrap_err().to_string();
    let lengths = |lengths: &[i64]| Tensor::from_slice(lengths, [lengths.len()], &cpu()).unwrap();
    assert!(
        run(&SequenceInputs::new().lengths(&lengths(&[5, 6]))).contains("sequence 1 has length 6, expected 1 to 5")
    );
    assert!(
        run(&SequenceInputs::new().lengths(&lengths(&[0, 5]))).contains("sequence 0 has length 0, expected 1 to 5")
    );
    assert!(
        run(&SequenceInputs::new().lengths(&lengths(&[5]))).contains("a batch of 2 sequences has 2 lengths, got (1,)")
    );
    let mask = Tensor::zeros([5, 2], DType::Bool, &cpu()).unwrap();
    assert_eq!(
        run(&SequenceInputs::new().mask(&mask)),
        "recurrent: the mask is bool (5, 2), expected bool (2, 5) (batch, steps), true where a step counts"
    );
    let state = |shape: [usize; 3]| Var::constant(Tensor::zeros(shape, DType::F32, &cpu()).unwrap());
    let other = RecurrentState { h: state([1, 8, 3]), c: Some(state([1, 8, 3])) };
    assert_eq!(
        run(&SequenceInputs::new().state(&other)),
        "recurrent: the initial h is (1, 8, 3), expected (1, 2, 3) for 1 layers and directions, 2 sequences and 3 units"
    );
    let half = RecurrentState { h: state([1, 2, 3]), c: None };
    assert!(run(&SequenceInputs::new().state(&half)).contains("c is missing"));
    let wide = Var::constant(Tensor::zeros([2, 5, 9], DType::F32, &cpu()).unwrap());
    let error = layer.forward(wide.into(), &Ctx::eval()).unwrap_err().to_string();
    assert!(error.contains("expected (batch, steps, 4) for weights of 4 features, got (2, 5, 9)"), "{error}");
    let none = Var::constant(Tensor::zeros([2, 0, 4], DType::F32, &cpu()).unwrap());
    assert!(layer.forward(none.into(), &Ctx::eval()).unwrap_err().to_string().contains("0 steps"));
    assert!(Lstm::new(3).forward((&x).into(), &Ctx::eval()).unwrap_err().to_string().contains("build"));

    let build = |layer: Lstm| Sequential::new().push(layer).build([5, 4], &cpu(), 1).unwrap_err().to_string();
    assert!(build(Lstm::new(0)).contains("units"));
    assert!(build(Lstm::new(2).dropout(1.5)).contains("a rate from 0 to 1"));
    let flat = Sequential::new().push(Lstm::new(2)).build([5], &cpu(), 1).unwrap_err().to_string();
    assert!(flat.contains("model.0 (Lstm)") && flat.contains("(steps, features)"), "{flat}");

    let embedding = Sequential::new().push(Embedding::new(65, 4)).build([3], &cpu(), 1).unwrap();
    let tokens = Tensor::from_slice(&[1i64, 2, 3, 4, 73, 5], [2, 3], &cpu()).unwrap();
    let error = Ctx::eval().run(&embedding, Var::from(&tokens)).unwrap_err().to_string();
    assert!(
        error.contains("token 73 at position (1, 1) is outside the vocabulary, whose 65 tokens are 0 to 64"),
        "{error}"
    );
    let error = embedding.forward(&x, &Ctx::eval()).unwrap_err().to_string();
    assert!(error.contains("tokens of integers"), "{error}");
}

/// Other layers or directions than there are weights for are an error, not another network than was asked for.
#[test]
fn what_is_set_after_the_weights_are_made_is_an_error() {
    let x = Var::constant(Tensor::ones([1, 2, 3], DType::F32, &cpu()).unwrap());
    let made = || Gru::with_sizes(3, 4, &mut Init::new(0, &cpu())).unwrap();
    for layer in [made().layers(2), made().layers(0), made().bidirectional(Merge::Sum)] {
        let error = layer.forward(x.clone().into(), &Ctx::eval()).unwrap_err().to_string();
        assert!(error.contains("weights are made for 1 layers and directions"), "{error}");
    }
}
