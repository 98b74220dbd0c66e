//! Losses: the same of probabilities as of their logits, in every shape, mode and type; where classes are; what is refused.
#![allow(clippy::type_complexity)] // tables of cases

use kiln_autograd::Var;
use kiln_math::{Purpose, RandomStream};
use kiln_nn::*;
use kiln_tensor::{DType, Device, Shape, Tensor};
use proptest::prelude::*;

const FLOATS: [DType; 4] = [DType::F32, DType::F64, DType::F16, DType::BF16];
const HALF: [DType; 2] = [DType::F16, DType::BF16];

fn cpu() -> Device {
    Device::cpu()
}

fn f32s(values: &[f32], shape: &[usize]) -> Tensor {
    Tensor::from_slice(values, shape, &cpu()).unwrap()
}

fn random(shape: &[usize], dtype: DType, scale: f64, seed: u64) -> Tensor {
    Tensor::normal(shape, 0.0, scale, DType::F64, &cpu(), RandomStream::new(seed, Purpose::Data, 0))
        .unwrap()
        .to_dtype(dtype)
        .unwrap()
}

fn labels(shape: &[usize], classes: usize, seed: u64) -> Tensor {
    let count: usize = shape.iter().product();
    let labels: Vec<i64> = (0..count as u64).map(|i| (((seed >> 3) + 7 * i) % classes as u64) as i64).collect();
    Tensor::from_slice(&labels, shape, &cpu()).unwrap()
}

fn without(dims: &[usize], axis: usize) -> Vec<usize> {
    let mut dims = dims.to_vec();
    dims.remove(axis);
    dims
}

/// The loss, and the gradient of the inputs where it is recorded.
fn loss_of(loss: &dyn Loss, model: &Sequential, x: &Tensor, target: &Tensor, train: bool) -> (f64, Option<Tensor>) {
    let (x, ctx) =
        if train { (Var::variable(x.clone()), Ctx::train(0, 0)) } else { (Var::constant(x.clone()), Ctx::eval()) };
    let value = loss.forward(&model.forward(&x, &ctx).unwrap(), target).unwrap();
    let number = value.item().unwrap();
    let gradient = train.then(|| value.backward().unwrap().of(&x).unwrap().clone());
    (number, gradient)
}

#[test]
fn a_softmax_over_steps_is_looked_through_in_training_and_evaluation() {
    let x = f32s(&[0.0, 200.0], &[1, 1, 2]);
    let label = Tensor::from_slice(&[0i64], [1, 1], &cpu()).unwrap();
    let one_hot = f32s(&[1.0, 0.0], &[1, 1, 2]);
    let model = Sequential::new().push(Activation::Softmax);
    for (loss, target) in [
        (Box::new(SparseCategoricalCrossentropy::new()) as Box<dyn Loss>, &label),
        (Box::new(CategoricalCrossentropy::new()), &one_hot),
    ] {
        assert_eq!(loss_of(&loss, &model, &x, target, false).0, 200.0);
        let (value, gradient) = loss_of(&loss, &model, &x, target, true);
        assert_eq!((value, gradient.unwrap().to_f64_vec().unwrap()), (200.0, vec![-1.0, 1.0]));
    }
}

#[test]
fn a_sigmoid_is_looked_through() {
    let one = |dense: Dense| {
        let mut init = Init::new(1, &cpu());
        dense.kernel_initializer(Initializer::Constant(1.0)).with_input(1, &mut init).unwrap()
    };
    let (x, target) = (f32s(&[20.0], &[1, 1]), f32s(&[0.0], &[1, 1]));
    for model in [
        Sequential::new().push(one(Dense::new(1).activation(Activation::Sigmoid))),
        Sequential::new().push(one(Dense::new(1))).push(Activation::Sigmoid),
        Sequential::new()
            .push(one(Dense::new(1)))
            .push(Activation::Sigmoid)
            .push(Flatten::new())
            .push(Reshape::new([1])),
    ] {
        let loss = BinaryCrossentropy::new();
        assert_eq!(loss_of(&loss, &model, &x, &target, false).0, 20.0);
        let (value, gradient) = loss_of(&loss, &model, &x, &target, true);
        assert_eq!((value, gradient.unwrap().to_f64_vec().unwrap()), (20.0, vec![1.0]));
    }
    // Each logarithm is exact where the other one is large: PyTorch's values for x = 20, −20 and 0.
    let x = Var::variable(Tensor::from_slice(&[20.0f64, -20.0, 0.0], [3, 1], &cpu()).unwrap());
    let ones = Tensor::ones([3, 1], DType::F64, &cpu()).unwrap();
    let each = BinaryCrossentropy::from_logits().each(&x, &ones.into()).unwrap();
    let expected = [2.061_153_620_314_381e-9, 20.000_000_002_061_153, std::f64::consts::LN_2];
    for (found, expected) in each.tensor().to_f64_vec().unwrap().into_iter().zip(expected) {
        assert!((found - expected).abs() <= 1e-15 * (1.0 + expected), "{found} {expected}");
    }
    let gradient = each.sum_all().unwrap().backward().unwrap().of(&x).unwrap().to_f64_vec().unwrap();
    assert!((gradient[0] + 2.061_153_618_190_204e-9).abs() < 1e-23 && gradient[2] == -0.5, "{gradient:?}");
}

