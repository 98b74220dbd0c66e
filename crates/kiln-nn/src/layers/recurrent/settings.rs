//! How a recurrent layer is set up.

use crate::{Constraint, Initializer, L1L2};
use kiln_tensor::{Error, RecurrentCell, Result};
use serde::{Deserialize, Deserializer, Serialize};

/// A cell as files have it: by its name.
mod cell_name {
    use kiln_tensor::RecurrentCell;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};
    use std::borrow::Cow;

    #[allow(clippy::trivially_copy_pass_by_ref)] // as serde calls it
    pub(super) fn serialize<S: Serializer>(cell: &RecurrentCell, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(cell.name())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RecurrentCell, D::Error> {
        let name = Cow::<str>::deserialize(deserializer)?;
        let found = RecurrentCell::ALL.iter().copied().find(|cell| cell.name() == name);
        let names = || RecurrentCell::ALL.iter().map(|cell| cell.name()).collect::<Vec<_>>().join(", ");
        found.ok_or_else(|| D::Error::custom(format!("unknown cell `{name}`: expected one of {}", names())))
    }
}

/// How the two directions of a bidirectional layer come together, by Keras's names.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Merge {
    /// Side by side: twice the units. PyTorch's, and Keras's default.
    #[default]
    Concat,
    /// Their sum.
    Sum,
    /// Their product.
    Mul,
    /// Their mean.
    Ave,
}

/// `"concat"`, or `true` for the default.
fn whether_bidirectional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Merge>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "`true`, or how directions come together, concat, sum, mul or ave, is expected")]
    enum Form {
        Whether(bool),
        By(Merge),
    }
    Ok(Option::deserialize(deserializer)?.and_then(|form| match form {
        Form::Whether(both) => both.then(Merge::default),
        Form::By(merge) => Some(merge),
    }))
}

/// The settings of a recurrent layer of any cell.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Settings {
    #[serde(with = "cell_name")]
    pub(super) cell: RecurrentCell,
    pub(super) units: usize,
    /// Of an LSTM, the size of its state where that is projected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) projection: Option<usize>,
    /// Whether an LSTM's gates and cell state are normalized.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) layer_norm: bool,
    pub(super) layers: usize,
    /// None of one direction.
    #[serde(deserialize_with = "whether_bidirectional")]
    pub(super) bidirectional: Option<Merge>,
    pub(super) batch_first: bool,
    pub(super) return_sequences: bool,
    pub(super) use_bias: bool,
    pub(super) unit_forget_bias: bool,
    pub(super) dropout: f64,
    pub(super) recurrent_dropout: f64,
    #[serde(default)]
    pub(super) stateful: bool,
    pub(super) twice_differentiable: bool,
    pub(super) kernel_initializer: Initializer,
    pub(super) recurrent_initializer: Initializer,
    pub(super) bias_initializer: Initializer,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) kernel_regularizer: Option<L1L2>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) recurrent_regularizer: Option<L1L2>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) bias_regularizer: Option<L1L2>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) activity_regularizer: Option<L1L2>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) kernel_constraint: Option<Constraint>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) recurrent_constraint: Option<Constraint>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) bias_constraint: Option<Constraint>,
}

impl Settings {
    /// Keras's defaults, but for the layers of which it has one.
    pub(super) fn new(cell: RecurrentCell, units: usize) -> Self {
        Settings {
            cell,
            units,
            projection: None,
            layer_norm: false,
            layers: 1,
            bidirectional: None,
            batch_first: true,
            return_sequences: false,
            use_bias: true,
            unit_forget_bias: cell.has_cell_state(),
            dropout: 0.0,
            recurrent_dropout: 0.0,
            stateful: false,
            twice_differentiable: false,
            kernel_initializer: Initializer::GlorotUniform,
            recurrent_initializer: Initializer::Orthogonal,
            bias_initializer: Initializer::Zeros,
            kernel_regularizer: None,
            recurrent_regularizer: None,
            bias_regularizer: None,
            activity_regularizer: None,
            kernel_constraint: None,
            recurrent_constraint: None,
            bias_constraint: None,
        }
    }

    /// PyTorch's first values: all of them uniform in ±1/√units.
    pub(super) fn uniform(&mut self) {
        let bound = 1.0 / (self.units.max(1) as f64).sqrt();
        let uniform = Initializer::Uniform { low: -bound, high: bound };
        self.kernel_initializer = uniform;
        self.recurrent_initializer = uniform;
        self.bias_initializer = uniform;
        self.unit_forget_bias = false;
    }

    pub(super) fn directions(&self) -> usize {
        if self.bidirectional.is_some() { 2 } else { 1 }
    }

    /// Fails where the settings make no sense.
    pub(super) fn check(&self) -> Result<()> {
        let &Settings { cell, units, layers, projection, dropout, recurrent_dropout, .. } = self;
        let refused = |message: String| Err(Error::value("build", message));
        if units == 0 || layers == 0 {
            return refused(format!("{layers} layers of {units} units: both must be above 0"));
        }
        if self.is_composed() && cell != RecurrentCell::Lstm {
            return refused(format!("the cell `{}` has no projection and no layer_norm: an LSTM has", cell.name()));
        }
        if let Some(size) = projection.filter(|size| !(1..units).contains(size)) {
            let expected = "a size from 1 to less than the units is expected";
            return refused(format!("a projection of {units} units to {size}: {expected}"));
        }
        for (what, rate) in [("dropout", dropout), ("recurrent_dropout", recurrent_dropout)] {
            if !(0.0..=1.0).contains(&rate) {
                return Err(Error::value(what, format!("a rate from 0 to 1 is expected, got {rate}")));
            }
        }
        for (what, regularizer) in [
            ("kernel_regularizer", self.kernel_regularizer),
            ("recurrent_regularizer", self.recurrent_regularizer),
            ("bias_regularizer", self.bias_regularizer),
            ("activity_regularizer", self.activity_regularizer),
        ] {
            regularizer.map_or(Ok(()), |regularizer| regularizer.check(what))?;
        }
        for (what, constraint, axes) in [
            ("kernel_constraint", &self.kernel_constraint, 2),
            ("recurrent_constraint", &self.recurrent_constraint, 2),
            ("bias_constraint", &self.bias_constraint, 1),
        ] {
            constraint.as_ref().map_or(Ok(()), |constraint| constraint.check(what, axes))?;
        }
        Ok(())
    }

    /// Numbers of the state h: what each direction gives at each step.
    pub(super) fn state(&self) -> usize {
        self.projection.unwrap_or(self.units)
    }

    /// Whether the cell is composed of Vars, as no kernel has it.
    pub(super) fn is_composed(&self) -> bool {
        self.projection.is_some() || self.layer_norm
    }

    /// Numbers that a layer gives at each step.
    pub(super) fn width(&self) -> usize {
        if self.bidirectional == Some(Merge::Concat) { self.state().saturating_mul(2) } else { self.state() }
    }
}
