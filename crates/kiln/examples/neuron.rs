//! A single neuron, f(w·x + b), with four activations f: sigmoid, tanh, ReLU and softmax, drawn with their slopes.
//!
//! ```sh
//! cargo run --release -p kiln --example neuron     # draws neuron.png
//! ```

mod plot;

use kiln::prelude::*;
use plot::{BLUE, GREEN, ORANGE, Panel};
use std::path::Path;

/// Where a curve is drawn, and in how many pieces.
const RANGE: std::ops::Range<f64> = -6.0..6.0;
const PIECES: usize = 240;

/// f(w·x + b) of inputs (n, 1).
fn neuron(x: &Var, weight: f64, bias: f64, activation: Activation) -> Result<Var> {
    activation.apply(&x.mul_scalar(weight)?.add_scalar(bias)?)
}

/// Three neurons whose softmax is taken together: those of weight 1 and −1 and one that is always 0.
fn softmax(x: &Var) -> Result<Var> {
    let weights = Var::from(Tensor::from_slice(&[1f32, 0.0, -1.0], [3, 1], x.device())?);
    Activation::Softmax.apply(&x.linear(&weights, None, None)?)
}

/// The inputs (n, 1), of which slopes will be asked for.
fn inputs() -> Result<Var> {
    let step = (RANGE.end - RANGE.start) / PIECES as f64;
    let x: Vec<f32> = (0..=PIECES).map(|i| (RANGE.start + i as f64 * step) as f32).collect();
    Ok(Var::variable(Tensor::from_vec(x, [PIECES + 1, 1], &Device::cpu())?))
}

/// dy/dx for each input: an output depends on its own input only, so the gradient of their sum has all slopes.
fn slopes(x: &Var, y: &Var) -> Result<Tensor> {
    let gradients = y.sum_all()?.backward()?;
    gradients.of(x).cloned().ok_or_else(|| Error::value("slopes", "y does not depend on x"))
}

fn curve(x: &Var, y: &Tensor) -> Result<Vec<(f64, f64)>> {
    Ok(x.tensor().to_f64_vec()?.into_iter().zip(y.to_f64_vec()?).collect())
}

fn draw(path: &Path) -> Result<()> {
    let x = inputs()?;
    let mut panels = Vec::new();
    for (name, activation, low, high) in [
        ("sigmoid(z) = 1 / (1 + exp(−z))", Activation::Sigmoid, -0.1, 1.4),
        ("tanh(z) = (exp(z) − exp(−z)) / (exp(z) + exp(−z))", Activation::Tanh, -1.2, 1.9),
        ("relu(z) = max(z, 0)", Activation::Relu, -0.5, 7.0),
    ] {
        let plain = neuron(&x, 1.0, 0.0, activation)?;
        let steep = neuron(&x, 2.0, 2.0, activation)?;
        let panel = Panel::new(name, ("x", RANGE), ("", low..high))
            .line("z = x", BLUE, curve(&x, plain.tensor())?)
            .dashed("its slope", BLUE, curve(&x, &slopes(&x, &plain)?)?)
            .line("z = 2x + 2", ORANGE, curve(&x, steep.tensor())?);
        panels.push(panel);
    }
    let together = softmax(&x)?;
    let of = |class: usize| curve(&x, together.slice(1, class..class + 1)?.tensor());
    let panel = Panel::new("softmax(z)[i] = exp(z[i]) / sum over j of exp(z[j])", ("x", RANGE), ("", -0.1..1.4))
        .line("z[1] = x", BLUE, of(0)?)
        .line("z[2] = 0", GREEN, of(1)?)
        .line("z[3] = −x", ORANGE, of(2)?);
    panels.push(panel);
    plot::save(path, 2, &panels)
}

fn main() -> Result<()> {
    let x = Var::from(Tensor::from_slice(&[-2f32, -1.0, 0.0, 1.0, 2.0], [5, 1], &Device::cpu())?);
    let row = |y: Var| y.tensor().to_f64_vec().map(|row| row.iter().map(|y| format!("{y:8.4}")).collect::<String>());
    println!("x        {}", row(x.clone())?);
    println!("sigmoid  {}", row(neuron(&x, 1.0, 0.0, Activation::Sigmoid)?)?);
    println!("tanh     {}", row(neuron(&x, 1.0, 0.0, Activation::Tanh)?)?);
    println!("relu     {}", row(neuron(&x, 1.0, 0.0, Activation::Relu)?)?);
    println!("softmax  {}", row(softmax(&x)?.slice(1, 0..1)?)?);
    draw(Path::new("neuron.png"))?;
    println!("drawn to neuron.png");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values and slopes against the listing's formulas and their derivatives, in f64.
    #[test]
    fn activations_are_their_formulas() {
        let x = inputs().unwrap();
        let sigmoid = |z: f64| 1.0 / (1.0 + (-z).exp());
        let tanh = |z: f64| (z.exp() - (-z).exp()) / (z.exp() + (-z).exp());
        type Real<'a> = &'a dyn Fn(f64) -> f64;
        let cases: [(Activation, Real, Real); 3] = [
            (Activation::Sigmoid, &sigmoid, &|z| sigmoid(z) * (1.0 - sigmoid(z))),
            (Activation::Tanh, &tanh, &|z| 1.0 - tanh(z).powi(2)),
            (Activation::Relu, &|z| z.max(0.0), &|z| if z > 0.0 { 1.0 } else { 0.0 }),
        ];
        for (activation, f, df) in cases {
            for (weight, bias) in [(1.0, 0.0), (2.0, 2.0)] {
                let y = neuron(&x, weight, bias, activation).unwrap();
                let slopes = slopes(&x, &y).unwrap().to_f64_vec().unwrap();
                for ((x, y), slope) in curve(&x, y.tensor()).unwrap().into_iter().zip(slopes) {
                    let z = weight * x + bias;
                    assert!((y - f(z)).abs() < 1e-6 * f(z).max(1.0), "{activation:?} of {z} is {y}");
                    assert!((slope - weight * df(z)).abs() < 1e-5, "{activation:?} at {z} has slope {slope}");
                }
            }
        }
    }

    #[test]
    fn softmax_shares_out_one() {
        let x = inputs().unwrap();
        let rows = softmax(&x).unwrap().tensor().to_f64_vec().unwrap();
        for (x, y) in x.tensor().to_f64_vec().unwrap().into_iter().zip(rows.chunks_exact(3)) {
            let sum = x.exp() + 1.0 + (-x).exp();
            for (y, expected) in y.iter().zip([x.exp() / sum, 1.0 / sum, (-x).exp() / sum]) {
                assert!((y - expected).abs() < 1e-6, "{y}, not {expected}");
            }
        }
    }

    #[test]
    fn all_is_printed_and_drawn() {
        let path = std::env::temp_dir().join(format!("kiln-neuron-{}.png", std::process::id()));
        draw(&path).unwrap();
        assert_eq!(plot::ink(&path), (2080, 1520, true));
        std::fs::remove_file(path).unwrap();
    }
}
