//! Losses and their gradients against PyTorch's and Keras's (tests/fixtures), against finite differences, and what is refused.
#![allow(clippy::type_complexity)] // tables of cases

use kiln_autograd::{Var, grad_check};
use kiln_math::{Purpose, RandomStream};
use kiln_nn::losses::Counting;
use kiln_nn::*;
use kiln_tensor::{DType, Device, Result, Tensor};

fn cpu() -> Device {
    Device::cpu()
}

fn fixtures() -> StateDict {
    safetensors::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/losses.safetensors"), &cpu()).unwrap()
}

/// Holds the values of each target and the gradients of their sum.
fn agrees(values: &StateDict, case: &str, each: impl Fn(&[Var]) -> Result<Var>) {
    let mut operands = Vec::new();
    while let Some(operand) = values.get(&format!("{case}/{}", operands.len())) {
        let needed = values.contains_key(&format!("{case}/grad{}", operands.len()));
        operands.push(if needed { Var::variable(operand.clone()) } else { Var::from(operand) });
    }
    assert!(!operands.is_empty(), "{case} is not in the fixtures");
    let each = each(&operands).unwrap_or_else(|error| panic!("{case}: {error}"));
    let close = |what: &str, found: &Tensor, expected: &Tensor| {
        assert_eq!(found.shape(), expected.shape(), "{case} {what}");
        for (f, e) in found.to_f64_vec().unwrap().into_iter().zip(expected.to_f64_vec().unwrap()) {
            assert!((f - e).abs() <= 2e-6 * (1.0 + e.abs()), "{case} {what}: {f}, expected {e}");
        }
    };
    close("each", each.tensor(), &values[&format!("{case}/each")]);
    let gradients = each.sum_all().unwrap().backward().unwrap();
    for (at, operand) in operands.iter().enumerate() {
        if let Some(expected) = values.get(&format!("{case}/grad{at}")) {
            close(&format!("gradient {at}"), gradients.of(operand).unwrap(), expected);
        }
    }
}

#[test]
fn losses_of_numbers_are_pytorchs_and_kerass() {
    let values = fixtures();
    let losses: [(&str, Box<dyn Loss>); 13] = [
        ("huber", Box::new(Huber::new().delta(0.75))),
        ("smooth_l1", Box::new(SmoothL1::new().beta(0.5))),
        ("log_cosh", Box::new(LogCosh)),
        ("mape", Box::new(MeanAbsolutePercentageError)),
        ("msle", Box::new(MeanSquaredLogarithmicError)),
        ("hinge", Box::new(Hinge)),
        ("squared_hinge", Box::new(SquaredHinge)),
        ("poisson", Box::new(PoissonNll::new())),
        ("poisson_log", Box::new(PoissonNll::from_log())),
        ("bce_smooth", Box::new(BinaryCrossentropy::new().label_smoothing(0.25))),
        ("bce_pos_weight", Box::new(BinaryCrossentropy::from_logits().pos_weight(&[3.0]))),
        ("binary_focal", Box::new(BinaryFocal::from_logits().alpha(0.3).gamma(1.5))),
        ("binary_focal_p", Box::new(BinaryFocal::new())),
    ];
    for (name, loss) in &losses {
        for shape in ["6", "4x3", "2x3x5"] {
            agrees(&values, &format!("{name}/{shape}"), |v| loss.each(&v[0], &v[1]));
        }
    }
    let weights = BinaryCrossentropy::from_logits().pos_weight(&[0.5, 2.0, 4.0]);
    agrees(&values, "bce_pos_weights", |v| weights.each(&v[0], &v[1]));
    agrees(&values, "gaussian", |v| GaussianNll::new().each(&v[0], &v[1]));
    agrees(&values, "gaussian_log", |v| GaussianNll::from_log().each(&v[0], &v[1]));
    agrees(&values, "dice", |v| Dice::new().each(&v[0], &v[1]));
}

