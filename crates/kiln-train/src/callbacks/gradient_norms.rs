//! How large gradients are, and the steps that follow from them.

use super::Every;
use crate::{Callback, Run};
use kiln_tensor::{DType, Result, Tensor};

/// Reports the L2 norm of each parameter's gradient, as `gradient_norm.PATH`, and of all of them together, as `gradient_norm`
/// (Lightning's `log_grad_norm`). They are those before [`FitOptions::clip_norm`](crate::FitOptions::clip_norm) and
/// [`clip_value`](crate::FitOptions::clip_value); those of an optimizer that clips by itself are as the backward pass made them.
///
/// Norms that go towards 0 from the last layer to the first are vanishing gradients; norms that jump are exploding ones. No square overflows
/// or vanishes, whatever the type. A device computes the norms itself; each report waits for it once.
///
/// ```
/// # use kiln_datasets::TensorDataset;
/// # use kiln_nn::{Dense, MeanSquaredError, Sequential};
/// # use kiln_optim::Sgd;
/// # use kiln_tensor::{DType, Device, Tensor};
/// # use kiln_train::{FitOptions, GradientNorms, compile};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// # let cpu = Device::cpu();
/// # let model = Sequential::new().push(Dense::new(1)).build([2], &cpu, 1)?;
/// # let ones = |columns| Tensor::ones([50, columns], DType::F32, &cpu);
/// # let data = TensorDataset::new(ones(2)?, ones(1)?)?;
/// # let mut trainer = compile(model, Sgd::new(0.1), MeanSquaredError::new());
/// let mut norms = GradientNorms::new().every(2).update_ratios(true);
/// trainer.fit(&data, FitOptions::new().callback(&mut norms))?;
/// for (name, value) in norms.last() {
///     println!("{name}: {value}"); // gradient_norm, gradient_norm.0.weight, …, update_ratio.0.bias
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct GradientNorms {
    every: Every,
    by_layer: bool,
    update_ratios: bool,
    /// Of the step that is being made.
    taken: Option<Taken>,
    last: Vec<(String, f64)>,
}

/// What is seen before a step.
#[derive(Clone, Debug)]
struct Taken {
    paths: Vec<String>,
    /// The norm of each gradient, f64, in the device's memory.
    norms: Vec<Tensor>,
    /// Copies of the parameters; none where they are not asked for.
    weights: Vec<Tensor>,
}

impl Default for GradientNorms {
    fn default() -> Self {
        GradientNorms { every: Every(100), by_layer: false, update_ratios: false, taken: None, last: Vec::new() }
    }
}

impl GradientNorms {
    /// Every 100 steps, by parameter.
    pub fn new() -> Self {
        GradientNorms::default()
    }

    /// Reports after every so many steps, counted over all calls of `fit`.
    #[must_use]
    pub fn every(self, steps: u64) -> Self {
        GradientNorms { every: Every(steps), ..self }
    }

    /// Whether a layer's parameters are taken together: `gradient_norm.conv1` instead of `gradient_norm.conv1.weight` and
    /// `gradient_norm.conv1.bias`. (Parameters of the model itself are `gradient_norm.model`.)
    #[must_use]
    pub fn by_layer(self, by_layer: bool) -> Self {
        GradientNorms { by_layer, ..self }
    }

    /// Whether the size of each step is reported too, relative to the weights: ‖Δw‖ / ‖w‖, as `update_ratio.PATH` and `update_ratio`. About
    /// 1e−3 is usual; much more or much less says that the learning rate is too large or too small. What was 0 before the step has no ratio.
    /// A report needs the memory of one more copy of the weights.
    #[must_use]
    pub fn update_ratios(self, update_ratios: bool) -> Self {
        GradientNorms { update_ratios, ..self }
    }

    /// What was reported last, by name.
    pub fn last(&self) -> &[(String, f64)] {
        &self.last
    }

