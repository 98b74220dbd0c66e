//! The one error type of Kiln: what failed, on which operands, what was expected, and where in the model.

use std::fmt;

/// `Result` with Kiln's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The kind of an [`Error`], for code that reacts to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Shapes, axes or ranks that do not fit.
    Shape,
    /// A data type that the operation does not take, or two that differ.
    DType,
    /// Operands on different devices, or a device that is not there.
    Device,
    /// An index or label out of range.
    Index,
    /// An argument whose value makes no sense.
    Value,
    /// A training whose loss is not finite.
    Diverged,
    /// A layer used before it knows its input's shape, or built twice.
    Build,
    /// Out of memory.
    Memory,
    /// A fault of a device that surfaced later.
    Fault,
    /// A file or stream that could not be read or written.
    Io,
    /// A file whose content is not what it should be.
    Format,
    /// Something that this backend or version does not do.
    Unsupported,
}

/// What went wrong, in one sentence with the way out.
///
/// Displayed as `path: operation: message`, where the path is the layer's (`model.5 (MaxPool2d)`).
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    operation: &'static str,
    message: String,
    path: String,
    source: Option<std::sync::Arc<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of `operation`; the message names the operands, what was expected, and the remedy.
    #[cold]
    pub fn new(kind: ErrorKind, operation: &'static str, message: impl Into<String>) -> Self {
        Error(Box::new(Inner { kind, operation, message: message.into(), path: String::new(), source: None }))
    }

    /// Shapes that do not fit.
    #[cold]
    pub fn shape(operation: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Shape, operation, message)
    }

    /// An argument whose value makes no sense.
    #[cold]
    pub fn value(operation: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Value, operation, message)
    }

    /// The same error, caused by `source`.
    #[must_use]
    pub fn with_source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.0.source = Some(std::sync::Arc::new(source));
        self
    }

    /// The same error, seen from the layer at `path`; outer layers prepend theirs, so an inner path is kept.
    #[must_use]
    pub fn at(mut self, path: &str) -> Self {
        if self.0.path.is_empty() {
            self.0.path.push_str(path);
        }
        self
    }

    /// The kind.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The operation that failed, by the name of its method.
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }

    /// The message without path and operation.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The path of the layer, empty outside one.
    pub fn path(&self) -> &str {
        &self.0.path
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.path.is_empty() {
            write!(f, "{}: ", self.0.path)?;
        }
        if !self.0.operation.is_empty() {
            write!(f, "{}: ", self.0.operation)?;
        }
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} error: {self}", self.0.kind)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|s| s as &(dyn std::error::Error + 'static))
    }
}
