//! Samples with channels last, (H, W, C), where (C, H, W) is expected.

use kiln_tensor::{Error, Result, Shape};

/// Fails where the shape that a user builds a model for looks like channels last.
pub(super) fn expect_channels_first(sample: &Shape, axes: usize) -> Result<()> {
    if !looks_last(sample, axes) {
        return Ok(());
    }
    let (positions, channels) = sample.split_at(axes);
    let message = format!(
        "shape {sample} looks like channels last {}, and Kiln takes {}: use build({:?}) and {}, or, where {} channels are \
         meant, Sequential::channels_first()",
        last(axes),
        first(axes),
        [channels, positions].concat(),
        permuted(axes),
        sample[0],
    );
    Err(Error::shape("build", message))
}

/// Fails where the samples of a batch have last the channels that a model was built to take first.
#[cold]
pub(super) fn expect_layout(sample: &[usize], built: &Shape, axes: usize) -> Result<()> {
    let (Some(&channels), Some(&before)) = (built.first(), sample.first()) else { return Ok(()) };
    let swapped = (1..=3).contains(&axes) && sample.len() == axes + 1 && sample[axes] == channels && before != channels;
    // Of another size where the layers take any.
    if built.len() != axes + 1 || !swapped || sample[..axes] != built[1..] && !looks_last(sample, axes) {
        return Ok(());
    }
    let message = format!(
        "samples {} look like channels last {}, and the model was built for {built}, {}: {}",
        Shape::new(sample)?,
        last(axes),
        first(axes),
        permuted(axes),
    );
    Err(Error::shape("forward", message))
}

/// Whether a sample has the number of channels of an image (gray, RGB, RGBA) last, and many positions before. Of a sequence
/// they must be many more: (8, 4) may well be 8 channels.
fn looks_last(sample: &[usize], axes: usize) -> bool {
    let &[ref positions @ .., channels] = sample else { return false };
    let few = if axes == 1 { 4 * channels } else { 4 };
    (1..=3).contains(&axes)
        && positions.len() == axes
        && matches!(channels, 1 | 3 | 4)
        && positions.iter().all(|&size| size > few)
}

const fn first(axes: usize) -> &'static str {
    ["(channels, length)", "(channels, height, width)", "(channels, depth, height, width)"][axes - 1]
}

const fn last(axes: usize) -> &'static str {
    ["(length, channels)", "(height, width, channels)", "(depth, height, width, channels)"][axes - 1]
}

/// How data with channels last is brought into order.
fn permuted(axes: usize) -> String {
    let order = ["[0, 2, 1]", "[0, 3, 1, 2]", "[0, 4, 1, 2, 3]"][axes - 1];
    format!("permute the data with inputs.permute(&{order})")
}
