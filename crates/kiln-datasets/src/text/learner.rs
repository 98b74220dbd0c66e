//! Learning a vocabulary, text by text.

use super::byte_pairs::PairLearner;
use super::characters::Characters;
use super::special::Special;
use super::tokenizer::Tokenizer;
use super::units::Units;
use super::words::{WordLearner, WordOptions};
use kiln_tensor::Result;
use std::collections::BTreeSet;

/// What tokens are made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Characters,
    Words(WordOptions),
    /// Of a vocabulary with at most so many tokens.
    BytePairs(usize),
}

/// What has been learned of the texts so far.
pub(super) enum Learner {
    Characters(BTreeSet<char>),
    Words(WordLearner),
    BytePairs(PairLearner),
}

impl Learner {
    pub(super) fn new(kind: Kind) -> Self {
        match kind {
            Kind::Characters => Learner::Characters(BTreeSet::new()),
            Kind::Words(options) => Learner::Words(WordLearner::new(options)),
            Kind::BytePairs(size) => Learner::BytePairs(PairLearner::new(size)),
        }
    }

    pub(super) fn add(&mut self, text: &str) {
        match self {
            Learner::Characters(characters) => characters.extend(text.chars()),
            Learner::Words(words) => words.add(text),
            Learner::BytePairs(pairs) => pairs.add(text),
        }
    }

    /// The tokenizer, with or without tokens for padding and for what is unknown.
    pub(super) fn finish(self, special: bool) -> Result<Tokenizer> {
        let count = if special { 2 } else { 0 };
        let units = match self {
            Learner::Characters(characters) => Units::Characters(Characters::new(characters)),
            Learner::Words(words) => Units::Words(words.finish(count)?),
            Learner::BytePairs(pairs) => Units::BytePairs(pairs.finish(count)?),
        };
        Ok(Tokenizer { padding: special, unknown: special, units, special: Special::default() })
    }
}
