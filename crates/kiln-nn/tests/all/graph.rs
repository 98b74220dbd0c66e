//! Graph models: several inputs and outputs, layers in several places, parts of a model, descriptions.

use kiln_nn::*;
use kiln_tensor::{DType, Device, Tensor};
use serde_json::json;

fn cpu() -> Device {
    Device::cpu()
}

fn ones(dims: &[usize]) -> Tensor {
    Tensor::ones(dims, DType::F32, &cpu()).unwrap()
}

/// |tower(a) − tower(b)| and what is made of it, with one tower.
fn siamese() -> Graph {
    let mut g = Graph::new();
    let (a, b) = (g.input([4]), g.input([4]));
    let tower = g.layer(Dense::new(3).activation(Activation::Tanh));
    let (p, q) = (g.call(&tower, &a).unwrap(), g.call(&tower, &b).unwrap());
    let distance = g.subtract(&p, &q).unwrap();
    let y = g.call_named("same", Dense::new(1).activation(Activation::Sigmoid), &distance).unwrap();
    g.build(&[&a, &b], &[&y], &cpu(), 1).unwrap()
}

#[test]
fn a_layer_in_two_places_is_one_set_of_parameters() {
    let model = siamese();
    let paths: Vec<String> = model.parameters().into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths, ["dense.weight", "dense.bias", "same.weight", "same.bias"]);
    let x = ones(&[2, 4]);
    let same = model.forward((&x, &x), &Ctx::eval()).unwrap().tensor().to_f64_vec().unwrap();
    assert_eq!(same, [0.5, 0.5], "no distance");
    let y = model.forward((&x, &x.mul_scalar(2.0).unwrap()), &Ctx::train(1, 0)).unwrap();
    let gradients = y.mean_all().unwrap().backward().unwrap();
    assert_eq!(gradients.len(), 4);
    // A probe sees both calls, under one path.
    let ctx = Ctx::eval().with_probe(KeptOutputs::default());
    model.forward((&x, &x), &ctx).unwrap();
    let seen: Vec<String> = ctx.probe::<KeptOutputs>().unwrap().take().into_iter().map(|(path, _)| path).collect();
    assert_eq!(seen, ["dense", "dense", "subtract", "same", ""]);
}

#[test]
fn the_summary_says_what_is_connected() {
    let summary = siamese().summary("siamese");
    assert!(summary.contains("Connected to"), "{summary}");
    assert!(summary.contains("│ dense(2), ") || summary.contains("│ dense, dense(2)"), "{summary}");
    assert!(summary.contains("Total params: 19 "), "a shared layer counts once: {summary}");
}

#[test]
fn a_graph_is_a_layer() {
    let model = Sequential::new().push(siamese()).push(Dense::new(2));
    let mut model = model;
    let shape = Shapes::One(kiln_tensor::Shape::new(&[4]).unwrap());
    Layer::build(&mut model, &Shapes::Many(vec![shape.clone(), shape]), &mut Init::new(1, &cpu())).unwrap();
    assert_eq!(model.parameters()[0].0, "0.dense.weight");
    assert_eq!(model.forward((ones(&[3, 4]), ones(&[3, 4])), &Ctx::eval()).unwrap().dims(), [3, 2]);
}

#[test]
fn a_description_makes_the_model_again() {
    let mut g = Graph::new();
    let tokens = g.input_named("tokens", [5]);
    let embedding = g.layer(Embedding::new(7, 4).padding(0).mask_padding(true));
    let x = g.call(&embedding, &tokens).unwrap();
    let h = g.call(Lstm::new(4).return_sequences(true), &x).unwrap();
    let sum = g.add(&[&x, &h]).unwrap();
    let wide = g.concat(&[&sum, &h]).unwrap();
    let back = g.call_named("back", Dense::new(4), &wide).unwrap();
    let logits = g.call_with(&embedding, Embedding::LOGITS, &back).unwrap();
    let model = g.build(&[&tokens], &[&logits, &back], &cpu(), 1).unwrap();
    assert_eq!(model.output_names(), ["embedding.logits", "back"]);
    assert_eq!((model.output_shapes()[0], model.output_shapes()[1]), (&Shapes::from([5, 7]), &Shapes::from([5, 4])));
    let text = model.architecture().to_string();
    let mut again = Graph::from_architecture(&serde_json::from_str(&text).unwrap(), &cpu()).unwrap();
    assert_eq!(again.architecture(), model.architecture());
    again.load_state_dict(&model.state_dict(), true).unwrap();
    let x = Tensor::from_slice(&[1i64, 2, 3, 0, 0], [1, 5], &cpu()).unwrap();
    let run = |model: &Graph| {
        let y = Ctx::eval().run(model, &x).unwrap();
        let masks: Vec<Vec<bool>> = y.parts().iter().map(|y| y.mask().unwrap().to_vec().unwrap()).collect();
        let values: Vec<Vec<f64>> =
            y.parts().iter().map(|y| y.as_var().unwrap().tensor().to_f64_vec().unwrap()).collect();
        (masks, values)
    };
    assert_eq!(run(&again), run(&model));
    assert_eq!(run(&model).0, [[true, true, true, false, false]; 2], "through sums, side by side and tied weights");
}

