//! Recurrent layers: as on the CPU in f64, whose kernels are held to the formulas, and as the trait's default body.

use super::cases::{Cases, Values, expect, tensor_of, values_of};
use super::composed::Composed;
use crate::{DType, Device, Recurrence, RecurrentCell, Shape, Tensor};

/// Operands of a layer as numbers.
struct RecurrentCase {
    cell: RecurrentCell,
    reverse: bool,
    sizes: [usize; 3],
    input: Vec<f64>,
    weight: Vec<f64>,
    unit_weights: Option<Vec<f64>>,
    mask: Option<Vec<f64>>,
    keep: Option<Vec<f64>>,
    h0: Option<Vec<f64>>,
    c0: Option<Vec<f64>>,
    gradients: [Option<Vec<f64>>; 3],
}

impl RecurrentCase {
    fn draw(cases: &mut Cases) -> Self {
        let cell = RecurrentCell::ALL[cases.below(RecurrentCell::ALL.len())];
        let sizes @ [steps, batch, hidden] = [cases.below(5), cases.below(6), 1 + cases.below(20)];
        let unit = Values::Between(-1.0, 1.0);
        let scale = 1.0 / (hidden as f64).sqrt();
        let (width, state) = (cell.gates() * hidden, batch * hidden);
        let has_cell = cell.has_cell_state();
        let own = cell.unit_weights() * hidden;
        RecurrentCase {
            cell,
            reverse: cases.chance(2),
            sizes,
            input: cases.numbers(steps * batch * width, unit),
            weight: cases.numbers(width * hidden, Values::Between(-scale, scale)),
            unit_weights: (own > 0 && cases.chance(2)).then(|| cases.numbers(own, unit)),
            mask: cases.chance(2).then(|| cases.numbers(steps * batch, Values::Below(2))),
            keep: cases.chance(2).then(|| cases.numbers(state, Values::Below(2))),
            h0: cases.chance(2).then(|| cases.numbers(state, unit)),
            c0: (has_cell && cases.chance(2)).then(|| cases.numbers(state, unit)),
            gradients: [
                (!cases.chance(4)).then(|| cases.numbers(steps * state, unit)),
                cases.chance(2).then(|| cases.numbers(state, unit)),
                (has_cell && cases.chance(2)).then(|| cases.numbers(state, unit)),
            ],
        }
    }

    /// Gates, states, inner, and the gradients.
    fn run(&self, dtype: DType, device: &Device) -> Vec<Tensor> {
        let [steps, batch, hidden] = self.sizes;
        let tensor =
            |values: &Vec<f64>, dims: &[usize], dtype| tensor_of(values, &Shape::new(dims).unwrap(), dtype, device);
        let state = |values: &Option<Vec<f64>>| values.as_ref().map(|v| tensor(v, &[batch, hidden], dtype));
        let width = self.cell.gates() * hidden;
        let weight = tensor(&self.weight, &[width, hidden], dtype);
        let own = self.unit_weights.as_ref().map(|own| tensor(own, &[own.len()], dtype));
        let mask = self.mask.as_ref().map(|mask| tensor(mask, &[steps, batch], DType::Bool));
        let [keep, h0, c0] = [&self.keep, &self.h0, &self.c0].map(state);
        let layer = Recurrence {
            cell: self.cell,
            reverse: self.reverse,
            weight: &weight,
            unit_weights: own.as_ref(),
            mask: mask.as_ref(),
            keep: keep.as_ref(),
            h0: h0.as_ref(),
            c0: c0.as_ref(),
        };
        let input = tensor(&self.input, &[steps, batch, width], dtype);
        let after = input.recurrent(&layer).unwrap();
        let [dy, dh, dc] = &self.gradients;
        let dy = dy.as_ref().map(|dy| tensor(dy, &[steps, batch, hidden], dtype));
        let (dh, dc) = (state(dh), state(dc));
        let gradients = after.grad(&layer, dy.as_ref(), dh.as_ref(), dc.as_ref()).unwrap();
        let Some(gradients) = gradients else { return vec![after.states] };
        let optional = [after.inner, gradients.product, gradients.c0, gradients.unit_weights];
        [after.states, gradients.gates, gradients.h0].into_iter().chain(optional.into_iter().flatten()).collect()
    }
}

pub(super) fn recurrent(device: &Device) {
    let mut cases = Cases::new(device, 80);
    for case in 0..60 {
        let layer = RecurrentCase::draw(&mut cases);
        let reference = layer.run(DType::F64, &Device::cpu());
        for dtype in [DType::F32, DType::F64] {
            for (way, device) in [("", device.clone()), ("composed ", Composed::device(device))] {
                for (found, expected) in layer.run(dtype, &device).iter().zip(&reference) {
                    let what = format!("{way}{:?}, case {case}", layer.cell);
                    // A chain of steps, each of a dozen roundings.
                    expect(&what, found, &values_of(expected), |_| 40.0);
                }
            }
        }
    }
}
