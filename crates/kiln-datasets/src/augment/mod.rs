//! Augmentation: what is done at random to an image each time training sees it.

mod apply;
mod batch;
mod check;
mod color;
mod draw;
mod mix;
mod sample;
mod settings;
mod warp;
mod words;

pub use color::Color;
pub use mix::Mix;
pub use sample::{CropWindow, Rectangle, Transform};
pub use settings::{ColorJitter, Erasing, ResizedCrop, Shift, Zoom};
pub use warp::{Affine, Fill, Planes};
pub use words::{AUGMENTATIONS, Word};

pub(crate) use batch::Augmented;
pub(crate) use mix::shares;

/// What is to be done at random to images in training: the transforms of Keras's `ImageDataGenerator` and the usual ones of
/// torchvision, each left out unless it is asked for.
///
/// ```
/// use kiln_datasets::{Augmentation, ImageDataset};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// # let images = ImageDataset::new(vec![7; 2 * 3 * 32 * 32], vec![0, 1], &[3, 32, 32], 10)?;
/// // Keras's: at most 20 degrees, a fifth of the size, 0.2 degrees (Keras counts shear in degrees), 0.8 to 1.2 times.
/// let keras = Augmentation::new().rotation(20.0).width_shift(0.2).height_shift(0.2).shear(0.2).zoom(0.2).horizontal_flip();
/// // PyTorch's: padded by 4 pixels and cut to size again, and flipped.
/// let pytorch = Augmentation::new().random_crop(4).horizontal_flip();
/// let images = images.augment(keras)?;
/// # let _ = pytorch;
/// # Ok(())
/// # }
/// ```
///
/// The order of the calls is of no account. An image is
/// 1. warped, once: crop, rotation, shift, shear, zoom and flips make one affine map, and each pixel is sampled from the
///    original between its four neighbors;
/// 2. recolored: channel shift, brightness, color jitter;
/// 3. normalized, as its data set says, which is done to test images too (Keras's `rescale` and its featurewise and samplewise
///    settings: [`ImageDataset::normalized`](crate::ImageDataset::normalized),
///    [`normalized_channels`](crate::ImageDataset::normalized_channels), [`standardized`](crate::ImageDataset::standardized));
/// 4. partly erased: cutout, random erasing;
/// 5. mixed with the image before it in the batch: mixup, CutMix.
///
/// What is drawn for a sample depends on the seed, the epoch and the sample's index alone: not on the batch, the order, or the
/// number of threads and workers. Each transform has random numbers of its own: adding one leaves the others as they were.
///
/// | Keras | here |
/// |---|---|
/// | `rotation_range=20` | `rotation(20.0)` |
/// | `width_shift_range=0.2`, `=4.0`, `=[…]` | `width_shift(0.2)`, `width_shift(Shift::Pixels(4.0))`, none |
/// | `width_shift_range=5` (an int: −4 to 4) | `width_shift(Shift::WholePixels(4))` |
/// | `shear_range=0.2` (degrees) | `shear(0.2)` |
/// | `zoom_range=0.2`, `=[0.8, 1.5]` | `zoom(0.2)`, `zoom((0.8, 1.5))` |
/// | `horizontal_flip`, `vertical_flip` | the same |
/// | `channel_shift_range=30.0` | `channel_shift(30.0)` |
/// | `brightness_range=(0.8, 1.2)` | `brightness(0.8, 1.2)` |
/// | `fill_mode="constant", cval=0` | `fill(Fill::Constant(0.0))` |
/// | `rescale`, featurewise, samplewise | methods of `ImageDataset` |
///
/// Keras is not followed where it errs: its generator moves columns by `height_shift_range` and rows by `width_shift_range`, and
/// turns an image that is not square about another point than its center. Nor does brightness round to bytes here.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Augmentation {
    pub(crate) rotation: f64,
    pub(crate) width_shift: Shift,
    pub(crate) height_shift: Shift,
    pub(crate) shear: f64,
    pub(crate) zoom: Zoom,
    pub(crate) horizontal_flip: bool,
    pub(crate) vertical_flip: bool,
    pub(crate) random_crop: usize,
    pub(crate) resized_crop: Option<ResizedCrop>,
    pub(crate) fill: Option<Fill>,
    pub(crate) channel_shift: f64,
    pub(crate) brightness: Option<(f64, f64)>,
    pub(crate) jitter: ColorJitter,
    pub(crate) cutout: Option<usize>,
    pub(crate) erasing: Option<Erasing>,
    pub(crate) mixup: Option<f64>,
    pub(crate) cutmix: Option<f64>,
}

impl Augmentation {
    /// Nothing yet.
    pub fn new() -> Self {
        Augmentation::default()
    }

    /// Turned about its center by an angle of −`degrees` to `degrees`.
    #[must_use]
    pub fn rotation(self, degrees: f64) -> Self {
        Augmentation { rotation: degrees, ..self }
    }

    /// Moved sideways, by at most this part of the width (0.2) or so many [pixels](Shift).
    #[must_use]
    pub fn width_shift(self, shift: impl Into<Shift>) -> Self {
        Augmentation { width_shift: shift.into(), ..self }
    }

