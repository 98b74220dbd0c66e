//! Every operation of the lists, on every instruction set, against its scalar definition: bit for bit.

use crate::views::{View, fused, numbers, on_teams, same, shapes, view};
use half::{bf16, f16};
use kiln_cpu::elementwise::each;
use kiln_cpu::operand::{Number, Output, Stored};
use kiln_cpu::{Isa, elementwise};
use kiln_math::{BinaryOp, UnaryOp, Unfused};
use proptest::prelude::*;

/// The scalar definitions, in the type that an instruction set computes in.
trait Scalar: Number {
    fn unary(isa: Isa, op: UnaryOp, x: Self, p: [f64; 2]) -> Self;
    fn slope(isa: Isa, op: UnaryOp, x: Self, y: Self, dy: Self, p: [f64; 2]) -> Self;
    fn binary(isa: Isa, op: BinaryOp, a: Self, b: Self) -> Self;
}

macro_rules! scalar {
    ($type:ty) => {
        impl Scalar for $type {
            fn unary(isa: Isa, op: UnaryOp, x: Self, p: [f64; 2]) -> Self {
                let p = p.map(|p| p as $type);
                if isa.fused() { op.f(x, p) } else { op.f(Unfused(x), p.map(Unfused)).0 }
            }
            fn slope(isa: Isa, op: UnaryOp, x: Self, y: Self, dy: Self, p: [f64; 2]) -> Self {
                let p = p.map(|p| p as $type);
                dy * if isa.fused() { op.df(x, y, p) } else { op.df(Unfused(x), Unfused(y), p.map(Unfused)).0 }
            }
            fn binary(isa: Isa, op: BinaryOp, a: Self, b: Self) -> Self {
                if isa.fused() { op.f(a, b) } else { op.f(Unfused(a), Unfused(b)).0 }
            }
        }
    };
}
scalar!(f32);
scalar!(f64);

fn params(op: UnaryOp) -> [f64; 2] {
    match op.params() {
        0 => [0.0; 2],
        1 => [1.3, 0.0],
        _ => [-0.7, 0.9],
    }
}

/// What is expected of each element, by plain loops.
fn check<E: Stored>(what: &str, out: &[E], expected: impl Iterator<Item = E>) -> Result<(), TestCaseError>
where
    E::Compute: Scalar,
{
    for (i, (y, e)) in out.iter().zip(expected).enumerate() {
        let (y, e) = (y.load().to_f64(), e.load().to_f64());
        prop_assert!(same(y, e), "{}: element {} is {:e}, not {:e}", what, i, y, e);
    }
    Ok(())
}

fn zeros<E: Stored>(n: usize) -> Vec<E> {
    vec![E::store(E::Compute::from_f64(0.0)); n]
}

fn unary_agrees<E: Stored>(op: UnaryOp, x: &View<f64>) -> Result<(), TestCaseError>
where
    E::Compute: Scalar,
{
    let x = x.map(|x| E::store(E::Compute::from_f64(x)));
    for &isa in Isa::available() {
        let mut out = zeros::<E>(x.elements());
        elementwise::unary(isa, op, params(op), &mut Output::from_slice(&mut out), x.strided());
        let expected = x.values().into_iter().map(|x| E::store(E::Compute::unary(isa, op, x.load(), params(op))));
        check(&format!("{} {}", isa.name(), op.name()), &out, expected)?;
    }
    Ok(())
}

fn slope_agrees<E: Stored>(op: UnaryOp, [x, y, dy]: [&View<f64>; 3]) -> Result<(), TestCaseError>
where
    E::Compute: Scalar,
{
    let [x, y, dy] = [x, y, dy].map(|v| v.map(|x| E::store(E::Compute::from_f64(x))));
    for &isa in Isa::available() {
        let mut out = zeros::<E>(x.elements());
        let inputs = [x.strided(), y.strided(), dy.strided()];
        elementwise::unary_grad(isa, op, params(op), &mut Output::from_slice(&mut out), inputs);
        let operands = x.values().into_iter().zip(y.values()).zip(dy.values());
        let expected = operands
            .map(|((x, y), dy)| E::store(E::Compute::slope(isa, op, x.load(), y.load(), dy.load(), params(op))));
        check(&format!("{} {}'", isa.name(), op.name()), &out, expected)?;
    }
    Ok(())
}

fn binary_agrees<E: Stored>(op: BinaryOp, a: &View<f64>, b: &View<f64>) -> Result<(), TestCaseError>
where
    E::Compute: Scalar,
{
    let [a, b] = [a, b].map(|v| v.map(|x| E::store(E::Compute::from_f64(x))));
    for &isa in Isa::available() {
        let mut out = zeros::<E>(a.elements());
        elementwise::binary(isa, op, &mut Output::from_slice(&mut out), a.strided(), b.strided());
        let operands = a.values().into_iter().zip(b.values());
        let expected = operands.map(|(a, b)| E::store(E::Compute::binary(isa, op, a.load(), b.load())));
        check(&format!("{} {}", isa.name(), op.name()), &out, expected)?;
    }
    Ok(())
}

