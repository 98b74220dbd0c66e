//! Recurrent layers and cells against PyTorch's and Keras's values (tests/fixtures), every direction, mask and layout; what
//! does not fit and how that is said; dropout, regularizers and states carried on.

use kiln_autograd::{Var, grad_check};
use kiln_math::{Purpose, RandomStream};
use kiln_nn::*;
use kiln_tensor::{DType, Device, Result, Tensor};

fn cpu() -> Device {
    Device::cpu()
}

fn fixture(name: &str) -> StateDict {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    safetensors::read(path, &cpu()).unwrap()
}

/// The entries below a path, without it.
fn below(values: &StateDict, path: &str) -> StateDict {
    let path = format!("{path}/");
    values.iter().filter_map(|(name, value)| Some((name.strip_prefix(&path)?.to_owned(), value.clone()))).collect()
}

#[track_caller]
fn close(what: &str, found: &Tensor, expected: &Tensor, tolerance: f64) {
    assert_eq!(found.shape(), expected.shape(), "{what}");
    for (f, e) in found.to_f64_vec().unwrap().into_iter().zip(expected.to_f64_vec().unwrap()) {
        assert!((f - e).abs() <= tolerance * (1.0 + e.abs()), "{what}: {f}, expected {e}");
    }
}

/// The fixtures' sum.
fn counted(y: &Var, phase: usize) -> Var {
    let counts: Vec<f64> = (0..y.tensor().elements()).map(|i| 0.5 + ((i * 7 + phase) % 11) as f64 / 11.0).collect();
    let counts = Tensor::from_slice(&counts, y.shape(), &cpu()).unwrap().to_dtype(y.dtype()).unwrap();
    y.mul(&Var::constant(counts)).unwrap().sum_all().unwrap()
}

/// What all three layers have.
trait Recurrent: Layer<Input = Sequence, Output = Sequence> + Sized {
    fn run(&self, x: &Var, inputs: &SequenceInputs<'_>, ctx: &Ctx) -> Result<(Var, RecurrentState)>;
    fn keras(&mut self, state: &StateDict) -> Result<()>;
    fn settings(self, layers: usize, both: Option<Merge>, bias: bool, all: bool) -> Self;
}

macro_rules! recurrent {
    ($($layer:ident),+) => {$(
        impl Recurrent for $layer {
            fn run(&self, x: &Var, inputs: &SequenceInputs<'_>, ctx: &Ctx) -> Result<(Var, RecurrentState)> {
                self.run(x, inputs, ctx)
            }
            fn keras(&mut self, state: &StateDict) -> Result<()> {
                self.load_keras(state)
            }
            fn settings(self, layers: usize, both: Option<Merge>, bias: bool, all: bool) -> Self {
                let layer = self.layers(layers).use_bias(bias).return_sequences(all);
                match both {
                    Some(merge) => layer.bidirectional(merge),
                    None => layer,
                }
            }
        }
    )+};
}
recurrent!(Lstm, Gru, PeepholeLstm, SimpleRnn);

/// Builds a layer for the fixtures' inputs.
fn built<L: Layer<Input = Sequence, Output = Sequence>>(mut layer: L, dtype: DType) -> L {
    let sample = kiln_tensor::Shape::new(&[5, 4]).unwrap();
    layer.build(&sample, &mut Init::new(0, &cpu()).dtype(dtype)).unwrap();
    layer
}

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

fn uniform(shape: &[usize], index: u64) -> Tensor {
    Tensor::uniform(shape, -1.0, 1.0, DType::F64, &cpu(), RandomStream::new(5, Purpose::Data, index)).unwrap()
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

fn built_tokens(mut embedding: Embedding) -> Embedding {
    embedding.build(&kiln_tensor::Shape::new(&[2]).unwrap(), &mut Init::new(1, &cpu())).unwrap();
    embedding
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
