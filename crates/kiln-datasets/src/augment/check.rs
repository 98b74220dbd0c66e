//! Settings that make no sense, a sentence each.

use super::settings::{ColorJitter, Erasing, ResizedCrop};
use super::{Augmentation, Augmented, Fill, Shift, Zoom};
use kiln_tensor::{Error, Result};

/// Why a value is refused; none where it is fine.
type Refusal = Option<&'static str>;

fn unless(fine: bool, why: &'static str) -> Refusal {
    (!fine).then_some(why)
}

/// A range about 0 is given by its end.
fn end(value: f64) -> Refusal {
    unless((0.0..f64::INFINITY).contains(&value), "a number of at least 0 is expected; it is drawn from −x to x")
}

/// A range is given by both.
fn ends((low, high): (f64, f64), least: f64, largest: f64, why: &'static str) -> Refusal {
    unless(low >= least && low <= high && high <= largest, why)
}

fn shift(shift: Shift) -> Refusal {
    match shift {
        Shift::Fraction(part) if part >= 1.0 && part.is_finite() => {
            Some("a part of the size below 1 is expected; pixels are Shift::Pixels, in words 4px")
        }
        Shift::Fraction(range) | Shift::Pixels(range) => end(range),
        Shift::WholePixels(_) => None,
    }
}

fn zoom(zoom: Zoom) -> Refusal {
    match zoom {
        Zoom::By(range) => unless(
            (0.0..1.0).contains(&range),
            "a number from 0 to below 1 is expected; it is drawn from 1 − x to 1 + x",
        ),
        Zoom::Between(low, high) => {
            ends((low, high), f64::MIN_POSITIVE, f64::MAX, "two factors above 0 are expected, the smaller one first")
        }
    }
}

impl Augmentation {
    /// Checks that every setting makes sense by itself; [`ImageDataset::augment`](crate::ImageDataset::augment) does so too.
    ///
    /// # Errors
    /// The first that does not, in a sentence.
    pub fn check(&self) -> Result<()> {
        let tiny = f64::MIN_POSITIVE;
        let part = "a part of the area is expected, from above 0 to 1, the smaller one first";
        let ratio = "two ratios above 0 are expected, the smaller one first";
        let ColorJitter { brightness, contrast, saturation, hue } = self.jitter;
        let color = |range| {
            unless(
                (0.0..f64::INFINITY).contains(&range),
                "a number of at least 0 is expected; it is drawn from 1 − x to 1 + x",
            )
        };
        let alpha =
            |alpha: f64| unless((tiny..f64::INFINITY).contains(&alpha), "a number above 0 is expected, for Beta(α, α)");
        let crop = self.resized_crop.unwrap_or_default();
        let ResizedCrop { area, ratio: shape } = crop;
        let Erasing { probability, area: erased, ratio: erased_shape } = self.erasing.unwrap_or_default();
        let pair = |(low, high): (f64, f64)| format!("{low} to {high}");
        let checks = [
            ("rotation", self.rotation.to_string(), end(self.rotation)),
            ("width_shift", self.width_shift.to_string(), shift(self.width_shift)),
            ("height_shift", self.height_shift.to_string(), shift(self.height_shift)),
            (
                "shear",
                self.shear.to_string(),
                unless((0.0..90.0).contains(&self.shear), "degrees from 0 to below 90 are expected"),
            ),
            ("zoom", self.zoom.to_string(), zoom(self.zoom)),
            ("channel_shift", self.channel_shift.to_string(), end(self.channel_shift)),
            (
                "brightness",
                pair(self.brightness.unwrap_or_default()),
                self.brightness.and_then(|range| {
                    ends(range, 0.0, f64::MAX, "two factors of at least 0 are expected, the smaller one first")
                }),
            ),
            ("random_resized_crop, area", pair(area), ends(area, tiny, 1.0, part)),
            ("random_resized_crop, ratio", pair(shape), ends(shape, tiny, f64::MAX, ratio)),
            ("color_jitter, brightness", brightness.to_string(), color(brightness)),
            ("color_jitter, contrast", contrast.to_string(), color(contrast)),
            ("color_jitter, saturation", saturation.to_string(), color(saturation)),
            (
                "color_jitter, hue",
                hue.to_string(),
                unless((0.0..=0.5).contains(&hue), "a number from 0 to 0.5 is expected, a part of the color circle"),
            ),
            ("cutout", "0".into(), unless(self.cutout != Some(0), "a square of at least 1 pixel is expected")),
            (
                "random_erasing, probability",
                probability.to_string(),
                unless((0.0..=1.0).contains(&probability), "a probability from 0 to 1 is expected"),
            ),
            ("random_erasing, area", pair(erased), ends(erased, tiny, 1.0, part)),
            ("random_erasing, ratio", pair(erased_shape), ends(erased_shape, tiny, f64::MAX, ratio)),
            ("mixup", self.mixup.unwrap_or(1.0).to_string(), alpha(self.mixup.unwrap_or(1.0))),
            ("cutmix", self.cutmix.unwrap_or(1.0).to_string(), alpha(self.cutmix.unwrap_or(1.0))),
            (
                "fill",
                format!("{:?}", self.filled_with()),
                unless(
                    !matches!(self.fill, Some(Fill::Constant(value)) if !value.is_finite()),
                    "a finite value is expected, of a byte's scale",
                ),
            ),
        ];
        match checks.into_iter().find_map(|(name, value, refusal)| Some((name, value, refusal?))) {
            Some((name, value, why)) => Err(Error::value("Augmentation", format!("{name} {value}: {why}"))),
            None => Ok(()),
        }
    }

    /// The same for images of this shape, if they can be augmented so.
    pub(crate) fn of_images(self, shape: &[usize]) -> Result<Augmented> {
        self.check()?;
        let refused = |why: String| Err(Error::value("Augmentation", format!("{why}, these are {shape:?}")));
        let (channels, height, width) = match *shape {
            [height, width] if height * width > 0 => (1, height, width),
            [channels, height, width] if channels * height * width > 0 => (channels, height, width),
            _ => return refused("images of (height, width) or (channels, height, width) are expected".to_owned()),
        };
        let shortest = height.min(width);
        if self.random_crop >= shortest {
            let padding = self.random_crop;
            return refused(format!("random_crop with a padding of {padding}: images that are larger are expected"));
        }
        if let Some(size) = self.cutout.filter(|&size| size > shortest) {
            return refused(format!("cutout of {size} × {size}: images of at least that size are expected"));
        }
        let ColorJitter { contrast, saturation, hue, .. } = self.jitter;
        if contrast.max(saturation).max(hue) > 0.0 && ![1, 3].contains(&channels) {
            return refused("color_jitter: images of one channel or of red, green and blue are expected".to_owned());
        }
        Ok(Augmented { augmentation: self, channels, height, width })
    }
}
