//! The matrix product against a naive one in f64, over shapes, strides, segments, epilogues and instruction sets; and
//! its promise that the bits of a result do not depend on how it was computed.

// Helpers of tests are tests: a panic is the report.
#![allow(clippy::unwrap_used)]

use half::{bf16, f16};
use kiln_cpu::gemm::{
    Activation, Bias, Element, Epilogue, Matrix, MatrixMut, Product, Segment, gemm, gemm_batched, matmul,
};
use kiln_cpu::{Isa, team};
use proptest::prelude::*;

/// A number of any element type, for the reference.
trait Real: Element + std::fmt::Debug {
    /// The distance from 1 to the next number.
    const EPSILON: f64;
    fn of(x: f64) -> Self;
    fn get(self) -> f64;
}

macro_rules! real {
    ($($t:ty, $epsilon:expr, $of:expr;)*) => { $(
        impl Real for $t {
            const EPSILON: f64 = $epsilon;
            fn of(x: f64) -> Self {
                $of(x)
            }
            fn get(self) -> f64 {
                self.into()
            }
        }
    )* };
}

real! {
    f32, f32::EPSILON as f64, |x| x as f32;
    f64, f64::EPSILON, |x| x;
    f16, 9.765625e-4, f16::from_f64;
    bf16, 7.8125e-3, bf16::from_f64;
}

/// How a matrix lies in its buffer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Lay {
    Rows,
    Columns,
    /// Columns whose distance is a multiple of a large power of two.
    Colliding,
    /// Every `.0`-th element of rows that are `.1` longer than needed.
    Spaced(usize, usize),
    /// Row-major, backwards in both dimensions.
    Backwards,
    /// One row repeated (stride 0).
    Repeated,
}

/// A matrix in a buffer of its own.
#[derive(Clone, Debug)]
struct Stored<T> {
    data: Vec<T>,
    start: usize,
    shape: (usize, usize),
    strides: (isize, isize),
}

impl<T: Real> Stored<T> {
    fn new(lay: Lay, rows: usize, cols: usize, seed: u64) -> Self {
        let (start, strides, len) = match lay {
            Lay::Rows => (0, (cols as isize, 1), rows * cols),
            Lay::Columns => (0, (1, rows as isize), rows * cols),
            Lay::Colliding => {
                let apart = rows.next_multiple_of(2048);
                (0, (1, apart as isize), apart * cols)
            }
            Lay::Spaced(step, extra) => {
                let row = cols * step + extra;
                (0, (row as isize, step as isize), rows * row)
            }
            Lay::Backwards => ((rows * cols).saturating_sub(1), (-(cols as isize), -1), rows * cols),
            Lay::Repeated => (0, (0, 1), cols),
        };
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            T::of((state >> 40) as f64 / (1 << 23) as f64 - 1.0)
        };
        let data = (0..len).map(|_| next()).collect();
        Stored { data, start, shape: (rows, cols), strides }
    }

    fn at(&self, i: usize, j: usize) -> T {
        let offset = self.start as isize + i as isize * self.strides.0 + j as isize * self.strides.1;
        self.data[offset as usize]
    }

    fn view(&self) -> Matrix<'_, T> {
        Matrix::strided(&self.data, self.start, self.shape, self.strides).unwrap()
    }

    fn view_mut(&mut self) -> MatrixMut<'_, T> {
        MatrixMut::strided(&mut self.data, self.start, self.shape, self.strides).unwrap()
    }

    fn ptr(&self) -> *const T {
        self.data.as_ptr().wrapping_add(self.start)
    }

    fn bits(&self) -> Vec<u64> {
        self.data.iter().map(|x| x.get().to_bits()).collect()
    }
}

fn lay() -> impl Strategy<Value = Lay> {
    prop_oneof![
        4 => Just(Lay::Rows),
        3 => Just(Lay::Columns),
        2 => (1_usize..4, 0_usize..5).prop_map(|(step, extra)| Lay::Spaced(step, extra)),
        1 => Just(Lay::Backwards),
        1 => Just(Lay::Repeated),
    ]
}

fn output_lay() -> impl Strategy<Value = Lay> {
    lay().prop_map(|lay| if lay == Lay::Repeated { Lay::Rows } else { lay })
}

fn size() -> impl Strategy<Value = usize> {
    prop_oneof![6 => 0_usize..20, 3 => 20_usize..140, 1 => 140_usize..300]
}

#[derive(Clone, Debug)]
struct Case {
    m: usize,
    n: usize,
    ks: Vec<usize>,
    lays: (Lay, Lay, Lay),
    accumulate: bool,
    /// 0 none, 1 row, 2 column.
    bias: u8,
    /// 0 none, 1 relu, 2 another.
    activation: u8,
    seed: u64,
}

