//! Kernels on the simulator, compared with plain loops.
#![cfg(feature = "sim")]

mod common;

use common::{read, write};
use cuda_std::*;
use proptest::prelude::*;

fn thread() -> usize {
    (block_idx_x() * block_dim_x() + thread_idx_x()) as usize
}

kernel! {
    /// z = x + y.
    #[name = concat!("add_", "f32")]
    #[max_threads = 256]
    pub fn add(x: Global<f32>, y: Global<f32>, z: GlobalMut<f32>) {
        let i = thread();
        if i >= z.len() {
            return;
        }
        z.set(i, x.get(i) + y.get(i));
    }
}

const TILE: usize = 16;

kernel! {
    /// c = a b, row-major: (m, k) times (k, n). Blocks of 16 by 16, a tile of each operand in shared memory.
    #[name = "matmul_f32"]
    #[max_threads = 256]
    pub fn matmul(a: Global<f32>, b: Global<f32>, c: GlobalMut<f32>, m: u32, n: u32, k: u32) {
        let (m, n, k) = (m as usize, n as usize, k as usize);
        let (x, y) = (thread_idx_x() as usize, thread_idx_y() as usize);
        let (row, column) = (block_idx_y() as usize * TILE + y, block_idx_x() as usize * TILE + x);
        let tile_a = Shared::<f32>::at(0, TILE * TILE);
        let tile_b = Shared::<f32>::at(size_of::<f32>() * TILE * TILE, TILE * TILE);
        let mut sum = 0.0f32;
        for at in (0..k).step_by(TILE) {
            tile_a.set(y * TILE + x, if row < m && at + x < k { a.get(row * k + at + x) } else { 0.0 });
            tile_b.set(y * TILE + x, if at + y < k && column < n { b.get((at + y) * n + column) } else { 0.0 });
            sync_threads();
            for i in 0..TILE {
                sum = tile_a.get(y * TILE + i).mul_add(tile_b.get(i * TILE + x), sum);
            }
            sync_threads();
        }
        if row < m && column < n {
            c.set(row * n + column, sum);
        }
    }
}

kernel! {
    /// sums[block] = the sum of the block's 256 elements: by shuffles in a warp, through shared memory between warps.
    #[name = "reduce_f32"]
    #[max_threads = 256]
    pub fn reduce(x: Global<f32>, sums: GlobalMut<f32>) {
        let i = thread();
        let partial = Shared::<f32>::at(0, 8);
        let mut sum = if i < x.len() { x.get(i) } else { 0.0 };
        for mask in [16, 8, 4, 2, 1] {
            sum += warp_shuffle_xor(sum, mask);
        }
        if lane_id() == 0 {
            partial.set(thread_idx_x() as usize / 32, sum);
        }
        sync_threads();
        if thread_idx_x() < 32 {
            let mut sum = if lane_id() < 8 { partial.get(lane_id() as usize) } else { 0.0 };
            for delta in [4, 2, 1] {
                sum += warp_shuffle_down(sum, delta);
            }
            if lane_id() == 0 {
                sums.set(block_idx_x() as usize, sum);
            }
        }
    }
}

/// The tree of [`reduce`], as a plain loop: 32 lanes, then 8 warps.
fn naive_reduce(x: &[f32]) -> f32 {
    fn tree(v: &[f32]) -> f32 {
        match v.len() {
            1 => v[0],
            n => {
                let half: Vec<f32> = (0..n / 2).map(|i| v[i] + v[i + n / 2]).collect();
                tree(&half)
            }
        }
    }
    let mut x = x.to_vec();
    x.resize(256, 0.0);
    let warps: Vec<f32> = x.chunks(32).map(tree).collect();
    tree(&warps)
}

