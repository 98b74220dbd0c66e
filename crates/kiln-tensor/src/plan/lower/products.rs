//! Convolutions, dense layers and pools as steps over maps.

use super::super::kept::{KeptEpilogue, KeptOut, KeptView};
use super::super::maps::{After, MapOperation, MapShape};
use super::chain::{Chain, activation};
use super::constants::are_floats;
use super::{Lowering, Map, Precision, map_shape};
use crate::cpu::{conv_form, pool_form};
use crate::{Convolution, Result, Window};
use kiln_cpu::inference::{Filter, Way};
use kiln_cpu::{conv::Conv, team};

/// Rows up to which a dense layer's weight is packed.
const FEW_ROWS: usize = 64;
/// Elements of a weight up to which it is packed: a second copy of larger ones would cost more than it saves.
const PACKED: usize = 1 << 21;
/// Pixels of a batch from which on a convolution takes Winograd's larger tiles.
const LARGE: usize = 144;
/// Channels of the output of a convolution from which on it is a map.
const FEW_CHANNELS: usize = 4;
/// Channels from which on Winograd's transforms pay.
const CHANNELS: usize = 32;

/// How a convolution of this form is computed.
fn way(precision: &Precision, form: &Conv) -> Way {
    let pays = form.inputs.min(form.outputs) >= CHANNELS && Way::WinogradF2.suits(form);
    match precision {
        Precision::Exact => Way::Direct,
        _ if pays && form.batch * form.out_plane() >= LARGE => Way::WinogradF4,
        _ if pays => Way::WinogradF2,
        _ => Way::Direct,
    }
}

