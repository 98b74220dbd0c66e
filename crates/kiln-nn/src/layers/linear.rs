//! PyTorch's fully connected layer, and the product that it shares with `Dense`.

use crate::{Activation, Ctx, Describe, Fans, Init, Initializer, Layer, Module, Param, Projection, Value};
use crate::per_sample::Use;
use kiln_autograd::Var;
use kiln_tensor::{Error, Result};
use serde_json::{Value as Json, json};

/// y = x · Wᵀ + b, of x (…, in), W (out, in), b (out,).
///
/// PyTorch's `Linear`: made with both sizes, weights and biases start uniform in ±1/√in.
#[derive(Module, Clone, Debug)]
pub struct Linear {
    weight: Param,
    bias: Option<Param>,
}

impl Linear {
    /// A layer of these sizes with a bias.
    ///
    /// # Errors
    /// Sizes of 0, or out of memory.
    pub fn new(inputs: usize, outputs: usize, init: &mut Init) -> Result<Self> {
        let mut layer = Linear::without_bias(inputs, outputs, init)?;
        let fans = Fans { input: inputs, output: outputs };
        layer.bias = Some(init.param("bias", &[outputs], fans, Initializer::FanInUniform)?);
        Ok(layer)
    }

    /// A layer of these sizes without a bias.
    ///
    /// # Errors
    /// Sizes of 0, or out of memory.
    pub fn without_bias(inputs: usize, outputs: usize, init: &mut Init) -> Result<Self> {
        if inputs == 0 || outputs == 0 {
            return Err(Error::value(
                "linear",
                format!("a layer of {inputs} inputs and {outputs} outputs: both must be above 0"),
            ));
        }
        let fans = Fans { input: inputs, output: outputs };
        let weight = init.param("weight", &[outputs, inputs], fans, Initializer::FanInUniform)?;
        Ok(Linear { weight, bias: None })
    }

    /// The weight (out, in).
    pub fn weight(&self) -> &Param {
        &self.weight
    }

    /// The bias (out,), where there is one.
    pub fn bias(&self) -> Option<&Param> {
        self.bias.as_ref()
    }
}

impl Layer for Linear {
    type Input = Var;
    type Output = Var;

    fn forward(&self, x: Var, ctx: &Ctx) -> Result<Var> {
        affine(&x, &self.weight, self.bias.as_ref(), Activation::Linear, ctx)
    }
}

impl Describe for Linear {
    fn config(&self) -> Option<Json> {
        let [outputs, inputs] = self.weight.value().dims() else { return None };
        Some(json!({ "inputs": inputs, "outputs": outputs, "bias": self.bias.is_some() }))
    }
}

/// activation(x · weightᵀ + bias), the activation in the product's epilogue where that is possible.
pub(super) fn affine(x: &Var, weight: &Param, bias: Option<&Param>, activation: Activation, ctx: &Ctx) -> Result<Var> {
    let inputs = weight.value().dims()[1];
    if x.dims().last() != Some(&inputs) {
        return Err(misfit(x, weight));
    }
    let (w, b) = (weight.var(ctx), bias.map(|bias| bias.var(ctx)));
    if let Some(recorder) = ctx.recorder() {
        let y = x.linear(&w, b.as_ref(), None)?;
        recorder.add(Use::Product(x.tensor().clone()), Some(weight), bias, &y);
        return activation.apply(&y);
    }
    activation.rest(x.linear(&w, b.as_ref(), activation.fused())?)
}

/// activation(x · weightᵀ + bias) to be computed where it is asked for; none of few classes, and where something looks at the output.
pub(super) fn projection(
    x: &Var,
    weight: &Param,
    bias: Option<&Param>,
    activation: Activation,
    ctx: &Ctx,
) -> Result<Option<Value>> {
    let [classes, inputs] = *weight.value().dims() else { return Ok(None) };
    // A softmax of more axes is not along the last one.
    let takes = match activation {
        Activation::Linear => true,
        Activation::Softmax => x.shape().rank() < 4,
        _ => false,
    };
    if classes < Projection::LARGE || !takes || x.shape().rank() < 2 || !ctx.may_defer() {
        return Ok(None);
    }
    if x.dims().last() != Some(&inputs) {
        return Err(misfit(x, weight));
    }
    let product = Projection::new(x.clone(), weight.var(ctx), bias.map(|bias| bias.var(ctx)))?;
    let product = if activation == Activation::Softmax { product.softmax() } else { product };
    Ok(Some(Value::Projection(Box::new(product), None)))
}

#[cold]
fn misfit(x: &Var, weight: &Param) -> Error {
    let inputs = weight.value().dims()[1];
    let per_sample: usize = x.dims().iter().skip(1).product();
    let remedy = if per_sample == inputs {
        "put a Flatten layer before this one"
    } else {
        "build the model for the shape of its data, or change the layer before"
    };
    Error::shape(
        "linear",
        format!("expected (…, {inputs}) for weights {}, got {}; {remedy}", weight.value().shape(), x.shape()),
    )
}
