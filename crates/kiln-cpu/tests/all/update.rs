//! Optimizer steps over many tensors against the rule of one element, bit for bit: every rule of the list.

use crate::views::{fused, on_teams};
use half::{bf16, f16};
use kiln_cpu::Isa;
use kiln_cpu::operand::Number;
use kiln_cpu::update::{self, Floats, FloatsMut, Slot};
use kiln_math::update::{Constants, MAX_STATES, Step};
use kiln_math::{Unfused, UpdateRule};
use proptest::prelude::*;

/// A number that steps are computed in.
trait Element: Number + std::fmt::Debug {
    fn given(values: &[Self]) -> Floats<'_>;
    fn taken(values: &mut [Self]) -> FloatsMut<'_>;
}
impl Element for f32 {
    fn given(values: &[f32]) -> Floats<'_> {
        Floats::F32(values)
    }
    fn taken(values: &mut [f32]) -> FloatsMut<'_> {
        FloatsMut::F32(values)
    }
}
impl Element for f64 {
    fn given(values: &[f64]) -> Floats<'_> {
        Floats::F64(values)
    }
    fn taken(values: &mut [f64]) -> FloatsMut<'_> {
        FloatsMut::F64(values)
    }
}

/// Parameter, gradient and states of a tensor.
#[derive(Clone, PartialEq, Debug)]
struct Tensor<T> {
    parameter: Vec<T>,
    gradient: Vec<T>,
    states: [Vec<T>; MAX_STATES],
}

impl<T: Element> Tensor<T> {
    fn new(n: usize, salt: usize, scale: f64) -> Self {
        let number = |k: usize, i: usize| ((i * 7919 + k * 131 + salt * 31) % 2003) as f64 * 1e-3 - 1.0;
        let numbers = |k: usize, scale: f64| (0..n).map(|i| T::from_f64(number(k, i) * scale)).collect::<Vec<T>>();
        // Some vanish.
        let gradient = |i: usize| if i.is_multiple_of(5) { 1e-20 } else { number(1, i) };
        Tensor {
            parameter: numbers(0, 1.0),
            gradient: (0..n).map(|i| T::from_f64(gradient(i) * scale)).collect(),
            states: [2, 3, 4].map(|k| numbers(k, scale).into_iter().map(|v| v.abs()).collect()),
        }
    }

    fn slot(&mut self, kept: [bool; MAX_STATES], row: usize) -> Slot<'_> {
        let mut states = [const { None }; MAX_STATES];
        for ((to, state), kept) in states.iter_mut().zip(&mut self.states).zip(kept) {
            *to = kept.then(|| T::taken(state));
        }
        Slot { parameter: T::taken(&mut self.parameter), gradient: T::given(&self.gradient), states, row }
    }

    /// The tensor after a step, one element after the other.
    fn after(&self, rule: UpdateRule, kept: [bool; MAX_STATES], constants: &Constants<T>, isa: Isa) -> Self {
        let mut after = self.clone();
        for i in 0..self.parameter.len() {
            let state = |at: usize| if kept[at] { self.states[at][i] } else { T::default() };
            let (p, g, states) = (self.parameter[i], self.gradient[i], [state(0), state(1), state(2)]);
            let (p, states) = if isa.fused() {
                rule.element(p, g, states, constants)
            } else {
                portable(rule, p, g, states, constants)
            };
            after.parameter[i] = p;
            for (at, state) in states.into_iter().enumerate().filter(|(at, _)| kept[*at]) {
                after.states[at][i] = state;
            }
        }
        after
    }
}

/// On the portable path, which multiplies and adds with two roundings; for f32.
fn portable<T: Element>(
    rule: UpdateRule,
    p: T,
    g: T,
    states: [T; MAX_STATES],
    constants: &Constants<T>,
) -> (T, [T; MAX_STATES]) {
    let single = |x: T| Unfused(x.to_f64() as f32);
    let (p, states) = rule.element(single(p), single(g), states.map(single), &constants.map(single));
    let back = |x: Unfused<f32>| T::from_f64(x.0.into());
    (back(p), states.map(back))
}

/// The states that an example keeps, and two rows of its constants.
fn example<T: Element>(rule: UpdateRule, number: usize) -> ([bool; MAX_STATES], [Constants<T>; 2]) {
    let at = |learning_rate, weight_decay| {
        let step = Step { learning_rate, weight_decay, number: 3.0, smallest: T::SMALLEST };
        rule.example(number, &step)
    };
    (at(0.1, 0.0).0, [at(0.01, 0.01), at(0.1, 0.0)].map(|(_, constants)| constants.map(T::from_f64)))
}

fn step<'a, T: Element>(isa: Isa, rule: UpdateRule, slots: impl IntoIterator<Item = Slot<'a>>, constants: &[T]) {
    let mut step = update::Step::new(constants, 0);
    slots.into_iter().for_each(|slot| step.push(slot));
    step.run(isa, rule);
}

fn run<T: Element>(isa: Isa, rule: UpdateRule, number: usize, tensors: &mut [Tensor<T>]) {
    let (kept, rows) = example::<T>(rule, number);
    let slots = tensors.iter_mut().enumerate().map(|(at, tensor)| tensor.slot(kept, at % 2));
    step(isa, rule, slots, &rows.concat());
}

fn tensors<T: Element>(sizes: &[usize], scale: f64) -> Vec<Tensor<T>> {
    sizes.iter().enumerate().map(|(salt, &n)| Tensor::new(n, salt, scale)).collect()
}

