//! A text as BERT reads it: which characters stay, and where words end.

use super::unicode::{decomposed, is_control, is_mark, is_punctuation};
use serde::{Deserialize, Serialize};

/// What is done to a text before it is cut into words (`BertNormalizer`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(in crate::text) struct Normalizer {
    /// Control characters are left out, and every space is ` `.
    pub(in crate::text) clean: bool,
    /// Each Chinese character is a word.
    pub(in crate::text) chinese: bool,
    pub(in crate::text) strip_accents: bool,
    pub(in crate::text) lowercase: bool,
}

impl Default for Normalizer {
    /// That of models without upper case, such as bert-base-uncased.
    fn default() -> Self {
        Normalizer { clean: true, chinese: true, strip_accents: true, lowercase: true }
    }
}

impl Normalizer {
    /// Calls `f` with each word of a text. A mark of punctuation is a word.
    pub(super) fn each_word(self, text: &str, mut f: impl FnMut(&str)) {
        let text = self.normalized(text);
        for mut word in text.split_whitespace() {
            while let Some((at, mark)) = word.char_indices().find(|&(_, character)| is_punctuation(character)) {
                let (before, rest) = word.split_at(at);
                let (mark, after) = rest.split_at(mark.len_utf8());
                [before, mark].into_iter().filter(|part| !part.is_empty()).for_each(&mut f);
                word = after;
            }
            if !word.is_empty() {
                f(word);
            }
        }
    }

    fn normalized(self, text: &str) -> String {
        let mut to = String::with_capacity(text.len());
        for character in text.chars() {
            let line = matches!(character, '\t' | '\n' | '\r');
            if self.clean && !line && (is_control(character) || character == '\u{fffd}') {
                continue;
            }
            let space = self.clean && character.is_whitespace();
            let alone = self.chinese && is_chinese(character);
            if alone {
                to.push(' ');
            }
            self.add(if space { ' ' } else { character }, &mut to);
            if alone {
                to.push(' ');
            }
        }
        to
    }

    /// Adds a character in lower case and without its accents, as far as that is asked for.
    fn add(self, character: char, to: &mut String) {
        let mut one = [0; 4];
        let mut syllable = [0; 12];
        let parts = match self.strip_accents {
            true => decomposed(character).or_else(|| korean(character, &mut syllable)),
            false => None,
        };
        let parts = parts.unwrap_or_else(|| character.encode_utf8(&mut one));
        let kept = parts.chars().filter(|&part| !(self.strip_accents && is_mark(part)));
        match self.lowercase {
            true => to.extend(kept.flat_map(char::to_lowercase)),
            false => to.extend(kept),
        }
    }
}

/// The two or three letters of a Korean syllable, by Unicode's rule.
fn korean(syllable: char, to: &mut [u8; 12]) -> Option<&str> {
    let number = u32::from(syllable).checked_sub(0xac00).filter(|&number| number < 11_172)?;
    let last = (number % 28 > 0).then_some(0x11a7 + number % 28);
    let letters = [Some(0x1100 + number / 588), Some(0x1161 + number % 588 / 28), last];
    let mut length = 0;
    for letter in letters.into_iter().flatten().filter_map(char::from_u32) {
        length += letter.encode_utf8(to.get_mut(length..)?).len();
    }
    std::str::from_utf8(to.get(..length)?).ok()
}

/// Whether a character is of the blocks that BERT takes for Chinese.
fn is_chinese(character: char) -> bool {
    matches!(
        u32::from(character),
        0x4e00..=0x9fff
            | 0x3400..=0x4dbf
            | 0x2_0000..=0x2_a6df
            | 0x2_a700..=0x2_b73f
            | 0x2_b740..=0x2_b81f
            | 0x2_b920..=0x2_ceaf
            | 0xf900..=0xfaff
            | 0x2_f800..=0x2_fa1f
    )
}