impl Lowering<'_> {
    pub(super) fn conv(
        &mut self,
        at: usize,
        conv: &Convolution,
        out: &KeptOut,
        x: &KeptView,
        weight: &KeptView,
        epilogue: &KeptEpilogue,
    ) -> Result<bool> {
        let shapes = (map_shape(x.layout.shape()), map_shape(&out.shape));
        let (Some(from), Some(to)) = shapes else { return Ok(false) };
        let constants = epilogue.bias.iter().chain([weight]);
        // A pixel of few channels is padding for the most part.
        let few = to.channels < FEW_CHANNELS;
        if few || !self.is_whole_out(out) || !are_floats(&self.buffers, constants) || !x.layout.is_contiguous() {
            return Ok(false);
        }
        let form = conv_form(conv, x.layout.shape(), weight.layout.shape(), &out.shape);
        let like = self.recorded[at].clone();
        let x = self.map_of(&like, x, from);
        self.filter(at, &form, weight, epilogue, x, (out, to))?;
        Ok(true)
    }

    /// x (m, k) · b (k, n), where b is a constant.
    pub(super) fn dense(
        &mut self,
        at: usize,
        out: &KeptOut,
        a: &KeptView,
        b: &KeptView,
        epilogue: &KeptEpilogue,
    ) -> Result<bool> {
        let &[m, k] = a.layout.shape().dims() else { return Ok(false) };
        let n = b.layout.shape()[1];
        let fits = m * n > 0
            && (k > 0 && k * n <= PACKED)
            // Which layers a calibration has must not depend on the batch.
            && (m <= FEW_ROWS || *self.precision != Precision::Exact)
            && !epilogue.accumulates()
            && self.is_whole_out(out)
            && a.dtype == crate::DType::F32
            && a.layout.is_contiguous()
            && are_floats(&self.buffers, epilogue.bias.iter().chain([b]));
        if !fits {
            return Ok(false);
        }
        let like = self.recorded[at].clone();
        let shape = |channels| MapShape { batch: m, channels, pixels: 1 };
        let x = self.map_of(&like, a, shape(k));
        let weight = KeptView { layout: b.layout.transpose(0, 1), ..*b };
        self.filter(at, &Conv::dense(m, k, n), &weight, epilogue, x, (out, shape(n)))?;
        Ok(true)
    }

    /// A filter with what follows it.
    fn filter(
        &mut self,
        at: usize,
        form: &Conv,
        weight: &KeptView,
        epilogue: &KeptEpilogue,
        x: usize,
        (out, shape): (&KeptOut, MapShape),
    ) -> Result<()> {
        let like = self.recorded[at].clone();
        let mut after = Vec::new();
        let bias = epilogue.bias.as_ref().map(|bias| self.constants.bias(&self.buffers, bias)).transpose()?;
        if let Some(bias) = bias {
            let row = self.constants.tensor(&bias)?;
            after.push(After::Bias(self.constant(row)));
        }
        after.extend(epilogue.activation.and_then(|call| activation(call, &after)).into_iter().flatten());
        let mut chain = Chain { after, end: out.buffer };
        self.follow(&mut chain, shape)?;
        let scale = self.fold(&mut chain)?;
        let values = self.constants.values(&self.buffers, weight)?;
        let values = values.as_slice::<f32>()?;
        let scale = scale.as_ref().map(|scale| &scale[..form.groups * form.outputs]);
        if let Some(range) = self.next_range(form) {
            return self.quantized_filter(&like, form, range, (values, scale), x, (chain, shape));
        }
        let filter = Filter::new(self.isa, way(self.precision, form), form);
        let (packed, ()) = self.constants.written(filter.room(), |to| filter.pack(values, scale, to))?;
        let packed = self.constant(packed);
        let floats = filter.scratch(team::threads());
        let scratch = (self.computed(floats), floats);
        let map = self.computed(shape.len());
        let name = like.name;
        self.push(&like, MapOperation::Filter { filter, packed, x, out: map, scratch, after: chain.after }, name);
        self.becomes(chain.end, Map { buffer: map, shape });
        Ok(())
    }

    /// Folds a normalization that follows at once into the weights' scale and the bias, where that may change bits.
    fn fold(&mut self, chain: &mut Chain) -> Result<Option<Vec<f32>>> {
        if *self.precision == Precision::Exact {
            return Ok(None);
        }
        let (bias, rows, folded) = match *chain.after.as_slice() {
            [After::Bias(bias), After::Normalize(rows), ..] => (Some(bias), rows, 2),
            [After::Normalize(rows), ..] => (None, rows, 1),
            _ => return Ok(None),
        };
        let row = |buffer| self.constants.row(&self.buffers, buffer);
        let [mean, scale, shift] = [row(rows[0])?, row(rows[1])?, row(rows[2])?];
        let mut folded_bias = shift;
        let bias = bias.map(row).transpose()?;
        for (channel, shift) in folded_bias.iter_mut().enumerate() {
            let bias = bias.as_ref().map_or(0.0, |bias| bias[channel]);
            *shift += (bias - mean[channel]) * scale[channel];
        }
        let folded_bias = self.constants.tensor(&folded_bias)?;
        let folded_bias = After::Bias(self.constant(folded_bias));
        chain.after.splice(..folded, [folded_bias]);
        Ok(Some(scale))
    }

    pub(super) fn max_pool(
        &mut self,
        at: usize,
        window: &Window,
        out: &KeptOut,
        taps: Option<&KeptOut>,
        x: &KeptView,
    ) -> bool {
        let unread = taps.is_none_or(|taps| self.uses.is_unread(taps.buffer));
        let (Some(from), Some(to)) = (map_shape(x.layout.shape()), map_shape(&out.shape)) else { return false };
        let Some(map) = self.maps.get(&x.buffer).filter(|map| map.shape == from).copied() else { return false };
        if !unread || !self.is_whole(x) || !self.is_whole_out(out) {
            return false;
        }
        let pool = pool_form(window, x.layout.shape(), &out.shape);
        let like = self.recorded[at].clone();
        let buffer = self.computed(to.len());
        self.push(&like, MapOperation::MaxPool { pool, shape: from, x: map.buffer, out: buffer }, "max_pool");
        self.becomes(out.buffer, Map { buffer, shape: to });
        true
    }

    /// The mean over all pixels.
    pub(super) fn mean(&mut self, at: usize, out: &KeptOut, x: &KeptView, axes: &[usize]) -> bool {
        let spatial: Vec<usize> = (2..x.layout.shape().rank()).collect();
        let Some(from) = map_shape(x.layout.shape()) else { return false };
        let Some(map) = self.maps.get(&x.buffer).filter(|map| map.shape == from).copied() else { return false };
        if axes != spatial || !self.is_whole(x) || !self.is_whole_out(out) || from.pixels > 1 << 16 {
            return false;
        }
        let to = MapShape { pixels: 1, ..from };
        let like = self.recorded[at].clone();
        let buffer = self.computed(to.len());
        self.push(&like, MapOperation::Mean { shape: from, x: map.buffer, out: buffer }, "mean");
        self.becomes(out.buffer, Map { buffer, shape: to });
        true
    }
}
