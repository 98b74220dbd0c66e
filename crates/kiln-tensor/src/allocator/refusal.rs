//! What is said where there is no memory: what was asked for, what is in use, what would help.

use crate::shown::bytes_shown;
use crate::{Error, ErrorKind, MemoryStats};

/// An error of a device that has no `bytes` more for a tensor. `memory` says which memory that is (`device memory`); `free` are the bytes
/// that are free and all bytes, where these are known.
#[cold]
#[doc(hidden)]
pub fn out_of_memory(bytes: usize, held: MemoryStats, memory: &str, free: Option<(usize, usize)>) -> Error {
    let remedy = "use a smaller batch, half types (bf16), checkpoints of layers or a smaller model";
    refused(bytes, held, memory, free, remedy)
}

/// An error of the host's memory where elements that are no tensor have no room, such as those of a file that is read.
#[cold]
pub(super) fn no_room(bytes: usize, held: MemoryStats, free: Option<(usize, usize)>) -> Error {
    refused(bytes, held, "memory", free, "read or write fewer elements at a time")
}

fn refused(bytes: usize, held: MemoryStats, memory: &str, free: Option<(usize, usize)>, remedy: &str) -> Error {
    let free =
        free.map(|(free, all)| format!(", {} of {} are free", bytes_shown(free), bytes_shown(all))).unwrap_or_default();
    let (asked, held) = (bytes_shown(bytes), bytes_shown(held.live));
    let message = format!("out of {memory}: {asked} were asked for; tensors hold {held}{free}; {remedy}");
    Error::new(ErrorKind::Memory, "alloc", message)
}

#[cfg(test)]
mod tests {
    use super::{no_room, out_of_memory};
    use crate::MemoryStats;

    #[test]
    fn a_refusal_says_what_is_known() {
        let held = MemoryStats { live: 1_500_000, peak: 0, cached: 0 };
        let says = |free| out_of_memory(2000, held, "device memory", free).message().to_owned();
        let end = "; use a smaller batch, half types (bf16), checkpoints of layers or a smaller model";
        assert_eq!(says(None), format!("out of device memory: 2.00 kB were asked for; tensors hold 1.50 MB{end}"));
        assert!(says(Some((5, 9000))).contains("tensors hold 1.50 MB, 5 bytes of 9.00 kB are free;"));
    }

    #[test]
    fn a_smaller_batch_helps_tensors_alone() {
        let error = no_room(2000, MemoryStats::default(), Some((5, 9000)));
        let expected = "out of memory: 2.00 kB were asked for; tensors hold 0 bytes, 5 bytes of 9.00 kB are free; \
                        read or write fewer elements at a time";
        assert_eq!(error.message(), expected);
    }
}
