//! Recurrent layers and cells against the values of PyTorch, ONNX Runtime and Keras (tests/fixtures).

use super::*;

fn against_pytorch<L: Recurrent>(values: &StateDict, cell: &str, make: impl Fn() -> L) {
    let concat = Some(Merge::Concat);
    for (name, layers, both, bias, packed) in [
        ("plain", 1, None, true, false),
        ("packed", 1, concat, true, true),
        ("deep", 2, concat, true, true),
        ("unbiased", 2, None, false, false),
    ] {
        let case = below(values, &format!("{cell}/{name}"));
        for (dtype, tolerance) in [(DType::F64, 1e-13), (DType::F32, 3e-6)] {
            let mut layer = built(make().settings(layers, both, bias, true), dtype);
            layer.load_state_dict(&below(&case, "weights"), true).unwrap();
            let variable = |name: &str| case.get(name).map(|t| Var::variable(t.to_dtype(dtype).unwrap()));
            let x = variable("x").unwrap();
            let state = variable("h0").map(|h| RecurrentState { h, c: variable("c0") });
            let lengths = Tensor::from_slice(&[3i64, 5, 1], [3], &cpu()).unwrap();
            let mut inputs = SequenceInputs::new();
            if let Some(state) = &state {
                inputs = inputs.state(state);
            }
            if packed {
                inputs = inputs.lengths(&lengths);
            }
            let (y, last) = layer.run(&x, &inputs, &Ctx::train(0, 0)).unwrap();
            let what = |name: &str| format!("{cell}/{dtype} {name}");
            close(&what("y"), y.tensor(), &case["y"], tolerance);
            close(&what("h"), last.h.tensor(), &case["h"], tolerance);
            let mut sum = counted(&y, 1).add(&counted(&last.h, 2)).unwrap();
            assert_eq!(last.c.is_some(), cell == "lstm");
            if let Some(c) = &last.c {
                close(&what("c"), c.tensor(), &case["c"], tolerance);
                sum = sum.add(&counted(c, 3)).unwrap();
            }
            let gradients = sum.backward().unwrap();
            close(&what("dx"), gradients.of(&x).unwrap(), &case["dx"], 10.0 * tolerance);
            if let Some(RecurrentState { h, c }) = &state {
                close(&what("dh0"), gradients.of(h).unwrap(), &case["dh0"], 10.0 * tolerance);
                if let Some(c) = c {
                    close(&what("dc0"), gradients.of(c).unwrap(), &case["dc0"], 10.0 * tolerance);
                }
            }
            for (path, parameter) in layer.parameters() {
                let gradient = gradients.get(parameter.id()).unwrap();
                close(&what(&path), gradient, &case[&format!("gradients/{path}")], 10.0 * tolerance);
            }
        }
    }
}

#[test]
fn layers_are_pytorchs() {
    let values = fixture("recurrent_torch.safetensors");
    against_pytorch(&values, "lstm", || Lstm::new(3));
    against_pytorch(&values, "gru", || Gru::new(3));
    against_pytorch(&values, "tanh", || SimpleRnn::new(3));
    against_pytorch(&values, "relu", || SimpleRnn::new(3).relu());
}

#[test]
fn lstms_that_no_kernel_has_are_pytorchs() {
    let values = fixture("recurrent_torch.safetensors");
    let lengths = Tensor::from_slice(&[3i64, 5, 1], [3], &cpu()).unwrap();
    let projected = Lstm::new(3).projection(2).layers(2).bidirectional(Merge::Concat);
    for (name, layer, lengths) in
        [("projected", projected, Some(&lengths)), ("normalized", Lstm::new(3).layer_norm(true), None)]
    {
        let case = below(&values, &format!("lstm/{name}"));
        let mut layer = built(layer.return_sequences(true), DType::F64);
        layer.load_state_dict(&below(&case, "weights"), true).unwrap();
        let [x, h, c] = ["x", "h0", "c0"].map(|name| Var::variable(case[name].clone()));
        let state = RecurrentState { h, c: Some(c) };
        let inputs = SequenceInputs::new().state(&state);
        let inputs = lengths.map_or(inputs, |lengths| inputs.lengths(lengths));
        let (y, last) = layer.run(&x, &inputs, &Ctx::train(0, 0)).unwrap();
        let (h, c) = (last.h, last.c.unwrap());
        let sum = counted(&y, 1).add(&counted(&h, 2)).unwrap().add(&counted(&c, 3)).unwrap();
        for (what, found) in [("y", &y), ("h", &h), ("c", &c)] {
            close(&format!("{name} {what}"), found.tensor(), &case[what], 1e-13);
        }
        let gradients = sum.backward().unwrap();
        for (what, var) in [("dx", &x), ("dh0", &state.h), ("dc0", state.c.as_ref().unwrap())] {
            close(&format!("{name} {what}"), gradients.of(var).unwrap(), &case[what], 1e-12);
        }
        for (path, parameter) in layer.parameters() {
            let expected = &case[&format!("gradients/{path}")];
            close(&format!("{name} {path}"), gradients.get(parameter.id()).unwrap(), expected, 1e-12);
        }
    }
}

