//! The parameters of a model as one vector, and its loss as a function of that.

use super::line_search::Point;
use super::memory::dot;
use kiln_autograd::Var;
use kiln_nn::{Module, Param};
use kiln_tensor::{DType, Error, ErrorKind, Result, Tensor};

/// The model with its loss.
pub(super) struct Objective<'o, M> {
    pub(super) model: &'o mut M,
    pub(super) loss: &'o mut dyn FnMut(&M) -> Result<Var>,
}

impl<M: Module> Objective<'_, M> {
    /// The loss and its gradient where the parameters are.
    pub(super) fn evaluate(&mut self) -> Result<(f64, Tensor)> {
        let loss = (self.loss)(self.model)?;
        let (value, gradients) = (loss.item()?, loss.backward()?);
        let parts = |value: &Tensor, gradient: Option<&Tensor>| match gradient {
            Some(gradient) => Ok(gradient.clone()),
            None => Tensor::zeros(value.shape(), value.dtype(), value.device()),
        };
        let all = learning(self.model).into_iter().map(|p| parts(p.value(), gradients.get(p.id())));
        Ok((value, flat(&all.collect::<Result<Vec<_>>>()?)?))
    }

    /// The same at a point of a line, where the parameters are left. A loss that is not a number, or a gradient that
    /// is not finite, counts as a loss that is too large.
    pub(super) fn point(&mut self, values: &Tensor, direction: &Tensor, at: f64) -> Result<Point> {
        write(self.model, &values.add(&direction.mul_scalar(at)?)?)?;
        let (loss, gradient) = self.evaluate()?;
        let slope = dot(&gradient, direction)?;
        let loss = if loss.is_nan() || !slope.is_finite() { f64::INFINITY } else { loss };
        Ok(Point { at, loss, gradient, slope })
    }
}

/// The parameters that learn, one after the other.
pub(super) fn values(model: &dyn Module) -> Result<Tensor> {
    let values: Vec<Tensor> = learning(model).into_iter().map(|parameter| parameter.value().clone()).collect();
    flat(&values)
}

fn learning(model: &dyn Module) -> Vec<&Param> {
    model.parameters().into_iter().map(|(_, parameter)| parameter).filter(|parameter| parameter.trainable()).collect()
}

/// Tensors as one vector: of f64 where one of them is, else of f32.
fn flat(tensors: &[Tensor]) -> Result<Tensor> {
    let Some(first) = tensors.first() else {
        return Err(Error::value("optimizer.step", "the model has no parameter that learns"));
    };
    let double = tensors.iter().any(|tensor| tensor.dtype() == DType::F64);
    let dtype = if double { DType::F64 } else { DType::F32 };
    if let Some(other) = tensors.iter().find(|tensor| tensor.device() != first.device()) {
        let message =
            format!("parameters are on {} and on {}; move the model to one device", first.device(), other.device());
        return Err(Error::new(ErrorKind::Device, "optimizer.step", message));
    }
    let parts = tensors.iter().map(|tensor| tensor.reshape([tensor.elements()])?.to_dtype(dtype));
    let parts = parts.collect::<Result<Vec<_>>>()?;
    Tensor::concat(&parts.iter().collect::<Vec<_>>(), 0)
}

/// Writes a vector into the parameters that learn.
pub(super) fn write(model: &mut dyn Module, values: &Tensor) -> Result<()> {
    let mut at = 0;
    for (_, parameter) in model.parameters_mut() {
        if parameter.trainable() {
            let (shape, elements) = (*parameter.value().shape(), parameter.value().elements());
            let part = values.slice(0, at..at + elements)?.reshape(shape)?;
            parameter.value_mut().copy_from(&part)?;
            at += elements;
        }
    }
    Ok(())
}

/// The largest |x|.
pub(super) fn largest(x: &Tensor) -> Result<f64> {
    x.abs()?.max(..)?.item()
}
