//! Special tokens: texts that become one token.

/// Special tokens, such as `<|endoftext|>`, by number.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Special(Vec<(String, u32)>);

/// A part of a text.
pub(super) enum Part<'t> {
    /// The text between two special tokens, and the whole text before it.
    Plain { before: &'t str, text: &'t str },
    /// The number of a special token.
    Special(u32),
}

impl Special {
    /// In the order of their numbers.
    pub(super) fn new(mut tokens: Vec<(String, u32)>) -> Self {
        tokens.sort_unstable_by_key(|(_, number)| *number);
        Special(tokens)
    }

    pub(super) fn push(&mut self, text: String, number: u32) {
        self.0.push((text, number));
    }

    pub(super) fn all(&self) -> &[(String, u32)] {
        &self.0
    }

    pub(super) fn number(&self, text: &str) -> Option<u32> {
        self.0.iter().find(|(other, _)| other == text).map(|(_, number)| *number)
    }

    pub(super) fn text(&self, number: u32) -> Option<&str> {
        let at = self.0.binary_search_by_key(&number, |(_, number)| *number).ok()?;
        Some(&self.0[at].0)
    }

    /// The parts of a text in order. If several special tokens begin at one place, the longest one is taken.
    pub(super) fn parts<'t>(&self, text: &'t str) -> Vec<Part<'t>> {
        // The next place of each token. So the text is searched once for each token.
        let find = |from: usize, token: &str| text[from..].find(token).map(|at| from + at);
        let mut next: Vec<Option<usize>> = self.0.iter().map(|(token, _)| find(0, token)).collect();
        let (mut parts, mut from) = (Vec::new(), 0);
        loop {
            for ((token, _), next) in self.0.iter().zip(&mut next) {
                if next.is_some_and(|at| at < from) {
                    *next = find(from, token);
                }
            }
            let found = self.0.iter().zip(&next).filter_map(|((token, number), next)| Some(((*next)?, token, *number)));
            let first = found.min_by_key(|(at, token, _)| (*at, std::cmp::Reverse(token.len())));
            let end = first.map_or(text.len(), |(at, ..)| at);
            if from < end {
                parts.push(Part::Plain { before: &text[..from], text: &text[from..end] });
            }
            let Some((at, token, number)) = first else { return parts };
            parts.push(Part::Special(number));
            from = at + token.len();
        }
    }
}
