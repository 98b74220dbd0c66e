//! Spectral normalization.

use super::computed_weight::{ComputedWeight, visit_at, visit_mut_at};
use super::setters::setters;
use crate::{AnyLayer, Buffer, Ctx, Describe, Init, Layer, LayerPrecision, Module, Param, Shapes, Value, Visitor, VisitorMut};
use kiln_autograd::Var;
use kiln_math::RandomStream;
use kiln_tensor::{Error, Result, Tensor};
use serde_json::{Value as Json, json};

/// Power iterations when the layer is built, as in PyTorch.
const FIRST_ITERATIONS: usize = 15;

/// A layer whose weight is divided by its largest singular value σ, seen as a matrix (one axis, all others): the layer is
/// 1-Lipschitz, as a discriminator's should be (Miyato et al. 2018; PyTorch's `spectral_norm`).
///
/// σ = uᵀ·W·v is estimated by power iteration: u = W·v / ‖W·v‖ and v = Wᵀ·u / ‖Wᵀ·u‖. Each forward pass in training
/// updates u and v; the updates are not differentiated, and [`Ctx::commit`] writes them to the buffers. Evaluation uses the
/// buffers as they are.
///
/// Any layer with a parameter `weight` will do; of one with several, [`parameter`](SpectralNorm::parameter) names another. Paths
/// are PyTorch's: `weight_orig` in the place of `weight`, with the buffers `weight_u` and `weight_v`. A weight of one axis is
/// divided by its norm and has no buffers.
///
/// ```
/// use kiln_nn::{Conv2d, Module, Sequential, SpectralNorm};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let model = Sequential::new().push(SpectralNorm::new(Conv2d::new(8, 3))).build([3, 9, 9], &kiln_tensor::Device::cpu(), 1)?;
/// let names = ["0.bias", "0.weight_orig", "0.weight_u", "0.weight_v"];
/// assert_eq!(model.state_dict().keys().collect::<Vec<_>>(), names);
/// # Ok(())
/// # }
/// ```
pub struct SpectralNorm {
    layer: ComputedWeight,
    power_iterations: usize,
    dim: Option<usize>,
    epsilon: f64,
    vectors: Option<[Buffer; 2]>,
}

impl SpectralNorm {
    /// With one power iteration in each forward pass.
    pub fn new(layer: impl AnyLayer + 'static) -> Self {
        SpectralNorm::of(Box::new(layer))
    }

    pub(crate) fn of(layer: Box<dyn AnyLayer>) -> Self {
        let layer = ComputedWeight::new(layer, "_orig");
        SpectralNorm { layer, power_iterations: 1, dim: None, epsilon: 1e-12, vectors: None }
    }

    setters! {
        /// Power iterations in each forward pass of training, 1 or more. By default 1.
        fn power_iterations(self, iterations: usize) { self.power_iterations = iterations }

        /// The axis of the weight that is the matrix's rows. By default that of the outputs: 1 of transposed convolutions, else 0.
        fn dim(self, dim: usize) { self.dim = Some(dim) }

        /// The lower bound of the norms of u and v. By default 10⁻¹².
        fn epsilon(self, epsilon: f64) { self.epsilon = epsilon }

        /// Another parameter than `weight`, by its path in the layer: `weight_hh_l0` of an LSTM.
        fn parameter(self, path: impl Into<String>) { self.layer.set_path(path.into()) }
    }

    /// The buffers u and v, once built.
    pub fn vectors(&self) -> Option<(&Buffer, &Buffer)> {
        self.vectors.as_ref().map(|[u, v]| (u, v))
    }

    /// The weight as a matrix.
    fn matrix(&self, weight: &Var) -> Result<Var> {
        let transposed = self.layer.layer().name().starts_with("ConvTranspose");
        let (dim, rank) = (self.dim.unwrap_or(usize::from(transposed)), weight.shape().rank());
        if dim >= rank {
            let message = format!("axis {dim} is out of range of a weight of {rank} axes");
            return Err(Error::value("spectral_norm", message));
        }
        let order: Vec<usize> = std::iter::once(dim).chain((0..rank).filter(|&axis| axis != dim)).collect();
        let rows = weight.dims()[dim];
        weight.permute(&order)?.reshape([rows, weight.shape().elements() / rows.max(1)])
    }

    /// u and v after so many iterations.
    fn iterate(&self, matrix: &Tensor, [mut u, mut v]: [Tensor; 2], iterations: usize) -> Result<[Tensor; 2]> {
        let transposed = matrix.t()?;
        for _ in 0..iterations {
            u = matrix.mv(&v)?.normalized(2.0, 0, self.epsilon)?;
            v = transposed.mv(&u)?.normalized(2.0, 0, self.epsilon)?;
        }
        Ok([u, v])
    }

