//! Fills, copies between layouts, conversions between element types, and selection.
//!
//! Elements are moved by size: half types and truth values travel as integers.

use crate::place::{THREADS, element};
use cuda_std::*;

parameters! {
    /// Where elements of a shape of six axes lie: from `start` on, at strides of any sign, in elements; 0 repeats.
    pub struct Places {
        /// The first element.
        start: i64,
        /// From one element to the next along each axis.
        strides: [i64; 6],
    }
}

kernels! {
    /// y = value, an element's bits.
    #[max_threads = THREADS]
    pub fn fill<T: DeviceCopy>(y: GlobalMut<T>, value: T) for [u8, u16, u32, u64] {
        let i = element();
        if i < y.len() {
            y.set(i, value);
        }
    }

    /// The `count` elements of x at their places in a shape of six axes, to their places in y.
    #[max_threads = THREADS]
    pub fn strided<T: DeviceCopy>(
        y: GlobalMut<T>, to: Places, x: Global<T>, from: Places, count: u64, sizes: [u32; 6]
    ) for [u8, u16, u32, u64] {
        let i = element();
        if i as u64 >= count {
            return;
        }
        let mut rest = i as u64;
        let (mut to_element, mut from_element) = (to.start, from.start);
        for axis in (1..6).rev() {
            let at = (rest % sizes[axis] as u64) as i64;
            rest /= sizes[axis] as u64;
            to_element += at * to.strides[axis];
            from_element += at * from.strides[axis];
        }
        to_element += rest as i64 * to.strides[0];
        from_element += rest as i64 * from.strides[0];
        y.set(to_element as usize, x.get(from_element as usize));
    }

    /// y = condition ? a : b
    #[max_threads = THREADS]
    pub fn select<T: DeviceCopy>(
        y: GlobalMut<T>, condition: Global<u8>, a: Global<T>, b: Global<T>
    ) for [u8, u16, u32, u64] {
        let i = element();
        if i < y.len() {
            y.set(i, if condition.get(i) != 0 { a.get(i) } else { b.get(i) });
        }
    }
}