kernel! {
    /// Every exchange of a warp, and a vote of each kind.
    #[max_threads = 64]
    pub fn lanes(out: GlobalMut<u32>, halves: GlobalMut<f64>, signed: GlobalMut<i32>) {
        let (i, lane) = (thread_idx_x() as usize, lane_id());
        let row = |r: usize, value: u32| out.set(r * 64 + i, value);
        row(0, warp_shuffle_xor(lane, 5));
        row(1, warp_shuffle_down(lane, 3));
        row(2, warp_shuffle_up(lane, 3));
        row(3, warp_shuffle_idx(lane, 7));
        row(4, warp_ballot(lane % 3 == 0));
        row(5, u32::from(warp_vote_all(lane < 32)) + 2 * u32::from(warp_vote_all(lane < 31)));
        row(6, u32::from(warp_vote_any(lane == 31)) + 2 * u32::from(warp_vote_any(lane == 32)));
        halves.set(i, warp_shuffle_xor(f64::from(lane) + 0.25, 1));
        signed.set(i, warp_shuffle_idx(-(i as i32), 31));
    }
}

kernel! {
    /// counts[v] = how many elements have the value v: first in shared memory, then in global memory.
    #[max_threads = 128]
    pub fn histogram(x: Global<u8>, counts: GlobalMut<u32>, total: GlobalMut<f32>, signed: GlobalMut<i32>) {
        let (i, t) = (thread(), thread_idx_x() as usize);
        let bins = Shared::<u32>::at(16, 256);
        for bin in [t, t + 128] {
            bins.set(bin, 0);
        }
        sync_threads();
        if i < x.len() {
            bins.atomic_add(x.get(i) as usize, 1);
            total.atomic_add(0, 1.0);
            signed.atomic_add(0, -1);
        }
        sync_threads();
        for bin in [t, t + 128] {
            counts.atomic_add(bin, bins.get(bin));
        }
    }
}

kernel! {
    /// y = x reversed in groups of four, through shared memory; neighbors within a warp, so that the warp's barrier is enough.
    #[max_threads = 64]
    pub fn swap_groups(x: Global<u32>, y: GlobalMut<u32>, bytes: GlobalMut<u8>) {
        let t = thread_idx_x() as usize;
        let groups = Shared::<u32>::at(0, 256);
        let small = Shared::<u8>::at(1024, 64);
        for _ in 0..2 {
            groups.set4(t, x.get4(t));
            small.set(t, t as u8);
            sync_warp();
            let u32x4 { x, y: b, z, w } = groups.get4(t ^ 1);
            y.set4(t, Vector4::new(w, z, b, x));
            bytes.set(t, small.get(t ^ 1));
            sync_warp();
        }
    }
}

/// A number that kernels scale.
trait Scale: DeviceCopy {
    fn times(self, factor: Self) -> Self;
    fn plus(self, other: Self) -> Self;
}

macro_rules! scale {
    ($($t:ty)+) => { $(impl Scale for $t {
        fn times(self, factor: Self) -> Self {
            self * factor
        }
        fn plus(self, other: Self) -> Self {
            self + other
        }
    })+ };
}
scale!(f32 f64 i64);

/// A number as another.
trait Cast<B>: DeviceCopy {
    fn cast(self) -> B;
}

impl Cast<f64> for f32 {
    fn cast(self) -> f64 {
        self.into()
    }
}

impl Cast<f64> for u8 {
    fn cast(self) -> f64 {
        self.into()
    }
}

impl Cast<i64> for u8 {
    fn cast(self) -> i64 {
        self.into()
    }
}

mod families {
    use super::*;

    kernels! {
        /// y = factor x + plus.
        #[max_threads = 256]
        pub(crate) fn scale<T: Scale>(x: Global<T>, y: GlobalMut<T>, factor: T, plus: T) for [f32, f64, i64] {
            let i = thread();
            if i < y.len() {
                y.set(i, x.get(i).times(factor).plus(plus));
            }
        }

        /// Each of R neighbors becomes the first of them.
        #[max_threads = 256]
        #[max_shared = 1024]
        pub(crate) fn spread<T: DeviceCopy, const R: usize>(y: GlobalMut<T>) for [u32: 1 4, u8: 2] {
            let first = y.get(thread() * R);
            (1..R).for_each(|i| y.set(thread() * R + i, first));
        }

        /// y = x in another type.
        #[max_threads = 256]
        pub(crate) fn cast<A: Cast<B>; B: DeviceCopy>(x: Global<A>, y: GlobalMut<B>) for [f32: f64, u8: f64 i64] {
            y.set(thread(), x.get(thread()).cast());
        }

        /// y = 1.
        #[name = concat!("all_", "ones")]
        #[max_threads = 256]
        pub(crate) fn ones(y: GlobalMut<f32>) {
            y.set(thread(), 1.0);
        }
    }
}

