//! Folders as Hugging Face's hub has them.

use super::{Input, MODEL, Trained};
#[cfg(feature = "images")]
use crate::datasets::{Fit, ImageOptions};
use crate::datasets::{TextInputs, Tokenizer};
use crate::nn::Init;
use crate::nn::models::hub::{Architecture, CONFIG, Config};
use crate::tensor::Device;
use crate::{Error, ErrorKind, Result};
#[cfg(feature = "images")]
use serde::Deserialize;
use std::path::Path;

/// The files of a tokenizer, of which there is one or the other.
const TOKENIZER: [&str; 3] = ["tokenizer.json", "vocab.json", "vocab.txt"];
/// The file that says how images are prepared.
#[cfg(feature = "images")]
const PREPROCESSOR: &str = "preprocessor_config.json";

/// Whether a folder is of the hub's form. A folder that Kiln wrote has a model.json.
pub(super) fn is_hub(folder: &Path) -> bool {
    folder.join(CONFIG).is_file() && !folder.join(MODEL).is_file()
}

/// The model of such a folder, with what its other files say of inputs and classes.
pub(super) fn load(folder: &Path, device: &Device) -> Result<Trained> {
    let config = Config::read(folder)?;
    let mut model = config.build(&mut Init::new(0, device).placeholders())?;
    config.load_weights(&mut model, folder, true)?;
    let goes_on = matches!(config.architecture, Architecture::Gpt2(_) | Architecture::Llama(_));
    let classifies = matches!(config.architecture, Architecture::Bert(_)) && !config.classes.is_empty();
    // A text's shape is that of the longest one.
    let longest = config.input()?.elements();
    // Logits of the next token, or of classes.
    let logits = goes_on || !config.classes.is_empty();
    let mut trained = Trained::new(model).classes(config.classes).logits(logits);
    if goes_on || classifies {
        match tokenizer(folder) {
            Ok(tokenizer) if goes_on => trained.input = Some(Input::Tokens(tokenizer)),
            Ok(tokenizer) => {
                trained.input = Some(Input::WholeText(TextInputs::new(tokenizer).max_length(longest)));
            }
            // The model is of use without it, for tokens.
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                trained.notes.insert("tokenizer".to_owned(), error.message().into());
            }
            Err(error) => return Err(error),
        }
    }
    #[cfg(feature = "images")]
    if let (Architecture::Vit(_), file) = (config.architecture, folder.join(PREPROCESSOR))
        && file.is_file()
    {
        trained.input = Some(images(&file)?);
    }
    Ok(trained)
}

/// The tokenizer of a folder.
fn tokenizer(folder: &Path) -> Result<Tokenizer> {
    if TOKENIZER.iter().any(|file| folder.join(file).is_file()) {
        return Tokenizer::load(folder);
    }
    let message =
        format!("this folder has no tokenizer, by which text becomes tokens: it is in {}", TOKENIZER.join(", "));
    Err(Error::new(ErrorKind::Unsupported, "load", message))
}

/// What a preprocessor_config.json says: sizes, and means and deviations of the channels.
#[cfg(feature = "images")]
#[derive(Deserialize)]
#[serde(default)]
struct Preprocessor {
    size: Size,
    crop_size: Size,
    do_center_crop: Option<bool>,
    do_rescale: Option<bool>,
    do_normalize: Option<bool>,
    image_mean: [f64; 3],
    image_std: [f64; 3],
}

#[cfg(feature = "images")]
impl Default for Preprocessor {
    fn default() -> Self {
        let (size, half) = (Size::Side(224), [0.5; 3]);
        Preprocessor {
            size,
            crop_size: size,
            do_center_crop: None,
            do_rescale: None,
            do_normalize: None,
            image_mean: half,
            image_std: half,
        }
    }
}

/// The side of a square, or both sides.
#[cfg(feature = "images")]
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Size {
    Side(usize),
    Sides { height: usize, width: usize },
}

#[cfg(feature = "images")]
fn images(path: &Path) -> Result<Input> {
    let wrong = |why: String| Error::new(ErrorKind::Format, "load", format!("{}: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    let read: Preprocessor = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    if read.do_rescale == Some(false) {
        return Err(wrong("`do_rescale` is false: values are known as bytes / 255 alone".to_owned()));
    }
    let cropped = read.do_center_crop == Some(true);
    let (height, width) = match if cropped { read.crop_size } else { read.size } {
        Size::Side(side) => (side, side),
        Size::Sides { height, width } => (height, width),
    };
    let options = ImageOptions::new(height, width).fit(if cropped { Fit::Crop } else { Fit::Stretch });
    let options = match read.do_normalize {
        Some(false) => options,
        _ => {
            options.normalized_channels(&read.image_mean, &read.image_std).map_err(|error| wrong(error.to_string()))?
        }
    };
    Ok(Input::Images(options))
}
