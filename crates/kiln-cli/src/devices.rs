//! `kiln devices`.

use crate::report::plain;
use kiln::cpu::Isa;

/// One line for each name that `--device` takes.
pub(crate) fn run() {
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get());
    plain(&format!("cpu  {threads} threads, {}, {}", Isa::best().name(), std::env::consts::ARCH));
}
