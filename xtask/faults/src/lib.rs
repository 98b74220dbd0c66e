//! Faults of a file system, injected into a program that knows nothing of them.
//!
//! The library has functions of the C library's names: `open`, `write`, `fsync`, `rename` and so on. With `LD_PRELOAD` the loader puts
//! them in the place of the C library's. A call on a file below a folder is counted; call number N fails, is cut short or ends the
//! process. `cargo xtask torture` runs the `kiln` command so. It is for Linux; elsewhere the library is empty.
//!
//! | environment variable | |
//! |---|---|
//! | `KILN_FAULTS_FOLDER` | calls on what is below this folder (an absolute path) are counted, from 1 |
//! | `KILN_FAULTS_CALL` | the number N of a call; 0, or none, for no fault |
//! | `KILN_FAULTS_KIND` | what happens at call N, see below |
//! | `KILN_FAULTS_LOG` | a file to which each counted call is appended, a line each: number, call, name of the file |
//!
//! | kind | |
//! |---|---|
//! | `enospc`, `eio` | the call does nothing and fails with this error |
//! | `full` | it fails with ENOSPC, and so does every later call that needs room on the disk |
//! | `short` | a write writes half of its bytes and says so; the next write to the file fails with ENOSPC |
//! | `kill` | the process is killed (SIGKILL) before the call |
//! | `torn` | a write writes half of its bytes, then the process is killed |

#[cfg(target_os = "linux")]
mod calls;
#[cfg(target_os = "linux")]
mod place;
#[cfg(target_os = "linux")]
mod plan;