kernel! {
    /// Where each thread thinks it is, by its number.
    #[max_threads = 1024]
    pub fn places(out: GlobalMut<u64>) {
        let width = u64::from(grid_dim_x() * block_dim_x());
        let height = u64::from(grid_dim_y() * block_dim_y());
        let x = u64::from(block_idx_x() * block_dim_x() + thread_idx_x());
        let y = u64::from(block_idx_y() * block_dim_y() + thread_idx_y());
        let z = u64::from(block_idx_z() * block_dim_z() + thread_idx_z());
        let i = (z * height + y) * width + x;
        out.set(i as usize, i * u64::from(grid_dim_z() * block_dim_z()));
    }
}

kernel! {
    /// Scalars of every type.
    #[max_threads = 1]
    fn scalars(out: GlobalMut<f64>, a: u32, b: i32, c: u64, d: i64, f: f64, e: f32) {
        for (i, v) in [f64::from(a), f64::from(b), c as f64, d as f64, f64::from(e), f].into_iter().enumerate() {
            out.set(i, v);
        }
    }
}

#[test]
fn adds_vectors() {
    let simulator = Simulator::new();
    for n in [0, 1, 255, 256, 257, 10_000] {
        let x: Vec<f32> = (0..n).map(|i| i as f32).collect();
        let y: Vec<f32> = (0..n).map(|i| 0.5 * i as f32).collect();
        let mut z = vec![0.0; n];
        add { x: read(&x), y: read(&y), z: write(&mut z) }.launch(&simulator, Geometry::cover(n, 256)).unwrap();
        assert!(z.iter().enumerate().all(|(i, z)| *z == 1.5 * i as f32), "{n}");
    }
    assert_eq!(simulator.launches("add_f32"), 6);
    assert_eq!(simulator.launches("other"), 0);
    simulator.reset_launches();
    assert_eq!(simulator.launches("add_f32"), 0);
}

#[test]
fn a_launch_is_one_struct() {
    struct Packed(std::cell::RefCell<Vec<u8>>);
    impl Launcher for Packed {
        fn launch(&self, launch: &Launch<'_>) -> Result<(), LaunchError> {
            // SAFETY: these parameters end with their last field or with padding that is cut off.
            let bytes = launch.parameters()[..52].iter().map(|byte| unsafe { byte.assume_init() });
            *self.0.borrow_mut() = bytes.collect();
            assert_eq!((launch.parameters().len(), launch.kernel().parameters().align()), (56, 8));
            Ok(())
        }
    }
    let packed = Packed(Default::default());
    let mut out = [0.0; 6];
    let out = write(&mut out);
    scalars { out, a: 1, b: -2, c: 3, d: -4, e: 0.5, f: 0.25 }.launch(&packed, Geometry::linear(1, 1)).unwrap();
    let address = out.address().to_ne_bytes();
    let bytes = [
        address.as_slice(),
        &6u64.to_ne_bytes(),
        &1u32.to_ne_bytes(),
        &(-2i32).to_ne_bytes(),
        &3u64.to_ne_bytes(),
        &(-4i64).to_ne_bytes(),
        &0.25f64.to_ne_bytes(),
        &0.5f32.to_ne_bytes(),
    ]
    .concat();
    assert_eq!(*packed.0.borrow(), bytes);
}

