//! A last layer over a large vocabulary, whose output is computed where it is asked for.

use kiln_autograd::{Gradients, Var};
use kiln_math::{Purpose, RandomStream};
use kiln_nn::losses::Counting;
use kiln_nn::*;
use kiln_tensor::profile::Profiling;
use kiln_tensor::{DType, Device, Result, Tensor};

const CLASSES: usize = Projection::LARGE;
/// Samples, steps, width.
const SHAPE: [usize; 3] = [3, 4, 6];

fn normal(shape: &[usize], seed: u64) -> Tensor {
    let stream = RandomStream::new(seed, Purpose::Data, 0);
    Tensor::normal(shape, 0.0, 1.0, DType::F32, &Device::cpu(), stream).unwrap()
}

fn labels() -> Tensor {
    let labels: Vec<i64> = (0..12).map(|at| at * 401 % CLASSES as i64).collect();
    Tensor::from_slice(&labels, [3, 4], &Device::cpu()).unwrap()
}

/// A model with a last layer of this activation.
fn model(activation: Activation) -> Sequential {
    let last = Dense::new(CLASSES).activation(activation).bias_initializer(Initializer::HeNormal);
    Sequential::new().push(Dense::new(5)).push(last).build([4, 6], &Device::cpu(), 1).unwrap()
}

fn close(what: &str, found: &Tensor, expected: &Tensor) {
    assert_eq!(found.shape(), expected.shape(), "{what}");
    for (f, e) in found.to_f64_vec().unwrap().into_iter().zip(expected.to_f64_vec().unwrap()) {
        assert!((f - e).abs() <= 2e-6 * (1.0 + e.abs()), "{what}: {f}, expected {e}");
    }
}

/// Holds a loss of the output that is not computed, and its gradients, against the same of the logits.
fn agrees(what: &str, model: &Sequential, x: &Tensor, loss: &dyn Loss, counting: Counting<'_>) {
    let of = |loss: Result<Var>| -> (Tensor, Gradients) {
        let loss = loss.unwrap_or_else(|error| panic!("{what}: {error}"));
        (loss.tensor().clone(), loss.backward().unwrap())
    };
    let output = Ctx::train(1, 0).run::<dyn AnyLayer>(model, x).unwrap();
    assert!(matches!(&output, Value::Projection(..)), "{what}");
    let (fused, gradients) = of(loss.of_output(&output, &labels(), counting));
    let logits = model.forward(x, &Ctx::train(1, 0)).unwrap();
    let (whole, expected) = of(loss.counted(&logits, &labels(), counting));
    close(what, &fused, &whole);
    assert_eq!(gradients.len(), 4, "{what}");
    for ((_, found), (_, expected)) in gradients.iter().zip(expected.iter()) {
        close(what, found, expected);
    }
}

#[test]
fn losses_are_those_of_the_logits() {
    let (logits, x) = (model(Activation::Linear), normal(&SHAPE, 1));
    let sparse = SparseCategoricalCrossentropy::from_logits;
    let none = Counting::default();
    let mask = Tensor::from_slice(&[true, true, true, false].repeat(3), [3, 4], &Device::cpu()).unwrap();
    let weights = Tensor::from_slice(&[0.5f32, 0.0, 2.0], [3], &Device::cpu()).unwrap();
    agrees("plain", &logits, &x, &sparse(), none);
    agrees("smoothed", &logits, &x, &sparse().label_smoothing(0.1).z_loss(1e-2), none);
    agrees("ignored", &logits, &x, &sparse().ignore_index(401).z_loss(1e-2), none);
    agrees("sum", &logits, &x, &Summed(sparse().ignore_index(401)), none);
    agrees("weighted classes", &logits, &x, &ClassWeighted::new(sparse(), &[2.0; CLASSES]), none);
    let (mask, weights) = (Some(&mask), Some(&weights));
    agrees("mask", &logits, &x, &sparse().ignore_index(401), Counting { mask, weights: None });
    agrees("weights", &logits, &x, &sparse(), Counting { mask: None, weights });
    agrees("both", &logits, &x, &sparse(), Counting { mask, weights });
    let smoothed = sparse().label_smoothing(0.1).z_loss(1e-2);
    agrees("smoothed, masked", &logits, &x, &smoothed, Counting { mask, weights: None });
    agrees("smoothed, masked and weighted", &logits, &x, &smoothed, Counting { mask, weights });
    let probabilities = model(Activation::Softmax);
    agrees("softmax", &probabilities, &x, &SparseCategoricalCrossentropy::new().z_loss(1e-2), none);
}

