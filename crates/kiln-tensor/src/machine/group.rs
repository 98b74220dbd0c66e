//! Control groups of Linux, by which containers and job schedulers limit the memory of processes.

use super::Budget;
use std::fs;
use std::path::{Path, PathBuf};

/// A control group with a limit.
pub(super) struct Group {
    folder: PathBuf,
    files: &'static Files,
    /// What its processes may have together.
    pub(super) limits: Budget,
}

/// What files are called in a version of control groups: of each pair the limit, and what is used of it.
struct Files {
    memory: [&'static str; 2],
    swap: [&'static str; 2],
    memory_and_swap: [&'static str; 2],
    /// Lines of `memory.stat`: what the system gives up before it ends a process. These are caches of files, and of the kernel.
    caches: &'static [&'static str],
}

const NONE: [&str; 2] = ["", ""];
const FIRST: Files = Files {
    memory: ["memory.limit_in_bytes", "memory.usage_in_bytes"],
    swap: NONE,
    memory_and_swap: ["memory.memsw.limit_in_bytes", "memory.memsw.usage_in_bytes"],
    caches: &["total_inactive_file", "total_active_file"],
};
const SECOND: Files = Files {
    memory: ["memory.max", "memory.current"],
    swap: ["memory.swap.max", "memory.swap.current"],
    memory_and_swap: NONE,
    caches: &["inactive_file", "active_file", "slab_reclaimable"],
};

/// "No limit" is a number near 2⁶³ in the first version.
const NO_LIMIT: usize = 1 << 60;

impl Group {
    fn open(folder: &Path, files: &'static Files) -> Option<Group> {
        let limit =
            |[limit, _]: [&str; 2]| number(&folder.join(limit)).filter(|limit| *limit < NO_LIMIT).unwrap_or(usize::MAX);
        let limits = Budget {
            memory: limit(files.memory),
            swap: limit(files.swap),
            memory_and_swap: limit(files.memory_and_swap),
        };
        (limits != Budget::UNLIMITED).then(|| Group { folder: folder.to_path_buf(), files, limits })
    }

    /// What is left of its limits.
    pub(super) fn left(&self) -> Budget {
        let stat = fs::read_to_string(self.folder.join("memory.stat")).unwrap_or_default();
        let caches = caches(&stat, self.files);
        let left = |limit: usize, [_, used]: [&str; 2], caches: usize| match number(&self.folder.join(used)) {
            Some(used) if limit < usize::MAX => limit.saturating_sub(used.saturating_sub(caches)),
            _ => usize::MAX,
        };
        let Group { files, limits, .. } = self;
        Budget {
            memory: left(limits.memory, files.memory, caches),
            swap: left(limits.swap, files.swap, 0),
            memory_and_swap: left(limits.memory_and_swap, files.memory_and_swap, caches),
        }
    }
}

/// The groups of this process that have a limit, and those that these are in.
pub(super) fn limited() -> Vec<Group> {
    let text = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let mut groups = Vec::new();
    for (root, path, files) in text.lines().filter_map(place) {
        // A container sees its own group as the root, whatever the path says.
        let mut folders = vec![PathBuf::from(root)];
        for part in path.split('/').filter(|part| !part.is_empty()) {
            folders.push(folders[folders.len() - 1].join(part));
        }
        groups.extend(folders.iter().filter_map(|folder| Group::open(folder, files)));
    }
    groups
}

/// Where the group of a line of `/proc/self/cgroup` is, such as `0::/user.slice` or `4:memory:/docker/1f`.
fn place(line: &str) -> Option<(&'static str, &str, &'static Files)> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (controllers, path) = (parts.next()?, parts.next()?);
    if controllers.is_empty() {
        Some(("/sys/fs/cgroup", path, &SECOND))
    } else if controllers.split(',').any(|controller| controller == "memory") {
        Some(("/sys/fs/cgroup/memory", path, &FIRST))
    } else {
        None
    }
}

/// `max` is no number: there is no limit then.
fn number(file: &Path) -> Option<usize> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// The bytes of the caches in `memory.stat`, whose lines say `inactive_file 4096`.
fn caches(stat: &str, files: &Files) -> usize {
    let lines = stat.lines().filter_map(|line| line.split_once(' '));
    let counted = lines.filter(|(name, _)| files.caches.contains(name));
    counted.filter_map(|(_, bytes)| bytes.trim().parse::<usize>().ok()).sum()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a panic is a test's report

    use super::{Budget, FIRST, Files, Group, SECOND, caches, place};
    use std::fs;

    #[test]
    fn lines_say_where_a_group_is() {
        let (root, path, files) = place("4:cpu,memory:/docker/1f").unwrap();
        assert_eq!((root, path, files.memory), ("/sys/fs/cgroup/memory", "/docker/1f", FIRST.memory));
        let (root, path, files) = place("0::/user.slice/a:b").unwrap();
        assert_eq!((root, path, files.memory), ("/sys/fs/cgroup", "/user.slice/a:b", SECOND.memory));
        assert!(place("3:cpuset:/").is_none() && place("").is_none());
    }

    /// What a group whose files are these has left.
    fn left(name: &str, files: &'static Files, texts: &[(&str, &str)]) -> Option<Budget> {
        let folder = std::env::temp_dir().join(format!("kiln-group-{name}-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        texts.iter().for_each(|(name, text)| fs::write(folder.join(name), text).unwrap());
        let left = Group::open(&folder, files).map(|group| group.left());
        fs::remove_dir_all(&folder).unwrap();
        left
    }

    #[test]
    fn caches_are_left() {
        let stat = "anon 9\ninactive_file 300\nactive_file 50\nslab_reclaimable 1000\ntotal_inactive_file 4000\n";
        assert_eq!((caches(stat, &SECOND), caches(stat, &FIRST)), (1350, 4000));
        let files = [("memory.max", "10000\n"), ("memory.current", "9350\n"), ("memory.stat", stat)];
        assert_eq!(left("caches", &SECOND, &files), Some(Budget { memory: 2000, ..Budget::UNLIMITED }));
        assert_eq!(left("unlimited", &SECOND, &[("memory.max", "max\n"), ("memory.swap.max", "max\n")]), None);
    }

    #[test]
    fn swap_has_a_limit_of_its_own() {
        let swap = [("memory.max", "max\n"), ("memory.swap.max", "0\n"), ("memory.swap.current", "0\n")];
        assert_eq!(left("no-swap", &SECOND, &swap), Some(Budget { swap: 0, ..Budget::UNLIMITED }));
        let swap = [("memory.swap.max", "500\n"), ("memory.swap.current", "100\n"), ("memory.max", "9\n")];
        let expected = Budget { memory: 9, swap: 400, memory_and_swap: usize::MAX };
        assert_eq!(left("swap", &SECOND, &[&swap[..], &[("memory.current", "0\n")]].concat()), Some(expected));
        // The first version limits both together.
        let both = [
            ("memory.limit_in_bytes", "1000\n"),
            ("memory.usage_in_bytes", "700\n"),
            ("memory.memsw.limit_in_bytes", "1200\n"),
            ("memory.memsw.usage_in_bytes", "1100\n"),
            ("memory.stat", "total_active_file 50\n"),
        ];
        let expected = Budget { memory: 350, swap: usize::MAX, memory_and_swap: 150 };
        assert_eq!(left("both", &FIRST, &both), Some(expected));
    }
}
