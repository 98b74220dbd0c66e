//! Streams: the same for the same name, apart for others, and distributed as they say.

use kiln_math::{Purpose, RandomStream};
use proptest::prelude::*;

fn stream(index: u64) -> RandomStream {
    RandomStream::new(7, Purpose::Data, index)
}

/// Σ (seen − expected)² / expected
fn chi_square(seen: &[u32]) -> f64 {
    let expected = f64::from(seen.iter().sum::<u32>()) / seen.len() as f64;
    seen.iter().map(|&n| (f64::from(n) - expected).powi(2) / expected).sum()
}

#[test]
fn a_name_fixes_a_stream_and_other_names_give_others() {
    let purposes = [Purpose::Init, Purpose::Shuffle, Purpose::Dropout, Purpose::Augment, Purpose::Data];
    let mut keys = Vec::new();
    for seed in [0, 1, 2, u64::MAX] {
        for purpose in purposes {
            for index in [0, 1, 2, 1 << 40] {
                let mut a = RandomStream::new(seed, purpose, index);
                let mut b = RandomStream::new(seed, purpose, index);
                assert_eq!((a.next_u32(), a.next_u64(), a.uniform()), (b.next_u32(), b.next_u64(), b.uniform()));
                keys.push(a.key());
            }
        }
    }
    let count = keys.len();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), count);
}

#[test]
fn words_are_those_of_the_blocks_in_order() {
    let mut s = stream(0);
    let blocks: Vec<u32> = (0..5).flat_map(|i| s.at(i)).collect();
    let words: Vec<u32> = (0..20).map(|_| s.next_u32()).collect();
    assert_eq!(blocks, words);
    assert_eq!(RandomStream::from_key(s.key()).at(3), s.at(3));
}

#[test]
fn uniform_numbers_are_uniform() {
    let (mut s, mut seen) = (stream(1), [0u32; 64]);
    let (mut sum, n) = (0.0, 64_000);
    for _ in 0..n {
        let x = s.uniform();
        assert!((0.0..1.0).contains(&x));
        seen[(x * 64.0) as usize] += 1;
        sum += f64::from(x);
    }
    // 63 degrees of freedom: above 120 once in 10⁵ streams, and this stream is fixed.
    assert!(chi_square(&seen) < 120.0, "{}", chi_square(&seen));
    assert!((sum / f64::from(n) - 0.5).abs() < 0.005);
    let mut s = stream(2);
    assert!((0..1000).all(|_| (0.0..1.0).contains(&s.uniform_f64())));
}

#[test]
fn normal_numbers_have_the_moments_of_a_normal_distribution() {
    let mut s = stream(3);
    let n = 40_000;
    let mut moments = [0.0; 4];
    for _ in 0..n {
        let z = f64::from(s.normal());
        assert!(z.is_finite());
        for (k, m) in moments.iter_mut().enumerate() {
            *m += z.powi(k as i32 + 1) / f64::from(n);
        }
    }
    for (moment, expected, tolerance) in [(0, 0.0, 0.02), (1, 1.0, 0.03), (2, 0.0, 0.08), (3, 3.0, 0.2)] {
        assert!((moments[moment] - expected).abs() < tolerance, "{moments:?}");
    }
}

#[test]
fn below_is_unbiased() {
    // 3·2³⁰ does not divide 2³²: without rejection a third of the numbers would come up twice as often.
    let (bound, mut s, mut seen) = (3u32 << 30, stream(4), [0u32; 3]);
    for _ in 0..30_000 {
        seen[(s.below(bound) >> 30) as usize] += 1;
    }
    assert!(chi_square(&seen) < 20.0, "{seen:?}");
    assert_eq!((stream(5).below(0), stream(5).below(1)), (0, 0));
}

#[test]
fn shuffles_give_every_order_equally_often() {
    let mut seen = [0u32; 24];
    for index in 0..24_000 {
        let mut items = [0u32, 1, 2, 3];
        stream(index).shuffle(&mut items);
        let [a, b, c, _] = items;
        let rank = a * 6 + (b - u32::from(b > a)) * 2 + u32::from(c > items[3]);
        seen[rank as usize] += 1;
    }
    assert!(chi_square(&seen) < 60.0, "{seen:?}");
}

#[test]
fn bernoulli_has_its_probability() {
    let mut s = stream(6);
    assert!((0..100).all(|_| !s.bernoulli(0.0) && s.bernoulli(1.0)));
    let ones = (0..20_000).filter(|_| s.bernoulli(0.3)).count();
    assert!((5_700..6_300).contains(&ones), "{ones}");
}

proptest! {
    #[test]
    fn shuffle_is_a_permutation(seed in any::<u64>(), n in 0usize..300) {
        let mut items: Vec<usize> = (0..n).collect();
        RandomStream::new(seed, Purpose::Shuffle, 0).shuffle(&mut items);
        items.sort_unstable();
        prop_assert!(items.into_iter().eq(0..n));
    }

    #[test]
    fn below_stays_below(seed in any::<u64>(), bound in 1u32..) {
        prop_assert!(RandomStream::new(seed, Purpose::Data, 0).below(bound) < bound);
    }
}