#[test]
fn a_model_ends_at_an_inner_output() {
    let mut g = Graph::new();
    let x = g.input([1, 8, 8]);
    let h = g.call_named("features", Conv2d::new(2, 3), &x).unwrap();
    let h = g.call_named("pool", GlobalAvgPool::new(), &h).unwrap();
    let y = g.call_named("head", Dense::new(3), &h).unwrap();
    let model = g.build(&[&x], &[&y], &cpu(), 1).unwrap();
    let weight = model.parameters()[0].1.value().to_f64_vec().unwrap();
    let maps = model.ending_at(&["features", "pool"]).unwrap();
    assert_eq!(maps.parameters().len(), 2, "the head is left out");
    assert_eq!(maps.parameters()[0].1.value().to_f64_vec().unwrap(), weight);
    let outputs = Ctx::eval().run(&maps, ones(&[2, 1, 8, 8])).unwrap();
    assert_eq!(outputs.parts()[0].as_var().unwrap().dims(), [2, 2, 6, 6]);
    // The backbone of another model, frozen; its head learns.
    let mut g = Graph::new();
    let x = g.input([1, 8, 8]);
    let h = g.call_named("backbone", maps.ending_at(&["pool"]).unwrap(), &x).unwrap();
    let y = g.call_named("head", Dense::new(5), &h).unwrap();
    let mut model = g.build(&[&x], &[&y], &cpu(), 2).unwrap();
    assert_eq!(model.freeze("backbone.*").unwrap(), 2);
    let y = model.forward(ones(&[2, 1, 8, 8]), &Ctx::train(1, 0)).unwrap();
    assert_eq!(y.mean_all().unwrap().backward().unwrap().len(), 2);
    let error = model.freeze("backbones.*").unwrap_err().to_string();
    assert!(error.contains("`backbones.*` matches none of the 4 parameters"), "{error}");
    let error = model.ending_at(&["tail"]).unwrap_err().to_string();
    assert_eq!(error, "ending_at: no place is called `tail`: there are input, backbone, head");
}

#[test]
fn a_frozen_batch_norm_keeps_its_averages() {
    for affine in [true, false] {
        let norm = BatchNorm1d::new().affine(affine);
        let mut model = Sequential::new().push_named("norm", norm).build([3], &cpu(), 1).unwrap();
        model.freeze("norm.*").unwrap();
        let before = model.state_dict()["norm.running_mean"].to_f64_vec().unwrap();
        let step = |model: &mut Sequential| {
            let ctx = Ctx::train(1, 0);
            model.forward(ones(&[4, 3]), &ctx).unwrap();
            ctx.commit(model).unwrap();
            model.state_dict()["norm.running_mean"].to_f64_vec().unwrap()
        };
        assert_eq!(step(&mut model), before);
        model.unfreeze("norm.*").unwrap();
        assert_ne!(step(&mut model), before);
    }
}

/// Inputs and outputs of a graph.
type Ends = (Vec<Node>, Vec<Node>);

