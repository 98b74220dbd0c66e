//! Safe functions with arguments that do not fit: each refuses in words, and writes nothing that is not its own; arguments without
//! elements are taken.

use crate::views::View;
use kiln_cpu::copy::{copy, fill};
use kiln_cpu::elementwise::each;
use kiln_cpu::gather::{Along, Index, gather, scatter};
use kiln_cpu::operand::Output;
use kiln_cpu::random::{Draw, dropout, normal, normal_f64, uniform, uniform_f64};
use kiln_cpu::rows::in_parts;
use kiln_cpu::scan::{self, ScanOp, extrema, linear, scan};
use kiln_cpu::softmax::{Labels, SoftmaxKind, Target, cross_entropy, cross_entropy_grad, softmax, softmax_grad};
use kiln_cpu::sort::{kth, room, sort_values, top};
use kiln_cpu::{Isa, elementwise};
use kiln_math::{BinaryOp, UnaryOp};
use std::panic::{AssertUnwindSafe, catch_unwind};

const DRAW: Draw = Draw { key: 1, counter: 0 };

fn ones(n: usize) -> Vec<f32> {
    vec![1.0; n]
}

fn view(n: usize) -> View<f32> {
    View::row_major(ones(n), &[n])
}

fn words(n: usize) -> View<u32> {
    View::row_major(vec![1; n], &[n])
}

fn index(values: &[i64]) -> View<i64> {
    View::row_major(values.to_vec(), &[values.len()])
}

/// A call with an output of these elements, which lies between neighbors.
type Call = Box<dyn Fn(&mut [f32])>;

fn call(f: impl Fn(&mut [f32]) + 'static) -> Call {
    Box::new(f)
}

/// Runs a call on an output between neighbors, which must stay as they are; gives what it panicked with.
#[track_caller]
fn run(name: &str, length: usize, f: &Call) -> Option<String> {
    let mut memory = vec![7.0f32; length + 64];
    let outcome = catch_unwind(AssertUnwindSafe(|| f(&mut memory[32..32 + length])));
    let neighbors = memory[..32].iter().chain(&memory[32 + length..]);
    assert!(neighbors.copied().all(|x| x == 7.0), "{name} has written to its neighbors");
    // Once more in memory of its own, where a sanitizer sees what is read or written beyond it.
    let _ = catch_unwind(AssertUnwindSafe(|| f(&mut vec![7.0f32; length])));
    let payload = outcome.err()?;
    let text = payload.downcast_ref::<String>().cloned();
    Some(text.unwrap_or_else(|| payload.downcast_ref::<&str>().copied().unwrap_or_default().to_string()))
}

/// Calls that must be refused, with the length of their output, and how the refusal begins.
#[track_caller]
fn refused(cases: Vec<(usize, Call, &str)>) {
    for (length, f, words) in cases {
        match run(words, length, &f) {
            None => panic!("no refusal, expected: {words}"),
            Some(message) => assert!(message.starts_with(words), "got: {message}\nexpected: {words}"),
        }
    }
}

/// Calls that must be taken, with the length of their output.
#[track_caller]
fn taken(cases: Vec<(&str, usize, Call)>) {
    for (name, length, f) in cases {
        assert_eq!(run(name, length, &f), None, "{name}");
    }
}

