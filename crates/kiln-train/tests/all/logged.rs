//! A callback that notes what others report.

use kiln_nn::Stateful;
use kiln_tensor::Result;
use kiln_train::*;

/// Step, name and value of each number.
#[derive(Default)]
pub(crate) struct Logged {
    pub(crate) lines: Vec<(u64, String, f64)>,
}

impl Logged {
    /// The value that was reported at a step.
    pub(crate) fn value(&self, name: &str, step: u64) -> f64 {
        let found = self.lines.iter().find(|(at, known, _)| (*at, known.as_str()) == (step, name));
        found.unwrap_or_else(|| panic!("no {name} at step {step}: {:?}", self.lines)).2
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.lines.iter().any(|(_, known, _)| known == name)
    }
}

/// Steps and values of one name.
pub(crate) fn by_name(logged: &Logged, name: &str) -> Vec<(u64, f64)> {
    logged.lines.iter().filter(|(_, known, _)| known == name).map(|(step, _, value)| (*step, *value)).collect()
}

impl Callback for Logged {
    fn on_log(&mut self, run: &mut Run<'_>, scalars: &[Scalar]) -> Result<()> {
        self.lines.extend(scalars.iter().map(|scalar| (run.state.step, scalar.name.to_string(), scalar.value)));
        Ok(())
    }
}

/// All of a trainer's state, bit for bit, without the time it took.
pub(crate) fn bits_of(trainer: &impl Stateful) -> Vec<(String, Vec<u64>)> {
    let state = trainer.state_dict().unwrap().into_iter().filter(|(name, _)| !name.ends_with(".seconds"));
    state.map(|(name, value)| (name, value.to_f64_vec().unwrap().into_iter().map(f64::to_bits).collect())).collect()
}
