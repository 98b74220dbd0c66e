//! Axes in a description: `1`, or `[1, 2]`.

use serde::{Deserialize, Deserializer};

#[derive(Deserialize)]
#[serde(untagged, expecting = "an axis, or a list of axes, is expected")]
enum Form {
    One(isize),
    Several(Vec<isize>),
}

impl From<Form> for Vec<isize> {
    fn from(form: Form) -> Self {
        match form {
            Form::One(axis) => vec![axis],
            Form::Several(axes) => axes,
        }
    }
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<isize>, D::Error> {
    Form::deserialize(deserializer).map(Vec::from)
}

/// Where there may be none.
pub(crate) fn optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<isize>>, D::Error> {
    Option::<Form>::deserialize(deserializer).map(|form| form.map(Vec::from))
}