fn case() -> impl Strategy<Value = Case> {
    let ks = prop_oneof![5 => proptest::collection::vec(size(), 1), 2 => proptest::collection::vec(0_usize..40, 0..6)];
    let lays = (lay(), lay(), output_lay());
    (size(), size(), ks, lays, any::<bool>(), 0_u8..3, 0_u8..3, any::<u64>()).prop_map(
        |(m, n, ks, lays, accumulate, bias, activation, seed)| Case {
            m,
            n,
            ks,
            lays,
            accumulate,
            bias,
            activation,
            seed,
        },
    )
}

/// A case with its operands.
struct Made<T, U: Element> {
    case: Case,
    a: Vec<Stored<T>>,
    b: Vec<Stored<T>>,
    c: Stored<U>,
    bias: Vec<U::Number>,
}

impl<T, U> Made<T, U>
where
    U: Real<Number: Real>,
    T: Real + Element<Number = U::Number>,
{
    fn new(case: &Case) -> Self {
        let Case { m, n, ref ks, lays, seed, .. } = *case;
        // Segments share their strides, so each lies in a buffer as wide as the widest.
        let wide = ks.iter().copied().max().unwrap_or(0);
        let a = (0..ks.len()).map(|s| Stored::new(lays.0, m, wide, seed ^ (2 * s as u64 + 1))).collect();
        let b = (0..ks.len()).map(|s| Stored::new(lays.1, wide, n, seed ^ (2 * s as u64 + 2))).collect();
        let c = Stored::new(lays.2, m, n, !seed);
        let bias = Stored::<U::Number>::new(Lay::Rows, 1, if case.bias == 1 { n } else { m }, seed ^ 99).data;
        Made { case: case.clone(), a, b, c, bias }
    }

    /// The product as the crate computes it.
    fn run(&self, isa: Isa) -> Stored<U> {
        let mut c = self.c.clone();
        let segments: Vec<_> = (self.a.iter().zip(&self.b).zip(&self.case.ks))
            .map(|((a, b), &k)| Segment { a: a.ptr(), b: b.ptr(), k })
            .collect();
        let halve = |x: &mut [U::Number]| x.iter_mut().for_each(|x| *x = U::Number::of(x.get() * 0.5 + 1.0));
        let epilogue = Epilogue {
            accumulate: self.case.accumulate,
            bias: match self.case.bias {
                0 => Bias::None,
                1 => Bias::Row(&self.bias),
                _ => Bias::Column(&self.bias),
            },
            activation: match self.case.activation {
                0 => Activation::None,
                1 => Activation::Relu,
                _ => Activation::Map(&halve),
            },
        };
        let product = Product {
            rows: self.case.m,
            cols: self.case.n,
            segments: &segments,
            a_strides: self.a.first().map_or((0, 0), |a| a.strides),
            b_strides: self.b.first().map_or((0, 0), |b| b.strides),
            c: c.data.as_mut_ptr().wrapping_add(c.start),
            c_strides: c.strides,
            epilogue,
        };
        // SAFETY: the matrices are as large as the product says, C is this call's own.
        unsafe { gemm(isa, &product) };
        c
    }

    /// Element (i, j) in f64, and a bound on the magnitude of what was summed.
    fn reference(&self, i: usize, j: usize) -> (f64, f64) {
        let case = &self.case;
        let (mut sum, mut size) = if case.accumulate { (self.c.at(i, j).get(), 1.0) } else { (0.0, 0.0) };
        for ((a, b), &k) in self.a.iter().zip(&self.b).zip(&case.ks) {
            for p in 0..k {
                sum += a.at(i, p).get() * b.at(p, j).get();
                size += 1.0;
            }
        }
        match case.bias {
            0 => {}
            1 => sum += self.bias[j].get(),
            _ => sum += self.bias[i].get(),
        }
        let value = match case.activation {
            0 => sum,
            1 => sum.max(0.0),
            _ => sum * 0.5 + 1.0,
        };
        (value, size + 2.0)
    }

    fn check(&self, isa: Isa) {
        let c = self.run(isa);
        let mut written = vec![false; c.data.len()];
        for i in 0..self.case.m {
            for j in 0..self.case.n {
                let (expected, size) = self.reference(i, j);
                let got = c.at(i, j).get();
                let bound = size * U::Number::EPSILON + 2.0 * U::EPSILON * (1.0 + expected.abs());
                assert!((got - expected).abs() <= bound, "{isa:?} ({i}, {j}): {got} for {expected}, {:?}", self.case);
                written[(c.start as isize + i as isize * c.strides.0 + j as isize * c.strides.1) as usize] = true;
            }
        }
        for (at, (now, before)) in c.data.iter().zip(&self.c.data).enumerate().filter(|(at, _)| !written[*at]) {
            assert_eq!(now.get().to_bits(), before.get().to_bits(), "{at} is no element of C: {:?}", self.case);
        }
    }
}

