//! An image as CIFAR would show it: in colors, square, 32 × 32.

use kiln::datasets::{ImageOptions, Picture};

/// Pixels of a side.
pub(crate) const SIDE: usize = 32;

/// The planes red, green and blue, row by row, from 0 to 1: of the largest square in the middle.
pub(crate) fn photo(image: &Picture) -> Result<Vec<f32>, &'static str> {
    let planes = ImageOptions::new(SIDE, SIDE).planes(image).map_err(|_| "this image has no pixels")?;
    Ok(planes.iter().map(|&byte| f32::from(byte) / 255.0).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_are_of_the_middle_square() {
        // 96 × 64 pixels: red in the left half of the middle square, blue in its right, green outside of it.
        let pixel = |i: usize| match i % 96 {
            0..16 | 80..96 => [0, 255, 0],
            16..48 => [255, 0, 0],
            _ => [0, 0, 255],
        };
        let image = Picture::new((0..96 * 64).flat_map(pixel).collect(), [64, 96, 3]).unwrap();
        let planes = photo(&image).unwrap();
        // A pixel covers four columns, weighted by a triangle: where colors meet it is of both.
        for (i, &value) in planes.iter().enumerate().filter(|(i, _)| (1..15).contains(&(i % SIDE % 16))) {
            let expected = match (i / (SIDE * SIDE), i % SIDE < 16) {
                (0, true) | (2, false) => 1.0,
                _ => 0.0,
            };
            assert!((value - expected).abs() < 1e-6, "{i}: {value}");
        }
        // Smaller images are enlarged.
        let small = Picture::new(vec![51, 102, 204], [1, 1, 3]).unwrap();
        let planes = photo(&small).unwrap();
        for (channel, expected) in [0.2, 0.4, 0.8].into_iter().enumerate() {
            let plane = &planes[channel * SIDE * SIDE..][..SIDE * SIDE];
            assert!(plane.iter().all(|value| (value - expected).abs() < 1e-6));
        }
    }
}
