//! A card keeps the contract of `Backend` and has the CPU's bits. Ignored where there is none: `cargo xtask gpu-tests` takes these
//! tests to a machine that has one.
#![cfg(feature = "cuda")]
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is a test's report

mod bits;

use kiln_tensor::{Device, conformance};

fn card() -> Device {
    kiln_cuda::device(0).unwrap()
}

#[test]
#[ignore = "needs an NVIDIA card"]
fn conforms() {
    conformance::run(&card());
}

#[test]
#[ignore = "needs an NVIDIA card"]
fn elementwise_values_have_the_cpus_bits() {
    bits::elementwise(&card());
}

#[test]
#[ignore = "needs an NVIDIA card"]
fn reductions_have_the_cpus_bits() {
    bits::reductions(&card());
}

#[test]
#[ignore = "needs an NVIDIA card"]
fn products_and_random_numbers_have_the_cpus_bits() {
    bits::products_and_random_numbers(&card());
}
