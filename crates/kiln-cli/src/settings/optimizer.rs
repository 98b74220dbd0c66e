//! Optimizers by name.

use super::choice::{choose, set};
use super::section::{Named, Section};
use kiln::optim::{
    Adadelta, Adafactor, Adagrad, Adam, AdamW, Adamax, AmsGrad, Clip, Group, Lamb, Lion, Lookahead, Muon, NAdam,
    Optimizer, RAdam, RmsProp, Sam, Sgd,
};
use kiln::prelude::*;

/// The optimizer and its settings: `lr`, those of its kind, `clip_norm` or `clip_value`, `decay_biases_and_norms`, `groups`, `lookahead`,
/// `sam`.
pub(super) fn optimizer(named: &Named<'_>) -> Result<Box<dyn Optimizer>> {
    let settings = &named.settings;
    let mut optimizer = plain(named)?;
    if !settings.or("decay_biases_and_norms", true)? {
        optimizer = Box::new(optimizer.no_decay_on_biases_and_norms());
    }
    for group in settings.sections("groups")? {
        let pattern: String = group.need("pattern")?;
        let of = set!(group, Group::new(); weight_decay frozen);
        let of = match group.get("lr_scale")? {
            Some(scale) => of.learning_rate_scale(scale),
            None => of,
        };
        group.done()?;
        optimizer = Box::new(optimizer.group(pattern.as_str(), of));
    }
    if let Some(max) = settings.get("clip_norm")? {
        optimizer = Box::new(optimizer.clip_norm(max));
    }
    if let Some(max) = settings.get("clip_value")? {
        optimizer = Box::new(optimizer.clip_value(max));
    }
    if settings.has("lookahead") {
        let of = settings.section("lookahead")?;
        optimizer = Box::new(Lookahead::new(optimizer, of.or("every", 5)?, of.or("alpha", 0.5)?));
        of.done()?;
    }
    if settings.has("sam") {
        let of = settings.section("sam")?;
        optimizer = Box::new(Sam::new(optimizer, of.or("rho", 0.05)?).adaptive(of.or("adaptive", false)?));
        of.done()?;
    }
    settings.done()?;
    Ok(optimizer)
}

fn plain(named: &Named<'_>) -> Result<Box<dyn Optimizer>> {
    /// The optimizer at `lr`, or at the rate that its paper or PyTorch takes.
    macro_rules! at {
        ($optimizer:ident, $settings:ident, $rate:literal; $($key:ident)*) => {
            Box::new(set!($settings, $optimizer::new($settings.or("lr", $rate)?); $($key)*))
        };
        ($optimizer:ident, $settings:ident, $rate:literal, betas; $($key:ident)*) => {{
            let made = $optimizer::new($settings.or("lr", $rate)?);
            let made = match betas($settings)? {
                Some([first, second]) => made.betas(first, second),
                None => made,
            };
            Box::new(set!($settings, made; $($key)*))
        }};
    }
    Ok(choose!(named, "optimizer", s;
        Adadelta => at!(Adadelta, s, 1.0; rho epsilon weight_decay),
        Adafactor => at!(Adafactor, s, 0.01; relative_step scale_parameter decay clip_threshold beta1 weight_decay),
        Adagrad => at!(Adagrad, s, 0.01; decay epsilon weight_decay),
        Adam => at!(Adam, s, 0.001, betas; epsilon weight_decay),
        AdamW => at!(AdamW, s, 0.001, betas; epsilon weight_decay),
        Adamax => at!(Adamax, s, 0.002, betas; epsilon weight_decay),
        AmsGrad => at!(AmsGrad, s, 0.001, betas; epsilon weight_decay),
        Lamb => at!(Lamb, s, 0.001, betas; epsilon weight_decay),
        Lion => at!(Lion, s, 0.0001, betas; weight_decay),
        Muon => {
            let made = Muon::new(s.or("lr", 0.02)?);
            let made = match s.get::<String>("adamw")? {
                Some(pattern) => made.adamw(pattern),
                None => made,
            };
            Box::new(set!(s, made; momentum nesterov match_adamw weight_decay))
        },
        NAdam => at!(NAdam, s, 0.002, betas; epsilon momentum_decay weight_decay),
        RAdam => at!(RAdam, s, 0.001, betas; epsilon weight_decay),
        RmsProp => at!(RmsProp, s, 0.001; alpha epsilon momentum centered weight_decay),
        Sgd => at!(Sgd, s, 0.01; momentum dampening nesterov weight_decay),
    ))
}

fn betas(settings: &Section<'_>) -> Result<Option<[f64; 2]>> {
    settings.get("betas")
}
