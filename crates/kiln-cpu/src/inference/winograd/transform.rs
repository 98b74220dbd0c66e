//! The transforms of Winograd's convolutions, with fixed orders of operations.

use crate::gemm::vector::Vector;

/// Transforms between `T` inputs (or products) along an axis and `M = T − 2` outputs of a kernel of 3.
pub(super) trait Transform<const T: usize, const M: usize>: Copy + Send + Sync {
    /// For each point, the factors of the kernel's three weights.
    const WEIGHTS: [[f64; 3]; T];
    /// Inputs at the points.
    ///
    /// # Safety
    /// The instruction set of `V` is available.
    unsafe fn input<V: Vector<Lane = f32>>(d: [V; T]) -> [V; T];
    /// Outputs from the products at the points.
    ///
    /// # Safety
    /// The instruction set of `V` is available.
    unsafe fn output<V: Vector<Lane = f32>>(m: [V; T]) -> [V; M];
}

/// F(2×2, 3×3), points 0, ±1, ∞.
#[derive(Clone, Copy)]
pub(super) struct F2;

impl Transform<4, 2> for F2 {
    const WEIGHTS: [[f64; 3]; 4] = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]];
    #[inline(always)]
    unsafe fn input<V: Vector<Lane = f32>>(d: [V; 4]) -> [V; 4] {
        // SAFETY: as the caller promises.
        unsafe { [d[0].sub(d[2]), d[1].add(d[2]), d[2].sub(d[1]), d[1].sub(d[3])] }
    }
    #[inline(always)]
    unsafe fn output<V: Vector<Lane = f32>>(m: [V; 4]) -> [V; 2] {
        // SAFETY: as the caller promises.
        unsafe { [m[0].add(m[1]).add(m[2]), m[1].sub(m[2]).sub(m[3])] }
    }
}

/// F(4×4, 3×3), points 0, ±1/√2, ±√2, ∞: errors are a fifth of those with 0, ±1, ±2, ∞.
#[derive(Clone, Copy)]
pub(super) struct F4;

/// The points.
const A: f64 = std::f64::consts::FRAC_1_SQRT_2;
const B: f64 = std::f64::consts::SQRT_2;
/// 2a²(a² − b²) and 2b²(b² − a²), with a² = 1/2 and b² = 2.
const OF_A: f64 = -1.5;
const OF_B: f64 = 6.0;

impl Transform<6, 4> for F4 {
    const WEIGHTS: [[f64; 3]; 6] = [
        [1.0, 0.0, 0.0],
        [1.0 / OF_A, A / OF_A, 0.5 / OF_A],
        [1.0 / OF_A, -A / OF_A, 0.5 / OF_A],
        [1.0 / OF_B, B / OF_B, 2.0 / OF_B],
        [1.0 / OF_B, -B / OF_B, 2.0 / OF_B],
        [0.0, 0.0, 1.0],
    ];
    #[inline(always)]
    unsafe fn input<V: Vector<Lane = f32>>(d: [V; 6]) -> [V; 6] {
        // SAFETY: as the caller promises.
        unsafe {
            let [a, b, half, two, both] = [A as f32, B as f32, 0.5, 2.0, 2.5].map(|x: f32| V::splat(&x));
            let (u, w) = (d[4].fnma(two, d[2]), d[3].fnma(two, d[1]));
            let (u2, w2) = (d[4].fnma(half, d[2]), d[3].fnma(half, d[1]));
            [
                d[0].add(d[4].fnma(both, d[2])),
                u.fma(a, w),
                u.fnma(a, w),
                u2.fma(b, w2),
                u2.fnma(b, w2),
                d[1].add(d[5].fnma(both, d[3])),
            ]
        }
    }
    #[inline(always)]
    unsafe fn output<V: Vector<Lane = f32>>(m: [V; 6]) -> [V; 4] {
        // SAFETY: as the caller promises.
        unsafe {
            let [a, b, half, two] = [A as f32, B as f32, 0.5, 2.0].map(|x: f32| V::splat(&x));
            let [a3, b3] = [(A / 2.0) as f32, (B * 2.0) as f32].map(|x: f32| V::splat(&x));
            let (p, q, r, s) = (m[1].add(m[2]), m[1].sub(m[2]), m[3].add(m[4]), m[3].sub(m[4]));
            [m[0].add(p).add(r), a.mul(q).fma(b, s), half.mul(p).fma(two, r), m[5].fma(a3, q).fma(b3, s)]
        }
    }
}

/// A kernel at all pairs of points.
pub(super) fn weights<F: Transform<T, M>, const T: usize, const M: usize>(kernel: &[f64; 9]) -> [[f64; T]; T] {
    let rows = F::WEIGHTS.map(|g| [0, 1, 2].map(|x| (0..3).map(|y| g[y] * kernel[3 * y + x]).sum::<f64>()));
    rows.map(|row| F::WEIGHTS.map(|g| (0..3).map(|x| g[x] * row[x]).sum::<f64>()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gemm::vector::{Lanes, Sums};

    /// One axis: the outputs of four inputs at a time are the correlation's.
    fn check<F: Transform<T, M>, const T: usize, const M: usize>() {
        let kernel = [0.5, -2.0, 3.0];
        let inputs: [f32; T] = std::array::from_fn(|i| (i * i) as f32 - 3.0);
        // SAFETY: the portable register needs nothing.
        unsafe {
            let transformed = F::input(inputs.map(|x: f32| Lanes::<f32, 4>::splat(&x)));
            let weights = F::WEIGHTS.map(|g| g.iter().zip(kernel).map(|(g, w)| g * w).sum::<f64>() as f32);
            let products = std::array::from_fn(|i| transformed[i].mul(Lanes::splat(&weights[i])));
            for (i, output) in F::output(products).into_iter().enumerate() {
                let want: f64 = (0..3).map(|k| kernel[k] * f64::from(inputs[i + k])).sum();
                let mut got = [0.0_f32; 4];
                output.store(got.as_mut_ptr());
                assert!((f64::from(got[0]) - want).abs() < 1e-4, "{i}: {} {want}", got[0]);
            }
        }
    }

    #[test]
    fn transforms_make_a_correlation() {
        check::<F2, 4, 2>();
        check::<F4, 6, 4>();
    }
}
