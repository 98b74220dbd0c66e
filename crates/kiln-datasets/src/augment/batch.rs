//! The images of a batch as training sees them.

use super::mix::mix;
use super::warp::{Planes, Room};
use super::{Augmentation, Transform};
use crate::normalize::Normalization;
use crate::rows::Rows;
use kiln_cpu::rows::in_parts;

/// An augmentation of images of a size that it goes with.
#[derive(Clone, Debug)]
pub(crate) struct Augmented {
    pub(crate) augmentation: Augmentation,
    pub(crate) channels: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
}

impl Augmented {
    /// Each image warped, recolored, normalized and erased in one go, by as many threads as the caller's regions have; then
    /// mixed.
    pub(crate) fn write(
        &self,
        to: &mut [f32],
        rows: Rows<'_>,
        transforms: &[Transform],
        normalization: &Normalization,
    ) {
        let Augmented { channels, height, width, .. } = *self;
        let fill = self.augmentation.filled_with();
        in_parts(to, rows.width, |first, part| {
            let mut room = Room::default();
            for (i, to) in (first..).zip(part.chunks_exact_mut(rows.width)) {
                if let Some(bytes) = rows.get(i) {
                    transforms[i].write(to, Planes { bytes, channels, height, width }, fill, normalization, &mut room);
                }
            }
        });
        mix(to, transforms, (height, width));
    }
}
