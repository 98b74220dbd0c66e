//! How times are taken.

use kiln::Result;
use std::time::{Duration, Instant};

/// Seconds that `f` takes.
pub(crate) fn seconds(f: impl FnOnce() -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    f()?;
    Ok(start.elapsed().as_secs_f64())
}

/// Seconds of the best run within half a second, after one that does not count.
pub(crate) fn best_of_half_a_second(mut f: impl FnMut() -> Result<()>) -> Result<f64> {
    f()?;
    let (begun, mut best) = (Instant::now(), f64::INFINITY);
    while begun.elapsed() < Duration::from_millis(500) {
        best = best.min(seconds(&mut f)?);
    }
    Ok(best)
}

/// The middle one, or the mean of the middle two.
pub(crate) fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    let middle = times.len() / 2;
    if times.len() % 2 == 1 { times[middle] } else { (times[middle - 1] + times[middle]) / 2.0 }
}

/// The most memory that the process has held, in MB (10⁶ bytes); null where the system does not say.
pub(crate) fn peak_rss_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().trim_end_matches(" kB");
    Some(kib.parse::<f64>().ok()? * 1024.0 / 1e6)
}
