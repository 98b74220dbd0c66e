//! Text files.

use kiln_tensor::{Error, ErrorKind, Result};
use std::path::Path;

/// The text of a file in UTF-8, without the byte order mark that some begin with. Its lines are `text.lines()`.
///
/// # Errors
/// A file that cannot be read or has no text; bytes that are not UTF-8, with line and byte.
pub fn load_text(path: impl AsRef<Path>) -> Result<String> {
    let path = path.as_ref();
    let bytes = std::fs::read(path)
        .map_err(|e| Error::new(ErrorKind::Io, "load_text", format!("{}: {e}", path.display())).with_source(e))?;
    let wrong = |what: String| Error::new(ErrorKind::Format, "load_text", format!("{}: {what}", path.display()));
    let mut text = String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        let line = 1 + e.as_bytes()[..at].iter().filter(|&&byte| byte == b'\n').count();
        wrong(format!("line {line}, byte {at} of the file: the text is not UTF-8: save the file in this encoding"))
    })?;
    if text.starts_with('\u{feff}') {
        text.drain(..'\u{feff}'.len_utf8());
    }
    if text.is_empty() {
        return Err(wrong("the file is empty".to_owned()));
    }
    Ok(text)
}
