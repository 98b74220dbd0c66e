//! Kiln's benchmarks.
