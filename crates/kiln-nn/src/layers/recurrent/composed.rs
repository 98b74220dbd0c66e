//! LSTM cells that are not of one unit, with a projection of the state or layer normalization among the gates. No fused kernel can run
//! them, so each step is composed of Vars.

use super::direction::Run;
use super::settings::Settings;
use crate::{Ctx, Fans, Init, Initializer, Param};
use kiln_autograd::{RecurrentOutput, Var};
use kiln_tensor::{Result, Tensor};

/// PyTorch's ε of a layer normalization.
const EPSILON: f64 = 1e-5;

/// What each of an LSTM's normalizations is of: the input's part of the gates, the state's, and the cell state.
const NORMALIZED: [&str; 3] = ["ih", "hh", "c"];

/// The weights that an LSTM has for it, as they are named in paths.
#[derive(Clone, Debug)]
pub(super) struct Composed {
    /// (projection, units)
    projection: Option<Param>,
    /// Weight and bias of each of [`NORMALIZED`].
    norms: Option<[[Param; 2]; 3]>,
}

/// The weights as a pass sees them.
struct Cell {
    weight_hh: Var,
    projection: Option<Var>,
    norms: Option<[[Var; 2]; 3]>,
    /// What states are multiplied by before the recurrent product.
    keep: Option<Var>,
}

/// Outputs of all steps, or the last one, and the last states h and c.
pub(super) struct Ran {
    pub(super) output: Var,
    pub(super) h: Var,
    pub(super) c: Var,
}

impl Composed {
    /// First values; none where the settings ask for neither.
    pub(super) fn new(settings: &Settings, suffix: &str, init: &mut Init) -> Result<Option<Self>> {
        if !settings.is_composed() {
            return Ok(None);
        }
        let units = settings.units;
        let projection = settings.projection.map(|size| {
            let fans = Fans { input: units, output: size };
            init.param(&format!("weight_hr{suffix}"), &[size, units], fans, settings.recurrent_initializer)
        });
        let projection = projection.transpose()?;
        if !settings.layer_norm {
            return Ok(Some(Composed { projection, norms: None }));
        }
        let mut norm = |what: &str, size: usize| -> Result<[Param; 2]> {
            let fans = Fans { input: size, output: size };
            let mut of = |part: &str, first| init.param(&format!("norm_{what}_{part}{suffix}"), &[size], fans, first);
            Ok([of("weight", Initializer::Ones)?, of("bias", Initializer::Zeros)?])
        };
        let [input, state, cell] = NORMALIZED;
        let mut norms = [norm(input, 4 * units)?, norm(state, 4 * units)?, norm(cell, units)?];
        if settings.unit_forget_bias {
            let bias = &mut norms[0][1];
            let forget = Tensor::ones([units], bias.value().dtype(), bias.value().device())?;
            bias.value_mut().slice_assign(0, units..2 * units, &forget)?;
        }
        Ok(Some(Composed { projection, norms: Some(norms) }))
    }

    /// Shows the weights by their names.
    pub(super) fn visit<'m>(&'m self, show: &mut dyn FnMut(&str, &'m Param)) {
        if let Some(projection) = &self.projection {
            show("weight_hr", projection);
        }
        for (what, [weight, bias]) in NORMALIZED.iter().zip(self.norms.iter().flatten()) {
            show(&format!("norm_{what}_weight"), weight);
            show(&format!("norm_{what}_bias"), bias);
        }
    }

    /// As [`Composed::visit`], to be changed.
    pub(super) fn visit_mut<'m>(&'m mut self, show: &mut dyn FnMut(&str, &'m mut Param)) {
        if let Some(projection) = &mut self.projection {
            show("weight_hr", projection);
        }
        for (what, [weight, bias]) in NORMALIZED.iter().zip(self.norms.iter_mut().flatten()) {
            show(&format!("norm_{what}_weight"), weight);
            show(&format!("norm_{what}_bias"), bias);
        }
    }

    /// Products of its own at each step.
    pub(super) fn product(&self) -> usize {
        self.projection.as_ref().map_or(0, |projection| projection.value().elements())
    }

    /// Runs over the input's part of all gates, (T, N, 4·units).
    pub(super) fn run(&self, weight_hh: Var, gates: Var, keep: Option<Var>, run: &Run<'_>, ctx: &Ctx) -> Result<Ran> {
        let var = |param: &Param| param.var(ctx);
        let projection = self.projection.as_ref().map(var);
        let norms = self.norms.as_ref().map(|norms| norms.each_ref().map(|norm| norm.each_ref().map(var)));
        let cell = Cell { weight_hh, projection, norms, keep };
        let gates = cell.normalized(0, gates)?;
        let (steps, batch) = (gates.dims()[0], gates.dims()[1]);
        let zeros = |width: usize| Tensor::zeros([batch, width], gates.dtype(), gates.device()).map(Var::constant);
        let [units, state] = [gates.dims()[2] / 4, cell.weight_hh.dims()[1]];
        let mut h = run.h0.map_or_else(|| zeros(state), |h| Ok(h.clone()))?;
        let mut c = run.c0.map_or_else(|| zeros(units), |c| Ok(c.clone()))?;
        let mut outputs = Vec::new();
        for at in 0..steps {
            let step = if run.reverse { steps - 1 - at } else { at };
            let next = cell.step(&gates.slice(0, step..step + 1)?.squeeze(0)?, &h, &c)?;
            (h, c) = match run.mask {
                None => next,
                Some(mask) => {
                    let counts = mask.slice(0, step..step + 1)?.reshape([batch, 1])?;
                    (Var::select(&counts, &next.0, &h)?, Var::select(&counts, &next.1, &c)?)
                }
            };
            if run.output != RecurrentOutput::Last {
                outputs.push(h.clone());
            }
        }
        if run.reverse {
            outputs.reverse();
        }
        let output = match run.output {
            RecurrentOutput::Last => h.clone(),
            _ => Var::stack(&outputs.iter().collect::<Vec<_>>(), 0)?,
        };
        Ok(Ran { output, h, c })
    }
}

impl Cell {
    /// x normalized by one of [`NORMALIZED`], where there is normalization.
    fn normalized(&self, which: usize, x: Var) -> Result<Var> {
        match &self.norms {
            None => Ok(x),
            Some(norms) => x.layer_norm(1, Some(&norms[which][0]), Some(&norms[which][1]), EPSILON),
        }
    }

    /// h and c after a step, of the input's part of its gates (N, 4·units).
    fn step(&self, gates: &Var, h: &Var, c: &Var) -> Result<(Var, Var)> {
        let kept = self.keep.as_ref().map(|keep| h.mul(keep)).transpose()?;
        let of_state = kept.as_ref().unwrap_or(h).linear(&self.weight_hh, None, None)?;
        let gates = gates.add(&self.normalized(1, of_state)?)?;
        let units = c.dims()[1];
        let gate = |at: usize| gates.slice(1, at * units..(at + 1) * units);
        let [i, f, g, o] = [gate(0)?.sigmoid()?, gate(1)?.sigmoid()?, gate(2)?.tanh()?, gate(3)?.sigmoid()?];
        let c = self.normalized(2, f.mul(c)?.add(&i.mul(&g)?)?)?;
        let h = o.mul(&c.tanh()?)?;
        match &self.projection {
            None => Ok((h, c)),
            Some(projection) => Ok((h.linear(projection, None, None)?, c)),
        }
    }
}
