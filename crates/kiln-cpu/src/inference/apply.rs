//! Elementwise steps on a map, where no sum goes before.

use super::epilogue::{Epilogue, Target};
use super::layout::{map_len, padded};
use crate::{Isa, Kernel, Simd, check, team};
use std::ops::Range;

/// Floats of a part: what it takes stays in the first-level cache.
const PART: usize = 4 << 10;
/// Floats that are worth a second thread.
const PARALLEL: usize = 1 << 15;

/// Some pixels of a map.
struct Part<'a> {
    x: &'a [f32],
    target: &'a Target<'a>,
    pixels: Range<usize>,
}

impl Kernel for Part<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Part { x, target, pixels } = self;
        let from = &x[pixels.start * target.pitch..pixels.end * target.pitch];
        // SAFETY: these pixels of y are this part's own, and apart from x.
        unsafe {
            let to = target.y.add(pixels.start * target.pitch);
            std::ptr::copy_nonoverlapping(from.as_ptr(), to, from.len());
            target.finish::<S>(target.steps, pixels, 0..target.pitch);
        }
    }
}

/// y = epilogue(x), of maps of images of so many channels and pixels.
///
/// # Panics
/// Slices of other lengths.
pub fn apply(isa: Isa, (channels, pixels): (usize, usize), x: &[f32], y: &mut [f32], epilogue: &Epilogue<'_>) {
    let batch = check::rows("apply", "y", y.len(), map_len(1, channels, pixels));
    check::length("apply", "x", x.len(), y.len());
    let target = Target::new("apply", Some(y), (batch * pixels, pixels), channels, epilogue);
    let each = (PART / padded(channels).max(1)).max(1);
    let parts = (batch * pixels).div_ceil(each);
    let one = |part: usize| {
        let pixels = part * each..((part + 1) * each).min(batch * pixels);
        isa.run(Part { x, target: &target, pixels });
    };
    if x.len() < PARALLEL { (0..parts).for_each(one) } else { team::parallel(parts, one) }
}
