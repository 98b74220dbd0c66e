//! Comparisons, NumPy's and IEEE's: false where either side is NaN, but for `≠`.

use crate::number::Ordered;
use crate::place::{THREADS, element};
use cuda_std::*;

kernels! {
    /// y = a ⋚ b, as 0 or 1; `op` is 0 for =, 1 for ≠, 2 for <, 3 for ≤, 4 for >, 5 for ≥.
    #[max_threads = THREADS]
    pub fn compare<T: Ordered>(y: GlobalMut<u8>, a: Global<T>, b: Global<T>, op: u32) for [f32, f64, i64, i32, i8, u8] {
        let i = element();
        if i >= y.len() {
            return;
        }
        let (a, b) = (a.get(i), b.get(i));
        let holds = match op {
            0 => a == b,
            1 => a != b,
            2 => a < b,
            3 => a <= b,
            4 => a > b,
            _ => a >= b,
        };
        y.set(i, holds as u8);
    }
}
