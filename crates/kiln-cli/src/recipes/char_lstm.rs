//! A character model of a book: Embedding 32, LSTM 256, Dropout, Dense; what comes next? Ten epochs. Afterwards `kiln generate` lets it write.

use super::{Prepared, Setup, compile};
use kiln::datasets::ALICE;
use kiln::prelude::*;

/// Characters between two cuts of the gradient, and stretches of the book that are read side by side.
const STEPS: usize = 64;
const STREAMS: usize = 32;

/// The characters that the model knows.
pub(crate) fn tokenizer() -> Tokenizer {
    Tokenizer::characters(ALICE)
}

pub(super) fn model(device: &Device, seed: u64) -> Result<Sequential> {
    let characters = tokenizer().len();
    Sequential::new()
        .push(Embedding::new(characters, 32))
        // The state is carried from batch to batch, the gradient is not: truncated backpropagation through time.
        .push(Lstm::new(256).return_sequences(true).stateful(true))
        .push(Dropout::new(0.2))
        .push(Dense::new(characters))
        .build([STEPS], device, seed)
}

pub(super) fn prepare(setup: &Setup<'_>) -> Result<Prepared> {
    // The last tenth of the book is what the model is tested on.
    let tokens = tokenizer().encode(ALICE)?;
    let (train, test) = tokens.split_at(tokens.len() / 10 * 9);
    let train = TextStreams::new(train.to_vec(), STREAMS, STEPS)?;
    let test = TextStreams::new(test.to_vec(), 8, STEPS)?;

    let model = model(setup.device, setup.seed)?;
    let optimizer = Adam::new(setup.learning_rate.unwrap_or(0.005)).clip_norm(1.0);
    let loss = SparseCategoricalCrossentropy::from_logits();
    let trainer = compile(model, optimizer, loss).metric(Accuracy);
    Ok(Prepared::new(trainer, train, test, 10, STREAMS))
}
