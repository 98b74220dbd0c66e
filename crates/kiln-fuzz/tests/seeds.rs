//! Every input that fuzzing starts from, and every one that once found something, is fine; and a target that fails is told.

use kiln_fuzz::driver::{attempt, fuzz, inputs, keep_panics, seeds};
use kiln_fuzz::{TARGETS, Target};
use std::time::Duration;

#[test]
fn all_seeds_are_fine() {
    for target in TARGETS {
        let seeds = inputs(&seeds(target.name));
        assert!(!seeds.is_empty(), "{} has no seeds: `cargo run -p kiln-fuzz -- seeds` writes them", target.name);
        for (i, seed) in seeds.iter().enumerate() {
            assert_eq!(attempt(target, seed), Ok(()), "{}, input {i}", target.name);
        }
        // And what comes of nothing.
        assert_eq!(attempt(target, &[]), Ok(()), "{}", target.name);
    }
}

#[test]
fn what_a_target_finds_is_told_with_its_input() {
    fn picky(input: &[u8]) {
        assert!(!input.contains(&b'!'), "an exclamation mark");
    }
    let target = Target { name: "picky", run: picky, seeds: Vec::new, words: &[b"!"] };
    keep_panics();
    let seeds = [b"some words".to_vec(), b"others".to_vec()];
    let report = fuzz(&target, &seeds, Duration::from_secs(10), 7);
    let (input, why) = report.finding.clone().unwrap_or_default();
    assert!(input.contains(&b'!') && why.contains("an exclamation mark"), "{why}");
    // The same seed finds the same.
    assert_eq!(fuzz(&target, &seeds, Duration::from_secs(10), 7).finding, report.finding);
}
