//! The crate that kernels are compiled from.

use super::ARCHITECTURES;
use crate::shell::{Result, cargo, read, root};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The folder of Kiln's own.
const OWN: &str = "gpu-kernels";

/// A crate of kernels.
pub(super) struct Source {
    /// Where its Cargo.toml is.
    pub(super) folder: PathBuf,
    /// The package's name.
    pub(super) package: String,
    /// The library's name, as files have it.
    pub(super) library: String,
}

/// Package and library of the manifest at a path, of what `cargo metadata --no-deps` prints.
fn named(metadata: &Value, manifest: &Path) -> Option<(String, String)> {
    let here = |package: &&Value| package["manifest_path"].as_str().is_some_and(|path| Path::new(path) == manifest);
    let package = metadata["packages"].as_array()?.iter().find(here)?;
    let library = |target: &&Value| {
        target["crate_types"].as_array().is_some_and(|types| types.iter().any(|kind| kind == "lib" || kind == "rlib"))
    };
    let library = package["targets"].as_array()?.iter().find(library)?["name"].as_str()?;
    Some((package["name"].as_str()?.to_owned(), library.replace('-', "_")))
}

impl Source {
    /// The crate in a folder.
    ///
    /// # Errors
    /// If there is no package with a library.
    pub(super) fn of(folder: &Path) -> Result<Self> {
        let told = |error: &dyn std::fmt::Display| format!("{}: {error}", folder.display());
        let folder = folder.canonicalize().map_err(|error| told(&error))?;
        let text = read(cargo(&["metadata", "--no-deps", "--format-version", "1"]).current_dir(&folder))?;
        let metadata = serde_json::from_str(&text).map_err(|error| told(&error))?;
        let (package, library) = named(&metadata, &folder.join("Cargo.toml"))
            .ok_or_else(|| told(&"there is no package with a library; name the folder of one"))?;
        Ok(Source { folder, package, library })
    }

    /// Kiln's own.
    pub(super) fn own() -> Result<Self> {
        Source::of(&root().join(OWN))
    }

    /// Where an architecture's PTX is kept.
    pub(super) fn path(&self, architecture: &str) -> PathBuf {
        self.folder.join("ptx").join(format!("{architecture}.ptx"))
    }

    /// The same, as messages name it.
    pub(super) fn shown(&self, architecture: &str) -> String {
        let path = self.path(architecture);
        path.strip_prefix(root()).unwrap_or(&path).display().to_string()
    }

    /// The command that makes it.
    pub(super) fn again(&self) -> String {
        let folder = self.folder.strip_prefix(root()).unwrap_or(&self.folder);
        let own = folder == Path::new(OWN);
        let which = if own { String::new() } else { format!(" --crate {}", folder.display()) };
        format!("cargo xtask build-kernels{which}")
    }

    /// The PTX that is there; nothing where there is none.
    pub(super) fn committed(&self) -> [String; 2] {
        ARCHITECTURES.map(|architecture| std::fs::read_to_string(self.path(architecture)).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::named;
    use serde_json::json;
    use std::path::Path;

    #[test]
    fn a_package_is_found_by_its_manifest() {
        let package = |name: &str, kind: &str| {
            let target = json!({ "name": name, "crate_types": [kind] });
            json!({ "name": name, "manifest_path": format!("/home/user/{name}/Cargo.toml"), "targets": [target] })
        };
        let metadata = json!({ "packages": [package("program", "bin"), package("my-op", "lib")] });
        let found = |path| named(&metadata, Path::new(path));
        assert_eq!(found("/home/user/my-op/Cargo.toml"), Some(("my-op".into(), "my_op".into())));
        assert_eq!([found("/home/user/program/Cargo.toml"), found("/home/user/Cargo.toml")], [None, None]);
    }
}
