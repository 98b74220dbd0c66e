//! The contract of `Backend`, on the simulator.
#![cfg(feature = "sim")]
#![allow(clippy::unwrap_used)] // a panic is a test's report

use kiln_tensor::conformance;

#[test]
fn the_simulator_conforms() {
    conformance::run(&kiln_cuda::simulator());
}
