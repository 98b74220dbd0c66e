//! What is told of the views among a kernel's parameters, and what the host may do with them.
#![allow(clippy::panic)] // a panic is a test's report

use cuda_std::{Global, GlobalMut, Parameter, Span, parameters};

parameters! {
    struct Matrix<T: cuda_std::DeviceCopy> { elements: Global<T>, strides: [i64; 2] }
}

parameters! {
    struct Everything { y: GlobalMut<f32>, matrices: [Matrix<f64>; 2], codes: Global<u8>, alpha: f32 }
}

/// Views that no launch is given.
fn read<T>(address: u64, len: usize) -> Global<T> {
    // SAFETY: nothing is launched with it.
    unsafe { Global::from_raw(address, len) }
}

#[test]
fn every_view_is_visited_with_its_bytes() {
    let matrix = |address| Matrix { elements: read::<f64>(address, 6), strides: [3, 1] };
    // SAFETY: nothing is launched with it.
    let y = unsafe { GlobalMut::from_raw(256, 10) };
    let all = Everything { y, matrices: [matrix(512), matrix(768)], codes: read(1024, 7), alpha: 1.0 };
    let mut spans = Vec::new();
    all.views(&mut |span| spans.push(span));
    let span = |address, bytes, written| Span { address, bytes, written };
    assert_eq!(spans, [span(256, 40, true), span(512, 48, false), span(768, 48, false), span(1024, 7, false)]);
}

#[test]
#[should_panic(expected = "outside of a kernel")]
fn the_host_does_not_reach_a_devices_memory() {
    let _ = read::<f32>(256, 10).get(3);
}