#[test]
fn what_does_not_count_may_be_nan() {
    let model = Sequential::new().push(Dense::new(CLASSES)).build([4, 6], &Device::cpu(), 1).unwrap();
    let mut x = normal(&SHAPE, 1);
    x.slice_assign(0, 1..2, &Tensor::full([1, 4, 6], f64::NAN, DType::F32, &Device::cpu()).unwrap()).unwrap();
    let mask = Tensor::from_slice(&[[true; 4], [false; 4], [true; 4]].concat(), [3, 4], &Device::cpu()).unwrap();
    let output = Ctx::train(1, 0).run::<dyn AnyLayer>(&model, &x).unwrap();
    let counting = Counting { mask: Some(&mask), weights: None };
    let loss = SparseCategoricalCrossentropy::from_logits().of_output(&output, &labels(), counting).unwrap();
    assert!(loss.item().unwrap().is_finite());
    for (_, gradient) in loss.backward().unwrap().iter() {
        assert!(gradient.to_f64_vec().unwrap().iter().all(|value| value.is_finite()));
    }
}

#[test]
fn whatever_asks_for_it_gets_the_output() {
    let (model, x) = (model(Activation::Softmax), normal(&SHAPE, 1));
    let of = |ctx: &Ctx| ctx.run::<dyn AnyLayer>(&model, &x).unwrap();
    let output = of(&Ctx::eval());
    let expected = model.forward(&x, &Ctx::eval()).unwrap().tensor().to_vec::<f32>().unwrap();
    assert_eq!(output.as_var().unwrap().tensor().to_vec::<f32>().unwrap(), expected);
    assert!(output.as_var().unwrap().origin().is_some());
    assert_eq!(output.sample_shapes().unwrap(), Shapes::from([4, CLASSES]));
    // Part by part it is the same, and a pass that is looked at computes it at once.
    let Value::Projection(projection, _) = &output else { panic!("computed") };
    let parts: Vec<f32> =
        projection.parts(true).flat_map(|part| part.unwrap().1.tensor().to_vec::<f32>().unwrap()).collect();
    assert_eq!(parts, expected);
    assert!(matches!(of(&Ctx::eval().with_probe(KeptOutputs::default())), Value::One(..)));
}

#[test]
fn a_long_sample_comes_in_parts_of_its_steps() {
    // 5 · 10⁶ numbers a sample, more than are computed at a time.
    let (steps, classes) = (2500, Projection::LARGE);
    let [hidden, weight] =
        [(vec![2, steps, 3], 1), (vec![classes, 3], 2)].map(|(shape, seed)| Var::from(&normal(&shape, seed)));
    let projection = Projection::new(hidden.clone(), weight.clone(), None).unwrap();
    let labels = Tensor::arange(2 * steps, &Device::cpu()).unwrap().reshape([2, steps]).unwrap();
    let of_samples = Tensor::arange(2, &Device::cpu()).unwrap();
    let (mut logits, mut seen, mut samples) = (Vec::new(), Vec::new(), Vec::new());
    assert_eq!(projection.parts(false).count(), 2);
    for part in projection.parts(true) {
        let (part, values) = part.unwrap();
        assert!(values.tensor().elements() <= 1 << 22);
        assert_eq!(part.of(&labels).unwrap().dims(), &values.dims()[..2]);
        logits.extend(values.tensor().to_vec::<f32>().unwrap());
        seen.extend(part.of(&labels).unwrap().to_vec::<i64>().unwrap());
        samples.extend(part.of(&of_samples).unwrap().to_vec::<i64>().unwrap());
    }
    assert!(logits == hidden.linear(&weight, None, None).unwrap().tensor().to_vec::<f32>().unwrap());
    assert_eq!(seen, (0..2 * steps as i64).collect::<Vec<_>>());
    assert_eq!(samples, [0, 0, 1, 1]);
}

