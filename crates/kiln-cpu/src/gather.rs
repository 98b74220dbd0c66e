//! Gathering by index, and its adjoint.

use crate::operand::{Output, Strided};
use crate::{check, team};

/// The shape of a gather along one axis: (outer, axis, inner).
#[derive(Clone, Copy, Debug)]
pub struct Along {
    /// Product of the axes before.
    pub outer: usize,
    /// Size of the axis in the larger array.
    pub axis: usize,
    /// Product of the axes after.
    pub inner: usize,
}

/// The indices of a gather, one axis of them, and their number.
#[derive(Clone, Copy)]
struct Index<'a> {
    of: Strided<'a, i64>,
    count: usize,
    stride: isize,
    axis: usize,
}

impl<'a> Index<'a> {
    #[track_caller]
    fn new(function: &str, of: Strided<'a, i64>, axis: usize) -> Self {
        let (&[count], &[stride]) = (of.shape(), of.strides()) else {
            check::refuse(function, format_args!("indices of shape {:?}, one axis is expected", of.shape()));
        };
        Index { of, count, stride, axis }
    }

    /// Index `i`, which is below the count.
    #[inline]
    fn at(&self, function: &str, i: usize) -> usize {
        debug_assert!(i < self.count);
        // SAFETY: one axis of `count` indices, each of which can be read.
        let index = unsafe { *self.of.first_element().offset(i as isize * self.stride) };
        if index < 0 || index as usize >= self.axis {
            check::refuse(function, format_args!("index {index} is outside of an axis of {}", self.axis));
        }
        index as usize
    }
}

/// out (outer, indices, inner) = x (outer, axis, inner) at `indices`, all contiguous.
///
/// # Panics
/// Where `out` or `x` has another number of elements, `indices` another number of axes than one, or an index is outside of the
/// axis.
pub fn gather<T: Copy + Send + Sync>(out: &mut [T], x: &[T], indices: Strided<'_, i64>, along: Along) {
    let Along { outer, axis, inner } = along;
    let index = Index::new("gather", indices, axis);
    let count = index.count;
    check::length("gather", "x", x.len(), check::elements("gather", &[outer, axis, inner]));
    check::length("gather", "out", out.len(), check::elements("gather", &[outer, count, inner]));
    if out.is_empty() {
        return;
    }
    let to = Output::from_slice(out);
    let copy_row = |row: usize| {
        let (o, i) = (row / count, row % count);
        // SAFETY: this row's own part of the output, which has outer · count rows.
        let to = unsafe { to.part(row * inner, inner) };
        let start = (o * axis + index.at("gather", i)) * inner;
        to.copy_from_slice(&x[start..start + inner]);
    };
    let rows = outer * count;
    if rows * inner < 1 << 15 {
        return (0..rows).for_each(copy_row);
    }
    let size = rows.div_ceil(4 * team::threads()).max(1);
    team::parallel(rows.div_ceil(size), |i| (i * size..((i + 1) * size).min(rows)).for_each(copy_row));
}

/// out (outer, axis, inner) += y (outer, indices, inner) at `indices`; equal indices add up in ascending order of position.
///
/// # Panics
/// As [`gather`], with `y` in the place of its output.
pub fn scatter_add<T: Copy + Send + Sync>(
    out: &mut [T],
    y: &[T],
    indices: Strided<'_, i64>,
    along: Along,
    add: impl Fn(T, T) -> T + Sync,
) {
    let Along { outer, axis, inner } = along;
    let index = Index::new("scatter_add", indices, axis);
    let count = index.count;
    check::length("scatter_add", "out", out.len(), check::elements("scatter_add", &[outer, axis, inner]));
    check::length("scatter_add", "y", y.len(), check::elements("scatter_add", &[outer, count, inner]));
    if y.is_empty() {
        return;
    }
    for o in 0..outer {
        for i in 0..count {
            let (to, from) = ((o * axis + index.at("scatter_add", i)) * inner, (o * count + i) * inner);
            for (to, &from) in out[to..to + inner].iter_mut().zip(&y[from..from + inner]) {
                *to = add(*to, from);
            }
        }
    }
}
