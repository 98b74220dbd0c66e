//! Layers that are made of others, or that need first values at once.

use super::template::Template;
use super::{layer, listed, malformed, model, read_model};
use crate::*;
use kiln_tensor::{Device, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

/// A kind of such layers.
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// What a description may say of it.
    pub(super) template: fn() -> Template,
    /// Makes it of all its settings.
    pub(super) make: fn(&Given<'_>, &mut Init) -> Result<Box<dyn AnyLayer>>,
}

pub(super) const KINDS: [Kind; 11] = [
    Kind {
        name: "Activation",
        template: || Template::listed(&Activation::Linear, &[&["activation"]], &[]),
        make: |given, _| Ok(Box::new(given.read::<OfActivation>()?.activation)),
    },
    Kind {
        name: "Concat",
        template: || Template::listed(&Concat::new(), &[&["branches"]], &[]),
        make: |given, init| Ok(Box::new(Concat::of(listed("branches", given.settings, init)?))),
    },
    Kind {
        name: "Flatten",
        template: || Template::listed(&Flatten::new(), &[], &[]),
        make: |_, _| Ok(Box::new(Flatten::new())),
    },
    Kind {
        name: "Graph",
        template: || {
            Template::listed(&Graph::new(), &[&["inputs"], &["layers"], &["calls"], &["outputs"]], &["lookups"])
        },
        make: |given, init| Ok(Box::new(Graph::read(given.settings, init)?)),
    },
    Kind { name: "Linear", template: || Template::of(linear(), &[&["inputs"], &["outputs"]], &[]), make: make_linear },
    Kind {
        name: "Residual",
        template: || Template::listed(&Residual::new(Sequential::new()), &[&["main"]], &["shortcut"]),
        make: residual,
    },
    Kind {
        name: "Sequential",
        template: || Template::listed(&Sequential::new(), &[&["layers"]], &["checkpoint_every", "input", "lookups"]),
        make: |given, init| Ok(Box::new(read_model(given.settings, init)?)),
    },
    Kind {
        name: "SkipConcat",
        template: || Template::listed(&SkipConcat::new(Sequential::new()), &[&["main"]], &[]),
        make: |given, init| Ok(Box::new(SkipConcat::new(given.part("main", init)?))),
    },
    Kind {
        name: "SpectralNorm",
        template: || Template::listed(&SpectralNorm::new(Identity::new()), &[&["inner"]], &["dim"]),
        make: spectral_norm,
    },
    Kind {
        name: "TimeDistributed",
        template: || Template::listed(&TimeDistributed::new(Identity::new()), &[&["inner"]], &[]),
        make: |given, init| Ok(Box::new(TimeDistributed::of(init.scope("layer", |init| given.inner(init))?))),
    },
    Kind {
        name: "WeightNorm",
        template: || Template::listed(&WeightNorm::new(Identity::new()), &[&["inner"]], &[]),
        make: weight_norm,
    },
];

/// The kind of this name.
pub(super) fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}

/// What a description may say of a lookup.
pub(super) fn lookup() -> Template {
    Template::of(settings(&StringLookup::new()), &[], &["mask", "max_size"])
}

/// What is given of a layer, with its place in the list.
pub(super) struct Given<'d> {
    pub(super) index: usize,
    pub(super) name: &'d str,
    pub(super) settings: &'d Json,
}

impl Given<'_> {
    fn read<S: DeserializeOwned>(&self) -> Result<S> {
        let Given { index, name, settings } = self;
        S::deserialize(*settings).map_err(|error| malformed(format!("layer {index} ({name}): {error}")))
    }

    /// The layer that this one wraps.
    fn inner(&self, init: &mut Init) -> Result<Box<dyn AnyLayer>> {
        layer(self.index, &self.settings["inner"], init)
    }

    /// The layers under this key.
    fn part(&self, key: &str, init: &mut Init) -> Result<Sequential> {
        let Given { index, name, settings } = self;
        model(&format!("layer {index} ({name}): `{key}`"), &settings[key], init)
    }
}

#[derive(Deserialize)]
struct OfActivation {
    activation: Activation,
}

fn residual(given: &Given<'_>, init: &mut Init) -> Result<Box<dyn AnyLayer>> {
    let OfActivation { activation } = given.read()?;
    let block = Residual::new(given.part("main", init)?).activation(activation);
    Ok(match given.settings.get("shortcut") {
        None => Box::new(block),
        Some(_) => Box::new(block.shortcut(init.scope("downsample", |init| given.part("shortcut", init))?)),
    })
}

#[derive(Deserialize)]
struct OfLinear {
    inputs: usize,
    outputs: usize,
    bias: bool,
}

fn make_linear(given: &Given<'_>, init: &mut Init) -> Result<Box<dyn AnyLayer>> {
    let OfLinear { inputs, outputs, bias } = given.read()?;
    let make = if bias { Linear::new } else { Linear::without_bias };
    Ok(Box::new(make(inputs, outputs, init)?))
}

fn linear() -> Option<Json> {
    Linear::new(1, 1, &mut Init::new(0, &Device::cpu()).placeholders()).ok()?.config()
}

#[derive(Deserialize)]
struct OfWeightNorm {
    parameter: String,
    dim: Option<usize>,
}

fn weight_norm(given: &Given<'_>, init: &mut Init) -> Result<Box<dyn AnyLayer>> {
    let OfWeightNorm { parameter, dim } = given.read()?;
    Ok(Box::new(WeightNorm::of(given.inner(init)?).parameter(parameter).dim(dim)))
}

#[derive(Deserialize)]
struct OfSpectralNorm {
    parameter: String,
    dim: Option<usize>,
    power_iterations: usize,
    epsilon: f64,
}

fn spectral_norm(given: &Given<'_>, init: &mut Init) -> Result<Box<dyn AnyLayer>> {
    let OfSpectralNorm { parameter, dim, power_iterations, epsilon } = given.read()?;
    let layer = SpectralNorm::of(given.inner(init)?).parameter(parameter);
    let layer = layer.power_iterations(power_iterations).epsilon(epsilon);
    Ok(Box::new(match dim {
        Some(dim) => layer.dim(dim),
        None => layer,
    }))
}
