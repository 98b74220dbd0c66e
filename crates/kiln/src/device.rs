//! Devices by name.

use kiln_cpu::Isa;
use kiln_tensor::{Device, Error, Result};

/// What [`device`] takes.
pub const DEVICES: &[&str] = &[
    "cpu",
    #[cfg(feature = "sim")]
    "sim",
    #[cfg(feature = "cuda")]
    "cuda[:N]",
];

/// The device of a name: `cpu`; `sim`, the GPU's kernels simulated on the CPU (feature `sim`); `cuda` or `cuda:0`, `cuda:1`, …, an
/// NVIDIA card (feature `cuda`).
///
/// ```
/// assert_eq!(kiln::device("cpu")?.name(), "cpu");
/// assert!(kiln::device("tpu").unwrap_err().to_string().starts_with("device: `tpu` is not a device of this build, which has "));
/// # Ok::<(), kiln::Error>(())
/// ```
///
/// # Errors
/// A name that this build does not know (`ErrorKind::Value`); a card that is not there, with what is missing
/// (`ErrorKind::Device`).
pub fn device(name: &str) -> Result<Device> {
    match name {
        "cpu" => return Ok(Device::cpu()),
        #[cfg(feature = "sim")]
        "sim" => return Ok(kiln_cuda::simulator()),
        #[cfg(feature = "cuda")]
        "cuda" => return kiln_cuda::device(0),
        _ => {}
    }
    #[cfg(feature = "cuda")]
    if let Some(ordinal) = name.strip_prefix("cuda:").and_then(|ordinal| ordinal.parse().ok()) {
        return kiln_cuda::device(ordinal);
    }
    let known = DEVICES.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let mut message = format!("`{name}` is not a device of this build, which has {known}");
    if cfg!(not(feature = "cuda")) && name.starts_with("cuda") {
        message.push_str("; `--features cuda` builds one that knows NVIDIA cards");
    }
    Err(Error::value("device", message))
}

/// What is there: a name that [`device`] takes, and what it is or what is missing.
pub fn devices() -> Vec<(String, String)> {
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get());
    #[allow(unused_mut)] // without features it is all
    let mut devices =
        vec![("cpu".to_owned(), format!("{threads} threads, {}, {}", Isa::best().name(), std::env::consts::ARCH))];
    #[cfg(feature = "sim")]
    devices.push(("sim".to_owned(), "the GPU's kernels on the CPU, every access checked: slow".to_owned()));
    #[cfg(feature = "cuda")]
    match kiln_cuda::devices() {
        Ok(cards) => devices.extend(cards.into_iter().enumerate().map(|(ordinal, card)| {
            let ((major, minor), memory) = (card.compute_capability, card.memory as f64 / f64::from(1 << 30));
            let what = format!("{}, {memory:.0} GiB, compute capability {major}.{minor}", card.name);
            (format!("cuda:{ordinal}"), what)
        })),
        Err(error) => devices.push(("cuda".to_owned(), error.to_string())),
    }
    #[cfg(not(feature = "cuda"))]
    devices.push(("cuda".to_owned(), "not in this build: `--features cuda` adds it".to_owned()));
    devices
}
