//! What becomes of a sum before it is C: accumulation, bias, activation.

use super::Number;
use super::kernels::Kernels;

/// What is done with the sum Σₖ a·b: `C = activation([C +] Σ a·b + bias)`.
#[derive(Clone, Copy)]
pub struct Epilogue<'a, T> {
    /// Whether the sum's blocks are added to what C holds (`C += …`).
    pub accumulate: bool,
    /// Added to the finished sum.
    pub bias: Bias<'a, T>,
    /// Applied last.
    pub activation: Activation<'a, T>,
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
pub enum Activation<'a, T> {
    /// None.
    #[default]
    None,
    /// max(x, 0); NaN stays NaN.
    Relu,
    /// Any elementwise function, given pieces of C's rows (or columns, where C is stored by columns) while they are in
    /// cache.
    Map(&'a (dyn Fn(&mut [T]) + Sync)),
}

impl<T> Default for Epilogue<'_, T> {
    fn default() -> Self {
        Epilogue { accumulate: false, bias: Bias::None, activation: Activation::None }
    }
}

impl<'a, T: Number> Epilogue<'a, T> {
    /// `C = Σ a·b`.
    pub fn overwrite() -> Self {
        Self::default()
    }

    /// `C += Σ a·b`.
    pub fn accumulate() -> Self {
        Epilogue { accumulate: true, ..Self::default() }
    }

    /// Adds a bias to the sum.
    pub fn with_bias(self, bias: Bias<'a, T>) -> Self {
        Epilogue { bias, ..self }
    }

    /// Applies an activation at the end.
    pub fn with_activation(self, activation: Activation<'a, T>) -> Self {
        Epilogue { activation, ..self }
    }

    /// The same for the transposed product.
    pub(super) fn transposed(self) -> Self {
        let bias = match self.bias {
            Bias::None => Bias::None,
            Bias::Row(b) => Bias::Column(b),
            Bias::Column(b) => Bias::Row(b),
        };
        Epilogue { bias, ..self }
    }

    /// Whether a finished sum is C already.
    pub(crate) fn is_plain(&self) -> bool {
        matches!((&self.bias, &self.activation), (Bias::None, Activation::None))
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
                Activation::None => {}
                Activation::Relu => (kernels.relu)(row),
                Activation::Map(map) => map(row),
            }
        }
    }
}
