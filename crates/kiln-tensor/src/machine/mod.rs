//! How much memory the machine has, and how much of it is free.

mod group;
mod process;

use group::Group;
use std::fs;
use std::sync::LazyLock;

/// Bytes of memory and swap, or what a container or this process is held to; none where the system does not say.
pub(crate) fn memory() -> Option<usize> {
    let installed = read(&fs::read_to_string(MEMINFO).ok()?, "MemTotal", "SwapTotal")?;
    let all = GROUPS.iter().map(|group| group.limits).fold(installed, Budget::and);
    Some(all.bytes().min(process::limit().unwrap_or(usize::MAX)))
}

/// Bytes that this process can still get before the system ends a process for them: free memory and swap, and caches, which the system
/// gives up; of a control group or a process that has a limit, what is left of it. None where the system does not say.
pub(crate) fn available() -> Option<usize> {
    let free = read(&fs::read_to_string(MEMINFO).ok()?, "MemAvailable", "SwapFree")?;
    let left = GROUPS.iter().map(Group::left).fold(free, Budget::and);
    Some(left.bytes().min(process::left().unwrap_or(usize::MAX)))
}

/// Bytes of memory and of swap; `usize::MAX` of what is not limited.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Budget {
    memory: usize,
    swap: usize,
    /// Of both together, which may be less than their sum.
    memory_and_swap: usize,
}

impl Budget {
    const UNLIMITED: Budget = Budget { memory: usize::MAX, swap: usize::MAX, memory_and_swap: usize::MAX };

    /// What is within both of two budgets.
    fn and(self, other: Budget) -> Budget {
        Budget {
            memory: self.memory.min(other.memory),
            swap: self.swap.min(other.swap),
            memory_and_swap: self.memory_and_swap.min(other.memory_and_swap),
        }
    }

    fn bytes(self) -> usize {
        self.memory.saturating_add(self.swap).min(self.memory_and_swap)
    }
}

const MEMINFO: &str = "/proc/meminfo";

/// The control groups of this process that have a limit.
static GROUPS: LazyLock<Vec<Group>> = LazyLock::new(group::limited);

/// A line of `/proc/meminfo`, such as `MemTotal:  1024 kB`, in bytes.
fn line(meminfo: &str, name: &str) -> Option<usize> {
    let rest = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    rest.trim().strip_suffix("kB")?.trim().parse::<usize>().ok()?.checked_mul(1024)
}

/// The lines of these names of `/proc/meminfo`.
fn read(meminfo: &str, memory: &str, swap: &str) -> Option<Budget> {
    let swap = line(meminfo, swap).unwrap_or(0);
    Some(Budget { memory: line(meminfo, memory)?, swap, memory_and_swap: usize::MAX })
}

#[cfg(test)]
mod tests {
    use super::{Budget, available, memory, read};

    #[test]
    fn memory_and_swap_are_read() {
        let text = "MemTotal:       24689784 kB\nMemFree:  7 kB\nMemAvailable: 12 kB\nSwapTotal:         100 kB\n";
        let bytes = |text, memory| read(text, memory, "SwapTotal").map(Budget::bytes);
        assert_eq!(bytes(text, "MemTotal"), Some((24_689_784 + 100) * 1024));
        assert_eq!(bytes(text, "MemAvailable"), Some((12 + 100) * 1024));
        assert_eq!(bytes("MemTotal: 3 kB\n", "MemTotal"), Some(3 * 1024));
        assert_eq!(bytes("MemTotal: many\n", "MemTotal"), None);
        assert_eq!(bytes("", "MemTotal"), None);
    }

    #[test]
    fn the_machine_swaps_no_more_than_a_group_may() {
        let machine = Budget { memory: 1000, swap: 500, ..Budget::UNLIMITED };
        let without_swap = Budget { memory: 300, swap: 0, ..Budget::UNLIMITED };
        let with_some = Budget { memory: 300, swap: 200, ..Budget::UNLIMITED };
        let together = Budget { memory: 300, memory_and_swap: 400, ..Budget::UNLIMITED };
        let left = [Budget::UNLIMITED, without_swap, with_some, together].map(|group| machine.and(group).bytes());
        assert_eq!(left, [1500, 300, 500, 400]);
    }

    #[test]
    fn what_is_available_is_less_than_all() {
        let (Some(available), Some(all)) = (available(), memory()) else { return };
        assert!((1 << 20..=all).contains(&available), "{available} of {all}");
    }
}
