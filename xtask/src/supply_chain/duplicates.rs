//! Several versions of one crate.

use super::{Metadata, Node};
use std::collections::{BTreeMap, BTreeSet};

/// Versions that may be there beside another one: crate, the beginning of the version, why.
const PERMITTED: &[(&str, &str, &str)] = &[
    ("base64", "0.13.", "of spm_precompiled, of tokenizers, which is used with the feature `tokenizers` only"),
    ("bitflags", "1.", "of cust, which is used with the feature `cuda` only"),
    ("equator", "0.2.", "of nano-gemm, of faer, which is used with the feature `linalg` only"),
    ("equator-macro", "0.2.", "of equator 0.2, as above"),
    ("getrandom", "0.3.", "of ahash, of arrow-array, which is used with the feature `parquet` only"),
    ("getrandom", "0.4.", "of jobserver, of zstd-sys, which is used with the feature `parquet` only"),
    ("miniz_oxide", "0.8.", "of png 0.18, which has not followed flate2 to 0.9"),
    ("r-efi", "5.", "of getrandom 0.3, as above"),
    ("rand_core", "0.9.", "of rand 0.9, of tokenizers, which is used with the feature `tokenizers` only"),
    ("syn", "1.", "of cust and faer, which are used with the features `cuda` and `linalg` only"),
    ("syn", "2.", "of faer and zerocopy-derive, which are used with the features `linalg` and `parquet` only"),
    ("thiserror", "1.", "of sysctl, of faer, which is used with the feature `linalg` only"),
    ("thiserror-impl", "1.", "of thiserror 1, as above"),
    ("windows-sys", "0.52.", "of ring 0.17, on Windows only"),
    ("windows-sys", "0.59.", "of corosensei 0.3, on Windows only"),
];

/// The packages that the workspace's crates are built with, tests aside.
fn built(metadata: &Metadata) -> BTreeSet<&str> {
    let nodes: BTreeMap<&str, &Node> = metadata.resolve.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
    let mut found = BTreeSet::new();
    let mut left: Vec<&str> = metadata.workspace_members.iter().map(String::as_str).collect();
    while let Some(id) = left.pop() {
        if found.insert(id) {
            let edges = nodes.get(id).into_iter().flat_map(|node| &node.deps);
            let used = edges.filter(|edge| edge.dep_kinds.iter().any(|kind| kind.kind.as_deref() != Some("dev")));
            left.extend(used.map(|edge| edge.pkg.as_str()));
        }
    }
    found
}

/// Crates with more versions than are permitted, and permissions that nothing needs, a sentence each.
pub(super) fn faults(metadata: &Metadata) -> Vec<String> {
    judge(metadata, PERMITTED)
}

fn judge(metadata: &Metadata, permitted: &[(&str, &str, &str)]) -> Vec<String> {
    let built = built(metadata);
    let mut versions = BTreeMap::<&str, Vec<&str>>::new();
    for package in metadata.packages.iter().filter(|package| built.contains(package.id.as_str())) {
        versions.entry(&package.name).or_default().push(&package.version);
    }
    let permits = |name: &str, version: &str| {
        permitted.iter().any(|(known, beginning, _)| *known == name && version.starts_with(beginning))
    };
    let several = versions
        .iter()
        .filter(|(name, versions)| versions.iter().filter(|version| !permits(name, version)).count() > 1);
    let several =
        several.map(|(name, versions)| format!("{name} is there in several versions: {}", versions.join(", ")));
    let needless = permitted.iter().filter(|(name, beginning, _)| {
        let versions = versions.get(name).map_or(&[][..], Vec::as_slice);
        versions.len() < 2 || !versions.iter().any(|version| version.starts_with(beginning))
    });
    let needless = needless.map(|(name, beginning, _)| {
        format!("{name} {beginning}* is not there beside another version: xtask/src/supply_chain/duplicates.rs need not permit it")
    });
    several.chain(needless).collect()
}

#[cfg(test)]
mod tests {
    use super::super::invented::{metadata, package};
    use super::judge;

    fn told(versions: &[&str], development: &[&str], permitted: &[(&str, &str, &str)]) -> Vec<String> {
        let packages = versions.iter().map(|version| package("a", version, Some("MIT"))).collect();
        judge(&metadata(packages, development), permitted)
    }

    #[test]
    fn a_second_version_needs_a_permission() {
        assert!(told(&["1.0.0"], &[], &[]).is_empty());
        assert_eq!(told(&["1.0.0", "2.0.0"], &[], &[]), ["a is there in several versions: 1.0.0, 2.0.0"]);
        assert!(told(&["1.0.0", "2.0.0"], &[], &[("a", "1.", "why")]).is_empty());
        // It is for that version alone.
        assert_eq!(told(&["1.0.0", "2.0.0", "3.0.0"], &[], &[("a", "1.", "why")]).len(), 1);
        assert_eq!(told(&["10.0.0", "2.0.0"], &[], &[("a", "1.", "why")]).len(), 2);
        // What tests alone use costs nobody anything.
        assert!(told(&["1.0.0", "2.0.0"], &["a 1.0.0"], &[]).is_empty());
    }

    #[test]
    fn a_permission_that_nothing_needs_is_told() {
        for versions in [&["2.0.0"][..], &["1.0.0"], &[]] {
            assert!(told(versions, &[], &[("a", "1.", "why")])[0].contains("need not permit it"));
        }
    }
}