#[test]
fn graphs_that_make_no_sense_are_refused() {
    let message = |build: &dyn Fn(&mut Graph, Node, Node) -> Result<Ends>| {
        let mut g = Graph::new();
        let (a, b) = (g.input([2]), g.input_named("extra", [2]));
        let built = build(&mut g, a, b).and_then(|(inputs, outputs)| {
            let (inputs, outputs): (Vec<&Node>, Vec<&Node>) = (inputs.iter().collect(), outputs.iter().collect());
            g.build(&inputs, &outputs, &cpu(), 1)
        });
        built.map(|_| ()).unwrap_err().to_string()
    };
    let dense = || Dense::new(1);
    assert_eq!(
        message(&|g, a, b| Ok((vec![a, b], vec![g.call(dense(), &a)?]))),
        "build: no output depends on the input `extra`"
    );
    assert_eq!(
        message(&|g, a, b| Ok((vec![a], vec![g.concat(&[&a, &b])?]))),
        "build: the outputs depend on the input `extra`, which is not named"
    );
    assert_eq!(message(&|_, a, _| Ok((vec![a], vec![]))), "build: a graph needs an output: `g.build(&[&x], &[&y], …)`");
    let twice = |g: &mut Graph, a: Node, _: Node| {
        let y = g.call(dense(), &a)?;
        Ok((vec![a], vec![y, y]))
    };
    assert_eq!(message(&twice), "build: `dense` is named as output twice");
    let foreign = |g: &mut Graph, a: Node, _: Node| {
        let other = Graph::new().input([2]);
        Ok((vec![a], vec![g.add(&[&a, &other])?]))
    };
    assert_eq!(message(&foreign), "graph: this node is of another graph: only its own can be used");
    let elsewhere = |_: &mut Graph, a: Node, _: Node| Ok((vec![a], vec![siamese_output()]));
    assert_eq!(message(&elsewhere), "graph: this node is of another graph: only its own can be used");
    let called = |g: &mut Graph, a: Node, _: Node| {
        let y = g.call_named("extra", dense(), &a)?;
        Ok((vec![a], vec![y]))
    };
    assert_eq!(message(&called), "graph: two layers or inputs are called extra: give each a name of its own");
    let inside = |g: &mut Graph, a: Node, _: Node| {
        let h = g.call_named("h", dense(), &a)?;
        Ok((vec![h], vec![g.call(dense(), &h)?]))
    };
    assert_eq!(message(&inside), "build: `h` is the output of a layer and cannot be an input");
    let wide = |g: &mut Graph, a: Node, _: Node| {
        let h = g.call_named("wide", Dense::new(3), &a)?;
        Ok((vec![a], vec![g.add(&[&a, &h])?]))
    };
    assert_eq!(message(&wide), "model.add (Add): add: values of one shape are needed, got (2,) and (3,)");
    let deep = |g: &mut Graph, _: Node, _: Node| {
        let x = g.input_named("deep", [1; 7]);
        Ok((vec![x], vec![g.call(dense(), &x)?]))
    };
    assert!(message(&deep).starts_with("deep: shape: "), "{}", message(&deep));
}

fn siamese_output() -> Node {
    let mut g = Graph::new();
    let x = g.input([2]);
    g.call(Dense::new(1), &x).unwrap()
}

#[test]
fn descriptions_that_make_no_sense_are_refused() {
    let with = |calls: serde_json::Value, outputs: serde_json::Value| {
        let layers = json!([{"layer": "Dense", "units": 1, "name": "a", "use_bias": true, "activation": "linear",
            "kernel_initializer": "ones", "bias_initializer": "zeros"}]);
        let text =
            json!({"inputs": [{"name": "x", "shape": [2]}], "layers": layers, "calls": calls, "outputs": outputs});
        Graph::from_architecture(&text, &cpu()).map(|_| ()).unwrap_err().message().to_owned()
    };
    let a = json!({"name": "a", "layer": "a", "inputs": ["b"]});
    let b = json!({"name": "b", "layer": "a", "inputs": ["a"]});
    assert_eq!(with(json!([a, b]), json!(["b"])), "a needs `b`, which does not come before it: a graph has no cycles");
    let other = json!({"name": "a", "layer": "z", "inputs": ["x"]});
    assert_eq!(with(json!([other]), json!(["a"])), "call a: no layer is called z");
    let none = json!({"name": "a", "layer": "a", "inputs": []});
    assert_eq!(with(json!([none]), json!(["a"])), "call a has no inputs");
    let method = json!({"name": "a", "layer": "a", "inputs": ["x"], "method": "logits"});
    assert_eq!(with(json!([method]), json!(["a"])), "Dense has no method `logits`");
    let error = siamese().forward(ones(&[1, 4]), &Ctx::eval()).unwrap_err().to_string();
    assert_eq!(error, "model (Graph): forward: this takes 2 inputs (input, input_1), 1 is given");
}
