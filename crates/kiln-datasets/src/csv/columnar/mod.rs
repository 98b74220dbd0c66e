//! Tables in files that hold columns: Parquet and Arrow.

#[cfg(feature = "parquet")]
mod arrow;
#[cfg(feature = "parquet")]
mod blocks;
#[cfg(feature = "parquet")]
mod cache;
#[cfg(feature = "parquet")]
mod claims;
#[cfg(feature = "parquet")]
mod field;
#[cfg(feature = "parquet")]
mod parquet;

use super::bytes::Bytes;
use super::source::Source;
use kiln_tensor::Result;

#[derive(Clone, Copy, Debug)]
pub(super) enum Format {
    Parquet,
    /// Arrow's file format, which Feather has been since its version 2.
    Arrow,
}

impl Format {
    /// What a file is by its first bytes; none of these where it is text.
    pub(super) fn of(bytes: &Bytes) -> Result<Option<Self>> {
        let start = bytes.start(8)?;
        // With bytes that no text has behind the letters: a column may be called PAR1.
        if start.starts_with(b"PAR1\x15") {
            Ok(Some(Format::Parquet))
        } else if start == b"ARROW1\0\0" {
            Ok(Some(Format::Arrow))
        } else if start.starts_with(b"FEA1\0") {
            Err(bytes.wrong("the file is in version 1 of Feather: write it again in version 2"))
        } else {
            Ok(None)
        }
    }
}

/// The table in a file of such a format.
#[cfg(feature = "parquet")]
pub(super) fn source(format: Format, bytes: Bytes) -> Result<Box<dyn Source>> {
    Ok(Box::new(blocks::Blocks::open(format, bytes)?))
}

/// The table in a file of such a format.
#[cfg(not(feature = "parquet"))]
pub(super) fn source(format: Format, bytes: Bytes) -> Result<Box<dyn Source>> {
    let message = format!(
        "{}: this is a file in the format {format:?}: build with the feature `parquet` to read it",
        bytes.name()
    );
    Err(kiln_tensor::Error::new(kiln_tensor::ErrorKind::Unsupported, "Csv", message))
}
