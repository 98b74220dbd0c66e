//! A book.

/// Alice's Adventures in Wonderland by Lewis Carroll (1865), in the public domain; src/embedded/README.md names the source.
pub const ALICE: &str = include_str!("../embedded/alice.txt");
