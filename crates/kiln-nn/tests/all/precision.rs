//! Mixed precision: models of f32 that compute in a half type.

use kiln_nn::*;
use kiln_tensor::{DType, Device, Tensor};
use std::sync::{Arc, Mutex};

const HALVES: [DType; 2] = [DType::F16, DType::BF16];

fn cpu() -> Device {
    Device::cpu()
}

fn numbers(dims: &[usize], low: f64, high: f64, seed: u64) -> Tensor {
    let stream = kiln_math::RandomStream::new(seed, kiln_math::Purpose::Data, 0);
    Tensor::uniform(dims, low, high, DType::F32, &cpu(), stream).unwrap()
}

/// x · weight, which remembers the types that it met.
#[derive(Module, Describe)]
struct Sees {
    weight: Param,
    #[module(skip)]
    seen: Arc<Mutex<Vec<[DType; 2]>>>,
    #[module(skip)]
    precision: LayerPrecision,
}

impl Sees {
    fn new(precision: LayerPrecision) -> (Self, Arc<Mutex<Vec<[DType; 2]>>>) {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let weight = Param::new(Tensor::ones([3], DType::F32, &cpu()).unwrap());
        (Sees { weight, seen: seen.clone(), precision }, seen)
    }
}

impl Layer for Sees {
    type Input = Var;
    type Output = Var;
    fn forward(&self, x: Var, ctx: &Ctx) -> Result<Var> {
        let weight = self.weight.var(ctx);
        self.seen.lock().unwrap().push([x.dtype(), weight.dtype()]);
        x.mul(&weight)
    }
    fn precision(&self) -> LayerPrecision {
        self.precision
    }
}

#[test]
fn layers_compute_in_the_half_type_and_the_model_gives_f32() {
    for half in HALVES {
        let (inside, seen) = Sees::new(LayerPrecision::Compute);
        let (full, seen_full) = Sees::new(LayerPrecision::Full);
        let (last, seen_last) = Sees::new(LayerPrecision::Compute);
        let model = Sequential::new().push(inside).push(full).push(Sequential::new().push(last));
        let model = model.build([3], &cpu(), 1).unwrap();
        // `build` tried the layers.
        [&seen, &seen_full, &seen_last].into_iter().for_each(|seen| seen.lock().unwrap().clear());
        let y = model.forward(numbers(&[2, 3], -1.0, 1.0, 1), &Ctx::train(1, 0).compute(half)).unwrap();
        assert_eq!(y.dtype(), DType::F32);
        assert_eq!(*seen.lock().unwrap(), [[half, half]]);
        assert_eq!(*seen_full.lock().unwrap(), [[DType::F32, DType::F32]]);
        assert_eq!(*seen_last.lock().unwrap(), [[half, half]]);
        let gradients = y.square().unwrap().mean_all().unwrap().backward().unwrap();
        for (path, parameter) in model.parameters() {
            assert_eq!(gradients.get(parameter.id()).unwrap().dtype(), DType::F32, "{path}");
        }
        assert_eq!(full_precision_layers(&model), ["1 (Sees)"]);
    }
}

#[test]
fn features_are_normalized_before_they_are_rounded() {
    // Years, of which bf16 holds every sixteenth.
    let years = Tensor::from_slice(&[2001f32, 2002., 2003., 2004.], [4, 1], &cpu()).unwrap();
    let mut normalization = Normalization::new();
    normalization.adapt(&years).unwrap();
    let model = Sequential::new().push(normalization).push(Dense::new(1)).build([1], &cpu(), 1).unwrap();
    let outputs = |ctx: &Ctx| model.forward(&years, ctx).unwrap().tensor().to_f64_vec().unwrap();
    let (exact, mixed) = (outputs(&Ctx::eval()), outputs(&Ctx::eval().compute(DType::BF16)));
    for (exact, mixed) in exact.iter().zip(&mixed) {
        assert!((exact - mixed).abs() <= 0.01 * exact.abs(), "{exact} {mixed}");
    }
    assert_eq!(full_precision_layers(&model), ["0 (Normalization)"]);
}

