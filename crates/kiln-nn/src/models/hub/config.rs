//! The config.json of a model.

use super::fields::{Fields, wrong};
use super::names::{BERT, GPT2, LLAMA, Names, QWEN2, VIT};
use super::weights;
use crate::models::bert::Bert;
use crate::models::gpt2::Gpt2;
use crate::models::llama::Llama;
use crate::models::vit::Vit;
use crate::safetensors::Shards;
use crate::{Init, Json, Layer, Sequential, Shapes, Unmatched};
use kiln_tensor::{Error, ErrorKind, Result, Shape};
use std::path::Path;

/// The file with the kind of a folder's model and its settings.
pub const CONFIG: &str = "config.json";

/// The settings of a `config.json`: the model, and the names of its classes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The kind of model and its sizes.
    pub architecture: Architecture,
    /// The names of the classes in the order of their labels. Empty if the model does not classify.
    pub classes: Vec<String>,
    names: &'static Names,
}

/// The kinds of models that are known.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Architecture {
    /// GPT-2.
    Gpt2(Gpt2),
    /// Decoders of Llama's kind.
    Llama(Llama),
    /// BERT.
    Bert(Bert),
    /// Vision transformers.
    Vit(Vit),
}

/// A `model_type` that is known.
struct Kind {
    name: &'static str,
    /// The classes of `transformers` that Kiln knows. The first one is the default if `architectures` is left out.
    classes: &'static [&'static str],
    names: &'static Names,
}

const KNOWN: [Kind; 6] = [
    Kind { name: "gpt2", classes: &["GPT2LMHeadModel", "GPT2Model"], names: &GPT2 },
    Kind { name: "llama", classes: &["LlamaForCausalLM"], names: &LLAMA },
    Kind { name: "mistral", classes: &["MistralForCausalLM"], names: &LLAMA },
    Kind { name: "qwen2", classes: &["Qwen2ForCausalLM"], names: &QWEN2 },
    Kind {
        name: "bert",
        classes: &["BertModel", "BertForMaskedLM", "BertForPreTraining", "BertForSequenceClassification"],
        names: &BERT,
    },
    Kind { name: "vit", classes: &["ViTForImageClassification"], names: &VIT },
];

/// The kind and the class that a config.json names.
fn known(fields: Fields<'_>) -> Result<(&'static Kind, &'static str)> {
    let model_type: String = fields.get("model_type", String::new())?;
    let classes: Vec<String> = fields.get("architectures", Vec::new())?;
    let kind = KNOWN.iter().find(|kind| kind.name == model_type);
    let class = kind.and_then(|kind| match classes.first() {
        Some(class) => kind.classes.iter().find(|name| *name == class),
        None => kind.classes.first(),
    });
    if let (Some(kind), Some(class)) = (kind, class) {
        return Ok((kind, class));
    }
    let given = match (model_type.as_str(), classes.first()) {
        ("", None) => "`model_type` is missing".to_owned(),
        (model_type, None) => format!("the model type `{model_type}` is unknown"),
        (model_type, Some(class)) => format!("the architecture `{class}` of the model type `{model_type}` is unknown"),
    };
    let all: Vec<String> = KNOWN.iter().map(|kind| format!("{} ({})", kind.name, kind.classes.join(", "))).collect();
    Err(Error::new(ErrorKind::Unsupported, "", format!("config.json: {given}; known are {}", all.join(", "))))
}

impl Config {
    /// Reads the `config.json` of a folder.
    ///
    /// # Errors
    /// A file that is missing or is not JSON; an unknown architecture, with a list of the known ones; unknown settings.
    pub fn read(folder: impl AsRef<Path>) -> Result<Self> {
        let path = folder.as_ref().join(CONFIG);
        let failed = |kind, why: String| Error::new(kind, "load", format!("{}: {why}", path.display()));
        let text = std::fs::read_to_string(&path)
            .map_err(|error| failed(ErrorKind::Io, format!("cannot be read: {error}")).with_source(error))?;
        let json: Json = serde_json::from_str(&text)
            .map_err(|error| failed(ErrorKind::Format, format!("not JSON: {error}")).with_source(error))?;
        Config::from_json(&json).map_err(|error| {
            Error::new(error.kind(), "load", format!("{}: {}", folder.as_ref().display(), error.message()))
        })
    }

    /// The settings of the JSON object of a `config.json`.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn from_json(config: &Json) -> Result<Self> {
        let fields = Fields::of(config)?;
        let (kind, class) = known(fields)?;
        let mut classes = Vec::new();
        let architecture = match kind.name {
            "gpt2" => Architecture::Gpt2(Gpt2::of_fields(fields)?),
            "bert" => Architecture::Bert(Bert::of_fields(fields, class, &mut classes)?),
            "vit" => {
                classes = fields.classes()?;
                Architecture::Vit(Vit::of_fields(fields, classes.len())?)
            }
            name => Architecture::Llama(Llama::of_fields(fields, name)?),
        };
        Ok(Config { architecture, classes, names: kind.names })
    }

    /// The network, not built yet.
    pub fn model(&self) -> Sequential {
        match &self.architecture {
            Architecture::Gpt2(gpt2) => gpt2.model(),
            Architecture::Llama(llama) => llama.model(),
            Architecture::Bert(bert) => bert.model(),
            Architecture::Vit(vit) => vit.model(),
        }
    }

    /// The shapes of one sample of the inputs: that of the longest context, or of an image.
    ///
    /// # Errors
    /// Sizes that no tensor has.
    pub fn input(&self) -> Result<Shapes> {
        let tokens = |positions: usize| Shape::new(&[positions]).map(Shapes::One);
        match &self.architecture {
            Architecture::Gpt2(gpt2) => tokens(gpt2.positions),
            Architecture::Llama(llama) => tokens(llama.positions),
            Architecture::Bert(bert) if bert.with_segments => {
                Ok(Shapes::Many(vec![tokens(bert.positions)?, tokens(bert.positions)?]))
            }
            Architecture::Bert(bert) => tokens(bert.positions),
            Architecture::Vit(vit) => Shape::new(&[vit.channels, vit.image, vit.image]).map(Shapes::One),
        }
    }

    /// The network, built with parameters from `init`.
    ///
    /// # Errors
    /// Sizes that make no network.
    pub fn build(&self, init: &mut Init) -> Result<Sequential> {
        let input = self.input()?;
        if input.elements() == 0 {
            return Err(wrong(format!("inputs of shape {input} are empty")));
        }
        let mut model = self.model();
        Layer::build(&mut model, &input, init)?;
        Ok(model)
    }

    /// Reads the weights of a folder into the network of this config. If `strict` is false, parameters that do not fit keep their values, and
    /// are returned: names that are missing or unexpected, and tensors of another shape.
    ///
    /// # Errors
    /// Files that are missing or cannot be read; if `strict`, parameters that do not fit, all named. The model is then unchanged.
    pub fn load_weights(&self, model: &mut Sequential, folder: impl AsRef<Path>, strict: bool) -> Result<Unmatched> {
        weights::load(model, &Shards::open(folder)?, self.names, strict)
    }
}
