//! Changes of color, in place on planes of the scale of bytes. One addition or product after the other, so that the bits
//! are the same on every machine.

use crate::normalize::mean;

/// A change of color. Values stay within 0 to 255.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Color {
    /// x + s, within the image's least and largest value: Keras's `apply_channel_shift`.
    Shift(f32),
    /// f·x. Keras's `apply_brightness_shift`, but for its rounding down to bytes, and torchvision's `adjust_brightness`.
    Brightness(f32),
    /// f·x + (1 − f)·m with m the mean of the shades of gray: torchvision's `adjust_contrast`.
    Contrast(f32),
    /// f·x + (1 − f)·g with g the pixel's shade of gray: torchvision's `adjust_saturation`. Nothing where there is one channel.
    Saturation(f32),
    /// So far round the color circle, −½ to ½: torchvision's `adjust_hue`. Nothing where there is one channel.
    Hue(f32),
}

impl Color {
    /// Changes an image of one channel or of red, green and blue, each `size` pixels; the first two any number of channels.
    pub(super) fn apply(self, image: &mut [f32], size: usize) {
        match self {
            Color::Shift(by) => {
                let least = image.iter().fold(f32::INFINITY, |least, &x| if x < least { x } else { least });
                let largest = image.iter().fold(f32::NEG_INFINITY, |largest, &x| if x > largest { x } else { largest });
                image.iter_mut().for_each(|x| *x = clamp(*x + by, least, largest));
            }
            Color::Brightness(factor) => image.iter_mut().for_each(|x| *x = byte(*x * factor)),
            Color::Contrast(factor) => {
                let mean = match rgb(image, size) {
                    Some([red, green, blue]) => mean(size, |i| gray(red[i], green[i], blue[i])),
                    None => mean(image.len(), |i| image[i]),
                };
                let rest = (1.0 - factor) * mean as f32;
                image.iter_mut().for_each(|x| *x = byte(factor * *x + rest));
            }
            Color::Saturation(factor) => each(image, size, |[r, g, b]| {
                let rest = (1.0 - factor) * gray(r, g, b);
                [r, g, b].map(|x| byte(factor * x + rest))
            }),
            Color::Hue(turn) => {
                each(image, size, |pixel| turned(pixel.map(|x| x * (1.0 / 255.0)), turn).map(|x| x * 255.0))
            }
        }
    }
}

fn clamp(x: f32, low: f32, high: f32) -> f32 {
    let x = if x < low { low } else { x };
    if x > high { high } else { x }
}

fn byte(x: f32) -> f32 {
    clamp(x, 0.0, 255.0)
}

/// torchvision's shade of gray.
fn gray(red: f32, green: f32, blue: f32) -> f32 {
    0.2989 * red + 0.587 * green + 0.114 * blue
}

fn rgb(image: &mut [f32], size: usize) -> Option<[&mut [f32]; 3]> {
    let (red, rest) = image.split_at_mut_checked(size)?;
    let (green, blue) = rest.split_at_mut_checked(size)?;
    (blue.len() == size).then_some([red, green, blue])
}

/// Every pixel of an image of red, green and blue by itself.
fn each(image: &mut [f32], size: usize, f: impl Fn([f32; 3]) -> [f32; 3]) {
    let Some([red, green, blue]) = rgb(image, size) else { return };
    for ((r, g), b) in red.iter_mut().zip(green).zip(blue) {
        [*r, *g, *b] = f([*r, *g, *b]);
    }
}

/// A color of [0, 1] with its hue turned: to hue, saturation and value, and back.
fn turned([r, g, b]: [f32; 3], turn: f32) -> [f32; 3] {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let smaller = |a: f32, b: f32| if b < a { b } else { a };
    let (most, least) = (larger(larger(r, g), b), smaller(smaller(r, g), b));
    let chroma = most - least;
    if chroma == 0.0 {
        return [r, g, b];
    }
    let [from_r, from_g, from_b] = [r, g, b].map(|x| (most - x) / chroma);
    let sixth = if most == r {
        from_b - from_g
    } else if most == g {
        2.0 + from_r - from_b
    } else {
        4.0 + from_g - from_r
    };
    let around = |x: f32| {
        if x < 0.0 {
            x + 1.0
        } else if x >= 1.0 {
            x - 1.0
        } else {
            x
        }
    };
    let hue = around(around(sixth / 6.0) + turn) * 6.0;
    let saturation = chroma / most;
    // A hue just below 0 may have been rounded to a whole turn.
    let sector = hue as i32;
    let f = hue - sector as f32;
    let p = most * (1.0 - saturation);
    let q = most * (1.0 - saturation * f);
    let t = most * (1.0 - saturation * (1.0 - f));
    match sector % 6 {
        0 => [most, t, p],
        1 => [q, most, p],
        2 => [p, most, t],
        3 => [p, q, most],
        4 => [t, p, most],
        _ => [most, p, q],
    }
}
