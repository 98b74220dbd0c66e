//! Where a profile counts what runs under a context.

use super::Ctx;
use kiln_tensor::profile::{Entered, Phase, enter_layer};

impl Ctx {
    /// Where a [profile](kiln_tensor::profile) counts what runs under this context.
    #[inline]
    pub fn phase(&self) -> Phase {
        if self.is_training() { Phase::Forward } else { Phase::Evaluation }
    }

    /// Counts what follows, until the value is dropped, for the layer of this type that is here.
    #[inline]
    pub(super) fn profiled<'n>(&'n self, layer: impl FnOnce() -> &'n str) -> Entered {
        enter_layer(self.phase(), |of| self.place.with(layer(), |here| of(here.path, here.layer)))
    }
}
