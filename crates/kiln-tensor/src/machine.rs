//! How much memory the machine has.

use std::fs;

/// Bytes of memory and swap, or what a container is held to; none where the system does not say.
pub(crate) fn memory() -> Option<usize> {
    let meminfo = fs::read_to_string("/proc/meminfo").ok();
    let installed = meminfo.as_deref().and_then(installed);
    // cgroups of the second and of the first version: a number, or `max`.
    let files = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let limits = files.iter().filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok());
    installed.into_iter().chain(limits).min()
}

/// Memory and swap of `/proc/meminfo`, whose lines say `MemTotal:  1024 kB`.
fn installed(meminfo: &str) -> Option<usize> {
    let line = |name: &str| -> Option<usize> {
        let rest = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        rest.trim().strip_suffix("kB")?.trim().parse::<usize>().ok()?.checked_mul(1024)
    };
    Some(line("MemTotal")?.saturating_add(line("SwapTotal").unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::installed;

    #[test]
    fn memory_and_swap_are_read() {
        let text = "MemTotal:       24689784 kB\nMemFree:  7 kB\nSwapTotal:         100 kB\n";
        assert_eq!(installed(text), Some((24_689_784 + 100) * 1024));
        assert_eq!(installed("MemTotal: 3 kB\n"), Some(3 * 1024));
        assert_eq!(installed("MemTotal: many\n"), None);
        assert_eq!(installed(""), None);
    }
}
