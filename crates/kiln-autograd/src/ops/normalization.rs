//! Normalization: by batch, group and instance, and across channels.

use super::activation::FusedActivation;
use crate::{Backward, Function, Inputs, Var};
use kiln_math::UnaryOp;
use kiln_tensor::{Arithmetic, ConvOptions, Error, Normalization, Result, Shape, Tensor, UnaryCall, Window, composed};

/// y = activation(x̂ · w + b) with x̂ = (x − mean) / sqrt(variance + ε), by channel of x (N, C, …).
///
/// With dz = dy · activation′(y) and s = w / sqrt(variance + ε): dw = Σ dz·x̂, db = Σ dz over samples and positions, and
/// dx = s·(dz − mean(dz) − x̂ · mean(dz·x̂)) where the moments are x's own, s·dz where they are constants.
struct Normalize {
    form: Normalization,
    x: Tensor,
    moments: Tensor,
    weight: Option<Tensor>,
    bias: Option<Tensor>,
    /// Kept where there is an activation.
    y: Option<Tensor>,
}

impl Function for Normalize {
    fn name(&self) -> &'static str {
        "normalize"
    }
    fn backward(&self, dy: Var, pass: &mut Backward<'_>) -> Result<()> {
        if !pass.records() {
            let (weight, y) = (self.weight.as_ref(), self.y.as_ref());
            if let Some(all) = self.x.normalize_grad(&self.form, &self.moments, weight, y, dy.tensor())? {
                if let Some(weight) = weight {
                    pass.accumulate(1, Var::constant(all.weight.to_dtype(weight.dtype())?))?;
                }
                if let Some(bias) = &self.bias {
                    pass.accumulate(self.bias_at(), Var::constant(all.bias.to_dtype(bias.dtype())?))?;
                }
                return pass.accumulate(0, Var::constant(all.dx));
            }
        }
        pass.differentiate(&dy, |inputs| self.composed(inputs))
    }
}

impl Normalize {
    /// The bias's position among the inputs.
    fn bias_at(&self) -> usize {
        1 + usize::from(self.weight.is_some())
    }

    fn composed(&self, inputs: &mut Inputs<'_>) -> Result<Var> {
        let x = inputs.take(0, &self.x)?;
        let mut factor = |position: usize, saved: &Option<Tensor>| match saved {
            Some(saved) => inputs.take(position, saved)?.into_wide().map(Some),
            None => Ok(None),
        };
        let (weight, bias) = (factor(1, &self.weight)?, factor(self.bias_at(), &self.bias)?);
        let (&[n, c], rest) = self.x.dims().split_first_chunk().unwrap_or((&[0; 2], &[]));
        x.in_wide(|x| {
            let x = x.reshape([n, c, rest.iter().product()])?;
            let moments = if self.form.own_moments {
                composed::moments(&x)?
            } else {
                [Var::constant(self.moments.index(0, 0)?), Var::constant(self.moments.index(0, 1)?)]
            };
            let y = composed::normalize(&self.form, &x, &moments, weight.as_ref(), bias.as_ref())?;
            y.reshape(*self.x.shape())
        })
    }
}

/// (C, 1, …), which broadcasts over x (N, C, …).
fn by_channel(x: &Tensor) -> Result<Shape> {
    Window::shape(&[x.dims()[1]], [1; 3], x.rank() - 2)
}

impl Var {
    /// [`Tensor::normalize`], recorded.
    fn normalize(
        &self,
        form: Normalization,
        moments: &Tensor,
        weight: Option<&Var>,
        bias: Option<&Var>,
    ) -> Result<Var> {
        if self.is_half() && form.activation.is_some() {
            // The slope is taken from the output, which must not be rounded for that.
            let (weight, bias) = (weight.map(Var::widened).transpose()?, bias.map(Var::widened).transpose()?);
            let moments = moments.to_dtype(moments.dtype().computed_in())?;
            return self.in_wide(|x| x.normalize(form, &moments, weight.as_ref(), bias.as_ref()));
        }
        let activation = FusedActivation::split(form.activation, |op| op == UnaryOp::Relu);
        let form = Normalization { activation: activation.fused, ..form };
        let y = self.tensor().normalize(&form, moments, weight.map(Var::tensor), bias.map(Var::tensor))?;
        let inputs: Vec<&Var> = [Some(self), weight, bias].into_iter().flatten().collect();
        let y = Var::record(&inputs, y, |y| Normalize {
            form,
            x: self.tensor().clone(),
            moments: moments.clone(),
            weight: weight.map(|weight| weight.tensor().clone()),
            bias: bias.map(|bias| bias.tensor().clone()),
            y: form.activation.map(|_| y.clone()),
        });
        activation.finish(y)
    }

    /// activation((x − mean) / sqrt(variance + ε) · weight + bias) with mean and biased variance of each channel of x (N, C)
    /// or (N, C, …): batch normalization in training. Beside it, (2, C): those means and variances, for running statistics.
    ///
    /// Source: Ioffe and Szegedy, Batch Normalization, 2015. A ReLU is fused; another activation is an operation after it.
    ///
    /// # Errors
    /// A rank below 2, channels without elements, a weight or bias that is not (C,), dtypes or devices that differ.
    pub fn batch_norm(
        &self,
        weight: Option<&Var>,
        bias: Option<&Var>,
        epsilon: f64,
        activation: Option<UnaryCall>,
    ) -> Result<(Var, Tensor)> {
        let moments = self.tensor().moments()?;
        let y = self.normalize(Normalization { epsilon, own_moments: true, activation }, &moments, weight, bias)?;
        Ok((y, moments))
    }

