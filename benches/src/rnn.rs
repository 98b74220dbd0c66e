//! One training step of a recurrent layer, as `rnn_torch.py` makes it: forward, the mean square of all states, backward, SGD.

use crate::timing::{median, seconds};
use kiln::prelude::*;
use serde_json::{Map, Value, json};

/// (steps, sequences, features, units), and how many steps are timed after three that are not.
const SIZES: [([usize; 4], usize); 2] = [([28, 64, 28, 128], 200), ([128, 32, 256, 512], 12)];

/// Milliseconds of a step: the median and the least.
fn step<L: Layer<Input = Sequence, Output = Sequence>>(mut layer: L, x: &Var, steps: usize) -> Result<[f64; 2]> {
    let mut optimizer = Sgd::new(0.01);
    let mut times = (0..steps + 3)
        .map(|step| {
            seconds(|| {
                let ctx = Ctx::train(0, step as u64);
                let gradients = layer.forward(x.into(), &ctx)?.values.square()?.mean_all()?.backward()?;
                optimizer.step(&mut layer, &gradients)?;
                x.device().synchronize()
            })
        })
        .collect::<Result<Vec<f64>>>()?;
    times.drain(..3);
    let least = times.iter().copied().fold(f64::INFINITY, f64::min);
    Ok([median(times), least].map(|time| time * 1e3))
}

/// Milliseconds by cell and size.
pub(crate) fn steps(device: &Device) -> Result<Value> {
    let (mut medians, mut least) = (Map::new(), Map::new());
    kiln::tensor::Device::cpu().session(|| -> Result<()> {
        for (size @ [steps, batch, inputs, units], count) in SIZES {
            let stream = RandomStream::new(0, Purpose::Data, 0);
            let x = Var::from(Tensor::normal([steps, batch, inputs], 0.0, 1.0, DType::F32, device, stream)?);
            let mut init = Init::new(0, device);
            let init = &mut init;
            for (name, times) in [
                ("lstm", step(Lstm::with_sizes(inputs, units, init)?.batch_first(false), &x, count)?),
                ("gru", step(Gru::with_sizes(inputs, units, init)?.batch_first(false), &x, count)?),
                ("tanh", step(SimpleRnn::with_sizes(inputs, units, init)?.batch_first(false), &x, count)?),
            ] {
                let key = format!("{name} {}", size.map(|n| n.to_string()).join("x"));
                medians.insert(key.clone(), json!(times[0]));
                least.insert(key, json!(times[1]));
            }
        }
        Ok(())
    })?;
    Ok(json!({"task": "rnn", "step_ms": medians, "least_ms": least}))
}
