//! Initializers: first values of parameters.

mod structured;

use crate::Fans;
use kiln_math::RandomStream;
use kiln_tensor::{DType, Device, Error, Result, Shape, Tensor};
use serde::{Deserialize, Serialize};

/// Which fan [`Initializer::VarianceScaling`] divides by.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FanMode {
    /// Inputs of an output.
    FanIn,
    /// Outputs of an input.
    FanOut,
    /// The mean of both.
    FanAvg,
}

/// The distribution of [`Initializer::VarianceScaling`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VarianceLaw {
    /// Normal, truncated at two standard deviations and widened to the asked variance.
    TruncatedNormal,
    /// Normal.
    UntruncatedNormal,
    /// Uniform in ±√(3 · variance).
    Uniform,
}

/// Initializers, by Keras's names and formulas; `Dirac` and `Sparse` are PyTorch's.
///
/// Values are a function of the random stream alone: they are the same on every device and for any number of threads.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Initializer {
    /// Uniform in ±√(6 / (fan_in + fan_out)) (Glorot and Bengio 2010; Xavier in PyTorch). Keras's default for kernels.
    GlorotUniform,
    /// Truncated normal of variance 2 / (fan_in + fan_out).
    GlorotNormal,
    /// Uniform in ±√(6 / fan_in) (He et al. 2015; Kaiming in PyTorch): for ReLU.
    HeUniform,
    /// Truncated normal of variance 2 / fan_in.
    HeNormal,
    /// Uniform in ±√(3 / fan_in) (LeCun et al. 1998).
    LecunUniform,
    /// Truncated normal of variance 1 / fan_in: for SELU.
    LecunNormal,
    /// Mean 0 and variance scale / fan: Glorot's, He's and LeCun's initializers are special cases.
    VarianceScaling {
        /// Above 0.
        #[serde(default = "keras::one")]
        scale: f64,
        /// Which fan.
        #[serde(default = "keras::mode")]
        mode: FanMode,
        /// Of which distribution.
        #[serde(default = "keras::law")]
        distribution: VarianceLaw,
    },
    /// Uniform in ±1/√fan_in: PyTorch's default for the weights and biases of `Linear` and convolutions.
    FanInUniform,
    /// Uniform in [low, high).
    Uniform {
        /// Lower end.
        #[serde(default = "keras::low")]
        low: f64,
        /// Upper end, excluded.
        #[serde(default = "keras::high")]
        high: f64,
    },
    /// Normal.
    Normal {
        /// Mean.
        #[serde(default)]
        mean: f64,
        /// Standard deviation.
        #[serde(default = "keras::std")]
        std: f64,
    },
    /// Normal, given that it is within two standard deviations of the mean. Its variance is therefore 0.774 of `std²`; the
    /// Glorot, He and LeCun normals correct for that, as in Keras.
    TruncatedNormal {
        /// Mean.
        #[serde(default)]
        mean: f64,
        /// Standard deviation before the truncation.
        #[serde(default = "keras::std")]
        std: f64,
    },
    /// Orthonormal vectors along the shorter side of the matrix (first axis, the others) (Saxe et al. 2014). Keras's default
    /// for recurrent kernels.
    Orthogonal,
    /// A matrix of 0 with `gain` on the diagonal. For weights of two axes.
    Identity {
        /// The diagonal's value; 1 for the identity.
        #[serde(default = "keras::one")]
        gain: f64,
    },
    /// A convolution that hands on its input: in each group, output channel i has a 1 at the center of the kernel of input
    /// channel i, and all else is 0 (PyTorch's `dirac_`). For weights (filters, C/groups, K…).
    Dirac {
        /// Groups, which divide the filters.
        #[serde(default = "keras::groups")]
        groups: usize,
    },
    /// A matrix (out, in) of normal numbers of mean 0, with ⌈sparsity · out⌉ random elements of each column 0 (Martens 2010;
    /// PyTorch's `sparse_`). For weights of two axes.
    Sparse {
        /// The share of zeros in a column, from 0 to 1.
        sparsity: f64,
        /// Standard deviation of the others.
        std: f64,
    },
    /// All 0.
    Zeros,
    /// All 1.
    Ones,
    /// All this value.
    Constant(f64),
}

/// What a description may leave out: Keras's defaults.
mod keras {
    use super::{FanMode, VarianceLaw};

    pub(super) fn one() -> f64 {
        1.0
    }
    pub(super) fn mode() -> FanMode {
        FanMode::FanIn
    }
    pub(super) fn law() -> VarianceLaw {
        VarianceLaw::TruncatedNormal
    }
    pub(super) fn low() -> f64 {
        -0.05
    }
    pub(super) fn high() -> f64 {
        0.05
    }
    pub(super) fn std() -> f64 {
        0.05
    }
    pub(super) fn groups() -> usize {
        1
    }
}

/// Standard deviation of the standard normal distribution truncated at ±2.
const TRUNCATED_STD: f64 = 0.879_625_661_034_239_8;

