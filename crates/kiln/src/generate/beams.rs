//! Beam search: the likeliest text instead of a drawn one.

use super::decoder::Decoder;
use super::filters::{expect_finite, log_softmax};
use super::{Ended, Generated, Request};
use crate::Result;
use crate::tensor::Tensor;

/// How many texts are followed side by side, and how they are compared: by the logarithm of their probability, divided by their number of tokens
/// to the power of the length penalty (Wu et al. 2016 without coverage, as in Hugging Face's transformers).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Beams {
    pub(super) count: usize,
    pub(super) length_penalty: f64,
}

/// A text that is followed.
#[derive(Clone)]
struct Beam {
    tokens: Vec<i64>,
    log_probability: f64,
}

/// A text that has ended.
struct Complete {
    generated: Generated,
    score: f64,
}

impl Beams {
    /// The score of a text.
    fn score(&self, log_probability: f64, tokens: usize) -> f64 {
        log_probability / (tokens.max(1) as f64).powf(self.length_penalty)
    }

    /// The best score that a text may still get.
    fn bound(&self, beam: &Beam, longest: usize) -> f64 {
        let tokens = if self.length_penalty > 0.0 { longest } else { beam.tokens.len() };
        self.score(beam.log_probability, tokens)
    }

    /// The best text after a prompt.
    pub(super) fn search(&self, decoder: &mut dyn Decoder, prompt: &[i64], request: &Request<'_>) -> Result<Generated> {
        let mut beams = vec![Beam { tokens: Vec::new(), log_probability: 0.0 }];
        let mut complete: Vec<Complete> = Vec::new();
        decoder.begin(1)?;
        let mut unread = prompt.to_vec();
        for step in 1..=request.options.max_tokens {
            let shape = [beams.len(), unread.len() / beams.len()];
            let logits = decoder.read(&Tensor::from_vec(unread, shape, &decoder.device())?)?;
            let candidates = self.candidates(&beams, &logits, request)?;
            let (mut next, mut from) = (Vec::new(), Vec::new());
            for (rank, (parent, token, log_probability)) in candidates.into_iter().enumerate() {
                if next.len() == self.count {
                    break;
                }
                let tokens = [&beams[parent].tokens[..], &[token]].concat();
                let ended = request.ended(prompt, &tokens, step == request.options.max_tokens)?;
                match ended {
                    // One that ends counts where it is among the best.
                    Some(generated) if rank < self.count => {
                        complete.push(Complete { score: self.score(log_probability, tokens.len()), generated });
                    }
                    Some(_) => {}
                    None => {
                        next.push(Beam { tokens, log_probability });
                        from.push(parent);
                    }
                }
            }
            complete.sort_by(|a, b| b.score.total_cmp(&a.score));
            complete.truncate(self.count);
            let best = next.iter().map(|beam| self.bound(beam, request.options.max_tokens)).fold(f64::MIN, f64::max);
            let done = complete.len() == self.count && complete.last().is_some_and(|last| last.score >= best);
            if next.is_empty() || done {
                break;
            }
            decoder.select(&from)?;
            unread = next.iter().filter_map(|beam| beam.tokens.last().copied()).collect();
            beams = next;
        }
        let nothing = || Generated { text: String::new(), tokens: Vec::new(), ended: Ended::Length };
        Ok(complete.into_iter().next().map_or_else(nothing, |best| best.generated))
    }

    /// The likeliest texts with one more token, twice as many as are followed: (text, token, logarithm of the probability).
    fn candidates(&self, beams: &[Beam], logits: &Tensor, request: &Request<'_>) -> Result<Vec<(usize, i64, f64)>> {
        let vocabulary = logits.dims().last().copied().unwrap_or(1).max(1);
        let mut all = Vec::new();
        for (at, (beam, logits)) in beams.iter().zip(logits.to_vec::<f32>()?.chunks_mut(vocabulary)).enumerate() {
            let logits = request.tokens(logits);
            expect_finite(logits)?;
            let of_beam = log_softmax(logits).into_iter().zip(0..);
            let mut of_beam: Vec<_> =
                of_beam.map(|(log_probability, token)| (at, token, beam.log_probability + log_probability)).collect();
            likeliest(&mut of_beam, 2 * self.count);
            all.extend(of_beam);
        }
        likeliest(&mut all, 2 * self.count);
        Ok(all)
    }
}

/// Keeps the likeliest, in order; of equally likely ones the first.
fn likeliest(candidates: &mut Vec<(usize, i64, f64)>, count: usize) {
    let order = |a: &(usize, i64, f64), b: &(usize, i64, f64)| b.2.total_cmp(&a.2).then((a.0, a.1).cmp(&(b.0, b.1)));
    if candidates.len() > count {
        candidates.select_nth_unstable_by(count, order);
        candidates.truncate(count);
    }
    candidates.sort_unstable_by(order);
}