    /// The normalized weight, in the type that is computed in.
    fn normalize(&self, weight: &Var, ctx: &Ctx) -> Result<Var> {
        if weight.shape().rank() == 1 {
            return weight.normalized(2.0, 0, self.epsilon);
        }
        let [of_u, of_v] = self.vectors.as_ref().ok_or_else(|| super::weights::unbuilt("Sequential::build"))?;
        let matrix = self.matrix(weight)?;
        let [mut u, mut v] = [ctx.value_of(of_u)?, ctx.value_of(of_v)?];
        if ctx.is_training() && of_u.trainable() {
            [u, v] = self.iterate(matrix.tensor(), [u, v], self.power_iterations)?;
            ctx.update(of_u, u.clone());
            ctx.update(of_v, v.clone());
        }
        let sigma = matrix.mv(&Var::constant(v))?.dot(&Var::constant(u))?;
        weight.div(&sigma)
    }

    /// The first u and v: random, and some iterations.
    fn first(&self, weight: &Tensor, init: &mut Init) -> Result<[Buffer; 2]> {
        let dtype = weight.dtype().computed_in();
        let matrix = self.matrix(&Var::constant(weight.to_dtype(dtype)?))?.into_tensor();
        let [rows, columns] = [matrix.dims()[0], matrix.dims()[1]];
        if !init.makes_placeholders() && matrix.norm(f64::INFINITY, ..)?.item()? == 0.0 {
            let message = "a weight of zeros cannot be divided by its largest singular value: choose another initializer";
            return Err(Error::value("spectral_norm", message));
        }
        let mut buffers = [init.buffer(&[rows], 0.0)?, init.buffer(&[columns], 0.0)?];
        if init.makes_placeholders() {
            return Ok(buffers);
        }
        let normal = |size: usize, stream: RandomStream| {
            Tensor::normal([size], 0.0, 1.0, dtype, weight.device(), stream)?.normalized(2.0, 0, self.epsilon)
        };
        let streams = ["_u", "_v"].map(|suffix| init.scope(&*self.layer.beside(suffix), |init| Ok(init.stream())));
        let [of_u, of_v] = streams;
        let first = [normal(rows, of_u?)?, normal(columns, of_v?)?];
        let vectors = self.iterate(&matrix, first, FIRST_ITERATIONS)?;
        buffers.iter_mut().zip(vectors).try_for_each(|(buffer, vector)| buffer.set(vector))?;
        Ok(buffers)
    }
}

impl Layer for SpectralNorm {
    type Input = Value;
    type Output = Value;

    fn forward(&self, x: Value, ctx: &Ctx) -> Result<Value> {
        let parameter: &Param = self.layer.parameter()?;
        let dtype = parameter.value().dtype();
        let weight = self.normalize(&parameter.own_var(ctx).to_dtype(dtype.computed_in())?, ctx)?.to_dtype(dtype)?;
        self.layer.forward(parameter, weight, x, ctx)
    }

    fn build(&mut self, input: &Shapes, init: &mut Init) -> Result<Shapes> {
        if self.power_iterations == 0 || !(self.epsilon > 0.0 && self.epsilon.is_finite()) {
            let (iterations, epsilon) = (self.power_iterations, self.epsilon);
            let message =
                format!("1 or more power iterations and a finite epsilon above 0 are expected, got {iterations} and {epsilon}");
            return Err(Error::value("spectral_norm", message));
        }
        let output = self.layer.layer_mut().build_any(input, init)?;
        let weight = self.layer.parameter()?.value();
        if self.vectors.is_none() && weight.rank() > 1 {
            self.vectors = Some(self.first(&weight.clone(), init)?);
        }
        Ok(output)
    }

    fn reset_states(&self) {
        self.layer.layer().forget();
    }

    fn precision(&self) -> LayerPrecision {
        self.layer.layer().any_precision()
    }
}

impl Module for SpectralNorm {
    fn visit<'m>(&'m self, visitor: &mut dyn Visitor<'m>) {
        self.layer.visit(visitor);
        for (suffix, buffer) in ["_u", "_v"].iter().zip(self.vectors.iter().flatten()) {
            visit_at(&self.layer.beside(suffix), buffer, visitor);
        }
    }
    fn visit_mut<'m>(&'m mut self, visitor: &mut dyn VisitorMut<'m>) {
        let paths = ["_u", "_v"].map(|suffix| self.layer.beside(suffix));
        self.layer.visit_mut(visitor);
        for (path, buffer) in paths.iter().zip(self.vectors.iter_mut().flatten()) {
            visit_mut_at(path, buffer, visitor);
        }
    }
}

impl Describe for SpectralNorm {
    fn config(&self) -> Option<Json> {
        let mut config = self.layer.config()?;
        config.insert("power_iterations".to_owned(), self.power_iterations.into());
        config.insert("epsilon".to_owned(), self.epsilon.into());
        if let Some(dim) = self.dim {
            config.insert("dim".to_owned(), json!(dim));
        }
        Some(Json::Object(config))
    }
    fn spatial_axes(&self) -> Option<usize> {
        self.layer.layer().spatial_axes()
    }
    fn flops(&self, output: &Shapes) -> u64 {
        self.layer.layer().flops(output)
    }
}
