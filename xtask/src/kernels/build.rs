//! A crate of kernels, compiled to PTX.

use super::compiler::Compiler;
use super::ptx;
use super::source::Source;
use crate::shell::{Result, target};
use std::process::Command;

/// The device's target.
const TARGET: &str = "nvptx64-nvidia-cuda";

/// The flags of the device build, for an architecture.
///
/// MIR's jump threading copies a barrier into both arms of a condition. A panic becomes a `trap` in its place. PTX 8.0 is the
/// first that knows sm_90a, and every driver since CUDA 12.0 reads it.
fn flags(architecture: &str) -> String {
    format!(
        "-Ctarget-cpu={architecture} -Ctarget-feature=+ptx80 -Zmir-enable-passes=-JumpThreading -Zunstable-options \
         -Cpanic=immediate-abort"
    )
}

/// What the compiler says of `+ptx80`: no fault, and nothing else says which PTX is wanted.
const EXPECTED: &str = "warning: unstable feature specified for `-Ctarget-feature`: `ptx80`";

/// The compiler's messages without the one that is expected.
fn unexpected(messages: &str) -> String {
    let paragraphs = messages.split("\n\n").filter(|paragraph| !paragraph.trim_start().starts_with(EXPECTED));
    paragraphs.collect::<Vec<_>>().join("\n\n").trim().to_owned()
}

/// The profile of the device build, wherever the crate's workspace is: its assembly is the whole PTX when it is one unit.
const PROFILE: [&str; 6] = [
    "--config",
    "profile.ptx.inherits=\"release\"",
    "--config",
    "profile.ptx.lto=\"fat\"",
    "--config",
    "profile.ptx.codegen-units=1",
];

/// The PTX of one architecture.
fn one(source: &Source, compiler: &Compiler, architecture: &str) -> Result<String> {
    // A folder for each: the output's name does not tell the architecture.
    let folder = target().join("ptx").join(architecture);
    let mut command = Command::new(&compiler.cargo);
    command.args(["rustc", "--quiet", "--lib", "--profile", "ptx", "--crate-type", "cdylib"]).args(PROFILE);
    command.args(["-Zbuild-std=core", "--target", TARGET, "--color", "never", "--", "--emit=asm"]);
    // What the cargo that runs this program, or its caller, says of another compiler and of other flags.
    for variable in ["CARGO", "RUSTUP_TOOLCHAIN", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTC_WRAPPER"] {
        command.env_remove(variable);
    }
    command.current_dir(&source.folder);
    command.env("RUSTC", &compiler.rustc).env("CARGO_TARGET_DIR", &folder);
    // The flags and build-std are nightly's, and any compiler's under this variable.
    command.env("RUSTC_BOOTSTRAP", "1");
    // With one unit and whole-program optimization the assembly is all there is: nothing is left to link.
    command.env("CARGO_TARGET_NVPTX64_NVIDIA_CUDA_LINKER", "true");
    command.env("CARGO_TARGET_NVPTX64_NVIDIA_CUDA_RUSTFLAGS", flags(architecture));
    let output = command.output().map_err(|error| format!("{}: {error}", compiler.cargo.display()))?;
    let messages = unexpected(&String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        return Err(format!("{} does not compile for {architecture}:\n{messages}", source.package));
    }
    if !messages.is_empty() {
        eprintln!("{architecture}:\n{messages}");
    }
    let path = folder.join(TARGET).join(format!("ptx/deps/{}.s", source.library));
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(ptx::tidied(&text, &source.package, &compiler.version))
}

/// The PTX of each architecture, built at the same time.
pub(super) fn all(source: &Source, compiler: &Compiler, architectures: &[&str]) -> Result<Vec<String>> {
    std::thread::scope(|scope| {
        let builds: Vec<_> =
            architectures.iter().map(|name| scope.spawn(move || one(source, compiler, name))).collect();
        let joined =
            builds.into_iter().map(|build| build.join().map_err(|_| "a build's thread panicked".to_owned())?);
        joined.collect()
    })
}

#[cfg(test)]
mod tests {
    use super::{EXPECTED, unexpected};

    #[test]
    fn only_the_expected_warning_is_dropped() {
        let expected = format!("{EXPECTED}\n  |\n  = note: this feature is not stably supported\n\n");
        assert_eq!(unexpected(&expected.repeat(2)), "");
        assert_eq!(unexpected(&format!("{expected}warning: unused\n --> a\n\n{expected}")), "warning: unused\n --> a");
    }
}
