//! Maxima of windows and at which taps they are, and their gradient.

use crate::number::GpuFloat;
use crate::place::{THREADS, element};
use crate::window::{Axes, DeviceWindow, place, volume};
use cuda_std::*;

/// The outputs along an axis whose windows reach input position `d`: from the first on, and one after the last.
#[inline(always)]
fn reaching(window: &DeviceWindow, axis: usize, d: u32, outputs: u32) -> [u32; 2] {
    let from = d + window.before[axis];
    let extent = (window.kernel[axis] - 1) * window.dilation[axis] + 1;
    let first = if from < extent { 0 } else { (from - extent) / window.stride[axis] + 1 };
    let end = from / window.stride[axis] + 1;
    [first, if end < outputs { end } else { outputs }]
}

/// The tap along an axis at which output `p` meets input position `d`, within reach; none where the dilation passes over it.
#[inline(always)]
fn tap_along(window: &DeviceWindow, axis: usize, p: u32, d: u32) -> Option<u32> {
    let reach = d + window.before[axis] - p * window.stride[axis];
    let tap = reach / window.dilation[axis];
    (tap * window.dilation[axis] == reach).then_some(tap)
}

/// Whether the tap that is kept of an output has this number; of `count` outputs the lowest bytes come first.
#[inline(always)]
fn is_kept(taps: Global<u8>, count: usize, output: usize, tap: u32) -> bool {
    let (mut at, mut rest, mut same) = (output, tap, true);
    while at < taps.len() {
        same &= u32::from(taps.get(at)) == rest & 0xff;
        (at, rest) = (at + count, rest >> 8);
    }
    same
}

kernels! {
    /// y (planes, outputs) = the largest element of x (planes, inputs) in each window, the first of equals or the last NaN, and,
    /// where they are asked for, `taps` (bytes, planes, outputs) = the number of the tap that meets it.
    #[allow(clippy::eq_op)] // the test for NaN
    #[max_threads = THREADS]
    pub fn max_pool<T: GpuFloat>(
        y: GlobalMut<T>, taps: GlobalMut<u8>, x: Global<T>, outputs: Axes, inputs: Axes, window: DeviceWindow
    ) for [f32, f64] {
        let i = element();
        if i >= y.len() {
            return;
        }
        let positions = volume(outputs) as usize;
        let position = place((i % positions) as u32, outputs);
        let plane = i / positions * volume(inputs) as usize;
        let (mut largest, mut at) = (T::NEG_INFINITY, u32::MAX);
        for tap in 0..volume(window.kernel) {
            if let Some(number) = window.met(position, place(tap, window.kernel), inputs) {
                let candidate = x.get(plane + number as usize);
                // A window of −∞ alone has a largest element too.
                if candidate > largest || candidate != candidate || at == u32::MAX {
                    (largest, at) = (candidate, tap);
                }
            }
        }
        y.set(i, largest);
        let mut to = i;
        while to < taps.len() {
            taps.set(to, (at & 0xff) as u8);
            (to, at) = (to + y.len(), at >> 8);
        }
    }

    /// dx (planes, inputs) = 0, plus dy (planes, outputs) of the windows whose `taps` meet the element, in ascending order of
    /// position, so that the sum repeats bit for bit.
    #[max_threads = THREADS]
    pub fn max_pool_grad<T: GpuFloat>(
        dx: GlobalMut<T>, dy: Global<T>, taps: Global<u8>, outputs: Axes, inputs: Axes, window: DeviceWindow
    ) for [f32, f64] {
        let i = element();
        if i >= dx.len() {
            return;
        }
        let elements = volume(inputs) as usize;
        let [a, b, c] = place((i % elements) as u32, inputs);
        let plane = i / elements * volume(outputs) as usize;
        let (planes, rows, columns) = (
            reaching(&window, 0, a, outputs[0]),
            reaching(&window, 1, b, outputs[1]),
            reaching(&window, 2, c, outputs[2]),
        );
        let mut sum = T::ZERO;
        for q0 in planes[0]..planes[1] {
            let Some(t0) = tap_along(&window, 0, q0, a) else { continue };
            for q1 in rows[0]..rows[1] {
                let Some(t1) = tap_along(&window, 1, q1, b) else { continue };
                for q2 in columns[0]..columns[1] {
                    let Some(t2) = tap_along(&window, 2, q2, c) else { continue };
                    let output = plane + ((q0 * outputs[1] + q1) * outputs[2] + q2) as usize;
                    let tap = (t0 * window.kernel[1] + t1) * window.kernel[2] + t2;
                    if is_kept(taps, dy.len(), output, tap) {
                        sum += dy.get(output);
                    }
                }
            }
        }
        dx.set(i, sum);
    }
}
