//! Reductions against the tree that the module's documentation defines, written plainly, bit for bit; and against f64.

use crate::views::{View, numbers, on_teams, same, shapes, view};
use half::{bf16, f16};
use kiln_cpu::operand::{Number, Output, Stored};
use kiln_cpu::reduce::{self, CHUNK, LANES, Reduction};
use kiln_cpu::{Isa, arg_reduce, team};
use proptest::prelude::*;

const ALL: [Reduction; 5] = [Reduction::Sum, Reduction::Mean, Reduction::Max, Reduction::Min, Reduction::Prod];

fn combine<T: Number>(op: Reduction, a: T, b: T) -> T {
    match op {
        Reduction::Sum | Reduction::Mean => a + b,
        Reduction::Max => a.maximum(b),
        Reduction::Min => a.minimum(b),
        Reduction::Prod => a * b,
    }
}

/// Chunks, lanes, halves; then the chunks' results by the same rule.
fn tree<T: Number>(op: Reduction, values: &[T]) -> T {
    let identity = T::from_f64(match op {
        Reduction::Sum | Reduction::Mean => 0.0,
        Reduction::Max => f64::NEG_INFINITY,
        Reduction::Min => f64::INFINITY,
        Reduction::Prod => 1.0,
    });
    let chunk = |values: &[T]| {
        let mut lanes = [identity; LANES];
        for (i, &x) in values.iter().enumerate() {
            lanes[i % LANES] = combine(op, lanes[i % LANES], x);
        }
        for width in [8, 4, 2, 1] {
            for j in 0..width {
                lanes[j] = combine(op, lanes[j], lanes[j + width]);
            }
        }
        lanes[0]
    };
    let mut values: Vec<T> = if values.is_empty() { vec![identity] } else { values.chunks(CHUNK).map(chunk).collect() };
    while values.len() > 1 {
        values = values.chunks(CHUNK).map(chunk).collect();
    }
    values[0]
}

/// The elements of each output, in row-major order of the reduced axes.
fn groups<T: Copy>(x: &View<T>, axes: &[usize]) -> Vec<Vec<T>> {
    let kept: usize = (0..x.shape.len()).filter(|a| !axes.contains(a)).map(|a| x.shape[a]).product();
    let mut groups = vec![Vec::new(); kept];
    for (i, value) in x.values().into_iter().enumerate() {
        let (mut rest, mut to, mut step) = (i, 0, 1);
        for (axis, &size) in x.shape.iter().enumerate().rev() {
            if !axes.contains(&axis) {
                to += rest % size * step;
                step *= size;
            }
            rest /= size;
        }
        groups[to].push(value);
    }
    groups
}

fn agrees<E: Stored>(x: &View<f64>, axes: &[usize]) -> Result<(), TestCaseError> {
    let x = x.map(|x| E::store(E::Compute::from_f64(x)));
    let groups = groups(&x, axes);
    for op in ALL {
        for &isa in Isa::available() {
            let mut out = vec![E::store(E::Compute::from_f64(0.0)); groups.len()];
            reduce::reduce(isa, op, &mut Output::from_slice(&mut out), x.strided(), axes);
            for (y, group) in out.iter().zip(&groups) {
                let values: Vec<E::Compute> = group.iter().map(|x| x.load()).collect();
                let mut expected = tree(op, &values);
                if op == Reduction::Mean {
                    expected = expected / E::Compute::from_f64(values.len() as f64);
                }
                let (y, e) = (y.load().to_f64(), E::store(expected).load().to_f64());
                prop_assert!(
                    same(y, e),
                    "{} {:?} of {:?} over {:?}: {:e}, not {:e}",
                    isa.name(),
                    op,
                    x.shape,
                    axes,
                    y,
                    e
                );
            }
        }
    }
    Ok(())
}

