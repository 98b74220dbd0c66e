//! The CPU keeps the contract of `Backend`, on every instruction set, and so do the composed forms of coarse operations.

use kiln_cpu::Isa;
use kiln_tensor::Device;
use kiln_tensor::conformance::{Composed, run};

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
