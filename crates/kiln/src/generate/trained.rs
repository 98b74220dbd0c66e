//! Trained models that write.

use super::{GenerateOptions, Generated, ModelDecoder, generate};
use crate::Result;
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
}
