//! Weighted sums of the indices of an axis.

use super::cases::{Cases, Values, expect, indices};
use super::composed::same;
use crate::{DType, Device, Shape, composed, taps};

pub(super) fn blend(device: &Device) {
    let mut cases = Cases::new(device, 99);
    for dtype in [DType::F32, DType::F64] {
        for case in 0..24 {
            let rank = 1 + cases.below(3);
            // Of several tasks, too.
            let shape = if case == 0 { Shape::new(&[70, 60, 9]).unwrap() } else { cases.shape_of_rank(rank) };
            let axis = if case == 0 { 1 } else { cases.below(rank) };
            let (from, to) = (shape[axis], cases.below(9) + 60 * usize::from(case == 0));
            // As many taps of each index, or some of each; none of an axis without indices.
            let even = cases.chance(2);
            let mut lists = vec![Vec::new(); to];
            for list in lists.iter_mut().filter(|_| from > 0) {
                let count = if even { 1 + case % 4 } else { cases.below(5) };
                list.extend((0..count).map(|_| (cases.below(from), cases.below(64) as f64 / 32.0 - 1.0)));
            }
            let most = lists.iter().map(Vec::len).sum();
            let taps = taps("blend", [from, to], most, |i| lists[i].clone()).unwrap();
            let x = cases.operand(&shape, dtype, Values::Between(-2.0, 2.0));
            let out = x.tensor.blend(axis, &taps).unwrap();
            let inner: usize = shape[axis + 1..].iter().product();
            let want = |index: Vec<usize>| -> f64 {
                let outer = index[..axis].iter().zip(shape.iter()).fold(0, |flat, (&i, &size)| flat * size + i);
                let rest =
                    index[axis + 1..].iter().zip(&shape[axis + 1..]).fold(0, |flat, (&i, &size)| flat * size + i);
                let at = |place: usize| x.values[(outer * from + place) * inner + rest];
                lists[index[axis]].iter().map(|&(place, weight)| weight * at(place)).sum()
            };
            let wanted: Vec<f64> = indices(out.shape()).map(want).collect();
            expect("blend", &out, &wanted, |_| 10.0);
            same("blend", 2.0, &out, &composed::blend(&x.tensor, axis, &taps).unwrap());
            let back = taps.transposed().unwrap();
            let product = |a: &crate::Tensor, b: &crate::Tensor| a.mul(b).unwrap().sum_all().unwrap().item().unwrap();
            let dy = cases.operand(out.shape(), dtype, Values::Between(-1.0, 1.0)).tensor;
            let (there, here) = (product(&out, &dy), product(&x.tensor, &dy.blend(axis, &back).unwrap()));
            assert!((there - here).abs() <= 1e-3 * (1.0 + there.abs()), "transposed: {there}, {here}");
        }
    }
}
