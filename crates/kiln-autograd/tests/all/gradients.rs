//! `Gradients` as values: added up, scaled, measured; and refused where they are of another model.

use kiln_autograd::{Gradients, Var};
use kiln_tensor::{DType, Device, Tensor};

fn variable(values: &[f32]) -> Var {
    Var::variable(Tensor::from_slice(values, [values.len()], &Device::cpu()).unwrap())
}

fn of(gradients: &Gradients, variable: &Var) -> Vec<f64> {
    gradients.of(variable).unwrap().to_f64_vec().unwrap()
}

#[test]
fn gradients_are_added_up_and_scaled() {
    let (a, b) = (variable(&[1.0, 2.0]), variable(&[3.0, 4.0]));
    let mut sum = a.mul(&b).unwrap().sum_all().unwrap().backward().unwrap();
    // b does not occur in this one: it keeps what it has.
    sum.add_assign(a.mul(&a).unwrap().sum_all().unwrap().backward().unwrap()).unwrap();
    assert_eq!((of(&sum, &a), of(&sum, &b)), (vec![5.0, 8.0], vec![1.0, 2.0]));
    let copy = sum.clone();
    sum.scale(0.5).unwrap();
    assert_eq!((of(&sum, &a), of(&sum, &b)), (vec![2.5, 4.0], vec![0.5, 1.0]));
    assert_eq!(of(&copy, &a), [5.0, 8.0]);
    assert!((copy.norm().unwrap() - (25.0f64 + 64.0 + 1.0 + 4.0).sqrt()).abs() < 1e-12);
    let mut empty = Gradients::default();
    empty.add_assign(copy).unwrap();
    empty.add_assign(Gradients::default()).unwrap();
    assert_eq!(of(&empty, &a), [5.0, 8.0]);
    assert_eq!(Gradients::default().norm().unwrap(), 0.0);
}

#[test]
fn a_sum_of_half_types_keeps_small_parts() {
    let x = Var::variable(Tensor::ones([1], DType::BF16, &Device::cpu()).unwrap());
    let mut sum = x.mul_scalar(256.0).unwrap().sum_all().unwrap().backward().unwrap();
    for _ in 0..256 {
        sum.add_assign(x.sum_all().unwrap().backward().unwrap()).unwrap();
    }
    // A sum of bf16 would stand still at 256.
    assert_eq!((of(&sum, &x), sum.of(&x).unwrap().dtype()), (vec![512.0], DType::F32));
}

#[test]
fn gradients_of_another_model_are_refused() {
    let (a, b) = (variable(&[1.0, 2.0]), variable(&[3.0]));
    let mut of_a = a.sum_all().unwrap().backward().unwrap();
    let error = of_a.add_assign(b.sum_all().unwrap().backward().unwrap()).unwrap_err().to_string();
    assert!(error.contains("another model"), "{error}");
    let mut other = Gradients::default();
    other.insert(b.id().unwrap(), b.tensor().clone());
    other.insert(a.id().unwrap(), b.tensor().clone());
    let error = of_a.add_assign(other).unwrap_err().to_string();
    assert!(error.contains("of one parameter"), "{error}");
    assert_eq!((of_a.len(), of(&of_a, &a)), (1, vec![1.0, 1.0]));
}
