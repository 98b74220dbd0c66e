//! PTX, as `cargo xtask build-kernels` makes it.

/// The PTX of some kernels, a text for each architecture that `cargo xtask build-kernels` compiles them for.
///
/// Each kernel is an entry under its [`KernelInfo::name`](cuda_std::KernelInfo::name).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ptx {
    /// For every device of compute capability 8.0 or more: `ptx/sm_80.ptx`.
    pub sm_80: &'static str,
    /// For compute capability 9.0 (Hopper) alone: `ptx/sm_90a.ptx`. PTX with an `a` is of no use to the devices that follow.
    pub sm_90a: &'static str,
}

impl Ptx {
    /// The text for a device of this compute capability (major, minor).
    ///
    /// # Errors
    /// If the device is older than 8.0 (Ampere).
    pub fn text(&self, compute_capability: (u32, u32)) -> Result<&'static str, String> {
        match compute_capability {
            (9, 0) => Ok(self.sm_90a),
            (8.., _) => Ok(self.sm_80),
            (major, minor) => Err(format!(
                "the GPU has compute capability {major}.{minor}, and Kiln's kernels need 8.0 (Ampere) or more: use another \
                 GPU, or the CPU"
            )),
        }
    }
}

/// The PTX of this crate's kernels.
pub const PTX: Ptx = Ptx { sm_80: include_str!("../ptx/sm_80.ptx"), sm_90a: include_str!("../ptx/sm_90a.ptx") };