fn view_and_axes() -> impl Strategy<Value = (View<f64>, Vec<usize>)> {
    shapes().prop_flat_map(|shape| {
        let axes = prop::sample::subsequence((0..shape.len()).collect::<Vec<_>>(), 0..=shape.len());
        (view(shape, numbers()), axes)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_axes_of_any_view((x, axes) in view_and_axes()) {
        agrees::<f32>(&x, &axes)?;
        agrees::<f64>(&x, &axes)?;
        agrees::<bf16>(&x, &axes)?;
    }

    #[test]
    fn integers_and_positions((x, axes) in view_and_axes()) {
        let x = x.map(|x| if x.is_nan() { 7 } else { x as i64 % 5 });
        let groups = groups(&x, &axes);
        let mut sums = vec![0i64; groups.len()];
        reduce::reduce_with(&mut Output::from_slice(&mut sums), x.strided(), &axes, 0i64, |a, b| a + b);
        prop_assert_eq!(sums, groups.iter().map(|g| g.iter().sum::<i64>()).collect::<Vec<_>>());
        if let [axis, ..] = axes[..] && x.shape[axis] > 0 {
            let groups = self::groups(&x, &[axis]);
            let mut first = vec![0i64; groups.len()];
            arg_reduce::arg_reduce(&mut Output::from_slice(&mut first), x.strided(), axis, |candidate, best| candidate > best);
            let expected: Vec<i64> = groups
                .iter()
                .map(|g| g.iter().position(|v| Some(v) == g.iter().max()).map_or(-1, |p| p as i64))
                .collect();
            prop_assert_eq!(first, expected);
        }
    }
}

/// Shapes that take more than one chunk, by rows, by columns and in all.
#[test]
fn long_axes_follow_the_tree_too() {
    let number = |i: usize| ((i * 7919) % 2003) as f64 * 0.37 - 300.0;
    for (shape, axes) in [
        (vec![70_001], vec![0]),
        (vec![3, 9000], vec![1]),
        (vec![9000, 3], vec![0]),
        (vec![4097, 67], vec![0]),
        (vec![2, 4097, 5], vec![1]),
        (vec![5, 100, 130], vec![0, 2]),
        (vec![32, 128], vec![0]),
    ] {
        let count = shape.iter().product();
        let x = View::row_major((0..count).map(number).collect(), &shape);
        agrees::<f32>(&x, &axes).unwrap();
        agrees::<f64>(&x, &axes).unwrap();
        agrees::<bf16>(&x, &axes).unwrap();
        agrees::<f16>(&x, &axes).unwrap();
    }
}

#[test]
fn threads_do_not_change_results() {
    let n = 300_000usize;
    let x = View::row_major((0..n).map(|i| ((i * 7919) % 2003) as f32 * 0.37 - 300.0).collect(), &[1000, 300]);
    for axes in [vec![0], vec![1], vec![0, 1]] {
        on_teams(|| {
            let outputs = (0..2).filter(|a| !axes.contains(a)).map(|a| x.shape[a]).product();
            let mut out = vec![0.0f32; outputs];
            reduce::reduce(Isa::best(), Reduction::Sum, &mut Output::from_slice(&mut out), x.strided(), &axes);
            out
        });
    }
}

/// Lanes and chunks keep the error of a long sum far below that of adding up one by one.
#[test]
fn a_sum_of_millions_is_accurate() {
    let n = 5_000_000;
    let x = View::row_major((0..n).map(|i| 0.1 + (i % 17) as f32 * 1e-3).collect(), &[n]);
    let mut sum = [0.0f32];
    team::run(|| reduce::reduce(Isa::best(), Reduction::Sum, &mut Output::from_slice(&mut sum), x.strided(), &[0]));
    let exact: f64 = x.buffer.iter().map(|&x| f64::from(x)).sum();
    assert!((f64::from(sum[0]) - exact).abs() < 2e-7 * exact, "{} {exact}", sum[0]);
}

#[test]
fn nan_wins_and_nothing_has_its_identity() {
    let x = View::row_major(vec![1.0f32, f32::NAN, 3.0, 5.0, 2.0, 4.0], &[2, 3]);
    for (op, expected) in [(Reduction::Max, [f32::NAN, 5.0]), (Reduction::Min, [f32::NAN, 2.0])] {
        let mut out = [0.0f32; 2];
        reduce::reduce(Isa::best(), op, &mut Output::from_slice(&mut out), x.strided(), &[1]);
        assert!(out[0].is_nan() && out[1] == expected[1]);
    }
    let empty = View::row_major(Vec::<f32>::new(), &[2, 0]);
    let identities = [0.0, f64::NAN, f64::NEG_INFINITY, f64::INFINITY, 1.0];
    for (op, identity) in ALL.into_iter().zip(identities) {
        let mut out = [9.0f32; 2];
        reduce::reduce(Isa::best(), op, &mut Output::from_slice(&mut out), empty.strided(), &[1]);
        assert!(same(f64::from(out[1]), identity), "{op:?}: {}", out[1]);
    }
}

#[test]
fn outputs_of_other_sizes_are_refused() {
    use kiln_cpu::operand::Strided;
    use std::panic::catch_unwind;
    let data = [1.0_f32; 12];
    // SAFETY: the elements of a 3 × 4 slice, or none.
    let operand = |shape: &'static [usize]| unsafe { Strided::new(data.as_ptr(), shape, &[4, 1]) };
    for (axes, results) in [(vec![0], 4), (vec![1], 3), (vec![0, 1], 1), (vec![], 12)] {
        for len in 0..14 {
            let mut out = vec![0.0_f32; len];
            let done = catch_unwind(std::panic::AssertUnwindSafe(|| {
                reduce::reduce(Isa::best(), Reduction::Sum, &mut Output::from_slice(&mut out), operand(&[3, 4]), &axes);
            }));
            assert_eq!(done.is_ok(), len == results, "{len} elements over {axes:?}");
            let mut out = vec![0_i64; len];
            let done = catch_unwind(std::panic::AssertUnwindSafe(|| {
                reduce::reduce_with(&mut Output::from_slice(&mut out), operand(&[3, 4]), &axes, 0, |sum, _| sum + 1);
            }));
            assert_eq!(done.is_ok(), len == results, "{len} elements over {axes:?}");
        }
    }
    let position = |shape: &'static [usize], axis: usize, len: usize| {
        let mut out = vec![0_i64; len];
        catch_unwind(std::panic::AssertUnwindSafe(|| {
            arg_reduce::arg_reduce(&mut Output::from_slice(&mut out), operand(shape), axis, |a: f32, b| a > b);
        }))
        .is_ok()
    };
    assert!(position(&[3, 4], 1, 3) && !position(&[3, 4], 1, 4) && !position(&[3, 4], 2, 3));
    assert!(position(&[0, 4], 1, 0) && !position(&[3, 0], 1, 3));
}