#[test]
fn elementwise_operands_have_the_length_of_the_output() {
    let isa = Isa::best();
    refused(vec![
        (
            9,
            call(move |out| {
                elementwise::unary(isa, UnaryOp::Exp, [0.0; 2], &mut Output::from_slice(out), view(8).strided())
            }),
            "unary: `operand` has 8 elements, 9 are expected",
        ),
        (
            8,
            call(move |out| {
                elementwise::unary(isa, UnaryOp::Exp, [0.0; 2], &mut Output::from_slice(out), view(9).strided())
            }),
            "unary: `operand` has 9 elements, 8 are expected",
        ),
        (
            5,
            call(move |out| {
                let (x, short) = (view(5), view(4));
                let inputs = [x.strided(), x.strided(), short.strided()];
                elementwise::unary_grad(isa, UnaryOp::Tanh, [0.0; 2], &mut Output::from_slice(out), inputs)
            }),
            "unary_grad: `operand` has 4 elements, 5 are expected",
        ),
        (
            5,
            call(move |out| {
                let (x, short) = (view(5), view(0));
                let mut out = Output::from_slice(out);
                elementwise::binary(isa, BinaryOp::Add, &mut out, x.strided(), short.strided())
            }),
            "binary: `operand` has 0 elements, 5 are expected",
        ),
        (
            5,
            call(|out| {
                elementwise::zip(
                    &mut Output::from_slice(out),
                    [view(6).strided(), view(5).strided()],
                    &each(|a, b: f32| a + b),
                )
            }),
            "zip: `a` has 6 elements, 5 are expected",
        ),
        (
            5,
            call(|out| {
                elementwise::zip(
                    &mut Output::from_slice(out),
                    [view(5).strided(), view(1).strided()],
                    &each(|a, b: f32| a + b),
                )
            }),
            "zip: `b` has 1 elements, 5 are expected",
        ),
        (
            5,
            call(|out| {
                let condition = View::row_major(vec![1u8; 4], &[4]);
                let x = words(5);
                let mut to = vec![0; out.len()];
                elementwise::select(&mut Output::from_slice(&mut to), condition.strided(), x.strided(), x.strided())
            }),
            "select: `condition` has 4 elements, 5 are expected",
        ),
        (
            5,
            call(|out| {
                let condition = View::row_major(vec![1u8; 5], &[5]);
                let (x, short) = (words(5), words(3));
                let mut to = vec![0; out.len()];
                elementwise::select(&mut Output::from_slice(&mut to), condition.strided(), x.strided(), short.strided())
            }),
            "select: `b` has 3 elements, 5 are expected",
        ),
        (
            7,
            call(|out| copy::<f32, f32>(&mut Output::from_slice(out), view(6).strided())),
            "copy: `x` has 6 elements, 7 are expected",
        ),
        (
            4,
            call(|out| copy::<f32, f32>(&mut Output::from_slice(out), view(400_000).strided())),
            "copy: `x` has 400000 elements, 4 are expected",
        ),
        (4, call(move |out| dropout(isa, out, &ones(3), DRAW, 0.5)), "dropout: `x` has 3 elements, 4 are expected"),
    ]);
    taken(vec![
        ("fill", 0, call(|out| fill(&mut Output::from_slice(out), 1.0))),
        ("copy", 0, call(|out| copy::<f32, f32>(&mut Output::from_slice(out), view(0).strided()))),
        (
            "unary",
            0,
            call(move |out| {
                elementwise::unary(isa, UnaryOp::Exp, [0.0; 2], &mut Output::from_slice(out), view(0).strided())
            }),
        ),
        ("unary_in_place", 0, call(move |out| elementwise::unary_in_place(isa, UnaryOp::Exp, [0.0; 2], out))),
        ("dropout", 0, call(move |out| dropout(isa, out, &[], DRAW, 0.5))),
        ("uniform", 0, call(move |out| uniform(isa, out, DRAW, 0.0, 1.0))),
        ("uniform", 65, call(move |out| uniform(isa, out, Draw { key: 1, counter: u64::MAX }, 1.0, -1.0))),
        ("uniform_f64", 0, call(|_| uniform_f64(&mut [], DRAW, 0.0, 1.0))),
        ("normal", 1, call(|out| normal(out, DRAW, 0.0, f64::NAN))),
        ("normal_f64", 0, call(|_| normal_f64(&mut [], DRAW, 0.0, 1.0))),
    ]);
}

#[test]
fn softmax_takes_whole_rows() {
    let isa = Isa::best();
    let kind = SoftmaxKind::Softmax;
    refused(vec![
        (15, call(move |out| softmax(isa, kind, out, &ones(20), 5)), "softmax: `out` has 15 elements, 20 are expected"),
        (
            1,
            call(move |out| softmax(isa, kind, out, &ones(1 << 16), 256)),
            "softmax: `out` has 1 elements, 65536 are expected",
        ),
        (
            19,
            call(move |out| softmax(isa, kind, out, &ones(19), 5)),
            "softmax: `x` has 19 elements, which is not a multiple of 5",
        ),
        (
            3,
            call(move |out| softmax(isa, kind, out, &ones(3), 0)),
            "softmax: `x` has 3 elements, which is not a multiple of 0",
        ),
        (
            20,
            call(move |out| softmax_grad(isa, kind, out, &ones(20), &ones(15), 5)),
            "softmax_grad: `dy` has 15 elements, 20 are expected",
        ),
        (
            5,
            call(move |out| softmax_grad(isa, kind, out, &ones(20), &ones(20), 5)),
            "softmax_grad: `out` has 5 elements, 20 are expected",
        ),
        (
            20,
            call(move |out| softmax_grad(isa, kind, out, &ones(20), &ones(20), usize::MAX)),
            "softmax_grad: `y` has 20 elements, which is not a multiple of 18446744073709551615",
        ),
    ]);
    taken(vec![
        ("softmax", 0, call(move |out| softmax(isa, kind, out, &[], 0))),
        ("softmax", 0, call(move |out| softmax(isa, kind, out, &[], 3))),
        ("softmax_grad", 0, call(move |out| softmax_grad(isa, kind, out, &[], &[], 0))),
    ]);
}

