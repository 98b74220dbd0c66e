//! A picture as MNIST would show it: light on black, fitted into 20 × 20, its center of mass in the middle of 28 × 28.

use super::fit::Fit;
use super::options::{ColorMode, ImageOptions};
use super::picture::Picture;
use kiln_tensor::{Error, Result};

/// Pixels of a side, and of the box that a figure is fitted into (LeCun et al. 1998).
const SIDE: usize = 28;
const BOX: usize = 20;

/// What is less above the background than this part of the strongest shade is background: paper and JPEG are not even.
const NOISE: f32 = 0.1;

impl Picture {
    /// The picture of one figure as MNIST would show it: 28 × 28 pixels from 0 to 1, row by row, the figure light on black.
    ///
    /// The background's shade is the mean of the border, a tenth of the shorter side. Where that is lighter than the rest, the
    /// picture is inverted. Then the background becomes 0 and the strongest shade 1; the figure is cut out, scaled so that its
    /// longer side is 20, and moved by whole pixels until its center of mass is in the middle, or as near as the figure stays
    /// inside.
    ///
    /// # Errors
    /// A picture of one shade, or one that is all border.
    pub fn to_digit(&self) -> Result<Vec<f32>> {
        centered(&self.to_gray()).ok_or_else(|| {
            Error::value("", "a figure on a background is expected, not an image of one shade or without an inside")
        })
    }
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
