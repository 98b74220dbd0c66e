//! The kernels' PTX, as `cargo xtask build-kernels` makes it.

/// For every device of compute capability 8.0 or more.
const SM_80: &str = include_str!("../ptx/sm_80.ptx");
/// For Hopper alone: PTX with an `a` is of no use to the devices that follow.
const SM_90A: &str = include_str!("../ptx/sm_90a.ptx");

/// The PTX of all kernels for a device of this compute capability (major, minor).
///
/// Each kernel is an entry under its [`KernelInfo::name`](cuda_std::KernelInfo::name).
///
/// # Errors
/// If the device is older than 8.0 (Ampere).
pub fn ptx(compute_capability: (u32, u32)) -> Result<&'static str, String> {
    match compute_capability {
        (9, 0) => Ok(SM_90A),
        (8.., _) => Ok(SM_80),
        (major, minor) => Err(format!(
            "the GPU has compute capability {major}.{minor}, and Kiln's kernels need 8.0 (Ampere) or more: use another \
             GPU, or the CPU"
        )),
    }
}
