//! Which call fails, and how.

use std::env;
use std::ffi::{OsStr, c_int};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering::Relaxed};

/// What happens at the call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Error(c_int),
    Full,
    Short,
    Kill,
    Torn,
}

/// What the environment asks for.
pub(crate) struct Plan {
    pub(crate) folder: Vec<u8>,
    call: u64,
    kind: Kind,
    log: Option<PathBuf>,
}

/// What a call is about.
pub(crate) enum File<'p> {
    At(&'p [u8]),
    Open(c_int),
}

/// What a call is to do.
#[derive(PartialEq, Eq)]
pub(crate) enum Verdict {
    /// What it always does.
    Go,
    /// Nothing, and to fail with this error.
    Fail(c_int),
    /// To write half of its bytes; the next write fails.
    Half,
    /// To write half of its bytes and end the process.
    HalfAndEnd,
}

/// What the environment asks for; none without a folder.
pub(crate) fn plan() -> Option<&'static Plan> {
    static PLAN: OnceLock<Option<Plan>> = OnceLock::new();
    PLAN.get_or_init(read).as_ref()
}

fn read() -> Option<Plan> {
    let folder = env::var_os("KILN_FAULTS_FOLDER")?.into_vec();
    let call = env::var("KILN_FAULTS_CALL").ok().and_then(|call| call.parse().ok()).unwrap_or(0);
    let kind = match env::var("KILN_FAULTS_KIND").as_deref() {
        Ok("eio") => Kind::Error(libc::EIO),
        Ok("full") => Kind::Full,
        Ok("short") => Kind::Short,
        Ok("kill") => Kind::Kill,
        Ok("torn") => Kind::Torn,
        _ => Kind::Error(libc::ENOSPC),
    };
    Some(Plan { folder, call, kind, log: env::var_os("KILN_FAULTS_LOG").map(PathBuf::from) })
}

impl Plan {
    /// Counts a call on a file and says what it is to do. `grows` tells whether it needs room on the disk.
    pub(crate) fn verdict(&self, call: &str, file: File<'_>, grows: bool) -> Verdict {
        static CALLS: AtomicU64 = AtomicU64::new(0);
        let number = CALLS.fetch_add(1, Relaxed) + 1;
        self.note(number, call, &file);
        let writes = matches!(call, "write" | "pwrite" | "writev");
        match self.kind {
            Kind::Full if self.call > 0 && number >= self.call && grows => Verdict::Fail(libc::ENOSPC),
            _ if number != self.call => Verdict::Go,
            Kind::Error(error) => Verdict::Fail(error),
            Kind::Short if writes => Verdict::Half,
            Kind::Torn if writes => Verdict::HalfAndEnd,
            Kind::Kill => end(),
            Kind::Full | Kind::Short | Kind::Torn => Verdict::Go,
        }
    }

    /// Appends a call to the log, by the system's own calls: those of the library would be counted.
    fn note(&self, number: u64, call: &str, file: &File<'_>) {
        static LOG: AtomicI32 = AtomicI32::new(-1);
        let Some(path) = &self.log else { return };
        if LOG.load(Relaxed) < 0 {
            let mut path = path.as_os_str().as_bytes().to_vec();
            path.push(0);
            let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND | libc::O_CLOEXEC;
            // SAFETY: the path ends with a zero byte.
            let opened = unsafe { libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path.as_ptr(), flags, 0o644) };
            LOG.store(opened as c_int, Relaxed);
        }
        let path = match file {
            File::At(path) => PathBuf::from(OsStr::from_bytes(path)),
            File::Open(descriptor) => std::fs::read_link(format!("/proc/self/fd/{descriptor}")).unwrap_or_default(),
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let line = format!("{number} {call} {name}\n");
        // SAFETY: the bytes live until the call returns. A log that could not be opened makes it fail, which harms nothing.
        unsafe { libc::syscall(libc::SYS_write, LOG.load(Relaxed), line.as_ptr(), line.len()) };
    }
}

/// Ends the process as the system does when it has no memory left, or power.
pub(crate) fn end() -> ! {
    loop {
        // SAFETY: a signal to this very process, which it does not survive.
        unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
    }
}

/// Sets the error of a call that fails, and gives its result.
pub(crate) fn fail<T: From<i8>>(error: c_int) -> T {
    // SAFETY: the address of this thread's error number.
    unsafe { *libc::__errno_location() = error };
    T::from(-1)
}