#[test]
fn a_family_is_a_kernel_for_each_type_and_constant() {
    use families::{KERNELS, cast, ones, scale, spread};
    let entries: Vec<&KernelInfo> = KERNELS.iter().flat_map(|family| family.iter()).copied().flatten().collect();
    let names = [
        "scale_f32",
        "scale_f64",
        "scale_i64",
        "spread_u32_1",
        "spread_u32_4",
        "spread_u8_2",
        "cast_f32_f64",
        "cast_u8_f64",
        "cast_u8_i64",
        "all_ones",
    ];
    assert_eq!(entries.iter().map(|entry| entry.name()).collect::<Vec<_>>(), names);
    assert_eq!(entries.iter().filter_map(|entry| entry.constant()).collect::<Vec<_>>(), [1, 4, 2]);
    let limits = |name| entries.iter().find(|entry| entry.name() == name).map(|e| (e.max_threads(), e.max_shared()));
    assert_eq!((limits("spread_u8_2"), limits("all_ones")), (Some((256, 1024)), Some((256, 48 << 10))));

    let simulator = Simulator::new();
    let (mut single, mut integer, two) = ([0.0f32; 2], [0i64; 2], Geometry::linear(1, 2));
    scale { x: read(&[1.0, -2.0]), y: write(&mut single), factor: 2.0, plus: 0.5 }.launch(&simulator, two).unwrap();
    scale { x: read(&[1, -2]), y: write(&mut integer), factor: -4, plus: 1 }.launch(&simulator, two).unwrap();
    assert_eq!((single, integer), ([2.5, -3.5], [-3, 9]));
    let mut wide = [0.0; 2];
    cast { x: read(&[1u8, 2]), y: write(&mut wide) }.launch(&simulator, two).unwrap();
    ones { y: write(&mut single) }.launch(&simulator, two).unwrap();
    assert_eq!((wide, single), ([1.0, 2.0], [1.0, 1.0]));

    let mut numbers = [1u32, 2, 3, 4, 5, 6, 7, 8];
    spread { y: write(&mut numbers) }.launch_with(4, &simulator, two).unwrap();
    assert_eq!(numbers, [1, 1, 1, 1, 5, 5, 5, 5]);
    let refused = spread { y: write(&mut numbers) }.launch_with(2, &simulator, two).unwrap_err();
    assert_eq!(refused.to_string(), "spread_u32_1 cannot be launched with the constant 2; it has 1, 4");
    for name in ["scale_f32", "scale_i64", "cast_u8_f64", "all_ones", "spread_u32_4"] {
        assert_eq!(simulator.launches(name), 1, "{name}");
    }
}

#[test]
fn takes_scalars_of_every_type() {
    let mut out = [0.0; 6];
    let geometry = Geometry::linear(1, 1);
    let numbers = scalars { out: write(&mut out), a: u32::MAX, b: -2, c: 1 << 40, d: i64::MIN, e: 0.5, f: -0.25 };
    numbers.launch(&Simulator::new(), geometry).unwrap();
    assert_eq!(out, [f64::from(u32::MAX), -2.0, (1u64 << 40) as f64, i64::MIN as f64, 0.5, -0.25]);
}

#[test]
fn exchanges_between_lanes() {
    let (mut out, mut halves, mut signed) = ([0; 7 * 64], [0.0; 64], [0; 64]);
    let geometry = Geometry::linear(1, 64);
    lanes { out: write(&mut out), halves: write(&mut halves), signed: write(&mut signed) }
        .launch(&Simulator::new(), geometry)
        .unwrap();
    let thirds = (0..32).filter(|lane| lane % 3 == 0).fold(0, |bits, lane| bits | 1 << lane);
    for i in 0..64 {
        let lane = i as u32 % 32;
        let down = if lane + 3 < 32 { lane + 3 } else { lane };
        let expected = [lane ^ 5, down, lane.checked_sub(3).unwrap_or(lane), 7, thirds, 1, 1];
        let found: [u32; 7] = std::array::from_fn(|r| out[r * 64 + i]);
        assert_eq!(found, expected, "thread {i}");
        assert_eq!(halves[i], f64::from(lane ^ 1) + 0.25);
        assert_eq!(signed[i], -(i as i32 | 31));
    }
}