fn check<T, U>(case: &Case)
where
    U: Real<Number: Real>,
    T: Real + Element<Number = U::Number>,
{
    let made = Made::<T, U>::new(case);
    for &isa in Isa::available() {
        made.check(isa);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn agrees_with_the_naive_product_f32(case in case()) {
        check::<f32, f32>(&case);
    }

    #[test]
    fn agrees_with_the_naive_product_f64(case in case()) {
        check::<f64, f64>(&case);
    }

    #[test]
    fn agrees_with_the_naive_product_halves(case in case()) {
        check::<bf16, f32>(&case);
        check::<bf16, bf16>(&case);
        check::<f16, f16>(&case);
        check::<f32, f16>(&case);
    }
}

/// Each element as one chain of fused multiply-adds, in the order of k.
fn chains(m: usize, n: usize, k: usize, a: &Stored<f32>, b: &Stored<f32>) -> Vec<u64> {
    let mut bits = Vec::new();
    for i in 0..m {
        for j in 0..n {
            let chain = (0..k).fold(0.0_f32, |sum, p| a.at(i, p).mul_add(b.at(p, j), sum));
            bits.push(f64::from(chain).to_bits());
        }
    }
    bits
}

#[test]
fn an_element_is_one_chain_whatever_the_instruction_set_and_the_threads() {
    // Past the limits of every blocking: several runs of k, groups of columns, blocks of rows; and large enough to split.
    for (m, n, k) in [(7, 70, 1100), (500, 33, 65), (90, 700, 300), (750, 64, 520), (1, 200, 1000), (13, 1, 900)] {
        let lays = [(Lay::Rows, Lay::Rows), (Lay::Columns, Lay::Rows), (Lay::Rows, Lay::Columns)];
        for (la, lb) in lays.into_iter().chain((k > 500).then_some((Lay::Colliding, Lay::Rows))) {
            let a = Stored::<f32>::new(la, m, k, 1);
            let b = Stored::<f32>::new(lb, k, n, 2);
            let expected = chains(m, n, k, &a, &b);
            for threads in 1..=3 {
                let pool = team::ThreadPool::new(threads);
                for isa in Isa::available().iter().filter(|isa| isa.fused()) {
                    let mut c = Stored::<f32>::new(Lay::Rows, m, n, 3);
                    team::run_in(&pool, || {
                        matmul(*isa, a.view(), b.view(), c.view_mut(), Epilogue::overwrite()).unwrap()
                    });
                    assert!(c.bits() == expected, "{m}×{n}×{k} {la:?} {lb:?} {isa:?} {threads} threads");
                }
            }
        }
    }
}

#[test]
fn columns_that_fall_on_one_another_in_a_cache() {
    // Rows that fill no tile, panels that are not filled, terms, and each way into C.
    for (m, n, lay) in [(101, 75, Lay::Rows), (130, 201, Lay::Columns), (97, 64, Lay::Spaced(2, 3))] {
        for (accumulate, bias, activation) in [(true, 0, 0), (false, 1, 1), (true, 2, 2)] {
            let (ks, lays) = (vec![300, 0, 270], (Lay::Colliding, Lay::Rows, lay));
            let case = Case { m, n, ks, lays, accumulate, bias, activation, seed: 5 };
            check::<f32, f32>(&case);
            check::<f64, f64>(&case);
            check::<bf16, f32>(&case);
        }
    }
}

#[test]
fn long_half_products_are_rounded_once() {
    // Past the lengths at which f32 products are cut: a sum kept in C between the parts would lose its low bits.
    for (m, n, k) in [(3, 150, 5000), (130, 20, 1500)] {
        let a = Stored::<bf16>::new(Lay::Rows, m, k, 1);
        let b = Stored::<bf16>::new(Lay::Rows, k, n, 2);
        for &isa in Isa::available() {
            let (mut c, mut wide) = (vec![bf16::ZERO; m * n], vec![0.0_f32; m * n]);
            let out = MatrixMut::row_major(&mut c, m, n).unwrap();
            matmul(isa, a.view(), b.view(), out, Epilogue::overwrite()).unwrap();
            let out = MatrixMut::row_major(&mut wide, m, n).unwrap();
            matmul(isa, a.view(), b.view(), out, Epilogue::overwrite()).unwrap();
            assert!(c.iter().zip(&wide).all(|(&x, &y)| x == bf16::from_f32(y)), "{m}×{n}×{k} {isa:?}");
        }
    }
}

#[test]
fn nan_infinity_and_zeros_pass_through_relu() {
    for &isa in Isa::available() {
        let mut a = vec![1.0_f32; 9 * 20];
        a[2 * 20..3 * 20].fill(-0.0);
        a[3 * 20 + 5] = f32::NAN;
        a[4 * 20 + 5] = f32::INFINITY;
        let b = vec![1.0_f32; 20 * 17];
        let mut c = vec![-0.0_f32; 9 * 17];
        let (a, b) = (Matrix::row_major(&a, 9, 20).unwrap(), Matrix::row_major(&b, 20, 17).unwrap());
        let epilogue = Epilogue::accumulate().with_activation(Activation::Relu);
        matmul(isa, a, b, MatrixMut::row_major(&mut c, 9, 17).unwrap(), epilogue).unwrap();
        for (i, row) in c.chunks(17).enumerate() {
            for &x in row {
                match i {
                    // -0 becomes 0.
                    2 => assert_eq!(x.to_bits(), 0),
                    3 => assert!(x.is_nan()),
                    4 => assert_eq!(x, f32::INFINITY),
                    _ => assert_eq!(x, 20.0),
                }
            }
        }
    }
}

#[test]
fn batches_are_products_one_by_one() {
    for (count, m, n, k) in [(0, 3, 4, 5), (1, 3, 4, 5), (7, 20, 40, 30), (50, 16, 16, 64), (2, 100, 200, 100)] {
        let a = Stored::<f32>::new(Lay::Rows, count * m, k, 1);
        // One B for all.
        let b = Stored::<f32>::new(Lay::Rows, k, n, 2);
        let mut c = vec![0.0_f32; count * m * n];
        let product = Product {
            rows: m,
            cols: n,
            segments: &[Segment { a: a.ptr(), b: b.ptr(), k }],
            a_strides: (k as isize, 1),
            b_strides: (n as isize, 1),
            c: c.as_mut_ptr(),
            c_strides: (n as isize, 1),
            epilogue: Epilogue::overwrite(),
        };
        let place = |i: usize| ((i * m * k) as isize, 0, (i * m * n) as isize);
        // SAFETY: the matrices are as large as the product says, the Cs are this call's own and disjoint.
        team::run(|| unsafe { gemm_batched(Isa::best(), count, &product, place) });
        let mut whole = vec![0.0_f32; count * m * n];
        let c_whole = MatrixMut::row_major(&mut whole, count * m, n).unwrap();
        matmul(Isa::best(), a.view(), b.view(), c_whole, Epilogue::overwrite()).unwrap();
        assert_eq!(c, whole);
    }
}

#[test]
fn what_does_not_fit_is_an_error() {
    let data = [0.0_f32; 12];
    assert!(Matrix::row_major(&data, 3, 4).is_ok());
    assert!(Matrix::row_major(&data, 3, 5).is_err());
    assert!(Matrix::strided(&data, 0, (3, 4), (-4, 1)).is_err());
    assert!(Matrix::strided(&data, 8, (3, 4), (-4, 1)).is_ok());
    assert!(Matrix::strided(&data, 0, (1000, 4), (0, 1)).is_ok());
    let mut out = [0.0_f32; 12];
    assert!(MatrixMut::strided(&mut out, 0, (3, 4), (4, 1)).is_ok());
    assert!(MatrixMut::strided(&mut out, 0, (3, 4), (0, 1)).is_err());
    assert!(MatrixMut::strided(&mut out, 0, (3, 4), (2, 1)).is_err());
    assert!(MatrixMut::strided(&mut out, 0, (3, 4), (1, 0)).is_err());
    assert!(MatrixMut::strided(&mut out, 0, (1, 4), (0, -1)).is_err());
    assert!(MatrixMut::strided(&mut out, 3, (1, 4), (0, -1)).is_ok());

    let a = Matrix::row_major(&data, 3, 4).unwrap();
    let run = |b, m, n, epilogue| {
        let mut c = [7.0_f32; 9];
        let result = matmul(Isa::best(), a, b, MatrixMut::row_major(&mut c, m, n).unwrap(), epilogue);
        assert!(result.is_ok() || c == [7.0; 9]);
        result
    };
    assert!(run(a.t(), 3, 3, Epilogue::overwrite()).is_ok());
    assert!(run(a, 3, 3, Epilogue::overwrite()).unwrap_err().to_string().contains("3×4 times 3×4"));
    assert!(run(a.t(), 3, 2, Epilogue::overwrite()).is_err());
    let bias = [0.0; 2];
    assert!(run(a.t(), 3, 3, Epilogue::overwrite().with_bias(Bias::Row(&bias))).is_err());
}
