//! The cross-entropy of a last layer over a large vocabulary, without all of its logits.

use crate::{Backward, Function, Var};
use kiln_tensor::{CrossEntropyOptions, Result, Tensor, VocabularyTarget, composed};

/// y = Σ factor · cross-entropy of the rows of h·Wᵀ + b. The gradients of h, W and b are made in the forward pass and only
/// multiplied by dy here.
struct LinearCrossEntropy {
    gradients: [Option<Tensor>; 3],
    hidden: Tensor,
    weight: Tensor,
    bias: Option<Tensor>,
    labels: Tensor,
    factors: Option<Tensor>,
    options: CrossEntropyOptions,
}

impl LinearCrossEntropy {
    fn target(&self) -> VocabularyTarget<'_> {
        VocabularyTarget { labels: &self.labels, factors: self.factors.as_ref(), options: self.options }
    }
}

impl Function for LinearCrossEntropy {
    fn name(&self) -> &'static str {
        "linear_cross_entropy"
    }
    fn backward(&self, dy: Var, pass: &mut Backward<'_>) -> Result<()> {
        if pass.records() {
            return pass.differentiate(&dy, |inputs| {
                let (hidden, weight) = (inputs.take(0, &self.hidden)?, inputs.take(1, &self.weight)?);
                let bias = self.bias.as_ref().map(|bias| inputs.take(2, bias)).transpose()?;
                composed::linear_cross_entropy(&hidden, &weight, bias.as_ref(), &self.target())
            });
        }
        // Mostly the loss is what is differentiated, and nothing is to be multiplied.
        let is_one = dy.device().backend().is_host() && dy.item()? == 1.0;
        for (position, gradient) in self.gradients.iter().enumerate() {
            if let Some(gradient) = gradient.as_ref().filter(|_| pass.needs(position)) {
                let gradient = Var::constant(gradient.clone());
                pass.accumulate(position, if is_one { gradient } else { gradient.mul(&dy)? })?;
            }
        }
        Ok(())
    }
}

impl Var {
    /// Σ factor · loss of the rows of `self · weightᵀ + bias`, one number, without all of these logits at once: `self` (n, width),
    /// `weight` (classes, width), `bias` (classes,), `labels` (n,) of integers, `factors` (n,), which are 1 where there are none.
    /// The loss of a row x is ln Σ exp(x) − x\[label\], and what `options` add to it.
    ///
    /// Of a vocabulary of 50,257 and 4,096 tokens the logits are 820 MB, and their gradient as much again. Here some rows of both
    /// exist at a time; the gradients of the operands are made of them in the forward pass, so that no logit is computed twice.
    /// Half types are computed in f32, the sum is f32.
    ///
    /// ```
    /// use kiln_autograd::Var;
    /// use kiln_tensor::{CrossEntropyOptions, Device, Result, Tensor};
    /// # fn main() -> Result<()> {
    /// let cpu = Device::cpu();
    /// let hidden = Var::variable(Tensor::from_slice(&[1.0f32, 0.0, 0.0, 1.0], [2, 2], &cpu)?);
    /// let weight = Var::variable(Tensor::from_slice(&[2.0f32, 0.0, 0.0, 2.0, 0.0, 0.0], [3, 2], &cpu)?);
    /// let labels = Tensor::from_slice(&[0i64, 2], [2], &cpu)?;
    /// let sum = hidden.linear_cross_entropy(&weight, None, &labels, None, CrossEntropyOptions::new())?;
    /// let each = hidden.linear(&weight, None, None)?.cross_entropy(&labels)?;
    /// assert!((sum.item()? - each.sum_all()?.item()?).abs() < 1e-6);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Shapes, dtypes or devices that do not fit, a label out of range (with its row), options that make no sense.
    pub fn linear_cross_entropy(
        &self,
        weight: &Var,
        bias: Option<&Var>,
        labels: &Tensor,
        factors: Option<&Tensor>,
        options: CrossEntropyOptions,
    ) -> Result<Var> {
        // Operands of several dtypes are refused as they are.
        if self.is_half() && [Some(weight), bias].into_iter().flatten().all(|x| x.dtype() == self.dtype()) {
            let bias = bias.map(Var::widened).transpose()?;
            return self.widened()?.linear_cross_entropy(&weight.widened()?, bias.as_ref(), labels, factors, options);
        }
        let target = VocabularyTarget { labels, factors, options };
        let wanted = [self.requires_grad(), weight.requires_grad(), bias.is_some_and(Var::requires_grad)];
        let made = self.tensor().linear_cross_entropy(weight.tensor(), bias.map(Var::tensor), &target, wanted)?;
        let function = |_: &Tensor| LinearCrossEntropy {
            gradients: made.gradients,
            hidden: self.tensor().clone(),
            weight: weight.tensor().clone(),
            bias: bias.map(|bias| bias.tensor().clone()),
            labels: labels.clone(),
            factors: factors.cloned(),
            options,
        };
        Ok(match bias {
            Some(bias) => Var::record(&[self, weight, bias], made.loss, function),
            None => Var::record(&[self, weight], made.loss, function),
        })
    }
}
