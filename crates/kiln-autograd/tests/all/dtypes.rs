//! Dtypes of Vars: the rules of tensors.

use kiln_autograd::Var;
use kiln_tensor::{DType, Device, Element, Tensor};

fn constant<T: Element>(values: &[T]) -> Var {
    Var::constant(Tensor::from_slice(values, [values.len()], &Device::cpu()).unwrap())
}

#[test]
fn vars_of_integers_compute_as_tensors_do() {
    let (a, b) = (constant(&[100i8, -7, 7]), constant(&[100i8, 2, -2]));
    let values = |var: Var| var.tensor().to_vec::<i8>().unwrap();
    assert_eq!(values(a.add(&b).unwrap()), [-56, -5, 5]);
    assert_eq!(values(a.floor_div(&b).unwrap()), [1, -4, -4]);
    assert_eq!(values(a.remainder(&b).unwrap()), [0, 1, -1]);
    assert_eq!(values(a.neg().unwrap()), [-100, 7, -7]);
    assert_eq!(values(a.add_scalar(1.0).unwrap()), [101, -6, 8]);
    assert_eq!(a.sum(..).unwrap().tensor().to_vec::<i64>().unwrap(), [100]);
}

#[test]
fn nothing_is_promoted() {
    let x = Var::variable(Tensor::ones([2], DType::F32, &Device::cpu()).unwrap());
    let count = constant(&[1i32, 2]);
    let sentence = |result: kiln_tensor::Result<Var>| result.unwrap_err().to_string();
    assert_eq!(sentence(x.mul(&count)), "mul: operands of dtypes f32 (2,) and i32 (2,): convert one with `to_dtype`");
    assert_eq!(
        sentence(count.div(&count)),
        "div: dtype i32 is not supported: use `floor_div`, or convert with `to_dtype`"
    );
    assert_eq!(
        sentence(count.mean(0)),
        "mean: dtype i32 is not supported; it takes f32, f64, f16 or bf16: convert with `to_dtype`"
    );
    assert_eq!(
        sentence(count.add_scalar(0.5)),
        "affine: 0.5 is not a number that i32 holds: convert the tensor with `to_dtype`"
    );
    let y = x.mul(&count.to_dtype(DType::F32).unwrap()).unwrap().sum(..).unwrap();
    let gradients = y.backward().unwrap();
    assert_eq!(gradients.of(&x).unwrap().to_vec::<f32>().unwrap(), [1.0, 2.0]);
}
