//! What happens when a log cannot be written.

use kiln_tensor::{Error, ErrorKind, Result};
use std::fmt;

/// The failures of a log in a `fit`. Files that cannot be made before the first epoch are an error. After that the training is worth more
/// than its log: the first failure is told and kept, and the training goes on.
#[derive(Default)]
pub(super) struct Failures {
    tell: Option<Tell>,
    /// Whether the files were there before the first epoch.
    begun: bool,
    first: Option<Error>,
}

type Tell = Box<dyn FnMut(&Error) + Send>;

impl fmt::Debug for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failures").field("first", &self.first).finish()
    }
}

impl Failures {
    /// Calls this with the first failure of each `fit`.
    pub(super) fn told_to(tell: impl FnMut(&Error) + Send + 'static) -> Self {
        Failures { tell: Some(Box::new(tell)), ..Failures::default() }
    }

    /// The first failure of this `fit`.
    pub(super) fn first(&self) -> Option<&Error> {
        self.first.as_ref()
    }

    pub(super) fn begin_fit(&mut self) {
        (self.begun, self.first) = (false, None);
    }

    /// With what making the files came to, at the beginning of each epoch.
    pub(super) fn begin_epoch(&mut self, made: Result<()>) -> Result<()> {
        if std::mem::replace(&mut self.begun, true) { self.written(made) } else { made }
    }

    /// With what writing came to: files that cannot be written are no error here. Each further write tries again.
    pub(super) fn written(&mut self, written: Result<()>) -> Result<()> {
        let error = match written {
            Err(error) if error.kind() == ErrorKind::Io => error,
            other => return other,
        };
        if self.first.is_none() {
            if let Some(tell) = &mut self.tell {
                tell(&error);
            }
            self.first = Some(error);
        }
        Ok(())
    }
}

/// The methods of a log by which its user learns of failures.
macro_rules! on_failure {
    ($log:ident) => {
        impl $log {
            /// Calls this with the error when the log cannot be written, once in a `fit`. The training goes on, and each later write is tried
            /// again. (Files that cannot be made before the first epoch are an error of `fit`.)
            #[must_use]
            pub fn on_failure(self, f: impl FnMut(&kiln_tensor::Error) + Send + 'static) -> Self {
                $log { failures: crate::callbacks::logs::failures::Failures::told_to(f), ..self }
            }

            /// The first error of the last `fit` in writing the log; none where all of it was written.
            pub fn failure(&self) -> Option<&kiln_tensor::Error> {
                self.failures.first()
            }
        }
    };
}
pub(super) use on_failure;
