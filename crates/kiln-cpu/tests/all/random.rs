//! Draws: element by element what the stream's words say, for any number of threads and on every instruction set.

use crate::views::{fused, on_teams};
use kiln_cpu::Isa;
use kiln_cpu::operand::Strided;
use kiln_cpu::random::{Draw, dropout, integers, normal, normal_f64, sample, uniform, uniform_f64};
use kiln_math::Law;
use kiln_math::RandomStream;
use kiln_math::draws::{normal_pair, normal_pair_f64, unit_f32, unit_f64};
use proptest::prelude::*;

/// Word `i` of a draw.
fn word(draw: Draw, i: usize) -> u32 {
    RandomStream::from_key(draw.key).at(draw.counter.wrapping_add(i as u64 / 4))[i % 4]
}

fn word64(draw: Draw, i: usize) -> u64 {
    u64::from(word(draw, 2 * i)) | u64::from(word(draw, 2 * i + 1)) << 32
}

fn draws() -> impl Strategy<Value = Draw> {
    (any::<u64>(), prop_oneof![Just(0), any::<u64>()]).prop_map(|(key, counter)| Draw { key, counter })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn numbers_are_made_of_their_words(draw in draws(), n in 0usize..400) {
        for &isa in Isa::available() {
            let mut x = vec![0.0f32; n];
            uniform(isa, &mut x, draw, -1.0, 3.0);
            for (i, &x) in x.iter().enumerate() {
                prop_assert_eq!(x, (-1.0 + 4.0 * f64::from(unit_f32(word(draw, i)))) as f32);
            }
        }
        let mut x = vec![0.0f32; n];
        normal(&mut x, draw, 0.5, 2.0);
        for (i, &x) in x.iter().enumerate() {
            let (a, b) = normal_pair(word(draw, i / 2 * 2), word(draw, i / 2 * 2 + 1));
            let z = if i % 2 == 0 { a } else { b };
            prop_assert_eq!(x, (0.5 + 2.0 * f64::from(z)) as f32);
        }
        let (mut u, mut z) = (vec![0.0f64; n], vec![0.0f64; n]);
        uniform_f64(&mut u, draw, 0.0, 1.0);
        normal_f64(&mut z, draw, 0.0, 1.0);
        for i in 0..n {
            prop_assert_eq!(u[i], unit_f64(word64(draw, i)));
            let (a, b) = normal_pair_f64(word64(draw, i / 2 * 2), word64(draw, i / 2 * 2 + 1));
            prop_assert_eq!(z[i], if i % 2 == 0 { a } else { b });
        }
    }

    /// Kept elements are scaled, the others 0; the same draw on a gradient keeps the same ones.
    #[test]
    fn dropout_keeps_or_drops(draw in draws(), n in 0usize..700, rate in 0.0f64..0.95) {
        let x: Vec<f32> = (0..n).map(|i| i as f32 + 1.0).collect();
        let scale = (1.0 / (1.0 - rate)) as f32;
        for &isa in Isa::available() {
            let mut y = vec![9.0f32; n];
            dropout(isa, &mut y, &x, draw, rate);
            for (i, (&y, &x)) in y.iter().zip(&x).enumerate() {
                let kept = unit_f32(word(draw, i)) >= rate as f32;
                prop_assert_eq!(y, if kept { x * scale } else { 0.0 });
            }
        }
    }

    #[test]
    fn uniform_stays_below_its_upper_end(draw in draws(), low in -1e3f64..1e3, width in 1e-6f64..10.0) {
        let mut x = vec![0.0f32; 256];
        uniform(Isa::best(), &mut x, draw, low, low + width);
        let (low, high) = (low as f32, (low + width) as f32);
        prop_assert!(x.iter().all(|&x| x >= low && (x < high || low == high)));
    }
}

#[test]
fn threads_do_not_change_results() {
    let (n, draw) = ((1 << 17) + 5, Draw { key: 42, counter: 7 });
    let ones = vec![1.0f32; n];
    for isa in fused() {
        let (u, z, d) = on_teams(|| {
            let (mut u, mut z, mut d) = (vec![0.0f32; n], vec![0.0f32; n], vec![0.0f32; n]);
            uniform(isa, &mut u, draw, 0.0, 1.0);
            normal(&mut z, draw, 0.0, 1.0);
            dropout::<f32>(isa, &mut d, &ones, draw, 0.25);
            (u, z, d)
        });
        on_teams(|| {
            let (mut u, mut z, mut k, mut g) = (vec![0.0; n], vec![0.0; n], vec![0; n], vec![0.0; n]);
            uniform_f64(&mut u, draw, 0.0, 1.0);
            normal_f64(&mut z, draw, 0.0, 1.0);
            integers(&mut k, draw, -5, 100);
            // SAFETY: each element reads the one number of a parameter.
            let shape = [n];
            let [a, b] = [&0.5, &3.0].map(|number: &f64| unsafe { Strided::new(number, &shape, &[0]) });
            sample(isa, Law::Gamma, &mut g, [a, b], draw);
            (u, z, k, g)
        });
        let mean = |x: &[f32]| x.iter().map(|&x| f64::from(x)).sum::<f64>() / n as f64;
        assert!((mean(&u) - 0.5).abs() < 0.005 && mean(&z).abs() < 0.01 && (mean(&d) - 1.0).abs() < 0.01);
    }
}