    /// What a parameter is reported as.
    fn group<'p>(&self, path: &'p str) -> &'p str {
        if self.by_layer { path.rsplit_once('.').map_or("model", |(layer, _)| layer) } else { path }
    }

    /// One number for each parameter as one for each group, with that of all together first.
    fn grouped(&self, paths: &[String], norms: &[f64]) -> Vec<(String, f64)> {
        let mut groups = vec![(String::new(), 0.0)];
        for (path, norm) in paths.iter().zip(norms) {
            let name = self.group(path);
            match groups.iter_mut().find(|(group, _)| group == name) {
                Some((_, sum)) => *sum = norm.hypot(*sum),
                None => groups.push((name.to_owned(), *norm)),
            }
            groups[0].1 = norm.hypot(groups[0].1);
        }
        groups
    }

    fn report(&mut self, run: &mut Run<'_>, taken: &Taken) -> Result<()> {
        let count = taken.paths.len();
        let mut numbers = taken.norms.clone();
        if !taken.weights.is_empty() {
            let steps = steps_of(run, taken)?;
            numbers.extend(taken.weights.iter().chain(&steps).map(norm).collect::<Result<Vec<_>>>()?);
        }
        let values = Tensor::stack(&numbers.iter().collect::<Vec<_>>(), 0)?.to_vec::<f64>()?;
        let mut parts = values.chunks(count).map(|part| self.grouped(&taken.paths, part));
        let mut reported = Vec::new();
        for (group, norm) in parts.next().unwrap_or_default() {
            reported.push((named("gradient_norm", &group), norm));
        }
        if let (Some(weights), Some(steps)) = (parts.next(), parts.next()) {
            let ratios = weights.into_iter().zip(steps).filter(|((_, weights), _)| *weights > 0.0);
            reported
                .extend(ratios.map(|((group, weights), (_, step))| (named("update_ratio", &group), step / weights)));
        }
        for (name, value) in &reported {
            run.log(name.clone(), *value);
        }
        self.last = reported;
        Ok(())
    }
}

/// What the step has added to each parameter.
fn steps_of(run: &Run<'_>, taken: &Taken) -> Result<Vec<Tensor>> {
    let parameters = run.model.parameters();
    let stepped = parameters.iter().filter(|(path, _)| taken.paths.contains(path));
    stepped.zip(&taken.weights).map(|((_, parameter), before)| parameter.value().sub(before)).collect()
}

/// The norm of a tensor, f64, in its device's memory.
fn norm(x: &Tensor) -> Result<Tensor> {
    x.to_dtype(x.dtype().computed_in())?.norm(2.0, ..)?.to_dtype(DType::F64)
}

/// `gradient_norm.conv1`; of all together `gradient_norm`.
fn named(what: &str, group: &str) -> String {
    if group.is_empty() { what.to_owned() } else { format!("{what}.{group}") }
}

impl Callback for GradientNorms {
    fn on_fit_begin(&mut self, _: &mut Run<'_>) -> Result<()> {
        self.every.check("GradientNorms", "every(0)")
    }

    fn on_step_begin(&mut self, run: &mut Run<'_>) -> Result<()> {
        self.taken = None;
        if !self.every.is_due(run.state.step + 1) {
            return Ok(());
        }
        let mut taken = Taken { paths: Vec::new(), norms: Vec::new(), weights: Vec::new() };
        let mut gradient_of = run.gradients.lookup();
        for (path, parameter) in run.model.parameters() {
            let Some(gradient) = gradient_of(parameter.id()) else { continue };
            taken.paths.push(path);
            taken.norms.push(norm(gradient)?);
            if self.update_ratios {
                taken.weights.push(parameter.value().copied()?);
            }
        }
        self.taken = Some(taken);
        Ok(())
    }

    fn on_step_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        match self.taken.take() {
            Some(taken) if !taken.paths.is_empty() => self.report(run, &taken),
            _ => Ok(()),
        }
    }
}