/// PyTorch and Keras have no peepholes.
#[test]
fn peepholes_are_onnx_runtimes() {
    let values = fixture("peephole_onnx.safetensors");
    for (name, both) in [("forward", None), ("both", Some(Merge::Concat))] {
        let case = below(&values, name);
        let mut layer = built(PeepholeLstm::new(3).settings(1, both, true, true), DType::F32);
        layer.load_state_dict(&below(&case, "layer"), true).unwrap();
        let var = |name: &str| Var::constant(case[name].clone());
        let state = RecurrentState { h: var("h0"), c: Some(var("c0")) };
        let inputs = SequenceInputs::new().state(&state).lengths(&values["lengths"]);
        let (y, last) = layer.run(&var("x"), &inputs, &Ctx::eval()).unwrap();
        close(&format!("{name} y"), y.tensor(), &case["y"], 1e-6);
        close(&format!("{name} h"), last.h.tensor(), &case["h"], 1e-6);
        close(&format!("{name} c"), last.c.unwrap().tensor(), &case["c"], 1e-6);
        let weights = KerasWeights { kernel: case["x"].clone(), recurrent_kernel: case["x"].clone(), bias: None };
        let error = layer.set_keras_weights(0, false, &weights).unwrap_err().to_string();
        assert!(error.contains("Keras has no layer with the cell `peephole_lstm`"), "{error}");
    }
}

#[test]
fn cells_are_pytorchs() {
    let values = fixture("recurrent_torch.safetensors");
    let mut init = Init::new(0, &cpu()).dtype(DType::F64);
    let ctx = Ctx::eval();
    let constant = |tensor: &Tensor| Var::constant(tensor.clone());

    let case = below(&values, "lstm/cell");
    let mut cell = LstmCell::new(4, 3, &mut init).unwrap();
    cell.load_state_dict(&below(&case, "weights"), true).unwrap();
    let mut state = (constant(&case["h0"]), constant(&case["c0"]));
    for t in 0..2 {
        state = cell.step(&constant(&case["x"].index(0, t).unwrap()), Some(&state), &ctx).unwrap();
    }
    close("h", state.0.tensor(), &case["h"], 1e-13);
    close("c", state.1.tensor(), &case["c"], 1e-13);

    let mut gru = GruCell::new(4, 3, &mut init).unwrap();
    let mut tanh = SimpleRnnCell::new(4, 3, &mut init).unwrap();
    let mut relu = SimpleRnnCell::new(4, 3, &mut init).unwrap().relu();
    for name in ["gru", "tanh", "relu"] {
        let case = below(&values, &format!("{name}/cell"));
        let weights = below(&case, "weights");
        let mut h = constant(&case["h0"]);
        for t in 0..2 {
            let x = constant(&case["x"].index(0, t).unwrap());
            h = match name {
                "gru" => gru.load_state_dict(&weights, true).and_then(|_| gru.step(&x, Some(&h), &ctx)),
                "tanh" => tanh.load_state_dict(&weights, true).and_then(|_| tanh.step(&x, Some(&h), &ctx)),
                _ => relu.load_state_dict(&weights, true).and_then(|_| relu.step(&x, Some(&h), &ctx)),
            }
            .unwrap();
        }
        close(name, h.tensor(), &case["h"], 1e-13);
    }
    let error = gru.step(&constant(&values["gru/cell/h0"]), None, &ctx).unwrap_err().to_string();
    assert!(error.contains("expected (batch, 4), got (3, 3)"), "{error}");
}

fn against_keras<L: Recurrent + Clone>(values: &StateDict, cell: &str, make: impl Fn() -> L) {
    for (name, all, masked, both) in [
        ("last", false, false, None),
        ("all", true, false, None),
        ("masked", true, true, None),
        ("masked_last", false, true, None),
        ("both", true, true, Some(Merge::Concat)),
        ("both_sum", false, false, Some(Merge::Sum)),
    ] {
        let case = below(values, &format!("{cell}/{name}"));
        let mut layer = built(make().settings(1, both, true, all), DType::F64);
        layer.keras(&below(&case, "weights")).unwrap();
        let x = Var::variable(values["x"].clone());
        let mask = masked.then(|| values["mask"].to_dtype(DType::Bool).unwrap().into());
        let y = layer.forward(Sequence { values: x.clone(), mask }, &Ctx::train(0, 0)).unwrap();
        assert_eq!(y.mask.is_some(), masked && all, "the last state has no steps");
        let y = y.values;
        let what = format!("{cell}/{name}");
        close(&what, y.tensor(), &case["y"], 1e-13);
        let gradients = counted(&y, 1).backward().unwrap();
        close(&what, gradients.of(&x).unwrap(), &case["dx"], 1e-12);
        // Keras's gradients, laid out as our weights are.
        let mut expected = layer.clone();
        expected.keras(&below(&case, "gradients")).unwrap();
        for ((path, parameter), (_, expected)) in layer.parameters().into_iter().zip(expected.parameters()) {
            // One bias of Keras's is the sum of two.
            if cell == "gru" || !path.contains("bias_hh") {
                let gradient = gradients.get(parameter.id()).unwrap();
                close(&format!("{what} {path}"), gradient, expected.value(), 1e-12);
            }
        }
    }
}

#[test]
fn layers_are_kerass() {
    let values = fixture("recurrent_keras.safetensors");
    against_keras(&values, "lstm", || Lstm::new(3));
    against_keras(&values, "gru", || Gru::new(3));
    against_keras(&values, "gru_reset_before", || Gru::new(3).reset_after(false));
    against_keras(&values, "tanh", || SimpleRnn::new(3));
}
