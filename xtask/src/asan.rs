//! AddressSanitizer over the crates that hold unsafe code.

use crate::shell::{self, Result, cargo, target};

/// The one target whose standard library is shipped with the sanitizer's run-time and which CI runs on.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Runs the tests of kiln-cpu and kiln-tensor under AddressSanitizer. The stable toolchain ships the sanitizer's run-time;
/// only the flag that links it is held back, hence the bootstrap variable.
pub(crate) fn run() -> Result<()> {
    if cfg!(not(all(target_arch = "x86_64", target_os = "linux", target_env = "gnu"))) {
        println!("sanitizer: skipped, it runs on {TARGET} only");
        return Ok(());
    }
    let tests = ["test", "--target", TARGET, "-p", "kiln-cpu", "-p", "kiln-tensor", "--lib", "--tests"];
    shell::run(
        cargo(&tests)
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTFLAGS", "-Zsanitizer=address")
            // Flags differ, so a folder of its own: else this and the plain build would undo each other.
            .env("CARGO_TARGET_DIR", target().join("asan"))
            // Fewer random cases: each costs several times what it does without.
            .env("PROPTEST_CASES", "32"),
    )
}