#[test]
fn a_cross_entropy_has_a_target_for_each_row() {
    fn labels(values: &[i64]) -> Target<'_, f32> {
        Target::Labels(Labels::I64(values))
    }
    let isa = Isa::best();
    let loss = move |length, classes, rows: usize, target: &'static [i64], words| {
        (length, call(move |out| cross_entropy(isa, out, &ones(rows * classes), labels(target), classes)), words)
    };
    let slope = move |length, classes, rows: usize, target: &'static [i64], words| {
        let f = move |out: &mut [f32]| {
            cross_entropy_grad(isa, out, &ones(rows * classes), labels(target), &|_| 1.0, classes);
        };
        (length, call(f), words)
    };
    refused(vec![
        loss(3, 5, 2, &[0, 1, 2], "cross_entropy: `logits` has 10 elements, 15 are expected"),
        loss(1, 5, 2, &[0, 1], "cross_entropy: `logits` has 10 elements, 5 are expected"),
        loss(2, 5, 2, &[0], "cross_entropy: `labels` has 1 elements, 2 are expected"),
        loss(2, 5, 2, &[0, 5], "cross_entropy: row 1 has label 5, there are 5 classes"),
        loss(2, 40, 2, &[-1, 5], "cross_entropy: row 0 has label -1, there are 40 classes"),
        loss(2, 0, 2, &[0, 0], "cross_entropy: row 0 has label 0, there are 0 classes"),
        slope(5, 5, 2, &[0, 1], "cross_entropy_grad: `out` has 5 elements, 10 are expected"),
        slope(10, 5, 2, &[0], "cross_entropy_grad: `labels` has 1 elements, 2 are expected"),
        slope(10, 5, 2, &[0, i64::MAX], "cross_entropy_grad: row 1 has label 9223372036854775807, there are 5 classes"),
        slope(80, 40, 2, &[40, 0], "cross_entropy_grad: row 0 has label 40, there are 40 classes"),
        (
            usize::MAX >> 60,
            call(move |out| cross_entropy(isa, out, &[], Target::Weights(&[]), usize::MAX)),
            "cross_entropy: sizes [15, 18446744073709551615] are more elements than memory can hold",
        ),
        (
            2,
            call(move |out| cross_entropy(isa, out, &ones(6), Target::Weights(&ones(5)), 3)),
            "cross_entropy: `weights` has 5 elements, 6 are expected",
        ),
        (
            6,
            call(move |out| cross_entropy_grad(isa, out, &ones(6), Target::Weights(&ones(7)), &|_| 1.0, 3)),
            "cross_entropy_grad: `weights` has 7 elements, 6 are expected",
        ),
        (
            6,
            call(move |out| cross_entropy_grad(isa, out, &ones(6), labels(&[0]), &|_| 1.0, 0)),
            "cross_entropy_grad: `logits` has 6 elements, which is not a multiple of 0",
        ),
    ]);
    taken(vec![
        ("cross_entropy", 0, call(move |out| cross_entropy(isa, out, &[], labels(&[]), 0))),
        ("cross_entropy", 0, call(move |out| cross_entropy(isa, out, &[], labels(&[]), 9))),
        ("cross_entropy", 2, call(move |out| cross_entropy(isa, out, &[], Target::Weights(&[]), 0))),
        ("cross_entropy_grad", 0, call(move |out| cross_entropy_grad(isa, out, &[], labels(&[]), &|_| 1.0, 9))),
        (
            "cross_entropy_grad",
            0,
            call(move |out| cross_entropy_grad(isa, out, &[], Target::Weights(&[]), &|_| 1.0, 0)),
        ),
    ]);
    assert_eq!(Labels::U8(&[3, 2, 4]).outside(4), Some((2, 4)));
    assert_eq!(Labels::I64(&[3, -2, 7]).outside(4), Some((1, -2)));
}

