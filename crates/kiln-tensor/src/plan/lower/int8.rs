//! Convolutions and dense layers of 8-bit integers.

use super::super::kept::BufferId;
use super::super::maps::{After, MapOperation, MapShape};
use super::super::recorder::Step;
use super::super::step::Operation;
use super::chain::Chain;
use super::{Lowering, Map, Precision};
use crate::Result;
use crate::cpu::maps::MOST_STEPS;
use kiln_cpu::conv::Conv;
use kiln_cpu::inference::{Quantization, QuantizedFilter, Words, weight_scales};
use kiln_cpu::team;

impl Lowering<'_> {
    /// The range of the next filter's input, where it is to be one of integers.
    pub(super) fn next_range(&mut self, form: &Conv) -> Option<(f32, f32)> {
        let number = self.filters;
        self.filters += 1;
        let Precision::Int8(ranges) = self.precision else { return None };
        let range = ranges.0.get(number).copied().flatten();
        range.filter(|_| QuantizedFilter::suits(form))
    }

    /// A filter of integers, with what follows it. Weights are multiplied by `scale`.
    pub(super) fn quantized_filter(
        &mut self,
        like: &Step,
        form: &Conv,
        (least, most): (f32, f32),
        (weight, scale): (&[f32], Option<&[f32]>),
        x: BufferId,
        (mut chain, shape): (Chain, MapShape),
    ) -> Result<()> {
        let by = Quantization::of_range(least, most);
        let filter = QuantizedFilter::new(self.isa, form, by.zero);
        let from = MapShape { batch: form.batch, channels: form.inputs, pixels: form.plane() };
        let x = self.words_of(like, filter.words(), by, x, from);
        let folded = scale.map(|scale| {
            let each = form.inputs * form.taps();
            weight.iter().enumerate().map(|(at, weight)| weight * scale[at / each]).collect::<Vec<_>>()
        });
        let weight = folded.as_deref().unwrap_or(weight);
        // A bias that follows at once is added with the sums' scale.
        let bias = match chain.after.as_slice() {
            &[After::Bias(bias), ..] => {
                chain.after.remove(0);
                Some(self.constants.row(&self.buffers, bias)?)
            }
            _ => None,
        };
        let bias = bias.as_ref().map(|bias| &bias[..form.outputs]);
        let scales = weight_scales(weight, form.outputs);
        let pack = |to: &mut [f32]| filter.pack(weight, &scales, by, bias, to);
        let (packed, rescale) = self.constants.written(filter.room(), pack)?;
        let packed = self.constant(packed);
        chain.after.insert(0, self.normalize(&rescale)?);
        debug_assert!(chain.after.len() <= MOST_STEPS);
        let floats = filter.scratch(team::threads());
        let scratch = (self.computed(floats), floats);
        let out = self.computed(shape.len());
        let after = chain.after;
        let filter =
            MapOperation::QuantizedFilter { filter, packed, x, out: Some(out), quantized: None, scratch, after };
        self.push(like, filter, like.name);
        self.becomes(chain.end, Map { buffer: out, shape });
        Ok(())
    }

    /// The words of a map.
    fn words_of(&mut self, like: &Step, words: Words, by: Quantization, x: BufferId, shape: MapShape) -> BufferId {
        if let Some((_, _, there)) = self.words.iter().find(|(map, how, _)| *map == x && *how == by) {
            return *there;
        }
        let out = self.computed(shape.of(words).len());
        let step = Step { flops: Some(0), bytes: 6 * shape.len() as u64, ..like.clone() };
        self.push(&step, MapOperation::Quantize { shape, words, by, x, out }, "quantize");
        self.words.push((x, by, out));
        out
    }

    /// Lets filters of integers quantize their outputs themselves, where that was a step of its own. Floats that nothing else reads are
    /// not stored.
    pub(super) fn quantize_in_filters(&mut self, ends: &[BufferId]) {
        let mut at = 0;
        while at < self.steps.len() {
            let Operation::Map(MapOperation::Quantize { by, x, out, .. }) = self.steps[at].operation else {
                at += 1;
                continue;
            };
            let writes = |step: &mut Step| match &mut step.operation {
                Operation::Map(MapOperation::QuantizedFilter { out: Some(y), quantized: quantized @ None, .. })
                    if *y == x =>
                {
                    *quantized = Some((by, out));
                    true
                }
                _ => false,
            };
            if self.steps[..at].iter_mut().any(writes) {
                self.steps.remove(at);
            } else {
                at += 1;
            }
        }
        let mut read = vec![false; self.buffers.len()];
        for step in &self.steps {
            step.operation.buffers(&mut |buffer, written| read[buffer] |= !written);
        }
        for step in &mut self.steps {
            if let Operation::Map(MapOperation::QuantizedFilter { out, quantized: Some(_), .. }) = &mut step.operation {
                *out = out.filter(|&out| read[out] || ends.contains(&out));
            }
        }
    }
}
