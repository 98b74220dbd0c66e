//! The order of the crates, and how much each may bring along.

use crate::shell::{Result, cargo, read, root};
use crate::trees;
use serde_json::Value;
use std::collections::BTreeMap;

/// Crates by height: each may use crates of lower height only. The numbers say no more than that.
const HEIGHTS: &[(&str, u8)] = &[
    ("kiln-math", 0),
    ("cuda-std", 0),
    ("kiln-cuda-shim", 0),
    ("kiln-nn-derive", 0),
    ("kiln-cpu", 1),
    ("gpu-kernels", 1),
    ("kiln-tensor", 2),
    ("kiln-store", 3),
    ("kiln-autograd", 3),
    ("kiln-datasets", 4),
    ("kiln-cuda", 3),
    ("kiln-nn", 4),
    ("kiln-optim", 5),
    ("kiln-train", 6),
    ("kiln", 7),
    ("kiln-cli", 8),
    ("kiln-fuzz", 9),
    ("kiln-benches", 9),
    ("xtask", 9),
    // Loaded into a process for tests; no crate uses it.
    ("kiln-faults", 0),
];

/// Crates that only these may use.
const KNOWN_TO: &[(&str, &[&str])] = &[
    ("kiln-cuda", &["kiln"]),
    ("kiln-cuda-shim", &["kiln-cuda"]),
    ("gpu-kernels", &["kiln-cuda"]),
    ("kiln", &["kiln-cli", "kiln-benches", "kiln-fuzz"]),
];

/// Crates that stand on these alone.
const STAND_ON: &[(&str, &[&str])] = &[
    ("gpu-kernels", &["kiln-math", "cuda-std"]),
    ("kiln-datasets", &["kiln-math", "kiln-cpu", "kiln-tensor", "kiln-store"]),
    ("kiln-cli", &["kiln"]),
];

/// How many crates a package's build may consist of, itself included.
pub(crate) const BUDGETS: &[(&str, usize)] = &[("kiln", 60), ("kiln-cli", 110)];

/// Workspace crate → workspace crates that it is built with, tests aside.
type Edges = BTreeMap<String, Vec<String>>;

fn edges(metadata: &Value) -> Edges {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let name = |value: &Value| value["name"].as_str().unwrap_or_default().to_owned();
    let own = list(&metadata["packages"]).into_iter().filter(|package| package["source"].is_null());
    own.map(|package| {
        let used = list(&package["dependencies"]);
        let used = used.iter().filter(|d| d["path"].is_string() && d["kind"].as_str() != Some("dev"));
        (name(&package), used.map(name).collect())
    })
    .collect()
}

fn of<'a, T>(table: &'a [(&str, T)], name: &str) -> Option<&'a T> {
    table.iter().find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// What is wrong with these dependencies, a sentence each.
fn faults(edges: &Edges) -> Vec<String> {
    let mut faults = Vec::new();
    for (user, used) in edges {
        let Some(height) = of(HEIGHTS, user) else {
            faults.push(format!("{user} has no place in xtask/src/layers.rs: give it a height"));
            continue;
        };
        for used in used {
            if of(HEIGHTS, used).is_none_or(|below| below >= height) {
                faults.push(format!("{user} uses {used}, which is not below it"));
            }
            if of(KNOWN_TO, used).is_some_and(|known| !known.contains(&user.as_str())) {
                faults.push(format!("{user} uses {used}, which is not for it to know"));
            }
            if of(STAND_ON, user).is_some_and(|ground| !ground.contains(&used.as_str())) {
                faults.push(format!("{user} uses {used}, but is to stand without it"));
            }
        }
    }
    faults
}

/// Checks the order and the budgets, and says what was counted.
pub(crate) fn run() -> Result<()> {
    let text = read(&mut cargo(&["metadata", "--format-version", "1", "--no-deps"]))?;
    let metadata = serde_json::from_str(&text).map_err(|error| format!("cargo metadata: {error}"))?;
    let edges = edges(&metadata);
    let mut faults = faults(&edges);
    println!("{} crates, {} dependencies among them", edges.len(), edges.values().map(Vec::len).sum::<usize>());
    for &(package, budget) in BUDGETS {
        let tree = trees::packages(package, &root())?;
        println!("{package}: {} crates in a build, {budget} allowed", tree.len());
        if tree.len() > budget {
            faults.push(format!("{package} is built of {} crates, {budget} are allowed", tree.len()));
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(faults.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::{Edges, faults};

    fn edges(list: &[(&str, &[&str])]) -> Edges {
        list.iter().map(|(user, used)| ((*user).into(), used.iter().map(|&u| u.into()).collect())).collect()
    }

    #[test]
    fn downward_is_fine() {
        let fine = edges(&[("kiln-math", &[]), ("kiln-cpu", &["kiln-math"]), ("kiln", &["kiln-cpu", "kiln-cuda"])]);
        assert_eq!(faults(&fine), Vec::<String>::new());
    }

    #[test]
    fn upward_sideways_and_past_the_facade_are_told() {
        let told = |user, used| faults(&edges(&[(user, &[used])])).join("; ");
        assert!(told("kiln-cpu", "kiln-tensor").contains("not below"));
        assert!(told("kiln-datasets", "kiln-nn").contains("not below"));
        assert!(told("kiln-train", "kiln-cuda").contains("not for it to know"));
        assert!(told("kiln-cli", "kiln-nn").contains("stand without"));
        assert!(told("kiln-datasets", "kiln-autograd").contains("stand without"));
        assert!(told("kiln-new", "kiln-math").contains("no place"));
    }
}
