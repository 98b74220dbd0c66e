//! What texts of a table are to become.

use super::encoder::TextEncoder;
use super::learner::{Kind, Learner};
use super::pairs::PairEncoder;
use super::words::WordOptions;
use crate::Csv;
use crate::csv::{in_order, short, wrong_in};
use kiln_tensor::{Error, Result};
use std::collections::HashSet;
use std::num::NonZeroUsize;

/// Classes that a target may have.
const CLASSES: usize = 10_000;
/// In more rows than this, a class comes twice.
const ROWS: usize = 10;

/// What the texts of a table, in one column, and their classes, in another, are to become: tokens and labels.
///
/// Tokens are words, unless [`byte_pairs`](TextOptions::byte_pairs) or [`characters`](TextOptions::characters) are asked for. In each of
/// these vocabularies 0 is the token of padding, which no text has, and 1 stands for what is unknown.
///
/// ```
/// use kiln_datasets::{CsvOptions, Dataset, Loader, TextEncoder, TextOptions, WordOptions};
/// use kiln_tensor::Device;
/// let csv = CsvOptions::new().read("review,mood\nA fine film!,good\nToo long.,bad\nA fine idea,good\nLong and dull,bad\n")?;
/// let texts = TextOptions::new("review", "mood").words(WordOptions::new().size(1000)).max_length(200).fit(&csv)?;
/// assert_eq!(texts.class_names(), ["bad", "good"]);
/// let data = texts.dataset(&csv)?; // batches (n, longest), i64, with masks
/// Loader::new(&data).batch_size(2).shuffle(1).bucket_by_length(50).epoch(0, |batches| batches.try_for_each(|b| b.map(drop)))?;
///
/// // Elsewhere: the encoder's JSON goes with the model's file.
/// let texts = TextEncoder::from_json(&texts.to_json())?;
/// let inputs = texts.inputs(&["A long film", "Fine!"], &Device::cpu())?;
/// assert_eq!(inputs.dims(), [2, 3]);
/// # Ok::<(), kiln_tensor::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct TextOptions {
    text: String,
    target: String,
    kind: Kind,
    max_length: Option<usize>,
    drop_missing: bool,
}

impl TextOptions {
    /// The column of texts, and that of the classes that a model is to predict.
    pub fn new(text: impl Into<String>, target: impl Into<String>) -> Self {
        TextOptions {
            text: text.into(),
            target: target.into(),
            kind: Kind::Words(WordOptions::new()),
            max_length: None,
            drop_missing: false,
        }
    }

    /// Tokens are words: with which case, and which are in the vocabulary.
    #[must_use]
    pub fn words(self, options: WordOptions) -> Self {
        TextOptions { kind: Kind::Words(options), ..self }
    }

    /// Tokens are byte pairs ([`Tokenizer::byte_pairs`](crate::Tokenizer::byte_pairs)), at most `size` with the two special ones.
    #[must_use]
    pub fn byte_pairs(self, size: usize) -> Self {
        TextOptions { kind: Kind::BytePairs(size), ..self }
    }

    /// Tokens are characters.
    #[must_use]
    pub fn characters(self) -> Self {
        TextOptions { kind: Kind::Characters, ..self }
    }

    /// Texts of more tokens are cut at their ends.
    #[must_use]
    pub fn max_length(self, tokens: usize) -> Self {
        TextOptions { max_length: Some(tokens), ..self }
    }

    /// Whether rows without a text or a class are left out. By default they are errors.
    #[must_use]
    pub fn drop_missing(self, drop: bool) -> Self {
        TextOptions { drop_missing: drop, ..self }
    }

    /// Learns from the training rows: the vocabulary and the classes.
    ///
    /// # Errors
    /// A column that there is not, with the nearest name; rows without a text or a class, with the line, unless they are dropped;
    /// fewer than two classes, or more than 10,000; more than 10 rows, of which each has a class of
    /// its own; those of [`Tokenizer::words`](crate::Tokenizer::words) and
    /// [`Tokenizer::byte_pairs`](crate::Tokenizer::byte_pairs).
    pub fn fit(&self, train: &Csv) -> Result<TextEncoder> {
        let TextOptions { text, target, kind, drop_missing, .. } = self.clone();
        let max_length = self.checked()?;
        let (mut learner, mut classes, mut rows) = (Learner::new(kind), HashSet::new(), 0);
        each_text(train, [(&text, "text"), (&target, "class")], drop_missing, |text, class| {
            rows += 1;
            learner.add(text);
            if !classes.contains(class) {
                classes.insert(class.to_owned());
            }
            match classes.len() > CLASSES {
                true => Err(wrong_in(
                    &target,
                    &format!("there are more than {CLASSES} different values: they are no classes"),
                )),
                false => Ok(()),
            }
        })?;
        let classes = in_their_order(classes, rows, &target)?;
        Ok(TextEncoder { text, target, classes, tokenizer: learner.finish(true)?, max_length, drop_missing })
    }

