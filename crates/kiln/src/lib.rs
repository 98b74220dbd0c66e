//! Kiln, a deep-learning framework: the facade over its crates.
