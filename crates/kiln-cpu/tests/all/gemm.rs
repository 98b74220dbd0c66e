//! The matrix product against a naive one in f64, over shapes, strides, segments, epilogues and instruction sets; and
//! its promise that the bits of a result do not depend on how it was computed.

use half::{bf16, f16};
use kiln_cpu::gemm::{
    Bias, GemmActivation, GemmEpilogue, Matrix, MatrixElement, MatrixMut, Product, Segment, gemm, gemm_batched, matmul,
};
use kiln_cpu::{Isa, team};
use kiln_math::K_BLOCK;
use proptest::prelude::*;

/// A number of any element type, for the reference.
trait Real: MatrixElement + std::fmt::Debug {
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
struct Made<T, U: MatrixElement> {
    case: Case,
    a: Vec<Stored<T>>,
    b: Vec<Stored<T>>,
    c: Stored<U>,
    bias: Vec<U::Accumulator>,
}

impl<T, U> Made<T, U>
where
    U: Real<Accumulator: Real>,
    T: Real + MatrixElement<Accumulator = U::Accumulator>,
{
    fn new(case: &Case) -> Self {
        let Case { m, n, ref ks, lays, seed, .. } = *case;
        // Segments share their strides, so each lies in a buffer as wide as the widest.
        let wide = ks.iter().copied().max().unwrap_or(0);
        let a = (0..ks.len()).map(|s| Stored::new(lays.0, m, wide, seed ^ (2 * s as u64 + 1))).collect();
        let b = (0..ks.len()).map(|s| Stored::new(lays.1, wide, n, seed ^ (2 * s as u64 + 2))).collect();
        let c = Stored::new(lays.2, m, n, !seed);
        let bias = Stored::<U::Accumulator>::new(Lay::Rows, 1, if case.bias == 1 { n } else { m }, seed ^ 99).data;
        Made { case: case.clone(), a, b, c, bias }
    }

    /// The product as the crate computes it.
    fn run(&self, isa: Isa) -> Stored<U> {
        let mut c = self.c.clone();
        let segments: Vec<_> = (self.a.iter().zip(&self.b).zip(&self.case.ks))
            .map(|((a, b), &k)| Segment { a: a.ptr(), b: b.ptr(), k })
            .collect();
        let halve = |x: &mut [U::Accumulator]| x.iter_mut().for_each(|x| *x = U::Accumulator::of(x.get() * 0.5 + 1.0));
        let epilogue = GemmEpilogue {
            accumulate: self.case.accumulate,
            bias: match self.case.bias {
                0 => Bias::None,
                1 => Bias::Row(&self.bias),
                _ => Bias::Column(&self.bias),
            },
            activation: match self.case.activation {
                0 => GemmActivation::None,
                1 => GemmActivation::Relu,
                _ => GemmActivation::Map(&halve),
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
                let bound = size * U::Accumulator::EPSILON + 2.0 * U::EPSILON * (1.0 + expected.abs());
                assert!((got - expected).abs() <= bound, "{isa:?} ({i}, {j}): {got} for {expected}, {:?}", self.case);
                written[(c.start as isize + i as isize * c.strides.0 + j as isize * c.strides.1) as usize] = true;
            }
        }
        for (at, (now, before)) in c.data.iter().zip(&self.c.data).enumerate().filter(|(at, _)| !written[*at]) {
            assert_eq!(now.get().to_bits(), before.get().to_bits(), "{at} is not an element of C: {:?}", self.case);
        }
    }
}

fn check<T, U>(case: &Case)
where
    U: Real<Accumulator: Real>,
    T: Real + MatrixElement<Accumulator = U::Accumulator>,
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

/// A sum of products as it is defined: blocks of terms, each a chain of fused multiply-adds from 0, added in order to what was
/// there.
fn blocks(held: Option<f32>, terms: &[(f32, f32)]) -> f32 {
    let chain = |block: &[(f32, f32)]| block.iter().fold(0.0_f32, |sum, &(a, b)| a.mul_add(b, sum));
    terms.chunks(K_BLOCK).map(chain).fold(held, |sum, block| Some(sum.map_or(block, |sum| sum + block))).unwrap_or(0.0)
}

/// The bits of a product by [`blocks`].
fn by_blocks(
    m: usize,
    n: usize,
    segments: &[(&Stored<f32>, &Stored<f32>, usize)],
    c: Option<&Stored<f32>>,
) -> Vec<u32> {
    let mut bits = Vec::new();
    for i in 0..m {
        for j in 0..n {
            let terms = |&(a, b, k): &(&Stored<f32>, &Stored<f32>, usize)| {
                (0..k).map(move |p| (a.at(i, p), b.at(p, j))).collect::<Vec<_>>()
            };
            let terms: Vec<_> = segments.iter().flat_map(terms).collect();
            bits.push(blocks(c.map(|c| c.at(i, j)), &terms).to_bits());
        }
    }
    bits
}

/// The bits of C, row by row.
fn bits_of(c: &Stored<f32>) -> Vec<u32> {
    (0..c.shape.0).flat_map(|i| (0..c.shape.1).map(move |j| c.at(i, j).to_bits())).collect()
}

/// On one thread and on a team of three, with each instruction set that fuses.
fn everywhere(f: impl Fn(Isa, usize) + Sync) {
    for threads in [1, 3] {
        let pool = team::ThreadPool::new(threads);
        for &isa in Isa::available().iter().filter(|isa| isa.fused()) {
            team::run_in(&pool, || f(isa, threads));
        }
    }
}

#[test]
fn an_element_is_blocks_added_in_order_whatever_the_instruction_set_and_the_threads() {
    // Past the limits of every plan: several blocks of k, groups of columns, blocks of rows; large enough to split; few rows and
    // a B that is streamed; few columns, whose panels are long.
    let sizes = [
        (7, 70, 1100),
        (500, 33, 65),
        (90, 600, 300),
        (250, 64, 520),
        (1, 200, 1000),
        (1, 1075, 521),
        (13, 1, 2100),
        (5, 131, 1600),
        // A in slivers, of several blocks of rows.
        (90, 100, 600),
        (400, 96, 600),
    ];
    for (m, n, k) in sizes {
        let lays = [
            (Lay::Rows, Lay::Rows, Lay::Rows),
            (Lay::Columns, Lay::Rows, Lay::Spaced(2, 1)),
            (Lay::Rows, Lay::Columns, Lay::Columns),
        ];
        for (la, lb, lc) in lays.into_iter().chain((k > 500).then_some((Lay::Colliding, Lay::Rows, Lay::Rows))) {
            let (a, b) = (Stored::<f32>::new(la, m, k, 1), Stored::<f32>::new(lb, k, n, 2));
            let held = Stored::<f32>::new(lc, m, n, 3);
            let expected = [None, Some(&held)].map(|c| by_blocks(m, n, &[(&a, &b, k)], c));
            everywhere(|isa, threads| {
                for (epilogue, expected) in
                    [GemmEpilogue::overwrite(), GemmEpilogue::accumulate()].iter().zip(&expected)
                {
                    let mut c = held.clone();
                    matmul(isa, a.view(), b.view(), c.view_mut(), *epilogue).unwrap();
                    let what = (m, n, k, la, lb, lc, epilogue.accumulate);
                    assert!(bits_of(&c) == *expected, "{what:?} {isa:?} {threads} threads");
                }
            });
        }
    }
}

#[test]
fn blocks_go_on_from_one_segment_to_the_next() {
    for (m, n, ks) in [(9, 20, vec![300, 0, 212, 700, 1]), (3, 40, vec![511, 2, 511]), (40, 70, vec![1024, 512, 30])] {
        let of = |lay: Lay, which: u64| -> Vec<Stored<f32>> {
            let wide = ks.iter().copied().max().unwrap_or(0);
            let (rows, cols) = if which == 0 { (m, wide) } else { (wide, n) };
            (0..ks.len() as u64).map(|s| Stored::new(lay, rows, cols, 2 * s + which)).collect()
        };
        let (a, b) = (of(Lay::Rows, 0), of(Lay::Rows, 1));
        let parts: Vec<_> = a.iter().zip(&b).zip(&ks).map(|((a, b), &k)| (a, b, k)).collect();
        let segments: Vec<_> = parts.iter().map(|(a, b, k)| Segment { a: a.ptr(), b: b.ptr(), k: *k }).collect();
        let bias = Stored::<f32>::new(Lay::Rows, 1, n, 9).data;
        let expected: Vec<u32> = (by_blocks(m, n, &parts, None).iter().enumerate())
            .map(|(i, &sum)| (f32::from_bits(sum) + bias[i % n]).max(0.0).to_bits())
            .collect();
        for &isa in Isa::available().iter().filter(|isa| isa.fused()) {
            let mut c = Stored::<f32>::new(Lay::Rows, m, n, 3);
            let epilogue = GemmEpilogue::overwrite().with_bias(Bias::Row(&bias)).with_activation(GemmActivation::Relu);
            let product = Product {
                rows: m,
                cols: n,
                segments: &segments,
                a_strides: a[0].strides,
                b_strides: b[0].strides,
                c: c.data.as_mut_ptr(),
                c_strides: c.strides,
                epilogue,
            };
            // SAFETY: the matrices are as large as the product says, C is this call's own.
            unsafe { gemm(isa, &product) };
            assert!(bits_of(&c) == expected, "{m}×{n} {ks:?} {isa:?}");
        }
    }
}

/// The largest error of a 1 × 16 product of so many terms, relative to the largest element. The data repeat.
fn error(k: usize, term: impl Fn(usize) -> f32) -> f64 {
    let a: Vec<f32> = (0..k).map(|i| term(i % 997)).collect();
    let b: Vec<f32> = (0..16 * k).map(|i| term(i / 16 % 991 * 7 + i % 16)).collect();
    let mut c = [0.0_f32; 16];
    let (left, right) = (Matrix::row_major(&a, 1, k).unwrap(), Matrix::row_major(&b, k, 16).unwrap());
    matmul(Isa::best(), left, right, MatrixMut::row_major(&mut c, 1, 16).unwrap(), GemmEpilogue::overwrite()).unwrap();
    let term = |p: usize, j: usize| f64::from(a[p]) * f64::from(b[p * 16 + j]);
    let exact: Vec<f64> = (0..16).map(|j| (0..k).map(|p| term(p, j)).sum()).collect();
    let largest = exact.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
    c.iter().zip(&exact).map(|(&c, e)| (f64::from(c) - e).abs() / largest).fold(0.0, f64::max)
}

#[test]
fn long_sums_keep_their_digits() {
    // As one chain these lose 4.6e-4 and 1.3e-2; PyTorch loses 2e-5 and 8.5e-4.
    for (k, most) in [(60_000, 2e-5), (1_000_000, 8.5e-4)] {
        let error = error(k, |_| 0.1);
        assert!(error < most, "{k} equal terms: {error:e}");
    }
    let error = error(100_000, |i| (i * 7919 % 1009) as f32 / 1009.0);
    assert!(error < 2e-6, "positive terms: {error:e}");
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
    let (ks, lays) = (vec![300, 0, 270], (Lay::Columns, Lay::Rows, Lay::Rows));
    check::<f32, f32>(&Case { m: 70, n: 90, ks, lays, accumulate: true, bias: 1, activation: 2, seed: 6 });
}

#[test]
fn one_row_by_columns_where_they_lie() {
    for (n, k) in [(1, 9), (8, 8), (37, 7), (16, 300), (1060, 259)] {
        for (accumulate, bias, activation) in [(true, 0, 0), (false, 1, 1), (true, 2, 2)] {
            let case = |lays| Case { m: 1, n, ks: vec![k], lays, accumulate, bias, activation, seed: 7 };
            check::<f32, f32>(&case((Lay::Rows, Lay::Columns, Lay::Rows)));
            check::<f64, f64>(&case((Lay::Spaced(2, 1), Lay::Colliding, Lay::Rows)));
            check::<bf16, f32>(&case((Lay::Rows, Lay::Columns, Lay::Rows)));
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
        let epilogue = GemmEpilogue::accumulate().with_activation(GemmActivation::Relu);
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
            epilogue: GemmEpilogue::overwrite(),
        };
        let place = |i: usize| ((i * m * k) as isize, 0, (i * m * n) as isize);
        // SAFETY: the matrices are as large as the product says, the Cs are this call's own and disjoint.
        team::run(|| unsafe { gemm_batched(Isa::best(), count, &product, place) });
        let mut whole = vec![0.0_f32; count * m * n];
        let c_whole = MatrixMut::row_major(&mut whole, count * m, n).unwrap();
        matmul(Isa::best(), a.view(), b.view(), c_whole, GemmEpilogue::overwrite()).unwrap();
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
    assert!(run(a.t(), 3, 3, GemmEpilogue::overwrite()).is_ok());
    assert!(run(a, 3, 3, GemmEpilogue::overwrite()).unwrap_err().to_string().contains("3×4 times 3×4"));
    assert!(run(a.t(), 3, 2, GemmEpilogue::overwrite()).is_err());
    let bias = [0.0; 2];
    assert!(run(a.t(), 3, 3, GemmEpilogue::overwrite().with_bias(Bias::Row(&bias))).is_err());
}
