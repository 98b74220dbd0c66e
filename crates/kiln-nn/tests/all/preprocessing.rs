//! Preprocessing layers: against Keras's and PyTorch's values (tests/fixtures/preprocessing.safetensors), what they learn from
//! data, how they are saved, and what they refuse.

use kiln_autograd::{Var, grad_check};
use kiln_math::{Purpose, RandomStream};
use kiln_nn::*;
use kiln_tensor::{DType, Device, Result, Tensor};

fn cpu() -> Device {
    Device::cpu()
}

fn fixture() -> StateDict {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/preprocessing.safetensors");
    safetensors::read(path, &cpu()).unwrap()
}

fn close(what: &str, found: &Tensor, expected: &Tensor, tolerance: f64) {
    assert_eq!(found.shape(), expected.shape(), "{what}");
    for (f, e) in found.to_f64_vec().unwrap().into_iter().zip(expected.to_f64_vec().unwrap()) {
        assert!((f - e).abs() <= tolerance * (1.0 + e.abs()), "{what}: {f}, expected {e}");
    }
}

/// A model of the layer alone, in f64, built for samples like those of x.
fn model(layer: impl AnyLayer + 'static, x: &Tensor) -> Sequential {
    let mut init = Init::new(1, &cpu()).dtype(DType::F64);
    Sequential::new().push(layer).channels_first().build_with(&x.dims()[1..], &mut init).unwrap()
}

fn output(layer: impl AnyLayer + 'static, x: &Tensor) -> Tensor {
    let model = model(layer, x);
    let y = model.forward(x, &Ctx::eval()).unwrap().into_tensor();
    assert_eq!(model.output_shapes()[0].one().unwrap().dims(), &y.dims()[1..], "as it was built");
    y
}

/// The message of an error when a model of the layer is built.
fn refused(layer: impl AnyLayer + 'static, sample: &[usize]) -> String {
    Sequential::new().push(layer).channels_first().build(sample, &cpu(), 1).unwrap_err().to_string()
}

fn uniform(shape: &[usize]) -> Tensor {
    Tensor::uniform(shape, -1.0, 1.0, DType::F64, &cpu(), RandomStream::new(1, Purpose::Data, 0)).unwrap()
}

fn integers(values: &[i64], columns: usize) -> Tensor {
    Tensor::from_slice(values, [values.len() / columns, columns], &cpu()).unwrap()
}

#[test]
fn normalization_is_kerass() {
    let values = fixture();
    let layers = [
        ("table", Normalization::new()),
        ("images", Normalization::new()),
        ("both", Normalization::new().axis([1, -1])),
        ("whole", Normalization::new().whole()),
    ];
    for (name, mut layer) in layers {
        let of = |what: &str| &values[&format!("normalization/{name}/{what}")];
        let x = of("x");
        layer.adapt(x).unwrap();
        let (mean, variance) = layer.moments().unwrap();
        close(name, mean.value(), of("mean"), 1e-14);
        close(name, variance.value(), of("variance"), 1e-13);
        close(name, &output(layer.clone(), x), of("y"), 1e-12);
        // In batches, and back.
        let n = x.dims()[0];
        layer.adapt_batches((0..n).map(|row| x.slice(0, row..row + 1))).unwrap();
        let y = output(layer.clone(), x);
        close(name, &y, of("y"), 1e-12);
        close(name, &output(layer.invert(true), &y), x, 1e-13);
    }
    let x = Tensor::from_slice(&[0.5f64, 2.0], [1, 2], &cpu()).unwrap();
    let back = Normalization::with_moments(&[1.0, -2.0], &[4.0, 0.0]).unwrap().invert(true);
    // Keras rounds both to f32.
    close("invert", &output(back, &x), &values["normalization/invert"], 1e-7);
}

