//! Metrics and callbacks by name.

use super::choice::{choose, set};
use super::section::{Named, Section};
use crate::goal::Training;
use crate::report::tell;
use kiln::prelude::*;
use kiln::train::{
    Accuracy, ActivationStatistics, Auc, AveragePrecision, BinaryAccuracy, ClassAverage, CohenKappa, CtcErrorRate,
    CtcExactMatch, Ema, ExactMatch, F1, GradientNorms, Iou, Mae, Mape, Matthews, Meter, Mse, MultilabelAccuracy,
    Perplexity, Precision, R2, Recall, ReduceOnPlateau, Rmse, Swa, TerminateOn, TopKAccuracy,
};

/// Adds the metric to the trainer.
pub(super) fn metric(named: &Named<'_>, trainer: Training) -> Result<Training> {
    macro_rules! of_classes {
        ($metric:ident, $s:ident) => {{
            let metric = set!($s, $metric::new(); threshold axis);
            let metric = if $s.or("from_logits", false)? { metric.from_logits() } else { metric };
            let metric = if $s.or("multilabel", false)? { metric.multilabel() } else { metric };
            trainer.metric(match average($s)? {
                Some(average) => metric.average(average),
                None => metric,
            })
        }};
    }
    macro_rules! of_logits {
        ($metric:ident, $s:ident; $($key:ident)*) => {{
            let logits = $s.or("from_logits", false)?;
            trainer.metric(set!($s, if logits { $metric::from_logits() } else { $metric::new() }; $($key)*))
        }};
    }
    let trainer = choose!(named, "metric", s;
        Accuracy => match s.get("axis")? {
            Some(axis) => trainer.metric(Accuracy.axis(axis)),
            None => trainer.metric(Accuracy),
        },
        Auc => trainer.metric(set!(s, Auc::new(); thresholds axis)),
        AveragePrecision => trainer.metric(set!(s, AveragePrecision::new(); thresholds axis)),
        BinaryAccuracy => of_logits!(BinaryAccuracy, s; threshold),
        CohenKappa => trainer.metric(set!(s, CohenKappa::new(); threshold axis)),
        CtcErrorRate => trainer.metric(set!(s, CtcErrorRate::new(); blank)),
        CtcExactMatch => trainer.metric(set!(s, CtcExactMatch::new(); blank)),
        ExactMatch => trainer.metric(ExactMatch),
        F1 => of_classes!(F1, s),
        Iou => trainer.metric(set!(s, Iou::new(); class threshold axis)),
        Mae => trainer.metric(Mae),
        Mape => trainer.metric(Mape),
        Matthews => trainer.metric(set!(s, Matthews::new(); threshold axis)),
        Mse => trainer.metric(Mse),
        MultilabelAccuracy => of_logits!(MultilabelAccuracy, s; threshold),
        Perplexity => of_logits!(Perplexity, s; axis ignore_index),
        Precision => of_classes!(Precision, s),
        R2 => trainer.metric(R2),
        Recall => of_classes!(Recall, s),
        Rmse => trainer.metric(Rmse),
        TopKAccuracy => trainer.metric(set!(s, TopKAccuracy::new(s.need("k")?); axis)),
    );
    named.settings.done()?;
    Ok(trainer)
}

fn average(settings: &Section<'_>) -> Result<Option<ClassAverage>> {
    let Some(name) = settings.get::<String>("average")? else { return Ok(None) };
    Ok(Some(match name.as_str() {
        "binary" => ClassAverage::Binary,
        "micro" => ClassAverage::Micro,
        "macro" => ClassAverage::Macro,
        "weighted" => ClassAverage::Weighted,
        _ => {
            let why = format!("binary, micro, macro or weighted is expected, got {name:?}");
            return Err(settings.wrong("average", &why));
        }
    }))
}

/// Refuses reports after every 0 steps.
fn check_every(settings: &Section<'_>) -> Result<()> {
    match settings.get::<u64>("every")? {
        Some(0) => Err(settings.wrong("every", "at least 1 step is expected")),
        _ => Ok(()),
    }
}

pub(super) fn callback(named: &Named<'_>) -> Result<Box<dyn Callback>> {
    /// A setter that takes `&str`.
    macro_rules! monitored {
        ($callback:expr, $s:ident; $($key:ident)*) => {{
            let callback = set!($s, $callback; $($key)*);
            match $s.get::<String>("monitor")? {
                Some(name) => callback.monitor(&name),
                None => callback,
            }
        }};
    }
    let callback: Box<dyn Callback> = choose!(named, "callback", s;
        EarlyStopping => Box::new(
            monitored!(EarlyStopping::new(), s; patience min_delta larger_is_better restore_best_weights)
        ),
        ActivationStatistics => {
            check_every(s)?;
            let statistics = set!(s, ActivationStatistics::new(); every);
            Box::new(statistics.warn(|dead| tell(&dead.to_string())))
        },
        Ema => Box::new(set!(s, Ema::new(s.or("decay", 0.999)?); every validates replaces)),
        GradientNorms => {
            check_every(s)?;
            Box::new(set!(s, GradientNorms::new(); every by_layer update_ratios))
        },
        Meter => {
            check_every(s)?;
            Box::new(set!(s, Meter::new(); every))
        },
        ReduceOnPlateau => {
            let callback = monitored!(ReduceOnPlateau::new(), s;
                larger_is_better factor patience threshold absolute_threshold cooldown least_rate);
            callback.check().map_err(|error| s.at(&error))?;
            Box::new(callback)
        },
        Swa => Box::new(set!(s, Swa::from_epoch(s.need("from_epoch")?); updates_batch_norm)),
        TerminateOn => Box::new(set!(s, TerminateOn::new(&s.need::<String>("monitor")?); below above)),
    );
    named.settings.done()?;
    Ok(callback)
}