fn examples() -> impl Iterator<Item = (UpdateRule, usize)> {
    UpdateRule::ALL.iter().flat_map(|&rule| (0..rule.examples()).map(move |number| (rule, number)))
}

/// Compares a step with that of each element.
fn compare<T: Element>(isas: &[Isa], sizes: &[usize]) -> Result<(), TestCaseError> {
    for ((rule, number), &isa) in examples().flat_map(|example| isas.iter().map(move |isa| (example, isa))) {
        let before = tensors::<T>(sizes, 1.0);
        let mut after = before.clone();
        run(isa, rule, number, &mut after);
        let (kept, rows) = example::<T>(rule, number);
        for (at, (after, before)) in after.iter().zip(&before).enumerate() {
            prop_assert_eq!(after, &before.after(rule, kept, &rows[at % 2], isa), "{:?} on {}", rule, isa.name());
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn tensors_of_any_sizes(sizes in prop::collection::vec(0usize..700, 0..6)) {
        compare::<f32>(Isa::available(), &sizes)?;
        compare::<f64>(&fused().collect::<Vec<_>>(), &sizes)?;
    }
}

#[test]
fn threads_do_not_change_results() {
    for (rule, number) in examples() {
        for isa in fused() {
            on_teams(|| {
                let mut tensors = tensors::<f32>(&[100_352, 128, 0, 50_001, 10], 1.0);
                for _ in 0..2 {
                    run(isa, rule, number, &mut tensors);
                }
                tensors
            });
        }
    }
}

/// From gradients as usual down to those that square to denormals and are denormal themselves.
#[test]
fn no_denormal_numbers() {
    for ((rule, number), scale) in examples().flat_map(|at| [1.0, 1e-16, 1e-30, 1e-42].map(move |scale| (at, scale))) {
        let mut tensors = tensors::<f32>(&[300], scale);
        let (kept, _) = example::<f32>(rule, number);
        // What comes in is none either.
        tensors[0].states.iter_mut().flatten().for_each(|v| *v = if v.is_normal() { *v } else { 0.0 });
        for _ in 0..3 {
            run(Isa::best(), rule, number, &mut tensors);
        }
        let states = tensors[0].states.iter().zip(kept).filter(|(_, kept)| *kept).flat_map(|(state, _)| state);
        for v in states.chain(&tensors[0].parameter) {
            assert!(v.is_finite() && !v.is_subnormal(), "{rule:?}, example {number} at {scale}: {v:e}");
        }
    }
}

/// A bf16 parameter with an f16 gradient and states of f32 and bf16: computed in f32, rounded once.
#[test]
fn types_that_differ() {
    for ((rule, number), isa) in examples().flat_map(|example| fused().map(move |isa| (example, isa))) {
        let mut wide = Tensor::<f32>::new(1200, 1, 1.0);
        let mut parameter: Vec<bf16> = wide.parameter.iter().map(|&v| bf16::from_f32(v)).collect();
        let gradient: Vec<f16> = wide.gradient.iter().map(|&v| f16::from_f32(v)).collect();
        let mut last: Vec<bf16> = wide.states[0].iter().map(|&v| bf16::from_f32(v)).collect();
        wide.parameter = parameter.iter().map(|v| v.to_f32()).collect();
        wide.gradient = gradient.iter().map(|v| v.to_f32()).collect();
        wide.states[0] = last.iter().map(|v| v.to_f32()).collect();
        let (kept, rows) = example::<f32>(rule, number);
        let after = wide.after(rule, kept, &rows[1], isa);

        let mut states = [const { None }; MAX_STATES];
        let [_, b, c] = &mut wide.states;
        states[0] = kept[0].then(|| FloatsMut::BF16(&mut last));
        states[1] = kept[1].then(|| FloatsMut::F32(b));
        states[2] = kept[2].then(|| FloatsMut::F32(c));
        let slot =
            Slot { parameter: FloatsMut::BF16(&mut parameter), gradient: Floats::F16(&gradient), states, row: 1 };
        step(isa, rule, [slot], &rows.concat());
        let rounded = |values: &[f32]| values.iter().map(|&v| bf16::from_f32(v)).collect::<Vec<_>>();
        assert_eq!(parameter, rounded(&after.parameter), "{rule:?}");
        assert_eq!(last, rounded(&after.states[0]), "{rule:?}");
        assert_eq!(wide.states[1..], after.states[1..], "{rule:?}");
    }
}

#[test]
fn slices_that_do_not_fit_are_refused() {
    let refused = |gradient: usize, first: usize, row: usize| {
        let (mut p, g, mut v) = (vec![0f32; 8], vec![0f32; gradient], vec![0f32; first]);
        let states = [Some(FloatsMut::F32(&mut v)), None, None];
        let slot = Slot { parameter: FloatsMut::F32(&mut p), gradient: Floats::F32(&g), states, row };
        let run = || step(Isa::best(), UpdateRule::Sgd, [slot], &[0f32; 16]);
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err()
    };
    assert!(!refused(8, 8, 0) && refused(7, 8, 0) && refused(8, 0, 0) && refused(8, 9, 0) && refused(8, 8, 1));
    // f64 is not computed in f32.
    let (mut p, g) = ([0f32; 8], [0f64; 8]);
    let (parameter, gradient) = (FloatsMut::F32(&mut p), Floats::F64(&g));
    let slot = Slot { parameter, gradient, states: [const { None }; MAX_STATES], row: 0 };
    let run = || step(Isa::best(), UpdateRule::Sgd, [slot], &[0f32; 16]);
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err());
}
