//! The README's commands do what the README says.

use crate::ci;
use crate::shell::{Result, command, read, root, target};

/// The commands of the README's first block, without their comments.
fn commands(readme: &str) -> Vec<&str> {
    let block = readme.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap_or_default();
    let bare = block.lines().map(|line| line.split(" #").next().unwrap_or_default().trim());
    bare.filter(|line| !line.is_empty()).collect()
}

/// Runs the training command in a home without data, so on the subset inside of the program; the test command is CI's own step.
pub(crate) fn run() -> Result<()> {
    let readme = std::fs::read_to_string(root().join("README.md")).map_err(|error| format!("README.md: {error}"))?;
    let [train, test] = commands(&readme)[..] else {
        return Err("README.md is to begin with two commands, to train and to test".into());
    };
    let tested = format!("cargo {}", ci::TESTS.join(" "));
    if test != tested {
        return Err(format!("README.md's second command is to be CI's test command, `{tested}`; it is `{test}`"));
    }
    let words: Vec<&str> = train.split_whitespace().collect();
    eprintln!("$ {train}");
    let mut training = command(words[0], &words[1..]);
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
