//! A card keeps the contract of `Backend` and has the CPU's bits. Ignored where there is none: `cargo xtask gpu-tests` takes these
//! tests to a machine that has one.

use crate::{bits, windows};
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
fn normalizations_have_the_cpus_bits() {
    bits::normalizations(&card());
}

#[test]
#[ignore = "needs an NVIDIA card"]
fn products_and_random_numbers_have_the_cpus_bits() {
    bits::products_and_random_numbers(&card());
}

#[test]
#[ignore = "needs an NVIDIA card"]
fn recurrent_layers_have_the_cpus_bits() {
    bits::recurrent_layers(&card());
}

#[test]
#[ignore = "needs an NVIDIA card"]
fn convolutions_are_those_made_of_products() {
    windows::convolutions(&card(), 200);
    windows::weights_of_many_positions(&card());
}

#[test]
#[ignore = "needs an NVIDIA card"]
fn pools_are_those_made_of_comparisons() {
    windows::pools(&card(), 200);
}

#[test]
#[ignore = "needs an NVIDIA card"]
fn normalizations_are_those_made_of_reductions() {
    windows::normalizations(&card());
}
