//! Control groups of Linux, by which containers and job schedulers limit the memory of processes.

use std::fs;
use std::path::{Path, PathBuf};

/// A control group with a limit.
pub(super) struct Group {
    folder: PathBuf,
    files: &'static Files,
    /// Bytes that its processes may have together.
    pub(super) limit: usize,
}

/// What files are called in a version of control groups.
struct Files {
    limit: &'static str,
    used: &'static str,
    /// Lines of `memory.stat`: the caches of files, which the system gives up before it ends a process.
    caches: [&'static str; 2],
}

const FIRST: Files = Files {
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    caches: ["total_inactive_file", "total_active_file"],
};
const SECOND: Files = Files { limit: "memory.max", used: "memory.current", caches: ["inactive_file", "active_file"] };

/// "No limit" is a number near 2⁶³ in the first version.
const NO_LIMIT: usize = 1 << 60;

impl Group {
    fn open(folder: &Path, files: &'static Files) -> Option<Group> {
        let limit = number(&folder.join(files.limit)).filter(|limit| *limit < NO_LIMIT)?;
        Some(Group { folder: folder.to_path_buf(), files, limit })
    }

    /// Bytes that are left of its limit.
    pub(super) fn left(&self) -> Option<usize> {
        let used = number(&self.folder.join(self.files.used))?;
        let stat = fs::read_to_string(self.folder.join("memory.stat")).unwrap_or_default();
        Some(self.limit.saturating_sub(used.saturating_sub(caches(&stat, self.files))))
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

/// The bytes of the caches of files in `memory.stat`, whose lines say `inactive_file 4096`.
fn caches(stat: &str, files: &Files) -> usize {
    let lines = stat.lines().filter_map(|line| line.split_once(' '));
    let counted = lines.filter(|(name, _)| files.caches.contains(name));
    counted.filter_map(|(_, bytes)| bytes.trim().parse::<usize>().ok()).sum()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a panic is a test's report

    use super::{FIRST, Group, SECOND, caches, place};
    use std::fs;

    #[test]
    fn lines_say_where_a_group_is() {
        let (root, path, files) = place("4:cpu,memory:/docker/1f").unwrap();
        assert_eq!((root, path, files.limit), ("/sys/fs/cgroup/memory", "/docker/1f", FIRST.limit));
        let (root, path, files) = place("0::/user.slice/a:b").unwrap();
        assert_eq!((root, path, files.limit), ("/sys/fs/cgroup", "/user.slice/a:b", SECOND.limit));
        assert!(place("3:cpuset:/").is_none() && place("").is_none());
    }

    #[test]
    fn caches_of_files_are_left() {
        let stat = "anon 9\ninactive_file 300\nactive_file 50\ntotal_inactive_file 4000\n";
        assert_eq!((caches(stat, &SECOND), caches(stat, &FIRST)), (350, 4000));
        let folder = std::env::temp_dir().join(format!("kiln-group-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
        write("memory.max", "max\n");
        assert!(Group::open(&folder, &SECOND).is_none());
        write("memory.max", "10000\n");
        write("memory.current", "8350\n");
        write("memory.stat", stat);
        let left = Group::open(&folder, &SECOND).unwrap().left();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(left, Some(2000));
    }
}
