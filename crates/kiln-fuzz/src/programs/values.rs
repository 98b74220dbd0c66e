//! Tensors from bytes, and how two are compared.

use crate::source::Source;
use half::{bf16, f16};
use kiln::tensor::{DType, Device, Element, Tensor};

/// Small numbers, with a few at which functions turn.
const PLAIN: [f64; 12] = [1.0, -1.0, 0.5, 0.0, 2.0, -0.75, 3.0, 0.125, -2.5, 1.5, -0.25, 0.875];
/// Numbers at which they break.
const WILD: [f64; 12] =
    [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 3e38, -3e38, 1e-40, 1e-320, 65504.0, -1e308, 9e18, 255.0];

pub(super) const DTYPES: [DType; 9] = DType::ALL;

/// A shape of up to six axes; few are empty.
fn dims(source: &mut Source<'_>) -> Vec<usize> {
    let rank = source.of(&[2, 3, 1, 4, 0, 5, 2, 4, 6]);
    let sizes = if rank > 4 { [1, 2, 3, 1, 2, 1, 2, 0] } else { [2, 3, 4, 1, 5, 7, 2, 0] };
    (0..rank).map(|_| source.of(&sizes)).collect()
}

pub(super) fn number(source: &mut Source<'_>, wild: bool) -> f64 {
    match source.byte() {
        byte @ 224.. if wild => WILD[usize::from(byte) % WILD.len()],
        byte => PLAIN[usize::from(byte) % PLAIN.len()] + f64::from(byte / 12) / 64.0,
    }
}

/// A tensor of this type from f64s.
pub(super) fn tensor(values: &[f64], dims: &[usize], dtype: DType) -> Tensor {
    fn of<T: Element>(values: &[f64], dims: &[usize], from: impl Fn(f64) -> T) -> Tensor {
        let values: Vec<T> = values.iter().map(|&value| from(value)).collect();
        Tensor::from_slice(&values, dims, &Device::cpu()).expect("a small tensor")
    }
    match dtype {
        DType::F32 => of(values, dims, |value| value as f32),
        DType::F64 => of(values, dims, |value| value),
        DType::F16 => of(values, dims, f16::from_f64),
        DType::BF16 => of(values, dims, bf16::from_f64),
        DType::I64 => of(values, dims, |value| value as i64),
        DType::I32 => of(values, dims, |value| value as i32),
        DType::I8 => of(values, dims, |value| value as i8),
        DType::U8 => of(values, dims, |value| value as u8),
        DType::Bool => of(values, dims, |value| value > 0.5),
    }
}

/// A tensor whose shape and first numbers the bytes say; the others follow from those.
pub(super) fn read(source: &mut Source<'_>, dtypes: &[DType], wild: bool) -> Tensor {
    let dtype = source.of(dtypes);
    let dims = dims(source);
    let count: usize = dims.iter().product();
    let first: Vec<f64> = (0..count.min(6)).map(|_| number(source, wild)).collect();
    let values: Vec<f64> =
        (0..count).map(|i| first[i % first.len()] * if i < 6 { 1.0 } else { 1.0 - i as f64 / 97.0 }).collect();
    tensor(&values, &dims, dtype)
}

/// The elements as numbers whose equality is the elements' (NaNs are equal).
fn bits(tensor: &Tensor) -> Vec<u64> {
    fn of<T: Element>(tensor: &Tensor, bits: impl Fn(T) -> u64) -> Vec<u64> {
        tensor.to_vec::<T>().expect("a tensor of the CPU").into_iter().map(bits).collect()
    }
    let real = |value: f64| if value.is_nan() { u64::MAX } else { value.to_bits() };
    match tensor.dtype() {
        DType::F32 => of(tensor, |value: f32| real(f64::from(value))),
        DType::F64 => of(tensor, real),
        DType::F16 => of(tensor, |value: f16| real(value.to_f64())),
        DType::BF16 => of(tensor, |value: bf16| real(value.to_f64())),
        DType::I64 => of(tensor, |value: i64| value as u64),
        DType::I32 => of(tensor, |value: i32| value as u64),
        DType::I8 => of(tensor, |value: i8| value as u64),
        DType::U8 => of(tensor, |value: u8| u64::from(value)),
        DType::Bool => of(tensor, |value: bool| u64::from(value)),
    }
}

/// Panics unless type, shape and bits are the same.
pub(super) fn expect_same(one: &Tensor, other: &Tensor, what: &dyn Fn() -> String) {
    assert_eq!((one.dtype(), one.shape()), (other.dtype(), other.shape()), "{}", what());
    assert!(bits(one) == bits(other), "{}: {one:?} and {other:?}", what());
}
