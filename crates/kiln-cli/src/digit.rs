//! An image as MNIST would show it: light on black, fitted into 20 × 20, its center of mass in the middle of 28 × 28.

use crate::image::{Gray, Image};

/// Pixels of a side, and of the box that a figure is fitted into (LeCun et al. 1998).
pub(crate) const SIDE: usize = 28;
const BOX: usize = 20;

/// What is less above the background than this part of the strongest shade is background: paper and JPEG are not even.
const NOISE: f32 = 0.1;

/// The figure's pixels from 0 to 1, row by row; there is none where the image is of one shade.
///
/// The background's shade is the mean of the border, a tenth of the shorter side. Where that is lighter than the rest, the
/// image is inverted. Then the background becomes 0 and the strongest shade 1; the figure is cut out, scaled so that its
/// longer side is 20, by the means of the areas that fall on each pixel, and moved by whole pixels until its center of mass
/// is in the middle, or as near as the figure stays inside.
pub(crate) fn digit(image: &Image) -> Result<Vec<f32>, &'static str> {
    centered(&image.gray())
        .ok_or("a figure on a background is expected, not an image of one shade or without an inside")
}

fn centered(image: &Gray) -> Option<Vec<f32>> {
    let figure = stretched(image)?;
    let figure = cropped(&figure)?;
    let (width, height) = (figure.width as f32, figure.height as f32);
    let scale = BOX as f32 / width.max(height);
    let size = |side: f32| ((side * scale).round() as usize).clamp(1, BOX);
    let small = figure.scaled(size(width), size(height));

    let total: f32 = small.shades.iter().sum();
    let mass = |along: fn(usize, usize) -> usize| {
        let moment = |(i, shade): (usize, &f32)| shade * (along(i, small.width) as f32 + 0.5);
        small.shades.iter().enumerate().map(moment).sum::<f32>() / total
    };
    let place = |center: f32, size: usize| {
        let first = (SIDE as f32 / 2.0 - center).round().max(0.0) as usize;
        first.min(SIDE - size)
    };
    let (left, top) = (place(mass(|i, w| i % w), small.width), place(mass(|i, w| i / w), small.height));
    let mut field = vec![0.0; SIDE * SIDE];
    for (row, shades) in small.shades.chunks_exact(small.width).enumerate() {
        field[(top + row) * SIDE + left..][..small.width].copy_from_slice(shades);
    }
    Some(field)
}

/// Background 0, the strongest shade 1.
fn stretched(image: &Gray) -> Option<Gray> {
    let &Gray { width, height, .. } = image;
    let border = (width.min(height) / 10).max(1);
    let inside = |x: usize, y: usize| {
        (border..width.saturating_sub(border)).contains(&x) && (border..height.saturating_sub(border)).contains(&y)
    };
    // Of the border, then of the middle.
    let (mut sums, mut counts) = ([0.0f64; 2], [0usize; 2]);
    for (i, &shade) in image.shades.iter().enumerate() {
        let part = usize::from(inside(i % width, i / width));
        sums[part] += f64::from(shade);
        counts[part] += 1;
    }
    if counts.contains(&0) {
        return None;
    }
    let [background, middle] = [0, 1].map(|part| (sums[part] / counts[part] as f64) as f32);
    let sign = if background > middle { -1.0 } else { 1.0 };
    let above = |shade: f32| (sign * (shade - background)).max(0.0);
    let strongest = image.shades.iter().map(|&shade| above(shade)).fold(0.0, f32::max);
    // A shade of 255 is the least that a file can tell apart.
    if strongest < 1.0 {
        return None;
    }
    let shades = image.shades.iter().map(|&shade| above(shade) / strongest);
    Some(Gray { width, height, shades: shades.map(|shade| if shade < NOISE { 0.0 } else { shade }).collect() })
}

/// The smallest part that holds all that is not background.
fn cropped(image: &Gray) -> Option<Gray> {
    let lit = |i: &usize| image.shades[*i] > 0.0;
    let lit = || (0..image.shades.len()).filter(lit);
    let (left, right) = (lit().map(|i| i % image.width).min()?, lit().map(|i| i % image.width).max()?);
    let (top, bottom) = (lit().next()? / image.width, lit().next_back()? / image.width);
    Some(image.cut(left, top, right - left + 1, bottom - top + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture from signs: `#` is 255, `.` is 0.
    fn gray(rows: &[&str]) -> Gray {
        let shades = rows.iter().flat_map(|row| row.bytes()).map(|sign| if sign == b'#' { 255.0 } else { 0.0 });
        Gray { width: rows[0].len(), height: rows.len(), shades: shades.collect() }
    }

    fn at(field: &[f32], x: usize, y: usize) -> f32 {
        field[y * SIDE + x]
    }

    #[test]
    fn a_square_fills_the_box_in_the_middle() {
        let field = centered(&gray(&["......", ".##...", ".##...", "......"])).unwrap();
        let lit = |x: usize, y: usize| (4..24).contains(&x) && (4..24).contains(&y);
        for (i, &shade) in field.iter().enumerate() {
            assert!((shade - if lit(i % SIDE, i / SIDE) { 1.0 } else { 0.0 }).abs() < 1e-6, "{i}: {shade}");
        }
    }

    #[test]
    fn proportions_stay_and_the_center_of_mass_is_in_the_middle() {
        // A bar of 1 × 10: 2 × 20 in the middle.
        let bar = centered(&gray(&[["..."; 1].as_slice(), &[".#."; 10], &["..."; 1]].concat())).unwrap();
        assert!((bar.iter().sum::<f32>() - 40.0).abs() < 1e-3);
        assert!(at(&bar, 13, 4) > 0.99 && at(&bar, 14, 23) > 0.99 && at(&bar, 12, 14) == 0.0);
        // Heavy at its left: it moves right.
        let heavy = centered(&gray(&["......", ".#....", ".####.", ".#....", "......"])).unwrap();
        let mass: f32 = heavy.iter().enumerate().map(|(i, s)| s * ((i % SIDE) as f32 + 0.5)).sum();
        assert!((mass / heavy.iter().sum::<f32>() - 14.0).abs() <= 0.5 + 1e-4);
    }

    #[test]
    fn polarity_size_and_contrast_make_no_difference() {
        let rows = ["........", "..####..", ".....#..", "....#...", "...#....", "........"];
        let light = gray(&rows);
        let expected = centered(&light).unwrap();
        let of = |shade: &dyn Fn(f32) -> f32| {
            let shades = light.shades.iter().map(|&s| shade(s)).collect();
            centered(&Gray { width: light.width, height: light.height, shades }).unwrap()
        };
        let near = |a: &[f32]| a.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-4);
        assert!(near(&of(&|s| 255.0 - s)), "dark on light");
        assert!(near(&of(&|s| 100.0 + s / 10.0)), "light on gray");
        let wide = |row: &&str| row.chars().flat_map(|sign| [sign; 7]).collect::<String>();
        let large: Vec<String> = rows.iter().flat_map(|row| std::iter::repeat_n(wide(row), 7)).collect();
        assert!(
            near(&centered(&gray(&large.iter().map(String::as_str).collect::<Vec<_>>())).unwrap()),
            "7 times the size"
        );
    }

    #[test]
    fn nothing_is_found_in_one_shade() {
        for image in [gray(&["."]), gray(&["#"]), gray(&["##", "##"]), gray(&["...", "...", "..."])] {
            assert!(centered(&image).is_none());
        }
        // Beside the digit, no room at all: the border is the figure's own, and still the rest is seen.
        assert!(centered(&gray(&["#.#", "...", "#.#"])).is_some());
    }
}