    /// Moved up or down, by at most this part of the height (0.2) or so many [pixels](Shift).
    #[must_use]
    pub fn height_shift(self, shift: impl Into<Shift>) -> Self {
        Augmentation { height_shift: shift.into(), ..self }
    }

    /// Sheared by an angle of −`degrees` to `degrees`. Degrees, as in Keras: 0.2 is next to nothing.
    #[must_use]
    pub fn shear(self, degrees: f64) -> Self {
        Augmentation { shear: degrees, ..self }
    }

    /// Width and height zoomed, each by a factor of its own: 0.2 draws it from 0.8 to 1.2, a pair from its first to its second.
    /// As in Keras the factor is that of the part which is seen: below 1 things become larger.
    #[must_use]
    pub fn zoom(self, zoom: impl Into<Zoom>) -> Self {
        Augmentation { zoom: zoom.into(), ..self }
    }

    /// Left for right, half of the time.
    #[must_use]
    pub fn horizontal_flip(self) -> Self {
        Augmentation { horizontal_flip: true, ..self }
    }

    /// Upside down, half of the time.
    #[must_use]
    pub fn vertical_flip(self) -> Self {
        Augmentation { vertical_flip: true, ..self }
    }

    /// Padded by so many pixels on each side, and a window of the image's own size cut out anywhere: torchvision's
    /// `RandomCrop(size, padding)`. What is padded with is [`fill`](Augmentation::fill)'s, by default black, as there.
    #[must_use]
    pub fn random_crop(self, padding: usize) -> Self {
        Augmentation { random_crop: padding, ..self }
    }

    /// A part of the image in its whole size, torchvision's `RandomResizedCrop`: `ResizedCrop::default()` has 0.08 to 1 of the
    /// area and is 3:4 to 4:3 wide.
    #[must_use]
    pub fn random_resized_crop(self, crop: ResizedCrop) -> Self {
        Augmentation { resized_crop: Some(crop), ..self }
    }

    /// What lies beyond the image's edges. By default [`Fill::Nearest`], as in Keras, or where
    /// [`random_crop`](Augmentation::random_crop) is asked for black.
    #[must_use]
    pub fn fill(self, fill: Fill) -> Self {
        Augmentation { fill: Some(fill), ..self }
    }

    /// All channels made brighter or darker by the same value of −`range` to `range`, of the scale of bytes, within the least and
    /// the largest value of the image.
    #[must_use]
    pub fn channel_shift(self, range: f64) -> Self {
        Augmentation { channel_shift: range, ..self }
    }

    /// Every value times a factor from `low` to `high`, within 0 to 255.
    #[must_use]
    pub fn brightness(self, low: f64, high: f64) -> Self {
        Augmentation { brightness: Some((low, high)), ..self }
    }

    /// Brightness, contrast, saturation and hue, in random order: torchvision's `ColorJitter`.
    #[must_use]
    pub fn color_jitter(self, jitter: ColorJitter) -> Self {
        Augmentation { jitter, ..self }
    }

    /// A square of this size about a random pixel is set to 0 after normalization, as far as it lies within the image (DeVries
    /// and Taylor 2017).
    #[must_use]
    pub fn cutout(self, size: usize) -> Self {
        Augmentation { cutout: Some(size), ..self }
    }

    /// A random rectangle is set to 0 after normalization, now and then: torchvision's `RandomErasing`, whose settings are
    /// `Erasing::default()` (Zhong et al. 2017).
    #[must_use]
    pub fn random_erasing(self, erasing: Erasing) -> Self {
        Augmentation { erasing: Some(erasing), ..self }
    }

    /// λ of the image and 1 − λ of the one before it in the batch, their targets likewise; λ is drawn for each sample from
    /// Beta(α, α) (Zhang et al. 2017). Targets become rows (n, classes) of floats: use
    /// `CategoricalCrossentropy`, and [`ImageDataset::one_hot`](crate::ImageDataset::one_hot) for the test data.
    ///
    /// With [`cutmix`](Augmentation::cutmix) too, each sample gets one of the two.
    #[must_use]
    pub fn mixup(self, alpha: f64) -> Self {
        Augmentation { mixup: Some(alpha), ..self }
    }

    /// A rectangle of 1 − λ of the area from the image before it in the batch, at the same place; λ is drawn for each sample from
    /// Beta(α, α) (Yun et al. 2019). Targets as with [`mixup`](Augmentation::mixup), by the area that is seen.
    #[must_use]
    pub fn cutmix(self, alpha: f64) -> Self {
        Augmentation { cutmix: Some(alpha), ..self }
    }

    /// What lies beyond the edges, chosen or by default.
    pub(crate) fn filled_with(&self) -> Fill {
        self.fill.unwrap_or(if self.random_crop > 0 { Fill::Constant(0.0) } else { Fill::Nearest })
    }

    /// Whether targets become rows.
    pub(crate) fn mixes(&self) -> bool {
        self.mixup.is_some() || self.cutmix.is_some()
    }
}