#[test]
fn losses_of_classes_are_pytorchs_and_kerass() {
    let values = fixtures();
    let sparse = SparseCategoricalCrossentropy::from_logits;
    let categorical = CategoricalCrossentropy::from_logits;
    for shape in ["6x4", "3x5x4", "2x3x4x2"] {
        let weights = values[&format!("class_weight/{shape}")].to_vec::<f64>().unwrap();
        let losses: [(&str, Box<dyn Loss>); 11] = [
            ("ce_smooth", Box::new(sparse().label_smoothing(0.2))),
            ("ce_ignore", Box::new(sparse().label_smoothing(0.2).ignore_index(-100))),
            ("ce_weight", Box::new(ClassWeighted::new(sparse().ignore_index(-100), &weights))),
            ("ce_soft", Box::new(categorical())),
            ("ce_soft_smooth", Box::new(categorical().label_smoothing(0.2))),
            ("nll", Box::new(Nll::new().ignore_index(-100))),
            ("kl", Box::new(KlDivergence::new())),
            ("kl_log", Box::new(KlDivergence::from_logits())),
            ("categorical_hinge", Box::new(CategoricalHinge::new())),
            ("categorical_focal", Box::new(CategoricalFocal::from_logits().gamma(1.5))),
            ("cosine", Box::new(CosineSimilarity::new().axis(if shape == "2x3x4x2" { 1 } else { -1 }))),
        ];
        for (name, loss) in &losses {
            agrees(&values, &format!("{name}/{shape}"), |v| loss.each(&v[0], &v[1]));
        }
        // The same of labels as of one-hot targets.
        let (x, labels) = (&values[&format!("ce_smooth/{shape}/0")], &values[&format!("ce_smooth/{shape}/1")]);
        let (x, focal) = (Var::from(x), CategoricalFocal::from_logits());
        let axis = if shape == "2x3x4x2" { 1 } else { x.shape().rank() - 1 };
        let classes = Tensor::arange(x.dims()[axis], &cpu()).unwrap();
        let hot = labels.unsqueeze(labels.rank()).unwrap().eq(&classes).unwrap().to_dtype(DType::F64).unwrap();
        let hot = if axis == 1 && hot.rank() > 2 { hot.transpose(2, 3).unwrap().transpose(1, 2).unwrap() } else { hot };
        let each = |target: &Tensor| focal.each(&x, &Var::from(target)).unwrap().tensor().to_f64_vec().unwrap();
        assert_eq!(each(labels), each(&hot), "{shape}");
    }
}

#[test]
fn losses_of_a_last_layer_are_pytorchs() {
    let loss = SparseCategoricalCrossentropy::from_logits().label_smoothing(0.2).z_loss(0.01).ignore_index(-100);
    agrees(&fixtures(), "ce_projected", |v| {
        let output = Projection::new(v[0].clone(), v[1].clone(), Some(v[2].clone()))?;
        loss.of_output(&Value::Projection(Box::new(output), None), v[3].tensor(), Counting::default())
    });
    agrees(&fixtures(), "ce_projected", |v| loss.forward(&v[0].linear(&v[1], Some(&v[2]), None)?, v[3].tensor()));
}

#[test]
fn losses_of_pairs_triplets_and_sequences_are_pytorchs() {
    let values = fixtures();
    let cosine = CosineEmbedding::new().margin(-0.5);
    agrees(&values, "cosine_embedding", |v| cosine.each(&v[0], &v[1], v[2].tensor()));
    agrees(&values, "triplet_margin", |v| TripletMargin::new().margin(1.5).each(&v[0], &v[1], &v[2]));
    agrees(&values, "margin_ranking", |v| MarginRanking::new().margin(0.5).each(&v[0], &v[1], v[2].tensor()));
    agrees(&values, "contrastive", |v| Contrastive::new().margin(3.0).each(&v[0], &v[1], v[2].tensor()));
    let steps: Vec<usize> = values["ctc/steps"].to_vec::<i64>().unwrap().into_iter().map(|n| n as usize).collect();
    agrees(&values, "ctc", |v| Ctc::new().each_of(&v[0], v[1].tensor(), &steps));
    // As a mask says it, with the mean over the samples.
    let mask: Vec<bool> = steps.iter().flat_map(|&own| (0..6).map(move |step| step < own)).collect();
    let mask = Tensor::from_slice(&mask, [4, 6], &cpu()).unwrap();
    let counting = Counting { mask: Some(&mask), weights: None };
    let mean = Ctc::new().counted(&Var::from(&values["ctc/0"]), &values["ctc/1"], counting).unwrap();
    let expected = values["ctc/each"].mean_all().unwrap().item().unwrap();
    assert!((mean.item().unwrap() - expected).abs() < 1e-12);
}

