//! What is drawn for one sample, and the map that it makes.

use super::draw::{Draw, below, between, block};
use super::warp::Affine;
use super::{Augmentation, Color, Mix, ResizedCrop, Shift};
use crate::Pass;
use kiln_math::Real;

/// A part of an image, in whole pixels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rectangle {
    /// First column.
    pub left: usize,
    /// First row.
    pub top: usize,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

/// The part of an image that becomes the whole, in pixels; it may reach beyond the edges.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct CropWindow {
    /// Columns that are left out at the left.
    pub left: f64,
    /// Rows that are left out at the top.
    pub top: f64,
    /// Columns that are seen.
    pub width: f64,
    /// Rows that are seen.
    pub height: f64,
}

/// What is done to one sample: the parameters that Keras's `get_random_transform` draws, by their meaning, and torchvision's.
#[derive(Clone, PartialEq, Debug)]
pub struct Transform {
    /// Degrees (Keras's `theta`).
    pub rotation: f64,
    /// Columns and rows (Keras's `tx`, `ty`).
    pub shift: [f64; 2],
    /// Degrees.
    pub shear: f64,
    /// Factors across and down (Keras's `zx`, `zy`).
    pub zoom: [f64; 2],
    /// Left for right.
    pub horizontal_flip: bool,
    /// Upside down.
    pub vertical_flip: bool,
    /// The part that is seen, before all of these.
    pub window: Option<CropWindow>,
    /// Changes of color, in this order.
    pub colors: Vec<Color>,
    /// What is set to 0 after normalization.
    pub erased: Vec<Rectangle>,
    /// How it is mixed with the sample before it in the batch.
    pub mix: Option<Mix>,
}

impl Default for Transform {
    fn default() -> Self {
        Transform {
            rotation: 0.0,
            shift: [0.0; 2],
            shear: 0.0,
            zoom: [1.0; 2],
            horizontal_flip: false,
            vertical_flip: false,
            window: None,
            colors: Vec::new(),
            erased: Vec::new(),
            mix: None,
        }
    }
}

impl Transform {
    /// Where each pixel of the result comes from in an image of this size. Keras's matrix: rotation · shift · shear · zoom about
    /// the center (size − 1) / 2; before it the flips, after it the window.
    pub fn map(&self, height: usize, width: usize) -> Affine {
        let (width, height) = (width as f64, height as f64);
        let center = [width / 2.0 - 0.5, height / 2.0 - 0.5];
        let translation = |x: f64, y: f64| Affine { x: [1.0, 0.0, x], y: [0.0, 1.0, y] };
        let sine_and_cosine = |degrees: f64| {
            let angle = degrees.to_radians();
            (Real::sin(angle), Real::cos(angle))
        };
        let (sin, cos) = sine_and_cosine(self.rotation);
        let rotation = Affine { x: [cos, -sin, 0.0], y: [sin, cos, 0.0] };
        let (sin, cos) = sine_and_cosine(self.shear);
        let shear = Affine { x: [1.0, -sin, 0.0], y: [0.0, cos, 0.0] };
        let zoom = Affine { x: [self.zoom[0], 0.0, 0.0], y: [0.0, self.zoom[1], 0.0] };
        let about = rotation.after(translation(self.shift[0], self.shift[1])).after(shear).after(zoom);
        let mut map = translation(center[0], center[1]).after(about).after(translation(-center[0], -center[1]));
        if let Some(window) = self.window {
            // Pixels' edges fall on edges: centers lie half a pixel inside.
            let along = |start: f64, part: f64| (part, start + part / 2.0 - 0.5);
            let (x, y) = (along(window.left, window.width / width), along(window.top, window.height / height));
            map = Affine { x: [x.0, 0.0, x.1], y: [0.0, y.0, y.1] }.after(map);
        }
        if self.horizontal_flip {
            map = map.after(Affine { x: [-1.0, 0.0, width - 1.0], ..Affine::IDENTITY });
        }
        if self.vertical_flip {
            map = map.after(Affine { y: [0.0, -1.0, height - 1.0], ..Affine::IDENTITY });
        }
        map
    }
}

