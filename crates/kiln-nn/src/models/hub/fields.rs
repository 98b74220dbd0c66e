//! The settings of a config.json, key by key.

use crate::{Activation, Json};
use kiln_tensor::{Error, ErrorKind, Result};
use serde::de::DeserializeOwned;
use serde_json::Map;
use std::collections::BTreeMap;

/// The keys of an object.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a>(&'a Map<String, Json>);

/// An error about a config.json.
#[cold]
pub(super) fn wrong(message: String) -> Error {
    Error::new(ErrorKind::Format, "", format!("config.json: {message}"))
}

impl<'a> Fields<'a> {
    pub(super) fn of(config: &'a Json) -> Result<Self> {
        config.as_object().map(Fields).ok_or_else(|| wrong("an object of settings is expected".to_owned()))
    }

    /// A setting, or its default if it is left out or null.
    pub(super) fn get<T: DeserializeOwned>(self, name: &str, default: T) -> Result<T> {
        Ok(self.find(name)?.unwrap_or(default))
    }

    /// A setting; none if it is left out or null.
    pub(super) fn find<T: DeserializeOwned>(self, name: &str) -> Result<Option<T>> {
        let read = |value: &Json| T::deserialize(value).map_err(|error| wrong(format!("`{name}`: {error}")));
        self.0.get(name).filter(|value| !value.is_null()).map(read).transpose()
    }

    /// The settings below a key.
    pub(super) fn below(self, name: &str) -> Result<Option<Self>> {
        match self.0.get(name).filter(|value| !value.is_null()) {
            None => Ok(None),
            Some(Json::Object(settings)) => Ok(Some(Fields(settings))),
            Some(other) => Err(wrong(format!("`{name}`: an object of settings is expected, got {other}"))),
        }
    }

    /// Fails if a setting has another value than this one, the only one that Kiln knows.
    pub(super) fn only<T: DeserializeOwned + PartialEq + std::fmt::Debug>(self, name: &str, value: T) -> Result<()> {
        match self.find::<T>(name)? {
            Some(other) if other != value => {
                Err(wrong(format!("`{name}` is {other:?}: models of this kind are known with {value:?} alone")))
            }
            _ => Ok(()),
        }
    }

    /// An activation by its name in config.json.
    pub(super) fn activation(self, name: &str, default: &str) -> Result<Activation> {
        let given: String = self.get(name, default.to_owned())?;
        match given.as_str() {
            "gelu" => Ok(Activation::Gelu),
            "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Ok(Activation::GeluTanh),
            "relu" => Ok(Activation::Relu),
            "silu" | "swish" => Ok(Activation::Silu),
            "tanh" => Ok(Activation::Tanh),
            other => Err(wrong(format!(
                "`{name}`: the activation `{other}` is unknown; there are gelu, gelu_new, gelu_pytorch_tanh, gelu_fast, relu, \
                 silu, swish and tanh"
            ))),
        }
    }

    /// The names of the classes by their labels: two of them by default.
    pub(super) fn classes(self) -> Result<Vec<String>> {
        let Some(named) = self.find::<BTreeMap<String, String>>("id2label")? else {
            let count = self.get("num_labels", 2)?;
            return Ok((0..count).map(|label: usize| format!("LABEL_{label}")).collect());
        };
        let find = |label: usize| {
            named.get(&label.to_string()).cloned().ok_or_else(|| {
                wrong(format!(
                    "`id2label` has {} classes and no name for class {label}: 0, 1 and so on are expected",
                    named.len()
                ))
            })
        };
        (0..named.len()).map(find).collect()
    }
}
