//! Optimizer steps of every rule of the list against its formula in f64.

use super::cases::{Cases, Operand, Values, expect, expect_same, rounded, tensor_of, values_of};
use crate::{Call, DType, Device, Ran, Shape, Tensor, UpdateCall, UpdatePart, UpdateRule, UpdateSlot, UpdateTensors};
use kiln_math::update::{CONSTANTS, Constants, MAX_STATES, Step};

/// The dtypes of a parameter, its gradient and its states.
type Kinds = [DType; 3];

const SINGLE: [Kinds; 6] = {
    use DType::{BF16, F16, F32};
    [[F32; 3], [F32; 3], [BF16, F32, F32], [BF16, BF16, F32], [F32, F16, BF16], [F16, F16, F16]]
};

struct Parameter {
    p: Operand,
    g: Operand,
    states: [Option<Tensor>; MAX_STATES],
    row: usize,
}

impl Parameter {
    fn new(cases: &mut Cases, size: usize, [p, g, state]: Kinds, kept: [bool; MAX_STATES], row: usize) -> Self {
        let shape = Shape::new(&[size]).unwrap();
        let zeros = |kept: bool| kept.then(|| tensor_of(&vec![0.0; size], &shape, state, &cases.device));
        let states = kept.map(zeros);
        let p = cases.rows(&shape, p, Values::Between(-1.0, 1.0));
        Parameter { p, g: cases.rows(&shape, g, Values::Between(-1.0, 1.0)), states, row }
    }

    fn slot(&self) -> UpdateSlot {
        let part = |tensor: &Tensor| UpdatePart {
            buffer: tensor.view().buffer,
            offset: tensor.layout().offset(),
            dtype: tensor.dtype(),
        };
        UpdateSlot {
            parameter: part(&self.p.tensor),
            gradient: part(&self.g.tensor),
            states: self.states.each_ref().map(|state| state.as_ref().map(part)),
            elements: self.p.tensor.elements(),
            row: self.row,
        }
    }

    /// The values of the parameter and of the states.
    fn values(&self) -> [Vec<f64>; 1 + MAX_STATES] {
        let [a, b, c] = self.states.each_ref().map(|state| match state {
            Some(state) => values_of(state),
            None => vec![0.0; self.p.values.len()],
        });
        [values_of(&self.p.tensor), a, b, c]
    }

    /// Compares with a step from `before`.
    fn expect(&self, rule: UpdateRule, before: &[Vec<f64>; 1 + MAX_STATES], constants: &Constants<f64>) {
        let mut want: [Vec<f64>; 1 + MAX_STATES] = Default::default();
        for (i, &g) in self.g.values.iter().enumerate() {
            let [p, a, b, c] = before.each_ref().map(|values| values[i]);
            let (p, [a, b, c]) = rule.element(p, g, [a, b, c], constants);
            want.iter_mut().zip([p, a, b, c]).for_each(|(to, value)| to.push(value));
        }
        let what = format!("{rule:?}, row {}", self.row);
        expect(&what, &self.p.tensor, &want[0], |_| 2.0);
        for (state, want) in self.states.iter().zip(&want[1..]) {
            if let Some(state) = state {
                expect(&what, state, want, |_| 1.0);
            }
        }
        // The gradient is untouched.
        let kept: Vec<f64> = self.g.values.iter().map(|&value| rounded(value, self.g.tensor.dtype())).collect();
        expect_same("gradient", &self.g.tensor, &kept);
    }
}

/// A step by the kernel, or by operations on whole tensors.
fn step(rule: UpdateRule, constants: &Tensor, apply: Option<&Tensor>, parameters: &mut [Parameter]) {
    let slots: Vec<UpdateSlot> = parameters.iter().map(Parameter::slot).collect();
    let call = UpdateCall { rule, constants: constants.view(), apply: apply.map(Tensor::view), slots: &slots };
    if constants.device().run(&Call::Update(call)).unwrap() == Ran::NotHere {
        let tensors = parameters.iter_mut().map(|Parameter { p, g, states, row }| UpdateTensors {
            parameter: &mut p.tensor,
            gradient: &g.tensor,
            states: states.each_mut().map(Option::as_mut),
            row: *row,
        });
        Tensor::update(rule, constants, apply, &mut tensors.collect::<Vec<_>>()).unwrap();
    }
}

/// Two rows of constants at a step with this number.
fn rows(rule: UpdateRule, example: usize, number: u32, dtype: DType) -> [Constants<f64>; 2] {
    [(0.1, 0.0), (0.03, 0.01)].map(|(learning_rate, weight_decay)| {
        let smallest = dtype.smallest_normal();
        rule.example(example, &Step { learning_rate, weight_decay, number: number.into(), smallest }).1
    })
}

fn check(cases: &mut Cases, rule: UpdateRule, example: usize, sizes: &[usize], double: bool) {
    let dtype = if double { DType::F64 } else { DType::F32 };
    let device = cases.device.clone();
    let any = Step { learning_rate: 0.1, weight_decay: 0.0, number: 1.0, smallest: 1e-30 };
    let (kept, _) = rule.example(example, &any);
    let kinds = |i: usize| if double { [DType::F64; 3] } else { SINGLE[i % SINGLE.len()] };
    let mut parameters: Vec<Parameter> =
        (0..sizes.len()).map(|i| Parameter::new(cases, sizes[i], kinds(i), kept, i % 2)).collect();
    for number in 1..=3 {
        let rows = rows(rule, example, number, dtype);
        let constants = tensor_of(&rows.concat(), &Shape::new(&[2, CONSTANTS]).unwrap(), dtype, &device);
        let flag = |apply| Tensor::from_slice(&[apply], (), &device).unwrap();
        let before: Vec<_> = parameters.iter().map(Parameter::values).collect();
        // A step that is not made writes nothing.
        step(rule, &constants, Some(&flag(false)), &mut parameters);
        for (parameter, before) in parameters.iter().zip(&before) {
            assert!(parameter.values() == *before, "{rule:?}: a step that is not to be made");
        }
        let apply = (number == 2).then(|| flag(true));
        step(rule, &constants, apply.as_ref(), &mut parameters);
        for (parameter, before) in parameters.iter().zip(&before) {
            parameter.expect(rule, before, &rows[parameter.row]);
        }
    }
}

pub(super) fn update(device: &Device) {
    let mut cases = Cases::new(device, 80);
    for &rule in UpdateRule::ALL {
        for example in 0..rule.examples() {
            for sizes in [&[][..], &[0], &[1], &[5, 0, 31, 32, 33, 700], &[3, 2000, 70_001, 256, 257, 8]] {
                for double in [false, true] {
                    check(&mut cases, rule, example, sizes, double);
                }
            }
        }
    }
}
