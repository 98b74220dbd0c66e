//! The cells' gradients against dual numbers of their steps.

use kiln_math::recurrent::{After, Before, Cell, CellVisitor, Inner};
use kiln_math::{Dual, Real, RecurrentCell};
use proptest::prelude::*;

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![8 => -3.0..3.0, 1 => -30.0..30.0, 1 => Just(0.0)]
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-13 * (1.0 + b.abs())
}

/// The slope of `f` by its `at`-th argument.
fn slope(x: &[f64], at: usize, f: impl Fn(&[Dual<f64>]) -> Dual<f64>) -> f64 {
    let arguments = x.iter().enumerate();
    let arguments = arguments.map(|(i, &x)| if i == at { Dual::variable(x) } else { Dual::constant(x) });
    f(&arguments.collect::<Vec<_>>()).slope
}

/// G arguments of gates, h, inner and W weights, in this order, of a step whose outputs' gradients are dh and dinner.
struct Check {
    x: Vec<f64>,
    dh: f64,
    dinner: f64,
}

/// Numbers as a step takes them.
fn operands<R: Real, const G: usize, const W: usize>(x: &[R]) -> ([R; G], Before<R, W>) {
    let gates = std::array::from_fn(|g| x[g]);
    (gates, Before { h: x[G], inner: x[G + 1], weights: std::array::from_fn(|w| x[G + 2 + w]) })
}

impl CellVisitor for Check {
    type Output = Vec<(f64, f64)>;

    /// Gradients found and expected.
    fn visit<C: Cell<G, W>, const G: usize, const W: usize>(self, _: C) -> Vec<(f64, f64)> {
        let Check { x, dh, dinner } = self;
        // No cell without a second state sees a gradient of it.
        let dinner = if C::INNER == Inner::State { dinner } else { 0.0 };
        let x = &x[..G + 2 + W];
        let (arguments, before) = operands::<f64, G, W>(x);
        let after = C::step(arguments, &before);
        let slopes = C::grad(&after, &before, dh, dinner);
        let found = slopes.gates.into_iter().chain([slopes.h, slopes.inner]).chain(slopes.weights);
        let loss = |x: &[Dual<f64>]| {
            let (arguments, before) = operands::<Dual<f64>, G, W>(x);
            let After { h, inner, .. } = C::step(arguments, &before);
            h * Dual::constant(dh) + inner * Dual::constant(dinner)
        };
        let expected = (0..x.len()).map(|at| slope(x, at, loss));
        found.zip(expected).collect()
    }
}

/// The same of [`Cell::factor`], of a loss that weighs its gates by `weights` and the factor by dh.
struct CheckFactor {
    x: Vec<f64>,
    weights: Vec<f64>,
    dh: f64,
}

impl CellVisitor for CheckFactor {
    type Output = Vec<(f64, f64)>;

    fn visit<C: Cell<G, W>, const G: usize, const W: usize>(self, _: C) -> Vec<(f64, f64)> {
        let CheckFactor { x, mut weights, dh } = self;
        if C::INNER != Inner::Factor {
            return vec![];
        }
        // The factor's own gate has no part in the step: its gradient comes through the factor alone.
        weights[0] = 0.0;
        let x = &x[..G + 1];
        let gates = C::factor(std::array::from_fn(|g| x[g]), x[G]).0;
        let (slopes, h) = C::factor_grad(gates, x[G], std::array::from_fn::<_, G, _>(|g| weights[g]), dh);
        let loss = |x: &[Dual<f64>]| {
            let (gates, factor) = C::factor::<Dual<f64>>(std::array::from_fn(|g| x[g]), x[G]);
            let sum = gates.into_iter().zip(&weights).map(|(gate, &weight)| gate * Dual::constant(weight));
            sum.fold(factor * Dual::constant(dh), |a, b| a + b)
        };
        let expected = (0..x.len()).map(|at| slope(x, at, loss));
        slopes.into_iter().chain([h]).zip(expected).collect()
    }
}

proptest! {
    #[test]
    fn gradients_are_those_of_the_step(
        x in prop::collection::vec(number(), 16), weights in prop::collection::vec(number(), 8), dh in number(), dinner in number()
    ) {
        for &cell in RecurrentCell::ALL {
            for (at, (found, expected)) in cell.visit(Check { x: x.clone(), dh, dinner }).into_iter().enumerate() {
                prop_assert!(near(found, expected), "{}: {} by argument {}: {}", cell.name(), found, at, expected);
            }
            let factor = CheckFactor { x: x.clone(), weights: weights.clone(), dh };
            for (at, (found, expected)) in cell.visit(factor).into_iter().enumerate() {
                prop_assert!(near(found, expected), "{}, factor: {} by argument {}: {}", cell.name(), found, at, expected);
            }
        }
    }
}

#[test]
fn cells_know_their_gates() {
    use RecurrentCell::{Gru, GruResetBefore, Lstm, Tanh};
    assert_eq!([Tanh, Lstm, Gru].map(RecurrentCell::gates), [1, 4, 3]);
    assert_eq!([Tanh, Lstm, Gru, GruResetBefore].map(RecurrentCell::unit_weights), [0, 0, 1, 0]);
    assert!(Lstm.has_cell_state() && !Gru.has_cell_state());
    assert_eq!([Tanh, Gru, GruResetBefore].map(RecurrentCell::inner), [Inner::Nothing, Inner::Product, Inner::Factor]);
}

#[test]
fn relu_hands_on_nan() {
    let before = Before { h: 0.0, inner: 0.0, weights: [] };
    let relu = |a: f32| kiln_math::recurrent::Relu::step([a], &before).h;
    assert!(relu(f32::NAN).is_nan());
    assert_eq!(
        [f32::INFINITY, 2.0, 0.0, -0.0, -1.0, f32::NEG_INFINITY].map(relu),
        [f32::INFINITY, 2.0, 0.0, 0.0, 0.0, 0.0]
    );
}
