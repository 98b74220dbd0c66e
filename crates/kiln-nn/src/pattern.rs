//! Patterns of paths: `features.*`, `*.bias`.

use kiln_tensor::{Error, Result};
use std::fmt;

/// A pattern of parameters' paths, as shells have them: `*` stands for any characters, dots among them, and `?` for one.
///
/// ```
/// use kiln_nn::PathPattern;
/// assert!(PathPattern::new("features.*").matches("features.0.weight"));
/// assert!(PathPattern::new("*.bias").matches("features.0.bias"));
/// assert!(!PathPattern::new("features").matches("features.0.weight"));
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PathPattern(String);

impl PathPattern {
    /// The pattern of this text.
    pub fn new(pattern: impl Into<String>) -> Self {
        PathPattern(pattern.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the whole of the path is as the pattern says.
    pub fn matches(&self, path: &str) -> bool {
        let (pattern, path) = (self.0.as_bytes(), path.as_bytes());
        let (mut p, mut at) = (0, 0);
        // The last star, and where in the path what follows it was tried.
        let mut star: Option<(usize, usize)> = None;
        while at < path.len() {
            if pattern.get(p) == Some(&b'*') {
                star = Some((p, at));
                p += 1;
            } else if pattern.get(p).is_some_and(|&c| c == path[at] || c == b'?') {
                (p, at) = (p + 1, at + 1);
            } else if let Some((of_star, tried)) = star {
                // The star takes one character more.
                star = Some((of_star, tried + 1));
                (p, at) = (of_star + 1, tried + 1);
            } else {
                return false;
            }
        }
        pattern[p..].iter().all(|&c| c == b'*')
    }

    /// Refuses a pattern that none of these paths matches.
    ///
    /// # Errors
    /// One sentence, with the pattern and the first of the paths.
    pub fn expect_any<'p>(&self, operation: &'static str, paths: impl IntoIterator<Item = &'p str>) -> Result<()> {
        let paths: Vec<&str> = paths.into_iter().collect();
        if paths.iter().any(|path| self.matches(path)) {
            return Ok(());
        }
        let shown: Vec<String> = paths.iter().take(4).map(|path| format!("`{path}`")).collect();
        let more = if paths.len() > shown.len() { ", ..." } else { "" };
        Err(Error::value(
            operation,
            format!(
                "the pattern `{self}` matches none of the {} parameters, whose paths are {}{more}",
                paths.len(),
                shown.join(", ")
            ),
        ))
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for PathPattern {
    fn from(pattern: &str) -> Self {
        PathPattern::new(pattern)
    }
}

impl From<String> for PathPattern {
    fn from(pattern: String) -> Self {
        PathPattern::new(pattern)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a panic is a test's report
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_anything() {
        let matches = |pattern: &str, path: &str| PathPattern::new(pattern).matches(path);
        for (pattern, path) in [
            ("*", ""),
            ("*", "a.b"),
            ("features.*", "features.0.weight"),
            ("*.bias", "features.0.bias"),
            ("*.b*s", "0.bias.bias"),
            ("layer?.*.weight", "layer3.0.conv1.weight"),
            ("a*b*c", "a.b.b.c"),
            ("0.weight", "0.weight"),
            ("**", "x"),
        ] {
            assert!(matches(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in [
            ("", "a"),
            ("features", "features.0"),
            ("*.bias", "bias"),
            ("*.bias", "0.bias.x"),
            ("layer?.*", "layer10.0"),
            ("a*b*c", "a.c.b"),
            ("0.weight", "10.weight"),
        ] {
            assert!(!matches(pattern, path), "{pattern} {path}");
        }
    }

    #[test]
    fn a_pattern_that_matches_nothing_says_what_there_is() {
        let paths = ["0.weight", "0.bias"];
        PathPattern::new("*.bias").expect_any("freeze", paths).unwrap();
        let error = PathPattern::new("1.*").expect_any("freeze", paths).unwrap_err().to_string();
        assert_eq!(
            error,
            "freeze: the pattern `1.*` matches none of the 2 parameters, whose paths are `0.weight`, `0.bias`"
        );
    }
}
