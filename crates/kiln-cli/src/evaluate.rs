//! `kiln evaluate`.

use crate::arguments::EvaluateOptions;
use crate::confusion::Confusion;
use crate::drawing;
use crate::pool::in_pool;
use crate::report::{add, line, measured, plain, tell};
use crate::run_folder::{Run, expect};
use crate::settings::{Prepared, Setup};
use kiln::ErrorKind;
use kiln::prelude::*;
use kiln::store::write_atomically;
use kiln::train::{EvaluateOptions as Batches, Evaluation};
use kiln::trained::Input;
use serde_json::json;
use std::num::NonZeroUsize;

/// The most classes of which a table is printed.
const MOST_CLASSES: usize = 200;

pub(crate) fn run(options: &EvaluateOptions) -> Result<()> {
    in_pool(options.opening.computing.threads, || evaluate(options))
}

fn evaluate(options: &EvaluateOptions) -> Result<()> {
    let device = options.opening.computing.device.open()?;
    let mut run = Run::open(&options.run, options.opening.accept_changed, &device)?;
    let model = std::mem::take(&mut run.trained.model);
    let setup = Setup { data: options.data.as_deref(), device: &device, learned: Some(&run.trained) };
    let mut settings = run.settings()?.clone();
    if let Some(file) = &options.data {
        settings.set_table(file)?;
    }
    let prepared = settings.prepare_trained(model, &setup)?;
    if options.data.is_none() && settings.has_path() {
        settings.expect_counts(&prepared.data)?;
    }
    let Prepared { trainer, data, plan, .. } = &prepared;
    data.notices.iter().for_each(|notice| tell(notice));
    let of = format!("the test {}", data.called);
    // The shape of texts is the length of the longest in this part, which may be another than the training's.
    if !matches!(data.input, Some(Input::Text(_))) {
        expect(&run.description, trainer.objective.takes(), &of, data.test.input_shape())?;
    }
    let batch_size = options.batch_size.map_or(plan.batch_size, NonZeroUsize::get);
    let evaluation = trainer.evaluate_with(&*data.test, Batches::new().batch_size(batch_size))?;
    if data.classes.is_empty() || data.classes.len() > MOST_CLASSES {
        return without_classes(options, &run, &prepared, &evaluation, device.name());
    }
    let mut confusion = Confusion::new(data.classes.clone());
    let batches = Loader::new(&*data.test).batch_size(batch_size).device(&device);
    device.session(|| {
        batches.epoch(0, |batches| {
            for batch in batches {
                count(&mut confusion, &prepared, &batch?)?;
            }
            Ok(())
        })
    })?;
    if let Some(out) = &options.out {
        let title = format!("accuracy {:.4} of {} {}", confusion.accuracy(), data.test.len(), data.called);
        write_atomically(out, &drawing::confusion(&confusion, &title)?)?;
    }
    if options.json {
        let classes = confusion.names.iter().enumerate().map(|(class, name)| {
            let (images, accuracy) = confusion.class(class);
            json!({ "class": name, "images": images, "accuracy": accuracy })
        });
        let mut object =
            json!({ "result": "evaluate", "test_accuracy": confusion.accuracy(), "test_loss": evaluation.loss });
        add(&mut object, "test_", &evaluation);
        object["images"] = data.test.len().into();
        object["classes"] = classes.collect();
        object["confusion"] = json!(confusion.counts);
        object["device"] = device.name().into();
        line(&object);
        return Ok(());
    }
    plain(confusion.table().trim_end());
    plain("(a row is a class, its columns are what it was taken for)");
    if let Some(out) = &options.out {
        plain(&format!("drawn to {}", out.display()));
    }
    plain(&measured("test ", &evaluation));
    Ok(())
}

/// Counts what the samples of a batch were taken for.
fn count(confusion: &mut Confusion, prepared: &Prepared, batch: &Batch) -> Result<()> {
    let mut inputs = kiln::nn::Value::from(&batch.inputs);
    if let (kiln::nn::Value::One(_, mask), Some(given)) = (&mut inputs, batch.masks.first()) {
        *mask = given.clone().map(Into::into);
    }
    let outputs = prepared.trainer.objective.model().forward(inputs, &prepared.trainer.eval_ctx())?.into_tensor();
    let predicted = classes_of(&outputs, prepared.logits)?;
    let classes = batch.targets.to_dtype(DType::I64)?.to_vec::<i64>()?;
    classes.iter().zip(&predicted).for_each(|(&class, &said)| confusion.add(class as usize, said as usize));
    Ok(())
}

/// The class of each sample by a model's outputs: probabilities, or logits.
pub(crate) fn classes_of(outputs: &Tensor, logits: bool) -> Result<Vec<i64>> {
    let middle = if logits { 0.0 } else { 0.5 };
    match outputs.dims() {
        // One probability: that of the second class.
        [_] | [_, 1] => Ok(outputs.to_f64_vec()?.into_iter().map(|p| i64::from(p > middle)).collect()),
        _ => outputs.argmax(-1)?.to_vec(),
    }
}

/// What there is to say of a model whose samples have no classes.
fn without_classes(
    options: &EvaluateOptions,
    run: &Run,
    prepared: &Prepared,
    evaluation: &Evaluation,
    device: &str,
) -> Result<()> {
    if let Some(out) = &options.out {
        let message = format!(
            "--out {}: {} has no classes to be confused, or more than such a picture can show",
            out.display(),
            run.name()
        );
        return Err(Error::new(ErrorKind::Unsupported, "", message));
    }
    // Of a text in characters, the loss in bits is what is compared.
    let bits = prepared.data.is_of_characters().then_some(evaluation.loss / std::f64::consts::LN_2);
    if options.json {
        let samples = prepared.data.test.len();
        let mut object =
            json!({ "result": "evaluate", "test_loss": evaluation.loss, "samples": samples, "device": device });
        add(&mut object, "test_", evaluation);
        if let Some(r2) = evaluation.metric("r2") {
            object["r2"] = r2.into();
        }
        if let Some(bits) = bits {
            object["bits_per_character"] = bits.into();
        }
        line(&object);
        return Ok(());
    }
    let bits = bits.map_or_else(String::new, |bits| format!("bits per character {bits:.4}  "));
    plain(&format!("{bits}{}", measured("test ", evaluation)));
    Ok(())
}
