//! The trials of a sweep: which settings are tried. They follow from the plan alone.

use super::parameter::Parameter;
use super::plan::{Method, Plan};
use super::schedule::hyperband;
use crate::settings::Node;
use kiln::math::{Purpose, RandomStream};
use kiln::{Error, Result};
use std::collections::HashSet;

/// More are not begun.
pub(super) const MOST: usize = 10_000;

/// How often a trial is drawn anew that is the same as one before.
const DRAWS: u64 = 10_000;

/// The values of the parameters, in their order.
pub(super) type Choice = Vec<Node>;

/// The settings of all trials, in order.
pub(super) fn trials(plan: &Plan) -> Result<Vec<Choice>> {
    match plan.method {
        Method::Grid => grid(&plan.parameters),
        Method::Random { trials, seed } => random(&plan.parameters, trials, seed),
        Method::Hyperband { eta, seed } => {
            let count = hyperband(plan.epochs, eta).iter().map(|bracket| bracket.trials()).sum();
            random(&plan.parameters, count, seed)
        }
    }
}

/// All combinations; the last parameter changes first.
fn grid(parameters: &[Parameter]) -> Result<Vec<Choice>> {
    let mut trials: Vec<Choice> = vec![Vec::new()];
    for parameter in parameters {
        let values = parameter.values.grid(&parameter.path)?;
        too_many(trials.len().saturating_mul(values.len()))?;
        let with = |trial: &Choice| {
            values.iter().map(|value| [trial, std::slice::from_ref(value)].concat()).collect::<Vec<_>>()
        };
        trials = trials.iter().flat_map(with).collect();
    }
    Ok(trials)
}

/// Draws of which no two are the same. Trial i is the same whatever number of trials is asked for.
fn random(parameters: &[Parameter], count: usize, seed: u64) -> Result<Vec<Choice>> {
    too_many(count)?;
    let counts = parameters.iter().map(|parameter| parameter.values.count());
    let all = counts.reduce(|a, b| a?.checked_mul(b?)).flatten();
    if let Some(all) = all.filter(|&all| all < count as u64) {
        let message = format!(
            "{count} trials are asked for and the parameters have {all} combinations only: ask for fewer, or take `method = \"grid\"`"
        );
        return Err(Error::value("", message));
    }
    let (mut seen, mut trials) = (HashSet::new(), Vec::new());
    for place in 0.. {
        if trials.len() == count {
            break;
        }
        if place > (trials.len() as u64 + 1) * DRAWS {
            let message =
                format!("of {count} trials no more than {} different ones were drawn: ask for fewer", trials.len());
            return Err(Error::value("", message));
        }
        let mut stream = RandomStream::new(seed, Purpose::Data, place);
        let trial: Choice = parameters.iter().map(|parameter| parameter.values.draw(&mut stream)).collect();
        if seen.insert(trial.iter().map(Node::to_toml).collect::<Vec<_>>()) {
            trials.push(trial);
        }
    }
    Ok(trials)
}

fn too_many(count: usize) -> Result<()> {
    if count <= MOST {
        return Ok(());
    }
    Err(Error::value("", format!("the sweep has {count} trials, at most {MOST} are possible: search fewer values")))
}

#[cfg(test)]
mod tests {
    use super::super::parameter::parameters;
    use super::*;
    use std::path::Path;

    fn of(text: &str) -> Vec<Parameter> {
        parameters(&Node::parse(text, Path::new("my.toml")).unwrap()).unwrap()
    }

    fn texts(trials: &[Choice]) -> Vec<String> {
        let text = |trial: &Choice| trial.iter().map(Node::to_toml).collect::<Vec<_>>().join(" ");
        trials.iter().map(text).collect()
    }

    #[test]
    fn a_grid_has_all_combinations() {
        let trials = grid(&of("a = [1, 2]\nb = [\"x\", \"y\", \"z\"]")).unwrap();
        assert_eq!(texts(&trials), ["1 \"x\"", "1 \"y\"", "1 \"z\"", "2 \"x\"", "2 \"y\"", "2 \"z\""]);
        let error = grid(&of("a = { min = 1, max = 200 }\nb = { min = 1, max = 200 }")).unwrap_err();
        assert!(error.message().starts_with("the sweep has 40000 trials"), "{error}");
    }

    #[test]
    fn draws_are_a_function_of_the_seed() {
        let parameters = of("a = { min = 0.1, max = 1.0 }\nb = [1, 2, 3]");
        let (few, many) = (random(&parameters, 5, 7).unwrap(), random(&parameters, 50, 7).unwrap());
        assert_eq!(texts(&few), texts(&many[..5]));
        assert_ne!(texts(&few), texts(&random(&parameters, 5, 8).unwrap()));
    }

    #[test]
    fn no_two_draws_are_the_same() {
        let parameters = of("a = [1, 2, 3]\nb = [1, 2]");
        let mut all = texts(&random(&parameters, 6, 0).unwrap());
        all.sort();
        assert_eq!(all, ["1 1", "1 2", "2 1", "2 2", "3 1", "3 2"]);
        let error = random(&parameters, 7, 0).unwrap_err();
        assert!(error.message().starts_with("7 trials are asked for and the parameters have 6 combinations only"));
        // Some choices that look different are the same.
        assert!(random(&of("a = [1, 1]"), 2, 0).unwrap_err().message().contains("no more than 1 different"));
    }
}
