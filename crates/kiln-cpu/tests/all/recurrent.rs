//! Recurrent layers against a loop over the textbook's formulas in f64, forward and, by its differences, backward.

use crate::views::{fused, on_teams};
use kiln_cpu::Isa;
use kiln_cpu::recurrent::{
    self, Gradients, Incoming, RecurrentCell, Sequence, backward, backward_workspace, forward, forward_workspace,
};
use kiln_math::recurrent::Inner;
use proptest::prelude::*;

/// A layer's sizes and numbers.
#[derive(Clone, Debug)]
struct Case {
    cell: RecurrentCell,
    steps: usize,
    batch: usize,
    hidden: usize,
    reverse: bool,
    input: Vec<f64>,
    weight: Vec<f64>,
    unit_weights: Vec<f64>,
    mask: Option<Vec<bool>>,
    keep: Option<Vec<f64>>,
    h0: Vec<f64>,
    c0: Vec<f64>,
    /// What the states, the last state and the last cell state count in the sum that gradients are of.
    counts: [Vec<f64>; 3],
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// States of all steps, the last state and the last cell state.
fn naive(case: &Case) -> [Vec<f64>; 3] {
    let Case { cell, steps, batch, hidden, .. } = *case;
    let width = cell.gates() * hidden;
    let (mut h, mut c) = (case.h0.clone(), case.c0.clone());
    let mut states = vec![0.0; steps * batch * hidden];
    for i in 0..steps {
        let t = if case.reverse { steps - 1 - i } else { i };
        for n in 0..batch {
            let row = n * hidden..(n + 1) * hidden;
            if case.mask.as_ref().is_none_or(|mask| mask[t * batch + n]) {
                let before = h[row.clone()].to_vec();
                let kept: Vec<f64> = match &case.keep {
                    Some(keep) => before.iter().zip(&keep[row.clone()]).map(|(h, k)| h * k).collect(),
                    None => before.clone(),
                };
                let product = |gate: usize, unit: usize, x: &[f64]| -> f64 {
                    let w = &case.weight[(gate * hidden + unit) * hidden..][..hidden];
                    w.iter().zip(x).map(|(w, x)| w * x).sum()
                };
                let argument = |gate: usize, unit: usize| case.input[(t * batch + n) * width + gate * hidden + unit];
                for unit in 0..hidden {
                    let a = |gate: usize| argument(gate, unit) + product(gate, unit, &kept);
                    h[n * hidden + unit] = match cell {
                        RecurrentCell::Tanh => a(0).tanh(),
                        RecurrentCell::Relu => a(0).max(0.0),
                        RecurrentCell::Lstm => {
                            let cell = &mut c[n * hidden + unit];
                            *cell = sigmoid(a(1)) * *cell + sigmoid(a(0)) * a(2).tanh();
                            sigmoid(a(3)) * cell.tanh()
                        }
                        RecurrentCell::PeepholeLstm => {
                            let cell = &mut c[n * hidden + unit];
                            let seen = |weight: usize, c: f64| case.unit_weights[weight * hidden + unit] * c;
                            let (i, f) = (sigmoid(a(0) + seen(0, *cell)), sigmoid(a(1) + seen(1, *cell)));
                            *cell = f * *cell + i * a(2).tanh();
                            sigmoid(a(3) + seen(2, *cell)) * cell.tanh()
                        }
                        RecurrentCell::Gru | RecurrentCell::GruResetBefore => {
                            let z = sigmoid(a(1));
                            let new = if cell == RecurrentCell::Gru {
                                argument(2, unit) + sigmoid(a(0)) * (product(2, unit, &kept) + case.unit_weights[unit])
                            } else {
                                let reset = |u: usize| sigmoid(argument(0, u) + product(0, u, &kept)) * kept[u];
                                let reset: Vec<f64> = (0..hidden).map(reset).collect();
                                argument(2, unit) + product(2, unit, &reset)
                            };
                            (1.0 - z) * new.tanh() + z * before[unit]
                        }
                    };
                }
            }
            states[(t * batch + n) * hidden..][..hidden].copy_from_slice(&h[row]);
        }
    }
    [states, h, c]
}

/// The sum that gradients are of.
fn counted(case: &Case) -> f64 {
    naive(case)
        .iter()
        .zip(&case.counts)
        .flat_map(|(values, counts)| values.iter().zip(counts))
        .map(|(v, c)| v * c)
        .sum()
}

/// What the kernels give: states, inner, then the gradients of input, product, h0, c0 and the units' own weights.
type Given<T> = [Vec<T>; 7];

macro_rules! run {
    ($name:ident: $T:ty) => {
        fn $name(isa: Isa, case: &Case) -> Given<$T> {
            let cast = |x: &[f64]| -> Vec<$T> { x.iter().map(|&x| x as $T).collect() };
            let (weight, h0, c0) = (cast(&case.weight), cast(&case.h0), cast(&case.c0));
            let (own, keep) = (cast(&case.unit_weights), case.keep.as_deref().map(cast));
            let s = Sequence {
                cell: case.cell,
                steps: case.steps,
                batch: case.batch,
                hidden: case.hidden,
                reverse: case.reverse,
                weight: &weight,
                unit_weights: &own,
                mask: case.mask.as_deref(),
                keep: keep.as_deref(),
                h0: &h0,
                c0: &c0,
            };
            let mut gates = cast(&case.input);
            // Whatever buffers hold before must not matter.
            let old = |count: usize| vec![<$T>::NAN; count];
            let rows = case.steps * case.batch * case.hidden;
            let inner = if case.cell.inner() == Inner::Nothing { 0 } else { rows };
            let (mut states, mut inner) = (old(rows), old(inner));
            forward(isa, &s, &mut gates, &mut states, &mut inner, &mut old(forward_workspace(isa, &s)));
            let [dy, dh, dc] = case.counts.each_ref().map(|counts| cast(counts));
            let (mut dgates, mut dh0, mut dc0) = (old(gates.len()), old(h0.len()), old(c0.len()));
            let mut dproduct = old(if case.cell.inner() == Inner::Product { rows } else { 0 });
            let mut down = old(case.batch * own.len());
            let incoming = Incoming {
                gates: &gates,
                states: &states,
                inner: &inner,
                states_grad: Some(&dy),
                last_grad: Some(&dh),
                cell_grad: Some(&dc).filter(|_| case.cell.has_cell_state()).map(|dc| &**dc),
            };
            let out = Gradients {
                gates: &mut dgates,
                product: &mut dproduct,
                h0: &mut dh0,
                c0: &mut dc0,
                unit_weights: &mut down,
            };
            backward(isa, &s, &incoming, out, &mut old(backward_workspace(isa, &s)));
            [states, inner, dgates, dproduct, dh0, dc0, down]
        }
    };
}
run!(run_f32: f32);
run!(run_f64: f64);

fn case(steps: usize, batch: usize, hidden: usize) -> impl Strategy<Value = Case> {
    let choices = (prop::sample::select(RecurrentCell::ALL), any::<[bool; 4]>(), any::<u64>());
    choices.prop_map(move |(cell, [reverse, masked, dropped, biased], seed)| {
        let mut state = seed;
        let mut next = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f64 / (1u64 << 24) as f64 * 2.0 - 1.0
        };
        let mut numbers = |count: usize, scale: f64| -> Vec<f64> { (0..count).map(|_| next() * scale).collect() };
        let (width, rows) = (cell.gates() * hidden, steps * batch);
        let c0 = if cell.has_cell_state() { batch * hidden } else { 0 };
        Case {
            cell,
            steps,
            batch,
            hidden,
            reverse,
            input: numbers(rows * width, 1.0),
            weight: numbers(width * hidden, 1.5 / (hidden as f64).sqrt()),
            unit_weights: numbers(cell.unit_weights() * hidden, if biased { 0.5 } else { 0.0 }),
            mask: masked.then(|| numbers(rows, 1.0).iter().map(|&x| x > -0.3).collect()),
            keep: dropped
                .then(|| numbers(batch * hidden, 1.0).iter().map(|&x| if x > 0.0 { 2.0 } else { 0.0 }).collect()),
            h0: numbers(batch * hidden, 0.5),
            c0: numbers(c0, 0.5),
            counts: [numbers(rows * hidden, 1.0), numbers(batch * hidden, 1.0), numbers(c0, 1.0)],
        }
    })
}

