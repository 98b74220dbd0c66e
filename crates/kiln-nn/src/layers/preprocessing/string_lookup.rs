//! Strings as indices.

use super::vocabulary::{Counts, Vocabulary};
use crate::streams::fnv;
use kiln_tensor::{DType, Device, Error, ErrorKind, Result, Tensor};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Which index each string has (Keras's `StringLookup`): the input of an [`Embedding`](crate::Embedding) or a
/// [`CategoryEncoding`](crate::CategoryEncoding) of [`size`](StringLookup::size) categories.
///
/// Index 0 is that of the [`mask`](StringLookup::mask), where there is one; then come those of strings that are not in the
/// vocabulary, by default one; then the vocabulary.
///
/// Tensors hold no strings, so it is no layer: it makes the tensor that a model takes. It is saved inside the model, under the
/// name of the column that it is for, or of the output whose classes it names:
///
/// ```
/// use kiln_nn::{Ctx, Dense, Embedding, Flatten, Sequential, StringLookup};
/// use kiln_tensor::Device;
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let cpu = Device::cpu();
/// let mut colors = StringLookup::new();
/// colors.adapt(["red", "green", "red"])?; // of the training data
/// let model = Sequential::new()
///     .push(Embedding::new(colors.size(), 4))
///     .push(Flatten::new())
///     .push(Dense::new(1))
///     .with_lookup("color", colors)?
///     .build([1], &cpu, 1)?;
///
/// // Elsewhere, from model.json:
/// let model = Sequential::from_architecture(&model.architecture(), &cpu)?;
/// let colors = model.lookup("color").expect("the model has it");
/// let indices = colors.lookup(&["green", "blue", "red"])?; // (3,), i64
/// assert_eq!(indices.to_vec::<i64>()?, [2, 0, 1]);
/// assert_eq!(colors.invert(&indices)?, ["green", "[UNK]", "red"]);
/// let y = model.forward(indices.reshape([3, 1])?, &Ctx::eval())?;
/// # assert_eq!(y.dims(), [3, 1]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StringLookup(Vocabulary<String>);

/// What [`StringLookup::invert`] makes of an index of what is unknown, as Keras does.
const UNKNOWN: &str = "[UNK]";

impl Default for StringLookup {
    fn default() -> Self {
        StringLookup::new()
    }
}

impl StringLookup {
    /// An empty vocabulary that is to be adapted to data.
    pub fn new() -> Self {
        StringLookup(Vocabulary::new())
    }

    /// With this vocabulary, in this order. For classes, whose indices begin at 0: `.oov_indices(0)`.
    ///
    /// # Errors
    /// A string that is there twice.
    pub fn of<S: Into<String>>(vocabulary: impl IntoIterator<Item = S>) -> Result<Self> {
        let mut lookup = StringLookup::new();
        lookup.0.set(vocabulary.into_iter().map(Into::into).collect())?;
        Ok(lookup)
    }

    /// The number of indices for strings that are not in the vocabulary, by default 1. With 0 they are an error; with several each
    /// string always gets the same.
    #[must_use]
    pub fn oov_indices(mut self, count: usize) -> Self {
        self.0.settings.oov_indices = count;
        self
    }

    /// The value used for padding and for what is missing, such as `""`; its index is 0. It is not a part of the vocabulary.
    #[must_use]
    pub fn mask(mut self, mask: impl Into<String>) -> Self {
        self.0.settings.mask = Some(mask.into());
        self
    }

    /// The largest number of indices; `adapt` keeps the most frequent entries.
    #[must_use]
    pub fn max_size(mut self, size: usize) -> Self {
        self.0.settings.max_size = Some(size);
        self
    }

    /// Learns the vocabulary: the most frequent strings first, and of equally frequent ones the later in the alphabet, as in
    /// Keras. Strings come one by one, so they need not fit into memory.
    ///
    /// # Errors
    /// No strings; a [`max_size`](StringLookup::max_size) without room for any. The vocabulary is then what it was.
    pub fn adapt<S: AsRef<str>>(&mut self, strings: impl IntoIterator<Item = S>) -> Result<()> {
        let mut seen = Counts::default();
        self.see(&mut seen, strings);
        self.learn(seen)
    }

    /// Counts more strings: [`adapt`](StringLookup::adapt) of several columns, or of parts.
    pub fn see<S: AsRef<str>>(&self, seen: &mut Counts<String>, strings: impl IntoIterator<Item = S>) {
        for string in strings {
            match seen.0.get_mut(string.as_ref()) {
                Some(count) => *count += 1,
                None => drop(seen.0.insert(string.as_ref().to_owned(), 1)),
            }
        }
    }

    /// Takes over the vocabulary of all that was counted.
    ///
    /// # Errors
    /// As [`adapt`](StringLookup::adapt).
    pub fn learn(&mut self, seen: Counts<String>) -> Result<()> {
        self.0.learn(seen)
    }

    /// Fails where the mask is in the vocabulary too.
    pub(crate) fn check(&self) -> Result<()> {
        self.0.check()
    }

    /// The vocabulary, without the mask and what is unknown.
    pub fn vocabulary(&self) -> &[String] {
        &self.0.settings.vocabulary
    }

    /// The number of indices.
    pub fn size(&self) -> usize {
        self.0.size()
    }

    /// The index of a string.
    ///
    /// # Errors
    /// One that is not in the vocabulary, where there is no index for those.
    pub fn index(&self, string: &str) -> Result<usize> {
        self.0.index(&string.to_owned(), |string| fnv(string.as_bytes()))
    }

    /// The indices (n,) of strings, i64, in the host's memory.
    ///
    /// # Errors
    /// As [`index`](StringLookup::index).
    pub fn lookup<S: AsRef<str>>(&self, strings: &[S]) -> Result<Tensor> {
        let index = |string: &S| self.index(string.as_ref()).map(|index| index as i64);
        let indices: Vec<i64> = strings.iter().map(index).collect::<Result<_>>()?;
        Tensor::from_vec(indices, [strings.len()], &Device::cpu())
    }

    /// The strings of indices, in order: the class names of predictions. What is unknown is `[UNK]`.
    ///
    /// # Errors
    /// An index out of range, a dtype that is not an integer type.
    pub fn invert(&self, indices: &Tensor) -> Result<Vec<String>> {
        if !indices.dtype().is_integer() {
            let message = format!("indices of integers are expected, got {}", indices.dtype());
            return Err(Error::new(ErrorKind::DType, "lookup", message));
        }
        let string = |index| Ok(self.0.entry(index)?.map_or(UNKNOWN, String::as_str).to_owned());
        indices.to_dtype(DType::I64)?.to_vec::<i64>()?.into_iter().map(string).collect()
    }
}

/// The lookups of a model, by name.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Lookups(pub(crate) BTreeMap<String, StringLookup>);

/// The methods of a model with [`Lookups`].
macro_rules! lookups {
    () => {
        /// The same with a lookup under this name: of the column that it is for, or of the output whose classes it names. It is
        /// part of [`architecture`](Self::architecture).
        ///
        /// # Errors
        /// A lookup whose mask is in its vocabulary.
        pub fn with_lookup(mut self, name: impl Into<String>, lookup: $crate::StringLookup) -> kiln_tensor::Result<Self> {
            self.add_lookup(name, lookup)?;
            Ok(self)
        }

        /// Adds a lookup under this name, as [`with_lookup`](Self::with_lookup) does. It takes the place of one that has the name.
        ///
        /// # Errors
        /// As [`with_lookup`](Self::with_lookup).
        pub fn add_lookup(&mut self, name: impl Into<String>, lookup: $crate::StringLookup) -> kiln_tensor::Result<()> {
            lookup.check()?;
            self.lookups.0.insert(name.into(), lookup);
            Ok(())
        }

        /// The lookup of this name.
        pub fn lookup(&self, name: &str) -> Option<&$crate::StringLookup> {
            self.lookups.0.get(name)
        }

        /// All lookups with their names, in the names' order.
        pub fn lookups(&self) -> impl Iterator<Item = (&str, &$crate::StringLookup)> {
            self.lookups.0.iter().map(|(name, lookup)| (name.as_str(), lookup))
        }
    };
}
pub(crate) use lookups;