/// Models of every kind of layer, with an input. Nothing in them jumps: rounding may switch a ReLU or a maximum.
fn models() -> Vec<(&'static str, Sequential, Tensor)> {
    let build = |model: Sequential, shape: &[usize]| model.build(shape, &cpu(), 3).unwrap();
    let tokens = Tensor::from_slice(&[3i64, 1, 0, 2, 4, 4, 2, 0], [2, 4], &cpu()).unwrap();
    let images = numbers(&[2, 3, 8, 8], -1.0, 1.0, 2);
    let dense = Sequential::new()
        .push(Dense::new(16).activation(Activation::Tanh))
        .push(LayerNorm::new())
        .push(Residual::new(Sequential::new().push(Dense::new(16)).push(Activation::Gelu)))
        .push(WeightNorm::new(Dense::new(5)))
        .push(Activation::Softmax);
    let convolutions = Sequential::new()
        .push(Conv2d::new(6, 3).padding(1).use_bias(false))
        .push(BatchNorm2d::new().activation(Activation::Tanh))
        .push(AvgPool2d::new(2))
        .push(Residual::new(Sequential::new().push(Conv2d::new(6, 3).padding(1)).push(GroupNorm::new(2))))
        .push(GlobalAvgPool::new())
        .push(Dense::new(4));
    let recurrent = Sequential::new()
        .push(Embedding::new(5, 6))
        .push(Lstm::new(7).return_sequences(true))
        .push(Gru::new(4).bidirectional(Merge::Concat))
        .push(Dense::new(3));
    let feed_forward = FeedForward::new(16).activation(Activation::Gelu);
    let block = TransformerEncoderLayer::of(MultiHeadAttention::new(2), feed_forward).norm_first(true);
    let attention = Sequential::new()
        .push(Embedding::new(5, 8))
        .push(PositionEmbedding::new(4))
        .push(TransformerEncoder::new(block, 2))
        .push(Dense::new(5));
    vec![
        ("dense", build(dense, &[7]), numbers(&[4, 7], -1.0, 1.0, 1)),
        ("convolutions", build(convolutions, &[3, 8, 8]), images),
        ("recurrent", build(recurrent, &[4]), tokens.clone()),
        ("attention", build(attention, &[4]), tokens),
    ]
}

#[test]
fn outputs_and_gradients_are_those_of_f32_but_for_rounding() {
    for (name, model, x) in models() {
        let pass = |ctx: Ctx| {
            let y = model.forward(&x, &ctx).unwrap();
            let gradients = y.square().unwrap().mean_all().unwrap().backward().unwrap();
            let flat = |of: &Param| gradients.get(of.id()).unwrap().to_f64_vec().unwrap();
            let all: Vec<(String, Vec<f64>)> =
                model.parameters().into_iter().map(|(path, of)| (path, flat(of))).collect();
            (y.tensor().to_f64_vec().unwrap(), all)
        };
        let close = |what: &str, exact: &[f64], mixed: &[f64], share: f64| {
            let norm = |of: &mut dyn Iterator<Item = f64>| of.map(|x| x * x).sum::<f64>().sqrt();
            let error = norm(&mut exact.iter().zip(mixed).map(|(a, b)| a - b));
            let whole = norm(&mut exact.iter().copied());
            assert!(error <= share * whole + 1e-6, "{name}, {what}: an error of {error}, norm {whole}");
            assert!(exact != mixed || exact.iter().all(|&x| x == 0.0), "{name}, {what}: nothing was rounded");
        };
        let (exact, exact_gradients) = pass(Ctx::train(1, 0));
        // A share of the norm: of single elements the error may be as large as they are.
        for (half, share) in [(DType::F16, 0.03), (DType::BF16, 0.1)] {
            let (mixed, gradients) = pass(Ctx::train(1, 0).compute(half));
            close(&format!("{half} output"), &exact, &mixed, share);
            for ((path, exact), (_, mixed)) in exact_gradients.iter().zip(&gradients) {
                close(&format!("{half} gradient of {path}"), exact, mixed, share);
            }
        }
    }
}

#[test]
fn a_parameter_that_was_changed_is_converted_again() {
    let mut model = Sequential::new().push(Dense::new(1).use_bias(false)).build([1], &cpu(), 1).unwrap();
    let (ctx, x) = (Ctx::eval().compute(DType::BF16), Tensor::ones([1, 1], DType::F32, &cpu()).unwrap());
    let mut set = |value: f32| {
        let weight = Tensor::from_slice(&[value], [1, 1], &cpu()).unwrap();
        model.load_state_dict(&StateDict::from([("0.weight".to_owned(), weight)]), true).unwrap();
        // The same context before and after.
        let y = model.forward(&x, &ctx).unwrap();
        y.item().unwrap()
    };
    assert_eq!([set(2.0), set(3.0)], [2.0, 3.0]);
}

