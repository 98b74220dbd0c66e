//! The CPU keeps the contract of `Backend`, on every instruction set, and so do the composed forms of coarse operations.

use kiln_cpu::Isa;
use kiln_tensor::Device;
use kiln_tensor::conformance::{Composed, composed_calls, run};

#[test]
fn every_instruction_set_conforms() {
    for &isa in Isa::available() {
        println!("{isa:?}");
        run(&Device::cpu_with(isa));
    }
}

#[test]
fn composed_forms_conform() {
    for &isa in Isa::available() {
        println!("{isa:?}");
        run(&Composed::device(&Device::cpu_with(isa)));
    }
}

#[test]
fn the_cpu_composes_attention_of_f64_alone() {
    let composed: Vec<String> = composed_calls(&Device::cpu()).into_iter().collect();
    assert_eq!(composed, ["attention of f64"]);
}

#[test]
fn a_device_without_kernels_composes_every_call() {
    let composed = composed_calls(&Composed::device(&Device::cpu()));
    let names =
        ["dropout", "softmax", "softmax_grad", "cross_entropy", "cross_entropy_grad", "conv", "conv_grad_input"];
    let more =
        ["conv_grad_weight", "max_pool", "moments", "normalize", "normalize_grad", "recurrent", "update", "attention"];
    for name in names.into_iter().chain(more).chain(["row_norm", "row_norm_grad"]) {
        assert!(composed.contains(&format!("{name} of f64")), "{name} is not among {composed:?}");
    }
}
