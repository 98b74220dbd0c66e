//! Steps that do not count: lengths, masks, and what padding holds.

use super::*;

#[test]
fn what_is_padded_does_not_count() {
    let layer = built(Lstm::new(3).layers(2).bidirectional(Merge::Concat).return_sequences(true), DType::F64);
    let lengths = Tensor::from_slice(&[2i64, 5], [2], &cpu()).unwrap();
    let x = uniform(&[2, 5, 4], 1);
    let mut other = x.clone();
    other.slice_assign(1, 2..5, &uniform(&[2, 3, 4], 2)).unwrap();
    other.slice_assign(0, 1..2, &x.slice(0, 1..2).unwrap()).unwrap();
    let run = |x: &Tensor| {
        let (y, state) = layer.run(&Var::from(x), &SequenceInputs::new().lengths(&lengths), &Ctx::eval()).unwrap();
        [y.tensor().to_f64_vec().unwrap(), state.h.tensor().to_f64_vec().unwrap()]
    };
    assert_ne!(x.to_f64_vec().unwrap(), other.to_f64_vec().unwrap());
    assert_eq!(run(&x), run(&other));
    // Nor does it matter how far sequences are padded.
    let (short, _) = layer
        .run(&Var::from(&x.slice(0, 0..1).unwrap().slice(1, 0..2).unwrap()), &SequenceInputs::new(), &Ctx::eval())
        .unwrap();
    assert_eq!(short.tensor().to_f64_vec().unwrap(), run(&x)[0][..2 * 6]);
}

#[test]
fn embeddings_mask_their_padding() {
    let model = |tokens: usize| {
        Sequential::new()
            .push(Embedding::new(6, 4).padding(0).mask_padding(true))
            .push(Lstm::new(3).return_sequences(true))
            .push(Lstm::new(5))
            .build([tokens], &cpu(), 1)
            .unwrap()
    };
    let run = |tokens: &[i64]| {
        let x = Tensor::from_slice(tokens, [1, tokens.len()], &cpu()).unwrap();
        model(tokens.len()).forward(Var::from(&x), &Ctx::eval()).unwrap().into_tensor().to_vec::<f32>().unwrap()
    };
    assert_eq!(run(&[3, 1, 5]), run(&[3, 1, 5, 0, 0]));
    assert_eq!(run(&[0, 3, 0, 1, 5]), run(&[3, 1, 5]));
    let weight = model(2).state_dict()["0.weight"].to_vec::<f32>().unwrap();
    assert!(weight[..4].iter().all(|&x| x == 0.0) && weight[4..].iter().all(|&x| x != 0.0));
    // The same of numbers.
    let masked = Sequential::new().push(Masking::new(-1.0)).push(Gru::new(3)).build([4, 2], &cpu(), 1).unwrap();
    let run = |x: &[f32]| {
        let x = Tensor::from_slice(x, [1, x.len() / 2, 2], &cpu()).unwrap();
        masked.forward(&x, &Ctx::eval()).unwrap().into_tensor().to_vec::<f32>().unwrap()
    };
    assert_eq!(run(&[1.0, -1.0, 0.5, 2.0]), run(&[1.0, -1.0, -1.0, -1.0, 0.5, 2.0]));
}

/// PyTorch's packed sequences never see what fills them up.
#[test]
fn what_fills_sequences_up_may_be_not_a_number() {
    fn check<L: Layer<Input = Sequence, Output = Sequence>>(
        what: &str,
        mut layer: L,
        run: impl Fn(&L, &Var, &Ctx) -> Var,
    ) {
        layer.build(&kiln_tensor::Shape::new(&[4, 2]).unwrap(), &mut Init::new(1, &cpu()).dtype(DType::F64)).unwrap();
        let clean = uniform(&[3, 4, 2], 7).to_vec::<f64>().unwrap();
        // Lengths 4, 2 and 1.
        let fills = |at: usize| at / 2 % 4 >= [4, 2, 1][at / 8];
        let filled = |filler: f64| {
            let values: Vec<f64> =
                clean.iter().enumerate().map(|(at, &x)| if fills(at) { filler } else { x }).collect();
            let x = Var::variable(Tensor::from_slice(&values, [3, 4, 2], &cpu()).unwrap());
            let y = run(&layer, &x, &Ctx::train(0, 0));
            let said = y.tensor().to_f64_vec().unwrap();
            let gradients = y.square().unwrap().sum_all().unwrap().backward().unwrap();
            let of_weights =
                layer.parameters().into_iter().map(|(_, parameter)| gradients.get(parameter.id()).unwrap());
            let of_weights: Vec<f64> = of_weights.flat_map(|gradient| gradient.to_f64_vec().unwrap()).collect();
            (said, gradients.of(&x).unwrap().to_f64_vec().unwrap(), of_weights)
        };
        let found = filled(f64::NAN);
        assert_eq!(found, filled(0.0), "{what}");
        assert!((0..24).all(|at| !fills(at) || found.1[at] == 0.0), "{what}: gradients of what fills up");
    }
    let lengths = Tensor::from_slice(&[4i64, 2, 1], [3], &cpu()).unwrap();
    let mask = lengths.mask_of_lengths(4).unwrap().t().unwrap();
    macro_rules! cells {
        ($($layer:ident),+) => {$(
            for all in [false, true] {
                let layer = || $layer::new(3).layers(2).return_sequences(all);
                check("lengths", layer(), |layer, x, ctx| {
                    layer.run(x, &SequenceInputs::new().lengths(&lengths), ctx).unwrap().0
                });
                check("mask", layer().bidirectional(Merge::Concat), |layer, x, ctx| {
                    layer.forward(Sequence::new(x.clone(), mask.clone()), ctx).unwrap().values
                });
            }
        )+};
    }
    cells!(Lstm, Gru, SimpleRnn);
}
