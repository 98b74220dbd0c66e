//! Tests in src of libraries that are not compiled for tests: nothing would run them.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// The files of a folder and of those in it, which end so.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let files = entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] });
    files.filter(|path| path.extension().is_some_and(|ending| ending == "rs")).collect()
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// Whether a program of tests compiles a file (`#[path = "../src/…"]`), or the module in whose folder it stands.
fn is_compiled(file: &str, programs: &str) -> bool {
    let named = |path: &str| programs.contains(&format!("#[path = \"../{path}\"]"));
    named(file) || Path::new(file).ancestors().skip(1).any(|folder| named(&format!("{}/mod.rs", folder.display())))
}

/// The tests of a package that nothing runs, a sentence each.
fn of_package(package: &Value) -> Vec<String> {
    let is_untested = |target: &Value| target["test"] == false && target["kind"][0] == "lib";
    if !package["targets"].as_array().is_some_and(|targets| targets.iter().any(is_untested)) {
        return Vec::new();
    }
    let manifest = Path::new(package["manifest_path"].as_str().unwrap_or_default());
    let home = manifest.parent().unwrap_or(manifest);
    let programs: String = sources(&home.join("tests")).iter().map(|path| text(path)).collect();
    let with_tests = sources(&home.join("src")).into_iter().filter(|path| text(path).contains("#[test]"));
    let files = with_tests.filter_map(|path| Some(path.strip_prefix(home).ok()?.display().to_string()));
    let lost = files.filter(|file| !is_compiled(file, &programs));
    let name = package["name"].as_str().unwrap_or_default();
    lost.map(|file| {
        format!("{name}: nothing runs the tests in {file}: move them to the folder tests, Cargo.toml says why")
    })
    .collect()
}

/// What is wrong with these packages, a sentence each.
pub(crate) fn faults(metadata: &Value) -> Vec<String> {
    metadata["packages"].as_array().into_iter().flatten().flat_map(of_package).collect()
}

#[cfg(test)]
mod tests {
    use super::is_compiled;

    #[test]
    fn a_program_names_a_file_or_its_module() {
        let program =
            "#[path = \"../src/allocator/mod.rs\"]\nmod allocator;\n#[path = \"../src/machine.rs\"]\nmod machine;\n";
        assert!(is_compiled("src/machine.rs", program) && is_compiled("src/allocator/tests.rs", program));
        assert!(!is_compiled("src/layout.rs", program) && !is_compiled("src/machine/other.rs", program));
    }
}
