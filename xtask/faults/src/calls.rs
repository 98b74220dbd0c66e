//! The functions that stand in the place of the C library's. Each makes the system call itself, so that none calls another.

use crate::place::{CUT_SHORT, below, is_below, set_below};
use crate::plan::{File, Plan, Verdict, end, fail, plan};
use libc::{AT_FDCWD, c_char, c_int, c_long, c_uint, c_void, iovec, mode_t, off_t, size_t, ssize_t, syscall};
use std::sync::atomic::Ordering::Relaxed;

/// Counts a call on one or two paths, if the plan has the folder of one of them.
///
/// # Safety
/// Each path is null or a string that ends with a zero byte.
unsafe fn on_paths(call: &str, grows: bool, paths: [(c_int, *const c_char); 2]) -> (bool, Verdict) {
    let Some(plan) = plan() else { return (false, Verdict::Go) };
    // SAFETY: by this function's contract.
    let found = paths.iter().rev().find_map(|&(from, path)| unsafe { below(plan, from, path) });
    match found {
        Some(path) => (true, plan.verdict(call, File::At(path), grows)),
        None => (false, Verdict::Go),
    }
}

/// The plan, if it has the file of a descriptor.
fn of_descriptor(descriptor: c_int) -> Option<&'static Plan> {
    plan().filter(|_| is_below(descriptor))
}

/// Functions on paths: `name(arguments) = call(number, arguments of the system call)`, with the paths and whether they need room.
macro_rules! on_paths {
    ($($name:ident($($argument:ident: $type:ty),*) counts $call:literal, $grows:expr, [$($path:expr),+],
        is $number:ident($($given:expr),*);)+) => {$(
        /// # Safety
        /// As the C library's function of this name.
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C" fn $name($($argument: $type),*) -> c_int {
            // SAFETY: the paths of the caller, who keeps to the contract of the function.
            let (_, verdict) = unsafe { on_paths($call, $grows, two([$($path),+])) };
            match verdict {
                Verdict::Fail(error) => fail(error),
                // SAFETY: the call that the function stands for, with the caller's arguments.
                _ => unsafe { syscall(libc::$number, $($given),*) as c_int },
            }
        }
    )+};
}

/// One path, or two.
fn two<const N: usize>(paths: [(c_int, *const c_char); N]) -> [(c_int, *const c_char); 2] {
    std::array::from_fn(|index| paths.get(index).copied().unwrap_or((AT_FDCWD, std::ptr::null())))
}

on_paths! {
    rename(from: *const c_char, to: *const c_char) counts "rename", true, [(AT_FDCWD, from), (AT_FDCWD, to)],
        is SYS_renameat2(AT_FDCWD, from, AT_FDCWD, to, 0);
    renameat(a: c_int, from: *const c_char, b: c_int, to: *const c_char) counts "rename", true, [(a, from), (b, to)],
        is SYS_renameat2(a, from, b, to, 0);
    renameat2(a: c_int, from: *const c_char, b: c_int, to: *const c_char, flags: c_uint)
        counts "rename", true, [(a, from), (b, to)], is SYS_renameat2(a, from, b, to, flags);
    link(from: *const c_char, to: *const c_char) counts "link", true, [(AT_FDCWD, from), (AT_FDCWD, to)],
        is SYS_linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
    linkat(a: c_int, from: *const c_char, b: c_int, to: *const c_char, flags: c_int)
        counts "link", true, [(a, from), (b, to)], is SYS_linkat(a, from, b, to, flags);
    unlink(path: *const c_char) counts "unlink", false, [(AT_FDCWD, path)], is SYS_unlinkat(AT_FDCWD, path, 0);
    unlinkat(from: c_int, path: *const c_char, flags: c_int) counts "unlink", false, [(from, path)],
        is SYS_unlinkat(from, path, flags);
    rmdir(path: *const c_char) counts "rmdir", false, [(AT_FDCWD, path)],
        is SYS_unlinkat(AT_FDCWD, path, libc::AT_REMOVEDIR);
    mkdir(path: *const c_char, mode: mode_t) counts "mkdir", true, [(AT_FDCWD, path)], is SYS_mkdirat(AT_FDCWD, path, mode);
    mkdirat(from: c_int, path: *const c_char, mode: mode_t) counts "mkdir", true, [(from, path)],
        is SYS_mkdirat(from, path, mode);
}

/// # Safety
/// As `openat`'s.
unsafe fn opened(from: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: the path of the caller.
    let (counted, verdict) = unsafe { on_paths("open", flags & libc::O_CREAT != 0, two([(from, path)])) };
    if let Verdict::Fail(error) = verdict {
        return fail(error);
    }
    // SAFETY: the call that the function stands for, with the caller's arguments.
    let descriptor = unsafe { syscall(libc::SYS_openat, from, path, flags, mode) as c_int };
    set_below(descriptor, counted && descriptor >= 0);
    descriptor
}