/// A model that ends in `activation`, as a setting or a layer, with what follows it.
fn ending(activation: Activation, form: u8, units: usize, input: &[usize], dtype: DType) -> Sequential {
    let model = if form & 1 == 0 {
        Sequential::new().push(Dense::new(units).activation(activation))
    } else {
        Sequential::new().push(Dense::new(units)).push(activation)
    };
    let output = [&input[..input.len() - 1], &[units]].concat();
    let model = if form & 2 == 0 { model } else { model.push(Reshape::new(output)) };
    model.build_with(Shape::new(input).unwrap(), &mut Init::new(3, &cpu()).dtype(dtype)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Training and evaluation report the same for the same weights, and that is the loss of the logits.
    #[test]
    fn probabilities_lose_what_their_logits_do(
        rank in 2usize..6, dims in prop::collection::vec(1usize..4, 5), features in 1usize..5, form in 0u8..4,
        scale in prop::sample::select(vec![1.0, 300.0]), dtype in prop::sample::select(FLOATS.to_vec()), seed: u64,
    ) {
        let units = dims[4];
        let input = [&dims[1..rank - 1], &[features]].concat();
        let x = random(&[&dims[..1], &input[..]].concat(), dtype, scale, seed);
        let output = [&dims[..rank - 1], &[units]].concat();
        let axis = if rank >= 4 { 1 } else { rank - 1 };
        let sparse = labels(&without(&output, axis), output[axis], seed);
        let soft = random(&output, dtype, 1.0, seed ^ 1).softmax(axis).unwrap();
        let numbers = random(&output, dtype, 1.0, seed ^ 2).sigmoid().unwrap();
        let cases: [(Activation, Box<dyn Loss>, Box<dyn Loss>, &Tensor); 3] = [
            (Activation::Softmax, Box::new(SparseCategoricalCrossentropy::new()),
                Box::new(SparseCategoricalCrossentropy::from_logits()), &sparse),
            (Activation::Softmax, Box::new(CategoricalCrossentropy::new()),
                Box::new(CategoricalCrossentropy::from_logits()), &soft),
            (Activation::Sigmoid, Box::new(BinaryCrossentropy::new()),
                Box::new(BinaryCrossentropy::from_logits()), &numbers),
        ];
        for (activation, loss, of_logits, target) in cases {
            let model = ending(activation, form, units, &input, dtype);
            let logits = ending(Activation::Linear, form, units, &input, dtype);
            let (training, gradient) = loss_of(&loss, &model, &x, target, true);
            let (evaluation, _) = loss_of(&loss, &model, &x, target, false);
            let (expected, direct) = loss_of(&of_logits, &logits, &x, target, true);
            prop_assert_eq!(training, evaluation, "{}", loss.name());
            prop_assert_eq!(training, expected, "{}", loss.name());
            prop_assert_eq!(gradient.unwrap().to_f64_vec().unwrap(), direct.unwrap().to_f64_vec().unwrap());
        }
    }

    /// Every loss of half types is that of f64, rounded once: of the same values, within an ulp and the error of f32.
    #[test]
    fn losses_of_half_types_are_rounded_once(
        dtype in prop::sample::select(HALF.to_vec()), rows in 1usize..40, classes in 1usize..9, seed: u64,
    ) {
        let x = random(&[rows, classes], dtype, 3.0, seed);
        let soft = random(&[rows, classes], dtype, 1.0, seed ^ 1).softmax(-1).unwrap();
        let labels = labels(&[rows], classes, seed);
        // Apart from 0 and 1, whose floors are those of their types.
        let p = x.sigmoid().unwrap().affine(0.875, 0.0625).unwrap();
        let cases: [(Box<dyn Loss>, &Tensor, &Tensor); 7] = [
            (Box::new(SparseCategoricalCrossentropy::from_logits()), &x, &labels),
            (Box::new(CategoricalCrossentropy::from_logits()), &x, &soft),
            (Box::new(CategoricalCrossentropy::new()), &p, &soft),
            (Box::new(BinaryCrossentropy::from_logits()), &x, &soft),
            (Box::new(BinaryCrossentropy::new()), &p, &soft),
            (Box::new(MeanSquaredError::new()), &x, &soft),
            (Box::new(MeanAbsoluteError::new()), &x, &soft),
        ];
        for (loss, prediction, target) in cases {
            let wide = |t: &Tensor| if t.dtype().is_float() { t.to_dtype(DType::F64).unwrap() } else { t.clone() };
            let (narrow_var, wide_var) = (Var::variable(prediction.clone()), Var::variable(wide(prediction)));
            let narrow = loss.forward(&narrow_var, target).unwrap();
            let exact = loss.forward(&wide_var, &wide(target)).unwrap();
            prop_assert_eq!(narrow.dtype(), dtype);
            let near = |found: &Tensor, exact: &Tensor, what: &str| {
                let rounded = exact.to_dtype(dtype).unwrap().to_f64_vec().unwrap();
                let exact = exact.to_f64_vec().unwrap();
                for ((f, r), e) in found.to_f64_vec().unwrap().into_iter().zip(rounded).zip(exact) {
                    // Beside the error of f32, as in ln of a sum that is nearly 1.
                    let slack = (r - e).abs() + 2e-5 * e.abs() + 1e-6;
                    prop_assert!((f - e).abs() <= slack, "{} {what}: {f}, exactly {e}", loss.name());
                }
                Ok(())
            };
            near(narrow.tensor(), exact.tensor(), "loss")?;
            let (each, exact_each) = (loss.per_sample(&narrow_var, target).unwrap(), loss.per_sample(&wide_var, &wide(target)).unwrap());
            near(each.tensor(), exact_each.tensor(), "per sample")?;
            let gradient = narrow.backward().unwrap().of(&narrow_var).unwrap().clone();
            near(&gradient, exact.backward().unwrap().of(&wide_var).unwrap(), "gradient")?;
        }
    }
}

#[test]
fn certain_and_right_is_no_loss_in_any_type() {
    for dtype in FLOATS {
        let p = Var::variable(f32s(&[1.0, 0.0], &[2, 1]).to_dtype(dtype).unwrap());
        let t = p.tensor().clone();
        let loss = BinaryCrossentropy::new().forward(&p, &t).unwrap();
        assert_eq!(loss.item().unwrap(), 0.0, "{dtype}");
        let gradient = loss.backward().unwrap().of(&p).unwrap().to_f64_vec().unwrap();
        assert!(gradient.iter().all(|g| g.is_finite()), "{dtype} {gradient:?}");
        // Certain and wrong is finite, by the smallest normal number of the type.
        let wrong = t.affine(-1.0, 1.0).unwrap();
        let floor = -dtype.smallest_normal().ln();
        let loss = BinaryCrossentropy::new().forward(&Var::from(&t), &wrong).unwrap();
        assert!((loss.item().unwrap() - floor).abs() < 0.01 * floor, "{dtype} {loss}");
        let rows = Var::from(f32s(&[0.0, 1.0], &[1, 2]).to_dtype(dtype).unwrap());
        let loss = SparseCategoricalCrossentropy::new().forward(&rows, &labels(&[1], 1, 0)).unwrap();
        assert!((loss.item().unwrap() - floor).abs() < 0.01 * floor, "{dtype} {loss}");
    }
}

#[test]
fn classes_of_maps_are_along_axis_1() {
    // PyTorch: F.cross_entropy of two channels that differ by 2, the first being right everywhere.
    let x = f32s(&[1.0, 1.0, 1.0, -1.0, -1.0, -1.0], &[1, 2, 1, 3]);
    let first = f32s(&[1.0, 1.0, 1.0, 0.0, 0.0, 0.0], &[1, 2, 1, 3]);
    let near = |loss: Var, expected: f64| assert!((loss.item().unwrap() - expected).abs() < 1e-6, "{loss}");
    near(CategoricalCrossentropy::from_logits().forward(&Var::from(&x), &first).unwrap(), 0.126_928_01);
    near(CategoricalCrossentropy::from_logits().axis(-1).forward(&Var::from(&x), &first).unwrap(), 1.647_918_4);
    let label = labels(&[1, 1, 3], 1, 0);
    near(SparseCategoricalCrossentropy::from_logits().forward(&Var::from(&x), &label).unwrap(), 0.126_928_01);
    let kept = labels(&[1, 1, 1, 3], 1, 0);
    near(SparseCategoricalCrossentropy::from_logits().forward(&Var::from(&x), &kept).unwrap(), 0.126_928_01);
    let p = Activation::Softmax.apply(&Var::from(&x)).unwrap();
    near(SparseCategoricalCrossentropy::new().forward(&p, &label).unwrap(), 0.126_928_01);
    let log = Activation::LogSoftmax.apply(&Var::from(&x)).unwrap();
    near(CategoricalCrossentropy::from_logits().forward(&log, &first).unwrap(), 0.126_928_01);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Along any axis, the losses are those of the same rows with classes at the end, also where all sizes are equal.
    #[test]
    fn losses_along_any_axis(
        rank in 2usize..6, sizes in prop::collection::vec(1usize..4, 5), cube: bool, at in 1usize..5, named: bool, seed: u64,
    ) {
        let dims: Vec<usize> = if cube { vec![3; rank] } else { sizes[..rank].to_vec() };
        let axis = if named { 1 + at % (rank - 1) } else if rank >= 4 { 1 } else { rank - 1 };
        let x = random(&dims, DType::F64, 2.0, seed);
        let soft = random(&dims, DType::F64, 1.0, seed ^ 1).softmax(axis).unwrap();
        let classes = labels(&without(&dims, axis), dims[axis], seed);
        let mut order: Vec<usize> = without(&(0..rank).collect::<Vec<_>>(), axis);
        order.push(axis);
        let plain = |t: &Tensor| t.permute(&order).unwrap().reshape([t.elements() / dims[axis], dims[axis]]).unwrap();
        let flat = classes.reshape([classes.elements()]).unwrap();
        let at = axis as isize - if seed % 2 == 0 { rank as isize } else { 0 };
        let sparse = SparseCategoricalCrossentropy::from_logits();
        let categorical = CategoricalCrossentropy::from_logits();
        let cases: [(Box<dyn Loss>, Box<dyn Loss>, &Tensor, Tensor); 2] = [
            (Box::new(if named { sparse.axis(at) } else { sparse }), Box::new(sparse), &classes, flat),
            (Box::new(if named { categorical.axis(at) } else { categorical }), Box::new(categorical), &soft, plain(&soft)),
        ];
        for (loss, reference, target, flat) in cases {
            let (a, b) = (Var::variable(x.clone()), Var::variable(x.clone()));
            let each = loss.each(&a, &target.into()).unwrap();
            prop_assert_eq!(each.dims(), without(&dims, axis));
            let rows = b.permute(&order).unwrap().reshape([x.elements() / dims[axis], dims[axis]]).unwrap();
            let expected = reference.each(&rows, &flat.into()).unwrap();
            prop_assert_eq!(each.tensor().to_f64_vec().unwrap(), expected.tensor().to_f64_vec().unwrap());
            let gradient = |var: &Var, each: Var| each.sum_all().unwrap().backward().unwrap().of(var).unwrap().to_f64_vec().unwrap();
            prop_assert_eq!(gradient(&a, each), gradient(&b, expected));
        }
    }
}

#[test]
fn softmax_along_an_axis_is_a_setting_that_descriptions_keep() {
    let x = random(&[2, 3, 4, 5], DType::F32, 1.0, 1);
    let applied =
        |activation: Activation| activation.apply(&Var::from(&x)).unwrap().into_tensor().to_f64_vec().unwrap();
    let along = |axis: isize| x.softmax(axis).unwrap().to_f64_vec().unwrap();
    assert_eq!(applied(Activation::Softmax), along(1));
    assert_eq!(applied(Activation::Softmax.axis(-1)), along(3));
    assert_eq!(applied(Activation::LogSoftmax.axis(2)), x.log_softmax(2).unwrap().to_f64_vec().unwrap());
    assert_eq!(Activation::Relu.axis(1), Activation::Relu);
    for setting in [Activation::Softmax, Activation::Softmax.axis(2), Activation::LogSoftmax.axis(-2)] {
        let model = Sequential::new().push(Conv2d::new(2, 1).activation(setting)).push(setting);
        let model = model.build([3, 4, 5], &cpu(), 1).unwrap();
        let again = Sequential::from_architecture(&model.architecture(), &cpu()).unwrap();
        assert_eq!(again.architecture(), model.architecture());
    }
    // Descriptions of before have no axis.
    let old = r#"{"input":[2],"layers":[{"layer":"Activation","activation":"softmax"}]}"#;
    let old: serde_json::Value = serde_json::from_str(old).unwrap();
    assert_eq!(Sequential::from_architecture(&old, &cpu()).unwrap().architecture(), old);
    let error = Activation::Softmax.axis(4).apply(&Var::from(&x)).unwrap_err().to_string();
    assert!(error.contains("softmax") && error.contains('4'), "{error}");
}

#[test]
fn the_settings_softmax_is_that_of_the_layer() {
    let x = Var::from(random(&[2, 3, 4, 5], DType::F32, 1.0, 1));
    let values = |model: Sequential, input: &[usize], x: &Var| {
        let model = model.build(Shape::new(input).unwrap(), &cpu(), 1).unwrap();
        model.forward(x, &Ctx::eval()).unwrap().into_tensor().to_f64_vec().unwrap()
    };
    let pairs: [(Sequential, Sequential, &[usize]); 4] = [
        (
            Sequential::new().push(Conv2d::new(4, 1).activation(Activation::Softmax)),
            Sequential::new().push(Conv2d::new(4, 1)).push(Activation::Softmax),
            &[3, 4, 5],
        ),
        (
            Sequential::new().push(Dense::new(4).activation(Activation::Softmax)),
            Sequential::new().push(Dense::new(4)).push(Activation::Softmax),
            &[3, 4, 5],
        ),
        (
            Sequential::new().push(ConvTranspose2d::new(4, 1).activation(Activation::Sigmoid)),
            Sequential::new().push(ConvTranspose2d::new(4, 1)).push(Activation::Sigmoid),
            &[3, 4, 5],
        ),
        (
            Sequential::new().push(BatchNorm2d::new().activation(Activation::Softmax)),
            Sequential::new().push(BatchNorm2d::new()).push(Activation::Softmax),
            &[3, 4, 5],
        ),
    ];
    for (setting, layer, input) in pairs {
        assert_eq!(values(setting, input, &x), values(layer, input, &x));
    }
}

#[test]
fn targets_along_another_axis_are_refused_with_the_axis_that_fits() {
    let p = Var::from(random(&[2, 3, 4, 5], DType::F32, 1.0, 1));
    let sparse = SparseCategoricalCrossentropy::from_logits();
    let error = sparse.forward(&p, &labels(&[2, 3, 4], 3, 0)).unwrap_err().to_string();
    assert!(error.contains("(2, 3, 4, 5)") && error.contains("got (2, 3, 4)") && error.contains(".axis(3)"), "{error}");
    assert!(sparse.axis(3).forward(&p, &labels(&[2, 3, 4], 3, 0)).is_ok());
    let error = sparse.axis(3).forward(&p, &labels(&[2, 4, 5], 3, 0)).unwrap_err().to_string();
    assert!(error.contains(".axis(1)"), "{error}");
    let error = sparse.forward(&p, &labels(&[2, 9], 3, 0)).unwrap_err().to_string();
    assert!(error.contains("labels (2, 4, 5)") && !error.contains("fit"), "{error}");
    // A softmax along another axis than the loss's.
    let p = Var::from(random(&[2, 3, 3], DType::F32, 1.0, 1)).softmax(1).unwrap();
    let sparse = SparseCategoricalCrossentropy::new();
    let error = sparse.forward(&p, &labels(&[2, 3], 3, 0)).unwrap_err().to_string();
    assert!(error.contains(".axis(1)") && error.contains(".axis(2)"), "{error}");
    assert!(sparse.axis(1).forward(&p, &labels(&[2, 3], 3, 0)).is_ok());
}

#[test]
fn targets_that_mean_nothing_are_refused_with_row_and_value() {
    let p = Var::from(random(&[3, 2], DType::F32, 1.0, 1).sigmoid().unwrap());
    for dtype in FLOATS {
        for bad in [2.0f32, -1.0, f32::NAN, 1.0625, f32::INFINITY] {
            let target = f32s(&[0.0, 1.0, 1.0, 0.0, 0.0, bad], &[3, 2]).to_dtype(dtype).unwrap();
            for loss in [BinaryCrossentropy::new(), BinaryCrossentropy::from_logits()] {
                let error = loss.forward(&p, &target).unwrap_err().to_string();
                assert!(error.contains("row 2, position (1)") && error.contains(&bad.to_string()), "{error}");
            }
            if bad < 0.0 || !bad.is_finite() {
                let error = CategoricalCrossentropy::new().forward(&p, &target).unwrap_err().to_string();
                assert!(error.contains("row 2") && error.contains(&bad.to_string()), "{error}");
            }
        }
    }
    let integers = Tensor::from_slice(&[0i64, 1, 1, 0, 0, 2], [3, 2], &cpu()).unwrap();
    assert!(BinaryCrossentropy::new().forward(&p, &integers).unwrap_err().to_string().contains("is 2"));
    // Rows need not sum to one, as in PyTorch; the bounds themselves are allowed.
    let bounds = f32s(&[0.0, 1.0, 1.0, 1.0, 0.0, 0.5], &[3, 2]);
    assert!(BinaryCrossentropy::new().forward(&p, &bounds).is_ok());
    assert!(CategoricalCrossentropy::new().forward(&p, &bounds).is_ok());
    for bad in [-1.0, f32::NAN, f32::INFINITY] {
        let weights = f32s(&[1.0, bad, 1.0], &[3]);
        let error = MeanSquaredError::new().weighted(&p, &bounds, &weights).unwrap_err().to_string();
        assert!(error.contains("sample_weight") && error.contains("row 1"), "{error}");
    }
}

/// Σ weight·loss / number, by plain loops over steps that count; NaN where they do not.
#[test]
fn masked_and_weightless_values_do_not_enter() {
    let (n, t, c) = (2, 3, 4);
    let mask = Tensor::from_slice(&[true, true, false, true, false, false], [n, t], &cpu()).unwrap();
    let weights = f32s(&[1.0, 0.0, 2.0, 0.5, 1.0, 1.0], &[n, t]);
    let clean = random(&[n, t, c], DType::F32, 2.0, 3).to_vec::<f32>().unwrap();
    // Steps 0 of both count: that of index 1 has no weight, the others are masked.
    let dirty: Vec<f32> = (0..n * t * c).map(|i| if [0, 3].contains(&(i / c)) { clean[i] } else { f32::NAN }).collect();
    let soft = random(&[n, t, c], DType::F32, 1.0, 4).softmax(-1).unwrap();
    let dirty_soft: Vec<f32> = soft
        .to_vec::<f32>()
        .unwrap()
        .into_iter()
        .zip(&dirty)
        .map(|(t, d)| if d.is_nan() { f32::NAN } else { t })
        .collect();
    let dirty_soft = f32s(&dirty_soft, &[n, t, c]);
    let labels = Tensor::from_slice(&[1i64, -100, 99, 3, -1, 77], [n, t], &cpu()).unwrap();
    let counting = Counting { mask: Some(&mask), weights: Some(&weights) };
    let cases: [(Box<dyn Loss>, &Tensor, bool); 8] = [
        (Box::new(SparseCategoricalCrossentropy::from_logits()), &labels, false),
        (Box::new(SparseCategoricalCrossentropy::new()), &labels, true),
        (Box::new(CategoricalCrossentropy::from_logits()), &dirty_soft, false),
        (Box::new(CategoricalCrossentropy::new()), &dirty_soft, true),
        (Box::new(BinaryCrossentropy::from_logits()), &dirty_soft, false),
        (Box::new(BinaryCrossentropy::new()), &dirty_soft, true),
        (Box::new(MeanSquaredError::new()), &dirty_soft, false),
        (Box::new(MeanAbsoluteError::new()), &dirty_soft, false),
    ];
    for (loss, target, probabilities) in cases {
        let squashed = |x: &Var| match (probabilities, loss.name()) {
            (false, _) => x.clone(),
            (true, "binary_crossentropy") => x.sigmoid().unwrap(),
            (true, _) => x.softmax(-1).unwrap(),
        };
        let x = Var::variable(f32s(&dirty, &[n, t, c]));
        let value = loss.counted(&squashed(&x), target, counting).unwrap();
        // The two steps alone, one after the other.
        let alone = |step: usize| {
            let x = Var::variable(f32s(&clean[step * c..][..c], &[1, c]));
            let rest = &target.dims()[2..];
            let target = target.reshape([&[n * t], rest].concat()).unwrap().slice(0, step..step + 1).unwrap();
            let value = loss.forward(&squashed(&x), &target).unwrap();
            let number = value.item().unwrap();
            (number, value.backward().unwrap().of(&x).unwrap().to_f64_vec().unwrap())
        };
        let ((first, dx), (second, dy)) = (alone(0), alone(3));
        // Three steps are not masked.
        let expected = (first + 0.5 * second) / 3.0;
        assert!((value.item().unwrap() - expected).abs() < 1e-6, "{} {value} {expected}", loss.name());
        let gradient = value.backward().unwrap().of(&x).unwrap().to_f64_vec().unwrap();
        for (i, found) in gradient.into_iter().enumerate() {
            let expected = match i / c {
                0 => dx[i] / 3.0,
                3 => 0.5 * dy[i - 3 * c] / 3.0,
                _ => 0.0,
            };
            assert!((found - expected).abs() < 1e-6, "{} gradient {i}: {found} {expected}", loss.name());
        }
        // Nothing counts: no loss, no gradient.
        let none = Tensor::full([n, t], 0.0, DType::F32, &cpu()).unwrap().to_dtype(DType::Bool).unwrap();
        let x = Var::variable(f32s(&vec![f32::NAN; n * t * c], &[n, t, c]));
        let value = loss.counted(&squashed(&x), target, Counting { mask: Some(&none), weights: None }).unwrap();
        assert_eq!(value.item().unwrap(), 0.0, "{}", loss.name());
        let gradient = value.backward().unwrap().of(&x).unwrap().to_f64_vec().unwrap();
        assert!(gradient.iter().all(|&g| g == 0.0), "{}: {gradient:?}", loss.name());
    }
}

#[test]
fn weights_of_pixels_are_laid_over_maps() {
    let (x, target) = (random(&[2, 3, 2, 2], DType::F64, 1.0, 1), labels(&[2, 2, 2], 3, 5));
    let weights = random(&[2, 2, 2], DType::F64, 1.0, 2).square().unwrap();
    let loss = SparseCategoricalCrossentropy::from_logits();
    let each = loss.each(&Var::from(&x), &Var::from(&target)).unwrap().into_tensor();
    let expected = each.mul(&weights).unwrap().mean(..).unwrap().item().unwrap();
    let found = loss.weighted(&Var::from(&x), &target, &weights).unwrap().item().unwrap();
    assert!((found - expected).abs() < 1e-14);
    let misfit = loss.weighted(&Var::from(&x), &target, &Tensor::ones([2, 3], DType::F64, &cpu()).unwrap());
    assert!(misfit.unwrap_err().to_string().contains("weights of shape (2, 3) for losses of shape (2, 2, 2)"));
    let mask = Tensor::ones([2, 2], DType::F32, &cpu()).unwrap();
    let no_bools = loss.counted(&Var::from(&x), &target, Counting { mask: Some(&mask), weights: None });
    assert!(no_bools.unwrap_err().to_string().contains("expected bool"));
}

/// PyTorch: `HuberLoss(delta=2.0)` of differences 0.5, −1, 3, −4.
#[test]
fn huber_is_quadratic_near_and_linear_far() {
    let cpu = Device::cpu();
    let p = Var::variable(Tensor::from_slice(&[0.5f64, -1.0, 3.0, -4.0], [4], &cpu).unwrap());
    let t = Tensor::zeros([4], DType::F64, &cpu).unwrap();
    let loss = Huber::new().delta(2.0).forward(&p, &t).unwrap();
    assert_eq!(loss.item().unwrap(), (0.125 + 0.5 + 4.0 + 6.0) / 4.0);
    let gradient = loss.backward().unwrap().of(&p).unwrap().to_f64_vec().unwrap();
    assert_eq!(gradient, [0.125, -0.25, 0.5, -0.5]);
    assert!(Huber::new().delta(0.0).forward(&p, &t).unwrap_err().message().starts_with("a δ above 0"));
}
