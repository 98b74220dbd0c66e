//! Integers and truth values: NumPy 2.4's and PyTorch 2.15's results, which agree, and what a tensor of each dtype does.

use kiln_math::BinaryOp;
use kiln_tensor::{DType, Device, Element, ErrorKind, Result, Tensor};

const A: [i8; 13] = [7, 7, 100, 127, -128, 3, 127, 0, -7, -7, 7, -1, -128];
const B: [i8; 13] = [2, 3, 7, 1, 1, 5, 127, 9, 2, -2, -2, 3, 2];

fn of<T: Element>(values: &[T]) -> Tensor {
    Tensor::from_slice(values, [values.len()], &Device::cpu()).unwrap()
}

#[track_caller]
fn expect<T: Element>(result: Result<Tensor>, want: &[T]) {
    let tensor = result.unwrap();
    assert_eq!(tensor.to_vec::<T>().unwrap(), want);
}

#[test]
fn operations_of_i8() {
    let (a, b) = (of(&A), of(&B));
    expect(a.add(&b), &[9i8, 10, 107, -128, -127, 8, -2, 9, -5, -9, 5, 2, -126]);
    expect(a.sub(&b), &[5i8, 4, 93, 126, 127, -2, 0, -9, -9, -5, 9, -4, 126]);
    expect(a.mul(&b), &[14i8, 21, -68, 127, -128, 15, 1, 0, -14, 14, -14, -3, 0]);
    expect(a.maximum(&b), &[7i8, 7, 100, 127, 1, 5, 127, 9, 2, -2, 7, 3, 2]);
    expect(a.floor_div(&b), &[3i8, 2, 14, 127, -128, 0, 1, 0, -4, 3, -4, -1, -64]);
    expect(a.remainder(&b), &[1i8, 1, 2, 0, 0, 3, 0, 0, 1, -1, -1, 2, 0]);
    expect(a.fmod(&b), &[1i8, 1, 2, 0, 0, 3, 0, 0, -1, -1, 1, -1, 0]);
    expect(a.bitwise_and(&b), &[2i8, 3, 4, 1, 0, 1, 127, 0, 0, -8, 6, 3, 0]);
    expect(a.bitwise_xor(&b), &[5i8, 4, 99, 126, -127, 6, 0, 9, -5, 7, -7, -4, -126]);
    expect(a.neg(), &[-7i8, -7, -100, -127, -128, -3, -127, 0, 7, 7, -7, 1, -128]);
    expect(a.abs(), &[7i8, 7, 100, 127, -128, 3, 127, 0, 7, 7, 7, 1, -128]);
    expect(a.sign(), &[1i8, 1, 1, 1, -1, 1, 1, 0, -1, -1, 1, -1, -1]);
    expect(a.square(), &[49i8, 49, 16, 1, 0, 9, 1, 0, 49, 49, 49, 1, 0]);
    expect(a.bitwise_not(), &[-8i8, -8, -101, -128, 127, -4, -128, -1, 6, 6, -8, 0, 127]);
    let a = a.slice(0, 0..8).unwrap();
    expect(a.pow(&of(&[2i8, 3, 2, 1, 1, 5, 0, 9])), &[49i8, 87, 16, 127, -128, -13, 1, 0]);
    let shifts = of(&[0i8, 1, 3, 7, 2, 5, 1, 0]);
    expect(a.bitwise_left_shift(&shifts), &[7i8, 14, 32, -128, 0, 96, -2, 0]);
    expect(a.bitwise_right_shift(&shifts), &[7i8, 3, 12, 0, -32, 0, 63, 0]);
}

#[test]
fn operations_of_other_integers() {
    let (a, b) = (of(&[7u8, 7, 100, 255, 0, 3, 255, 0]), of(&[2u8, 3, 7, 1, 1, 5, 255, 9]));
    expect(a.sub(&b), &[5u8, 4, 93, 254, 255, 254, 0, 247]);
    expect(a.mul(&b), &[14u8, 21, 188, 255, 0, 15, 1, 0]);
    expect(a.neg(), &[249u8, 249, 156, 1, 0, 253, 1, 0]);
    expect(a.bitwise_not(), &[248u8, 248, 155, 0, 255, 252, 0, 255]);
    expect(a.abs(), &[7u8, 7, 100, 255, 0, 3, 255, 0]);
    let (low, high) = (of(&[i64::MIN]), of(&[i64::MAX]));
    expect(high.add(&of(&[1i64])), &[i64::MIN]);
    expect(low.neg(), &[i64::MIN]);
    expect(low.floor_div(&of(&[-1i64])), &[i64::MIN]);
    expect(low.remainder(&of(&[-1i64])), &[0i64]);
    expect(of(&[3i32]).pow(&of(&[21i32])), &[1_870_418_611i32]);
}