/// A naive sum of squares would lose all digits here.
#[test]
fn moments_of_large_numbers_are_exact_in_one_pass() {
    let x: Vec<f64> = (0..3000).map(|i| 1e9 + f64::from(i % 3)).collect();
    let x = Tensor::from_vec(x, [3000, 1], &cpu()).unwrap();
    let mut layer = Normalization::new();
    layer.adapt_batches([0..7, 7..1900, 1900..3000].map(|rows| x.slice(0, rows))).unwrap();
    let (mean, variance) = layer.moments().unwrap();
    assert!((mean.value().item().unwrap() - (1e9 + 1.0)).abs() < 1e-6);
    assert!((variance.value().item().unwrap() - 2.0 / 3.0).abs() < 1e-9);
}

#[test]
fn integers_and_half_types_are_normalized_as_floats() {
    let pixels = Tensor::from_slice(&[0u8, 255, 100, 155], [4, 1], &cpu()).unwrap();
    let mut layer = Normalization::new();
    layer.adapt(&pixels).unwrap();
    let mut model = Sequential::new().push(layer).build([1], &cpu(), 1).unwrap();
    let y = model.forward(&pixels, &Ctx::eval()).unwrap();
    assert_eq!(y.dtype(), DType::F32);
    assert!(y.tensor().mean_all().unwrap().item().unwrap().abs() < 1e-6);
    // The moments stay f32, so that only x and y are rounded.
    model.to_dtype(DType::BF16).unwrap();
    let half = pixels.to_dtype(DType::BF16).unwrap();
    let z = model.forward(&half, &Ctx::eval()).unwrap();
    assert_eq!((z.dtype(), model.state_dict()["0.mean"].dtype()), (DType::BF16, DType::F32));
    close("half", z.tensor(), y.tensor(), 0.005);
}

#[test]
fn gradients_go_through_what_is_linear() {
    let x = uniform(&[2, 3, 5, 4]);
    let check = |model: Sequential| {
        grad_check(|x| model.forward(&x[0], &Ctx::eval())?.tanh()?.sum_all(), std::slice::from_ref(&x)).unwrap();
    };
    check(model(Normalization::with_moments(&[0.1, 0.2, 0.3], &[1.0, 2.0, 0.5]).unwrap(), &x));
    check(model(Rescaling::new(0.5, 2.0), &x));
    check(model(Resizing::new(3, 6).antialias(true), &x));
    check(model(Resizing::new(4, 7).nearest().crop_to_aspect_ratio(true), &x));
    check(model(CenterCrop::new(2, 3), &x));
}

#[test]
fn images_are_resized_as_in_keras_and_pytorch() {
    let values = fixture();
    let x = &values["resizing/x"];
    for (name, layer) in [
        ("nearest", Resizing::new(5, 11).nearest()),
        ("bilinear", Resizing::new(5, 11)),
        ("cropped", Resizing::new(3, 5).crop_to_aspect_ratio(true)),
        ("cropped_wide", Resizing::new(8, 4).crop_to_aspect_ratio(true)),
        ("antialias", Resizing::new(4, 2).antialias(true)),
        ("antialias_larger", Resizing::new(10, 3).antialias(true)),
    ] {
        close(name, &output(layer, x), &values[&format!("resizing/{name}")], 1e-6);
    }
    close("crop", &output(CenterCrop::new(4, 3), x), &values["center_crop"], 0.0);
    close("rescaling", &output(Rescaling::new(1.0 / 127.5, -1.0), x), &values["rescaling"], 1e-6);
    // Integers become f32, and a model takes images of other sizes than it was built for.
    let bytes = x.to_dtype(DType::U8).unwrap();
    let model = Sequential::new().push(Resizing::new(2, 2)).build([2, 30, 30], &cpu(), 1).unwrap();
    assert_eq!(model.forward(&bytes, &Ctx::eval()).unwrap().dtype(), DType::F32);
}

