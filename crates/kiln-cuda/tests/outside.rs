//! A crate outside this workspace builds with feature `cuda` by the README's one line, without a CUDA toolkit.

#![cfg(feature = "cuda")]

use std::path::Path;
use std::process::Command;

const MANIFEST: &str = r#"
[package]
name = "outside"
edition = "2024"

[dependencies]
kiln-cuda = { path = "KILN_CUDA", features = ["cuda"] }

[workspace]
"#;

const MAIN: &str = r#"
fn main() {
    match kiln_cuda::devices() {
        Ok(cards) => println!("{cards:?}"),
        Err(error) => println!("{error}"),
    }
}
"#;

#[test]
#[ignore = "builds some fifty crates anew: a minute, and the registry's crates"]
fn the_readmes_line_builds_a_crate_outside() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("outside");
    std::fs::create_dir_all(folder.join("src")).unwrap();
    std::fs::write(folder.join("Cargo.toml"), MANIFEST.replace("KILN_CUDA", home.to_str().unwrap())).unwrap();
    std::fs::write(folder.join("src/main.rs"), MAIN).unwrap();
    std::fs::copy(home.join("../../Cargo.lock"), folder.join("Cargo.lock")).unwrap();

    let readme = include_str!("../README.md");
    let line = readme.lines().find(|line| line.contains("CUDA_LIBRARY_PATH=")).unwrap();
    let mut build = Command::new("sh");
    build.arg("-ec").arg(format!("{line}\nexec \"$CARGO\" build")).current_dir(&folder);
    build.env("CARGO", env!("CARGO")).env("CARGO_TARGET_DIR", folder.join("target"));
    assert!(build.status().unwrap().success());

    let mut program = Command::new(folder.join("target/debug/outside"));
    let output = program.env("KILN_LIBCUDA", "/nowhere/libcuda.so.1").output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.starts_with("no NVIDIA driver was found (/nowhere/libcuda.so.1 could not be opened: "), "{said}");
}
