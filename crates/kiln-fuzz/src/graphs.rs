//! Graph models' descriptions in JSON.

use crate::Target;
use crate::models::MEMORY;
use kiln::prelude::*;
use kiln::tensor::ErrorKind;
use serde_json::Value as Json;

pub(crate) const GRAPH: Target = Target {
    name: "graph",
    run: graph,
    seeds,
    words: &[
        b"\"layer\":\"Dense\"",
        b"\"layer\":\"Concatenate\"",
        b"\"layer\":\"Graph\"",
        b"\"layer\":\"0\"",
        b"\"method\":\"logits\"",
        b"\"method\":\"transposed\"",
        b"\"inputs\":[",
        b"\"outputs\":[",
        b"\"calls\":[",
        b"\"name\":\"x\"",
        b"\"shape\":[",
        b"18446744073709551615",
        b"-1",
        b"null",
        b"[]",
        b"{}",
    ],
};

fn graph(bytes: &[u8]) {
    let Ok(description) = serde_json::from_slice::<Json>(bytes) else { return };
    let device = Device::cpu_of(MEMORY);
    let model = match Graph::from_architecture(&description, &device) {
        Ok(model) => model,
        Err(error) => {
            assert!(!error.message().is_empty());
            return;
        }
    };
    assert!(device.memory().peak <= MEMORY, "{} bytes were taken", device.memory().peak);
    let again = model.architecture();
    match Graph::from_architecture(&again, &device).map(|model| model.architecture()) {
        Ok(second) => assert_eq!(second, again),
        // The first still holds its memory.
        Err(error) => assert_eq!(error.kind(), ErrorKind::Memory, "{again} cannot be made again: {error}"),
    }
    let _ = model.summary("model");
    let Some(inputs) = zeros(&again["inputs"], &device) else { return };
    let expected: Vec<_> = model.output_shapes().into_iter().cloned().collect();
    let Ok(outputs) = Ctx::eval().run(&model, inputs) else { return };
    for (output, expected) in outputs.into_parts().into_iter().zip(&expected) {
        if let (Ok(output), Ok(expected)) = (output.var(), expected.one()) {
            assert_eq!(&output.dims()[1..], expected.dims(), "another shape than the architecture says");
        }
    }
}

/// A sample of zeros for inputs of one shape each.
fn zeros(inputs: &Json, device: &Device) -> Option<Value> {
    let values = inputs.as_array()?.iter().map(|input| {
        let sizes = input["shape"].as_array()?.iter().map(|size| usize::try_from(size.as_u64()?).ok());
        let batch = [vec![1], sizes.collect::<Option<Vec<_>>>()?].concat();
        Tensor::zeros(&batch[..], DType::F32, device).ok().map(|zeros| Value::from(Var::from(zeros)))
    });
    values.collect::<Option<Vec<_>>>().map(Value::Many)
}

/// What Kiln itself writes of graphs.
fn seeds() -> Vec<Vec<u8>> {
    [merged(), shared(), tied(), nested()]
        .into_iter()
        .map(|model| model.expect("a small graph").architecture().to_string().into_bytes())
        .collect()
}

/// Two inputs, two outputs, and layers of several inputs.
fn merged() -> Result<Graph> {
    let mut g = Graph::new();
    let (x, y) = (g.input_named("x", [4]), g.input([4]));
    let (sum, difference) = (g.add(&[&x, &y])?, g.subtract(&x, &y)?);
    let product = g.multiply(&[&sum, &difference])?;
    let all = g.concat(&[&product, &x])?;
    let class = g.call_named("class", Dense::new(2).activation(Activation::Softmax), &all)?;
    g.build(&[&x, &y], &[&class, &product], &Device::cpu(), 1)
}

/// A layer in two places.
fn shared() -> Result<Graph> {
    let mut g = Graph::new();
    let (x, y) = (g.input([1, 4, 4]), g.input([1, 4, 4]));
    let conv = g.layer_named("conv", Conv2d::new(2, 3).padding(Padding::Same))?;
    let (a, b) = (g.call(&conv, &x)?, g.call(&conv, &y)?);
    let both = g.add(&[&a, &b])?;
    let flat = g.call(Flatten::new(), &both)?;
    g.build(&[&x, &y], &[&flat], &Device::cpu(), 1)
}

/// A layer's method with the same weights.
fn tied() -> Result<Graph> {
    let mut g = Graph::new();
    let x = g.input([5]);
    let words = g.layer(Embedding::new(7, 3));
    let h = g.call(&words, &x)?;
    let h = g.call(Lstm::new(3), &h)?;
    let logits = g.call_with(&words, Embedding::LOGITS, &h)?;
    g.build(&[&x], &[&logits], &Device::cpu(), 1)
}

/// A graph and a sequence as layers of another.
fn nested() -> Result<Graph> {
    let mut g = Graph::new();
    let x = g.input([3]);
    let h = g.call(Sequential::new().push(Dense::new(4)).push(Dropout::new(0.5)), &x)?;
    let mut inner = Graph::new();
    let z = inner.input([4]);
    let dense = inner.call(Dense::new(2), &z)?;
    let out = g.call(inner.build(&[&z], &[&dense], &Device::cpu(), 1)?, &h)?;
    g.build(&[&x], &[&out], &Device::cpu(), 1)
}
