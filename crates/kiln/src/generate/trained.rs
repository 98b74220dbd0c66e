//! Trained models that write.

use super::{GenerateOptions, Generated, ModelDecoder, Sampling, SourceDecoder, generate};
use crate::Result;
use crate::datasets::PairEncoder;
use crate::trained::{Input, Trained};

impl Trained {
    /// Lets a model of text go on with each of some prompts: [`generate`] with the model's own tokenizer.
    ///
    /// # Errors
    /// A model that was not trained on a text; those of [`generate`].
    pub fn generate<P: AsRef<str>>(
        &self,
        prompts: &[P],
        options: &GenerateOptions,
        show: impl FnMut(usize, &str),
    ) -> Result<Vec<Generated>> {
        let tokenizer = match &self.input {
            Some(Input::Tokens(tokenizer)) => tokenizer,
            other => return Err(Input::expected("the beginning of a text", other.as_ref())),
        };
        let mut decoder = ModelDecoder::new(&self.model)?.probabilities(!self.logits);
        generate(&mut decoder, tokenizer, prompts, options, show)
    }

    /// The texts that a model with an encoder and a decoder makes of some texts, by greedy decoding: the likeliest token, one after the
    /// other. A text has at most as many tokens as the longest of the training.
    ///
    /// # Errors
    /// A model that was not trained on pairs of texts; texts that it cannot read, by number ([`PairEncoder::padded`]).
    pub fn translate<T: AsRef<str>>(&self, texts: &[T]) -> Result<Vec<String>> {
        let pairs = match &self.input {
            Some(Input::Pairs(pairs)) => pairs,
            other => return Err(Input::expected("texts to translate", other.as_ref())),
        };
        let (device, step) = (self.device(), self.batch_size.max(1));
        let sources = pairs.padded(texts, &device)?;
        let greedy = Sampling::new().temperature(0.0);
        let options = GenerateOptions::new().max_tokens(pairs.max_length()).sampling(greedy).batch_size(step);
        let end = pairs.tokenizer().special(PairEncoder::END);
        let mut answers = Vec::with_capacity(texts.len());
        for first in (0..texts.len()).step_by(step) {
            let rows = first..(first + step).min(texts.len());
            let [values, mask] = [&sources.values, &sources.mask].map(|all| all.slice(0, rows.clone()));
            let mut decoder = SourceDecoder::new(&self.model, values?, mask?)?;
            let begin = vec![PairEncoder::BEGIN; rows.len()];
            for made in generate(&mut decoder, pairs.tokenizer(), &begin, &options, |_, _| {})? {
                let tokens: Vec<i64> = made.tokens.into_iter().filter(|token| Some(*token) != end).collect();
                answers.push(pairs.tokenizer().decode(&tokens)?);
            }
        }
        Ok(answers)
    }
}
