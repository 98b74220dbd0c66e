//! Convolutions and dense layers of 8-bit integers: weights with a scale for each output channel, maps quantized as a whole.
//!
//! Sums of products are exact in i32, so their bits are the same on every instruction set. They become floats in registers, are
//! multiplied by the scales, and go through the [`Epilogue`] there.
//!
//! ```
//! use kiln_cpu::Isa;
//! use kiln_cpu::inference::{Epilogue, Quantization, QuantizedFilter, map_len, quantize, weight_scales};
//!
//! // A dense layer of 2 features and 1 output, of one sample.
//! let weight = [0.5, -1.0];
//! let filter = QuantizedFilter::dense(Isa::best(), 1, 2, 1);
//! let input = Quantization::of_range(-1.0, 3.0);
//! let scales = weight_scales(&weight, 1);
//! let mut packed = vec![0.0; filter.room()];
//! let rescale = filter.pack(&weight, &scales, input, None, &mut packed);
//!
//! let mut x = vec![0.0; map_len(1, 2, 1)];
//! x[..2].copy_from_slice(&[3.0, 1.0]);
//! let mut words = vec![0.0; filter.input_len()];
//! quantize(Isa::best(), filter.words(), (2, 1), input, &x, &mut words);
//! let mut y = vec![0.0; map_len(1, 1, 1)];
//! let mut scratch = vec![0.0; filter.scratch(1)];
//! filter.run(&packed, &words, Some(&mut y), &mut scratch, &Epilogue::new(&[rescale.step()]), None);
//! assert!((y[0] - 0.5).abs() < 0.02);
//! ```

pub(super) mod quantize;
pub(super) mod registers;

use super::direct::Direct;
use super::epilogue::{Epilogue, Scaling, Target};
use super::layout::{map_len, padded_row};
use super::panels::Table;
use super::slots::Place;
use crate::conv::Conv;
use crate::{Isa, check};
use quantize::{Quantization, QuantizedTo, Words};

/// The largest integer of a weight.
const LARGEST: f32 = 127.0;
/// Terms of a sum, each at most 127·255, that an i32 holds.
const MOST_TERMS: usize = i32::MAX as usize / (127 * 255);

/// A convolution of one form over maps of [`Words`], on one instruction set.
#[derive(Clone)]
pub struct QuantizedFilter {
    isa: Isa,
    words: Words,
    form: Conv,
    /// The same over words: its inputs are the words of a pixel.
    inner: Conv,
    direct: Direct,
}

/// The scale of each output channel of a weight (outputs, …): its largest magnitude becomes the integer 127.
///
/// # Panics
/// A weight that is not so many channels.
pub fn weight_scales(weight: &[f32], outputs: usize) -> Vec<f32> {
    let each = check::rows("weight_scales", "weight", weight.len(), outputs);
    let largest = |weight: &[f32]| weight.iter().fold(0.0_f32, |most, weight| most.max(weight.abs()));
    let scale = |largest: f32| if largest / LARGEST > f32::MIN_POSITIVE { largest / LARGEST } else { 1.0 };
    (0..outputs).map(|channel| scale(largest(&weight[channel * each..][..each]))).collect()
}

impl QuantizedFilter {
    /// Whether there are kernels for a form: one without groups, whose sums cannot be larger than an i32.
    pub fn suits(form: &Conv) -> bool {
        form.groups == 1 && form.taps().saturating_mul(form.inputs) <= MOST_TERMS
    }

    /// A convolution of this form, of maps whose 0 is the integer `zero`.
    ///
    /// # Panics
    /// A form that does not suit; a stride or a dilation of 0, sizes beyond what memory can hold.
    pub fn new(isa: Isa, form: &Conv, zero: u8) -> QuantizedFilter {
        let positive = [form.stride, form.dilation].iter().flatten().all(|&step| step > 0);
        if !positive || form.elements().is_none() || !QuantizedFilter::suits(form) {
            check::refuse(
                "QuantizedFilter::new",
                format_args!("{form:?} is not the form of a convolution without groups, of at most {MOST_TERMS} terms"),
            );
        }
        let (table, words) = Table::of_words(isa);
        let inner = Conv { inputs: words.of_channels(form.inputs), ..*form };
        let zero = u32::from(zero);
        let padding = match words {
            Words::Pairs => zero << 16 | zero,
            Words::Quads => zero * 0x0101_0101,
        };
        let direct = Direct::with(table, &inner, f32::from_bits(padding)).whole_sums();
        QuantizedFilter { isa, words, form: *form, inner, direct }
    }

    /// A dense layer: y (rows, outputs) = x (rows, inputs)·wᵀ, with the weight (outputs, inputs).
    ///
    /// # Panics
    /// As [`QuantizedFilter::new`].
    pub fn dense(isa: Isa, rows: usize, inputs: usize, outputs: usize) -> QuantizedFilter {
        QuantizedFilter::new(isa, &Conv::dense(rows, inputs, outputs), 0)
    }

