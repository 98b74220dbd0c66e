//! `kiln devices`.

use crate::report::plain;

/// One line for each name that `--device` takes.
pub(crate) fn run() {
    for (name, what) in kiln::devices() {
        plain(&format!("{name:7} {what}"));
    }
}