/// The C library's functions take the mode as one of any number of arguments; on Linux it comes in the register of a third one.
macro_rules! opening {
    ($($name:ident, $at:ident;)+) => {$(
        /// # Safety
        /// As the C library's function of this name.
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C" fn $name(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
            // SAFETY: the caller's arguments.
            unsafe { opened(AT_FDCWD, path, flags, mode) }
        }
        /// # Safety
        /// As the C library's function of this name.
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C" fn $at(from: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
            // SAFETY: the caller's arguments.
            unsafe { opened(from, path, flags, mode) }
        }
    )+};
}

opening! {
    open, openat;
    open64, openat64;
}

/// A write of `count` bytes; `go` writes so many of them, the first ones.
fn written(call: &str, descriptor: c_int, count: size_t, go: impl FnOnce(size_t) -> c_long) -> ssize_t {
    let Some(plan) = of_descriptor(descriptor) else { return go(count) as ssize_t };
    let after_short = CUT_SHORT.compare_exchange(descriptor, -1, Relaxed, Relaxed).is_ok();
    match plan.verdict(call, File::Open(descriptor), true) {
        Verdict::Fail(error) => fail(error),
        _ if after_short => fail(libc::ENOSPC),
        Verdict::Go => go(count) as ssize_t,
        Verdict::Half => {
            CUT_SHORT.store(descriptor, Relaxed);
            go(count / 2) as ssize_t
        }
        Verdict::HalfAndEnd => {
            go(count / 2);
            end()
        }
    }
}

/// # Safety
/// As the C library's function of this name.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn write(descriptor: c_int, bytes: *const c_void, count: size_t) -> ssize_t {
    // SAFETY: the caller's arguments, with as many bytes or fewer.
    written("write", descriptor, count, |count| unsafe { syscall(libc::SYS_write, descriptor, bytes, count) })
}

/// Writes at a place, under both of its names.
macro_rules! writing_at {
    ($($name:ident)+) => {$(
        /// # Safety
        /// As the C library's function of this name.
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C" fn $name(descriptor: c_int, bytes: *const c_void, count: size_t, at: off_t) -> ssize_t {
            // SAFETY: as in `write`.
            written("pwrite", descriptor, count, |count| unsafe {
                syscall(libc::SYS_pwrite64, descriptor, bytes, count, at)
            })
        }
    )+};
}

writing_at! { pwrite pwrite64 }

/// # Safety
/// As the C library's function of this name.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn writev(descriptor: c_int, parts: *const iovec, count: c_int) -> ssize_t {
    // Half of a write is half of its parts.
    let count = usize::try_from(count).unwrap_or(0);
    // SAFETY: as in `write`.
    written("writev", descriptor, count, |count| unsafe { syscall(libc::SYS_writev, descriptor, parts, count) })
}

/// Functions on an open file.
macro_rules! on_descriptor {
    ($($name:ident($($argument:ident: $type:ty),*) counts $call:literal, $grows:expr, is $number:ident;)+) => {$(
        /// # Safety
        /// As the C library's function of this name.
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C" fn $name(descriptor: c_int, $($argument: $type),*) -> c_int {
            let verdict = of_descriptor(descriptor).map(|plan| plan.verdict($call, File::Open(descriptor), $grows));
            match verdict {
                Some(Verdict::Fail(error)) => fail(error),
                // SAFETY: the call that the function stands for, with the caller's arguments.
                _ => unsafe { syscall(libc::$number, descriptor, $($argument),*) as c_int },
            }
        }
    )+};
}

on_descriptor! {
    fsync() counts "fsync", true, is SYS_fsync;
    fdatasync() counts "fdatasync", true, is SYS_fdatasync;
    ftruncate(length: off_t) counts "ftruncate", true, is SYS_ftruncate;
    ftruncate64(length: off_t) counts "ftruncate", true, is SYS_ftruncate;
}

/// The file is closed also where the call fails, as Linux does it.
///
/// # Safety
/// As the C library's function of this name.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn close(descriptor: c_int) -> c_int {
    let verdict = of_descriptor(descriptor).map(|plan| plan.verdict("close", File::Open(descriptor), false));
    set_below(descriptor, false);
    // SAFETY: the caller's argument.
    let closed = unsafe { syscall(libc::SYS_close, descriptor) as c_int };
    match verdict {
        Some(Verdict::Fail(error)) => fail(error),
        _ => closed,
    }
}
