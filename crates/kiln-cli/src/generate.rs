//! `kiln generate`.

use crate::arguments::GenerateOptions;
use crate::pool::in_pool;
use crate::recipes::{Recipe, vocabulary};
use crate::report::{line, plain, print};
use crate::run_folder::Run;
use kiln::ErrorKind;
use kiln::prelude::*;
use serde_json::json;

pub(crate) fn run(options: &GenerateOptions) -> Result<()> {
    in_pool(options.computing.threads, || {
        let device = options.computing.device.open()?;
        device.session(|| generate(options, &device))
    })
}

/// A model that is being read to, one character after the other.
struct Writer {
    model: Sequential,
    device: Device,
    temperature: f64,
    stream: RandomStream,
}

impl Writer {
    /// Reads tokens; what it expects next is drawn.
    fn next(&mut self, tokens: &[i64]) -> Result<i64> {
        let x = Tensor::from_slice(tokens, [1, tokens.len()], &self.device)?;
        // Layers that are stateful go on from where the call before ended.
        let logits = self.model.forward(&x, &Ctx::eval())?.into_tensor().index(1, tokens.len() - 1)?;
        let sharpness = 1.0 / self.temperature;
        if !sharpness.is_finite() {
            // At 0, and so near to it that nothing else is left.
            return logits.argmax(-1)?.item().map(|token| token as i64);
        }
        let chances = logits.to_dtype(DType::F64)?.mul_scalar(sharpness)?.softmax(-1)?.to_f64_vec()?;
        let mut left = self.stream.uniform_f64();
        for (token, chance) in chances.iter().enumerate() {
            left -= chance;
            if left < 0.0 {
                return Ok(token as i64);
            }
        }
        // What rounding left over.
        Ok(chances.len() as i64 - 1)
    }
}

fn generate(options: &GenerateOptions, device: &Device) -> Result<()> {
    let Run { recipe, model, description, .. } = Run::open(&options.run, options.accept_changed, device)?;
    if recipe != Recipe::CharLstm {
        let message = format!("{}: {} writes no text; char-lstm does", description.display(), recipe.name());
        return Err(Error::new(ErrorKind::Unsupported, "", message));
    }
    let vocabulary = vocabulary();
    let prompt = vocabulary
        .encode(&options.prompt)
        .map_err(|error| Error::new(error.kind(), "", format!("--prompt: {}", error.message())))?;
    let stream = RandomStream::new(options.seed, Purpose::Data, 0);
    model.reset_states();
    let mut writer = Writer { model, device: device.clone(), temperature: options.temperature, stream };
    let mut text = String::new();
    let mut token = writer.next(&prompt)?;
    let show = |text: &str| {
        if !options.json {
            // As it is written.
            print(format_args!("{text}"));
        }
    };
    show(&options.prompt);
    for _ in 0..options.length.get() {
        let character = vocabulary.decode(&[token])?;
        show(&character);
        text += &character;
        token = writer.next(&[token])?;
    }
    if options.json {
        line(&json!({
            "result": "generate",
            "prompt": options.prompt,
            "text": text,
            "temperature": options.temperature,
            "seed": options.seed,
        }));
    } else {
        plain("");
    }
    Ok(())
}
