//! How many threads a launch takes, by what each of them has.

use crate::lanes::LANES;
use crate::place::THREADS;
use cuda_std::Geometry;

/// A thread for each of so many elements.
#[must_use]
pub fn by_element(elements: usize) -> Geometry {
    Geometry::cover(elements, THREADS)
}

/// Sixteen threads for each of so many sequences: rows, or chunks of rows.
#[must_use]
pub fn by_lanes(sequences: usize) -> Geometry {
    Geometry::cover(sequences.saturating_mul(LANES), THREADS)
}
