//! One direction of one layer: its weights, and its run over a sequence.

use super::composed::{Composed, Ran};
use super::settings::Settings;
use crate::{Ctx, Fans, Init, Param, Segment, Visitor, VisitorMut};
use kiln_autograd::{RecurrentOptions, RecurrentOutput, Var};
use kiln_math::Purpose;
use kiln_math::recurrent::Inner;
use kiln_tensor::{Recurrence, Result, Tensor};

/// The weights of one direction of one layer, as PyTorch keeps them: G gates in its order.
#[derive(Clone, Debug)]
pub(super) struct Direction {
    /// (G·units, inputs)
    pub(super) weight_ih: Param,
    /// (G·units, size of the state)
    pub(super) weight_hh: Param,
    /// (G·units,) each.
    pub(super) biases: Option<[Param; 2]>,
    /// (W·units,): weights of each unit that belong to no product; those of a GRU are its bias.
    pub(super) unit_weights: Option<Param>,
    /// What a composed cell has beside these.
    pub(super) composed: Option<Composed>,
}

/// What a direction starts from and what it is to give.
pub(super) struct Run<'a> {
    pub(super) reverse: bool,
    /// bool (T, N)
    pub(super) mask: Option<&'a Tensor>,
    pub(super) h0: Option<&'a Var>,
    pub(super) c0: Option<&'a Var>,
    pub(super) output: RecurrentOutput,
}

impl Direction {
    /// First values, under PyTorch's names with `suffix`.
    pub(super) fn new(settings: &Settings, inputs: usize, suffix: &str, init: &mut Init) -> Result<Self> {
        let (gates, units) = (settings.cell.gates(), settings.units);
        let rows = gates.saturating_mul(units);
        let name = |what: &str| format!("{what}{suffix}");
        let fans = |input| Fans { input, output: rows };
        let (kernel, recurrent) = (settings.kernel_initializer, settings.recurrent_initializer);
        let weight_ih = init.param(&name("weight_ih"), &[rows, inputs], fans(inputs), kernel)?;
        let state = settings.state();
        let weight_hh = init.param(&name("weight_hh"), &[rows, state], fans(state), recurrent)?;
        // A normalization has biases of its own.
        let biases = if settings.use_bias && !settings.layer_norm {
            let mut bias = |what: &str| init.param(&name(what), &[rows], fans(units), settings.bias_initializer);
            let (mut ih, hh) = (bias("bias_ih")?, bias("bias_hh")?);
            if settings.unit_forget_bias && settings.cell.has_cell_state() {
                let forget = Tensor::ones([units], ih.value().dtype(), ih.value().device())?;
                ih.value_mut().slice_assign(0, units..2 * units, &forget)?;
            }
            Some([ih, hh])
        } else {
            None
        };
        let own = if settings.cell.inner() == Inner::Product { 0 } else { settings.cell.unit_weights() };
        let name = name("weight_unit");
        let own = (own > 0).then(|| init.param(&name, &[own * units], Fans { input: units, output: units }, kernel));
        let (unit_weights, composed) = (own.transpose()?, Composed::new(settings, suffix, init)?);
        Ok(Direction { weight_ih, weight_hh, biases, unit_weights, composed })
    }