#[test]
fn numbers_take_the_dtype_of_their_tensor() {
    let x = of(&[1i32, -2, 3]);
    expect(x.add_scalar(2.0), &[3i32, 0, 5]);
    expect(x.mul_scalar(-3.0), &[-3i32, 6, -9]);
    expect(x.clamp(-1.0, f64::INFINITY), &[1i32, -1, 3]);
    expect(x.powf(3.0), &[1i32, -8, 27]);
    expect(x.relu(), &[1i32, 0, 3]);
    expect(x.floor(), &[1i32, -2, 3]);
    let mut y = x.copied().unwrap();
    y.mul_scalar_assign(2.0).unwrap();
    y.add_assign(&x).unwrap();
    expect(Ok(y), &[3i32, -6, 9]);
    let refused = of(&[1u8]).add_scalar(-1.0).unwrap_err();
    assert_eq!(refused.to_string(), "affine: -1 is not a number that u8 holds: convert the tensor with `to_dtype`");
    assert_eq!(refused.kind(), ErrorKind::Value);
    for wrong in [0.5, f64::NAN, f64::INFINITY, 3e9, -3e9] {
        assert!(x.add_scalar(wrong).is_err() && x.clamp(wrong, 5.0).is_err(), "{wrong}");
    }
    assert!(of(&[1i64]).add_scalar(9_223_372_036_854_775_807.0).is_err());
    assert!(of(&[true]).add_scalar(1.0).is_err());
}

#[test]
fn reductions() {
    expect(of(&[100i8, 100, -1]).sum(0), &[199i64]);
    expect(of(&[100i8, 100, -1]).prod(0), &[-10_000i64]);
    expect(of(&[200u8, 100]).sum(0), &[300i64]);
    expect(of(&[i32::MAX, i32::MAX]).sum(0), &[2 * i64::from(i32::MAX)]);
    expect(of(&[true, true, false]).sum(0), &[2i64]);
    expect(of(&[100i8, 100, -1]).cumsum(0), &[100i64, 200, 199]);
    expect(of(&[i32::MAX, 2]).cumprod(0), &[i64::from(i32::MAX), 2 * i64::from(i32::MAX)]);
    expect(of(&[true, true, false]).cumsum(0), &[1i64, 2, 2]);
    expect(of(&[2u8, 0, 2]).bincount(None, 0), &[1i64, 0, 2]);
    expect(of(&[true, true, false]).prod(0), &[0i64]);
    expect(of(&[true, true, false]).max(0), &[true]);
    expect(of(&[true, true, false]).min(0), &[false]);
    expect(of(&A).max(0), &[127i8]);
    expect(of(&A).min(0), &[-128i8]);
    expect(of(&A).argmax(0), &[3i64]);
    expect(of(&[3i32, -9, 4]).argmin(0), &[1i64]);
    let matrix = of(&[1i32, 5, 3, 4, 2, 6]).reshape([2, 3]).unwrap();
    expect(matrix.max(0), &[4i32, 5, 6]);
    expect(matrix.sum_keepdim(1), &[9i64, 12]);
}

#[test]
fn logic() {
    let (a, b) = (of(&[true, true, false, false]), of(&[true, false, true, false]));
    expect(a.logical_and(&b), &[true, false, false, false]);
    expect(a.logical_or(&b), &[true, true, true, false]);
    expect(a.logical_xor(&b), &[false, true, true, false]);
    expect(a.bitwise_or(&b), &[true, true, true, false]);
    expect(a.logical_not(), &[false, false, true, true]);
    expect(a.bitwise_not(), &[false, false, true, true]);
    expect(a.maximum(&b), &[true, true, true, false]);
    let (x, y) = (of(&[0.0f32, 2.0, f32::NAN, -0.0]), of(&[1.0f32, 0.0, 1.0, 0.0]));
    expect(x.logical_and(&y), &[false, false, true, false]);
    expect(x.logical_not(), &[true, false, false, true]);
    expect(of(&[3i8, 0]).logical_or(&of(&[0i8, 0])), &[true, false]);
    expect(a.reshape([4, 1]).unwrap().logical_and(&b.slice(0, 0..2).unwrap()).unwrap().sum(..), &[2i64]);
}

