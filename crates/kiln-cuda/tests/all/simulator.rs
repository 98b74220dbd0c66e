//! The simulator keeps the contract of `Backend` and has the CPU's bits.

use crate::{bits, windows};
use kiln_tensor::conformance;

#[test]
fn conforms() {
    conformance::run_by_threads(kiln_cuda::simulator);
}

/// Every operation made of fine ones, which are what runs on the simulator then.
#[test]
#[ignore = "takes two minutes; `cargo xtask interop` runs it"]
fn composed_forms_conform() {
    conformance::run_by_threads(|| conformance::Composed::device(&kiln_cuda::simulator()));
}

#[test]
fn elementwise_values_have_the_cpus_bits() {
    bits::elementwise(&kiln_cuda::simulator());
}

#[test]
fn reductions_have_the_cpus_bits() {
    bits::reductions(&kiln_cuda::simulator());
}

#[test]
fn normalizations_have_the_cpus_bits() {
    bits::normalizations(&kiln_cuda::simulator());
}

#[test]
fn products_and_random_numbers_have_the_cpus_bits() {
    bits::products_and_random_numbers(&kiln_cuda::simulator());
}

#[test]
fn recurrent_layers_have_the_cpus_bits() {
    bits::recurrent_layers(&kiln_cuda::simulator());
}

#[test]
fn convolutions_are_those_made_of_products() {
    windows::convolutions(&kiln_cuda::simulator(), 24);
    windows::weights_of_many_positions(&kiln_cuda::simulator());
}

#[test]
fn pools_are_those_made_of_comparisons() {
    windows::pools(&kiln_cuda::simulator(), 40);
}

#[test]
fn normalizations_are_those_made_of_reductions() {
    windows::normalizations(&kiln_cuda::simulator());
}

/// Weighted sums along an axis are rows that are chosen and added; dropout is two launches; of targets that are weights the cross-entropy is composed; an element of a rank comes from sorted rows,
/// sums of distances are reductions, and rows are normalized as channels, after a sum.
#[test]
fn what_a_gpu_composes() {
    let composed: Vec<String> = conformance::composed_calls(&kiln_cuda::simulator()).into_iter().collect();
    let blend = ["blend of f32", "blend of f64"];
    let expected =
        ["cross_entropy of f32", "cross_entropy of f64", "cross_entropy_grad of f32", "cross_entropy_grad of f64"];
    let rows = ["distances of f32", "distances of f64", "dropout of f32", "dropout of f64"];
    let kth = ["kth of bf16", "kth of f16", "kth of f32", "kth of f64"];
    let row_norm = ["row_norm of bf16", "row_norm of f16", "row_norm of f32", "row_norm of f64"];
    let row_norm_grad =
        ["row_norm_grad of bf16", "row_norm_grad of f16", "row_norm_grad of f32", "row_norm_grad of f64"];
    assert_eq!(composed, [&blend[..], &expected, &rows, &kth, &row_norm, &row_norm_grad].concat());
}
