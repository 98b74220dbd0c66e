//! The limit of this process alone (`ulimit -v`).

use super::line;
use std::fs;
use std::sync::LazyLock;

/// Bytes of addresses that this process may have, where that is limited.
pub(super) fn limit() -> Option<usize> {
    static LIMIT: LazyLock<Option<usize>> = LazyLock::new(|| of(&fs::read_to_string("/proc/self/limits").ok()?));
    *LIMIT
}

/// Bytes that are left of the limit.
pub(super) fn left() -> Option<usize> {
    let limit = limit()?;
    let used = line(&fs::read_to_string("/proc/self/status").ok()?, "VmSize")?;
    Some(limit.saturating_sub(used))
}

/// The limit of `/proc/self/limits`, whose line is `Max address space   1024   unlimited   bytes`.
fn of(limits: &str) -> Option<usize> {
    let numbers = limits.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    numbers.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn a_limit_is_read() {
        let limits = "Limit   Soft Limit   Hard Limit   Units\nMax address space         4096   unlimited   bytes\n";
        assert_eq!(of(limits), Some(4096));
        assert_eq!(of(&limits.replace("4096", "unlimited")), None);
        assert_eq!(of(""), None);
    }
}