#[test]
fn categories_are_encoded_as_in_keras() {
    let values = fixture();
    let x = &values["categories"];
    close("one_hot", &output(CategoryEncoding::one_hot(5), x), &values["category/one_hot"], 0.0);
    close("multi_hot", &output(CategoryEncoding::multi_hot(5), x), &values["category/multi_hot"], 0.0);
    close("count", &output(CategoryEncoding::count(5), x), &values["category/count"], 0.0);
    let column = x.slice(1, 0..1).unwrap();
    close("column", &output(CategoryEncoding::one_hot(5), &column), &values["category/column"], 0.0);
    // Of whole numbers in floats, as a table has them.
    let floats = x.to_dtype(DType::F32).unwrap();
    close("floats", &output(CategoryEncoding::count(5), &floats), &values["category/count"], 0.0);
    let error = |x: Tensor| model(CategoryEncoding::one_hot(5), &x).forward(x, &Ctx::eval()).unwrap_err().to_string();
    assert!(error(integers(&[1, 5], 1)).contains("5 is not among the categories, 0 to 4"));
    let half = Tensor::from_slice(&[0.5f32], [1, 1], &cpu()).unwrap();
    assert!(error(half).contains("whole numbers are expected, got 0.5"));
    assert!(refused(CategoryEncoding::count(0), &[1]).contains("1 category or more"));
}

#[test]
fn bins_are_kerass_and_quantiles_numpys() {
    let values = fixture();
    let x = values["numbers"].reshape([40, 1]).unwrap();
    let bins = output(Discretization::new(&[-1.0, 0.0, 0.5]), &x);
    close("bins", &bins, &values["discretization"].reshape([40, 1]).unwrap(), 0.0);
    let mut layer = Discretization::quantiles(5);
    layer.adapt_batches((0..8).map(|part| x.slice(0, 5 * part..5 * part + 5))).unwrap();
    let found = layer.boundaries().unwrap();
    for (found, expected) in found.iter().zip(values["quantiles"].to_f64_vec().unwrap()) {
        assert!((found - expected).abs() < 1e-14, "{found} {expected}");
    }
    // A number that is a boundary is above it, in f32 and half types too.
    for dtype in [DType::F32, DType::BF16] {
        let x = Tensor::full([1, 1], 0.7, dtype, &cpu()).unwrap();
        assert_eq!(output(Discretization::new(&[0.7]), &x).item().unwrap(), 1.0);
    }
    assert_eq!(output(Discretization::new(&[2.5]), &integers(&[2, 3], 1)).to_vec::<i64>().unwrap(), [0, 1]);
}

#[test]
fn quantiles_of_much_data_are_near() {
    let n = 400_000;
    // Each of 0, 1/n, … once, shuffled by a step that has no divisor in common with n.
    let x: Vec<f64> = (0..n).map(|i| (i * 177_007 % n) as f64 / n as f64).collect();
    let mut layer = Discretization::quantiles(8);
    layer.adapt(&Tensor::from_vec(x, [n], &cpu()).unwrap()).unwrap();
    for (i, boundary) in layer.boundaries().unwrap().iter().enumerate() {
        let expected = (i + 1) as f64 / 8.0;
        assert!((boundary - expected).abs() < 3.0 / 65_536.0, "{boundary} {expected}");
    }
    let mut equal = Discretization::quantiles(4);
    equal.adapt(&Tensor::ones([9], DType::F32, &cpu()).unwrap()).unwrap();
    assert_eq!(equal.boundaries(), Some(&[1.0][..]));
}

