//! A drawn transform done to an image.

use super::warp::{Fill, Planes, Room, warp};
use super::{Rectangle, Transform};
use crate::normalize::Normalization;
use kiln_cpu::Isa;
use kiln_tensor::{Error, Result};

impl Transform {
    /// The transformed image (channels, height, width), of the scale of bytes and not rounded: all but the mixing with another.
    ///
    /// # Errors
    /// Bytes that are not an image of this size; a rectangle that reaches out of it.
    pub fn apply(&self, image: Planes<'_>, fill: Fill) -> Result<Vec<f32>> {
        let Planes { bytes, channels, height, width } = image;
        let within = |part: &Rectangle| {
            part.left.saturating_add(part.width) <= width && part.top.saturating_add(part.height) <= height
        };
        if bytes.len() != channels * height * width || !self.erased.iter().all(within) {
            return Err(Error::value(
                "Transform",
                format!(
                    "{} bytes are not an image of ({channels}, {height}, {width}), or {:?} reaches out of it",
                    bytes.len(),
                    self.erased
                ),
            ));
        }
        let mut out = vec![0.0; bytes.len()];
        if bytes.is_empty() {
            return Ok(out);
        }
        self.write(&mut out, image, fill, &Normalization::of_bytes(), &mut Room::default());
        Ok(out)
    }

    /// Writes the transformed and normalized image.
    pub(super) fn write(
        &self,
        out: &mut [f32],
        image: Planes<'_>,
        fill: Fill,
        normalization: &Normalization,
        room: &mut Room,
    ) {
        let Planes { height, width, .. } = image;
        let map = self.map(height, width);
        if self.colors.is_empty() {
            warp(Isa::best(), out, image, map, fill, &normalization.planes, room);
        } else {
            warp(Isa::best(), out, image, map, fill, &[[1.0, 0.0]], room);
            self.colors.iter().for_each(|color| color.apply(out, height * width));
            normalization.normalize(out);
        }
        normalization.standardize(out);
        for part in &self.erased {
            for plane in out.chunks_exact_mut(height * width) {
                for row in plane.chunks_exact_mut(width).skip(part.top).take(part.height) {
                    row[part.left..part.left + part.width].fill(0.0);
                }
            }
        }
    }
}
