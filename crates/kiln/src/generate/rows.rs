//! Texts that are written side by side.

use super::decoder::Decoder;
use super::sampling::Sampling;
use super::spelling::Spelling;
use super::stops::Stops;
use super::{Ended, Generated, Request};
use crate::Result;
use crate::math::RandomStream;
use crate::tensor::Tensor;

/// A text that is being written.
pub(super) struct Row<'r> {
    /// The prompt's number.
    number: usize,
    /// All tokens, those of the prompt first.
    tokens: Vec<i64>,
    prompt: usize,
    /// How many the model has read.
    read: usize,
    stream: RandomStream,
    spelling: Spelling<'r>,
    stops: Stops<'r>,
    text: String,
    ended: Option<Ended>,
}

impl<'r> Row<'r> {
    pub(super) fn new(number: usize, prompt: &[i64], stream: RandomStream, request: &Request<'r>) -> Self {
        Row {
            number,
            tokens: prompt.to_vec(),
            prompt: prompt.len(),
            read: 0,
            stream,
            spelling: Spelling::after(request.tokenizer, prompt.last().copied()),
            stops: Stops::new(&request.options.stops),
            text: String::new(),
            ended: None,
        }
    }

    /// Draws the next token and shows what it adds.
    fn go_on(
        &mut self,
        logits: &mut [f32],
        sampling: &Sampling,
        request: &Request<'_>,
        show: &mut dyn FnMut(usize, &str),
    ) -> Result<()> {
        let token = sampling.draw(logits, &self.tokens, &mut self.stream)?;
        self.tokens.push(token);
        let (mut more, mut found) = (String::new(), false);
        if request.ends(token) {
            self.ended = Some(Ended::Token);
        } else {
            (more, found) = self.stops.add(&self.spelling.add(token)?);
        }
        if found {
            self.ended = Some(Ended::Text);
        } else if self.ended.is_some() || self.tokens.len() - self.prompt == request.options.max_tokens {
            let (last, found) = match self.ended {
                Some(_) => (String::new(), false),
                None => self.stops.add(&self.spelling.end()?),
            };
            more += &last;
            more += &if found { String::new() } else { self.stops.end() };
            self.ended.get_or_insert(if found { Ended::Text } else { Ended::Length });
        }
        if !more.is_empty() {
            show(self.number, &more);
            self.text += &more;
        }
        Ok(())
    }
}

/// Writes all texts to their ends: each with the number of its prompt.
pub(super) fn write(
    decoder: &mut dyn Decoder,
    mut rows: Vec<Row<'_>>,
    sampling: &Sampling,
    request: &Request<'_>,
    show: &mut dyn FnMut(usize, &str),
) -> Result<Vec<(usize, Generated)>> {
    let mut complete = Vec::with_capacity(rows.len());
    decoder.begin(rows.len())?;
    // All texts begin together, so each has as many tokens read as the others: prompts need no padding. A text with a longer prompt still reads
    // it while the others are written.
    while let Some(count) = rows.iter().map(|row| row.tokens.len() - row.read).min() {
        let unread = rows.iter().flat_map(|row| &row.tokens[row.read..row.read + count]);
        let unread = Tensor::from_vec(unread.copied().collect::<Vec<_>>(), [rows.len(), count], &decoder.device())?;
        let logits = decoder.read(&unread)?;
        let vocabulary = logits.dims().last().copied().unwrap_or(1).max(1);
        for (row, logits) in rows.iter_mut().zip(logits.to_vec::<f32>()?.chunks_mut(vocabulary)) {
            row.read += count;
            if row.read == row.tokens.len() {
                row.go_on(request.tokens(logits), sampling, request, show)?;
            }
        }
        let left: Vec<usize> = (0..rows.len()).filter(|&at| rows[at].ended.is_none()).collect();
        if left.len() == rows.len() {
            continue;
        }
        if !left.is_empty() {
            decoder.select(&left)?;
        }
        let (ended, going): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.ended.is_some());
        complete.extend(ended.into_iter().filter_map(|row| {
            let Row { number, tokens, prompt, text, ended, .. } = row;
            Some((number, Generated { text, tokens: tokens[prompt..].to_vec(), ended: ended? }))
        }));
        rows = going;
    }
    Ok(complete)
}
