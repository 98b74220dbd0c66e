//! Augmentations by words, as on a command line: `rotation=20,shift=0.2,flip`.

use super::{Augmentation, ColorJitter, Erasing, Fill, ResizedCrop, Shift, Zoom};
use kiln_tensor::{Error, Result, nearest};
use std::str::FromStr;

/// A word of an augmentation.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Word {
    /// How it is written: `rotation=DEGREES`.
    pub form: &'static str,
    /// What it does.
    pub about: &'static str,
    set: Set,
}

impl Word {
    /// What stands before the `=`.
    pub fn name(&self) -> &'static str {
        self.form.split(['=', '[']).next().unwrap_or(self.form)
    }
}

/// Adds a word's transform, by the text behind its `=`; none where that is not as it should be.
type Set = fn(Augmentation, Option<&str>) -> Option<Augmentation>;

macro_rules! words {
    ($($form:literal, $about:literal, $set:expr;)*) => { &[$(Word { form: $form, about: $about, set: $set }),*] };
}

/// The words that [`Augmentation`]'s `FromStr` knows, in the order in which the transforms are done.
pub const AUGMENTATIONS: &[Word] = words! {
    "keras", "rotation=20,shift=0.2,shear=0.2,zoom=0.2,flip: the usual listing of Keras's ImageDataGenerator",
        |to, value| plain(value, to.rotation(20.0).width_shift(0.2).height_shift(0.2).shear(0.2).zoom(0.2).horizontal_flip());
    "pytorch", "crop=4,flip: what is usual for CIFAR with PyTorch", |to, value| plain(value, to.random_crop(4).horizontal_flip());
    "crop=PIXELS", "padded by so many pixels and cut to size anywhere", |to, value| Some(to.random_crop(number(value)?));
    "resized-crop[=FROM:TO]", "a part of 0.08 to 1 of the area, or of these, in the whole size", |to, value| {
        let usual = ResizedCrop::default();
        Some(to.random_resized_crop(ResizedCrop { area: if value.is_some() { pair(value)? } else { usual.area }, ..usual }))
    };
    "rotation=DEGREES", "turned by at most so much, either way", |to, value| Some(to.rotation(number(value)?));
    "shift=PART", "moved by at most this part of its size, or by whole pixels as in shift=4px",
        |to, value| Some(to.width_shift(shift(value)?).height_shift(shift(value)?));
    "width-shift=PART", "the same, sideways only", |to, value| Some(to.width_shift(shift(value)?));
    "height-shift=PART", "the same, up and down only", |to, value| Some(to.height_shift(shift(value)?));
    "shear=DEGREES", "sheared by at most so much", |to, value| Some(to.shear(number(value)?));
    "zoom=RANGE", "width and height zoomed: 0.2 is 0.8 to 1.2, or 0.8:1.5",
        |to, value| Some(to.zoom(number(value).map(Zoom::By).or_else(|| pair(value).map(Zoom::from))?));
    "flip", "left for right, half of the time", |to, value| plain(value, to.horizontal_flip());
    "vertical-flip", "upside down, half of the time", |to, value| plain(value, to.vertical_flip());
    "fill=WHAT", "what lies beyond the edges: nearest, reflect, wrap, black, or a shade from 0 to 255", |to, value| {
        Some(to.fill(match value? {
            "nearest" => Fill::Nearest,
            "reflect" => Fill::Reflect,
            "wrap" => Fill::Wrap,
            "black" => Fill::Constant(0.0),
            _ => Fill::Constant(number(value).filter(|shade| (0.0..=255.0).contains(shade))?),
        }))
    };
    "channel-shift=SHADES", "all channels brighter or darker by at most so many of 255", |to, value| Some(to.channel_shift(number(value)?));
    "brightness=FROM:TO", "every value times a factor between these", |to, value| {
        let (low, high) = pair(value)?;
        Some(to.brightness(low, high))
    };
    "jitter=RANGE", "brightness, contrast and saturation changed: 0.4 is 0.6 to 1.4 times", |to, value| {
        let range = number(value)?;
        let jitter = ColorJitter { brightness: range, contrast: range, saturation: range, ..to.jitter };
        Some(to.color_jitter(jitter))
    };
    "hue=PART", "colors turned by at most this part of their circle", |to, value| {
        let jitter = ColorJitter { hue: number(value)?, ..to.jitter };
        Some(to.color_jitter(jitter))
    };
    "cutout=PIXELS", "a square of this size erased", |to, value| Some(to.cutout(number(value)?));
    "erasing[=PROBABILITY]", "a random rectangle erased, half of the time or so often", |to, value| {
        let usual = Erasing::default();
        let probability = if value.is_some() { number(value)? } else { usual.probability };
        Some(to.random_erasing(Erasing { probability, ..usual }))
    };
    "mixup=ALPHA", "mixed with another image of the batch by a part from Beta(α, α)", |to, value| Some(to.mixup(number(value)?));
    "cutmix=ALPHA", "a rectangle from another image of the batch, of a size from Beta(α, α)", |to, value| Some(to.cutmix(number(value)?));
};

/// A word that has no value.
fn plain(value: Option<&str>, then: Augmentation) -> Option<Augmentation> {
    value.is_none().then_some(then)
}

fn number<T: FromStr>(value: Option<&str>) -> Option<T> {
    value?.parse().ok()
}

fn pair(value: Option<&str>) -> Option<(f64, f64)> {
    let (low, high) = value?.split_once(':')?;
    Some((low.parse().ok()?, high.parse().ok()?))
}

fn shift(value: Option<&str>) -> Option<Shift> {
    match value?.strip_suffix("px") {
        Some(pixels) => pixels.parse().ok().map(Shift::WholePixels),
        None => number(value).map(Shift::Fraction),
    }
}

impl FromStr for Augmentation {
    type Err = Error;

    /// Words with commas between them, see [`AUGMENTATIONS`]; `none` is none.
    ///
    /// ```
    /// # use kiln_datasets::Augmentation;
    /// let words: Augmentation = "rotation=20,zoom=0.8:1.2,flip".parse()?;
    /// assert_eq!(words, Augmentation::new().rotation(20.0).zoom((0.8, 1.2)).horizontal_flip());
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    fn from_str(text: &str) -> Result<Augmentation> {
        let mut augmentation = Augmentation::new();
        if text.trim() == "none" {
            return Ok(augmentation);
        }
        for part in text.split(',').map(str::trim) {
            let (name, value) = part.split_once('=').map_or((part, None), |(name, value)| (name, Some(value)));
            let Some(word) = AUGMENTATIONS.iter().find(|word| word.name() == name) else {
                return Err(unknown(name));
            };
            augmentation = (word.set)(augmentation, value)
                .ok_or_else(|| Error::value("", format!("'{part}': {} is expected: {}", word.form, word.about)))?;
        }
        augmentation.check()?;
        Ok(augmentation)
    }
}

/// The error of a word that there is not.
fn unknown(name: &str) -> Error {
    let hint = match nearest(name, AUGMENTATIONS.iter().map(Word::name)) {
        Some(word) => format!("a similar one is '{word}'"),
        _ => format!("there are {}", AUGMENTATIONS.iter().map(Word::name).collect::<Vec<_>>().join(", ")),
    };
    Error::value("", format!("'{name}' is not an augmentation: {hint}"))
}