    /// Learns from the training rows of pairs of texts, of which a model is to make the second from the first: one vocabulary of both.
    /// The column `target` has texts here. Without [`max_length`](TextOptions::max_length) it is that of the longest text.
    ///
    /// ```
    /// use kiln_datasets::{CsvOptions, Dataset, TextOptions};
    /// use kiln_tensor::Device;
    /// let csv = CsvOptions::new().read("english,french\nA cat,Un chat\nThe cat sleeps,Le chat dort\n")?;
    /// let pairs = TextOptions::new("english", "french").fit_pairs(&csv)?;
    /// let data = pairs.dataset(&csv)?;
    /// let batch = data.batch(&[0], &[], &Device::cpu())?;
    /// let decoded = |tokens: &kiln_tensor::Tensor| pairs.tokenizer().decode(&tokens.to_vec()?);
    /// let inputs: Vec<_> = batch.inputs.iter().collect();
    /// assert_eq!(decoded(inputs[0])?, "a cat");
    /// assert_eq!(decoded(inputs[1])?, "<s> un chat");
    /// assert_eq!(decoded(&batch.targets)?, "un chat </s>");
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// A column that there is not, with the nearest name; rows without one of the texts, with the line, unless they are dropped; no
    /// row; those of [`Tokenizer::words`](crate::Tokenizer::words) and [`Tokenizer::byte_pairs`](crate::Tokenizer::byte_pairs).
    pub fn fit_pairs(&self, train: &Csv) -> Result<PairEncoder> {
        let max_length = self.checked()?;
        let mut learner = Learner::new(self.kind);
        each_text(train, [(&self.text, "text"), (&self.target, "text")], self.drop_missing, |text, target| {
            learner.add(text);
            learner.add(target);
            Ok(())
        })?;
        let columns = [self.text.clone(), self.target.clone()];
        PairEncoder::new(columns, learner.finish(true)?, max_length, self.drop_missing, train)
    }

    /// The longest text that is allowed, where the settings make sense.
    fn checked(&self) -> Result<Option<NonZeroUsize>> {
        let TextOptions { text, target, max_length, .. } = self;
        if text == target {
            return Err(Error::value("TextOptions", format!("the column {text:?} is to be the text and the target")));
        }
        let none = || Error::value("TextOptions", "texts of at most 0 tokens: 1 or more are expected");
        max_length.map(|length| NonZeroUsize::new(length).ok_or_else(none)).transpose()
    }
}

/// The classes of so many rows, or why they are none.
fn in_their_order(classes: HashSet<String>, rows: usize, target: &str) -> Result<Vec<String>> {
    let mut classes: Vec<String> = classes.into_iter().collect();
    classes.sort_by(|a, b| in_order(a, b));
    let wrong = |message: String| Err(Error::value("TextOptions", message));
    match &classes[..] {
        [] => wrong("there is no training row with a text and a class".to_owned()),
        [class] => wrong(format!(
            "the target {target:?} has one class only in the training rows, {}: two are needed",
            short(class)
        )),
        [..] if classes.len() == rows && rows > ROWS => wrong(format!(
            "each of the {rows} training rows has another value in the target {target:?}: name the column of the classes"
        )),
        [..] => Ok(classes),
    }
}

/// Goes through the texts of a table and what belongs to each, in the columns `text` and `target`, each with what errors call its values.
pub(super) fn each_text(
    csv: &Csv,
    [text, target]: [(&str, &str); 2],
    drop_missing: bool,
    mut f: impl FnMut(&str, &str) -> Result<()>,
) -> Result<()> {
    csv.for_each(&[text.0, target.0], |values| match (values[0], values[1]) {
        (Some(text), Some(class)) => f(text, class),
        _ if drop_missing => Ok(()),
        (None, _) => Err(missing(text)),
        (_, None) => Err(missing(target)),
    })
}

#[cold]
fn missing((name, what): (&str, &str)) -> Error {
    wrong_in(name, &format!("the {what} is missing: `TextOptions::drop_missing` leaves such rows out"))
}
