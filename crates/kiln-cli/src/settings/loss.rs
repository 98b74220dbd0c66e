//! Losses by name.

use super::choice::{choose, set};
use super::section::Named;
use kiln::nn::losses::all::*;
use kiln::prelude::*;

/// The loss and its settings. `from_logits = true` is for a model whose last layer has no softmax or sigmoid.
pub(super) fn loss(named: &Named<'_>) -> Result<Box<dyn Loss>> {
    let weights: Option<Vec<f64>> = named.settings.get("class_weights")?;
    let loss = unweighted(named)?;
    let loss = match weights {
        Some(weights) => Box::new(ClassWeighted::new(loss, &weights)) as _,
        None => loss,
    };
    named.settings.done()?;
    Ok(loss)
}

fn unweighted(named: &Named<'_>) -> Result<Box<dyn Loss>> {
    macro_rules! of_logits {
        ($loss:ident, $settings:ident; $($key:ident)*) => {{
            let logits = $settings.or("from_logits", false)?;
            Box::new(set!($settings, if logits { $loss::from_logits() } else { $loss::new() }; $($key)*))
        }};
    }
    macro_rules! of_logarithms {
        ($loss:ident, $settings:ident) => {
            Box::new(if $settings.or("from_log", false)? { $loss::from_log() } else { $loss::new() })
        };
    }
    Ok(choose!(named, "loss", s;
        BinaryCrossentropy => {
            let positive: Option<Vec<f64>> = s.get("pos_weight")?;
            let logits = s.or("from_logits", false)?;
            let loss = if logits { BinaryCrossentropy::from_logits() } else { BinaryCrossentropy::new() };
            let loss = set!(s, loss; label_smoothing);
            Box::new(match positive {
                Some(weights) => loss.pos_weight(&weights),
                None => loss,
            })
        },
        BinaryFocal => of_logits!(BinaryFocal, s; gamma alpha),
        CategoricalCrossentropy => of_logits!(CategoricalCrossentropy, s; label_smoothing axis),
        CategoricalFocal => of_logits!(CategoricalFocal, s; gamma alpha axis),
        CategoricalHinge => Box::new(set!(s, CategoricalHinge::new(); axis)),
        CosineSimilarity => Box::new(set!(s, CosineSimilarity::new(); axis)),
        Ctc => Box::new(set!(s, Ctc::new(); blank)),
        Dice => Box::new(set!(s, Dice::new(); smooth)),
        GaussianNll => of_logarithms!(GaussianNll, s),
        Hinge => Box::new(Hinge::new()),
        Huber => Box::new(set!(s, Huber::new(); delta)),
        KlDivergence => of_logits!(KlDivergence, s; axis),
        LogCosh => Box::new(LogCosh::new()),
        MeanAbsoluteError => Box::new(MeanAbsoluteError::new()),
        MeanAbsolutePercentageError => Box::new(MeanAbsolutePercentageError::new()),
        MeanSquaredError => Box::new(MeanSquaredError::new()),
        MeanSquaredLogarithmicError => Box::new(MeanSquaredLogarithmicError::new()),
        Nll => Box::new(set!(s, Nll::new(); axis ignore_index)),
        PoissonNll => of_logarithms!(PoissonNll, s),
        SmoothL1 => Box::new(set!(s, SmoothL1::new(); beta)),
        SparseCategoricalCrossentropy => of_logits!(SparseCategoricalCrossentropy, s; label_smoothing axis ignore_index z_loss),
        SquaredHinge => Box::new(SquaredHinge::new()),
    ))
}