/// The slope of the sum by one of the numbers; none at a ReLU's corner, where it depends on the step.
fn slope(case: &Case, number: impl Fn(&mut Case) -> &mut f64) -> Option<f64> {
    let at = |offset: f64| {
        let mut moved = case.clone();
        *number(&mut moved) += offset;
        counted(&moved)
    };
    let slope = |step: f64| (at(step) - at(-step)) / (2.0 * step);
    let (wide, narrow) = (slope(1e-5), slope(5e-6));
    (case.cell != RecurrentCell::Relu || near(wide, narrow, 1e-8)).then_some(wide)
}

fn near(a: f64, b: f64, tolerance: f64) -> bool {
    (a - b).abs() <= tolerance * (1.0 + b.abs())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn all_steps_are_those_of_the_formulas(
        case in (0usize..6, 0usize..9, prop_oneof![1usize..20, 60usize..70, 125usize..135]).prop_flat_map(|(t, n, h)| case(t, n, h)),
    ) {
        let expected = naive(&case);
        let [exact, ..] = run_f64(Isa::best(), &case);
        prop_assert!(exact.iter().zip(&expected[0]).all(|(&a, &b)| near(a, b, 1e-12)));
        let mut bits: Option<Vec<u32>> = None;
        for &isa in Isa::available() {
            let given = run_f32(isa, &case);
            prop_assert!(given[0].iter().zip(&expected[0]).all(|(&a, &b)| near(a.into(), b, 1e-5)), "{:?}", isa);
            for (f32s, f64s) in given.iter().zip(&run_f64(isa, &case)) {
                prop_assert!(f32s.iter().zip(f64s).all(|(&a, &b)| near(a.into(), b, 1e-4)), "{:?}", isa);
            }
            if isa.fused() {
                let these: Vec<u32> = given.iter().flatten().map(|x| x.to_bits()).collect();
                prop_assert!(bits.as_ref().is_none_or(|bits| *bits == these), "{:?} has other bits", isa);
                bits = Some(these);
            }
        }
    }

    #[test]
    fn gradients_are_slopes(case in (1usize..5, 1usize..4, 1usize..6).prop_flat_map(|(t, n, h)| case(t, n, h))) {
        let [.., dgates, _, dh0, dc0, down] = run_f64(Isa::best(), &case);
        for (i, &gradient) in dgates.iter().enumerate() {
            let slope = slope(&case, |case| &mut case.input[i]);
            prop_assert!(slope.is_none_or(|slope| near(gradient, slope, 1e-7)), "input {}: {} {:?}", i, gradient, slope);
        }
        for (i, &gradient) in dh0.iter().enumerate() {
            let slope = slope(&case, |case| &mut case.h0[i]);
            prop_assert!(slope.is_none_or(|slope| near(gradient, slope, 1e-7)), "h0 {}: {} {:?}", i, gradient, slope);
        }
        for (i, &gradient) in dc0.iter().enumerate() {
            let slope = slope(&case, |case| &mut case.c0[i]);
            prop_assert!(slope.is_none_or(|slope| near(gradient, slope, 1e-7)), "c0 {}: {} {:?}", i, gradient, slope);
        }
        for i in 0..case.unit_weights.len() {
            let (weight, unit) = (i / case.hidden, i % case.hidden);
            let of_sequence = |n: usize| down[(weight * case.batch + n) * case.hidden + unit];
            let gradient: f64 = (0..case.batch).map(of_sequence).sum();
            let slope = slope(&case, |case| &mut case.unit_weights[i]);
            prop_assert!(slope.is_none_or(|slope| near(gradient, slope, 1e-7)), "own weight {}: {} {:?}", i, gradient, slope);
        }
    }
}