#[test]
fn a_parameter_is_converted_once_in_a_pass() {
    #[derive(Module, Describe)]
    struct Twice {
        weight: Param,
    }
    impl Layer for Twice {
        type Input = Var;
        type Output = Var;
        fn forward(&self, x: Var, ctx: &Ctx) -> Result<Var> {
            let [a, b] = [self.weight.var(ctx), self.weight.var(ctx)];
            // Both are what the pass keeps.
            assert!(!a.tensor().is_unique() && !b.tensor().is_unique());
            x.mul(&a)?.mul(&b)
        }
    }
    let layer = Twice { weight: Param::new(Tensor::from_slice(&[3f32], [1], &cpu()).unwrap()) };
    let y = Ctx::train(1, 0).compute(DType::BF16).run(&layer, Tensor::ones([1], DType::F32, &cpu()).unwrap()).unwrap();
    let gradients = y.sum_all().unwrap().backward().unwrap();
    // (w²)′ = 2w
    assert_eq!(gradients.get(layer.weight.id()).unwrap().to_f64_vec().unwrap(), [6.0]);
}

#[test]
fn penalties_and_losses_are_f32() {
    let dense = Dense::new(4).kernel_regularizer(L2(0.1)).activity_regularizer(L1(0.1)).activation(Activation::Softmax);
    let model = Sequential::new().push(dense).build([3], &cpu(), 1).unwrap();
    let (x, labels) = (numbers(&[2, 3], -1.0, 1.0, 4), Tensor::from_slice(&[1i64, 3], [2], &cpu()).unwrap());
    let total = |ctx: Ctx| {
        let loss = SparseCategoricalCrossentropy::new().forward(&model.forward(&x, &ctx).unwrap(), &labels).unwrap();
        let penalty = ctx.penalty().unwrap().unwrap();
        assert_eq!([loss.dtype(), penalty.dtype()], [DType::F32; 2]);
        loss.add(&penalty).unwrap().item().unwrap()
    };
    let (exact, mixed) = (total(Ctx::train(1, 0)), total(Ctx::train(1, 0).compute(DType::BF16)));
    assert!((exact - mixed).abs() < 0.01 * exact && exact != mixed, "{exact} {mixed}");
}

#[test]
fn a_loss_of_probabilities_knows_their_logits() {
    // p(0) is below what f16 and f32 hold.
    let model = Sequential::new().push(Activation::Softmax).build([2], &cpu(), 1).unwrap();
    let x = Tensor::from_slice(&[-100f32, 100.], [1, 2], &cpu()).unwrap();
    for half in HALVES {
        let p = model.forward(&x, &Ctx::train(1, 0).compute(half)).unwrap();
        let label = Tensor::from_slice(&[0i64], [1], &cpu()).unwrap();
        assert_eq!(SparseCategoricalCrossentropy::new().forward(&p, &label).unwrap().item().unwrap(), 200.0);
    }
}

