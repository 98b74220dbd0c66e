//! What `kiln generate` takes.

use super::Opening;
use super::parsers::{count, not_negative, number, positive, share};
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use std::num::NonZeroUsize;
use std::path::PathBuf;

#[derive(Args)]
pub(crate) struct GenerateOptions {
    /// Folder that `kiln train --out` has written: of a model of text, mnist-gan or mnist-autoencoder.
    pub(crate) run: PathBuf,
    #[command(flatten)]
    pub(crate) text: TextOptions,
    /// Images: PNG file that is drawn [default: generated.png]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Images: folder of the data whose test images are given to an autoencoder [default: as for `kiln train`]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Chooses what is drawn at random: the same seed makes the same text or images
    #[arg(long, allow_negative_numbers = true, default_value_t = 0)]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) opening: Opening,
    /// Print one JSON object, of several prompts one for each
    #[arg(long)]
    pub(crate) json: bool,
}

/// What is for models of text.
#[derive(Args, Default, PartialEq)]
pub(crate) struct TextOptions {
    /// Text: what the model reads first [default: "Alice ", or a line break where that is not in its vocabulary]
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) prompt: Option<String>,
    /// Text: file with a prompt in each line, which are gone on with side by side
    #[arg(long, value_name = "FILE", conflicts_with = "prompt")]
    pub(crate) prompts: Option<PathBuf>,
    /// Text: tokens to write at most, characters of a model of characters [default: 500]
    #[arg(long, value_name = "N", alias = "length", allow_negative_numbers = true, value_parser = count)]
    pub(crate) max_tokens: Option<NonZeroUsize>,
    /// Text: how daring it is: 0 always writes what is likeliest, 1 draws as the model says, above 1 more evenly [default: 0.8]
    #[arg(long, value_name = "T", allow_negative_numbers = true, value_parser = not_negative)]
    pub(crate) temperature: Option<f64>,
    /// Text: draw from the K likeliest tokens only
    #[arg(long, value_name = "K", allow_negative_numbers = true, value_parser = count)]
    pub(crate) top_k: Option<NonZeroUsize>,
    /// Text: draw from the likeliest tokens only, whose probabilities together reach P
    #[arg(long, value_name = "P", allow_negative_numbers = true, value_parser = share)]
    pub(crate) top_p: Option<f64>,
    /// Text: draw from tokens only that have at least P times the probability of the likeliest one
    #[arg(long, value_name = "P", allow_negative_numbers = true, value_parser = share)]
    pub(crate) min_p: Option<f64>,
    /// Text: make tokens that were there before less likely: above 1, such as 1.1
    #[arg(long, value_name = "X", allow_negative_numbers = true, value_parser = positive)]
    pub(crate) repetition_penalty: Option<f64>,
    /// Text: draw nothing, but search the likeliest text, with N texts side by side
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = count,
        conflicts_with_all = ["temperature", "top_k", "top_p", "min_p", "repetition_penalty"])]
    pub(crate) beams: Option<NonZeroUsize>,
    /// Text: with --beams: above 0 favors long texts, below 0 short ones [default: 1]
    #[arg(long, value_name = "X", allow_negative_numbers = true, value_parser = number, requires = "beams")]
    pub(crate) length_penalty: Option<f64>,
    /// Text: end before this text (again for others)
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) stop: Vec<String>,
}

impl TextOptions {
    /// One of the options that were given, if any was.
    pub(crate) fn given(&self) -> Option<&'static str> {
        let given = [
            ("--prompt", self.prompt.is_some()),
            ("--prompts", self.prompts.is_some()),
            ("--max-tokens", self.max_tokens.is_some()),
            ("--temperature", self.temperature.is_some()),
            ("--top-k", self.top_k.is_some()),
            ("--top-p", self.top_p.is_some()),
            ("--min-p", self.min_p.is_some()),
            ("--repetition-penalty", self.repetition_penalty.is_some()),
            ("--beams", self.beams.is_some()),
            ("--stop", !self.stop.is_empty()),
        ];
        given.into_iter().find(|(_, given)| *given).map(|(option, _)| option)
    }
}
