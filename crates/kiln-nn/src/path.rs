//! Paths of parameters and layers: `features.3.weight`.

use std::fmt;

/// One step of a path: a field's name, or a position in a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Segment<'a> {
    /// A field. The name holds no dot.
    Name(&'a str),
    /// A position.
    Index(usize),
}

impl<'a> From<&'a str> for Segment<'a> {
    #[inline]
    fn from(name: &'a str) -> Self {
        Segment::Name(name)
    }
}

impl From<usize> for Segment<'_> {
    #[inline]
    fn from(index: usize) -> Self {
        Segment::Index(index)
    }
}

impl fmt::Display for Segment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Segment::Name(name) => f.write_str(name),
            Segment::Index(index) => index.fmt(f),
        }
    }
}

/// A path being walked: segments joined by dots, as in PyTorch's `state_dict`.
///
/// One buffer serves a whole walk, so that entering a layer allocates nothing.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Path {
    text: String,
    /// Where the text ended before each segment.
    ends: Vec<usize>,
}

impl Path {
    /// The empty path.
    pub const fn new() -> Self {
        Path { text: String::new(), ends: Vec::new() }
    }

    /// Goes one step down.
    #[inline]
    pub fn push(&mut self, segment: Segment<'_>) {
        self.ends.push(self.text.len());
        if self.ends.len() > 1 {
            self.text.push('.');
        }
        match segment {
            Segment::Name(name) => self.text.push_str(name),
            Segment::Index(index) => push_number(&mut self.text, index),
        }
    }

    /// Goes one step up.
    #[inline]
    pub fn pop(&mut self) {
        self.text.truncate(self.ends.pop().unwrap_or(0));
    }

    /// The text.
    #[inline]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Decimal digits. (`write!` goes through the formatting machinery: ten times slower, and this runs for each layer of each step.)
fn push_number(text: &mut String, number: usize) {
    if number >= 10 {
        push_number(text, number / 10);
    }
    text.push(char::from(b'0' + (number % 10) as u8));
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_read_as_in_a_state_dict() {
        let mut path = Path::new();
        path.push("features".into());
        path.push(1203usize.into());
        path.push("weight".into());
        assert_eq!(path.as_str(), "features.1203.weight");
        path.pop();
        path.pop();
        assert_eq!(path.as_str(), "features");
        path.pop();
        assert_eq!(path.as_str(), "");
        path.pop();
        path.push(0usize.into());
        path.push("v1.5".into());
        assert_eq!(path.to_string(), "0.v1.5");
        path.pop();
        assert_eq!(path.to_string(), "0");
    }
}
