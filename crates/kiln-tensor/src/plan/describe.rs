//! What a plan says of itself.

use super::kept::BufferId;
use super::maps::{After, MapOperation};
use super::recorder::Step;
use super::step::Operation;
use super::{InputRanges, Plan};
use crate::cpu::maps;
use crate::{Result, Tensor, profile};
use std::time::{Duration, Instant};

/// A step of a plan.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct PlanStep {
    /// The layer: its path and type, as in profiles.
    pub layer: String,
    /// The kernel, with what follows in the same pass: `conv direct + normalize + relu`.
    pub kernel: String,
    /// How its output lies in memory: `nhwc`, or `planes` as a tensor's.
    pub layout: &'static str,
    /// Floating-point operations, where they are counted. A multiplication and an addition are two; those that Winograd's convolutions
    /// save are counted.
    pub flops: Option<u64>,
    /// Bytes of operands and results, as in profiles: those of the recorded operation, also where it is computed by integers.
    pub bytes: u64,
}

impl Step {
    fn describe(&self) -> PlanStep {
        let (kernel, layout) = match &self.operation {
            Operation::Map(map) => map.describe(self.name),
            _ => (self.name.to_owned(), "planes"),
        };
        PlanStep { layer: profile::label(self.layer), kernel, layout, flops: self.flops, bytes: self.bytes }
    }
}

impl Step {
    /// Of a filter: its input's map and the floats of that; none where the input is integers.
    fn filter_input(&self) -> Option<Option<(BufferId, usize)>> {
        match &self.operation {
            Operation::Map(MapOperation::Filter { filter, x, .. }) => Some(Some((*x, filter.input_len()))),
            Operation::Map(MapOperation::QuantizedFilter { .. }) => Some(None),
            _ => None,
        }
    }
}

impl MapOperation {
    fn describe(&self, name: &str) -> (String, &'static str) {
        let (mut kernel, after): (String, &[After]) = match self {
            MapOperation::Filter { filter, after, .. } => (format!("{name} {}", filter.way_name()), after),
            MapOperation::QuantizedFilter { after, .. } => (format!("{name} int8"), after),
            MapOperation::Apply { after, .. } => (String::new(), after),
            _ => (name.to_owned(), &[]),
        };
        for after in after {
            let name = match after {
                After::Bias(_) => "bias",
                After::Normalize(_) => "normalize",
                After::Residual(_) => "add",
                After::Relu => "relu",
                After::AtMost(_) => "at most",
                After::Scale(_) => "mul",
                After::Map(call) => call.op.name(),
            };
            kernel.push_str(if kernel.is_empty() { "" } else { " + " });
            kernel.push_str(name);
        }
        if matches!(self, MapOperation::QuantizedFilter { quantized: Some(_), .. }) {
            kernel.push_str(" + quantize");
        }
        (kernel, if matches!(self, MapOperation::Leave { .. }) { "planes" } else { "nhwc" })
    }
}

impl Plan {
    /// The steps in the order in which they run.
    pub fn steps(&self) -> Vec<PlanStep> {
        self.steps.iter().map(Step::describe).collect()
    }

    /// Floating-point operations of a run, as far as they are counted.
    pub fn flops(&self) -> u64 {
        self.steps.iter().filter_map(|step| step.flops).sum()
    }

    /// The convolutions and dense layers that work on maps, in the order of [`InputRanges`](super::InputRanges).
    pub fn filters(&self) -> Vec<PlanStep> {
        self.steps.iter().filter(|step| step.filter_input().is_some()).map(Step::describe).collect()
    }

    /// The least and the largest number of the input of each of the [filters](Plan::filters) in a run, 0 among them; none of those that
    /// are computed by integers.
    ///
    /// # Errors
    /// As [`Plan::run`].
    pub fn input_ranges(&self, inputs: &[Tensor]) -> Result<InputRanges> {
        let mut ranges = Vec::new();
        self.run_with(inputs, &mut |ended, memory| {
            let Some(input) = ended.and_then(|at| self.steps[at].filter_input()) else { return };
            // SAFETY: the step has just read this map, and nothing is written before the next one.
            ranges.push(input.map(|(x, floats)| unsafe { maps::range(memory, x, floats) }));
        })?;
        Ok(InputRanges(ranges))
    }

    /// How long each step takes: the shortest time of so many runs.
    ///
    /// # Errors
    /// As [`Plan::run`].
    pub fn time_steps(&self, inputs: &[Tensor], runs: usize) -> Result<Vec<Duration>> {
        let mut best = vec![Duration::MAX; self.steps.len()];
        for _ in 0..runs.max(1) {
            let mut last = Instant::now();
            self.run_with(inputs, &mut |ended, _| {
                let now = Instant::now();
                if let Some(at) = ended {
                    best[at] = best[at].min(now - last);
                }
                last = now;
            })?;
        }
        Ok(best)
    }
}
