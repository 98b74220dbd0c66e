//! How attention is set up.

use super::positions::Rotary;
use crate::Initializer;
use kiln_tensor::{AttentionOptions, Error, Result};
use serde::{Deserialize, Serialize};

/// The settings of [`MultiHeadAttention`](crate::MultiHeadAttention).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Settings {
    pub(super) heads: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) key_heads: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) head_width: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) value_width: Option<usize>,
    pub(super) use_bias: bool,
    pub(super) dropout: f64,
    pub(super) causal: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) window: Option<usize>,
    pub(super) alibi: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) scale: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) rotary: Option<Rotary>,
    pub(super) kernel_initializer: Initializer,
    pub(super) stateful: bool,
}

/// The sizes of heads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Heads {
    pub(super) heads: usize,
    pub(super) key_heads: usize,
    /// Of queries and keys.
    pub(super) width: usize,
    pub(super) value_width: usize,
}

impl Heads {
    /// The rows of weights that make queries, keys and values.
    pub(super) fn rows(&self) -> [usize; 3] {
        [self.heads * self.width, self.key_heads * self.width, self.key_heads * self.value_width]
    }

    /// How wide the heads' outputs are together.
    pub(super) fn output(&self) -> usize {
        self.heads * self.value_width
    }
}

impl Settings {
    pub(super) fn new(heads: usize) -> Self {
        Settings {
            heads,
            key_heads: None,
            head_width: None,
            value_width: None,
            use_bias: true,
            dropout: 0.0,
            causal: false,
            window: None,
            alibi: false,
            scale: None,
            rotary: None,
            kernel_initializer: Initializer::GlorotUniform,
            stateful: false,
        }
    }

    /// The heads for inputs of this width. Fails where the settings make no sense.
    pub(super) fn heads_of(&self, input: usize) -> Result<Heads> {
        let wrong = |message: String| Err(Error::value("build", message));
        let key_heads = self.key_heads.unwrap_or(self.heads);
        let heads = self.heads;
        if heads == 0 || key_heads == 0 {
            return wrong(format!("{heads} heads cannot share {key_heads} key heads evenly: use at least 1"));
        }
        if !heads.is_multiple_of(key_heads) {
            return wrong(format!("{heads} heads cannot share {key_heads} key heads evenly: use a number that divides {heads}"));
        }
        let width = match self.head_width {
            Some(width) => width,
            None if input.is_multiple_of(heads) => input / self.heads,
            None => {
                return wrong(format!(
                    "{} heads do not divide a width of {input}: use a number of heads that divides it, or set `head_width`",
                    self.heads
                ));
            }
        };
        let value_width = self.value_width.unwrap_or(width);
        if width == 0 || value_width == 0 {
            return wrong(format!("heads of width {width} with values of width {value_width}: both must be above 0"));
        }
        if !(0.0..=1.0).contains(&self.dropout) {
            return wrong(format!("a `dropout` from 0 to 1 is expected, got {}", self.dropout));
        }
        if self.window == Some(0) {
            return wrong("a `window` of 0 keys: at least 1 is needed".to_owned());
        }
        if self.stateful && !self.causal {
            return wrong("`stateful` needs `causal`: without it the outputs of earlier steps depend on later ones".to_owned());
        }
        self.rotary.as_ref().map_or(Ok(()), |rotary| rotary.check(width))?;
        Ok(Heads { heads: self.heads, key_heads, width, value_width })
    }

    /// Whether what a query sees depends on how many steps lie between: then steps that do not count must not lie between others.
    pub(super) fn goes_by_places(&self) -> bool {
        self.window.is_some() || self.alibi
    }

    /// Which keys a query sees, and the scale.
    pub(super) fn options(&self) -> AttentionOptions {
        let mut options = AttentionOptions::new().causal(self.causal).alibi(self.alibi);
        if let Some(window) = self.window {
            options = options.window(window);
        }
        match self.scale {
            Some(scale) => options.scale(scale),
            None => options,
        }
    }
}
