//! One number for each sample: predictions and targets may be (n,) or (n, 1), and nothing is ever broadcast to (n, n).

use kiln_autograd::Var;
use kiln_nn::losses::Counting;
use kiln_nn::*;
use kiln_tensor::{Device, ErrorKind, Result, Tensor};

/// A custom loss, which broadcasts whatever it is given: ln cosh(p − t).
struct Coshes;

impl Loss for Coshes {
    fn each(&self, prediction: &Var, target: &Var) -> Result<Var> {
        prediction.sub(target)?.cosh()?.ln()
    }
    fn name(&self) -> &'static str {
        "log_cosh"
    }
}

fn losses() -> [Box<dyn Loss>; 5] {
    [
        Box::new(MeanSquaredError::new()),
        Box::new(MeanAbsoluteError::new()),
        Box::new(BinaryCrossentropy::new()),
        Box::new(BinaryCrossentropy::from_logits()),
        Box::new(Coshes),
    ]
}

/// Numbers between 0 and 1.
fn numbers(count: usize, factor: usize, shape: &[usize]) -> Tensor {
    let numbers: Vec<f64> = (0..count).map(|i| (1 + i * factor % 7) as f64 / 9.0).collect();
    Tensor::from_vec(numbers, shape, &Device::cpu()).unwrap()
}

type Numbers = Vec<f64>;

/// The mean, the loss of each sample, and the gradient.
fn values(loss: &dyn Loss, p: &Tensor, t: &Tensor, counting: Counting<'_>) -> Result<(Numbers, Numbers, Numbers)> {
    let p = Var::variable(p.clone());
    let each = loss.per_sample(&p, t)?.tensor().to_f64_vec()?;
    let mean = loss.counted(&p, t, counting)?;
    let value = mean.tensor().to_f64_vec()?;
    Ok((value, each, mean.backward()?.of(&p).unwrap().to_f64_vec()?))
}

#[test]
fn an_axis_of_one_number_makes_no_difference() {
    for n in [0, 1, 2, 5] {
        let shapes: [&[usize]; 3] = [&[n], &[n, 1], &[n, 1, 1]];
        let weights = numbers(n, 5, &[n]);
        let mask: Vec<bool> = (0..n).map(|i| i % 2 == 0).collect();
        let mask = Tensor::from_vec(mask, [n], &Device::cpu()).unwrap();
        let columns = (weights.reshape([n, 1]).unwrap(), mask.reshape([n, 1]).unwrap());
        let countings = [
            Counting::default(),
            Counting { weights: Some(&weights), mask: None },
            Counting { weights: Some(&weights), mask: Some(&mask) },
            Counting { weights: Some(&columns.0), mask: Some(&columns.1) },
        ];
        for loss in losses() {
            for (number, counting) in countings.into_iter().enumerate() {
                let same = values(&*loss, &numbers(n, 3, &[n]), &numbers(n, 2, &[n]), counting).unwrap();
                assert_eq!((same.1.len(), same.2.len()), (n, n));
                for (p, t) in shapes.iter().flat_map(|p| shapes.iter().map(move |t| (p, t))) {
                    let mixed = values(&*loss, &numbers(n, 3, p), &numbers(n, 2, t), counting).unwrap();
                    let bits = |(a, b, c): &(Numbers, Numbers, Numbers)| {
                        [a, b, c].map(|v| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>())
                    };
                    assert_eq!(bits(&mixed), bits(&same), "{} of {p:?} and {t:?}, counting {number}", loss.name());
                }
            }
        }
    }
}

#[test]
fn steps_may_have_an_axis_of_one_number_too() {
    let (p, t) = (numbers(6, 3, &[2, 3, 1]), numbers(6, 2, &[2, 3, 1]));
    for loss in losses() {
        let same = values(&*loss, &p, &t, Counting::default()).unwrap();
        let mixed = values(&*loss, &p, &t.reshape([2, 3]).unwrap(), Counting::default()).unwrap();
        assert_eq!(same, mixed, "{}", loss.name());
    }
}

#[test]
fn other_shapes_are_refused() {
    let says = "predictions have shape (4, 1), targets (1, 4); give both the same shape with `reshape`";
    for loss in losses() {
        let refused = |p: &[usize], t: &[usize]| {
            let count = |dims: &[usize]| dims.iter().product();
            let (p, t) = (numbers(count(p), 3, p), numbers(count(t), 2, t));
            let error = values(&*loss, &p, &t, Counting::default()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Shape, "{error}");
            error.to_string()
        };
        assert_eq!(refused(&[4, 1], &[1, 4]), format!("{}: {says}", loss.name()));
        let error = refused(&[4, 1, 1], &[4, 2]);
        assert!(error.ends_with("the last layer's size must be that of the targets"), "{error}");
        refused(&[4, 2], &[4]);
    }
    for loss in &losses()[..4] {
        let error = loss.forward(&Var::from(numbers(8, 3, &[4, 2])), &numbers(4, 2, &[4, 1])).unwrap_err().to_string();
        assert!(error.contains("predictions have shape (4, 2), targets (4, 1); "), "{error}");
    }
}

#[test]
fn labels_may_have_an_axis_of_one_number() {
    let p = numbers(15, 4, &[5, 3]);
    let labels = Tensor::from_slice(&[2i64, 0, 1, 1, 2], [5], &Device::cpu()).unwrap();
    let weights = numbers(5, 5, &[5]);
    for loss in [SparseCategoricalCrossentropy::new(), SparseCategoricalCrossentropy::from_logits()] {
        for counting in [Counting::default(), Counting { weights: Some(&weights), mask: None }] {
            let same = values(&loss, &p, &labels, counting).unwrap();
            assert_eq!(values(&loss, &p, &labels.reshape([5, 1]).unwrap(), counting).unwrap(), same);
        }
    }
}
