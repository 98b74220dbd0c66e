//! What a description may say of a layer, and what holds where it does not.

use crate::{AnyLayer, Describe, Layer};
use kiln_tensor::nearest;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json, json};

/// The settings of a kind of layer.
pub(crate) struct Template {
    /// As its constructor sets them, with placeholders for those that must be given.
    settings: Map<String, Json>,
    required: Required,
    others: Others,
}

/// The template of a layer that serde makes of its settings.
pub(crate) struct Readable {
    template: Template,
    make: Make,
}

/// The settings that a constructor asks for; of each group one.
pub(crate) type Required = &'static [&'static [&'static str]];

/// Settings that a config leaves out where they are none.
enum Others {
    /// These.
    Listed(&'static [&'static str]),
    /// Those that serde reads when it makes the layer.
    Read(Make),
}

type Make = fn(&Json) -> Result<Box<dyn AnyLayer>, serde_json::Error>;

/// The settings that layers read by serde leave out where they are none. A layer's own are among them; they are named to whoever
/// misspells one.
const LEFT_OUT: [&str; 28] = [
    "activity_regularizer",
    "axes",
    "axis",
    "bias_constraint",
    "bias_regularizer",
    "bins",
    "boundaries",
    "constraint",
    "end_token",
    "final_norm",
    "head_width",
    "kernel_constraint",
    "kernel_regularizer",
    "key_heads",
    "layer_norm",
    "mask",
    "max_size",
    "padding",
    "projection",
    "recurrent_constraint",
    "recurrent_regularizer",
    "regularizer",
    "rotary",
    "scale",
    "shape",
    "stride",
    "value_width",
    "window",
];

/// What any layer's description may have.
const OF_ALL: [&str; 2] = ["layer", "name"];

impl Readable {
    /// By the layer as its constructor makes it.
    pub(crate) fn new<L: Layer + DeserializeOwned + 'static>(layer: &L, required: Required) -> Self {
        let make: Make = |settings| L::deserialize(settings).map(|layer| Box::new(layer) as _);
        Readable { template: Template { settings: object(layer.config()), required, others: Others::Read(make) }, make }
    }

    /// All settings, where these are given.
    ///
    /// Fails as [`Template::complete`].
    pub(crate) fn complete(&self, given: &Json) -> Result<Json, String> {
        self.template.complete(given)
    }

    /// The layer with these settings.
    ///
    /// Fails where one is unknown, is missing or makes no sense, and names it.
    pub(crate) fn layer(&self, given: &Json) -> Result<Box<dyn AnyLayer>, String> {
        let mut settings = self.template.complete(given)?;
        (self.make)(&settings).or_else(|error| {
            for (name, value) in given.as_object().into_iter().flatten() {
                let Err(error) = self.alone(name, value.clone()) else { continue };
                settings[name] = self.spelled_out(name, value).ok_or_else(|| wrong(name, value, &error))?;
            }
            (self.make)(&settings).map_err(|_| error.to_string())
        })
    }

    /// A value that is a name alone, `"normal"`, as that with nothing said of it, `{"normal": {}}`, where that makes sense.
    fn spelled_out(&self, name: &str, value: &Json) -> Option<Json> {
        let spelled = json!({ value.as_str()?: {} });
        self.alone(name, spelled.clone()).is_ok().then_some(spelled)
    }

    /// The layer with no setting but this one.
    fn alone(&self, name: &str, value: Json) -> Result<Box<dyn AnyLayer>, serde_json::Error> {
        (self.make)(&self.template.with(name, value))
    }
}

/// What is wrong with the value of a setting.
fn wrong(name: &str, value: &Json, error: &serde_json::Error) -> String {
    match (value, error.to_string()) {
        (Json::String(variant), error) if error.contains("unit variant") => {
            format!("`{name}`: `{variant}` needs a value: {{\"{variant}\": …}}")
        }
        (_, error) => format!("`{name}`: {error}"),
    }
}

impl Template {
    /// Of a layer that is made by hand, with those of its settings that its config leaves out where they are none.
    pub(crate) fn listed(layer: &dyn Describe, required: Required, others: &'static [&'static str]) -> Self {
        Template::of(layer.config(), required, others)
    }

    /// As [`Template::listed`], by the settings themselves.
    pub(crate) fn of(settings: Option<Json>, required: Required, others: &'static [&'static str]) -> Self {
        Template { settings: object(settings), required, others: Others::Listed(others) }
    }

    /// All settings, where these are given.
    ///
    /// Fails where one of them is unknown, or one that is required is missing.
    pub(crate) fn complete(&self, given: &Json) -> Result<Json, String> {
        let Json::Object(given) = given else {
            return Err(format!("an object of settings is expected, got {given}"));
        };
        if let Some(unknown) = given.keys().find(|key| !self.has(key)) {
            return Err(misspelled(unknown, &self.names()));
        }
        if let Some(missing) = self.required.iter().find(|group| !group.iter().any(|&name| given.contains_key(name))) {
            return Err(format!("`{}` is missing", missing.join("` or `")));
        }
        let mut settings = self.settings.clone();
        settings.retain(|name, _| !self.required.iter().any(|group| group.contains(&name.as_str())));
        settings.extend(given.clone());
        Ok(Json::Object(settings))
    }

    fn has(&self, name: &str) -> bool {
        if OF_ALL.contains(&name) || self.settings.contains_key(name) {
            return true;
        }
        match self.others {
            Others::Listed(others) => others.contains(&name),
            // No setting has such a value: who reads it, fails.
            Others::Read(make) => make(&self.with(name, json!([[[{}]]]))).is_err(),
        }
    }

    /// The constructor's settings and this one.
    fn with(&self, name: &str, value: Json) -> Json {
        let mut settings = self.settings.clone();
        settings.insert(name.to_owned(), value);
        Json::Object(settings)
    }

    fn names(&self) -> Vec<&str> {
        let others = match self.others {
            Others::Listed(others) => others,
            Others::Read(_) => &LEFT_OUT,
        };
        let own = self.settings.keys().map(String::as_str).filter(|name| !OF_ALL.contains(name));
        let others = others.iter().copied().filter(|name| !self.settings.contains_key(*name) && self.has(name));
        own.chain(others).collect()
    }
}

fn object(settings: Option<Json>) -> Map<String, Json> {
    match settings {
        Some(Json::Object(settings)) => settings,
        _ => Map::new(),
    }
}

/// Says which of the names of settings may be meant.
fn misspelled(given: &str, names: &[&str]) -> String {
    match nearest(given, names.iter().copied()) {
        Some(nearest) => format!("unknown setting `{given}`; the nearest is `{nearest}`"),
        None if names.is_empty() => format!("unknown setting `{given}`; there are none"),
        None => format!("unknown setting `{given}`; there are `{}`", names.join("`, `")),
    }
}
