//! The pieces of a text whose bytes may become one token, as GPT-2 cuts it.

use super::letters::is_letter;

/// What GPT-2's regular expression tells apart:
///
/// ```text
/// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Space,
    Letter,
    Number,
    Other,
}

impl Kind {
    fn of(character: char) -> Self {
        if is_letter(character) {
            Kind::Letter
        } else if character.is_whitespace() {
            Kind::Space
        } else if character.is_numeric() {
            Kind::Number
        } else {
            Kind::Other
        }
    }
}

const ENDINGS: [&str; 7] = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"];

/// The pieces in order; all together they are the text.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let length = first(rest)?;
        let (piece, after) = rest.split_at(length);
        rest = after;
        Some(piece)
    })
}

/// The bytes of the first piece.
fn first(text: &str) -> Option<usize> {
    let kind = Kind::of(text.chars().next()?);
    if let Some(ending) = ENDINGS.iter().find(|&&ending| text.starts_with(ending)) {
        return Some(ending.len());
    }
    if kind != Kind::Space {
        return Some(run(text, kind));
    }
    if let Some(next) = text.strip_prefix(' ').and_then(|rest| rest.chars().next())
        && Kind::of(next) != Kind::Space
    {
        return Some(1 + run(&text[1..], Kind::of(next)));
    }
    let spaces = run(text, Kind::Space);
    let last = text[..spaces].chars().next_back().map_or(0, char::len_utf8);
    // The last space before a word is the word's, or alone.
    Some(if spaces == text.len() || spaces == last { spaces } else { spaces - last })
}

/// The bytes of the characters of one kind that the text begins with.
fn run(text: &str, kind: Kind) -> usize {
    text.find(|character| Kind::of(character) != kind).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::pieces;

    #[test]
    fn pieces_are_those_of_gpt_2() {
        let cases: [(&str, &[&str]); 10] = [
            ("", &[]),
            ("Hello world", &["Hello", " world"]),
            ("we'll  see 12a's", &["we", "'ll", " ", " see", " 12", "a", "'s"]),
            ("a \n b", &["a", " \n", " b"]),
            ("a\nb\t", &["a", "\n", "b", "\t"]),
            ("x   ", &["x", "   "]),
            ("!?'s \u{a0}y", &["!?'", "s", " ", "\u{a0}", "y"]),
            (" 'sé½²", &[" '", "sé", "½²"]),
            // A vowel sign and a letter in a circle are no letters there.
            ("हिन्दी ⓐa", &["ह", "ि", "न", "्", "द", "ी", " ⓐ", "a"]),
            ("'t'T", &["'t", "'", "T"]),
        ];
        for (text, expected) in cases {
            assert_eq!(pieces(text).collect::<Vec<_>>(), expected, "{text:?}");
        }
    }
}