/// Pixels of a shift, by a number in [0, 1).
fn pixels(shift: Shift, size: usize, unit: f64) -> f64 {
    match shift {
        Shift::Fraction(part) => between(-part, part, unit) * size as f64,
        Shift::Pixels(most) => between(-most, most, unit),
        Shift::WholePixels(most) => below(2 * most as usize + 1, unit) as f64 - f64::from(most),
    }
}

/// A rectangle of a random area and ratio within an image: torchvision's ten attempts, from this block on.
fn rectangle(
    draw: Draw,
    first: u64,
    area: (f64, f64),
    ratio: (f64, f64),
    fits: impl Fn(f64, f64) -> bool,
    size: (usize, usize),
) -> Option<Rectangle> {
    let (height, width) = size;
    (0..10).find_map(|attempt| {
        let [a, r, x, y] = draw.four(first + attempt);
        let area = between(area.0, area.1, a) * (height * width) as f64;
        let ratio = between(ratio.0.ln(), ratio.1.ln(), r).exp();
        let (w, h) = ((area * ratio).sqrt().round_ties_even(), (area / ratio).sqrt().round_ties_even());
        fits(w, h).then(|| {
            let (w, h) = (w as usize, h as usize);
            Rectangle { left: below(width - w + 1, x), top: below(height - h + 1, y), width: w, height: h }
        })
    })
}

impl ResizedCrop {
    fn draw(&self, draw: Draw, (height, width): (usize, usize)) -> Rectangle {
        let fits = |w: f64, h: f64| w >= 1.0 && h >= 1.0 && w <= width as f64 && h <= height as f64;
        rectangle(draw, block::RESIZED_CROP, self.area, self.ratio, fits, (height, width)).unwrap_or_else(|| {
            // torchvision's way out: the largest part in the middle whose ratio is allowed.
            let (w, h) = (width as f64, height as f64);
            let ratio = (w / h).clamp(self.ratio.0, self.ratio.1);
            let (w, h) =
                if w / h > ratio { ((h * ratio).round_ties_even(), h) } else { (w, (w / ratio).round_ties_even()) };
            let (w, h) = ((w as usize).clamp(1, width), (h as usize).clamp(1, height));
            Rectangle { left: (width - w) / 2, top: (height - h) / 2, width: w, height: h }
        })
    }
}

impl Augmentation {
    /// What is done to this sample in this pass, of images of this size: Keras's `get_random_transform`.
    pub fn draw(&self, pass: Pass, sample: usize, height: usize, width: usize) -> Transform {
        let draw = Draw::new(pass, sample);
        let [rotation, across, down, shear] = draw.four(block::AFFINE);
        let [zoom_x, zoom_y, left_right, upside_down] = draw.four(block::ZOOM_AND_FLIPS);
        let (low, high) = self.zoom.range();
        Transform {
            rotation: between(-self.rotation, self.rotation, rotation),
            shift: [pixels(self.width_shift, width, across), pixels(self.height_shift, height, down)],
            shear: between(-self.shear, self.shear, shear),
            zoom: [between(low, high, zoom_x), between(low, high, zoom_y)],
            horizontal_flip: self.horizontal_flip && left_right < 0.5,
            vertical_flip: self.vertical_flip && upside_down < 0.5,
            window: self.window(draw, (height, width)),
            colors: self.colors(draw),
            erased: self.erased(draw, (height, width)),
            mix: self.mix(draw, (height, width)),
        }
    }

