//! What is said where there is no memory: what was asked for, what is in use, what would help.

use crate::{Error, ErrorKind, MemoryStats};

/// Memory as a person reads it: `4.29 GB`, of 10⁹ bytes.
#[doc(hidden)]
pub fn bytes_shown(bytes: usize) -> String {
    let (mut size, mut unit) = (bytes as f64, "bytes");
    for larger in ["kB", "MB", "GB", "TB", "PB", "EB"] {
        if size < 999.5 {
            break;
        }
        (size, unit) = (size / 1000.0, larger);
    }
    if unit == "bytes" {
        return format!("{bytes} bytes");
    }
    let digits = if size < 9.995 { 2 } else { usize::from(size < 99.95) };
    format!("{size:.digits$} {unit}")
}

/// An error of a device that has no `bytes` more. `place` says which memory that is (`of device memory`); `free` are the bytes that are
/// free and all bytes, where these are known.
#[cold]
#[doc(hidden)]
pub fn out_of_memory(bytes: usize, held: MemoryStats, place: &str, free: Option<(usize, usize)>) -> Error {
    let free =
        free.map(|(free, all)| format!(", {} of {} are free", bytes_shown(free), bytes_shown(all))).unwrap_or_default();
    let message = format!(
        "{} {place} could not be had; tensors hold {}{free}; a smaller batch, half types (bf16), checkpoints of layers or a smaller \
         model take less",
        bytes_shown(bytes),
        bytes_shown(held.live),
    );
    Error::new(ErrorKind::Memory, "alloc", message)
}

#[cfg(test)]
mod tests {
    use super::{bytes_shown, out_of_memory};
    use crate::MemoryStats;

    #[test]
    fn sizes_have_three_digits() {
        let sizes = [0, 999, 1000, 9_994, 9_996, 999_499, 999_500, 24_684_092_000, 1 << 52, usize::MAX];
        let words = [
            "0 bytes",
            "999 bytes",
            "1.00 kB",
            "9.99 kB",
            "10.0 kB",
            "999 kB",
            "1.00 MB",
            "24.7 GB",
            "4.50 PB",
            "18.4 EB",
        ];
        assert_eq!(sizes.map(bytes_shown), words);
    }

    #[test]
    fn a_refusal_says_what_is_known() {
        let held = MemoryStats { live: 1_500_000, peak: 0, cached: 0 };
        let says = |free| out_of_memory(2000, held, "of memory", free).message().to_owned();
        let end = "; a smaller batch, half types (bf16), checkpoints of layers or a smaller model take less";
        assert_eq!(says(None), format!("2.00 kB of memory could not be had; tensors hold 1.50 MB{end}"));
        assert!(says(Some((5, 9000))).contains("tensors hold 1.50 MB, 5 bytes of 9.00 kB are free;"));
    }
}
