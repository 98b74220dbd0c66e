//! Milliseconds of the passes of a recurrent layer, and of the matrix products around them:
//! `cargo run --release -p kiln-cpu --example recurrent`.

use kiln_cpu::gemm::{GemmEpilogue, Matrix, MatrixMut, ShapeError, matmul};
use kiln_cpu::recurrent::{self, Gradients, Incoming, RecurrentCell, Sequence};
use kiln_cpu::{Isa, team};
use std::time::Instant;

/// The least milliseconds of a second of runs.
fn time(mut f: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = Vec::new();
    let begun = Instant::now();
    while times.len() < 5 || begun.elapsed().as_secs_f64() < 1.0 {
        let start = Instant::now();
        f();
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    times[0]
}

fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 7919 % 1013) as f32 / 1013.0 - 0.5) * 0.1).collect()
}

/// out = a · b of matrices (elements, rows, columns), each transposed first or not.
fn product(a: (&[f32], usize, usize), ta: bool, b: (&[f32], usize, usize), tb: bool, out: &mut [f32]) {
    let matrix = |(x, rows, cols), transposed| -> Result<Matrix<'_, f32>, ShapeError> {
        let matrix = Matrix::row_major(x, rows, cols)?;
        Ok(if transposed { matrix.t() } else { matrix })
    };
    let rows = if ta { a.2 } else { a.1 };
    let cols = if tb { b.1 } else { b.2 };
    if let (Ok(a), Ok(b), Ok(out)) = (matrix(a, ta), matrix(b, tb), MatrixMut::row_major(out, rows, cols)) {
        let _ = matmul(Isa::best(), a, b, out, GemmEpilogue::overwrite());
    }
}

fn main() {
    let isa = Isa::best();
    let cells = [
        ("lstm", RecurrentCell::Lstm),
        ("gru", RecurrentCell::Gru),
        ("gru, reset before", RecurrentCell::GruResetBefore),
        ("tanh", RecurrentCell::Tanh),
    ];
    for [steps, batch, inputs, hidden] in [[28, 64, 28, 128], [128, 32, 256, 512]] {
        for (name, cell) in cells {
            let width = cell.gates() * hidden;
            let rows = steps * batch;
            let x = numbers(rows * inputs);
            let (w, weight) = (numbers(width * inputs), numbers(width * hidden));
            let (own, zeros) = (numbers(cell.unit_weights() * hidden), vec![0.0; batch * hidden]);
            let c0 = if cell.has_cell_state() { &zeros[..] } else { &[] };
            let s = Sequence {
                cell,
                steps,
                batch,
                hidden,
                reverse: false,
                weight: &weight,
                unit_weights: &own,
                mask: None,
                keep: None,
                h0: &zeros,
                c0,
            };
            let mut gates = numbers(rows * width);
            let mut states = vec![0.0; rows * hidden];
            let mut inner = vec![0.0; rows * hidden];
            let mut workspace = vec![0.0; recurrent::forward_workspace(isa, &s)];
            let mut back = vec![0.0; recurrent::backward_workspace(isa, &s)];
            let mut dgates = vec![0.0; rows * width];
            let (mut dproduct, mut down) = (vec![0.0; rows * hidden], vec![0.0; own.len() * batch]);
            let (mut dh, mut dc) = (zeros.clone(), c0.to_vec());
            let (mut dw, mut dw_in) = (vec![0.0_f32; width * hidden], vec![0.0_f32; width * inputs]);
            let dy = numbers(rows * hidden);
            let line = team::run(|| {
                let project = time(|| product((&x, rows, inputs), false, (&w, width, inputs), true, &mut gates));
                let forward = time(|| recurrent::forward(isa, &s, &mut gates, &mut states, &mut inner, &mut workspace));
                let backward = time(|| {
                    let incoming = Incoming {
                        gates: &gates,
                        states: &states,
                        inner: &inner,
                        states_grad: Some(&dy),
                        last_grad: None,
                        cell_grad: None,
                    };
                    let out = Gradients {
                        gates: &mut dgates,
                        product: &mut dproduct,
                        h0: &mut dh,
                        c0: &mut dc,
                        unit_weights: &mut down,
                    };
                    recurrent::backward(isa, &s, &incoming, out, &mut back);
                });
                let gradients = (&dgates[..], rows, width);
                let weights = time(|| product(gradients, true, (&states, rows, hidden), false, &mut dw));
                let inputs_weights = time(|| product(gradients, true, (&x, rows, inputs), false, &mut dw_in));
                [project, forward, backward, weights, inputs_weights]
            });
            let gflop = |ms: f64, k: usize| 2e-6 * (rows * width * k) as f64 / ms;
            println!(
                "{steps}×{batch}×{inputs}×{hidden} {name}: projection {:.3} ms ({:.0} GFLOP/s), forward {:.3} ({:.0}), \
                 backward {:.3} ({:.0}), dW {:.3} ({:.0}), dW of inputs {:.3} ({:.0}), sum {:.2}",
                line[0],
                gflop(line[0], inputs),
                line[1],
                gflop(line[1], hidden),
                line[2],
                gflop(line[2], hidden),
                line[3],
                gflop(line[3], hidden),
                line[4],
                gflop(line[4], inputs),
                line.iter().sum::<f64>(),
            );
        }
    }
}
