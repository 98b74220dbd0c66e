//! Hyperparameters of a training.

use crate::Run;

/// The value of a hyperparameter.
#[derive(Clone, PartialEq, Debug)]
pub enum HyperParameter {
    /// A number.
    Number(f64),
    /// A name.
    Text(String),
    /// Whether something is on.
    Flag(bool),
}

macro_rules! from {
    ($($type:ty, $value:ident => $made:expr;)+) => {$(
        impl From<$type> for HyperParameter {
            fn from($value: $type) -> Self {
                $made
            }
        }
    )+};
}
from! {
    f64, value => HyperParameter::Number(value);
    i32, value => HyperParameter::Number(f64::from(value));
    usize, value => HyperParameter::Number(value as f64);
    bool, value => HyperParameter::Flag(value);
    String, value => HyperParameter::Text(value);
    &str, value => HyperParameter::Text(value.to_owned());
}

/// What is known of any training, then what the user says; the user's value of a name counts.
pub(super) fn all(run: &Run<'_>, own: &[(String, HyperParameter)]) -> Vec<(String, HyperParameter)> {
    let known: [(&str, HyperParameter); 4] = [
        ("optimizer", run.optimizer.name().into()),
        ("learning_rate", run.optimizer.learning_rate().into()),
        ("batch_size", run.batch_size.into()),
        ("seed", HyperParameter::Number(run.state.seed as f64)),
    ];
    let known = known.into_iter().filter(|(name, _)| own.iter().all(|(given, _)| given != name));
    known.map(|(name, value)| (name.to_owned(), value)).chain(own.iter().cloned()).collect()
}
