//! The loop of gradient descent with a tape and the mean squared error: a line is fitted to points.
//!
//! ```sh
//! cargo run --release -p kiln --example sgd
//! ```

use kiln::prelude::*;

/// Points (n, 2) with values 3 x₁ − 2 x₂ + 0.5 (n, 1), all of them a little off.
fn points(n: usize) -> Result<(Tensor, Tensor)> {
    let cpu = Device::cpu();
    let inputs = Tensor::uniform([n, 2], -1.0, 1.0, DType::F32, &cpu, RandomStream::new(1, Purpose::Data, 0))?;
    let noise = Tensor::normal([n, 1], 0.0, 0.1, DType::F32, &cpu, RandomStream::new(1, Purpose::Data, 1))?;
    let slopes = Tensor::from_slice(&[3f32, -2.0], [2, 1], &cpu)?;
    let labels = inputs.matmul(&slopes)?.affine(1.0, 0.5)?.add(&noise)?;
    Ok((inputs, labels))
}

/// Trains on all points at once, and gives the model and the loss before each step.
fn train(inputs: &Tensor, labels: &Tensor, num_epochs: u64) -> Result<(Sequential, Vec<f64>)> {
    let mut model = Sequential::new().push(Dense::new(1)).build([2], &Device::cpu(), 1)?;
    let mut optimizer = Sgd::new(0.1);
    let loss_fn = MeanSquaredError::new();
    let mut losses = Vec::new();

    for epoch in 0..num_epochs {
        // What is computed under a training context is recorded: the tape.
        let tape = Ctx::train(1, epoch);
        let predictions = model.forward(inputs, &tape)?;
        let loss = loss_fn.forward(&predictions, labels)?;
        losses.push(loss.item()?);

        let gradients = loss.backward()?;
        optimizer.step(&mut model, &gradients)?;
    }
    Ok((model, losses))
}

fn main() -> Result<()> {
    let (inputs, labels) = points(200)?;
    let (model, losses) = train(&inputs, &labels, 100)?;
    for (epoch, loss) in losses.iter().enumerate().step_by(10) {
        println!("epoch {epoch:>3}  loss {loss:.4}");
    }
    for (path, parameter) in model.parameters() {
        println!("{path:<8}  {}", parameter.value());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same descent in f64, by its formulas: w ← w − lr · 2/n · Σ (w·x − y) x.
    #[test]
    fn each_step_is_that_of_the_formula() {
        let (inputs, labels) = points(50).unwrap();
        let start = Sequential::new().push(Dense::new(1)).build([2], &Device::cpu(), 1).unwrap();
        let mut w = start.parameters()[0].1.value().to_f64_vec().unwrap();
        w.push(0.0);
        let (x, y) = (inputs.to_f64_vec().unwrap(), labels.to_f64_vec().unwrap());
        let (model, losses) = train(&inputs, &labels, 100).unwrap();
        for loss in losses {
            let errors: Vec<f64> =
                x.chunks_exact(2).zip(&y).map(|(x, y)| w[0] * x[0] + w[1] * x[1] + w[2] - y).collect();
            let expected = errors.iter().map(|e| e * e).sum::<f64>() / 50.0;
            assert!((loss - expected).abs() < 1e-5 * expected.max(0.1), "{loss}, not {expected}");
            let mean =
                |of: &dyn Fn(usize) -> f64| errors.iter().enumerate().map(|(i, e)| e * of(i)).sum::<f64>() / 50.0;
            let gradient = [2.0 * mean(&|i| x[2 * i]), 2.0 * mean(&|i| x[2 * i + 1]), 2.0 * mean(&|_| 1.0)];
            w.iter_mut().zip(gradient).for_each(|(w, g)| *w -= 0.1 * g);
        }
        let found: Vec<f64> = model.parameters().iter().flat_map(|(_, p)| p.value().to_f64_vec().unwrap()).collect();
        assert!(found.iter().zip(&w).all(|(a, b)| (a - b).abs() < 1e-5), "{found:?}, not {w:?}");
    }

    #[test]
    fn the_line_is_found_and_what_is_left_is_the_noise() {
        let (inputs, labels) = points(200).unwrap();
        let (model, losses) = train(&inputs, &labels, 100).unwrap();
        let found: Vec<f64> = model.parameters().iter().flat_map(|(_, p)| p.value().to_f64_vec().unwrap()).collect();
        assert!(found.iter().zip([3.0, -2.0, 0.5]).all(|(a, b)| (a - b).abs() < 0.05), "{found:?}");
        assert!(losses.is_sorted_by(|a, b| b - a < 1e-7) && (0.005..0.015).contains(&losses[99]), "{losses:?}");
    }
}