#[test]
fn integers_are_looked_up_as_in_keras() {
    let values = fixture();
    for (name, mut layer) in [
        ("plain", IntegerLookup::new()),
        ("mask", IntegerLookup::new().mask(3).max_size(5)),
        ("several", IntegerLookup::new().oov_indices(3)),
    ] {
        let of = |what: &str| &values[&format!("lookup/{name}/{what}")];
        layer.adapt(&values["integers"]).unwrap();
        assert_eq!(layer.vocabulary(), of("vocabulary").to_vec::<i64>().unwrap());
        let x = of("x").reshape([9, 1]).unwrap();
        let indices = output(layer.clone(), &x);
        close(name, &indices, &of("y").reshape([9, 1]).unwrap(), 0.0);
        let back = output(layer.clone().invert(true), &indices).to_vec::<i64>().unwrap();
        for (back, x) in back.into_iter().zip(x.to_vec::<i64>().unwrap()) {
            let known = layer.vocabulary().contains(&x) || name == "mask" && x == 3;
            assert_eq!(back, if known { x } else { -1 });
        }
    }
    let strict = model(IntegerLookup::of(&[5, 6]).unwrap().oov_indices(0), &integers(&[5], 1));
    let error = strict.forward(integers(&[5, 9], 1), &Ctx::eval()).unwrap_err().to_string();
    assert!(error.contains("9 is not in the vocabulary of 2"), "{error}");
    assert!(IntegerLookup::of(&[1, 2, 1]).unwrap_err().to_string().contains("1 is in the vocabulary twice"));
    assert!(refused(IntegerLookup::new(), &[1]).contains("the vocabulary is empty"));
}

