//! The README's commands do what the README says.

use crate::shell::{Result, command, read, root, target};
use std::path::Path;

/// Images in the small data set that the README's training command is run on.
const IMAGES: u32 = 64;

/// The commands of the README's first block, without their comments.
fn commands(readme: &str) -> Vec<&str> {
    let block = readme.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap_or_default();
    let bare = block.lines().map(|line| line.split(" #").next().unwrap_or_default().trim());
    bare.filter(|line| !line.is_empty()).collect()
}

/// An IDX file: its magic number, the sizes of its axes, its bytes.
fn idx(axes: &[u32], bytes: impl Iterator<Item = u8>) -> Vec<u8> {
    let header = std::iter::once(0x0800 + axes.len() as u32).chain(axes.iter().copied());
    header.flat_map(u32::to_be_bytes).chain(bytes).collect()
}

/// Writes a data set in MNIST's format: image i shows its class as a row of light.
fn write_data(directory: &Path) -> std::io::Result<()> {
    let directory = directory.join("mnist");
    std::fs::create_dir_all(&directory)?;
    let pixels = || (0..IMAGES).flat_map(|i| (0..784).map(move |p| if p / 28 == 2 * (i % 10) { 255 } else { 0 }));
    for part in ["train", "t10k"] {
        std::fs::write(directory.join(format!("{part}-images-idx3-ubyte")), idx(&[IMAGES, 28, 28], pixels()))?;
        let labels = (0..IMAGES).map(|i| (i % 10) as u8);
        std::fs::write(directory.join(format!("{part}-labels-idx1-ubyte")), idx(&[IMAGES], labels))?;
    }
    Ok(())
}

/// Runs the training command on a small data set; the test command is CI's own step.
pub(crate) fn run() -> Result<()> {
    let readme = std::fs::read_to_string(root().join("README.md")).map_err(|error| format!("README.md: {error}"))?;
    let [train, test] = commands(&readme)[..] else {
        return Err("README.md is to begin with two commands, to train and to test".into());
    };
    if !test.starts_with("cargo test") {
        return Err(format!("README.md's second command is to be the test command, it is `{test}`"));
    }
    let data = target().join("readme-data");
    write_data(&data).map_err(|error| format!("{}: {error}", data.display()))?;
    let words: Vec<&str> = train.split_whitespace().collect();
    let Some(place) = words.iter().position(|&word| word == "DIR") else {
        return Err(format!("README.md's first command is to name its data DIR, it is `{train}`"));
    };
    let mut training = command(words[0], &words[1..place]);
    eprintln!("$ {train}");
    let output = read(training.arg(&data).args(&words[place + 1..]))?;
    let last = output.lines().last().unwrap_or_default();
    println!("{last}");
    if last.starts_with("test accuracy ") { Ok(()) } else { Err(format!("`{train}` ended with {last:?}")) }
}

#[cfg(test)]
mod tests {
    use super::{commands, idx};

    #[test]
    fn comments_and_empty_lines_are_no_commands() {
        let readme = "# Kiln\n```sh\ncargo run -- train --data DIR   # trains\n\ncargo test\n```\n```sh\nother\n```";
        assert_eq!(commands(readme), ["cargo run -- train --data DIR", "cargo test"]);
    }

    #[test]
    fn idx_headers_are_big_endian() {
        assert_eq!(idx(&[1, 2], [7, 9].into_iter()), [0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 2, 7, 9]);
    }
}
