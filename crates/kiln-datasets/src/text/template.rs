//! What a model reads: texts, and the tokens that it expects around them.

use super::special::Special;
use kiln_tensor::{Error, ErrorKind, Result};

/// A part of what a model reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Part {
    /// The first text, 0, or the second one, 1.
    Text(usize),
    /// A token by its number.
    Token(u32),
}

/// The parts in order, each with its segment.
pub(super) type Template = Vec<(Part, i64)>;

/// `[CLS] text [SEP]`, or `[CLS] first [SEP] second [SEP]`, where the second text and the mark after it are of segment 1.
pub(super) fn of_bert(pair: bool, special: &Special) -> Result<Template> {
    let token = |text: &str| {
        let lacks = || format!("the vocabulary has no token {text}, which BERT expects around a text");
        special.number(text).map(Part::Token).ok_or_else(|| Error::new(ErrorKind::Format, "TextInputs", lacks()))
    };
    let (begin, end) = (token("[CLS]")?, token("[SEP]")?);
    let mut template = vec![(begin, 0), (Part::Text(0), 0), (end, 0)];
    if pair {
        template.extend([(Part::Text(1), 1), (end, 1)]);
    }
    Ok(template)
}

/// A text alone.
pub(super) fn plain(pair: bool) -> Result<Template> {
    if pair {
        let message = "this tokenizer does not say how two texts become one input: join them, or load the tokenizer of a model that takes pairs, such as BERT";
        return Err(Error::new(ErrorKind::Unsupported, "TextInputs", message));
    }
    Ok(vec![(Part::Text(0), 0)])
}
