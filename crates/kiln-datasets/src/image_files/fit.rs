//! Pictures of any proportions in one size.

use super::options::ColorMode;
use super::picture::Picture;
use super::resample::{Resample, Source, Taps};
use kiln_cpu::Isa;
use serde::{Deserialize, Serialize};

/// How a picture of other proportions becomes as high and wide as it shall be.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// Resized until it covers the size, and its center cut out: torchvision's `Resize(size)` and `CenterCrop(size)`, Keras's
    /// `crop_to_aspect_ratio`.
    #[default]
    Crop,
    /// Resized to the size, whatever its proportions: torchvision's `Resize((height, width))`, Keras's default.
    Stretch,
    /// Resized until it fits into the size, in the middle of black: Pillow's `ImageOps.pad`, Keras's `pad_to_aspect_ratio`.
    Pad,
}

impl Fit {
    /// The height and width that an image of `from` is resized to, before it is cut or padded to `to`.
    fn resized(self, from: [usize; 2], to: [usize; 2]) -> [usize; 2] {
        let [[height, width], [high, wide]] = [from, to].map(|size| size.map(|side| side as u128));
        // Whether the image is at least as wide as the size, by its proportions.
        let wider = width * high >= wide * height;
        let size = match self {
            Fit::Stretch => [high, wide],
            Fit::Crop if wider => [high, (width * high / height).max(wide)],
            Fit::Crop => [(height * wide / width).max(high), wide],
            Fit::Pad => {
                let rounded = |side: u128, by: u128, of: u128| (side as f64 / of as f64 * by as f64).round_ties_even();
                match wider {
                    true => [rounded(height, wide, width).max(1.0) as u128, wide],
                    false => [high, rounded(width, high, height).max(1.0) as u128],
                }
            }
        };
        size.map(|side| side as usize)
    }
}

/// The part of a resized axis that is seen, and where it is seen.
struct Axis {
    taps: Taps,
    at: usize,
}

impl Axis {
    /// Of `from` pixels resized to `resized`, what `to` pixels show: the middle.
    fn new(from: usize, resized: usize, to: usize) -> Self {
        let middle = |outer: usize, inner: usize| (outer.saturating_sub(inner) as f64 / 2.0).round_ties_even() as usize;
        let (first, seen) = (middle(resized, to), resized.min(to));
        Axis { taps: Taps::triangle(from, resized, first..first + seen), at: middle(to, resized) }
    }
}

/// The bytes (channels, height, width) of a picture in this size.
pub(super) fn fitted(picture: &Picture, fit: Fit, color: ColorMode, to: [usize; 2]) -> Vec<u8> {
    let mut planes = vec![0; color.channels() * to[0] * to[1]];
    match (picture.channels(), color) {
        (3, ColorMode::Gray) => fill::<1>(&mut planes, &picture.to_gray(), fit, to),
        (3, ColorMode::Rgb) => fill::<3>(&mut planes, picture, fit, to),
        (_, ColorMode::Gray) => fill::<1>(&mut planes, picture, fit, to),
        (_, ColorMode::Rgb) => {
            let size = to[0] * to[1];
            fill::<1>(&mut planes[..size], picture, fit, to);
            planes.copy_within(..size, size);
            planes.copy_within(..size, 2 * size);
        }
    }
    planes
}

/// Fills black planes with a picture of C channels.
fn fill<const C: usize>(planes: &mut [u8], picture: &Picture, fit: Fit, to: [usize; 2]) {
    let from = [picture.height(), picture.width()];
    if from.contains(&0) {
        return;
    }
    let resized = fit.resized(from, to);
    let [down, across] = [0, 1].map(|axis| Axis::new(from[axis], resized[axis], to[axis]));
    let source = Source::<C> { pixels: picture.pixels(), width: picture.width() };
    let place = [down.at, across.at];
    Isa::best().run(Resample { planes, size: to, place, source, down: &down.taps, across: &across.taps });
}

#[cfg(test)]
mod tests {
    use super::Fit;

    #[test]
    fn sizes_are_those_of_torchvision_and_pillow() {
        // Resize(224) of 500 × 375 and of 375 × 500; of one pixel by a thousand.
        assert_eq!(Fit::Crop.resized([375, 500], [224, 224]), [224, 298]);
        assert_eq!(Fit::Crop.resized([500, 375], [224, 224]), [298, 224]);
        assert_eq!(Fit::Crop.resized([1, 1000], [64, 64]), [64, 64_000]);
        assert_eq!(Fit::Crop.resized([100, 100], [30, 50]), [50, 50]);
        assert_eq!(Fit::Stretch.resized([1, 1000], [64, 32]), [64, 32]);
        // ImageOps.contain rounds to the even number.
        assert_eq!(Fit::Pad.resized([375, 500], [224, 224]), [168, 224]);
        assert_eq!(Fit::Pad.resized([1000, 1], [64, 64]), [64, 1]);
        assert_eq!(Fit::Pad.resized([3, 2], [5, 3]), [4, 3]);
    }
}