#[test]
fn a_checkpoint_gives_it_on() {
    let plain = model(Activation::Linear);
    let checkpointed = model(Activation::Linear).checkpoint_every(1);
    agrees("checkpoint", &checkpointed, &normal(&SHAPE, 1), &SparseCategoricalCrossentropy::from_logits(), {
        Counting::default()
    });
    let gradients = |model: &Sequential| {
        let output = Ctx::train(1, 0).run::<dyn AnyLayer>(model, normal(&SHAPE, 1)).unwrap();
        let loss = SparseCategoricalCrossentropy::from_logits();
        let loss = loss.of_output(&output, &labels(), Counting::default()).unwrap();
        let gradients = loss.backward().unwrap();
        gradients.iter().map(|(_, gradient)| gradient.to_vec::<f32>().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(gradients(&checkpointed), gradients(&plain));
}

#[test]
fn tied_vectors_get_both_gradients() {
    let mut graph = Graph::new();
    let tokens = graph.input([4]);
    let embedding = graph.layer(Embedding::new(CLASSES, 6));
    let vectors = graph.call(&embedding, &tokens).unwrap();
    let logits = graph.call_with(&embedding, Embedding::LOGITS, &vectors).unwrap();
    let graph = graph.build(&[&tokens], &[&logits], &Device::cpu(), 1).unwrap();
    let loss = SparseCategoricalCrossentropy::from_logits();
    let gradient = |of: &dyn Fn(&Value) -> Result<Var>| {
        let output = Ctx::train(1, 0).run::<dyn AnyLayer>(&graph, labels()).unwrap();
        assert!(matches!(&output, Value::Projection(..)));
        of(&output).unwrap().backward().unwrap().iter().next().unwrap().1.clone()
    };
    let fused = gradient(&|output| loss.of_output(output, &labels(), Counting::default()));
    let whole = gradient(&|output| loss.counted(output.as_var()?, &labels(), Counting::default()));
    close("tied", &fused, &whole);
}

#[test]
fn only_the_last_layer_leaves_its_output() {
    let cpu = Device::cpu();
    let output = |model: &Sequential, x: &Tensor| Ctx::train(1, 0).run::<dyn AnyLayer>(model, x).unwrap();
    let embedding = || Embedding::new(9, 4).padding(0).mask_padding(true);
    let tokens = Tensor::from_slice(&[1i64, 2, 0, 3, 0, 0], [2, 3], &cpu).unwrap();
    for classes in [CLASSES - 1, CLASSES] {
        let layers = Sequential::new().push(embedding()).push(Dense::new(classes)).push(SegmentEmbedding::new(2));
        let model = layers.push(Linear::new(classes, 5, &mut Init::new(0, &cpu)).unwrap());
        let output = output(&model.build([3], &cpu, 1).unwrap(), &tokens);
        let mask = output.mask().unwrap_or_else(|| panic!("{classes}: the mask is lost"));
        assert_eq!(mask.to_vec::<bool>().unwrap(), [true, true, false, true, false, false]);
    }
    // Where several layers read it, it is computed once.
    let mut graph = Graph::new();
    let x = graph.input([6]);
    let wide = graph.call(Dense::new(CLASSES), &x).unwrap();
    let sum = graph.call(Add::new(), &[&wide, &wide]).unwrap();
    let graph = graph.build(&[&x], &[&sum], &cpu, 1).unwrap();
    let profiling = Profiling::start().unwrap();
    Ctx::train(1, 0).run(&graph, normal(&[2, 6], 1)).unwrap();
    let products = profiling.stop().operations().into_iter().find(|row| row.name == "matmul").unwrap();
    assert_eq!(products.total.calls, 1);
}

#[test]
fn a_linear_layer_leaves_its_output_too() {
    let cpu = Device::cpu();
    let last = Linear::new(6, CLASSES, &mut Init::new(0, &cpu)).unwrap();
    let output = Ctx::train(1, 0).run::<dyn AnyLayer>(&last, &normal(&SHAPE, 1)).unwrap();
    assert!(matches!(output, Value::Projection(..)));
}
