//! Autoencoders: samples through a few numbers and back.

use crate::{Activation, Dense, Flatten, Reparameterize, Reshape, Sequential};

/// An autoencoder for samples of this shape, whose values are from 0 to 1, by a code of so many numbers: dense layers of 128 and 64,
/// the code, 64 and 128, and a sigmoid for each value. Of images of 28 × 28 and a code of 32, 222,384 parameters (Chollet 2016).
///
/// Train it on targets that are the inputs, with `BinaryCrossentropy::new()` or `MeanSquaredError::new()`.
pub fn autoencoder(sample: impl AsRef<[usize]>, code: usize) -> Sequential {
    Autoencoder::new(sample, code).model()
}

/// A variational autoencoder (Kingma and Welling 2013), as [`autoencoder`], with a dense layer of 400 on each side, and in the middle
/// means and variances, from which the code is drawn in training ([`Reparameterize`]). Of images of 28 × 28 and a code of 20,
/// 652,824 parameters (PyTorch's example).
///
/// The layer adds the divergence of the codes from the standard normal distribution to the loss, divided by the number of a
/// sample's values: with `BinaryCrossentropy::new()`, which is a mean over them, the loss is the evidence lower bound of a value.
/// New samples are what `decoder` makes of normal numbers.
pub fn vae(sample: impl AsRef<[usize]>, code: usize) -> Sequential {
    Autoencoder::new(sample, code).hidden([400]).variational(true).model()
}

/// A custom autoencoder of dense layers.
///
/// Its layers are `encoder`, `decoder` and, of a variational one, `latent` between them.
///
/// ```
/// use kiln_nn::models::autoencoder::Autoencoder;
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let model = Autoencoder::new([28, 28], 16).hidden([256, 64]).model();
/// let model = model.build([28, 28], &kiln_tensor::Device::cpu(), 1)?;
/// assert_eq!(*model.output_shapes().last().unwrap(), [28, 28]);
/// let encoder = model.ending_at("encoder")?;
/// assert_eq!(*encoder.output_shapes().last().unwrap(), [16]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Autoencoder {
    sample: Vec<usize>,
    hidden: Vec<usize>,
    code: usize,
    variational: bool,
}

impl Autoencoder {
    /// For samples of this shape, by a code of so many numbers.
    pub fn new(sample: impl AsRef<[usize]>, code: usize) -> Self {
        Autoencoder { sample: sample.as_ref().to_vec(), hidden: vec![128, 64], code, variational: false }
    }

    /// Units of the encoder's layers before the code; the decoder's are the same in the other order. By default 128 and 64.
    #[must_use]
    pub fn hidden(mut self, units: impl AsRef<[usize]>) -> Self {
        self.hidden = units.as_ref().to_vec();
        self
    }

    /// Whether codes are drawn in training; by default they are what the encoder gives.
    #[must_use]
    pub fn variational(mut self, variational: bool) -> Self {
        self.variational = variational;
        self
    }

    /// The network, to be built.
    pub fn model(&self) -> Sequential {
        let dense = |units: &usize| Dense::new(*units).activation(Activation::Relu);
        let mut encoder = Sequential::new().push(Flatten::new());
        self.hidden.iter().for_each(|units| encoder.add(dense(units)));
        let mut decoder = Sequential::new();
        self.hidden.iter().rev().for_each(|units| decoder.add(dense(units)));
        let values: usize = self.sample.iter().product();
        decoder.add(Dense::new(values).activation(Activation::Sigmoid));
        decoder.add(Reshape::new(&self.sample));

        let mut model = Sequential::new();
        if self.variational {
            model.add_named("encoder", encoder.push(Dense::new(2 * self.code)));
            model.add_named("latent", Reparameterize::new().weight(1.0 / values.max(1) as f64));
        } else {
            model.add_named("encoder", encoder.push(dense(&self.code)));
        }
        model.push_named("decoder", decoder)
    }
}