    /// Shows the weights under PyTorch's names with `suffix`.
    pub(super) fn visit<'m>(&'m self, suffix: &str, visitor: &mut dyn Visitor<'m>) {
        let mut show = |what: &str, parameter: &'m Param| {
            visitor.enter(Segment::Name(&format!("{what}{suffix}")));
            visitor.parameter(parameter);
            visitor.leave();
        };
        show("weight_ih", &self.weight_ih);
        show("weight_hh", &self.weight_hh);
        if let Some([ih, hh]) = &self.biases {
            show("bias_ih", ih);
            show("bias_hh", hh);
        }
        if let Some(own) = &self.unit_weights {
            show("weight_unit", own);
        }
        if let Some(composed) = &self.composed {
            composed.visit(&mut show);
        }
    }

    /// As [`Direction::visit`], to be changed.
    pub(super) fn visit_mut<'m>(&'m mut self, suffix: &str, visitor: &mut dyn VisitorMut<'m>) {
        let mut show = |what: &str, parameter: &'m mut Param| {
            visitor.enter(Segment::Name(&format!("{what}{suffix}")));
            visitor.parameter(parameter);
            visitor.leave();
        };
        show("weight_ih", &mut self.weight_ih);
        show("weight_hh", &mut self.weight_hh);
        if let Some([ih, hh]) = &mut self.biases {
            show("bias_ih", ih);
            show("bias_hh", hh);
        }
        if let Some(own) = &mut self.unit_weights {
            show("weight_unit", own);
        }
        if let Some(composed) = &mut self.composed {
            composed.visit_mut(&mut show);
        }
    }

    /// What is added to the input's part of all gates, and the weights of each unit that belong to no product.
    fn biases(&self, settings: &Settings, ctx: &Ctx) -> Result<(Option<Var>, Option<Var>)> {
        let own = self.unit_weights.as_ref().map(|own| own.var(ctx));
        let Some([ih, hh]) = &self.biases else { return Ok((None, own)) };
        let (ih, hh) = (ih.var(ctx), hh.var(ctx));
        if settings.cell.inner() != Inner::Product {
            return Ok((Some(ih.add(&hh)?), own));
        }
        // The last gate's recurrent bias is added to its product, before the cell combines that with the input's part.
        let (all, joint) = (hh.dims()[0], hh.dims()[0] - settings.units);
        let gates = hh.slice(0, 0..joint)?.embed(0, 0, [all])?;
        Ok((Some(ih.add(&gates)?), Some(hh.slice(0, joint..all)?)))
    }

    /// Runs a composed cell over x (T, N, inputs).
    pub(super) fn run_composed(
        &self,
        composed: &Composed,
        settings: &Settings,
        x: &Var,
        run: &Run<'_>,
        ctx: &Ctx,
    ) -> Result<Ran> {
        let (bias, _) = self.biases(settings, ctx)?;
        let gates = x.linear(&self.weight_ih.var(ctx), bias.as_ref(), None)?;
        composed.run(self.weight_hh.var(ctx), gates, self.keep(settings, x, ctx)?.map(Var::constant), run, ctx)
    }

    /// Runs over x (T, N, inputs).
    pub(super) fn run(&self, settings: &Settings, x: &Var, run: &Run<'_>, ctx: &Ctx) -> Result<Var> {
        let (bias, own) = self.biases(settings, ctx)?;
        let (weight, keep) = (self.weight_hh.var(ctx), self.keep(settings, x, ctx)?);
        let layer = Recurrence {
            cell: settings.cell,
            reverse: run.reverse,
            weight: &weight,
            unit_weights: own.as_ref(),
            mask: run.mask,
            keep: keep.as_ref(),
            h0: run.h0,
            c0: run.c0,
        };
        let options = RecurrentOptions { output: run.output, twice: settings.twice_differentiable };
        // The input's part of all steps is one product, whose memory becomes the gates'.
        x.linear(&self.weight_ih.var(ctx), bias.as_ref(), None)?.recurrent(&layer, options)
    }

    /// What states are multiplied by before the recurrent product: the same at every step (Gal and Ghahramani 2016).
    fn keep(&self, settings: &Settings, x: &Var, ctx: &Ctx) -> Result<Option<Tensor>> {
        if settings.recurrent_dropout == 0.0 || !ctx.is_training() {
            return Ok(None);
        }
        let ones = Tensor::ones([x.dims()[1], settings.state()], x.dtype(), x.device())?;
        ones.dropout(settings.recurrent_dropout, &ctx.stream_tensor(Purpose::Dropout, x.device())?).map(Some)
    }

    /// Hands in what the regularizers penalize, and the constraints.
    pub(super) fn penalize(&self, settings: &Settings, ctx: &Ctx) {
        if let Some(regularizer) = settings.kernel_regularizer {
            ctx.penalize(&self.weight_ih, regularizer);
        }
        if let Some(regularizer) = settings.recurrent_regularizer {
            ctx.penalize(&self.weight_hh, regularizer);
        }
        if let (Some(biases), Some(regularizer)) = (&self.biases, settings.bias_regularizer) {
            biases.iter().for_each(|bias| ctx.penalize(bias, regularizer));
        }
        if let Some(constraint) = &settings.kernel_constraint {
            ctx.constrain(&self.weight_ih, constraint);
        }
        if let Some(constraint) = &settings.recurrent_constraint {
            ctx.constrain(&self.weight_hh, constraint);
        }
        if let (Some(biases), Some(constraint)) = (&self.biases, &settings.bias_constraint) {
            biases.iter().for_each(|bias| ctx.constrain(bias, constraint));
        }
    }
}
