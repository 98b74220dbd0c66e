//! Keras's weights of attention.

use super::projections::Projections;
use crate::{Param, StateDict};
use kiln_tensor::{Error, Result, Shape, Tensor};

const OPERATION: &str = "keras weights";

/// The one tensor whose path ends so.
fn find<'s>(state: &'s StateDict, end: &str) -> Result<&'s Tensor> {
    let fits = |path: &str| path == end || path.strip_suffix(end).is_some_and(|before| before.ends_with('/'));
    let mut found = state.iter().filter(|(path, _)| fits(path));
    match (found.next(), found.next()) {
        (Some((_, tensor)), None) => Ok(tensor),
        (None, _) => Err(Error::value(OPERATION, format!("there is no `{end}` among the names"))),
        (Some((a, _)), Some((b, _))) => {
            Err(Error::value(OPERATION, format!("`{a}` and `{b}` are both a `{end}`: one is expected")))
        }
    }
}

/// The tensor whose path ends so, of this shape.
fn of_shape(state: &StateDict, end: &str, expected: &[usize]) -> Result<Tensor> {
    let found = find(state, end)?;
    if found.dims() == expected {
        return Ok(found.clone());
    }
    let message = format!("{end} has shape {}, expected {}", found.shape(), Shape::new(expected)?);
    Err(Error::shape(OPERATION, message))
}

fn like(parameter: &Param, value: Tensor) -> Result<Tensor> {
    value.to_dtype(parameter.value().dtype())?.to_device(parameter.value().device())
}

impl Projections {
    /// Kernels are (width, heads, head width), that of the output (heads, value width, width); all are ours transposed.
    pub(super) fn load_keras(&mut self, state: &StateDict) -> Result<()> {
        let heads = self.heads()?;
        let widths = self.widths()?;
        let of = [(heads.heads, heads.width), (heads.key_heads, heads.width), (heads.key_heads, heads.value_width)];
        let parts = ["query", "key", "value"].into_iter().zip(of).zip(widths);
        let weights = parts
            .clone()
            .map(|((name, (heads, width)), input)| {
                let kernel = of_shape(state, &format!("{name}/kernel"), &[input, heads, width])?;
                kernel.reshape([input, heads * width])?.t()
            })
            .collect::<Result<Vec<_>>>()?;
        let bias = |((name, (heads, width)), _): ((&str, (usize, usize)), usize)| {
            of_shape(state, &format!("{name}/bias"), &[heads, width])?.reshape([heads * width])
        };
        let has_bias = self.in_proj_bias.is_some();
        let biases = if has_bias { parts.map(bias).collect::<Result<Vec<_>>>()? } else { Vec::new() };
        let output = "attention_output";
        let kernel = of_shape(state, &format!("{output}/kernel"), &[heads.heads, heads.value_width, widths[0]])?;
        let out_weight = kernel.reshape([heads.output(), widths[0]])?.t()?;
        let out_bias = has_bias.then(|| of_shape(state, &format!("{output}/bias"), &[widths[0]])).transpose()?;
        self.set(weights, biases, out_weight, out_bias)
    }

    /// Sets all of them, or nothing where one cannot be converted.
    fn set(&mut self, weights: Vec<Tensor>, biases: Vec<Tensor>, out: Tensor, out_bias: Option<Tensor>) -> Result<()> {
        let joined = |parts: &[Tensor]| Tensor::concat(&parts.iter().collect::<Vec<_>>(), 0);
        let weights = if self.in_proj_weight.is_some() { vec![joined(&weights)?] } else { weights };
        let biases = if biases.is_empty() { biases } else { vec![joined(&biases)?] };
        let values = weights.into_iter().chain(biases).chain([out]).chain(out_bias);
        let parameters = crate::Module::parameters_mut(self);
        let values = parameters
            .iter()
            .zip(values)
            .map(|((_, parameter), value)| like(parameter, value.contiguous()?))
            .collect::<Result<Vec<_>>>()?;
        parameters.into_iter().zip(values).try_for_each(|((_, parameter), value)| parameter.set(value))
    }
}