/// Large enough for every way of sharing the work among threads.
#[test]
fn bits_do_not_depend_on_threads() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    // Sequences to each thread; units to each thread, of weights too large and of sequences too few; a last part that is not
    // filled.
    for (steps, batch, hidden) in [(5, 48, 96), (3, 16, 448), (4, 5, 200), (2, 3, 16), (4, 1, 260)] {
        for _ in 0..6 {
            let case = case(steps, batch, hidden).new_tree(&mut runner).expect("a case").current();
            for isa in fused() {
                let bits = |given: Given<f32>| -> Vec<u32> { given.iter().flatten().map(|x| x.to_bits()).collect() };
                on_teams(|| bits(run_f32(isa, &case)));
            }
        }
    }
}

#[test]
fn a_state_carried_on_is_one_long_call() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    for _ in 0..20 {
        let mut whole = case(7, 4, 21).new_tree(&mut runner).expect("a case").current();
        whole.reverse = false;
        let [states, inner, ..] = run_f32(Isa::best(), &whole);
        let (slab, cut) = (4 * 21, 3);
        let mut rest = whole.clone();
        rest.steps -= cut;
        rest.input.drain(..cut * slab * whole.cell.gates());
        rest.mask = whole.mask.as_ref().map(|mask| mask[cut * 4..].to_vec());
        rest.counts[0].drain(..cut * slab);
        rest.h0 = states[(cut - 1) * slab..cut * slab].iter().map(|&x| x.into()).collect();
        if whole.cell.has_cell_state() {
            rest.c0 = inner[(cut - 1) * slab..cut * slab].iter().map(|&x| x.into()).collect();
        }
        assert_eq!(run_f32(Isa::best(), &rest)[0], states[cut * slab..]);
    }
}