    /// As [`Var::batch_norm`], with given moments (2, C), means and variances, which are constants: batch normalization in
    /// evaluation, or frozen.
    ///
    /// # Errors
    /// As [`Var::batch_norm`], and moments of another shape.
    pub fn batch_norm_with(
        &self,
        moments: &Tensor,
        weight: Option<&Var>,
        bias: Option<&Var>,
        epsilon: f64,
        activation: Option<UnaryCall>,
    ) -> Result<Var> {
        self.normalize(Normalization { epsilon, own_moments: false, activation }, moments, weight, bias)
    }

    /// These rows (rows, n), each normalized by its own mean and variance; in this shape.
    fn normalized_rows(&self, rows: usize, n: usize, epsilon: f64) -> Result<Var> {
        self.reshape([1, rows, n])?.batch_norm(None, None, epsilon, None)?.0.reshape(*self.shape())
    }

    /// Times weight, plus bias, where they are given; both broadcast.
    fn affine_with(self, weight: Option<Var>, bias: Option<Var>) -> Result<Var> {
        let scaled = match weight {
            Some(weight) => self.mul(&weight.widened()?)?,
            None => self,
        };
        match bias {
            Some(bias) => scaled.add(&bias.widened()?),
            None => Ok(scaled),
        }
    }

    /// (x − mean) / sqrt(variance + ε) · weight + bias with the moments of each sample's groups of channels, of x (N, C, …);
    /// weight and bias are (C,). Source: Wu and He, Group Normalization, 2018.
    ///
    /// # Errors
    /// A rank below 2, channels that the groups do not divide, a weight or bias that is not (C,).
    pub fn group_norm(&self, groups: usize, weight: Option<&Var>, bias: Option<&Var>, epsilon: f64) -> Result<Var> {
        self.grouped("group_norm", groups, weight, bias, epsilon)
    }

    /// [`Var::group_norm`] with each channel a group of its own. Source: Ulyanov, Vedaldi and Lempitsky, Instance
    /// Normalization, 2016.
    ///
    /// # Errors
    /// A rank below 2, a weight or bias that is not (C,).
    pub fn instance_norm(&self, weight: Option<&Var>, bias: Option<&Var>, epsilon: f64) -> Result<Var> {
        let channels = self.dims().get(1).copied().unwrap_or(0);
        self.grouped("instance_norm", channels, weight, bias, epsilon)
    }

    fn grouped(
        &self,
        operation: &'static str,
        groups: usize,
        weight: Option<&Var>,
        bias: Option<&Var>,
        epsilon: f64,
    ) -> Result<Var> {
        let Some((&[samples, channels], positions)) = self.dims().split_first_chunk::<2>() else {
            return Err(Error::shape(operation, format!("(N, C) or (N, C, …) is expected, got {}", self.shape())));
        };
        if groups == 0 || !channels.is_multiple_of(groups) {
            return Err(Error::shape(
                operation,
                format!("the {channels} channels of {} are not divisible by {groups} groups", self.shape()),
            ));
        }
        let factor = |given: Option<&Var>| match given {
            Some(given) if given.dims() != [channels] => Err(Error::shape(
                operation,
                format!("a weight or bias for {} has shape ({channels},), got {}", self.shape(), given.shape()),
            )),
            Some(given) => given.reshape(by_channel(self.tensor())?).map(Some),
            None => Ok(None),
        };
        let (weight, bias) = (factor(weight)?, factor(bias)?);
        let size = channels / groups * positions.iter().product::<usize>();
        self.in_wide(|x| x.normalized_rows(samples * groups, size, epsilon)?.affine_with(weight, bias))
    }

    /// x / (k + α · mean of x² over `size` neighboring channels)^β of x (N, C, …), with zeros beside the first and last
    /// channels: as PyTorch, which takes the mean; the paper and TensorFlow take the sum, so give them α·size. The
    /// neighbors are size/2 channels before and (size − 1)/2 after, rounded down.
    ///
    /// Source: Krizhevsky, Sutskever and Hinton, ImageNet Classification with Deep Convolutional Neural Networks, 2012.
    ///
    /// # Errors
    /// A rank below 2, no channels, a size of 0.
    pub fn local_response_norm(&self, size: usize, alpha: f64, beta: f64, k: f64) -> Result<Var> {
        let Some((&[samples, channels], positions)) = self.dims().split_first_chunk::<2>() else {
            return Err(Error::shape(
                "local_response_norm",
                format!("(N, C) or (N, C, …) is expected, got {}", self.shape()),
            ));
        };
        if size == 0 || self.dims()[1..].contains(&0) {
            return Err(Error::value(
                "local_response_norm",
                format!("{size} neighboring channels of {}: there must be 1 or more", self.shape()),
            ));
        }
        // The channels become an axis that a window goes along.
        let as_axis = [samples, 1, channels, positions.iter().product()];
        let options = ConvOptions::new().padding([(size / 2, (size - 1) / 2), (0, 0)]);
        self.in_wide(|x| {
            let share = Tensor::full([1, 1, size, 1], alpha / size as f64, x.dtype(), x.device())?;
            let squares = x.square()?.reshape(as_axis)?;
            let mean = squares.conv(&Var::constant(share), None, &options, None)?.reshape(*x.shape())?;
            x.mul(&mean.add_scalar(k)?.powf(-beta)?)
        })
    }
}