fn random(shape: &[usize], seed: u64) -> Tensor {
    Tensor::normal(shape, 0.0, 1.0, DType::F64, &cpu(), RandomStream::new(seed, Purpose::Data, 0)).unwrap()
}

#[test]
fn gradients_are_those_of_finite_differences() {
    let (x, y) = (random(&[4, 3], 1), random(&[4, 3], 2));
    let (p, t) = (x.sigmoid().unwrap(), y.sigmoid().unwrap());
    let soft = y.softmax(1).unwrap();
    let labels = Tensor::from_slice(&[2i64, 0, -1, 1], [4], &cpu()).unwrap();
    // Of predictions and targets both.
    let smooth: [(Box<dyn Loss>, &Tensor, &Tensor); 17] = [
        (Box::new(MeanSquaredError), &x, &y),
        (Box::new(MeanAbsoluteError), &x, &y),
        (Box::new(MeanAbsolutePercentageError), &x, &y),
        (Box::new(MeanSquaredLogarithmicError), &p, &t),
        (Box::new(Huber::new()), &x, &y),
        (Box::new(SmoothL1::new()), &x, &y),
        (Box::new(LogCosh), &x, &y),
        (Box::new(CosineSimilarity::new()), &x, &y),
        (Box::new(KlDivergence::new()), &p, &soft),
        (Box::new(KlDivergence::from_logits()), &x, &soft),
        (Box::new(CategoricalCrossentropy::from_logits().label_smoothing(0.1)), &x, &soft),
        (Box::new(CategoricalCrossentropy::new()), &p, &soft),
        (Box::new(BinaryCrossentropy::from_logits().pos_weight(&[2.0]).label_smoothing(0.1)), &x, &t),
        (Box::new(BinaryFocal::new().gamma(0.5).alpha(0.25)), &p, &t),
        (Box::new(BinaryFocal::from_logits()), &x, &t),
        (Box::new(CategoricalFocal::from_logits()), &x, &soft),
        (Box::new(PoissonNll::from_log()), &x, &t),
    ];
    for (loss, x, target) in &smooth {
        let check = grad_check(|v| loss.between(&v[0], &v[1]), &[(*x).clone(), (*target).clone()]);
        check.unwrap_or_else(|error| panic!("{}: {error}", loss.name()));
    }
    let signs = y.sign().unwrap();
    let two = random(&[4, 6], 3);
    let log = x.log_softmax(1).unwrap();
    let targets = Tensor::from_slice(&[1i64, 2, 1, 1, 2, 0, 0, 0], [4, 2], &cpu()).unwrap();
    let steps = random(&[4, 5, 3], 4);
    let fixed: [(Box<dyn Loss>, &Tensor, &Tensor); 11] = [
        (Box::new(Hinge), &x, &signs),
        (Box::new(SquaredHinge), &x, &signs),
        (Box::new(CategoricalHinge::new()), &x, &soft),
        (Box::new(PoissonNll::new()), &p, &t),
        (Box::new(GaussianNll::from_log()), &two, &y),
        (Box::new(Dice::new()), &p, &t),
        (Box::new(Nll::new().ignore_index(-1)), &log, &labels),
        (Box::new(SparseCategoricalCrossentropy::from_logits().ignore_index(-1).label_smoothing(0.2)), &x, &labels),
        (Box::new(ClassWeighted::new(Nll::new().ignore_index(-1), &[1.0, 2.0, 0.5])), &log, &labels),
        (Box::new(Summed(MeanSquaredError)), &x, &y),
        (Box::new(Ctc::new()), &steps, &targets),
    ];
    for (loss, x, target) in &fixed {
        let check = grad_check(|v| loss.forward(&v[0], target), &[(*x).clone()]);
        check.unwrap_or_else(|error| panic!("{}: {error}", loss.name()));
    }
    let (a, b) = (random(&[4, 3], 5), random(&[4, 3], 6));
    let together = Tensor::from_slice(&[1.0, 0.0, 1.0, 0.0], [4], &cpu()).unwrap();
    grad_check(|v| TripletMargin::new().forward(&v[0], &v[1], &v[2]), &[x.clone(), a.clone(), b.clone()]).unwrap();
    grad_check(|v| Contrastive::new().margin(3.0).forward(&v[0], &v[1], &together), &[a.clone(), b.clone()]).unwrap();
    grad_check(|v| CosineEmbedding::new().forward(&v[0], &v[1], &together), &[a.clone(), b.clone()]).unwrap();
    grad_check(|v| MarginRanking::new().margin(0.5).forward(&v[0], &v[1], &signs), &[a, b]).unwrap();
}

