//! Sorting against the standard library's, on every instruction set and team.

use crate::views::on_teams;
use half::{bf16, f16};
use kiln_cpu::Isa;
use kiln_cpu::sort::{Pair, Side, Sortable, kth, room, search, sort, sort_values, top};

/// Numbers with ties, signed zeros, infinities and NaN among them.
fn numbers(count: usize) -> Vec<f64> {
    (0..count)
        .map(|i| match (i * 7919 + 13) % 1013 {
            0 => f64::NAN,
            1 => f64::INFINITY,
            2 => f64::NEG_INFINITY,
            3 => -0.0,
            n => (n as f64 - 506.0) / 4.0,
        })
        .collect()
}

/// Everything that sorts rows, as numbers that can be compared.
fn all<T: Sortable>(isa: Isa, x: &[T], width: usize, descending: bool, number: fn(T) -> f64) -> Vec<u64> {
    let rows = x.len() / width;
    let mut keys = vec![T::Key::default(); room(rows, width)];
    let mut pairs = vec![Pair::<T::Key>::default(); room(rows, width)];
    let (mut only, mut values, mut at) = (x.to_vec(), x.to_vec(), vec![0i64; x.len()]);
    sort_values(isa, &mut only, x, width, descending, &mut keys);
    sort(Some(&mut values), Some(&mut at), x, width, descending, &mut pairs);
    let mut expected: Vec<i64> = Vec::new();
    for row in x.chunks(width) {
        let mut positions: Vec<i64> = (0..width as i64).collect();
        positions.sort_by_key(|&at| row[at as usize].key());
        if descending {
            positions.sort_by_key(|&at| std::cmp::Reverse(row[at as usize].key()));
        }
        expected.extend(positions);
    }
    assert!(at == expected, "positions of rows of {width}");
    for (i, (value, only)) in values.iter().zip(&only).enumerate() {
        let wanted = x[i / width * width + at[i] as usize];
        assert!(value.key() == wanted.key() && only.key() == wanted.key(), "value {i} of rows of {width}");
    }
    for k in [1, width / 40 + 1, width / 2, width] {
        if k == 0 {
            continue;
        }
        let (mut first, mut first_at) = (x[..rows * k].to_vec(), vec![0i64; rows * k]);
        top(isa, Some(&mut first), Some(&mut first_at), x, width, k, descending);
        for (i, &at) in first_at.iter().enumerate() {
            assert_eq!(at, expected[i / k * width + i % k], "top {k} of rows of {width}");
            assert!(first[i].key() == x[i / k * width + at as usize].key());
        }
        let (mut value, mut value_at) = (x[..rows].to_vec(), vec![0i64; rows]);
        kth(&mut value, &mut value_at, x, width, k - 1);
        for (row, (value, at)) in x.chunks(width).zip(value.iter().zip(value_at)) {
            let mut sorted: Vec<T::Key> = row.iter().map(|x| x.key()).collect();
            sorted.sort_unstable();
            assert!(value.key() == sorted[k - 1], "rank {k} of rows of {width}");
            assert_eq!(row.iter().position(|x| x.key() == value.key()), Some(at as usize));
        }
    }
    values.into_iter().map(|x| number(x).to_bits()).chain(at.into_iter().map(|at| at as u64)).collect()
}

#[test]
fn rows_of_every_length() {
    for (rows, width) in [(1, 1), (7, 2), (40, 33), (3, 257), (5, 3000), (1, 140_000)] {
        let x: Vec<f32> = numbers(rows * width).into_iter().map(|x| x as f32).collect();
        for descending in [false, true] {
            on_teams(|| all(Isa::best(), &x, width, descending, f64::from));
        }
    }
    let x: Vec<f32> = numbers(9000).into_iter().map(|x| x as f32).collect();
    for &isa in Isa::available() {
        all(isa, &x, 3000, false, f64::from);
    }
}

/// Long rows of values go other ways: into buckets first, or without them where most elements would lie in one.
#[test]
fn long_rows_of_values() {
    let count = 1 << 20;
    for kind in 0..2 {
        let x: Vec<f32> =
            (0..count).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 8) as f32 - [8e6, -3e7][kind]).collect();
        let mut expected = x.clone();
        expected.sort_unstable_by(f32::total_cmp);
        for isa in [Isa::best(), Isa::Portable] {
            let sorted = on_teams(|| {
                let (mut out, mut keys) = (vec![0.0; x.len()], vec![0; room(1, x.len())]);
                sort_values(isa, &mut out, &x, x.len(), false, &mut keys);
                out
            });
            assert!(sorted == expected, "{isa:?}");
        }
        expected.reverse();
        let (mut out, mut keys) = (vec![0.0; x.len()], vec![0; room(1, x.len())]);
        sort_values(Isa::best(), &mut out, &x, x.len(), true, &mut keys);
        assert!(out == expected);
    }
}

#[test]
fn every_type() {
    let x = numbers(3 * 700);
    let isa = Isa::best();
    all(isa, &x, 700, true, |x| x);
    all(isa, &x.iter().map(|&x| f16::from_f64(x)).collect::<Vec<_>>(), 700, false, f64::from);
    all(isa, &x.iter().map(|&x| bf16::from_f64(x)).collect::<Vec<_>>(), 700, true, f64::from);
    all(isa, &x.iter().map(|&x| x as i64).collect::<Vec<_>>(), 700, false, |x| x as f64);
    all(isa, &x.iter().map(|&x| x as u8).collect::<Vec<_>>(), 700, true, f64::from);
    all(isa, &x.iter().map(|&x| x > 0.0).collect::<Vec<_>>(), 700, false, |x| if x { 1.0 } else { 0.0 });
}

#[test]
fn searches() {
    let sorted: Vec<f32> = vec![-1.0, 0.0, 0.0, 2.5, 2.5, f32::NAN];
    let x: Vec<f32> = (0..70_000).map(|i| (i % 9) as f32 / 2.0 - 1.5).collect();
    for side in [Side::Left, Side::Right] {
        let mut out = vec![0i64; x.len()];
        search(&mut out, &sorted, sorted.len(), &x, x.len(), side);
        for (x, found) in x.iter().zip(out) {
            let before = sorted.iter().filter(|y| *y < x || side == Side::Right && *y == x).count();
            assert_eq!(found, before as i64, "{side:?} of {x}");
        }
    }
}
