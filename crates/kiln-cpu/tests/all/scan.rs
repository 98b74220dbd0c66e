//! Cumulative operations against the rule that the module's documentation gives, bit for bit, on every instruction set and team.

use crate::views::{on_teams, same};
use kiln_cpu::Isa;
use kiln_cpu::scan::{Along, CHUNK, ScanOp, extrema, linear, scan};

fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 7919 + 13) % 1009) as f32 / 504.0 - 1.0).collect()
}

/// The rule, of one line.
fn plain(x: &[f32], combine: &dyn Fn(f32, f32) -> f32) -> Vec<f32> {
    let mut out: Vec<f32> = Vec::new();
    let mut last = Vec::new();
    for chunk in x.chunks(CHUNK) {
        let mut sum = chunk[0];
        out.push(sum);
        for &x in &chunk[1..] {
            sum = combine(sum, x);
            out.push(sum);
        }
        last.push(sum);
    }
    last.pop();
    if last.is_empty() {
        return out;
    }
    let before = plain(&last, combine);
    for (i, out) in out.iter_mut().enumerate().skip(CHUNK) {
        *out = combine(before[i / CHUNK - 1], *out);
    }
    out
}

const SHAPES: [[usize; 3]; 8] =
    [[1, 1, 1], [3, 256, 1], [2, 257, 3], [5, 70, 2], [1, 70_000, 1], [3, 5000, 1], [1, 600, 1100], [2, 2049, 40]];

#[test]
fn sums_and_products_follow_the_rule() {
    for shape in SHAPES {
        let [outer, axis, inner] = shape;
        let x = numbers(outer * axis * inner);
        let along = Along { outer, axis, inner };
        for (op, combine) in [
            (ScanOp::Sum, &(|a: f32, b: f32| a + b) as &dyn Fn(f32, f32) -> f32),
            (ScanOp::Prod, &|a: f32, b: f32| a * b),
        ] {
            for &isa in Isa::available() {
                let found: Vec<f64> = on_teams(|| {
                    let mut out = vec![0.0f32; x.len()];
                    scan(isa, op, &mut out, &x, along);
                    out.iter().map(|&x| f64::from(x)).collect()
                });
                for line in 0..outer * inner {
                    let place = |i: usize| (line / inner * axis + i) * inner + line % inner;
                    let numbers: Vec<f32> = (0..axis).map(|i| x[place(i)]).collect();
                    for (i, expected) in plain(&numbers, combine).into_iter().enumerate() {
                        let found = found[place(i)];
                        assert!(
                            same(found, f64::from(expected)),
                            "{op:?} {shape:?} {isa:?} [{i}]: {found}, {expected}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn other_operations_are_the_same_on_every_team() {
    for [outer, axis, inner] in SHAPES {
        let x = numbers(outer * axis * inner);
        let along = Along { outer, axis, inner };
        let fused: Vec<Isa> = Isa::available().iter().copied().filter(|isa| isa.fused()).collect();
        let of = |isa: Isa| -> Vec<f64> {
            on_teams(|| {
                let (mut logs, mut line) = (vec![0.0f32; x.len()], vec![0.0f32; x.len()]);
                scan(isa, ScanOp::LogSumExp, &mut logs, &x, along);
                linear(isa, &mut line, &x, &x, along);
                let (mut best, mut at) = (vec![0.0f32; x.len()], vec![0i64; x.len()]);
                extrema(&mut best, &mut at, &x, along, true);
                logs.into_iter()
                    .chain(line)
                    .chain(best)
                    .map(f64::from)
                    .chain(at.into_iter().map(|at| at as f64))
                    .collect()
            })
        };
        for pair in fused.windows(2) {
            assert!(of(pair[0]).iter().zip(of(pair[1])).all(|(&a, b)| same(a, b)), "{pair:?}");
        }
    }
}
