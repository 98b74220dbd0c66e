//! The linear recurrence.

use super::Along;
use crate::operand::{Number, Output};
use crate::{Isa, Kernel, Simd, check, team};
use kiln_math::Real;

/// out\[i\] = a\[i\]·out\[i − 1\] + b\[i\] along the middle axis of (outer, axis, inner), from out\[0\] = b\[0\] on.
///
/// # Panics
/// Where an array has another number of elements.
pub fn linear<T: Number>(isa: Isa, out: &mut [T], a: &[T], b: &[T], along: Along) {
    let Along { outer, axis, inner } = along;
    let elements = check::elements("linear_scan", &[outer, axis, inner]);
    for found in [out.len(), a.len(), b.len()] {
        check::length("linear_scan", "an array", found, elements);
    }
    if out.is_empty() {
        return;
    }
    let out = Output::from_slice(out);
    let width = inner.min(256);
    let blocks = inner.div_ceil(width);
    let task = |i: usize| {
        let (first, column) = (i / blocks * axis * inner, i % blocks * width);
        let width = width.min(inner - column);
        isa.run(Columns { out: &out, a, b, first: first + column, axis, inner, width });
    };
    if elements < 1 << 14 { (0..outer * blocks).for_each(task) } else { team::parallel(outer * blocks, task) }
}

/// Some neighboring columns.
struct Columns<'a, T> {
    out: &'a Output<'a, T>,
    a: &'a [T],
    b: &'a [T],
    first: usize,
    axis: usize,
    inner: usize,
    width: usize,
}

impl<T: Number> Kernel for Columns<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Columns { out, first, inner, width, .. } = self;
        for row in 0..self.axis {
            let start = first + row * inner;
            let (a, b) = (&self.a[start..start + width], &self.b[start..start + width]);
            // SAFETY: these columns are this task's own.
            let to = unsafe { out.part(start, width) };
            if row == 0 {
                to.copy_from_slice(b);
                continue;
            }
            // SAFETY: the row before, which is another part.
            let before: &[T] = unsafe { out.part(start - inner, width) };
            for (((to, &before), &a), &b) in to.iter_mut().zip(before).zip(a).zip(b) {
                *to = T::leave::<S>(a.enter::<S>().mul_add(before.enter::<S>(), b.enter::<S>()));
            }
        }
    }
}
