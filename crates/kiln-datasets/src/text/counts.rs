//! How often each word comes.

use std::collections::HashMap;

#[derive(Default)]
pub(super) struct Counts(HashMap<Box<str>, u64>);

impl Counts {
    pub(super) fn add(&mut self, word: &str) {
        match self.0.get_mut(word) {
            Some(count) => *count += 1,
            None => drop(self.0.insert(word.into(), 1)),
        }
    }

    /// The most frequent words first, equally frequent ones in the order of their bytes.
    pub(super) fn into_sorted(self) -> Vec<(Box<str>, u64)> {
        let mut words: Vec<(Box<str>, u64)> = self.0.into_iter().collect();
        words.sort_unstable_by(|(a, of_a), (b, of_b)| of_b.cmp(of_a).then_with(|| a.cmp(b)));
        words
    }
}
