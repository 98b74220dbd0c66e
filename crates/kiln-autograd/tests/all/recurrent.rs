//! Recurrent layers: gradients of first and second order, for every cell, direction, mask and output.

use kiln_autograd::{RecurrentOutput, RecurrentVars, Var, grad, grad_check, grad_grad_check};
use kiln_math::{Purpose, RandomStream};
use kiln_tensor::{DType, Device, RecurrentCell, Result, Tensor};

const CELLS: [RecurrentCell; 5] = [
    RecurrentCell::Tanh,
    RecurrentCell::Relu,
    RecurrentCell::Lstm,
    RecurrentCell::Gru { reset_after: true },
    RecurrentCell::Gru { reset_after: false },
];
const OUTPUTS: [RecurrentOutput; 3] = [RecurrentOutput::Sequence, RecurrentOutput::Last, RecurrentOutput::WithCell];

fn uniform(shape: &[usize], index: u64) -> Tensor {
    Tensor::uniform(shape, -0.9, 0.9, DType::F64, &Device::cpu(), RandomStream::new(3, Purpose::Data, index)).unwrap()
}

/// Operands of a layer of three steps: input, weight, h0, c0, bias.
fn operands(cell: RecurrentCell, steps: usize, batch: usize, hidden: usize) -> [Tensor; 5] {
    let width = cell.gates() * hidden;
    let state = [batch, hidden];
    [
        uniform(&[steps, batch, width], 1),
        uniform(&[width, hidden], 2),
        uniform(&state, 3),
        uniform(&state, 4),
        uniform(&[hidden], 5),
    ]
}

fn layer(v: &[Var], options: &RecurrentVars<'_>) -> Result<Var> {
    let after = options.cell == RecurrentCell::Gru { reset_after: true };
    let options = RecurrentVars {
        h0: Some(&v[2]),
        c0: options.cell.has_cell_state().then_some(&v[3]),
        bias: after.then_some(&v[4]),
        ..*options
    };
    v[0].clone().recurrent(&v[1], &options)
}

#[test]
fn gradients() {
    let cpu = Device::cpu();
    let mask = Tensor::from_slice(&[true, true, true, false, true, false], [3, 2], &cpu).unwrap();
    let keep = Tensor::from_slice(&[2.0, 0.0, 2.0, 0.0, 2.0, 2.0], [2, 3], &cpu).unwrap();
    for cell in CELLS {
        let inputs = operands(cell, 3, 2, 3);
        for output in OUTPUTS {
            for case in 0..8 {
                let options = RecurrentVars {
                    reverse: case & 1 != 0,
                    mask: (case & 2 != 0).then_some(&mask),
                    keep: (case & 4 != 0).then_some(&keep),
                    output,
                    ..RecurrentVars::new(cell)
                };
                let what = format!("{cell:?} {output:?} {case}");
                grad_check(|v| layer(v, &options), &inputs).unwrap_or_else(|e| panic!("{what}: {e}"));
            }
        }
    }
}

#[test]
fn gradients_of_gradients() {
    let cpu = Device::cpu();
    let mask = Tensor::from_slice(&[true, true, false, true], [2, 2], &cpu).unwrap();
    for cell in CELLS.into_iter().filter(|&cell| cell != RecurrentCell::Relu) {
        let inputs = operands(cell, 2, 2, 2);
        for (output, reverse) in OUTPUTS.into_iter().zip([true, false, true]) {
            let options = RecurrentVars { reverse, mask: Some(&mask), output, twice: true, ..RecurrentVars::new(cell) };
            grad_grad_check(|v| layer(v, &options), &inputs).unwrap_or_else(|e| panic!("{cell:?} {output:?}: {e}"));
        }
    }
    // Not asked for.
    let [x, w, ..] = operands(RecurrentCell::Lstm, 2, 2, 2).map(Var::variable);
    let y = x.clone().recurrent(&w, &RecurrentVars::new(RecurrentCell::Lstm)).unwrap().sum_all().unwrap();
    let error = grad(&y, &[&w]).unwrap_err().to_string();
    assert!(error.contains("twice"), "{error}");
}

/// The fused form's gradients are those of the composed one, which `grad` takes, in f32 too.
#[test]
fn fused_as_composed() {
    for cell in CELLS {
        let vars = operands(cell, 5, 4, 19).map(|t| Var::variable(t.to_dtype(DType::F32).unwrap()));
        for (output, reverse) in OUTPUTS.into_iter().zip([false, true, false]) {
            let options = RecurrentVars { reverse, output, twice: true, ..RecurrentVars::new(cell) };
            let total = || layer(&vars, &options).unwrap().square().unwrap().sum_all().unwrap();
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
    for cell in CELLS {
        let [x, w, h0, c0, bias] = operands(cell, 6, 3, 4).map(Var::variable);
        let has_cell = cell.has_cell_state();
        let options = RecurrentVars {
            bias: (cell == RecurrentCell::Gru { reset_after: true }).then_some(&bias),
            ..RecurrentVars::new(cell)
        };
        let whole = RecurrentVars { h0: Some(&h0), c0: has_cell.then_some(&c0), ..options };
        let one = x.clone().recurrent(&w, &whole).unwrap();
        let first = RecurrentVars { output: RecurrentOutput::WithCell, ..whole };
        let first = x.slice(0, 0..2).unwrap().recurrent(&w, &first).unwrap();
        let (h, c) = (first.slice(0, 1..2).unwrap().squeeze(0).unwrap(), first.slice(0, 2..3));
        let c = if has_cell { Some(c.unwrap().squeeze(0).unwrap()) } else { None };
        let second = RecurrentVars { h0: Some(&h), c0: c.as_ref(), ..options };
        let second = x.slice(0, 2..6).unwrap().recurrent(&w, &second).unwrap();
        let two = Var::concat(&[&first.slice(0, 0..2).unwrap(), &second], 0).unwrap();
        assert_eq!(one.tensor().to_f64_vec().unwrap(), two.tensor().to_f64_vec().unwrap(), "{cell:?}");
        let gradients = [one, two].map(|y| y.square().unwrap().sum_all().unwrap().backward().unwrap());
        for var in [&x, &w, &h0] {
            let [a, b] = gradients.each_ref().map(|g| g.of(var).unwrap().to_f64_vec().unwrap());
            assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12), "{cell:?}");
        }
    }
}
