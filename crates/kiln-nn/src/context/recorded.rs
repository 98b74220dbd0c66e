//! A pass in which layers tell how they use their parameters.

use super::Ctx;
use crate::per_sample::Recorder;

impl Ctx {
    /// The same, where layers tell how they use their parameters.
    pub(crate) fn with_recorder(mut self) -> Self {
        self.recorder = Some(Box::default());
        self
    }

    /// What layers tell it to.
    #[inline]
    pub(crate) fn recorder(&self) -> Option<&Recorder> {
        self.recorder.as_deref()
    }

    /// What layers have told.
    pub(crate) fn into_recorder(self) -> Option<Recorder> {
        self.recorder.map(|recorder| *recorder)
    }
}
