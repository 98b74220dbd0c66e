//! Losses.

use super::Answer;
use super::case::Case;

pub(super) fn run(_case: &Case) -> Answer {
    None
}