#[test]
fn gathers_stay_within_both_arrays() {
    const ALONG: Along = Along { outer: 2, axis: 3, indices: 2, inner: 4 };
    let from = |length, x: usize, at: &'static [i64], along: Along, words| {
        (length, call(move |out| gather(out, &ones(x), Index::Rows(index(at).strided()), along)), words)
    };
    let into = |length, y: usize, at: &'static [i64], along: Along, words| {
        (length, call(move |out| scatter(out, &ones(y), Index::Rows(index(at).strided()), along, |a, b| a + b)), words)
    };
    let each = |length, x: usize, at: Vec<i64>, words| {
        (length, call(move |out| gather(out, &ones(x), Index::Elements(&at), ALONG)), words)
    };
    refused(vec![
        from(15, 24, &[0, 2], ALONG, "gather: `out` has 15 elements, 16 are expected"),
        from(8, 24, &[0, 2], ALONG, "gather: `out` has 8 elements, 16 are expected"),
        from(16, 23, &[0, 2], ALONG, "gather: `x` has 23 elements, 24 are expected"),
        from(16, 24, &[0], ALONG, "gather: `index` has 1 elements, 2 are expected"),
        from(16, 24, &[0, 3], ALONG, "gather: index 3 is outside of an axis of 3"),
        from(16, 24, &[-1, 0], ALONG, "gather: index -1 is outside of an axis of 3"),
        from(
            1,
            24,
            &[0, 2],
            Along { outer: usize::MAX, axis: 3, indices: 2, inner: 1 },
            "gather: sizes [18446744073709551615, 3, 1] are more elements than memory can hold",
        ),
        each(16, 24, vec![0; 15], "gather: `index` has 15 elements, 16 are expected"),
        each(16, 24, vec![3; 16], "gather: index 3 is outside of an axis of 3"),
        into(23, 16, &[0, 2], ALONG, "scatter: `out` has 23 elements, 24 are expected"),
        into(24, 15, &[0, 2], ALONG, "scatter: `y` has 15 elements, 16 are expected"),
        into(24, 16, &[i64::MIN, 2], ALONG, "scatter: index -9223372036854775808 is outside of an axis of 3"),
        (
            16,
            call(|out| {
                let at = View::row_major(vec![0i64; 2], &[2, 1]);
                gather(out, &ones(24), Index::Rows(at.strided()), ALONG);
            }),
            "gather: indices of shape [2, 1], one axis is expected",
        ),
    ]);
    taken(vec![
        (
            "gather of nothing",
            0,
            call(move |out| {
                gather(out, &ones(24), Index::Rows(index(&[]).strided()), Along { indices: 0, ..ALONG });
            }),
        ),
        ("parts of width 0", 1 << 15, call(|out| in_parts(out, 0, |_, part| part.fill(1.0)))),
        ("parts of rows that do not fit", (1 << 15) + 1, call(|out| in_parts(out, 3, |_, part| part.fill(1.0)))),
    ]);
}

#[test]
fn sorts_and_scans_take_whole_rows() {
    let (isa, along) = (Isa::best(), scan::Along { outer: 2, axis: 3, inner: 4 });
    let sums =
        move |length, x: usize, words| (length, call(move |out| scan(isa, ScanOp::Sum, out, &ones(x), along)), words);
    let sorted = move |length, x: usize, width, words| {
        let f = move |out: &mut [f32]| sort_values(isa, out, &ones(x), width, false, &mut vec![0; room(3, 4)]);
        (length, call(f), words)
    };
    let first = move |length, x: usize, k, words| {
        (length, call(move |out| top(isa, Some(out), None, &ones(x), 4, k, false)), words)
    };
    refused(vec![
        sums(23, 24, "scan: `out` has 23 elements, 24 are expected"),
        sums(24, 25, "scan: `x` has 25 elements, 24 are expected"),
        (24, call(move |out| linear(isa, out, &ones(24), &ones(23), along)), "linear_scan: `an array` has 23 elements"),
        (24, call(move |out| extrema(out, &mut [0; 24], &ones(25), along, true)), "scan: `an array` has 25 elements"),
        sorted(11, 12, 4, "sort: `out` has 11 elements, 12 are expected"),
        sorted(12, 12, 5, "sort: `x` has 12 elements, which is not a multiple of 5"),
        sorted(40, 40, 4, "room for"),
        first(12, 12, 5, "the first 5 of 4 elements"),
        first(5, 12, 2, "top: `an output` has 5 elements, 6 are expected"),
        (3, call(|out| kth(out, &mut [0; 3], &ones(12), 4, 4)), "rank 4 of 4 elements"),
        (2, call(|out| kth(out, &mut [0; 3], &ones(12), 4, 0)), "kth: `values` has 2 elements, 3 are expected"),
    ]);
}
