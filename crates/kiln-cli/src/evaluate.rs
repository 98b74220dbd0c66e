//! `kiln evaluate`.

use crate::arguments::EvaluateOptions;
use crate::confusion::Confusion;
use crate::drawing;
use crate::pool::in_pool;
use crate::recipes::{Recipe, Setup};
use crate::report::{accuracy, line, plain};
use crate::run_folder::Run;
use crate::train::data_folder;
use kiln::ErrorKind;
use kiln::prelude::*;
use kiln::store::write_atomically;
use kiln::train::{EvaluateOptions as Batches, Evaluation};
use serde_json::json;
use std::num::NonZeroUsize;

pub(crate) fn run(options: &EvaluateOptions) -> Result<()> {
    in_pool(options.computing.threads, || evaluate(options))
}

fn evaluate(options: &EvaluateOptions) -> Result<()> {
    let device = options.computing.device.open()?;
    let mut run = Run::open(&options.run, options.accept_changed, &device)?;
    let data = data_folder(run.recipe, options.data.as_deref());
    let setup = Setup { data: data.as_deref(), device: &device, seed: 0, learning_rate: None };
    let mut prepared = run.recipe.prepare(&setup)?;
    *prepared.trainer.objective.model_mut() = std::mem::take(&mut run.model);
    let of = format!("the test {}", run.recipe.samples());
    run.expect(prepared.trainer.objective.takes(), &of, prepared.test.input_shape())?;
    let (trainer, test) = (&prepared.trainer, &*prepared.test);
    let batch_size = options.batch_size.map(NonZeroUsize::get).or(run.batch_size).unwrap_or(prepared.batch_size);
    let at_a_time = Batches::new().batch_size(batch_size);
    let evaluation = trainer.evaluate_with(test, at_a_time)?;
    if run.recipe.classes().is_empty() {
        return without_classes(options, run.recipe, &evaluation, test.len(), device.name());
    }
    let mut confusion = Confusion::new(run.recipe.classes());
    let batches = Loader::new(test).batch_size(batch_size).device(&device);
    device.session(|| {
        batches.epoch(0, |batches| {
            for batch in batches {
                let batch = batch?;
                let outputs = trainer.objective.model().forward(&batch.inputs, &Ctx::eval())?.into_tensor();
                let predicted = outputs.argmax(-1)?.to_vec::<i64>()?;
                let classes = batch.targets.to_dtype(DType::I64)?.to_vec::<i64>()?;
                classes.iter().zip(&predicted).for_each(|(&class, &said)| confusion.add(class as usize, said as usize));
            }
            Ok(())
        })
    })?;
    if let Some(out) = &options.out {
        let title = format!("accuracy {:.4} of {} images", evaluation.accuracy(), test.len());
        write_atomically(out, &drawing::confusion(&confusion, &title)?)?;
    }
    if options.json {
        let classes = confusion.names.iter().enumerate().map(|(class, name)| {
            let (images, accuracy) = confusion.class(class);
            json!({ "class": name, "images": images, "accuracy": accuracy })
        });
        line(&json!({
            "result": "evaluate",
            "test_accuracy": evaluation.accuracy(),
            "test_loss": evaluation.loss,
            "images": test.len(),
            "classes": classes.collect::<Vec<_>>(),
            "confusion": confusion.counts,
            "device": device.name(),
        }));
        return Ok(());
    }
    plain(confusion.table().trim_end());
    plain("(a row is a class, its columns are what it was taken for)");
    if let Some(out) = &options.out {
        plain(&format!("drawn to {}", out.display()));
    }
    plain(&format!("test accuracy {:.4}  test loss {:.4}", evaluation.accuracy(), evaluation.loss));
    Ok(())
}

/// What there is to say of a model whose samples have no classes.
fn without_classes(
    options: &EvaluateOptions,
    recipe: Recipe,
    evaluation: &Evaluation,
    samples: usize,
    device: &str,
) -> Result<()> {
    if let Some(out) = &options.out {
        let message = format!("--out {}: {} has no classes to be confused", out.display(), recipe.name());
        return Err(Error::new(ErrorKind::Unsupported, "", message));
    }
    // Of a text in characters, the loss in bits is what is compared.
    let bits = (recipe == Recipe::CharLstm).then_some(evaluation.loss / std::f64::consts::LN_2);
    if options.json {
        let mut object =
            json!({ "result": "evaluate", "test_loss": evaluation.loss, "samples": samples, "device": device });
        if let Some(accuracy) = evaluation.metric("accuracy") {
            object["test_accuracy"] = accuracy.into();
        }
        if let Some(bits) = bits {
            object["bits_per_character"] = bits.into();
        }
        line(&object);
        return Ok(());
    }
    let bits = bits.map_or_else(String::new, |bits| format!("bits per character {bits:.4}  "));
    let accuracy = accuracy("test accuracy", evaluation);
    let gap = if accuracy.is_empty() { "" } else { "  " };
    plain(&format!("{bits}{accuracy}{gap}test loss {:.4}", evaluation.loss));
    Ok(())
}