/// One, two or three views of one shape.
fn views<const N: usize>() -> impl Strategy<Value = [View<f64>; N]> {
    shapes().prop_flat_map(|shape| std::array::from_fn::<_, N, _>(|_| view(shape.clone(), numbers())))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn unary_is_its_definition(which in 0..UnaryOp::ALL.len(), [x] in views()) {
        let op = UnaryOp::ALL[which];
        unary_agrees::<f32>(op, &x)?;
        unary_agrees::<f64>(op, &x)?;
        unary_agrees::<f16>(op, &x)?;
        unary_agrees::<bf16>(op, &x)?;
    }

    #[test]
    fn slopes_are_their_definition(which in 0..UnaryOp::ALL.len(), [x, y, dy] in views()) {
        let op = UnaryOp::ALL[which];
        slope_agrees::<f32>(op, [&x, &y, &dy])?;
        slope_agrees::<f64>(op, [&x, &y, &dy])?;
        slope_agrees::<bf16>(op, [&x, &y, &dy])?;
    }

    #[test]
    fn binary_is_its_definition(which in 0..BinaryOp::ALL.len(), [a, b] in views()) {
        let op = BinaryOp::ALL[which];
        binary_agrees::<f32>(op, &a, &b)?;
        binary_agrees::<f64>(op, &a, &b)?;
        binary_agrees::<f16>(op, &a, &b)?;
        binary_agrees::<bf16>(op, &a, &b)?;
    }

    /// `zip` and `select` take any element type.
    #[test]
    fn comparison_and_selection((a, b, condition) in shapes().prop_flat_map(|s| {
        (view(s.clone(), -3i64..3), view(s.clone(), -3i64..3), view(s, 0u8..2))
    })) {
        let n = a.elements();
        let mut less = vec![false; n];
        elementwise::zip(&mut Output::from_slice(&mut less), [a.strided(), b.strided()], &each(|a, b| a < b));
        let expected: Vec<bool> = a.values().iter().zip(b.values()).map(|(a, b)| *a < b).collect();
        prop_assert_eq!(less, expected);
        let mut chosen = vec![0; n];
        let (a, b) = (a.map(|x| x as u64), b.map(|x| x as u64));
        elementwise::select(&mut Output::from_slice(&mut chosen), condition.strided(), a.strided(), b.strided());
        let pairs = a.values().into_iter().zip(b.values()).zip(condition.values());
        let expected: Vec<u64> = pairs.map(|((a, b), c)| if c != 0 { a } else { b }).collect();
        prop_assert_eq!(chosen, expected);
    }

    /// The output may be an operand: contiguous, and exactly its elements.
    #[test]
    fn in_place(values in prop::collection::vec(-4.0f32..4.0, 1..1300), which in 0..BinaryOp::ALL.len()) {
        let op = BinaryOp::ALL[which];
        let (shape, strides) = ([values.len()], [1isize]);
        for &isa in Isa::available() {
            let mut x = values.clone();
            let first = x.as_mut_ptr();
            // SAFETY: the output is exactly the elements of the operands, which the kernels allow.
            let (mut out, operand) = unsafe {
                (Output::new(first, shape[0]), kiln_cpu::operand::Strided::new(first.cast_const(), &shape, &strides))
            };
            elementwise::unary(isa, UnaryOp::Tanh, [0.0; 2], &mut out, operand);
            elementwise::binary(isa, op, &mut out, operand, operand);
            let expected = values.iter().map(|&v| {
                let t = f32::unary(isa, UnaryOp::Tanh, v, [0.0; 2]);
                f32::binary(isa, op, t, t)
            });
            check(op.name(), &x, expected)?;
            let mut x = values.clone();
            elementwise::unary_in_place(isa, UnaryOp::Gelu, [0.0; 2], &mut x);
            check("gelu", &x, values.iter().map(|&v| f32::unary(isa, UnaryOp::Gelu, v, [0.0; 2])))?;
        }
    }
}

/// Every operation by name, at the points where definitions differ between libraries.
#[test]
fn every_operation_at_special_values() {
    let special =
        [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 1e-40, 1.0, -1.0, 0.5, -2.5, 88.8, 1e30, -1e30];
    let x = View::row_major(special.iter().copied().cycle().take(37).collect(), &[37]);
    let y = View::row_major(special.iter().rev().copied().cycle().take(37).collect(), &[37]);
    let dy = View::row_major((0..37).map(|i| f64::from(i) - 17.5).collect(), &[37]);
    for &op in UnaryOp::ALL {
        unary_agrees::<f32>(op, &x).unwrap();
        unary_agrees::<f64>(op, &x).unwrap();
        slope_agrees::<f32>(op, [&x, &y, &dy]).unwrap();
        slope_agrees::<f64>(op, [&x, &y, &dy]).unwrap();
    }
    for &op in BinaryOp::ALL {
        for shift in 0..13 {
            let y = View::row_major(special.iter().copied().cycle().skip(shift).take(37).collect(), &[37]);
            binary_agrees::<f32>(op, &x, &y).unwrap();
            binary_agrees::<f64>(op, &x, &y).unwrap();
        }
    }
}

/// Large enough for the team to be asked.
#[test]
fn threads_do_not_change_results() {
    let n = (1 << 17) + 13;
    let x = View::row_major((0..n).map(|i| (i % 1001) as f32 * 0.01 - 5.0).collect(), &[n]);
    let column = View { strides: vec![1, 0], shape: vec![n / 7, 7], ..x.clone() };
    for isa in fused() {
        on_teams(|| {
            let mut y = vec![0.0f32; n];
            elementwise::unary(isa, UnaryOp::Silu, [0.0; 2], &mut Output::from_slice(&mut y), x.strided());
            let mut z = vec![0.0f32; n / 7 * 7];
            elementwise::unary(isa, UnaryOp::Exp, [0.0; 2], &mut Output::from_slice(&mut z), column.strided());
            let mut less = vec![false; n];
            elementwise::zip(&mut Output::from_slice(&mut less), [x.strided(), x.strided()], &each(|a, b| a < b));
            (y, z, less)
        });
    }
}
