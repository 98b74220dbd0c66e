//! Rules that look at one package at a time.

use super::{Metadata, Package};
use spdx::{Expression, ParseMode};

/// Licenses that what is distributed may be under: permissive ones, of which a notice is all that they ask for.
const LICENSES: &[&str] = &[
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    // tiny-keccak, on WebAssembly only; it asks for no notice even.
    "CC0-1.0",
    // Data: the certificates of webpki-roots.
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    // Data: the tables of unicode-ident.
    "Unicode-3.0",
    "Zlib",
];

/// Crates that must not come in, and what is used instead.
const BANNED: &[(&str, &str)] = &[
    ("bindgen", "it needs libclang; bindings are written or loaded by libloading"),
    ("cmake", "it builds C and C++ with a program that many machines lack"),
    ("native-tls", "it needs a library of the system; rustls is used"),
    ("openssl-sys", "it needs a library of the system; rustls is used"),
    ("tokio", "nothing here is asynchronous; ureq is used"),
];

/// Packages that are folders outside of the workspace, and why.
const STAND_INS: &[(&str, &str)] =
    &[("find_cuda_helper", "cust's build script stops where there is no CUDA toolkit; see Cargo.toml")];

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// What is wrong with these packages, a sentence each.
pub(super) fn faults(metadata: &Metadata) -> Vec<String> {
    let mut faults = Vec::new();
    for package in &metadata.packages {
        let own = metadata.workspace_members.contains(&package.id);
        faults.extend(license(package));
        faults.extend(source(package, own));
        if let Some((name, reason)) = BANNED.iter().find(|(name, _)| *name == package.name) {
            faults.push(format!("{name} is banned: {reason}"));
        }
        if own {
            faults.extend(wildcards(package));
        }
    }
    faults
}

fn license(package: &Package) -> Option<String> {
    let Package { name, version, .. } = package;
    let Some(license) = &package.license else { return Some(format!("{name} {version} names no license")) };
    // Older manifests write OR as a slash.
    match Expression::parse_mode(license, ParseMode::LAX) {
        Ok(expression) if expression.evaluate(|one| LICENSES.contains(&one.to_string().as_str())) => None,
        Ok(_) => {
            Some(format!("{name} {version} is under {license}, which xtask/src/supply_chain/rules.rs does not allow"))
        }
        Err(error) => {
            Some(format!("{name} {version}: its license {license:?} is not an SPDX expression: {}", error.reason))
        }
    }
}

fn source(package: &Package, own: bool) -> Option<String> {
    let Package { name, version, .. } = package;
    match package.source.as_deref() {
        Some(CRATES_IO) => None,
        Some(other) => Some(format!("{name} {version} is from {other}, not from crates.io")),
        None if own || STAND_INS.iter().any(|(known, _)| known == name) => None,
        None => Some(format!("{name} {version} is a folder outside of the workspace")),
    }
}

/// Dependencies on whatever version there is. Those of tests on the workspace's own crates have no version: publishing leaves
/// them out.
fn wildcards(package: &Package) -> impl Iterator<Item = String> {
    let published = |kind: Option<&str>, path: Option<&str>| path.is_none() || kind != Some("dev");
    let any = package.dependencies.iter().filter(move |dependency| {
        dependency.req == "*" && published(dependency.kind.as_deref(), dependency.path.as_deref())
    });
    any.map(|dependency| format!("{} takes any version of {}: give one", package.name, dependency.name))
}

#[cfg(test)]
mod tests {
    use super::super::invented::{metadata, package};
    use super::super::{Dependency, Package};
    use super::faults;

    fn told(package: Package) -> String {
        faults(&metadata(vec![package], &[])).join("; ")
    }

    #[test]
    fn one_of_the_licenses_is_enough_but_all_of_them_where_all_are_needed() {
        for fine in [
            "MIT",
            "MIT/Apache-2.0",
            "GPL-3.0-only OR MIT",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception OR GPL-2.0-only",
        ] {
            assert_eq!(told(package("a", "1.0.0", Some(fine))), "", "{fine}");
        }
        for refused in [
            "GPL-3.0-only",
            "MIT AND GPL-3.0-only",
            "(GPL-3.0-only OR MIT) AND MPL-2.0",
            "MIT WITH Classpath-exception-2.0",
        ] {
            assert!(told(package("a", "1.0.0", Some(refused))).contains("does not allow"), "{refused}");
        }
        assert_eq!(told(package("a", "1.0.0", None)), "a 1.0.0 names no license");
        assert!(told(package("a", "1.0.0", Some("as you like"))).contains("is not an SPDX expression"));
    }

    #[test]
    fn packages_are_from_crates_io_or_the_workspace() {
        let from = |source: Option<&str>| {
            told(Package { source: source.map(str::to_owned), ..package("a", "1.0.0", Some("MIT")) })
        };
        assert!(from(Some("git+https://example.org/a#0123")).contains("a 1.0.0 is from git+https"));
        assert!(from(Some("registry+https://example.org/index")).contains("not from crates.io"));
        assert!(from(None).contains("a folder outside of the workspace"));
        let stand_in = Package { source: None, ..package("find_cuda_helper", "0.2.0", Some("MIT")) };
        assert_eq!(told(stand_in), "");
    }

    #[test]
    fn banned_crates_are_told_with_the_reason() {
        assert!(
            told(package("openssl-sys", "0.9.0", Some("MIT"))).contains("banned: it needs a library of the system")
        );
    }

    #[test]
    fn own_crates_name_versions() {
        let depends = |kind: Option<&str>, path: Option<&str>| {
            let dependency = Dependency {
                name: "b".to_owned(),
                req: "*".to_owned(),
                kind: kind.map(str::to_owned),
                path: path.map(str::to_owned),
            };
            let mut metadata = metadata(vec![], &[]);
            metadata.packages[0].dependencies.push(dependency);
            faults(&metadata)
        };
        assert_eq!(depends(None, None), ["own takes any version of b: give one"]);
        assert_eq!(depends(Some("dev"), None).len(), 1);
        assert_eq!(depends(None, Some("/b")).len(), 1);
        assert!(depends(Some("dev"), Some("/b")).is_empty());
    }
}
