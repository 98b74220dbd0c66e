//! A loss that is no number, and where that began.

use crate::Objective;
use kiln_datasets::Batch;
use kiln_nn::{Ctx, NotFinite};
use kiln_tensor::{Error, ErrorKind};

/// The error of a loss that is not finite. The forward pass of its batch is run once more, with `ctx` as it was, to find the
/// first values on the way that are not finite: looking at each layer's values in every step would cost more than they do.
#[cold]
pub(crate) fn diverged<O: Objective>(objective: &O, batch: &Batch, ctx: Ctx, place: &str, loss: f64) -> Error {
    let ctx = ctx.recording(false).with_probe(NotFinite::default());
    // It ran before; should it fail now, what it came to see until then still counts.
    let _ = objective.loss(batch, &ctx);
    let cause = match ctx.probe::<NotFinite>().and_then(NotFinite::found) {
        Some(values) => format!(
            "the first values that are not finite are {values}: a smaller learning rate, or inputs in a smaller range, \
             may help"
        ),
        None => "the values of all layers are finite: it comes from the targets, the loss or a penalty".to_owned(),
    };
    Error::new(ErrorKind::Diverged, "fit", format!("the {place} is {loss}; {cause}"))
}
