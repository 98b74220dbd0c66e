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
        Some(warmup) if named.which("schedule", NAMES)? != "InverseSqrt" => {
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

macro_rules! schedules {
    ($named:ident, $s:ident; $($name:ident => $made:expr),+ $(,)?) => {
        const NAMES: &[&str] = &[$(stringify!($name)),+];

        fn plain($named: &Named<'_>, clock: &Clock<'_, '_>) -> Result<Box<dyn Schedule>> {
            #[allow(clippy::redundant_closure_call)]
            Ok(choose!($named, "schedule", $s; $($name => ($made)($s, clock)?),+))
        }
    };
}

schedules! { named, s;
    Constant => |s: &Section<'_>, _: &Clock<'_, '_>| boxed(Constant::new(s.need("factor")?)),
    CosineDecay => |s: &Section<'_>, c: &Clock<'_, '_>| boxed(set!(s, CosineDecay::new(c.steps()?); floor)),
    CosineRestarts => |s: &Section<'_>, c: &Clock<'_, '_>| boxed(set!(s, CosineRestarts::new(c.steps()?); growth floor)),
    CosineWarmup => |_: &Section<'_>, c: &Clock<'_, '_>| boxed(CosineWarmup::new(c.steps()?)),
    Cyclic => |s: &Section<'_>, c: &Clock<'_, '_>| {
        let cyclic = Cyclic::new(c.need("up")?, s.need("floor")?);
        let cyclic = match c.get("down")? {
            Some(down) => cyclic.down(down),
            None => cyclic,
        };
        boxed(set!(s, cyclic; cycle_factor step_factor))
    },
    ExponentialDecay => |s: &Section<'_>, c: &Clock<'_, '_>| boxed(ExponentialDecay::new(c.steps()?, s.need("factor")?)),
    InverseSqrt => |_: &Section<'_>, c: &Clock<'_, '_>| boxed(InverseSqrt::new(c.need("warmup")?)),
    LinearWarmup => |_: &Section<'_>, c: &Clock<'_, '_>| boxed(LinearWarmup::new(c.steps()?)),
    MultiStepDecay => |s: &Section<'_>, c: &Clock<'_, '_>| {
        boxed(MultiStepDecay::new(c.list("milestones")?, s.need("factor")?))
    },
    OneCycle => |s: &Section<'_>, c: &Clock<'_, '_>| {
        boxed(set!(s, OneCycle::new(c.steps()?); rise division final_division))
    },
    Piecewise => |s: &Section<'_>, c: &Clock<'_, '_>| {
        boxed(Piecewise::new(c.list("boundaries")?, s.need::<Vec<f64>>("factors")?))
    },
    PolynomialDecay => |s: &Section<'_>, c: &Clock<'_, '_>| {
        boxed(set!(s, PolynomialDecay::new(c.steps()?); power floor))
    },
    StepDecay => |s: &Section<'_>, c: &Clock<'_, '_>| boxed(StepDecay::new(c.need("every")?, s.need("factor")?)),
}

fn boxed(schedule: impl Schedule + 'static) -> Result<Box<dyn Schedule>> {
    Ok(Box::new(schedule))
}
