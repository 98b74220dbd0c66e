//! Pools of maps: the bits of the pools of planes.

use super::layout::map_of;
use crate::channels::pools;
use crate::conv::{numbers, rounding};
use crate::views::{View, on_teams};
use kiln_cpu::Isa;
use kiln_cpu::inference::{global_average_pool, map_len, max_pool};
use kiln_cpu::operand::Output;
use kiln_cpu::pool::{self, Pool};
use kiln_cpu::reduce::{Reduction, reduce};
use proptest::prelude::*;

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn maxima_are_those_of_planes(pool in pools(), batch in 0_usize..3, channels in 1_usize..35, seed in any::<u64>()) {
        let channels = if pool.plane() > 2_000 { channels % 4 + 1 } else { channels };
        let mut x = numbers(batch * channels * pool.plane(), seed);
        for (i, x) in x.iter_mut().enumerate() {
            *x = match (i as u64).wrapping_mul(seed | 1) >> 60 { 0 => f32::NAN, 1 => f32::NEG_INFINITY, 2 => -0.0, _ => *x };
        }
        let map = map_of(&x, channels, pool.plane());
        for &isa in Isa::available() {
            let mut want = vec![0.0; batch * channels * pool.outputs()];
            pool::max_pool(isa, &pool, &x, &mut want, None);
            let mut y = vec![7.0; map_len(batch, channels, pool.outputs())];
            max_pool(isa, &pool, (batch, channels), &map, &mut y);
            prop_assert_eq!(bits(&y), bits(&map_of(&want, channels, pool.outputs())), "{:?}", isa);
        }
    }
}

#[test]
fn means_are_those_of_planes() {
    for [batch, channels, pixels] in
        [[1, 1, 1], [2, 17, 49], [3, 33, 7], [2, 64, 196], [1, 5, 4096], [2, 18, 9_001], [0, 4, 3]]
    {
        let x = rounding(batch * channels * pixels, 4);
        let map = map_of(&x, channels, pixels);
        for &isa in Isa::available() {
            let mut want = vec![0.0; batch * channels];
            let view = View::row_major(x.clone(), &[batch, channels, pixels]);
            reduce(isa, Reduction::Mean, &mut Output::from_slice(&mut want), view.strided(), &[2]);
            let got = on_teams(|| {
                let mut y = vec![7.0; map_len(batch, channels, 1)];
                global_average_pool(isa, (channels, pixels), &map, &mut y);
                bits(&y)
            });
            assert_eq!(got, bits(&map_of(&want, channels, 1)), "{isa:?} {batch} {channels} {pixels}");
        }
    }
}

#[test]
fn large_pools_are_shared_by_threads() {
    let pool = Pool {
        size: [1, 40, 40],
        out: [1, 20, 20],
        kernel: [1, 3, 3],
        stride: [1, 2, 2],
        dilation: [1; 3],
        before: [0, 1, 1],
    };
    let x = rounding(3 * 24 * 1600, 4);
    let map = map_of(&x, 24, 1600);
    let mut maxima = vec![0.0; 3 * 24 * 400];
    pool::max_pool(Isa::best(), &pool, &x, &mut maxima, None);
    let got = on_teams(|| {
        let mut y = vec![0.0; map_len(3, 24, 400)];
        max_pool(Isa::best(), &pool, (3, 24), &map, &mut y);
        bits(&y)
    });
    assert_eq!(got, bits(&map_of(&maxima, 24, 400)));
}
