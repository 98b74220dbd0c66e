//! An image as MNIST would show it: light on black, fitted into 20 × 20, its center of mass in the middle of 28 × 28.

use kiln::datasets::{ColorMode, Fit, ImageOptions, Picture};

/// Pixels of a side, and of the box that a figure is fitted into (LeCun et al. 1998).
pub(crate) const SIDE: usize = 28;
const BOX: usize = 20;

/// What is less above the background than this part of the strongest shade is background: paper and JPEG are not even.
const NOISE: f32 = 0.1;

/// The figure's pixels from 0 to 1, row by row; there is none where the image is of one shade.
///
/// The background's shade is the mean of the border, a tenth of the shorter side. Where that is lighter than the rest, the
/// image is inverted. Then the background becomes 0 and the strongest shade 1; the figure is cut out, scaled so that its
/// longer side is 20, and moved by whole pixels until its center of mass is in the middle, or as near as the figure stays
/// inside.
pub(crate) fn digit(image: &Picture) -> Result<Vec<f32>, &'static str> {
    centered(&image.to_gray())
        .ok_or("a figure on a background is expected, not an image of one shade or without an inside")
}

fn centered(image: &Picture) -> Option<Vec<f32>> {
    let figure = cropped(&stretched(image)?)?;
    let (width, height) = (figure.width() as f32, figure.height() as f32);
    let scale = BOX as f32 / width.max(height);
    let size = |side: f32| ((side * scale).round() as usize).clamp(1, BOX);
    let (width, height) = (size(width), size(height));
    let small = ImageOptions::new(height, width).color(ColorMode::Gray).fit(Fit::Stretch).planes(&figure).ok()?;

    let total: f32 = small.iter().map(|&shade| f32::from(shade)).sum();
    if total == 0.0 {
        return None;
    }
    let mass = |along: fn(usize, usize) -> usize| {
        let moment = |(i, &shade): (usize, &u8)| f32::from(shade) * (along(i, width) as f32 + 0.5);
        small.iter().enumerate().map(moment).sum::<f32>() / total
    };
    let place = |center: f32, size: usize| {
        let first = (SIDE as f32 / 2.0 - center).round().max(0.0) as usize;
        first.min(SIDE - size)
    };
    let (left, top) = (place(mass(|i, w| i % w), width), place(mass(|i, w| i / w), height));
    let mut field = vec![0.0; SIDE * SIDE];
    for (row, shades) in small.chunks_exact(width).enumerate() {
        let to = &mut field[(top + row) * SIDE + left..][..width];
        to.iter_mut().zip(shades).for_each(|(to, &shade)| *to = f32::from(shade) / 255.0);
    }
    Some(field)
}

/// Background 0, the strongest shade 255.
fn stretched(image: &Picture) -> Option<Picture> {
    let (width, height, shades) = (image.width(), image.height(), image.pixels());
    let border = (width.min(height) / 10).max(1);
    let inside = |x: usize, y: usize| {
        (border..width.saturating_sub(border)).contains(&x) && (border..height.saturating_sub(border)).contains(&y)
    };
    // Of the border, then of the middle.
    let (mut sums, mut counts) = ([0u64; 2], [0usize; 2]);
    for (i, &shade) in shades.iter().enumerate() {
        let part = usize::from(inside(i % width, i / width));
        sums[part] += u64::from(shade);
        counts[part] += 1;
    }
    if counts.contains(&0) {
        return None;
    }
    let [background, middle] = [0, 1].map(|part| (sums[part] as f64 / counts[part] as f64) as f32);
    let sign = if background > middle { -1.0 } else { 1.0 };
    let above = |shade: u8| (sign * (f32::from(shade) - background)).max(0.0);
    let strongest = shades.iter().map(|&shade| above(shade)).fold(0.0, f32::max);
    // A shade of 255 is the least that a file can tell apart.
    if strongest < 1.0 {
        return None;
    }
    let part = shades.iter().map(|&shade| above(shade) / strongest);
    let bytes = part.map(|part| if part < NOISE { 0 } else { (255.0 * part).round() as u8 });
    Picture::new(bytes.collect(), [height, width, 1]).ok()
}

/// The smallest part that holds all that is not background.
fn cropped(image: &Picture) -> Option<Picture> {
    let (width, shades) = (image.width(), image.pixels());
    let lit = || (0..shades.len()).filter(|&i| shades[i] > 0);
    let (left, right) = (lit().map(|i| i % width).min()?, lit().map(|i| i % width).max()?);
    let (top, bottom) = (lit().next()? / width, lit().next_back()? / width);
    let rows = shades.chunks_exact(width).take(bottom + 1).skip(top);
    let part = rows.flat_map(|row| &row[left..=right]).copied().collect();
    Picture::new(part, [bottom - top + 1, right - left + 1, 1]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture from signs: `#` is 255, `.` is 0.
    fn gray(rows: &[&str]) -> Picture {
        let shades = rows.iter().flat_map(|row| row.bytes()).map(|sign| if sign == b'#' { 255 } else { 0 });
        Picture::new(shades.collect(), [rows.len(), rows[0].len(), 1]).unwrap()
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
        let of = |shade: &dyn Fn(u8) -> u8| {
            let shades = light.pixels().iter().map(|&s| shade(s)).collect();
            centered(&Picture::new(shades, [light.height(), light.width(), 1]).unwrap()).unwrap()
        };
        let far = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(far(&of(&|s| 255 - s), &expected) < 1e-4, "dark on light");
        assert!(far(&of(&|s| 100 + s / 10), &expected) < 1e-4, "light on gray");
        // Larger ones are scaled down to the same figure.
        let times = |n: usize| {
            let wide = |row: &&str| row.chars().flat_map(|sign| vec![sign; n]).collect::<String>();
            let large: Vec<String> = rows.iter().flat_map(|row| std::iter::repeat_n(wide(row), n)).collect();
            centered(&gray(&large.iter().map(String::as_str).collect::<Vec<_>>())).unwrap()
        };
        assert!(far(&times(70), &times(35)) < 0.02, "{}", far(&times(70), &times(35)));
        let lit = |field: &[f32]| field.iter().filter(|&&shade| shade > 0.5).count();
        assert!(lit(&times(70)).abs_diff(lit(&expected)) < 10, "{} {}", lit(&times(70)), lit(&expected));
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
