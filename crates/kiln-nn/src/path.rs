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

/// A path being walked: segments joined by dots, as in PyTorch's `state_dict`.
///
/// One buffer serves a whole walk, so that entering a layer allocates nothing.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Path(String);

impl Path {
    /// The empty path.
    pub const fn new() -> Self {
        Path(String::new())
    }

    /// Goes one step down.
    #[inline]
    pub fn push(&mut self, segment: Segment<'_>) {
        if !self.0.is_empty() {
            self.0.push('.');
        }
        match segment {
            Segment::Name(name) => self.0.push_str(name),
            Segment::Index(index) => push_number(&mut self.0, index),
        }
    }

    /// Goes one step up.
    #[inline]
    pub fn pop(&mut self) {
        self.0.truncate(self.0.rfind('.').unwrap_or(0));
    }

    /// The text.
    #[inline]
    pub fn as_str(&self) -> &str {
        &self.0
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
        f.write_str(&self.0)
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
        assert_eq!(path.to_string(), "0");
    }
}
