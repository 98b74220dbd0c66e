//! What becomes of a sum before it is C: accumulation, bias, activation.

use super::GemmFloat;
use super::kernels::Kernels;

/// What is done with the sum Σₖ a·b: `C = activation([C +] Σ a·b + bias)`.
#[derive(Clone, Copy)]
pub struct GemmEpilogue<'a, T> {
    /// Whether the sum's blocks are added to what C holds (`C += …`).
    pub accumulate: bool,
    /// Added to the finished sum.
    pub bias: Bias<'a, T>,
    /// Applied last.
    pub activation: GemmActivation<'a, T>,
}

/// A bias of a product's epilogue.
#[derive(Clone, Copy, Default)]
pub enum Bias<'a, T> {
    /// None.
    #[default]
    None,
    /// One number for each column of C, as in a dense layer.
    Row(&'a [T]),
    /// One number for each row of C.
    Column(&'a [T]),
}

/// An activation of a product's epilogue.
#[derive(Clone, Copy, Default)]
pub enum GemmActivation<'a, T> {
    /// None.
    #[default]
    None,
    /// max(x, 0); NaN stays NaN.
    Relu,
    /// Any elementwise function, given pieces of C's rows (or columns, where C is stored by columns) while they are in
    /// cache.
    Map(&'a (dyn Fn(&mut [T]) + Sync)),
}

impl<T> Default for GemmEpilogue<'_, T> {
    fn default() -> Self {
        GemmEpilogue { accumulate: false, bias: Bias::None, activation: GemmActivation::None }
    }
}

impl<'a, T: GemmFloat> GemmEpilogue<'a, T> {
    /// `C = Σ a·b`.
    pub fn overwrite() -> Self {
        Self::default()
    }

    /// `C += Σ a·b`.
    pub fn accumulate() -> Self {
        GemmEpilogue { accumulate: true, ..Self::default() }
    }

    /// Adds a bias to the sum.
    pub fn with_bias(self, bias: Bias<'a, T>) -> Self {
        GemmEpilogue { bias, ..self }
    }

    /// Applies an activation at the end.
    pub fn with_activation(self, activation: GemmActivation<'a, T>) -> Self {
        GemmEpilogue { activation, ..self }
    }

    /// The same for the transposed product.
    pub(super) fn transposed(self) -> Self {
        let bias = match self.bias {
            Bias::None => Bias::None,
            Bias::Row(b) => Bias::Column(b),
            Bias::Column(b) => Bias::Row(b),
        };
        GemmEpilogue { bias, ..self }
    }

    /// Whether a finished sum is C already.
    pub(crate) fn is_plain(&self) -> bool {
        matches!((&self.bias, &self.activation), (Bias::None, GemmActivation::None))
    }

    /// Applies bias and activation to C's elements (i, j), (i, j + 1), ….
    #[inline]
    pub(crate) fn finish(&self, kernels: &Kernels<T>, row: &mut [T], i: usize, j: usize) {
        // SAFETY: the table is that of an available instruction set; these functions ask for nothing else.
        unsafe {
            match self.bias {
                Bias::None => {}
                Bias::Row(bias) => (kernels.add_row)(row, &bias[j..]),
                Bias::Column(bias) => (kernels.add_scalar)(row, bias[i]),
            }
            match self.activation {
                GemmActivation::None => {}
                GemmActivation::Relu => (kernels.relu)(row),
                GemmActivation::Map(map) => map(row),
            }
        }
    }
}
