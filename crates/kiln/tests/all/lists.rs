//! What is entered in a list of a crate below is in the prelude, and in the tables of that crate's README.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The names, which the prelude must have: this does not compile where it lacks one.
macro_rules! in_prelude {
    ($($name:ident)+) => {
        #[allow(unused_imports)] // that they are there is what is tested
        use kiln::prelude::{$($name),+};
        pub(super) const NAMES: &[&str] = &[$(stringify!($name)),+];
    };
}

/// As [`in_prelude`], of kiln-math's update rules: all but the running average are optimizers.
macro_rules! optimizers {
    ([$($name:ident)+]) => { in_prelude! { $($name)+ } };
    ([$($name:ident)*] { $_doc:literal, Average, $_method:ident } $($rest:tt)*) => { optimizers! { [$($name)*] $($rest)* } };
    ([$($name:ident)*] { $_doc:literal, $rule:ident, $_method:ident } $($rest:tt)*) => {
        optimizers! { [$($name)* $rule] $($rest)* }
    };
    ($({ $($rule:tt)+ })+) => { optimizers! { [] $({ $($rule)+ })+ } };
}

mod layers {
    kiln::nn::for_each_layer! { in_prelude }
}
mod losses {
    kiln::nn::for_each_loss! { in_prelude }
}
mod metrics {
    kiln::train::for_each_metric! { in_prelude }
}
mod activations {
    /// The variants of the prelude's `Activation`.
    macro_rules! variants {
        ($($name:ident)+) => {
            #[allow(unused_imports)] // that they are there is what is tested
            use kiln::prelude::Activation::{$($name),+};
            pub(super) const NAMES: &[&str] = &[$(stringify!($name)),+];
        };
    }
    kiln::nn::for_each_activation! { variants }
}
mod rules {
    kiln::math::for_each_rule! { optimizers }
}
mod schedules {
    kiln::optim::for_each_schedule! { in_prelude }
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

/// What the tables of a crate's README have in backquotes; `Conv1d/2d` is `Conv1d` and `Conv2d`.
fn tables(of: &str) -> BTreeSet<String> {
    let readme = fs::read_to_string(folder(of).join("README.md")).unwrap();
    let rows = readme.lines().filter(|line| line.starts_with('|'));
    let code = rows.flat_map(|row| row.split('`').skip(1).step_by(2));
    let mut names = BTreeSet::new();
    for words in code.flat_map(|code| code.split(|c: char| !c.is_alphanumeric() && c != '/')) {
        let mut words = words.split('/');
        let first = words.next().unwrap();
        names.insert(first.to_owned());
        let stem = first.strip_suffix('d').unwrap_or(first).trim_end_matches(|c: char| c.is_ascii_digit());
        names.extend(words.map(|dimensions| format!("{stem}{dimensions}")));
    }
    names
}

fn lacks(readme: &str, names: &[&str]) -> Vec<String> {
    let tables = tables(readme);
    names.iter().filter(|name| !tables.contains(**name)).map(|name| (*name).to_owned()).collect()
}

const NONE: [String; 0] = [];

#[test]
fn layers_and_losses_are_in_the_prelude_and_the_tables() {
    assert_eq!(lacks("kiln-nn", layers::NAMES), NONE);
    assert_eq!(lacks("kiln-nn", losses::NAMES), NONE);
    assert_eq!(lacks("kiln-nn", activations::NAMES), NONE);
}

#[test]
fn metrics_are_in_the_prelude_and_the_tables() {
    assert_eq!(lacks("kiln-train", metrics::NAMES), NONE);
}

#[test]
fn optimizers_and_schedules_are_in_the_prelude_and_the_tables() {
    assert_eq!(lacks("kiln-optim", rules::NAMES), NONE);
    // Those over whole tensors are in no list: their list is the source.
    let names = public_kinds(&folder("kiln-optim").join("src"), "impl Optimizer");
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert!(["Adafactor", "Lamb", "Muon"].iter().all(|name| names.contains(name)), "{names:?}");
    assert_eq!(lacks("kiln-optim", &names), NONE);
    let prelude = fs::read_to_string(folder("kiln-optim").join("src/lib.rs")).unwrap();
    let prelude = prelude.split_once("pub mod prelude").unwrap().1;
    assert!(names.iter().all(|name| prelude.contains(name)), "{names:?}");
    assert_eq!(lacks("kiln-optim", schedules::NAMES), NONE);
}

/// The public types in a crate's source that implement this trait.
fn public_kinds(source: &Path, of: &str) -> Vec<String> {
    let mut files = vec![source.to_owned()];
    let mut text = String::new();
    while let Some(path) = files.pop() {
        match fs::read_dir(&path) {
            Ok(entries) => files.extend(entries.map(|entry| entry.unwrap().path())),
            Err(_) => text += &fs::read_to_string(&path).unwrap(),
        }
    }
    let types = text.lines().filter_map(|line| line.strip_prefix("pub struct "));
    let names = types.map(|rest| rest.split(|c: char| !c.is_alphanumeric()).next().unwrap().to_owned());
    names.filter(|name| text.contains(&format!("{of} for {name} "))).collect()
}

/// Callbacks are exported by globs, so that a file is all that one takes: their list is the source.
#[test]
fn callbacks_are_in_the_prelude_and_the_tables() {
    let prelude = include_str!("../../src/prelude.rs");
    assert!(prelude.contains("pub use kiln_train::callbacks::*;"));
    let source = folder("kiln-train").join("src");
    let names = public_kinds(&source.join("callbacks"), "Callback");
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert!(["EarlyStopping", "TerminateOn"].iter().all(|name| names.contains(name)), "{names:?}");
    assert_eq!(lacks("kiln-train", &names), NONE);
}
