//! Products of bf16 by conversion and by the processor's dot products. One test, as the choice is the process's.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic is a test's report

use half::bf16;
use kiln_cpu::Isa;
use kiln_cpu::gemm::{GemmEpilogue, Matrix, MatrixElement, MatrixMut, bf16_dots, has_bf16_dots, matmul, use_bf16_dots};
use kiln_cpu::team::{self, ThreadPool};
use kiln_math::K_BLOCK;

/// A matrix row by row.
#[derive(Clone)]
struct Rows<T> {
    data: Vec<T>,
    rows: usize,
    cols: usize,
}

impl Rows<bf16> {
    /// Numbers in [-1, 1) of all digits.
    fn new(rows: usize, cols: usize, seed: u64) -> Self {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            bf16::from_f32((state >> 40) as f32 / (1 << 23) as f32 - 1.0)
        };
        Rows { data: (0..rows * cols).map(|_| next()).collect(), rows, cols }
    }

    fn transposed(&self) -> Self {
        let at = |i: usize| self.data[i % self.rows * self.cols + i / self.rows];
        Rows { data: (0..self.data.len()).map(at).collect(), rows: self.cols, cols: self.rows }
    }
}

impl<T: Copy> Rows<T> {
    fn view(&self) -> Matrix<'_, T> {
        Matrix::row_major(&self.data, self.rows, self.cols).unwrap()
    }

    fn at(&self, i: usize, j: usize) -> T {
        self.data[i * self.cols + j]
    }
}

fn product<T: MatrixElement<Accumulator = f32>>(
    isa: Isa,
    a: Matrix<'_, bf16>,
    b: Matrix<'_, bf16>,
    size: (usize, usize),
) -> Vec<T> {
    let mut c = vec![T::from_number(f32::NAN); size.0 * size.1];
    let out = MatrixMut::row_major(&mut c, size.0, size.1).unwrap();
    matmul(isa, a, b, out, GemmEpilogue::overwrite()).unwrap();
    c
}

/// A sum of products as it is defined for f32: blocks of terms, each a chain of fused multiply-adds from 0.
fn blocks(terms: impl Iterator<Item = (f32, f32)>) -> f32 {
    let terms: Vec<_> = terms.collect();
    let chain = |block: &[(f32, f32)]| block.iter().fold(0.0_f32, |sum, &(a, b)| a.mul_add(b, sum));
    terms.chunks(K_BLOCK).map(chain).reduce(|sum, block| sum + block).unwrap_or(0.0)
}

/// The bits of f32's products of the converted numbers.
fn converted(isa: Isa, m: usize, n: usize, k: usize) {
    let (a, b) = (Rows::new(m, k, 1), Rows::new(k, n, 2));
    let term = |i: usize, j: usize| blocks((0..k).map(|p| (a.at(i, p).to_f32(), b.at(p, j).to_f32())));
    let expected: Vec<bf16> = (0..m * n).map(|at| bf16::from_f32(term(at / n, at % n))).collect();
    assert!(product::<bf16>(isa, a.view(), b.view(), (m, n)) == expected, "{m}×{n}×{k} {isa:?}");
}

/// Near the exact sums, with the same bits however the operands lie, for any number of threads, and in any part of the product.
fn dots(isa: Isa, m: usize, n: usize, k: usize) {
    let (a, b) = (Rows::new(m, k, 1), Rows::new(k, n, 2));
    let (across, down) = (a.transposed(), b.transposed());
    let expected = product::<f32>(isa, a.view(), b.view(), (m, n));
    for (at, &x) in expected.iter().enumerate() {
        let term = |p: usize| a.at(at / n, p).to_f64() * b.at(p, at % n).to_f64();
        let (exact, size) = (0..k).fold((0.0, 0.0), |(sum, size), p| (sum + term(p), size + term(p).abs()));
        assert!((f64::from(x) - exact).abs() <= size * 1e-5, "{m}×{n}×{k} at {at}: {x}, exactly {exact}");
    }
    for threads in [1, 2, 3] {
        let pool = ThreadPool::new(threads);
        team::run_in(&pool, || {
            let (by_columns, by_rows) = (across.view().t(), a.view());
            for (a, b) in [(by_rows, down.view().t()), (by_columns, b.view()), (by_columns, down.view().t())] {
                assert!(product::<f32>(isa, a, b, (m, n)) == expected, "{m}×{n}×{k}, {threads} threads");
            }
            let halves: Vec<bf16> = expected.iter().map(|&x| bf16::from_f32(x)).collect();
            assert!(product::<bf16>(isa, by_rows, b.view(), (m, n)) == halves, "{m}×{n}×{k} to bf16");
        });
    }
    // One row and some columns.
    let row = Matrix::row_major(&a.data[(m - 1) * k..], 1, k).unwrap();
    let columns = Matrix::strided(&b.data, n / 2, (k, n - n / 2), (n as isize, 1)).unwrap();
    assert!(
        product::<f32>(isa, row, columns, (1, n - n / 2)) == expected[(m - 1) * n + n / 2..],
        "{m}×{n}×{k}, a part"
    );
}

/// Infinities and NaN, and numbers behind an operand's end, which an odd k must not meet.
fn odd_numbers(isa: Isa) {
    let (m, n, k) = (7, 19, 5);
    let mut a = Rows::new(m, k + 1, 3);
    a.data.iter_mut().skip(k).step_by(k + 1).for_each(|x| *x = bf16::NAN);
    let mut b = Rows::new(k, n, 4);
    let view = |a: &Rows<bf16>| {
        product::<f32>(isa, Matrix::strided(&a.data, 0, (m, k), (k as isize + 1, 1)).unwrap(), b.view(), (m, n))
    };
    assert!(view(&a).iter().all(|x| x.is_finite()));
    a.data[2 * (k + 1) + 1] = bf16::INFINITY;
    a.data[3 * (k + 1) + 4] = bf16::NAN;
    let out = view(&a);
    for (i, row) in out.chunks_exact(n).enumerate() {
        match i {
            2 => assert!(row.iter().all(|x| x.is_infinite())),
            3 => assert!(row.iter().all(|x| x.is_nan())),
            _ => assert!(row.iter().all(|x| x.is_finite())),
        }
    }
    b.data.fill(bf16::ZERO);
    let zero = Rows { data: vec![bf16::ZERO; m * k], rows: m, cols: k };
    assert!(product::<f32>(isa, zero.view(), b.view(), (m, n)).iter().all(|&x| x == 0.0));
}

#[test]
fn products_of_bf16_by_conversion_and_by_dot_products() {
    for &isa in Isa::available() {
        use_bf16_dots(false);
        assert!(!bf16_dots(isa));
        if isa.fused() {
            converted(isa, 3, 150, 5000);
            converted(isa, 130, 20, 1500);
        }
        use_bf16_dots(true);
        assert_eq!(bf16_dots(isa), has_bf16_dots(isa));
        if has_bf16_dots(isa) {
            for (m, n, k) in [(1, 1, 1), (1, 70, 300), (6, 64, 2), (13, 129, 27), (70, 33, 1300), (200, 150, 513)] {
                dots(isa, m, n, k);
            }
            odd_numbers(isa);
        } else {
            println!("{isa:?} has no dot products of bf16: not measured");
        }
    }
}