#[test]
fn checkpointed_layers_have_the_bits_of_others() {
    let layers = || {
        Sequential::new().push(Dense::new(6).activation(Activation::Tanh)).push(Dropout::new(0.3)).push(Dense::new(2))
    };
    let x = numbers(&[4, 3], -1.0, 1.0, 5);
    let gradients = |model: Sequential| {
        let model = model.build([3], &cpu(), 1).unwrap();
        let ctx = Ctx::train(1, 0).compute(DType::BF16);
        let loss = model.forward(&x, &ctx).unwrap().square().unwrap().mean_all().unwrap();
        let gradients = loss.backward().unwrap();
        model
            .parameters()
            .into_iter()
            .map(|(_, of)| gradients.get(of.id()).unwrap().to_f64_vec().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(gradients(layers()), gradients(layers().checkpoint_every(1)));
}

#[test]
fn tied_weights_of_a_method_are_converted() {
    let mut graph = Graph::new();
    let tokens = graph.input([3]);
    let embedding = graph.layer(Embedding::new(5, 4));
    let hidden = graph.call(&embedding, &tokens).unwrap();
    let logits = graph.call_with(&embedding, Embedding::LOGITS, &hidden).unwrap();
    let model = graph.build(&[&tokens], &[&logits], &cpu(), 1).unwrap();
    let x = Tensor::from_slice(&[3i64, 1, 4], [1, 3], &cpu()).unwrap();
    let outputs = |ctx: &Ctx| model.forward(&x, ctx).unwrap().tensor().to_f64_vec().unwrap();
    let (exact, mixed) = (outputs(&Ctx::eval()), outputs(&Ctx::eval().compute(DType::BF16)));
    assert_ne!(exact, mixed);
    let largest = exact.iter().fold(0.0, |largest: f64, x| largest.max(x.abs()));
    assert!(
        exact.iter().zip(&mixed).all(|(exact, mixed)| (exact - mixed).abs() < 0.02 * largest),
        "{exact:?} {mixed:?}"
    );
}

#[test]
fn what_only_moves_elements_rounds_nothing() {
    // bf16 has no 1001 and f16 no 100,000.
    let x = Tensor::from_slice(&[1001f32, 100_000.0], [2, 1, 1], &cpu()).unwrap();
    let (sees, seen) = Sees::new(LayerPrecision::Full);
    let model = Sequential::new()
        .push(Masking::new(0.0))
        .push(TimeDistributed::new(Reshape::new([1])))
        .push(Permute::new([2, 1]))
        .push(Flatten::new())
        .push(RepeatVector::new(3))
        .push(Flatten::new())
        .push(sees);
    let model = model.build([1, 1], &cpu(), 1).unwrap();
    seen.lock().unwrap().clear();
    for half in HALVES {
        let y = model.forward(&x, &Ctx::eval().compute(half)).unwrap().tensor().to_f64_vec().unwrap();
        assert_eq!(y, [1001.0, 1001.0, 1001.0, 100_000.0, 100_000.0, 100_000.0]);
    }
    assert_eq!(*seen.lock().unwrap(), [[DType::F32, DType::F32]; 2]);
}

#[test]
fn branches_of_several_types_are_put_together() {
    let full = || Sequential::new().push(Resizing::new(2, 2));
    let x = numbers(&[2, 3, 2, 2], -1.0, 1.0, 7);
    let one = Conv2d::new(3, 1);
    let models = [
        Sequential::new().push(Residual::new(full())),
        Sequential::new().push(Residual::new(Sequential::new().push(one)).shortcut(full())),
        Sequential::new().push(SkipConcat::new(full())),
        Sequential::new().push(Concat::new().branch(full()).branch(Conv2d::new(3, 1))),
    ];
    for model in models {
        let model = model.build([3, 2, 2], &cpu(), 1).unwrap();
        let (exact, mixed) = (Ctx::eval(), Ctx::eval().compute(DType::BF16));
        let of = |ctx: &Ctx| model.forward(&x, ctx).unwrap().tensor().to_f64_vec().unwrap();
        assert!(of(&exact).iter().zip(of(&mixed)).all(|(exact, mixed)| (exact - mixed).abs() < 0.05));
    }
    // A container that is the model itself.
    let model = Residual::new(Sequential::new().push(Dense::new(3)));
    let mut model = model;
    Layer::build(&mut model, &kiln_tensor::Shape::new(&[3]).unwrap(), &mut Init::new(1, &cpu())).unwrap();
    let y = Ctx::eval().compute(DType::BF16).run(&model, numbers(&[2, 3], -1.0, 1.0, 8)).unwrap();
    assert_eq!(y.values.dtype(), DType::F32);
    // Two inputs of a graph's concatenation, one of them from a layer in f32.
    let mut graph = Graph::new();
    let input = graph.input([3, 2, 2]);
    let full = graph.call(Resizing::new(2, 2), &input).unwrap();
    let half = graph.call(Conv2d::new(3, 1), &input).unwrap();
    let both = graph.concat(&[&full, &half]).unwrap();
    let model = graph.build(&[&input], &[&both], &cpu(), 1).unwrap();
    assert_eq!(model.forward(&x, &Ctx::eval().compute(DType::BF16)).unwrap().dtype(), DType::F32);
}

#[test]
fn states_are_carried_from_one_precision_to_another() {
    for cell in [Lstm::new(4), Lstm::new(4).projection(2), Lstm::new(4).layer_norm(true)] {
        let model = Sequential::new().push(cell.stateful(true)).build([2, 3], &cpu(), 1).unwrap();
        let x = numbers(&[1, 2, 3], -1.0, 1.0, 9);
        for ctx in [Ctx::eval(), Ctx::eval().compute(DType::BF16), Ctx::eval()] {
            assert_eq!(model.forward(&x, &ctx).unwrap().dtype(), DType::F32);
        }
    }
}

#[test]
fn norms_of_single_samples_are_those_of_f32() {
    let model = Sequential::new().push(Dense::new(4)).push(LayerNorm::new()).push(Dense::new(2));
    let model = model.build([3], &cpu(), 1).unwrap();
    let x = numbers(&[5, 3], -1.0, 1.0, 10);
    let norms = |ctx: Ctx| {
        let norms = per_sample_norms(&model, ctx, |ctx| model.forward(&x, ctx)?.square()?.sum(-1)).unwrap();
        norms.total().to_f64_vec().unwrap()
    };
    let (exact, mixed) = (norms(Ctx::eval()), norms(Ctx::eval().compute(DType::BF16)));
    assert!(exact.iter().zip(&mixed).all(|(exact, mixed)| (exact - mixed).abs() < 0.05 * exact), "{exact:?} {mixed:?}");
}