#[test]
fn strings_are_looked_up() {
    let mut lookup = StringLookup::new().mask("e");
    lookup.adapt(["b", "a", "c", "b", "d", "a", "b", "e"]).unwrap();
    assert_eq!(lookup.vocabulary(), ["b", "a", "d", "c"]);
    let indices = lookup.lookup(&["a", "b", "c", "d", "e", "f"]).unwrap();
    close("strings", &indices, &fixture()["strings"], 0.0);
    assert_eq!(lookup.invert(&indices).unwrap(), ["a", "b", "c", "d", "e", "[UNK]"]);
    assert_eq!(lookup.size(), 6);

    let several = StringLookup::of(["a"]).unwrap().oov_indices(4);
    let found: Vec<usize> = ["x", "y", "z", "x"].iter().map(|string| several.index(string).unwrap()).collect();
    assert!(found[0] == found[3] && found.iter().all(|&index| index < 4) && found != [found[0]; 4], "{found:?}");
    assert_eq!(several.index("a").unwrap(), 4);

    let classes = StringLookup::of(["cat", "dog"]).unwrap().oov_indices(0);
    assert_eq!(classes.index("dog").unwrap(), 1);
    let error = classes.lookup(&["cat", "cow"]).unwrap_err().to_string();
    assert!(error.contains(r#""cow" is not in the vocabulary of 2, and there is no index"#), "{error}");
    let error = classes.invert(&integers(&[2], 1)).unwrap_err().to_string();
    assert!(error.contains("index 2 is out of range: there are 2"), "{error}");
    assert!(StringLookup::of(["a", "a"]).unwrap_err().to_string().contains(r#""a" is in the vocabulary twice"#));
    assert!(StringLookup::new().adapt([""; 0]).unwrap_err().to_string().contains("no vocabulary"));
    let tight = StringLookup::new().max_size(1).adapt(["a"]).unwrap_err().to_string();
    assert!(tight.contains("max_size 1 leaves no room"), "{tight}");
}

/// Settings and vocabularies in the description, moments among the weights.
#[test]
fn preprocessing_is_saved_inside_the_model() {
    let data = uniform(&[50, 3]).to_dtype(DType::F32).unwrap();
    let (mut normalization, mut bins) = (Normalization::new(), Discretization::quantiles(4));
    normalization.adapt(&data).unwrap();
    bins.adapt(&data).unwrap();
    let mut years = IntegerLookup::new();
    years.adapt(&integers(&[1999, 2000, 1999], 1)).unwrap();
    let mut g = Graph::new();
    let (numbers, year, color) =
        (g.input_named("numbers", [3]), g.input_named("year", [1]), g.input_named("color", [1]));
    let scaled = g.call(normalization, &numbers).unwrap();
    let binned = g.call(bins, &numbers).unwrap();
    let binned = g.call(CategoryEncoding::count(4), &binned).unwrap();
    let year = (g.call(years, &year).unwrap(), year);
    let encoded = g.call(CategoryEncoding::one_hot(3), &year.0).unwrap();
    let embedded = g.call(Embedding::new(3, 2), &color).unwrap();
    let embedded = g.call(Flatten::new(), &embedded).unwrap();
    let all = g.concat(&[&scaled, &binned, &encoded, &embedded]).unwrap();
    let y = g.call(Dense::new(1), &all).unwrap();
    let model = g.build(&[&numbers, &year.1, &color], &[&y], &cpu(), 1).unwrap();
    let model = model.with_lookup("color", StringLookup::of(["red", "blue"]).unwrap()).unwrap();

    let written = model.architecture().to_string();
    let mut again = Graph::from_architecture(&serde_json::from_str(&written).unwrap(), &cpu()).unwrap();
    assert_eq!(again.architecture(), model.architecture());
    let bytes = safetensors::encode(&model.state_dict()).unwrap();
    assert!(model.state_dict().contains_key("normalization.variance"));
    again.load_state_dict(&safetensors::decode(&bytes, &cpu()).unwrap(), true).unwrap();

    // A row of mixed columns.
    let run = |model: &Graph| {
        let colors = model.lookup("color").unwrap().lookup(&["blue", "green"]).unwrap().reshape([2, 1]).unwrap();
        let x = (data.slice(0, 0..2).unwrap(), integers(&[2000, 1], 1), colors);
        model.forward(x, &Ctx::eval()).unwrap().tensor().to_f64_vec().unwrap()
    };
    assert_eq!(run(&again), run(&model));
    assert_eq!(model.lookups().map(|(name, lookup)| (name, lookup.size())).collect::<Vec<_>>(), [("color", 3)]);

    let images = Sequential::new()
        .push(Resizing::new(8, 8).nearest().antialias(true))
        .push(CenterCrop::new(6, 6))
        .push(Rescaling::new(0.5, 1.0))
        .with_lookup("labels", StringLookup::of(["cat", "dog"]).unwrap().oov_indices(0).mask("").max_size(9))
        .unwrap()
        .build([3, 9, 9], &cpu(), 1)
        .unwrap();
    let again = Sequential::from_architecture(&images.architecture(), &cpu()).unwrap();
    assert_eq!(again.architecture(), images.architecture());
    assert_eq!(again.ending_at("1").unwrap().lookup("labels").unwrap().size(), 3);
}

#[test]
fn what_cannot_be_learned_is_refused() -> Result<()> {
    let error = |result: Result<()>| result.unwrap_err().to_string();
    let mut normalization = Normalization::new();
    let one = Tensor::ones([1, 2], DType::F32, &cpu())?;
    assert!(error(normalization.adapt(&one)).contains("the variance of one value is not known"));
    assert!(error(normalization.adapt_batches([])).contains("there is no data"));
    let missing = Tensor::from_slice(&[1.0f32, 2.0, f32::NAN, 4.0], [2, 2], &cpu())?;
    assert!(error(normalization.adapt(&missing)).contains("feature 0 has the mean NaN"));
    let mixed = [Ok(one.clone()), Tensor::ones([1, 3], DType::F32, &cpu())];
    assert!(error(normalization.adapt_batches(mixed)).contains("features of sizes [2] came before, now they are [3]"));
    assert!(error(Normalization::new().axis(0).adapt(&one)).contains("axis 0 is that of the batch"));
    assert!(refused(normalization, &[2]).contains("mean and variance are not known"));
    let moments = |mean: &[f64], variance: &[f64]| error(Normalization::with_moments(mean, variance).map(drop));
    assert!(moments(&[0.0], &[1.0, 2.0]).contains("as many means as variances"));
    assert!(moments(&[0.0], &[-1.0]).contains("a variance at least 0"));
    let two = Normalization::with_moments(&[0.0; 2], &[1.0; 2])?;
    assert!(refused(two, &[3]).contains("features of sizes [2], and these are of sizes [3]"));

    let mut bins = Discretization::quantiles(3);
    assert!(error(bins.adapt_batches([])).contains("there is no data to take quantiles of"));
    assert!(error(bins.adapt(&missing)).contains("finite numbers are expected, got NaN"));
    assert!(error(bins.adapt(&one.mul_scalar(f64::INFINITY)?)).contains("finite numbers are expected, got inf"));
    assert!(error(bins.adapt(&one)).contains("3 bins need at least 3 numbers, got 2"));
    assert!(error(Discretization::quantiles(0).adapt(&one)).contains("1 bin or more"));
    assert!(error(Discretization::new(&[1.0]).adapt(&one)).contains("the boundaries are given"));
    assert!(refused(bins, &[2]).contains("the boundaries are not known"));
    for boundaries in [[1.0, 1.0], [1.0, f64::INFINITY], [f64::NEG_INFINITY, 1.0]] {
        assert!(refused(Discretization::new(&boundaries), &[2]).contains("finite boundaries that ascend"));
    }

    assert!(refused(CenterCrop::new(5, 3), &[1, 4, 4]).contains("a crop of 5 × 3 does not fit images of 4 × 4"));
    assert!(refused(Resizing::new(0, 3), &[1, 4, 4]).contains("cannot become 0 × 3"));
    assert!(refused(Rescaling::new(f64::NAN, 0.0), &[1]).contains("finite numbers"));
    assert!(refused(Resizing::new(2, 2), &[4, 4]).contains("samples of (C, H, W)"));
    let last = Sequential::new().push(Resizing::new(2, 2)).build([32, 32, 3], &cpu(), 1).unwrap_err().to_string();
    assert!(last.contains("looks like channels last"), "{last}");
    Ok(())
}

/// An error half-way leaves what was known.
#[test]
fn what_was_learned_stays_where_learning_fails() {
    let mut layer = Normalization::with_moments(&[1.0], &[2.0]).unwrap();
    let nan = Tensor::full([3, 1], f64::NAN, DType::F32, &cpu()).unwrap();
    layer.adapt(&nan).unwrap_err();
    assert_eq!(layer.moments().unwrap().0.value().item().unwrap(), 1.0);
    let x = Var::constant(Tensor::full([1, 1], 3.0, DType::F64, &cpu()).unwrap());
    let y = model(layer, x.tensor()).forward(&x, &Ctx::eval()).unwrap();
    assert!((y.item().unwrap() - 2f64.sqrt()).abs() < 1e-12);
}

#[test]
fn a_mask_that_is_in_the_vocabulary_is_refused() {
    let layer = IntegerLookup::of(&[0, 1]).unwrap().mask(0);
    assert!(refused(layer, &[1]).contains("0 is the mask and in the vocabulary too"));
    let lookup = || StringLookup::of(["a", "b"]).unwrap().mask("a");
    let error = Sequential::new().with_lookup("color", lookup()).unwrap_err().to_string();
    assert!(error.contains(r#""a" is the mask and in the vocabulary too"#), "{error}");
    assert!(Graph::new().add_lookup("color", lookup()).is_err());
}

/// The tables of a layer follow its settings and what it learns.
#[test]
fn a_lookup_that_has_run_can_be_changed() {
    let x = integers(&[7, 5, 6], 1);
    let run = |layer: &IntegerLookup, x: &Tensor| {
        Ctx::eval().run(layer, x.clone()).unwrap().tensor().to_vec::<i64>().unwrap()
    };
    let mut layer = IntegerLookup::of(&[5, 6]).unwrap();
    assert_eq!(run(&layer, &x), [0, 1, 2]);
    assert_eq!(run(&layer, &x), [0, 1, 2]);
    layer.adapt(&integers(&[6, 6, 7], 1)).unwrap();
    assert_eq!(run(&layer, &x), [2, 0, 1]);
    layer = layer.mask(5);
    assert_eq!(run(&layer, &x), [3, 0, 2]);
    layer = layer.oov_indices(2);
    assert_eq!(run(&layer, &x), [4, 0, 3]);
    layer = layer.invert(true);
    assert_eq!(run(&layer, &integers(&[4, 0, 3], 1)), [7, 5, 6]);
}
