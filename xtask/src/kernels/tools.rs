//! NVIDIA's assembler and disassembler: found, or installed from Python's package index.

use crate::shell::{self, Result, command, found, target};
use std::path::{Path, PathBuf};

/// What is used; the disassembler cuobjdump calls nvdisasm.
const PROGRAMS: [&str; 3] = ["ptxas", "cuobjdump", "nvdisasm"];
/// Python's packages of them, which need no GPU and no CUDA.
const PACKAGES: [&str; 3] =
    ["nvidia-cuda-nvcc==13.5.37", "nvidia-cuda-cuobjdump==13.5.37", "nvidia-cuda-nvdisasm==13.5.37"];
/// Where CUDA's installers put theirs.
const CUDA: &str = "/usr/local/cuda/bin";

/// A folder that has the programs.
pub(super) struct Tools(PathBuf);

impl Tools {
    /// One of the programs, with its siblings on its path.
    pub(super) fn program(&self, name: &str) -> std::process::Command {
        let others = std::env::var_os("PATH").unwrap_or_default();
        let paths = std::iter::once(self.0.clone()).chain(std::env::split_paths(&others));
        let mut program = std::process::Command::new(self.0.join(name));
        if let Ok(paths) = std::env::join_paths(paths) {
            program.env("PATH", paths);
        }
        program
    }
}

/// Where the packages are installed to.
fn own() -> PathBuf {
    target().join("ptx-tools")
}

/// The `bin` folders of NVIDIA's packages: each is in `nvidia/<its part of CUDA>`.
fn parts(nvidia: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(nvidia).into_iter().flatten().flatten();
    entries.map(|entry| entry.path().join("bin")).collect()
}

/// Where the packages of the Python on the path are, if it has some.
fn installed() -> Vec<PathBuf> {
    let code = "import importlib.util as u; s = u.find_spec('nvidia'); print(*s.submodule_search_locations if s else (), sep='\\n')";
    let text = shell::read(&mut command("python3", &["-c", code])).unwrap_or_default();
    text.lines().flat_map(|line| parts(Path::new(line))).collect()
}

fn at_hand() -> Option<Tools> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let has_all = |folder: &PathBuf| PROGRAMS.iter().all(|program| folder.join(program).is_file());
    let mut folders = std::env::split_paths(&path).chain([CUDA.into()]).chain(parts(&own().join("nvidia")));
    folders.find(has_all).or_else(|| installed().into_iter().find(has_all)).map(Tools)
}

/// The tools that are here, else (where `install` allows it and pip is here) newly installed ones.
///
/// # Errors
/// How to get them, where there are none.
pub(super) fn find(install: bool) -> Result<Tools> {
    if let Some(tools) = at_hand() {
        return Ok(tools);
    }
    let how =
        format!("ptxas, cuobjdump and nvdisasm are in no folder of the path; `pip install {}`", PACKAGES.join(" "));
    if !install || !found("python3") {
        return Err(format!("{how} brings them"));
    }
    let mut pip = command(
        "python3",
        &[
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--disable-pip-version-check",
            "--root-user-action",
            "ignore",
        ],
    );
    shell::run(pip.arg("--target").arg(own()).args(PACKAGES)).map_err(|error| format!("{how}, but {error}"))?;
    at_hand().ok_or_else(|| format!("{how} does not bring them"))
}
