//! Recurrent layers: gradients of first and second order, for every cell, direction, mask and output.

use kiln_autograd::{RecurrentOptions, RecurrentOutput, Var, grad, grad_check, grad_grad_check};
use kiln_math::{Purpose, RandomStream};
use kiln_tensor::{DType, Device, Recurrence, RecurrentCell, Result, Tensor};

const OUTPUTS: [RecurrentOutput; 3] = [RecurrentOutput::Sequence, RecurrentOutput::Last, RecurrentOutput::WithCell];

fn uniform(shape: &[usize], index: u64) -> Tensor {
    Tensor::uniform(shape, -0.9, 0.9, DType::F64, &Device::cpu(), RandomStream::new(3, Purpose::Data, index)).unwrap()
}

/// Operands of a layer: input, weight, h0, c0, the units' own weights.
fn operands(cell: RecurrentCell, steps: usize, batch: usize, hidden: usize) -> [Tensor; 5] {
    let width = cell.gates() * hidden;
    let state = [batch, hidden];
    [
        uniform(&[steps, batch, width], 1),
        uniform(&[width, hidden], 2),
        uniform(&state, 3),
        uniform(&state, 4),
        uniform(&[cell.unit_weights() * hidden], 5),
    ]
}

/// What a layer is beside its operands.
#[derive(Clone, Copy)]
struct Form<'a> {
    cell: RecurrentCell,
    reverse: bool,
    mask: Option<&'a Tensor>,
    keep: Option<&'a Tensor>,
}

impl Form<'_> {
    fn new(cell: RecurrentCell, reverse: bool) -> Self {
        Form { cell, reverse, mask: None, keep: None }
    }

    fn run(&self, v: &[Var], output: RecurrentOutput, twice: bool) -> Result<Var> {
        let &Form { cell, reverse, mask, keep } = self;
        let layer = Recurrence {
            reverse,
            mask,
            keep,
            h0: Some(&v[2]),
            c0: cell.has_cell_state().then_some(&v[3]),
            unit_weights: (cell.unit_weights() > 0).then_some(&v[4]),
            ..Recurrence::new(cell, &v[1])
        };
        v[0].clone().recurrent(&layer, RecurrentOptions { output, twice })
    }
}

#[test]
fn gradients() {
    let cpu = Device::cpu();
    let mask = Tensor::from_slice(&[true, true, true, false, true, false], [3, 2], &cpu).unwrap();
    let keep = Tensor::from_slice(&[2.0, 0.0, 2.0, 0.0, 2.0, 2.0], [2, 3], &cpu).unwrap();
    for &cell in RecurrentCell::ALL {
        let inputs = operands(cell, 3, 2, 3);
        for output in OUTPUTS {
            for case in 0..8 {
                let (mask, keep) = ((case & 2 != 0).then_some(&mask), (case & 4 != 0).then_some(&keep));
                let form = Form { cell, reverse: case & 1 != 0, mask, keep };
                let what = format!("{cell:?} {output:?} {case}");
                grad_check(|v| form.run(v, output, false), &inputs).unwrap_or_else(|e| panic!("{what}: {e}"));
            }
        }
    }
}

#[test]
fn gradients_of_gradients() {
    let cpu = Device::cpu();
    let mask = Tensor::from_slice(&[true, true, false, true], [2, 2], &cpu).unwrap();
    for &cell in RecurrentCell::ALL.iter().filter(|&&cell| cell != RecurrentCell::Relu) {
        let inputs = operands(cell, 2, 2, 2);
        for (output, reverse) in OUTPUTS.into_iter().zip([true, false, true]) {
            let form = Form { mask: Some(&mask), ..Form::new(cell, reverse) };
            grad_grad_check(|v| form.run(v, output, true), &inputs)
                .unwrap_or_else(|e| panic!("{cell:?} {output:?}: {e}"));
        }
    }
    // Not asked for.
    let vars = operands(RecurrentCell::Lstm, 2, 2, 2).map(Var::variable);
    let y = Form::new(RecurrentCell::Lstm, false).run(&vars, RecurrentOutput::Last, false).unwrap().sum_all().unwrap();
    let error = grad(&y, &[&vars[1]]).unwrap_err().to_string();
    assert!(error.contains("twice"), "{error}");
}

/// The fused form's gradients are those of the composed one, which `grad` takes, in f32 too.
#[test]
fn fused_as_composed() {
    for &cell in RecurrentCell::ALL {
        let vars = operands(cell, 5, 4, 19).map(|t| Var::variable(t.to_dtype(DType::F32).unwrap()));
        for (output, reverse) in OUTPUTS.into_iter().zip([false, true, false]) {
            let total =
                || Form::new(cell, reverse).run(&vars, output, true).unwrap().square().unwrap().sum_all().unwrap();
            let fused = total().backward().unwrap();
            let composed = grad(&total(), &vars.each_ref()).unwrap();
            for (var, composed) in vars.iter().zip(composed) {
                assert_eq!(fused.of(var).is_some(), composed.is_some());
                let (Some(fused), Some(composed)) = (fused.of(var), composed) else { continue };
                let (fused, composed) = (fused.to_f64_vec().unwrap(), composed.tensor().to_f64_vec().unwrap());
                let scale = composed.iter().fold(1.0, |most: f64, x| most.max(x.abs()));
                assert!(fused.iter().zip(composed).all(|(a, b)| (a - b).abs() < 1e-5 * scale), "{cell:?}");
            }
        }
    }
}

/// A state carried from call to call is one long call, values and gradients.
#[test]
fn calls_in_a_row() {
    for &cell in RecurrentCell::ALL {
        let vars = operands(cell, 6, 3, 4).map(Var::variable);
        let [x, w, h0, c0, own] = &vars;
        let (form, has_cell) = (Form::new(cell, false), cell.has_cell_state());
        let one = form.run(&vars, RecurrentOutput::Sequence, false).unwrap();
        let steps =
            |steps, h: &Var, c: &Var| [x.slice(0, steps).unwrap(), w.clone(), h.clone(), c.clone(), own.clone()];
        let first = form.run(&steps(0..2, h0, c0), RecurrentOutput::WithCell, false).unwrap();
        let row = |row: usize| first.slice(0, row..row + 1).unwrap().squeeze(0).unwrap();
        let (h, c) = (row(1), if has_cell { row(2) } else { c0.clone() });
        let second = form.run(&steps(2..6, &h, &c), RecurrentOutput::Sequence, false).unwrap();
        let two = Var::concat(&[&first.slice(0, 0..2).unwrap(), &second], 0).unwrap();
        assert_eq!(one.tensor().to_f64_vec().unwrap(), two.tensor().to_f64_vec().unwrap(), "{cell:?}");
        let gradients = [one, two].map(|y| y.square().unwrap().sum_all().unwrap().backward().unwrap());
        for var in [x, w, h0] {
            let [a, b] = gradients.each_ref().map(|g| g.of(var).unwrap().to_f64_vec().unwrap());
            assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12), "{cell:?}");
        }
    }
}
