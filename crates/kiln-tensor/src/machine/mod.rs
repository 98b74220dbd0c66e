//! How much memory the machine has, and how much of it is free.

mod group;
mod process;

use group::Group;
use std::fs;
use std::sync::LazyLock;

/// Bytes of memory and swap, or what a container or this process is held to; none where the system does not say.
pub(crate) fn memory() -> Option<usize> {
    let installed = installed(&fs::read_to_string(MEMINFO).ok()?);
    installed.into_iter().chain(GROUPS.iter().map(|group| group.limit)).chain(process::limit()).min()
}

/// Bytes that this process can still get before the system ends a process for them: free memory and swap, and caches of files, which
/// the system gives up; of a control group or a process that has a limit, what is left of it. None where the system does not say.
pub(crate) fn available() -> Option<usize> {
    let meminfo = fs::read_to_string(MEMINFO).ok()?;
    let swap = line(&meminfo, "SwapFree").unwrap_or(0);
    let groups = GROUPS.iter().filter_map(Group::left);
    let memory = line(&meminfo, "MemAvailable").into_iter().chain(groups).min();
    Some(memory?.saturating_add(swap).min(process::left().unwrap_or(usize::MAX)))
}

const MEMINFO: &str = "/proc/meminfo";

/// The control groups of this process that have a limit.
static GROUPS: LazyLock<Vec<Group>> = LazyLock::new(group::limited);

/// A line of `/proc/meminfo`, such as `MemTotal:  1024 kB`, in bytes.
fn line(meminfo: &str, name: &str) -> Option<usize> {
    let rest = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    rest.trim().strip_suffix("kB")?.trim().parse::<usize>().ok()?.checked_mul(1024)
}

/// Memory and swap.
fn installed(meminfo: &str) -> Option<usize> {
    Some(line(meminfo, "MemTotal")?.saturating_add(line(meminfo, "SwapTotal").unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::{available, installed, line, memory};

    #[test]
    fn memory_and_swap_are_read() {
        let text = "MemTotal:       24689784 kB\nMemFree:  7 kB\nMemAvailable: 12 kB\nSwapTotal:         100 kB\n";
        assert_eq!(installed(text), Some((24_689_784 + 100) * 1024));
        assert_eq!(line(text, "MemAvailable"), Some(12 * 1024));
        assert_eq!(installed("MemTotal: 3 kB\n"), Some(3 * 1024));
        assert_eq!(installed("MemTotal: many\n"), None);
        assert_eq!(installed(""), None);
    }

    #[test]
    fn what_is_available_is_less_than_all() {
        let (Some(available), Some(all)) = (available(), memory()) else { return };
        assert!((1 << 20..=all).contains(&available), "{available} of {all}");
    }
}
