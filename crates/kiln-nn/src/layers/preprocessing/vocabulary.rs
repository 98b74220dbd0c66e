//! Vocabularies: which index an entry has.

use kiln_tensor::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;

/// What can be looked up.
pub(super) trait Entry: Clone + Ord + Hash + Debug {}
impl<T: Clone + Ord + Hash + Debug> Entry for T {}

/// How often each entry was seen.
#[derive(Clone, Debug)]
pub struct Counts<T>(pub(super) HashMap<T, u64>);

impl<T> Default for Counts<T> {
    fn default() -> Self {
        Counts(HashMap::new())
    }
}

/// Entries by index: first the mask, where there is one, then what is unknown, then the vocabulary.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Settings<T>", into = "Settings<T>")]
#[serde(bound(serialize = "T: Entry + Serialize", deserialize = "T: Entry + Deserialize<'de>"))]
pub(super) struct Vocabulary<T: Entry> {
    pub(super) settings: Settings<T>,
    places: HashMap<T, usize>,
}

/// A vocabulary as it is written.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Settings<T> {
    #[serde(default = "Vec::new")]
    pub(super) vocabulary: Vec<T>,
    #[serde(default = "one")]
    pub(super) oov_indices: usize,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub(super) mask: Option<T>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) max_size: Option<usize>,
}

/// The indices of what is unknown, where a description does not say.
fn one() -> usize {
    1
}

fn none<T>() -> Option<T> {
    None
}

impl<T: Entry> TryFrom<Settings<T>> for Vocabulary<T> {
    type Error = Error;
    fn try_from(mut settings: Settings<T>) -> Result<Self> {
        let entries = std::mem::take(&mut settings.vocabulary);
        let mut vocabulary = Vocabulary { settings, places: HashMap::new() };
        vocabulary.set(entries)?;
        Ok(vocabulary)
    }
}

impl<T: Entry> From<Vocabulary<T>> for Settings<T> {
    fn from(vocabulary: Vocabulary<T>) -> Self {
        vocabulary.settings
    }
}

impl<T: Entry> Vocabulary<T> {
    /// Without entries, and one index for what is unknown.
    pub(super) fn new() -> Self {
        let settings = Settings { vocabulary: Vec::new(), oov_indices: one(), mask: None, max_size: None };
        Vocabulary { settings, places: HashMap::new() }
    }

    /// Fails where the mask is in the vocabulary too: it may have been set after that.
    pub(super) fn check(&self) -> Result<()> {
        match self.settings.mask.as_ref().filter(|mask| self.places.contains_key(mask)) {
            Some(mask) => Err(masked(mask)),
            None => Ok(()),
        }
    }

    /// Takes over entries, the first of which has the first index after those of the mask and of what is unknown.
    pub(super) fn set(&mut self, entries: Vec<T>) -> Result<()> {
        let mut places = HashMap::with_capacity(entries.len());
        for (place, entry) in entries.iter().enumerate() {
            if Some(entry) == self.settings.mask.as_ref() {
                return Err(masked(entry));
            }
            if places.insert(entry.clone(), place).is_some() {
                return Err(Error::value("vocabulary", format!("{entry:?} is in the vocabulary twice")));
            }
        }
        (self.settings.vocabulary, self.places) = (entries, places);
        Ok(())
    }

    /// Takes over what was counted: the most frequent first, and of equally frequent ones the greater, as in Keras.
    pub(super) fn learn(&mut self, seen: Counts<T>) -> Result<()> {
        let mut counted: Vec<(T, u64)> = seen.0.into_iter().collect();
        counted.retain(|(entry, _)| Some(entry) != self.settings.mask.as_ref());
        if counted.is_empty() {
            return Err(Error::value("adapt", "there is no data, so no vocabulary"));
        }
        counted.sort_unstable_by(|(a, counted_a), (b, counted_b)| counted_b.cmp(counted_a).then(b.cmp(a)));
        if let Some(max) = self.settings.max_size {
            let room = max.saturating_sub(self.special());
            if room == 0 {
                let message = format!("max_size {max} leaves no room for entries beside the mask and the unknown");
                return Err(Error::value("adapt", message));
            }
            counted.truncate(room);
        }
        self.set(counted.into_iter().map(|(entry, _)| entry).collect())
    }

    /// Indices before those of the vocabulary.
    pub(super) fn special(&self) -> usize {
        self.settings.oov_indices.saturating_add(usize::from(self.settings.mask.is_some()))
    }

    /// The number of indices.
    pub(super) fn size(&self) -> usize {
        self.special().saturating_add(self.settings.vocabulary.len())
    }

    /// The index of an entry; of one that is unknown, among as many as there are, by `hash`.
    pub(super) fn index(&self, entry: &T, hash: impl Fn(&T) -> u64) -> Result<usize> {
        if Some(entry) == self.settings.mask.as_ref() {
            return Ok(0);
        }
        match (self.places.get(entry), self.settings.oov_indices) {
            (Some(place), _) => Ok(self.special().saturating_add(*place)),
            (None, 0) => Err(self.unknown(entry)),
            (None, 1) => Ok(self.special() - 1),
            (None, several) => Ok(self.special() - several + (hash(entry) % several as u64) as usize),
        }
    }

    #[cold]
    pub(super) fn unknown(&self, entry: &T) -> Error {
        let message = format!(
            "{entry:?} is not in the vocabulary of {}, and there is no index for what is unknown: adapt to data that has it, or \
             allow one with `oov_indices(1)`",
            self.settings.vocabulary.len()
        );
        Error::new(ErrorKind::Value, "lookup", message)
    }

    /// The entry of an index; none of one that stands for what is unknown.
    pub(super) fn entry(&self, index: i64) -> Result<Option<&T>> {
        let Some(index) = usize::try_from(index).ok().filter(|&index| index < self.size()) else {
            let message = format!("index {index} is out of range: there are {}", self.size());
            return Err(Error::new(ErrorKind::Index, "lookup", message));
        };
        if index == 0 && self.settings.mask.is_some() {
            return Ok(self.settings.mask.as_ref());
        }
        Ok(index.checked_sub(self.special()).map(|place| &self.settings.vocabulary[place]))
    }
}

#[cold]
fn masked(mask: &impl Debug) -> Error {
    let message = format!("{mask:?} is the mask and in the vocabulary too: leave it out of the vocabulary");
    Error::value("vocabulary", message)
}
