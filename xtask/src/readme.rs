//! The README's commands do what the README says.

use crate::ci;
use crate::shell::{Result, command, read, root, target};
use std::process::Command;

/// The commands of the README's first block, without their comments.
fn commands(readme: &str) -> Vec<&str> {
    let block = readme.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap_or_default();
    let bare = block.lines().map(|line| line.split(" #").next().unwrap_or_default().trim());
    bare.filter(|line| !line.is_empty()).collect()
}

/// What cargo gets of the training command before the program's own words.
const RUN: &str = "cargo run --release -- ";

/// What CI does: the training command's words for the program that the tests have built, whose kernels are hardly optimized. The test
/// command is CI's own step.
pub(crate) fn ci() -> Result<()> {
    let readme = read_readme()?;
    let [train, test] = both(&readme)?;
    let tested = format!("cargo {}", ci::TESTS.join(" "));
    if test != tested {
        return Err(format!("README.md's second command is to be CI's test command, `{tested}`; it is `{test}`"));
    }
    let Some(words) = train.strip_prefix(RUN) else {
        return Err(format!("README.md's first command is to begin with `{RUN}`; it is `{train}`"));
    };
    ci::tests(&["--test", "bad_input", "--no-run"])?;
    let program = target().join("debug/kiln");
    trains(train, command(&program.to_string_lossy(), &words.split_whitespace().collect::<Vec<_>>()))
}

/// The training command word for word, with the release build.
pub(crate) fn run() -> Result<()> {
    let readme = read_readme()?;
    let [train, _] = both(&readme)?;
    let words: Vec<&str> = train.split_whitespace().collect();
    trains(train, command(words[0], &words[1..]))
}

fn read_readme() -> Result<String> {
    std::fs::read_to_string(root().join("README.md")).map_err(|error| format!("README.md: {error}"))
}

fn both(readme: &str) -> Result<[&str; 2]> {
    let commands = commands(readme);
    commands.try_into().map_err(|_| "README.md is to begin with two commands, to train and to test".to_owned())
}

/// Runs it in a home without data, so on the subset inside of the program, and expects the accuracy that the README says.
fn trains(train: &str, mut training: Command) -> Result<()> {
    eprintln!("$ {train}");
    let output = read(training.env_remove("KILN_DATA_DIR").env("XDG_CACHE_HOME", target().join("readme-home")))?;
    let last = output.lines().last().unwrap_or_default();
    println!("{last}");
    let accuracy = last.strip_prefix("test accuracy ").and_then(|rest| rest.split(' ').next()?.parse::<f64>().ok());
    if accuracy.is_some_and(|accuracy| accuracy >= 0.95) {
        Ok(())
    } else {
        Err(format!("`{train}` ended with {last:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::commands;

    #[test]
    fn comments_and_empty_lines_are_no_commands() {
        let readme = "# Kiln\n```sh\ncargo run -- train --data DIR   # trains\n\ncargo test\n```\n```sh\nother\n```";
        assert_eq!(commands(readme), ["cargo run -- train --data DIR", "cargo test"]);
    }
}
