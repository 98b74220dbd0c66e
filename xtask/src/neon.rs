//! The tests of the kernels for AArch64, on this machine by emulation.

use crate::shell::{self, Result, cargo, command, found, target};
use std::path::Path;

const TARGET: &str = "aarch64-unknown-linux-gnu";
const LINKER: &str = "aarch64-linux-gnu-gcc";
const EMULATOR: &str = "qemu-aarch64";

/// Where the standard library for AArch64 comes from.
enum Standard {
    /// Installed by rustup.
    Installed,
    /// Built from Debian's rust-web-src by Debian's compiler of the same version.
    FromSource,
}

fn standard() -> Option<Standard> {
    let directory = shell::read(&mut command("rustc", &["--print", "target-libdir", "--target", TARGET]));
    if directory.is_ok_and(|directory| Path::new(directory.trim()).is_dir()) {
        return Some(Standard::Installed);
    }
    let source = shell::read(&mut command("/usr/bin/rustc", &["--print", "sysroot"])).ok()?;
    let source = Path::new(source.trim()).join("lib/rustlib/src/rust/library");
    (Path::new("/usr/bin/cargo").exists() && source.is_dir()).then_some(Standard::FromSource)
}

/// Runs the tests, or says what is missing.
pub(crate) fn run() -> Result<()> {
    let missing: Vec<&str> = [LINKER, EMULATOR].into_iter().filter(|program| !found(program)).collect();
    let Some(standard) = standard().filter(|_| missing.is_empty()) else {
        println!(
            "neon: skipped; it needs {LINKER}, {EMULATOR} and a standard library: Debian's gcc-aarch64-linux-gnu and \
             qemu-user, and `rustup target add {TARGET}` or Debian's rustc-web, cargo-web, rust-web-src"
        );
        return Ok(());
    };
    let tests = ["test", "--target", TARGET, "-p", "kiln-math", "-p", "kiln-cpu", "--lib", "--tests"];
    let mut tests = match standard {
        Standard::Installed => cargo(&tests),
        Standard::FromSource => {
            let mut debian = command("/usr/bin/cargo", &tests);
            debian.arg("-Zbuild-std").env("RUSTC_BOOTSTRAP", "1");
            debian.env("RUSTC", "/usr/bin/rustc").env("RUSTDOC", "/usr/bin/rustdoc").env_remove("CARGO");
            debian
        }
    };
    shell::run(
        tests
            .env("CARGO_TARGET_DIR", target().join("neon"))
            .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", LINKER)
            .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER", format!("{EMULATOR} -L /usr/aarch64-linux-gnu"))
            .env("PROPTEST_CASES", "32"),
    )
}
