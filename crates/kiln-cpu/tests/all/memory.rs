//! Copies between layouts and types, gathers and scatters, against plain loops.

use crate::views::{View, numbers, on_teams, shapes, view};
use half::{bf16, f16};
use kiln_cpu::copy::{Convert, assign, copy, fill};
use kiln_cpu::gather::{Along, gather, scatter_add};
use kiln_cpu::operand::Output;
use kiln_math::{round_integer_to_odd, round_to_odd};
use proptest::prelude::*;

fn copied<A: Convert<B> + Send + Sync, B: Copy + Send + Sync + Default>(x: &View<A>) -> Vec<B> {
    let mut out = vec![B::default(); x.elements()];
    copy(&mut Output::from_slice(&mut out), x.strided());
    out
}

proptest! {
    #[test]
    fn copies_of_any_view(x in shapes().prop_flat_map(|s| view(s, -1000i64..1000))) {
        prop_assert_eq!(copied::<_, i64>(&x), x.values());
        let floats: Vec<f32> = x.values().into_iter().map(|v| v as f32).collect();
        prop_assert_eq!(copied::<_, f32>(&x), floats);
        let bytes = x.map(|v| v as u8);
        prop_assert_eq!(copied::<_, u8>(&bytes), bytes.values());
    }

    /// Assignment to a view, then a copy out of it; what the view does not reach stays.
    #[test]
    fn assignments_to_any_view(
        (x, mut to) in shapes().prop_flat_map(|s| (view(s.clone(), 1i64..1000), view(s, Just(0i64))))
            .prop_filter("each element is reached once", |(_, to)| {
                to.shape.iter().zip(&to.strides).all(|(&n, &stride)| n == 1 || stride != 0)
            })
    ) {
        let first = to.buffer.as_mut_ptr().wrapping_add(to.offset);
        // SAFETY: the view stays within its buffer and reaches each element once.
        unsafe { assign(first, &to.strides, x.strided()) };
        prop_assert_eq!(to.values(), x.values());
        let reached: i64 = x.values().iter().sum();
        prop_assert_eq!(to.buffer.iter().sum::<i64>(), reached);
    }

    #[test]
    fn conversions_round_saturate_and_keep_truth(x in numbers(), i in any::<i64>()) {
        let single = x as f32;
        prop_assert_eq!(Convert::<i64>::convert(x), x as i64);
        prop_assert_eq!(Convert::<u8>::convert(single), single as u8);
        prop_assert_eq!(Convert::<bool>::convert(single), single != 0.0);
        prop_assert_eq!(Convert::<bool>::convert(i), i != 0);
        prop_assert_eq!(Convert::<u8>::convert(i), i.clamp(0, 255) as u8);
        prop_assert_eq!(Convert::<i32>::convert(i), i.clamp(i32::MIN.into(), i32::MAX.into()) as i32);
        prop_assert_eq!((Convert::<i8>::convert(i as i32), Convert::<u8>::convert(i as i8)), (
            (i as i32).clamp(-128, 127) as i8,
            (i as i8).max(0) as u8,
        ));
        let bits = |x: f16| if x.is_nan() { 0 } else { x.to_bits() };
        prop_assert_eq!(bits(Convert::<f16>::convert(single)), bits(f16::from_f32(single)));
        prop_assert_eq!(bits(Convert::<f16>::convert(x)), bits(f16::from_f32(round_to_odd(x))));
        prop_assert_eq!(bits(Convert::<f16>::convert(i)), bits(f16::from_f32(round_integer_to_odd(i))));
        let half = bf16::from_f32(single);
        let wide: f64 = half.convert();
        prop_assert!(wide == half.to_f64() || wide.is_nan() && single.is_nan());
        prop_assert_eq!(Convert::<f32>::convert(true), 1.0);
        prop_assert_eq!(Convert::<bf16>::convert(false), bf16::ZERO);
    }

    /// A number next to halfway between two halves goes to its own side, which rounding to f32 first would not show.
    #[test]
    fn halves_are_rounded_once(even in 0u16..0x3e00, beside in -1i64..=1) {
        let even = f16::from_bits(2 * even);
        let next = f16::from_bits(even.to_bits() + 1);
        let tie = (even.to_f64() + next.to_f64()) / 2.0;
        let x = f64::from_bits(tie.to_bits().wrapping_add_signed(beside));
        prop_assert_eq!(Convert::<f16>::convert(x), if beside > 0 { next } else { even });
        let [even, next] = [even, next].map(|half| bf16::from_bits(half.to_bits()));
        let tie = (even.to_f64() + next.to_f64()) / 2.0;
        let x = f64::from_bits(tie.to_bits().wrapping_add_signed(beside));
        prop_assert_eq!(Convert::<bf16>::convert(x), if beside > 0 { next } else { even });
    }

    #[test]
    fn gathers_and_scatters(
        outer in 0usize..4, axis in 1usize..9, inner in 0usize..20, picks in prop::collection::vec(any::<usize>(), 0..12),
    ) {
        let along = Along { outer, axis, inner };
        let count = picks.len();
        let indices = View::row_major(picks.iter().map(|p| (p % axis) as i64).collect(), &[count]);
        let backwards = View {
            buffer: indices.buffer.iter().rev().copied().collect(),
            offset: count.saturating_sub(1),
            shape: vec![count],
            strides: vec![-1],
        };
        let x: Vec<i64> = (0..outer * axis * inner).map(|i| (i * 31 % 97) as i64).collect();
        let mut out = vec![0; outer * count * inner];
        gather(&mut out, &x, indices.strided(), along);
        let mut sums = x.clone();
        scatter_add(&mut sums, &out, indices.strided(), along, |a, b| a + b);
        let mut expected_sums = x.clone();
        for o in 0..outer {
            for (i, &index) in indices.buffer.iter().enumerate() {
                for j in 0..inner {
                    let from = (o * axis + index as usize) * inner + j;
                    let at = (o * count + i) * inner + j;
                    prop_assert_eq!(out[at], x[from]);
                    expected_sums[from] += out[at];
                }
            }
        }
        prop_assert_eq!(sums, expected_sums);
        let mut again = vec![0; out.len()];
        if count > 0 {
            gather(&mut again, &x, backwards.strided(), along);
            prop_assert_eq!(again, out);
        }
    }
}

#[test]
fn large_copies_and_gathers_do_not_depend_on_threads() {
    let (rows, width) = (600, 301);
    let x = View::row_major((0..rows * width).map(|i| i as f32).collect::<Vec<f32>>(), &[rows, width]);
    let transposed = View { shape: vec![width, rows], strides: vec![1, width as isize], ..x.clone() };
    let order: Vec<usize> = (0..rows).map(|i| i * 7 % rows).collect();
    let indices = View::row_major(order.iter().map(|&i| i as i64).collect(), &[rows]);
    let all = on_teams(|| {
        let halves: Vec<f16> = copied(&transposed);
        let mut filled = vec![0u8; 1 << 17];
        fill(&mut Output::from_slice(&mut filled), 7);
        let mut picked = vec![0.0f32; rows * width];
        gather(&mut picked, &x.buffer, indices.strided(), Along { outer: 1, axis: rows, inner: width });
        (halves, filled, picked)
    });
    assert!(all.1.iter().all(|&b| b == 7));
    assert!(all.2.chunks(width).zip(&order).all(|(row, &i)| row == &x.buffer[i * width..(i + 1) * width]));
    assert!(all.0.iter().zip(transposed.values()).all(|(h, x)| *h == f16::from_f32(x)));
}
