//! A file from whichever mirror gives it.

use super::client::{Failure, attempt};
use super::partial::{Partial, sha256};
use super::{FetchEvent, unwritable};
use crate::catalog::Remote;
use kiln_tensor::{Error, ErrorKind, Result};
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::time::Duration;
use ureq::Agent;

/// How often each mirror is asked before it is given up.
const TRIES: u32 = 3;

/// What is waited before a mirror is asked again, for each time that it has failed.
const PAUSE: Duration = Duration::from_millis(300);

/// An attempt that brought so many new bytes was worth it: it does not count as a failed one.
const WORTH: u64 = 1 << 20;

/// Fetches the file `to`, unless it is there and right. `alone` says that no other process writes there.
pub(crate) fn download(
    agent: &Agent,
    remote: &Remote<'_>,
    to: &Path,
    alone: bool,
    report: &mut dyn FnMut(FetchEvent<'_>),
) -> Result<()> {
    if to.is_file() {
        let (length, sum) = sha256(to).map_err(|e| unwritable(to, e))?;
        if remote.size.is_none_or(|size| size == length) && sum == remote.sha256 {
            return Ok(());
        }
    }
    let mut partial = Partial::open(to, remote.size.unwrap_or(u64::MAX), alone)?;
    let mut reached = partial.length();
    let mut mirrors: VecDeque<(&str, u32)> = remote.mirrors.iter().map(|&mirror| (mirror, 0)).collect();
    let mut reasons = BTreeMap::new();
    while let Some((mirror, mut failed)) = mirrors.pop_front() {
        std::thread::sleep(PAUSE * failed);
        let url = if mirror.ends_with('/') { format!("{mirror}{}", remote.name) } else { mirror.to_owned() };
        let (again, reason) = match attempt(agent, &url, remote, &mut partial, report) {
            Ok(()) => return partial.finish(to),
            Err(Failure::Here(error)) => return Err(error),
            Err(Failure::Gone(reason)) => (false, reason),
            Err(Failure::Again(reason)) => (true, reason),
        };
        // Measured by the furthest point, so that a mirror which always begins anew comes to an end.
        if partial.length() >= reached + WORTH {
            (reached, failed) = (partial.length(), 0);
        } else {
            failed += 1;
        }
        let reason = format!("{mirror}: {reason}");
        if again && failed < TRIES {
            mirrors.push_back((mirror, failed));
            report(FetchEvent::Retrying { file: remote.name, reason: &reason });
        }
        reasons.insert(mirror, reason);
    }
    let reasons: Vec<String> = reasons.into_values().collect();
    let kept = match partial.length() {
        length if length > 0 && alone => {
            let of = remote.size.map_or(String::new(), |size| format!(" of {size}"));
            format!("; {length}{of} bytes are kept; the next call resumes there")
        }
        _ => {
            partial.discard()?;
            String::new()
        }
    };
    let folder = to.parent().unwrap_or(to).display();
    let hint = format!("; a file that was had elsewhere may be put into {folder}");
    Err(Error::new(
        ErrorKind::Io,
        "fetch",
        format!("no mirror gives {}: {}{kept}{hint}", remote.name, reasons.join("; ")),
    ))
}