    /// The form, of channels.
    pub fn form(&self) -> &Conv {
        &self.form
    }

    /// How integers lie in the words of the input.
    pub fn words(&self) -> Words {
        self.words
    }

    /// Floats of the input's map of words.
    pub fn input_len(&self) -> usize {
        map_len(self.form.batch, self.inner.inputs, self.form.plane())
    }

    /// Floats that the packed weights take.
    pub fn room(&self) -> usize {
        self.direct.room(&self.inner)
    }

    /// Packs the weight (outputs, inputs, kernel…) as integers of these scales into `to`. The result is what makes numbers of the
    /// sums over an input that is quantized so: the first step of the epilogue. It adds the bias.
    ///
    /// # Panics
    /// Slices of other lengths.
    pub fn pack(
        &self,
        weight: &[f32],
        scales: &[f32],
        input: Quantization,
        bias: Option<&[f32]>,
        to: &mut [f32],
    ) -> Scaling {
        let Conv { inputs, outputs, .. } = self.form;
        let (taps, each) = (self.form.taps(), self.words.each());
        check::length("QuantizedFilter::pack", "weight", weight.len(), outputs * inputs * taps);
        check::length("QuantizedFilter::pack", "scales", scales.len(), outputs);
        check::length("QuantizedFilter::pack", "bias", bias.map_or(outputs, <[f32]>::len), outputs);
        check::length("QuantizedFilter::pack", "to", to.len(), self.room());
        let integer = |channel: usize, input: usize, tap: usize| {
            let weight = if input < inputs { weight[(channel * inputs + input) * taps + tap] } else { 0.0 };
            (weight / scales[channel]).round_ties_even().clamp(-LARGEST, LARGEST) as i8
        };
        self.direct.pack_words(&self.inner, to, &|channel, word, tap| {
            let integers = (0..each).map(|i| integer(channel, word * each + i, tap));
            let bits = match self.words {
                Words::Pairs => integers.rev().fold(0, |bits, q| bits << 16 | u32::from(i16::from(q) as u16)),
                Words::Quads => integers.rev().fold(0, |bits, q| bits << 8 | u32::from(q as u8)),
            };
            f32::from_bits(bits)
        });
        // Where a kernel takes 128 less than the map's integers, so does the zero.
        let offset = if self.words == Words::Quads && cfg!(target_arch = "aarch64") { 128 } else { 0 };
        let zero = i32::from(input.zero) - offset;
        let row = |of: &dyn Fn(usize) -> f32| padded_row(&(0..outputs).map(of).collect::<Vec<_>>());
        let scale = |channel: usize| scales[channel] * input.scale;
        // f64 holds these sums exactly.
        let sum = |channel: usize| -> f64 {
            (0..inputs * taps).map(|at| f64::from(integer(channel, at / taps, at % taps))).sum()
        };
        Scaling {
            mean: row(&|_| 0.0),
            scale: row(&scale),
            shift: row(&|channel| {
                let bias = bias.map_or(0.0, |bias| f64::from(bias[channel]));
                (bias - f64::from(zero) * sum(channel) * f64::from(scale(channel))) as f32
            }),
        }
    }

    /// Floats of scratch memory with which so many threads can work.
    pub fn scratch(&self, threads: usize) -> usize {
        self.direct.scratch(threads)
    }

    /// y (N, out…, outputs) = epilogue(sums of x ∗ weight), whose first step is that of [`QuantizedFilter::pack`]. Where `quantized` is
    /// given, the results are also written to that map of words as integers, and y may be left out. Without both, nothing is computed.
    ///
    /// # Panics
    /// Slices of other lengths, and scratch memory for no thread.
    pub fn run(
        &self,
        packed: &[f32],
        x: &[f32],
        y: Option<&mut [f32]>,
        scratch: &mut [f32],
        epilogue: &Epilogue<'_>,
        quantized: Option<(Quantization, &mut [f32])>,
    ) {
        let form = &self.form;
        check::length("QuantizedFilter::run", "packed", packed.len(), self.room());
        check::length("QuantizedFilter::run", "x", x.len(), self.input_len());
        let plane = form.out_plane();
        let pixels = (form.batch * plane, plane);
        let mut target = Target::new("QuantizedFilter::run", y, pixels, form.outputs, epilogue);
        if let Some((by, to)) = quantized {
            let expected = map_len(form.batch, self.words.of_channels(form.outputs), plane);
            check::length("QuantizedFilter::run", "quantized", to.len(), expected);
            let to = Place(to.as_mut_ptr());
            target.quantized = Some(QuantizedTo::new(self.words, by, to, form.outputs));
        }
        let wanted = !target.y.is_null() || target.quantized.is_some();
        if wanted && form.batch * plane * form.outputs > 0 {
            self.direct.run(self.isa, &self.inner, packed, x, &target, scratch);
        }
    }
}
