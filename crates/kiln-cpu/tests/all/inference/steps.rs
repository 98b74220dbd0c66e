//! Steps after a convolution, as one epilogue and one after the other.

use super::layout::map_of;
use crate::conv::rounding;
use kiln_cpu::Isa;
use kiln_cpu::conv::Conv;
use kiln_cpu::inference::{Epilogue, Scaling, Step, padded_row};
use kiln_cpu::normalization::{Channels, Normalizer, normalize};
use proptest::prelude::*;

/// A step by its number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Bias,
    Normalize,
    Residual,
    Relu,
    Scale,
    Map,
}

pub(super) fn kinds() -> impl Strategy<Value = Vec<Kind>> {
    use Kind::*;
    let usual = prop_oneof![
        Just(vec![]),
        Just(vec![Bias, Relu]),
        Just(vec![Normalize, Relu]),
        Just(vec![Normalize, Residual, Relu]),
        Just(vec![Normalize, Map, Scale]),
    ];
    let one = prop_oneof![Just(Bias), Just(Normalize), Just(Residual), Just(Relu), Just(Scale), Just(Map)];
    prop_oneof![usual, proptest::collection::vec(one, 1..6)]
}

/// Not 0 at 0, so that zeros behind the channels show.
fn bend(row: &mut [f32]) {
    row.iter_mut().for_each(|x| *x = (1.0 - *x) / (2.0 + x.abs()));
}

/// What the steps take, for an output (N, C, plane).
pub(super) struct Operands {
    bias: Vec<f32>,
    moments: Vec<f32>,
    weight: Vec<f32>,
    /// (N, C, plane)
    residual: Vec<f32>,
    /// (N, C)
    gates: Vec<f32>,
    /// N, C, plane.
    sizes: [usize; 3],
}

impl Operands {
    pub(super) fn new(c: &Conv) -> Self {
        let (channels, plane) = (c.groups * c.outputs, c.out_plane());
        let moments = rounding(2 * channels, 13).into_iter().map(f32::abs).collect();
        Operands {
            bias: rounding(channels, 11),
            moments,
            weight: rounding(channels, 17),
            residual: rounding(c.batch * channels * plane, 19),
            gates: rounding(c.batch * channels, 23),
            sizes: [c.batch, channels, plane],
        }
    }

    fn normalizer(&self) -> Normalizer<'_, f32> {
        let (weight, bias) = (Some(&self.weight[..]), Some(&self.bias[..]));
        Normalizer { moments: &self.moments, epsilon: 1e-3, weight, bias, relu: false }
    }

    /// One after the other, over planes.
    pub(super) fn separately(&self, isa: Isa, kinds: &[Kind], y: &mut [f32]) {
        let [samples, channels, size] = self.sizes;
        for kind in kinds {
            let channel = |i: usize| i / size % channels;
            match kind {
                Kind::Bias => y.iter_mut().enumerate().for_each(|(i, y)| *y += self.bias[channel(i)]),
                Kind::Normalize => {
                    let x = y.to_vec();
                    normalize(isa, &Channels { samples, channels, size }, &self.normalizer(), y, &x);
                }
                Kind::Residual => y.iter_mut().zip(&self.residual).for_each(|(y, r)| *y += r),
                Kind::Relu => y.iter_mut().for_each(|y| *y = if *y > 0.0 || y.is_nan() { *y } else { 0.0 }),
                Kind::Scale => y.iter_mut().enumerate().for_each(|(i, y)| *y *= self.gates[i / size]),
                Kind::Map => bend(y),
            }
        }
    }

    /// Calls `f` with an epilogue of the steps.
    pub(super) fn with<R>(&self, kinds: &[Kind], f: impl FnOnce(&Epilogue<'_>) -> R) -> R {
        let [_, channels, size] = self.sizes;
        let (bias, scaling) = (padded_row(&self.bias), Scaling::new(&self.normalizer()));
        let (residual, gates) = (map_of(&self.residual, channels, size), map_of(&self.gates, channels, 1));
        let step = |kind: &Kind| match kind {
            Kind::Bias => Step::Bias(&bias),
            Kind::Normalize => scaling.step(),
            Kind::Residual => Step::Residual(&residual),
            Kind::Relu => Step::Relu,
            Kind::Scale => Step::Scale(&gates),
            Kind::Map => Step::Map(&bend),
        };
        let steps: Vec<Step<'_>> = kinds.iter().map(step).collect();
        f(&Epilogue::new(&steps))
    }
}