#[test]
fn what_is_ignored_or_masked_is_no_part_of_the_mean() {
    let x = Var::from(random(&[2, 3, 4], 1));
    let labels = Tensor::from_slice(&[3i64, 9, 0, 9, 2, 1], [2, 3], &cpu()).unwrap();
    let loss = SparseCategoricalCrossentropy::from_logits().ignore_index(9);
    let each = loss.each(&x, &Var::from(&labels)).unwrap().tensor().to_f64_vec().unwrap();
    assert!(each[1] == 0.0 && each[3] == 0.0);
    let mean = |loss: &dyn Loss, counting| loss.counted(&x, &labels, counting).unwrap().item().unwrap();
    let near = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-14, "{found} {expected}");
    near(mean(&loss, Counting::default()), (each[0] + each[2] + each[4] + each[5]) / 4.0);
    near(loss.forward(&x, &labels).unwrap().item().unwrap(), mean(&loss, Counting::default()));
    let mask = Tensor::from_slice(&[true, true, false, true, true, true], [2, 3], &cpu()).unwrap();
    let weights = Tensor::from_slice(&[2.0, 1.0], [2], &cpu()).unwrap();
    let counting = Counting { mask: Some(&mask), weights: Some(&weights) };
    near(mean(&loss, counting), (2.0 * each[0] + each[4] + each[5]) / 3.0);
    near(mean(&Summed(loss), counting), 2.0 * each[0] + each[4] + each[5]);
    near(mean(&ClassWeighted::new(loss, &[1.0, 3.0, 0.0, 1.0]), counting), (2.0 * each[0] + 3.0 * each[5]) / 3.0);
    // Nothing is left: 0, and no gradient.
    let none = Tensor::full([2, 3], 9.0, DType::I64, &cpu()).unwrap();
    let x = Var::variable(x.into_tensor());
    let losses: [Box<dyn Loss>; 3] =
        [Box::new(loss), Box::new(loss.label_smoothing(0.3)), Box::new(Nll::new().ignore_index(9))];
    for loss in losses {
        let value = loss.forward(&x, &none).unwrap();
        assert_eq!(value.item().unwrap(), 0.0, "{}", loss.name());
        let gradient = value.backward().unwrap().of(&x).unwrap().to_f64_vec().unwrap();
        assert!(gradient.iter().all(|&g| g == 0.0), "{}: {gradient:?}", loss.name());
    }
}

#[test]
fn losses_of_half_types_are_computed_in_f32() {
    for dtype in [DType::F16, DType::BF16] {
        let narrow = |t: Tensor| t.to_dtype(dtype).unwrap();
        let (x, y) = (narrow(random(&[300, 3], 1)), narrow(random(&[300, 3], 2)));
        let losses: [Box<dyn Loss>; 6] = [
            Box::new(LogCosh),
            Box::new(SmoothL1::new()),
            Box::new(Hinge),
            Box::new(CosineSimilarity::new()),
            Box::new(MeanAbsolutePercentageError),
            Box::new(PoissonNll::from_log()),
        ];
        for loss in losses {
            let y = if loss.name() == "poisson_nll" { y.abs().unwrap() } else { y.clone() };
            let found = loss.forward(&Var::from(&x), &y).unwrap();
            let wide = |t: &Tensor| t.to_dtype(DType::F64).unwrap();
            let exact = loss.forward(&Var::from(wide(&x)), &wide(&y)).unwrap().into_tensor();
            assert_eq!(found.dtype(), dtype);
            let (found, rounded) = (found.item().unwrap(), exact.to_dtype(dtype).unwrap().item().unwrap());
            assert!((found - rounded).abs() <= 0.01 * rounded.abs(), "{} {dtype}: {found} {rounded}", loss.name());
        }
    }
}