    /// The part that a crop sees; a crop to size of a resized one where both are asked for.
    fn window(&self, draw: Draw, (height, width): (usize, usize)) -> Option<CropWindow> {
        if self.random_crop == 0 && self.resized_crop.is_none() {
            return None;
        }
        let whole = Rectangle { left: 0, top: 0, width, height };
        let part = self.resized_crop.map_or(whole, |crop| crop.draw(draw, (height, width)));
        let (scale_x, scale_y) = (part.width as f64 / width as f64, part.height as f64 / height as f64);
        let [x, y, ..] = draw.four(block::CROP_AND_SHADE);
        let offset = |unit| below(2 * self.random_crop + 1, unit) as f64 - self.random_crop as f64;
        Some(CropWindow {
            left: part.left as f64 + scale_x * offset(x),
            top: part.top as f64 + scale_y * offset(y),
            width: part.width as f64,
            height: part.height as f64,
        })
    }

    fn colors(&self, draw: Draw) -> Vec<Color> {
        let mut colors = Vec::new();
        let [_, _, shift, brightness] = draw.four(block::CROP_AND_SHADE);
        if self.channel_shift > 0.0 {
            colors.push(Color::Shift(between(-self.channel_shift, self.channel_shift, shift) as f32));
        }
        if let Some((low, high)) = self.brightness {
            colors.push(Color::Brightness(between(low, high, brightness) as f32));
        }
        let jitter = self.jitter;
        if [jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue] == [0.0; 4] {
            return colors;
        }
        let units = draw.four(block::JITTER);
        let factor = |range: f64, unit| between((1.0 - range).max(0.0), 1.0 + range, unit) as f32;
        let mut changes = [
            (jitter.brightness, Color::Brightness(factor(jitter.brightness, units[0]))),
            (jitter.contrast, Color::Contrast(factor(jitter.contrast, units[1]))),
            (jitter.saturation, Color::Saturation(factor(jitter.saturation, units[2]))),
            (jitter.hue, Color::Hue(between(-jitter.hue, jitter.hue, units[3]) as f32)),
        ];
        // One of the 24 orders.
        let mut order = below(24, draw.four(block::ORDER_AND_CUTOUT)[0]);
        for last in (1..4).rev() {
            changes.swap(last, order % (last + 1));
            order /= last + 1;
        }
        colors.extend(changes.iter().filter(|(range, _)| *range > 0.0).map(|(_, change)| *change));
        colors
    }

    fn erased(&self, draw: Draw, (height, width): (usize, usize)) -> Vec<Rectangle> {
        let mut erased = Vec::new();
        if let Some(size) = self.cutout {
            let [_, x, y, _] = draw.four(block::ORDER_AND_CUTOUT);
            let along = |length, unit| {
                let center = below(length, unit);
                (center.saturating_sub(size / 2), (center + size.div_ceil(2)).min(length))
            };
            let ((left, right), (top, bottom)) = (along(width, x), along(height, y));
            erased.push(Rectangle { left, top, width: right - left, height: bottom - top });
        }
        if let Some(erasing) = self.erasing
            && draw.four(block::ERASING)[0] < erasing.probability
        {
            let fits = |w: f64, h: f64| w < width as f64 && h < height as f64;
            // Its ratio is height over width.
            let ratio = (1.0 / erasing.ratio.1, 1.0 / erasing.ratio.0);
            erased.extend(rectangle(draw, block::ERASED, erasing.area, ratio, fits, (height, width)));
        }
        erased
    }

    fn mix(&self, draw: Draw, (height, width): (usize, usize)) -> Option<Mix> {
        let [which, x, y, _] = draw.four(block::MIX);
        let alpha = match (self.mixup, self.cutmix) {
            (None, None) => return None,
            (Some(alpha), None) => return Some(Mix::Blend(draw.beta(alpha))),
            (Some(alpha), Some(_)) if which < 0.5 => return Some(Mix::Blend(draw.beta(alpha))),
            (_, Some(alpha)) => alpha,
        };
        let side = 0.5 * (1.0 - draw.beta(alpha)).sqrt();
        let along = |length: usize, unit| {
            let (center, half) = (below(length, unit), (side * length as f64) as usize);
            (center.saturating_sub(half), (center + half).min(length))
        };
        let ((left, right), (top, bottom)) = (along(width, x), along(height, y));
        Some(Mix::Paste(Rectangle { left, top, width: right - left, height: bottom - top }))
    }
}