#[test]
fn swaps_through_a_warps_barrier() {
    let simulator = Simulator::new();
    #[repr(align(16))]
    struct Aligned([u32; 256]);
    let (x, mut y, mut bytes) = (Aligned(std::array::from_fn(|i| i as u32)), Aligned([0; 256]), [0; 64]);
    let geometry = Geometry::linear(1, 64).with_shared(1024 + 64);
    swap_groups { x: read(&x.0), y: write(&mut y.0), bytes: write(&mut bytes) }.launch(&simulator, geometry).unwrap();
    let expected: Vec<u32> = (0..256).map(|i| ((i / 4) ^ 1) * 4 + 3 - i % 4).collect();
    assert_eq!(y.0.as_slice(), expected);
    assert!((0..64).all(|t| bytes[t] == t as u8 ^ 1));
}

#[test]
fn every_thread_knows_its_place() {
    for (grid, block) in
        [([1, 1, 1], [1, 1, 1]), ([3, 1, 2], [5, 7, 2]), ([2, 3, 4], [33, 1, 1]), ([1, 2, 1], [4, 4, 64])]
    {
        let geometry = Geometry { grid, block, shared_bytes: 0 };
        let mut out = vec![u64::MAX; (geometry.blocks() * geometry.threads_per_block()) as usize];
        places { out: write(&mut out) }.launch(&Simulator::new(), geometry).unwrap();
        let depth = u64::from(grid[2] * block[2]);
        assert!(out.iter().zip(0..).all(|(found, i)| *found == i * depth), "{geometry:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn multiplies_matrices(m in 1usize..40, n in 1usize..40, k in 0usize..40, seed: u32) {
        let number = |i: usize| ((i as u32).wrapping_mul(2654435761).wrapping_add(seed) >> 8) as f32 / (1 << 24) as f32;
        let a: Vec<f32> = (0..m * k).map(number).collect();
        let b: Vec<f32> = (0..k * n).map(|i| number(i + 7919)).collect();
        let mut c = vec![f32::NAN; m * n];
        let geometry = Geometry {
            grid: [n.div_ceil(TILE) as u32, m.div_ceil(TILE) as u32, 1],
            block: [TILE as u32, TILE as u32, 1],
            shared_bytes: (2 * size_of::<f32>() * TILE * TILE) as u32,
        };
        let (rows, columns, depth) = (m as u32, n as u32, k as u32);
        let product = matmul { a: read(&a), b: read(&b), c: write(&mut c), m: rows, n: columns, k: depth };
        product.launch(&Simulator::new(), geometry).unwrap();
        let naive = |i: usize| (0..k).fold(0.0f32, |sum, j| a[i / n * k + j].mul_add(b[j * n + i % n], sum));
        prop_assert!((0..m * n).all(|i| c[i] == naive(i)));
    }

    #[test]
    fn sums_blocks(x in prop::collection::vec(-1.0f32..1.0, 1..2000)) {
        let mut sums = vec![f32::NAN; x.len().div_ceil(256)];
        let geometry = Geometry::cover(x.len(), 256).with_shared(32);
        reduce { x: read(&x), sums: write(&mut sums) }.launch(&Simulator::new(), geometry).unwrap();
        let naive: Vec<f32> = x.chunks(256).map(naive_reduce).collect();
        prop_assert_eq!(sums, naive);
    }

    #[test]
    fn counts_bytes(x in prop::collection::vec(any::<u8>(), 0..1000)) {
        let (mut counts, mut total, mut signed) = ([0; 256], [0.0], [0]);
        let geometry = Geometry::cover(x.len(), 128).with_shared(16 + 1024);
        let simulator = Simulator::new();
        let (sum, less) = (write(&mut total), write(&mut signed));
        histogram { x: read(&x), counts: write(&mut counts), total: sum, signed: less }.launch(&simulator, geometry).unwrap();
        let naive: [u32; 256] = std::array::from_fn(|v| x.iter().filter(|x| **x as usize == v).count() as u32);
        prop_assert_eq!(counts, naive);
        prop_assert_eq!((total[0] as usize, -signed[0] as usize), (x.len(), x.len()));
    }
}
