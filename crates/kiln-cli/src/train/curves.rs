//! The picture of a training's curves, as part of its folder.

use crate::drawing::{Curve, curves};
use crate::log::Log;
use crate::run_folder::{CURVES, HISTORY, name};
use kiln::prelude::*;
use std::path::{Path, PathBuf};

/// Draws the curves once the training ends.
pub(super) struct Curves {
    folder: PathBuf,
    /// Why they could not be drawn.
    failed: Option<Error>,
}

impl Curves {
    pub(super) fn new(folder: &Path) -> Curves {
        Curves { folder: folder.to_owned(), failed: None }
    }

    /// Why they could not be drawn: a picture is not worth a training.
    pub(super) fn take_error(&mut self) -> Option<Error> {
        self.failed.take()
    }

    fn draw(&mut self, run: &mut Run<'_>) {
        let history = History { epochs: run.state.history.clone(), ..History::default() };
        if history.epochs.is_empty() {
            return;
        }
        let log = Log::parse(&history.to_csv(), &self.folder.join(HISTORY));
        match log.and_then(|log| curves(&[Curve { name: name(&self.folder), log }])) {
            Ok(picture) => run.attach(CURVES, picture),
            Err(error) => self.failed = Some(error),
        }
    }
}

impl Callback for Curves {
    fn on_epoch_end(&mut self, run: &mut Run<'_>, _: &EpochRecord) -> Result<()> {
        if run.is_stopping() {
            self.draw(run);
        }
        Ok(())
    }

    fn on_fit_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        self.draw(run);
        Ok(())
    }

    fn on_failure(&mut self, run: &mut Run<'_>, _: &Error) -> Result<()> {
        self.draw(run);
        Ok(())
    }
}