impl Initializer {
    /// A tensor of first values.
    ///
    /// # Errors
    /// Parameters that make no distribution, a shape that the initializer is not for, a dtype that is not a float type, out of
    /// memory.
    pub fn tensor(
        self,
        shape: &Shape,
        fans: Fans,
        dtype: DType,
        device: &Device,
        stream: RandomStream,
    ) -> Result<Tensor> {
        // Half types are drawn in f32 and rounded.
        let drawn = if dtype == DType::F64 { DType::F64 } else { DType::F32 };
        self.draw(shape, fans, &Drawn { dtype: drawn, device, stream })?.to_dtype(dtype)
    }

    fn draw(self, shape: &Shape, fans: Fans, drawn: &Drawn<'_>) -> Result<Tensor> {
        use Initializer::*;
        let &Drawn { dtype, device, stream } = drawn;
        match self.scaling() {
            Some((scale, _, _)) if !(scale > 0.0 && scale.is_finite()) => return Err(self.invalid()),
            Some((scale, mode, law)) => return scaled(shape, scale, mode.of(fans), law, drawn),
            None => {}
        }
        match self {
            FanInUniform => {
                let bound = 1.0 / (fans.input.max(1) as f64).sqrt();
                Tensor::uniform(shape, -bound, bound, dtype, device, stream)
            }
            Uniform { low, high } if low <= high && (high - low).is_finite() => {
                Tensor::uniform(shape, low, high, dtype, device, stream)
            }
            Normal { mean, std } if mean.is_finite() && std >= 0.0 && std.is_finite() => {
                Tensor::normal(shape, mean, std, dtype, device, stream)
            }
            TruncatedNormal { mean, std } if mean.is_finite() && std >= 0.0 && std.is_finite() => {
                truncated_normal(shape, mean, std, drawn)
            }
            Sparse { sparsity, std } if (0.0..=1.0).contains(&sparsity) && std >= 0.0 && std.is_finite() => {
                structured::sparse(shape, sparsity, std, drawn)
            }
            Identity { gain } => structured::identity(shape, gain, drawn),
            Dirac { groups } => structured::dirac(shape, groups, drawn),
            Orthogonal => Tensor::orthogonal(shape, dtype, device, stream),
            Zeros => Tensor::zeros(shape, dtype, device),
            Ones => Tensor::ones(shape, dtype, device),
            Constant(value) => Tensor::full(shape, value, dtype, device),
            _ => Err(self.invalid()),
        }
    }

    /// Scale, mode and distribution, where the variance is scaled by fans.
    fn scaling(self) -> Option<(f64, FanMode, VarianceLaw)> {
        use Initializer::*;
        let (normal, uniform) = (VarianceLaw::TruncatedNormal, VarianceLaw::Uniform);
        Some(match self {
            GlorotUniform => (1.0, FanMode::FanAvg, uniform),
            GlorotNormal => (1.0, FanMode::FanAvg, normal),
            HeUniform => (2.0, FanMode::FanIn, uniform),
            HeNormal => (2.0, FanMode::FanIn, normal),
            LecunUniform => (1.0, FanMode::FanIn, uniform),
            LecunNormal => (1.0, FanMode::FanIn, normal),
            VarianceScaling { scale, mode, distribution } => (scale, mode, distribution),
            _ => return None,
        })
    }

    #[cold]
    fn invalid(self) -> Error {
        let expected = match self {
            Initializer::VarianceScaling { .. } => "a finite scale above 0 is needed",
            Initializer::Sparse { .. } => "a sparsity from 0 to 1 and a finite std of at least 0 are needed",
            _ => "finite numbers, low ≤ high and std ≥ 0 are needed",
        };
        Error::value("initializer", format!("{self:?} is an invalid distribution: {expected}"))
    }
}

impl FanMode {
    fn of(self, fans: Fans) -> f64 {
        let (fan_in, fan_out) = (fans.input.max(1) as f64, fans.output.max(1) as f64);
        match self {
            FanMode::FanIn => fan_in,
            FanMode::FanOut => fan_out,
            FanMode::FanAvg => (fan_in + fan_out) / 2.0,
        }
    }
}

/// In which type, where, and from which random numbers values are drawn.
struct Drawn<'d> {
    dtype: DType,
    device: &'d Device,
    stream: RandomStream,
}

/// Numbers of mean 0 and variance scale / fan.
fn scaled(shape: &Shape, scale: f64, fan: f64, law: VarianceLaw, drawn: &Drawn<'_>) -> Result<Tensor> {
    let &Drawn { dtype, device, stream } = drawn;
    match law {
        VarianceLaw::Uniform => {
            let bound = (3.0 * scale / fan).sqrt();
            Tensor::uniform(shape, -bound, bound, dtype, device, stream)
        }
        VarianceLaw::UntruncatedNormal => Tensor::normal(shape, 0.0, (scale / fan).sqrt(), dtype, device, stream),
        VarianceLaw::TruncatedNormal => truncated_normal(shape, 0.0, (scale / fan).sqrt() / TRUNCATED_STD, drawn),
    }
}

fn truncated_normal(shape: &Shape, mean: f64, std: f64, drawn: &Drawn<'_>) -> Result<Tensor> {
    let &Drawn { dtype, device, stream } = drawn;
    if std == 0.0 {
        return Tensor::full(shape, mean, dtype, device);
    }
    Tensor::truncated_normal(shape, [mean, std], [mean - 2.0 * std, mean + 2.0 * std], dtype, device, stream)
}
