//! Schedules by name.

use super::choice::{choose, set};
use super::section::{Named, Section};
use kiln::optim::{
    Constant, CosineDecay, CosineRestarts, CosineWarmup, Cyclic, ExponentialDecay, InverseSqrt, LinearWarmup,
    MultiStepDecay, OneCycle, Piecewise, PolynomialDecay, Schedule, StepDecay,
};
use kiln::prelude::*;

/// How many steps a training has.
#[derive(Clone, Copy)]
pub(crate) struct Steps {
    pub(crate) of_epoch: u64,
    pub(crate) all: u64,
}

/// The schedule and its settings. Numbers of steps are numbers of epochs with `unit = "epochs"`; `steps`, where it is left out, is what
/// there is after `warmup`.
pub(super) fn schedule(named: &Named<'_>, steps: Steps) -> Result<Box<dyn Schedule>> {
    let settings = &named.settings;
    let unit = match settings.or("unit", "steps".to_owned())?.as_str() {
        "steps" => 1,
        "epochs" => steps.of_epoch,
        other => return Err(settings.wrong("unit", &format!("\"steps\" or \"epochs\" is expected, got {other:?}"))),
    };
    let warmup = settings.get::<u64>("warmup")?.map(|warmup| warmup.saturating_mul(unit));
    let left = steps.all.saturating_sub(warmup.unwrap_or(0)).max(1);
    let clock = Clock { settings, unit, left };
    let schedule = plain(named, &clock)?;
    settings.done()?;
    schedule.check().map_err(|error| settings.at(&error))?;
    Ok(match warmup {
        // An inverse square root has a warm-up by itself.
        Some(warmup) if super::section::plain(named.name) != "inversesqrt" => {
            Box::new(LinearWarmup::new(warmup.max(1)).then(warmup, schedule))
        }
        _ => schedule,
    })
}

/// Reads numbers of steps.
struct Clock<'s, 'a> {
    settings: &'s Section<'a>,
    unit: u64,
    left: u64,
}

impl Clock<'_, '_> {
    fn get(&self, key: &'static str) -> Result<Option<u64>> {
        Ok(self.settings.get::<u64>(key)?.map(|steps| steps.saturating_mul(self.unit)))
    }

    fn need(&self, key: &'static str) -> Result<u64> {
        Ok(self.settings.need::<u64>(key)?.saturating_mul(self.unit))
    }

    fn list(&self, key: &'static str) -> Result<Vec<u64>> {
        let list: Vec<u64> = self.settings.need(key)?;
        Ok(list.into_iter().map(|steps| steps.saturating_mul(self.unit)).collect())
    }

    /// `steps`, or all that are left.
    fn steps(&self) -> Result<u64> {
        Ok(self.get("steps")?.unwrap_or(self.left))
    }
}

fn plain(named: &Named<'_>, c: &Clock<'_, '_>) -> Result<Box<dyn Schedule>> {
    Ok(choose!(named, "schedule", s;
        Constant => Box::new(Constant::new(s.need("factor")?)),
        CosineDecay => Box::new(set!(s, CosineDecay::new(c.steps()?); floor)),
        CosineRestarts => Box::new(set!(s, CosineRestarts::new(c.steps()?); growth floor)),
        CosineWarmup => Box::new(CosineWarmup::new(c.steps()?)),
        Cyclic => {
            let cyclic = Cyclic::new(c.need("up")?, s.need("floor")?);
            let cyclic = match c.get("down")? {
                Some(down) => cyclic.down(down),
                None => cyclic,
            };
            Box::new(set!(s, cyclic; cycle_factor step_factor))
        },
        ExponentialDecay => Box::new(ExponentialDecay::new(c.steps()?, s.need("factor")?)),
        InverseSqrt => Box::new(InverseSqrt::new(c.need("warmup")?)),
        LinearWarmup => Box::new(LinearWarmup::new(c.steps()?)),
        MultiStepDecay => Box::new(MultiStepDecay::new(c.list("milestones")?, s.need("factor")?)),
        OneCycle => Box::new(set!(s, OneCycle::new(c.steps()?); rise division final_division)),
        Piecewise => Box::new(Piecewise::new(c.list("boundaries")?, s.need::<Vec<f64>>("factors")?)),
        PolynomialDecay => Box::new(set!(s, PolynomialDecay::new(c.steps()?); power floor)),
        StepDecay => Box::new(StepDecay::new(c.need("every")?, s.need("factor")?)),
    ))
}
