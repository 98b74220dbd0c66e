//! The example of a crate outside of the workspace, an operation with kernels of its own.

use crate::shell::{self, Result, cargo, root, target};

/// Where it is.
pub(crate) const FOLDER: &str = "crates/kiln/examples/custom-op";

/// Format, lints and tests. Crates of the registry are those that the workspace's tests have built.
pub(crate) fn check() -> Result<()> {
    let commands: [&[&str]; 3] = [
        &["fmt", "--check"],
        &["clippy", "--all-targets", "--features", "sim", "--", "-D", "warnings"],
        &["test", "--features", "sim"],
    ];
    commands.into_iter().try_for_each(|arguments| {
        shell::run(cargo(arguments).current_dir(root().join(FOLDER)).env("CARGO_TARGET_DIR", target()))
    })
}
