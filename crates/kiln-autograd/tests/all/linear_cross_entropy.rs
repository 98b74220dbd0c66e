//! The cross-entropy of a last layer over a large vocabulary, against finite differences and against all logits at once.

use kiln_autograd::{Var, grad_check, grad_grad_check};
use kiln_tensor::{CrossEntropyOptions, DType, Device, Error, IntoShape, Result, Tensor, VocabularyTarget, composed};

fn values(shape: impl IntoShape, seed: usize, dtype: DType) -> Tensor {
    let shape = shape.into_shape().unwrap();
    let data: Vec<f64> = (0..shape.elements()).map(|i| ((i * 37 + seed * 11 + 5) % 29) as f64 / 13.0 - 1.05).collect();
    Tensor::from_slice(&data, shape, &Device::cpu()).unwrap().to_dtype(dtype).unwrap()
}

fn labels(count: usize, classes: usize) -> Tensor {
    let labels: Vec<i64> = (0..count).map(|i| (i * 7919 % classes) as i64).collect();
    Tensor::from_slice(&labels, [count], &Device::cpu()).unwrap()
}

const ALL: [CrossEntropyOptions; 3] = [
    CrossEntropyOptions::new(),
    CrossEntropyOptions::new().label_smoothing(0.2),
    CrossEntropyOptions::new().label_smoothing(0.1).z_loss(0.05),
];

#[test]
fn gradients_are_those_of_finite_differences() {
    let f64s = |shape: &[usize], seed| values(shape, seed, DType::F64);
    let (labels, factors) = (labels(5, 6), f64s(&[5], 9).abs().unwrap());
    for options in ALL {
        for factors in [None, Some(&factors)] {
            // Multiplied, so that the gradient that comes is not 1.
            let with_bias =
                |v: &[Var]| v[0].linear_cross_entropy(&v[1], Some(&v[2]), &labels, factors, options)?.mul_scalar(0.7);
            let plain = |v: &[Var]| v[0].linear_cross_entropy(&v[1], None, &labels, factors, options);
            let inputs = [f64s(&[5, 3], 1), f64s(&[6, 3], 2), f64s(&[6], 3)];
            grad_check(with_bias, &inputs).unwrap();
            grad_check(plain, &inputs[..2]).unwrap();
            grad_grad_check(with_bias, &inputs).unwrap();
            grad_grad_check(plain, &inputs[..2]).unwrap();
        }
    }
}

/// The loss and the gradients of hidden states, weight and bias.
fn all(inputs: &[Tensor; 3], loss: impl Fn(&[Var; 3]) -> Result<Var>) -> Vec<Tensor> {
    let inputs = inputs.each_ref().map(|input| Var::variable(input.clone()));
    let loss = loss(&inputs).unwrap();
    let value = loss.tensor().clone();
    let gradients = loss.backward().unwrap();
    std::iter::once(value).chain(inputs.iter().map(|input| gradients.of(input).unwrap().clone())).collect()
}

/// More rows than there are logits of at a time: 256 of 17,000 classes.
const COUNT: usize = 300;
const CLASSES: usize = 17_000;

#[test]
fn parts_make_the_same_as_all_logits_at_once() {
    let labels = labels(COUNT, CLASSES);
    let inputs = [([COUNT, 4].as_slice(), 1), (&[CLASSES, 4], 2), (&[CLASSES], 3)];
    let inputs = inputs.map(|(shape, seed)| values(shape, seed, DType::F32));
    for options in ALL {
        let fused = all(&inputs, |[h, w, b]| h.linear_cross_entropy(w, Some(b), &labels, None, options));
        let target = VocabularyTarget { labels: &labels, factors: None, options };
        let whole = all(&inputs, |[h, w, b]| composed::linear_cross_entropy(h, w, Some(b), &target));
        for (fused, whole) in fused.iter().zip(&whole) {
            let (fused, whole) = (fused.to_f64_vec().unwrap(), whole.to_f64_vec().unwrap());
            let largest = whole.iter().fold(0.0f64, |most, x| most.max(x.abs()));
            for (f, w) in fused.iter().zip(&whole) {
                assert!((f - w).abs() <= 1e-5 * largest, "{options:?}: {f}, {w} of {largest}");
            }
        }
    }
}

#[test]
fn the_weights_gradient_has_the_bits_of_one_product() {
    let labels = labels(COUNT, CLASSES);
    let (hidden, weight) = (values([COUNT, 4], 1, DType::F32), values([CLASSES, 4], 2, DType::F32));
    let of = |loss: &dyn Fn(&Var) -> Result<Var>| {
        let weight = Var::variable(weight.clone());
        loss(&weight).unwrap().backward().unwrap().of(&weight).unwrap().to_vec::<f32>().unwrap()
    };
    let hidden = Var::from(hidden);
    let parts = of(&|w| hidden.linear_cross_entropy(w, None, &labels, None, CrossEntropyOptions::new()));
    let whole = of(&|w| hidden.linear(w, None, None)?.cross_entropy(&labels)?.sum_all());
    assert!(parts == whole);
}

#[test]
fn half_types_are_computed_in_f32() -> Result<()> {
    let (hidden, weight) = (values([5, 3], 1, DType::BF16), values([6, 3], 2, DType::BF16));
    let (h, w) = (Var::variable(hidden), Var::variable(weight));
    let loss = h.linear_cross_entropy(&w, None, &labels(5, 6), None, CrossEntropyOptions::new())?;
    let (wide, w32) = (h.to_dtype(DType::F32)?, w.to_dtype(DType::F32)?);
    let expected = wide.linear_cross_entropy(&w32, None, &labels(5, 6), None, CrossEntropyOptions::new())?;
    assert_eq!((loss.dtype(), loss.item()?), (DType::F32, expected.item()?));
    assert_eq!(loss.backward()?.of(&w).map(Tensor::dtype), Some(DType::BF16));
    Ok(())
}

#[test]
fn what_does_not_fit_is_said() {
    let (h, w) = (Var::from(values([5, 3], 1, DType::F32)), Var::from(values([6, 3], 2, DType::F32)));
    let says = |result: Result<Var>, message: &str| {
        let error: Error = result.unwrap_err();
        assert_eq!(error.to_string(), format!("linear_cross_entropy: {message}"));
    };
    let of = |h: &Var, w: &Var, labels: &Tensor, options| h.linear_cross_entropy(w, None, labels, None, options);
    let (plain, right) = (CrossEntropyOptions::new(), labels(5, 6));
    let far = Tensor::from_slice(&[0i64, 1, 6, 2, 3], [5], &Device::cpu()).unwrap();
    says(of(&h, &w, &far, plain), "row 2 has label 6, expected 0 to 5");
    says(of(&h, &w, &labels(4, 6), plain), "labels (5,) is expected, got (4,)");
    says(of(&h, &h.t().unwrap(), &right, plain), "a weight (classes, 3) is expected, got (3, 5)");
    let half = Var::from(h.tensor().to_dtype(DType::BF16).unwrap());
    for (h, w) in [(&half, &w), (&w.t().unwrap(), &half)] {
        assert!(of(h, w, &right, plain).unwrap_err().to_string().contains("bf16"));
    }
    let smooth = plain.label_smoothing(1.0);
    says(of(&h, &w, &right, smooth), "a label smoothing of at least 0 and below 1 is expected, got 1");
    let negative = plain.z_loss(-1.0);
    says(of(&h, &w, &right, negative), "a factor of the z-loss of 0 or more and finite is expected, got -1");
}