#[test]
fn nan_stays_in_its_sequence() {
    for &cell in RecurrentCell::ALL {
        let (steps, batch, hidden) = (3, 4, 5);
        let width = cell.gates() * hidden;
        let mut gates = vec![0.1f32; steps * batch * width];
        gates[2 * width] = f32::NAN; // the third sequence's first step
        let zeros = vec![0.0; batch * hidden];
        let weight = vec![0.3; width * hidden];
        let s = Sequence {
            cell,
            steps,
            batch,
            hidden,
            reverse: false,
            weight: &weight,
            unit_weights: &zeros[..cell.unit_weights() * hidden],
            mask: None,
            keep: None,
            h0: &zeros,
            c0: if cell.has_cell_state() { &zeros } else { &[] },
        };
        let mut states = vec![0.0; steps * batch * hidden];
        let mut inner = states.clone();
        let mut workspace = vec![0.0; forward_workspace(Isa::best(), &s)];
        recurrent::forward(Isa::best(), &s, &mut gates, &mut states, &mut inner, &mut workspace);
        for (row, state) in states.chunks(hidden).enumerate() {
            assert_eq!(state.iter().any(|h| h.is_nan()), row % batch == 2, "{cell:?} row {row}");
        }
    }
}

#[test]
fn slices_of_other_lengths_are_refused() {
    use std::panic::catch_unwind;
    let (steps, batch, hidden) = (2, 3, 4);
    for &cell in RecurrentCell::ALL {
        let width = cell.gates() * hidden;
        let zeros = vec![0.0_f32; steps * batch * width];
        let whole = Sequence {
            cell,
            steps,
            batch,
            hidden,
            reverse: false,
            weight: &zeros[..0],
            unit_weights: &zeros[..cell.unit_weights() * hidden],
            mask: None,
            keep: None,
            h0: &zeros[..batch * hidden],
            c0: &zeros[..batch * hidden],
        };
        let weight = vec![0.0; width * hidden];
        let whole = Sequence { weight: &weight, ..whole };
        let room = forward_workspace(Isa::best(), &whole).max(backward_workspace(Isa::best(), &whole));
        // Lengths of: gates, states, inner, workspace.
        let lengths = [steps * batch * width, steps * batch * hidden, steps * batch * hidden, room];
        let run = |s: Sequence<'_, f32>, lengths: [usize; 4]| {
            let [mut gates, mut states, mut inner, mut workspace] = lengths.map(|length| vec![0.0; length]);
            catch_unwind(move || forward(Isa::best(), &s, &mut gates, &mut states, &mut inner, &mut workspace)).is_ok()
        };
        assert!(run(whole, lengths));
        for which in 0..4 {
            let mut short = lengths;
            short[which] -= 1;
            let unused = which == 2 && cell.inner() == Inner::Nothing
                || which == 3 && short[3] >= forward_workspace(Isa::best(), &whole);
            assert_eq!(run(whole, short), unused, "{cell:?} {which}");
        }
        assert!(!run(Sequence { weight: &weight[1..], ..whole }, lengths));
        assert!(!run(Sequence { h0: &zeros[..1], ..whole }, lengths));
        assert!(!run(Sequence { mask: Some(&[true]), ..whole }, lengths));
        assert!(!run(Sequence { keep: Some(&zeros[..1]), ..whole }, lengths));
        assert!(!run(Sequence { unit_weights: &zeros[..1], ..whole }, lengths));
        assert_eq!(run(Sequence { c0: &zeros[..1], ..whole }, lengths), !cell.has_cell_state());
        assert!(!run(Sequence { steps: usize::MAX, ..whole }, lengths));

        let back = |grads: [usize; 5], saved: usize| {
            let [mut gates, mut product, mut h0, mut c0, mut own] = grads.map(|length| vec![0.0; length]);
            let mut workspace = vec![0.0; room];
            let saved = Incoming {
                gates: &zeros,
                states: &zeros[..saved],
                inner: &zeros[..steps * batch * hidden],
                states_grad: None,
                last_grad: None,
                cell_grad: None,
            };
            let out = Gradients {
                gates: &mut gates,
                product: &mut product,
                h0: &mut h0,
                c0: &mut c0,
                unit_weights: &mut own,
            };
            catch_unwind(std::panic::AssertUnwindSafe(|| {
                backward(Isa::best(), &whole, &saved, out, &mut workspace);
            }))
            .is_ok()
        };
        let (states, state) = (steps * batch * hidden, batch * hidden);
        let cell_state = if cell.has_cell_state() { state } else { 0 };
        let grads = [steps * batch * width, states, state, cell_state, cell.unit_weights() * state];
        assert!(back(grads, states));
        assert!(!back(grads, states - 1));
        for which in [0, 2] {
            let mut short = grads;
            short[which] -= 1;
            assert!(!back(short, states), "{cell:?} {which}");
        }
    }
}
