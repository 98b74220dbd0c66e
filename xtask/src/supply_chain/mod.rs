//! What Kiln takes from others: licenses, sources, banned crates, several versions of one crate.

mod duplicates;
mod fresh;
mod rules;

use crate::layers::BUDGETS;
use crate::shell::{Result, cargo, read, root};
use crate::trees;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::Path;

/// Which dependencies are checked.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Those that cargo chooses today without Cargo.lock, as it does for a program that uses Kiln; this asks crates.io
    #[arg(long)]
    fresh: bool,
}

/// The output of `cargo metadata`, as much of it as is needed.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
    workspace_members: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    /// None for a folder.
    source: Option<String>,
    dependencies: Vec<Dependency>,
}

/// A line of a manifest.
#[derive(Deserialize)]
struct Dependency {
    name: String,
    req: String,
    kind: Option<String>,
    path: Option<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

/// A package and what it uses, with all features and for all targets.
#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Edge>,
}

#[derive(Deserialize)]
struct Edge {
    pkg: String,
    dep_kinds: Vec<Kind>,
}

/// None is a normal dependency.
#[derive(Deserialize)]
struct Kind {
    kind: Option<String>,
}

/// The metadata of the workspace in a folder.
fn metadata(folder: &Path, arguments: &[&str]) -> Result<Metadata> {
    let command = ["metadata", "--format-version", "1", "--all-features"];
    let text = read(cargo(&command).args(arguments).current_dir(folder))?;
    serde_json::from_str(&text).map_err(|error| format!("cargo metadata: {error}"))
}

/// The step of `cargo xtask ci`.
pub(crate) fn ci() -> Result<()> {
    run(&Options { fresh: false })
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let locked = metadata(&root(), &["--locked"])?;
    let mut faults = rules::faults(&locked);
    faults.extend(duplicates::faults(&locked));
    println!("{} packages: licenses, sources, bans and versions", locked.packages.len());
    if options.fresh {
        let folder = fresh::copy()?;
        let fresh = metadata(&folder, &[])?;
        fresh::print_differences(&locked, &fresh);
        faults.extend(rules::faults(&fresh));
        faults.extend(duplicates::faults(&fresh));
        for &(package, budget) in BUDGETS {
            let count = trees::packages(package, &folder)?.len();
            println!("{package}: {count} crates in a build without Cargo.lock, {budget} allowed");
            if count > budget {
                faults.push(format!("without Cargo.lock {package} is built of {count} crates, {budget} are allowed"));
            }
        }
    }
    faults.sort();
    faults.dedup();
    if faults.is_empty() { Ok(()) } else { Err(faults.join("; ")) }
}

/// Metadata of packages that are not there, for tests.
#[cfg(test)]
pub(super) mod invented {
    use super::{Edge, Kind, Metadata, Node, Package, Resolve};

    pub(in crate::supply_chain) const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

    /// A package of crates.io.
    pub(in crate::supply_chain) fn package(name: &str, version: &str, license: Option<&str>) -> Package {
        Package {
            id: format!("{name} {version}"),
            name: name.to_owned(),
            version: version.to_owned(),
            license: license.map(str::to_owned),
            source: Some(CRATES_IO.to_owned()),
            dependencies: Vec::new(),
        }
    }

    /// The workspace's one member, "own 0.1.0", uses all other packages; those of `development` in tests alone.
    pub(in crate::supply_chain) fn metadata(mut packages: Vec<Package>, development: &[&str]) -> Metadata {
        let edge = |package: &Package| {
            let kind = development.contains(&package.id.as_str()).then(|| "dev".to_owned());
            Edge { pkg: package.id.clone(), dep_kinds: vec![Kind { kind }] }
        };
        let mut nodes = vec![Node { id: "own 0.1.0".to_owned(), deps: packages.iter().map(edge).collect() }];
        nodes.extend(packages.iter().map(|package| Node { id: package.id.clone(), deps: Vec::new() }));
        packages.push(Package { source: None, ..package("own", "0.1.0", Some("MIT OR Apache-2.0")) });
        Metadata { packages, resolve: Resolve { nodes }, workspace_members: ["own 0.1.0".to_owned()].into() }
    }
}