/// Making, converting, showing, copying, comparing, choosing and indexing, in each integer dtype.
#[test]
fn every_integer_dtype_can_do_what_i64_can() {
    for dtype in [DType::I64, DType::I32, DType::I8, DType::U8] {
        let x = Tensor::full([2, 3], 5.0, dtype, &Device::cpu()).unwrap();
        assert_eq!(x.to_string(), "[[5, 5, 5],\n [5, 5, 5]]");
        assert!(format!("{x:?}").starts_with(&format!("Tensor({dtype} (2, 3) on cpu")));
        let y = Tensor::arange(3, &Device::cpu()).unwrap().to_dtype(dtype).unwrap();
        assert_eq!(Tensor::eye(2, dtype, &Device::cpu()).unwrap().to_f64_vec().unwrap(), [1.0, 0.0, 0.0, 1.0]);
        let tall = Tensor::eye([3, 1], dtype, &Device::cpu()).unwrap();
        assert_eq!(tall.to_f64_vec().unwrap(), [1.0, 0.0, 0.0]);
        let sums = x.add(&y).unwrap().sub(&y).unwrap();
        expect(sums.eq(&x), &[true; 6]);
        expect(y.lt(&Tensor::full((), 2.0, dtype, &Device::cpu()).unwrap()), &[true, true, false]);
        let chosen = Tensor::select(&y.logical_not().unwrap(), &y, &x).unwrap();
        assert_eq!(chosen.to_f64_vec().unwrap(), [0.0, 5.0, 5.0, 0.0, 5.0, 5.0]);
        let picked = x.mul(&y).unwrap().index_select(1, &y.flip(0).unwrap()).unwrap();
        assert_eq!(picked.t().unwrap().to_f64_vec().unwrap(), [10.0, 10.0, 5.0, 5.0, 0.0, 0.0]);
        let mut total = x.copied().unwrap();
        total.index_add_assign(1, &of(&[0i32, 0]), &x.slice(1, 0..2).unwrap()).unwrap();
        assert_eq!(total.index(0, 0).unwrap().to_f64_vec().unwrap(), [15.0, 5.0, 5.0]);
        assert_eq!(y.one_hot(3).unwrap().sum(..).unwrap().item().unwrap(), 3.0);
        let logits = Tensor::zeros([3, 3], DType::F32, &Device::cpu()).unwrap();
        let loss = logits.cross_entropy(&y).unwrap().to_vec::<f32>().unwrap();
        assert!(loss.iter().all(|loss| (loss - 3f32.ln()).abs() < 1e-6), "{loss:?}");
    }
}

#[test]
fn what_has_no_result_is_refused() {
    let sentence = |result: Result<Tensor>| result.unwrap_err().to_string();
    let (x, zero) = (of(&[1i32, 2]), of(&[1i32, 0]));
    let by_zero = "element 1 of the divisor is 0: integers have no quotient by 0; use floats";
    assert_eq!(sentence(x.floor_div(&zero)), format!("floor_div: {by_zero}"));
    assert_eq!(sentence(x.remainder(&zero)), format!("remainder: {by_zero}"));
    assert_eq!(
        sentence(x.pow(&of(&[1i32, -1]))),
        "pow: element 1 of the exponent is -1: integers have no negative powers; use floats"
    );
    assert_eq!(
        sentence(x.bitwise_left_shift(&of(&[-1i32, 1]))),
        "bitwise_left_shift: element 0 of the shift is -1, expected 0 or more"
    );
    assert_eq!(sentence(x.div(&x)), "div: dtype i32 is not supported: use `floor_div`, or convert with `to_dtype`");
    let truth = of(&[true]);
    for (op, instead) in [(BinaryOp::Add, "logical_or"), (BinaryOp::Sub, "logical_xor"), (BinaryOp::Mul, "logical_and")]
    {
        let want = format!("{}: dtype bool is not supported: use `{instead}`, or convert with `to_dtype`", op.name());
        assert_eq!(sentence(truth.binary(op, &truth)), want);
    }
    assert_eq!(
        sentence(of(&[1.0f32]).bitwise_and(&of(&[1.0f32]))),
        "bitwise_and: dtype f32 is not supported; it takes integers or bool: convert with `to_dtype`"
    );
    assert_eq!(
        sentence(x.mean(0)),
        "mean: dtype i32 is not supported; it takes f32, f64, f16 or bf16: convert with `to_dtype`"
    );
    assert_eq!(
        sentence(of(&[1.0f32]).index_select(0, &of(&[0.0f32]))),
        "index_select: dtype f32 is not supported; it takes an index of integers: convert with `to_dtype`"
    );
}
