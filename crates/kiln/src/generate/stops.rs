//! Texts that end what is written.

/// Finds the first of some texts in one that comes piece by piece. What may be the beginning of one is held back.
pub(super) struct Stops<'s> {
    texts: &'s [String],
    held: String,
}

impl<'s> Stops<'s> {
    pub(super) fn new(texts: &'s [String]) -> Self {
        Stops { texts, held: String::new() }
    }

    /// What can be shown after a piece, without the text that ends it, and whether that was found.
    pub(super) fn add(&mut self, piece: &str) -> (String, bool) {
        self.held += piece;
        if let Some(at) = self.texts.iter().filter_map(|text| self.held.find(text)).min() {
            self.held.truncate(at);
            return (std::mem::take(&mut self.held), true);
        }
        let begins = |from: &usize| self.texts.iter().any(|text| text.starts_with(&self.held[*from..]));
        let from = self.held.char_indices().map(|(at, _)| at).find(begins).unwrap_or(self.held.len());
        let rest = self.held.split_off(from);
        (std::mem::replace(&mut self.held, rest), false)
    }

    /// What was held back, where nothing more comes.
    pub(super) fn end(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::Stops;

    fn shown(texts: &[&str], pieces: &[&str]) -> (String, bool) {
        let texts: Vec<String> = texts.iter().map(|text| text.to_string()).collect();
        let mut stops = Stops::new(&texts);
        let mut all = String::new();
        for piece in pieces {
            let (more, found) = stops.add(piece);
            all += &more;
            if found {
                return (all, true);
            }
        }
        (all + &stops.end(), false)
    }

    #[test]
    fn a_text_is_found_over_the_ends_of_pieces() {
        assert_eq!(shown(&["END"], &["the e", "E", "N", "D of"]), ("the e".to_owned(), true));
        assert_eq!(shown(&["END"], &["aE", "NE", "ND"]), ("aEN".to_owned(), true));
        assert_eq!(shown(&["abc", "bd"], &["ab", "d", "x"]), ("a".to_owned(), true));
        assert_eq!(shown(&["aab"], &["a", "a", "a", "c", "a"]), ("aaaca".to_owned(), false));
        assert_eq!(shown(&["é!"], &["caf", "é", "?"]), ("café?".to_owned(), false));
        assert_eq!(shown(&[], &["all", " of it"]), ("all of it".to_owned(), false));
        // The first in the text, not the first of the texts.
        assert_eq!(shown(&["c", "b"], &["abc"]), ("a".to_owned(), true));
    }

    #[test]
    fn only_what_may_be_its_beginning_is_held_back() {
        let texts = ["\n\n".to_owned()];
        let mut stops = Stops::new(&texts);
        assert_eq!(stops.add("one\n"), ("one".to_owned(), false));
        assert_eq!(stops.add("two"), ("\ntwo".to_owned(), false));
    }
}
