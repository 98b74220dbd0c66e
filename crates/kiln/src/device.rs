//! Devices by name.

use kiln_tensor::{Device, Error, ErrorKind, Result};

/// The device that users call `cpu`.
///
/// ```
/// assert_eq!(kiln::device("cpu")?.name(), "cpu");
/// assert_eq!(
///     kiln::device("tpu").unwrap_err().to_string(),
///     "device: `tpu` is no device that this build knows: `cpu` is"
/// );
/// # Ok::<(), kiln::Error>(())
/// ```
///
/// # Errors
/// A name that this build does not know.
pub fn device(name: &str) -> Result<Device> {
    match name {
        "cpu" => Ok(Device::cpu()),
        other => Err(Error::new(
            ErrorKind::Device,
            "device",
            format!("`{other}` is no device that this build knows: `cpu` is"),
        )),
    }
}
