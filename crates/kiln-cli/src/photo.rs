//! An image as CIFAR would show it: in colors, square, 32 × 32.

use crate::image::Image;

/// Pixels of a side.
pub(crate) const SIDE: usize = 32;

/// The planes red, green and blue, row by row, from 0 to 1: of the largest square in the middle, each pixel the mean of the
/// area that falls on it.
pub(crate) fn photo(image: &Image) -> Result<Vec<f32>, &'static str> {
    let side = image.width.min(image.height);
    if side == 0 {
        return Err("this image has no pixels");
    }
    let (left, top) = ((image.width - side) / 2, (image.height - side) / 2);
    let planes = (0..3).flat_map(|channel| image.color(channel).cut(left, top, side, side).scaled(SIDE, SIDE).shades);
    Ok(planes.map(|shade| shade / 255.0).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_are_means_of_the_middle_square() {
        // 96 × 64 pixels: red in the left half of the middle square, blue in its right, green outside of it.
        let pixel = |i: usize| match i % 96 {
            0..16 | 80..96 => [0, 255, 0],
            16..48 => [255, 0, 0],
            _ => [0, 0, 255],
        };
        let image = Image { width: 96, height: 64, pixels: (0..96 * 64).map(pixel).collect() };
        let planes = photo(&image).unwrap();
        for (i, &value) in planes.iter().enumerate() {
            let expected = match (i / (SIDE * SIDE), i % SIDE < 16) {
                (0, true) | (2, false) => 1.0,
                _ => 0.0,
            };
            assert!((value - expected).abs() < 1e-6, "{i}: {value}");
        }
        // Smaller images are enlarged.
        let small = Image { width: 1, height: 2, pixels: vec![[51, 102, 204], [0, 0, 0]] };
        let planes = photo(&small).unwrap();
        for (channel, expected) in [0.2, 0.4, 0.8].into_iter().enumerate() {
            let plane = &planes[channel * SIDE * SIDE..][..SIDE * SIDE];
            assert!(plane.iter().all(|value| (value - expected).abs() < 1e-6));
        }
        assert!(photo(&Image { width: 0, height: 3, pixels: Vec::new() }).is_err());
    }
}
