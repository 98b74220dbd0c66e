//! The PTX has the kernel, with the parameters that the host gives it.

use add_rms_norm::kernels::KERNELS;

#[test]
fn the_entries_are_the_declared_kernels() {
    for text in [include_str!("../ptx/sm_80.ptx"), include_str!("../ptx/sm_90a.ptx")] {
        for kernel in KERNELS.iter().copied().flatten().copied().flatten() {
            let (size, align) = (kernel.parameters().size(), kernel.parameters().align());
            let entry = format!(".visible .entry {}(\n\t.param .align {align} .b8 param_0[{size}]\n)", kernel.name());
            assert!(text.contains(&entry), "`{entry}` is not in the PTX; has `cargo xtask build-kernels --crate` run?");
        }
    }
}
