//! Devices by name.

use kiln_tensor::{Device, Error, ErrorKind, Result};

/// The devices that this build knows by name.
pub const DEVICES: &[&str] = &[
    "cpu",
    #[cfg(feature = "sim")]
    "sim",
];

/// The device that users call `cpu`, or `sim`: the GPU's kernels, simulated on the CPU (feature `sim`).
///
/// ```
/// assert_eq!(kiln::device("cpu")?.name(), "cpu");
/// assert!(kiln::device("tpu").unwrap_err().to_string().starts_with("device: `tpu` is no device that this build knows: "));
/// # Ok::<(), kiln::Error>(())
/// ```
///
/// # Errors
/// A name that this build does not know.
pub fn device(name: &str) -> Result<Device> {
    match name {
        "cpu" => Ok(Device::cpu()),
        #[cfg(feature = "sim")]
        "sim" => Ok(kiln_cuda::simulator()),
        other => {
            let known = DEVICES.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            Err(Error::new(
                ErrorKind::Device,
                "device",
                format!("`{other}` is no device that this build knows: it knows {known}"),
            ))
        }
    }
}
