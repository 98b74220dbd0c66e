//! The CPU keeps the contract of `Backend`, on every instruction set, and so do the trait's default bodies.

use kiln_cpu::Isa;
use kiln_tensor::Device;
use kiln_tensor::conformance::{CHECKS, Composed, run};

#[test]
fn every_instruction_set_conforms() {
    for &isa in Isa::available() {
        println!("{isa:?}");
        run(&Device::cpu_with(isa));
    }
}

#[test]
fn the_default_bodies_conform() {
    let device = Composed::device(&Device::cpu());
    for name in [
        "softmax",
        "softmax_grad",
        "cross_entropy",
        "dropout",
        "conv",
        "conv_grad_input",
        "conv_grad_weight",
        "convolutions of special values",
        "max_pool",
        "max_pool_grad",
        "moments",
        "normalize",
        "normalize_grad",
    ] {
        let (_, check) = CHECKS.iter().find(|check| check.0 == name).unwrap_or_else(|| panic!("no check {name}"));
        println!("{name}");
        check(&device);
    }
}
