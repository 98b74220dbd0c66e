//! A compiler that can build `core` for the device: one that has core's source.

use crate::shell::{self, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Names a compiler, as `--rustc` does.
const VARIABLE: &str = "KILN_PTX_RUSTC";
/// Where Debian's packages rustc-web and cargo-web put theirs, beside rustup's.
const DEBIAN: &str = "/usr/bin/rustc";

/// A compiler and what it says of itself.
pub(super) struct Compiler {
    /// The compiler.
    pub(super) rustc: PathBuf,
    /// The cargo beside it.
    pub(super) cargo: PathBuf,
    /// Its version and its LLVM's: what the PTX depends on.
    pub(super) version: String,
}

/// Whether the environment names a compiler.
pub(super) fn is_named() -> bool {
    std::env::var_os(VARIABLE).is_some()
}

/// The numbers of a version: `1.96.0-nightly` is [1, 96, 0].
fn numbers(version: &str) -> Vec<u64> {
    let bare = version.split(['-', '+']).next().unwrap_or_default();
    bare.split('.').map_while(|number| number.parse().ok()).collect()
}

/// The version and LLVM's version, in one line, and the release's number, of what `rustc -vV` prints.
fn described(text: &str) -> Option<(String, &str)> {
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    Some((format!("{}, LLVM {}", text.lines().next()?, field("LLVM version:")?), field("release:")?))
}

/// The compiler at a path, or what it lacks.
fn examine(rustc: &Path) -> Result<Compiler> {
    let shown = rustc.display();
    let read = |argument: &[&str]| {
        // A cargo that runs this program may have chosen rustup's toolchain for its children.
        let output = Command::new(rustc).args(argument).env_remove("RUSTUP_TOOLCHAIN").output();
        let output = output.ok().filter(|output| output.status.success());
        output.and_then(|output| String::from_utf8(output.stdout).ok()).ok_or_else(|| format!("{shown} does not run"))
    };
    let text = read(&["-vV"])?;
    let (version, release) = described(&text).ok_or_else(|| format!("{shown} does not tell its version"))?;
    let least = env!("CARGO_PKG_RUST_VERSION");
    if numbers(release) < numbers(least) {
        return Err(format!("{shown} is {release}, older than {least}"));
    }
    let sysroot = read(&["--print", "sysroot"])?;
    if !Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/core").is_dir() {
        return Err(format!("{shown} has no source of core"));
    }
    let cargo = rustc.with_file_name("cargo");
    if !cargo.is_file() {
        return Err(format!("{shown} has no cargo beside it"));
    }
    Ok(Compiler { rustc: rustc.to_path_buf(), cargo, version })
}

/// The compilers that this machine may have.
fn candidates() -> Vec<PathBuf> {
    let rustup = |toolchain| {
        let path = Command::new("rustup").args(["which", "--toolchain", toolchain, "rustc"]).output().ok()?;
        let path = String::from_utf8(path.stdout).ok().filter(|_| path.status.success())?;
        Some(PathBuf::from(path.trim()))
    };
    let current = shell::read(&mut shell::command("rustc", &["--print", "sysroot"]));
    let current = current.ok().map(|sysroot| Path::new(sysroot.trim()).join("bin/rustc"));
    let mut paths: Vec<PathBuf> =
        [Some(DEBIAN.into()), current, rustup("nightly")].into_iter().flatten().filter(|path| path.is_file()).collect();
    paths.dedup();
    paths
}

/// The compiler that `named` or the environment names, or the best that is found: the one whose version is `wanted`, else
/// the first that will do.
///
/// # Errors
/// What is wrong with the one that is named; or how to get one, where none is found.
pub(super) fn find(named: Option<&Path>, wanted: Option<&str>) -> Result<Compiler> {
    let variable = std::env::var_os(VARIABLE).map(PathBuf::from);
    if let Some(named) = named.map(Path::to_path_buf).or(variable) {
        return examine(&named);
    }
    let (mut found, mut lacking) = (Vec::new(), Vec::new());
    for path in candidates() {
        match examine(&path) {
            Ok(compiler) => found.push(compiler),
            Err(lack) => lacking.push(lack),
        }
    }
    let best = found.iter().position(|compiler| Some(compiler.version.as_str()) == wanted).unwrap_or(0);
    if best < found.len() {
        return Ok(found.swap_remove(best));
    }
    let tried = if lacking.is_empty() { String::new() } else { format!(" ({})", lacking.join("; ")) };
    Err(format!(
        "no Rust compiler with the source of core is here{tried}: `apt-get install rustc-web cargo-web rust-web-src` or \
         `rustup toolchain install nightly --component rust-src` brings one, and --rustc or {VARIABLE} names another"
    ))
}

#[cfg(test)]
mod tests {
    use super::{described, numbers};

    #[test]
    fn versions_are_compared_by_their_numbers() {
        assert!(numbers("1.100.0") > numbers("1.95") && numbers("1.97.0-nightly") == [1, 97, 0]);
        assert!(numbers("1.85.0") < numbers("1.95") && numbers("1.95.0") >= numbers("1.95"));
    }

    #[test]
    fn a_compiler_is_described_by_its_version_and_llvms() {
        let text = "rustc 1.96.0 (ac68faa20 2026-05-25)\nbinary: rustc\nrelease: 1.96.0\nLLVM version: 22.1.8\n";
        let line = "rustc 1.96.0 (ac68faa20 2026-05-25), LLVM 22.1.8".to_owned();
        assert_eq!(described(text), Some((line, "1.96.0")));
        assert_eq!(described("rustc 1.96.0"), None);
    }
}
