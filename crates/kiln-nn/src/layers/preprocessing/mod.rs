//! Preprocessing that is a part of the model: what was learned from the data, and settings, are saved with it.

/// What is said of layers of images: settings by serde, two spatial axes, no products with weights.
macro_rules! of_images {
    ($layer:ident) => {
        impl $crate::Describe for $layer {
            fn config(&self) -> Option<$crate::Json> {
                $crate::settings(self)
            }
            fn spatial_axes(&self) -> Option<usize> {
                Some(2)
            }
            fn flops(&self, _: &$crate::Shapes) -> u64 {
                0
            }
        }
    };
}
mod category;
mod crop;
mod discretization;
mod integer_lookup;
mod moments;
mod normalization;
mod quantiles;
mod rescaling;
mod resizing;
mod string_lookup;
mod tables;
mod vocabulary;

pub use category::CategoryEncoding;
pub use crop::CenterCrop;
pub use discretization::Discretization;
pub use integer_lookup::IntegerLookup;
pub use moments::Moments;
pub use normalization::Normalization;
pub use quantiles::Quantiles;
pub use rescaling::Rescaling;
pub use resizing::Resizing;
pub use string_lookup::StringLookup;
pub(crate) use string_lookup::{Lookups, lookups};
pub use vocabulary::Counts;

use crate::Ctx;
use kiln_autograd::Var;
use kiln_tensor::{DType, Error, Result, Tensor};

/// A layer that learns something from the data before the model is built: [`Normalization`], [`Discretization`],
/// [`IntegerLookup`].
///
/// Data that does not fit into memory goes in batch by batch, once ([`Adapt::adapt_batches`], or [`Adapt::see`] and
/// [`Adapt::learn`]). An error leaves the layer as it was.
pub trait Adapt {
    /// What is kept of the data that was seen.
    type Seen: Default;

    /// Takes in a batch (n, …).
    ///
    /// # Errors
    /// Samples of another shape than those before; values that the layer cannot take.
    fn see(&self, seen: &mut Self::Seen, batch: &Tensor) -> Result<()>;

    /// Sets what the layer knows from everything that was seen.
    ///
    /// # Errors
    /// No data, or data from which nothing can be learned.
    fn learn(&mut self, seen: Self::Seen) -> Result<()>;

    /// Learns from all samples (n, …) at once (Keras's `adapt`).
    ///
    /// # Errors
    /// As [`Adapt::see`] and [`Adapt::learn`].
    fn adapt(&mut self, data: &Tensor) -> Result<()> {
        let mut seen = Self::Seen::default();
        self.see(&mut seen, data)?;
        self.learn(seen)
    }

    /// Learns from samples that come in batches, in one pass.
    ///
    /// # Errors
    /// As [`Adapt::see`] and [`Adapt::learn`]; those of the batches.
    fn adapt_batches(&mut self, batches: impl IntoIterator<Item = Result<Tensor>>) -> Result<()>
    where
        Self: Sized,
    {
        let mut seen = Self::Seen::default();
        batches.into_iter().try_for_each(|batch| self.see(&mut seen, &batch?))?;
        self.learn(seen)
    }
}

/// x in a float type: its own, else that which the pass computes in, else `otherwise`.
fn floats(x: &Var, otherwise: DType, ctx: &Ctx) -> Result<Var> {
    if x.dtype().is_float() {
        return Ok(x.clone());
    }
    let dtype = ctx.mode().compute.unwrap_or(otherwise);
    Ok(Var::constant(x.tensor().to_dtype(dtype)?))
}

/// Whole numbers as i64. Floats are taken too, where they are whole as far as the host can see.
fn integers(operation: &'static str, x: &Var) -> Result<Tensor> {
    let x = x.tensor();
    if x.dtype().is_float() && x.device().backend().is_host() {
        let broken = x.to_f64_vec()?.into_iter().find(|value| value.fract() != 0.0 || !value.is_finite());
        if let Some(value) = broken {
            return Err(Error::value(operation, format!("whole numbers are expected, got {value}")));
        }
    }
    x.to_dtype(DType::I64)?.contiguous()
}