#[test]
fn what_means_nothing_is_refused_in_a_sentence() {
    let (x, y) = (random(&[4, 3], 1), random(&[4, 3], 2).sigmoid().unwrap());
    let labels = |values: [i64; 4]| Tensor::from_slice(&values, [4], &cpu()).unwrap();
    let says = |loss: &dyn Loss, x: &Tensor, target: &Tensor, words: &str| {
        let error = loss.forward(&Var::from(x), target).unwrap_err();
        assert!(error.message().contains(words), "{}: {error}", loss.name());
    };
    let smoothing = "a label smoothing of at least 0 and below 1 is expected, got";
    for wrong in [1.0, -0.1, f64::NAN] {
        says(&SparseCategoricalCrossentropy::new().label_smoothing(wrong), &y, &labels([0; 4]), smoothing);
        says(&CategoricalCrossentropy::new().label_smoothing(wrong), &y, &y, smoothing);
        says(&BinaryCrossentropy::new().label_smoothing(wrong), &y, &y, smoothing);
    }
    for wrong in [-0.1, f64::NAN] {
        let z_loss = "a factor of the z-loss of 0 or more and finite is expected, got";
        says(&SparseCategoricalCrossentropy::from_logits().z_loss(wrong), &y, &labels([0; 4]), z_loss);
    }
    says(
        &BinaryCrossentropy::new().pos_weight(&[1.0, 2.0]),
        &y,
        &y,
        "2 numbers in pos_weight for predictions (4, 3): 1 or 3",
    );
    says(&BinaryCrossentropy::new().pos_weight(&[-1.0]), &y, &y, "pos_weight has -1");
    says(&SmoothL1::new().beta(0.0), &x, &y, "a β above 0");
    says(&Dice::new().smooth(0.0), &y, &y, "an ε above 0");
    says(&BinaryFocal::new().gamma(-1.0), &y, &y, "a γ of 0 or more");
    says(&CategoricalFocal::new().alpha(1.5), &y, &y, "an α from 0 to 1");
    says(&PoissonNll::new(), &y, &x, "expected 0 or more, and finite");
    says(&GaussianNll::new(), &x, &x, "predictions (4, 3) are not the means and variances of targets (4, 3)");
    says(&Nll::new(), &x, &labels([0, 1, 3, 2]), "the label at row 2");
    says(&Nll::new(), &x, &labels([0, 1, 3, 2]), "expected 0 to 2");
    says(&SparseCategoricalCrossentropy::new(), &y, &labels([0, 1, 3, 2]), "3");
    says(&CategoricalFocal::new(), &y, &labels([0, -1, 0, 2]), "the label at row 1");
    let sparse = SparseCategoricalCrossentropy::new();
    says(
        &ClassWeighted::new(sparse, &[1.0, 2.0]),
        &y,
        &labels([0, 1, 2, 0]),
        "of class 2, but there are 2 class weights",
    );
    says(&ClassWeighted::new(sparse, &[1.0, 2.0, -1.0]), &y, &labels([0; 4]), "a class weight of 0 or more");
    says(&MeanSquaredError, &random(&[4, 4], 1), &random(&[4], 2), "predictions have shape (4, 4), targets (4,)");
}

#[test]
fn targets_that_a_ctc_cannot_spell_are_refused() {
    let x = Var::from(random(&[2, 3, 4], 1));
    let refused = |ctc: Ctc, labels: [i64; 6], steps: [usize; 2]| {
        let targets = Tensor::from_slice(&labels, [2, 3], &cpu()).unwrap();
        ctc.each_of(&x, &targets, &steps).unwrap_err().message().to_owned()
    };
    let ctc = Ctc::new();
    assert_eq!(
        refused(ctc, [1, 2, 3, 1, 2, 3], [3, 2]),
        "sample 1 has 3 labels, 0 of them like the one before, and 2 steps: at least 3 are needed"
    );
    assert_eq!(
        refused(ctc, [1, 1, 2, 1, 0, 0], [3, 3]),
        "sample 0 has 3 labels, 1 of them like the one before, and 3 steps: at least 4 are needed"
    );
    assert_eq!(refused(ctc, [1, 4, 0, 1, 0, 0], [3, 3]), "sample 0 has the label 4, expected 0 to 3");
    assert_eq!(refused(ctc, [1, 0, 2, 1, 0, 0], [3, 3]), "sample 0 has the label 2 after padding or the blank 0");
    assert_eq!(refused(ctc.blank(4), [1, -1, -1, 1, -1, -1], [3, 3]), "the blank is class 4, of 4 classes");
    assert_eq!(refused(ctc, [1, 0, 0, 1, 0, 0], [3, 4]), "2 numbers of steps of at most 3 are needed, got [3, 4]");
}
