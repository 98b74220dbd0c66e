//! What transforms are given.

use std::fmt;

/// How far an image may be moved. A number becomes [`Shift::Fraction`].
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Shift {
    /// By −x to x of its width or height, x below 1: Keras's floats below 1.
    Fraction(f64),
    /// By −x to x pixels: Keras's floats from 1 on.
    Pixels(f64),
    /// By a whole number of pixels from −n to n, each as likely: nothing is blurred by it. Keras's integer n + 1, which has 0
    /// twice as often.
    WholePixels(u32),
}

impl Default for Shift {
    fn default() -> Self {
        Shift::Fraction(0.0)
    }
}

impl fmt::Display for Shift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shift::Fraction(part) => write!(f, "{part}"),
            Shift::Pixels(most) => write!(f, "{most} pixels"),
            Shift::WholePixels(most) => write!(f, "{most}px"),
        }
    }
}

impl From<f64> for Shift {
    fn from(fraction: f64) -> Self {
        Shift::Fraction(fraction)
    }
}

/// How much an image may be zoomed. A number becomes [`Zoom::By`], a pair [`Zoom::Between`].
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Zoom {
    /// By 1 − x to 1 + x.
    By(f64),
    /// By a factor between these.
    Between(f64, f64),
}

impl Default for Zoom {
    fn default() -> Self {
        Zoom::By(0.0)
    }
}

impl fmt::Display for Zoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Zoom::By(range) => write!(f, "{range}"),
            Zoom::Between(low, high) => write!(f, "{low} to {high}"),
        }
    }
}

impl From<f64> for Zoom {
    fn from(range: f64) -> Self {
        Zoom::By(range)
    }
}

impl From<(f64, f64)> for Zoom {
    fn from((low, high): (f64, f64)) -> Self {
        Zoom::Between(low, high)
    }
}

impl Zoom {
    /// The least and the largest factor.
    pub(crate) fn range(self) -> (f64, f64) {
        match self {
            Zoom::By(range) => (1.0 - range, 1.0 + range),
            Zoom::Between(low, high) => (low, high),
        }
    }
}

/// Which part of an image [`random_resized_crop`](super::Augmentation::random_resized_crop) takes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ResizedCrop {
    /// The part of the area, from and to.
    pub area: (f64, f64),
    /// Width over height, from and to.
    pub ratio: (f64, f64),
}

impl Default for ResizedCrop {
    fn default() -> Self {
        ResizedCrop { area: (0.08, 1.0), ratio: (3.0 / 4.0, 4.0 / 3.0) }
    }
}

/// How often, and what, [`random_erasing`](super::Augmentation::random_erasing) erases.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Erasing {
    /// The part of the images in which something is erased.
    pub probability: f64,
    /// The part of the area, from and to.
    pub area: (f64, f64),
    /// Height over width, from and to.
    pub ratio: (f64, f64),
}

impl Default for Erasing {
    fn default() -> Self {
        Erasing { probability: 0.5, area: (0.02, 0.33), ratio: (0.3, 3.3) }
    }
}

/// How much [`color_jitter`](super::Augmentation::color_jitter) changes; 0 leaves a thing alone.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct ColorJitter {
    /// A factor of 1 − x (at least 0) to 1 + x.
    pub brightness: f64,
    /// A factor of 1 − x (at least 0) to 1 + x.
    pub contrast: f64,
    /// A factor of 1 − x (at least 0) to 1 + x.
    pub saturation: f64,
    /// A part of the color circle, −x to x, at most a half.
    pub hue: f64,
}
