//! Rows of bytes, gathered and normalized.

use kiln_cpu::rows::{in_parts, prefetch};
use kiln_cpu::{Isa, Kernel, Simd};
use kiln_math::Real;

/// Rows of an array of bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows<'a> {
    /// The array, row-major.
    pub(crate) source: &'a [u8],
    /// Bytes of a row.
    pub(crate) width: usize,
    /// The rows to gather.
    pub(crate) indices: &'a [usize],
    /// The rows of the batch after: asked for from memory meanwhile, since rows in random order are what no hardware
    /// prefetcher foresees.
    pub(crate) upcoming: &'a [usize],
}

impl<'a> Rows<'a> {
    /// Row `i` of the gather, none past the end of the source; that of the batch after is asked for meanwhile.
    #[inline(always)]
    pub(crate) fn get(&self, i: usize) -> Option<&'a [u8]> {
        let Rows { source, width, indices, upcoming } = *self;
        if let Some(row) = upcoming.get(i).and_then(|&row| row_of(source, width, row)) {
            prefetch(row);
        }
        indices.get(i).and_then(|&row| row_of(source, width, row))
    }
}

/// A row, `None` past the end of the source.
#[inline(always)]
fn row_of(source: &[u8], width: usize, row: usize) -> Option<&[u8]> {
    let start = row.checked_mul(width)?;
    source.get(start..start.checked_add(width)?)
}

/// A row of bytes as numbers, scale · x + shift.
struct Normalize<'a> {
    out: &'a mut [f32],
    row: &'a [u8],
    scale: f32,
    shift: f32,
}

impl Kernel for Normalize<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let (scale, shift) = (S::F32::constant(self.scale.into()), S::F32::constant(self.shift.into()));
        let to = S::f32s_mut(self.out);
        for (to, &byte) in to.iter_mut().zip(self.row) {
            *to = S::F32::constant(f64::from(byte)).mul_add(scale, shift);
        }
    }
}

/// Rows of bytes, normalized to scale · x + shift as they are gathered. `normalize` holds
/// [scale, shift] once, or for each of the equal planes that a row consists of.
///
/// Rows past the end of the source are left as they are.
pub(crate) fn gather_normalized(isa: Isa, out: &mut [f32], rows: Rows<'_>, normalize: &[[f32; 2]]) {
    let Rows { width, indices, .. } = rows;
    if width == 0 || normalize.is_empty() || !width.is_multiple_of(normalize.len()) {
        return;
    }
    let plane = width / normalize.len();
    in_parts(out, width, |first, part| {
        for (i, out) in (first..indices.len()).zip(part.chunks_exact_mut(width)) {
            let Some(row) = rows.get(i) else { continue };
            for ((out, row), &[scale, shift]) in out.chunks_exact_mut(plane).zip(row.chunks_exact(plane)).zip(normalize)
            {
                isa.run(Normalize { out, row, scale, shift });
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::{Rows, gather_normalized};
    use kiln_cpu::{Isa, team};
    use proptest::prelude::*;

    const CONSTANTS: [[f32; 2]; 1] = [[1.0, 0.0]];

    proptest! {
        #[test]
        fn rows_of_bytes_are_normalized_as_they_are_gathered(
            plane in 1usize..40, normalize in prop::collection::vec([-1.0f32..1.0, -1.0f32..1.0], 1..4),
            picks in prop::collection::vec(any::<usize>(), 0..50),
        ) {
            let (count, width) = (13, plane * normalize.len());
            let source: Vec<u8> = (0..count * width).map(|i| (i * 37 % 256) as u8).collect();
            let indices: Vec<usize> = picks.iter().map(|p| p % count).collect();
            let upcoming = [0, count - 1, count, usize::MAX / width]; // the last two are outside and must do no harm
            for &isa in Isa::available().iter().filter(|isa| isa.fused()) {
                let mut out = vec![f32::NAN; indices.len() * width];
                let rows = Rows { source: &source, width, indices: &indices, upcoming: &upcoming };
                gather_normalized(isa, &mut out, rows, &normalize);
                for (row, &index) in out.chunks(width).zip(&indices) {
                    for (i, (y, &byte)) in row.iter().zip(&source[index * width..]).enumerate() {
                        let [scale, shift] = normalize[i / plane];
                        prop_assert_eq!(*y, f32::from(byte).mul_add(scale, shift));
                    }
                }
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_left_alone() {
        let filled = |length: usize, width, indices: &[usize], normalize: &[[f32; 2]]| {
            let mut out = vec![7.0; length];
            let rows = Rows { source: &[1; 12], width, indices, upcoming: &[usize::MAX, 5] };
            gather_normalized(Isa::best(), &mut out, rows, normalize);
            out.iter().filter(|&&x| x == 1.0).count()
        };
        assert_eq!(filled(8, 4, &[2, 0], &CONSTANTS), 8);
        assert_eq!(filled(8, 4, &[3, 9], &CONSTANTS), 0); // rows past the end
        assert_eq!(filled(12, 4, &[0], &CONSTANTS), 4); // one row for three
        assert_eq!(filled(6, 4, &[0, 1], &CONSTANTS), 4); // half a row
        assert_eq!(filled(6, 0, &[0, 1], &CONSTANTS), 0);
        assert_eq!(filled(8, 4, &[0, 1], &[[1.0, 0.0]; 3]), 0); // planes that do not divide a row
    }

    #[test]
    fn large_gathers_do_not_depend_on_threads() {
        let (count, width) = (600, 301);
        let source: Vec<u8> = (0..count * width).map(|i| (i * 31 % 256) as u8).collect();
        let indices: Vec<usize> = (0..count).map(|i| i * 7 % count).collect();
        let gathered = || {
            let mut out = vec![0.0; count * width];
            let rows = Rows { source: &source, width, indices: &indices, upcoming: &[] };
            gather_normalized(Isa::best(), &mut out, rows, &[[0.5, 1.0]]);
            out
        };
        assert!(team::serial(gathered) == team::run(gathered));
    }
}
