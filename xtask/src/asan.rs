//! AddressSanitizer over the crates that hold unsafe code.

use crate::shell::{self, Result, cargo, target};
use std::process::Command;

/// The one target whose standard library is shipped with the sanitizer's run-time and which CI runs on.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Tests of kiln-tensor that read where they must not: of a buffer's end, of its life's.
const SEEN: [(&str, &str); 2] =
    [("one_byte_beyond_a_buffer", "heap-buffer-overflow"), ("a_buffer_after_its_end", "heap-use-after-free")];

/// Runs the tests of kiln-cpu and kiln-tensor under AddressSanitizer, with buffers of exact sizes that go back at
/// once; before, proves that it sees what lies beyond one. The stable toolchain ships the sanitizer's run-time; only the flag that
/// links it is held back, hence the bootstrap variable.
pub(crate) fn run() -> Result<()> {
    if cfg!(not(all(target_arch = "x86_64", target_os = "linux", target_env = "gnu"))) {
        println!("sanitizer: skipped, it runs on {TARGET} only");
        return Ok(());
    }
    for (test, fault) in SEEN {
        sees(test, fault)?;
    }
    shell::run(&mut tests(&["-p", "kiln-cpu", "-p", "kiln-tensor", "--lib", "--tests"]))
}

/// `cargo test` of these under the sanitizer.
fn tests(which: &[&str]) -> Command {
    let mut command = cargo(&["test", "--target", TARGET]);
    command
        .args(which)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTFLAGS", "-Zsanitizer=address --cfg kiln_exact_alloc")
        // Flags differ, so a folder of its own: else this and the plain build would undo each other.
        .env("CARGO_TARGET_DIR", target().join("asan"))
        // Its reports name lines.
        .env("CARGO_PROFILE_DEV_DEBUG", "line-tables-only")
        // Fewer random cases: each costs several times what it does without.
        .env("PROPTEST_CASES", "32")
        // A size beyond memory is an error of Kiln's, not of the sanitizer's.
        .env("ASAN_OPTIONS", "allocator_may_return_null=1");
    command
}

/// Expects the sanitizer to end a test with this fault.
fn sees(test: &str, fault: &str) -> Result<()> {
    let mut command = tests(&["-p", "kiln-tensor", "--lib", "--", "--ignored", test]);
    let output = command.output().map_err(|error| format!("cannot start {command:?}: {error}"))?;
    let report = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() && report.contains(fault) {
        println!("sanitizer: stops {test} ({fault})");
        return Ok(());
    }
    Err(format!("the sanitizer does not stop {test} with {fault}:\n{report}"))
}
