//! The weights of attention.

use super::settings::{Heads, Settings};
use crate::layers::linear::affine;
use crate::layers::weights::unbuilt;
use crate::{Activation, Ctx, Dense, Fans, Init, Initializer, Module, Param};
use kiln_autograd::Var;
use kiln_tensor::{Error, ErrorKind, Result, Shape};

/// What makes queries, keys and values of the inputs, and the output of the heads: PyTorch's names.
#[derive(Module, Clone, Debug, Default)]
pub(super) struct Projections {
    /// The rows of queries, keys and values, where all have inputs of the same width.
    pub(super) in_proj_weight: Option<Param>,
    q_proj_weight: Option<Param>,
    k_proj_weight: Option<Param>,
    v_proj_weight: Option<Param>,
    pub(super) in_proj_bias: Option<Param>,
    out_proj: Option<Dense>,
    #[module(skip)]
    pub(super) heads: Option<Heads>,
}

/// What makes a layer with weights.
const WITH_INPUT: &str = "MultiHeadAttention::with_input";

impl Projections {
    /// Makes the weights for queries, keys and values of inputs of these widths.
    pub(super) fn build(&mut self, settings: &Settings, inputs: [usize; 3], init: &mut Init) -> Result<()> {
        let heads = settings.heads_of(inputs[0])?;
        if self.heads.is_some() {
            return self.check_inputs(inputs);
        }
        let rows = heads.rows();
        let all: usize = rows.iter().sum();
        let initializer = settings.kernel_initializer;
        let mut weight = |name: &str, rows: usize, input: usize| {
            init.param(name, &[rows, input], Fans { input, output: rows }, initializer).map(Some)
        };
        if inputs == [inputs[0]; 3] {
            self.in_proj_weight = weight("in_proj_weight", all, inputs[0])?;
        } else {
            self.q_proj_weight = weight("q_proj_weight", rows[0], inputs[0])?;
            self.k_proj_weight = weight("k_proj_weight", rows[1], inputs[1])?;
            self.v_proj_weight = weight("v_proj_weight", rows[2], inputs[2])?;
        }
        if settings.use_bias {
            let fans = Fans { input: inputs[0], output: all };
            self.in_proj_bias = Some(init.param("in_proj_bias", &[all], fans, Initializer::Zeros)?);
        }
        let mut out_proj = Dense::new(inputs[0]).use_bias(settings.use_bias).kernel_initializer(initializer);
        init.layer("out_proj", &mut out_proj, &Shape::new(&[heads.output()])?)?;
        (self.out_proj, self.heads) = (Some(out_proj), Some(heads));
        Ok(())
    }

    /// The weights of queries, keys and values, each with the index of its first row.
    fn weights(&self) -> Result<[(&Param, usize); 3]> {
        let (_, starts) = self.rows()?;
        match (&self.in_proj_weight, &self.q_proj_weight, &self.k_proj_weight, &self.v_proj_weight) {
            (Some(weight), ..) => Ok(starts.map(|start| (weight, start))),
            (None, Some(q), Some(k), Some(v)) => Ok([(q, 0), (k, 0), (v, 0)]),
            _ => Err(unbuilt(WITH_INPUT)),
        }
    }

    /// The widths of what queries, keys and values are made of.
    pub(super) fn widths(&self) -> Result<[usize; 3]> {
        Ok(self.weights()?.map(|(weight, _)| weight.value().dims()[1]))
    }

    /// Fails where it is built for inputs of other widths.
    fn check_inputs(&self, inputs: [usize; 3]) -> Result<()> {
        let has = self.widths()?;
        if has == inputs {
            return Ok(());
        }
        let message = format!(
            "this layer is already built, for queries, keys and values of widths {has:?}; inputs of widths {inputs:?} do not fit it"
        );
        Err(Error::new(ErrorKind::Build, "build", message))
    }

    /// Queries, keys and values of one input (N, T, width): (N, T, rows) of each.
    pub(super) fn of_one(&self, x: &Var, ctx: &Ctx) -> Result<[Var; 3]> {
        if let (Some(_), Some(weight)) = (ctx.recorder(), &self.in_proj_weight) {
            // A recorder wants one use of each weight.
            let y = affine(x, weight, self.in_proj_bias.as_ref(), Activation::Linear, ctx)?;
            let (rows, starts) = self.rows()?;
            let part = |at: usize| y.slice(2, starts[at]..starts[at] + rows[at]);
            return Ok([part(0)?, part(1)?, part(2)?]);
        }
        Ok([self.queries(x, ctx)?, self.keys(x, ctx)?, self.values(x, ctx)?])
    }

    /// The queries (N, T, heads · width).
    pub(super) fn queries(&self, x: &Var, ctx: &Ctx) -> Result<Var> {
        self.part(0, x, ctx)
    }

    /// The keys (N, S, key heads · width).
    pub(super) fn keys(&self, x: &Var, ctx: &Ctx) -> Result<Var> {
        self.part(1, x, ctx)
    }

    /// The values (N, S, key heads · value width).
    pub(super) fn values(&self, x: &Var, ctx: &Ctx) -> Result<Var> {
        self.part(2, x, ctx)
    }

    /// Fails where queries, keys or values do not fit the weights.
    pub(super) fn check(&self, inputs: [&Var; 3]) -> Result<()> {
        for ((what, x), (weight, _)) in ["queries", "keys", "values"].into_iter().zip(inputs).zip(self.weights()?) {
            let width = weight.value().dims()[1];
            if x.shape().rank() != 3 || x.dims()[2] != width || x.dims()[1] == 0 {
                let message =
                    format!("the {what} are expected of (batch, steps, {width}) with 1 step or more, got {}", x.shape());
                return Err(Error::shape("attention", message));
            }
        }
        Ok(())
    }

    fn part(&self, at: usize, x: &Var, ctx: &Ctx) -> Result<Var> {
        let (weight, first) = self.weights()?[at];
        let (rows, starts) = self.rows()?;
        // The rows are cut out of the weight: parts of the output would have to be put together for the gradient.
        let weight = weight.var(ctx).slice(0, first..first + rows[at])?;
        let bias = self.in_proj_bias.as_ref().map(|bias| bias.var(ctx).slice(0, starts[at]..starts[at] + rows[at]));
        x.linear(&weight, bias.transpose()?.as_ref(), None)
    }

    /// How many rows of weights make queries, keys and values, and which of the bias are the first of each.
    fn rows(&self) -> Result<([usize; 3], [usize; 3])> {
        let rows = self.heads()?.rows();
        Ok((rows, [0, rows[0], rows[0] + rows[1]]))
    }

    /// The heads, once built.
    pub(super) fn heads(&self) -> Result<Heads> {
        self.heads.ok_or_else(|| unbuilt(WITH_INPUT))
    }

    /// The output of the heads (N, T, heads · value width), brought back to the width of the queries' input.
    pub(super) fn out(&self, y: Var, ctx: &Ctx) -> Result<Var> {
        let out_proj = self.out_proj.as_ref().ok_or_else(|| unbuilt(WITH_INPUT))?;
        ctx.layer("out_proj", out_proj, y)
    }

    /// The weights that inputs meet, and that of the output.
    pub(super) fn elements(&self) -> [usize; 4] {
        let rows = self.heads.map_or([0; 3], |heads| heads.rows());
        let widths = self.widths().unwrap_or([0; 3]);
        let out = self.out_proj.as_ref().and_then(Dense::weight).map_or(0, |weight| weight.value().elements());
        [rows[0] * widths[0], rows[1] * widths[1], rows[2] * widths[2], out]
    }
}
