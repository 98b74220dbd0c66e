//! Normalisation by the moments of channels.

use super::dispatch::by_float;
use super::operand::{flag_of, float, sizes};
use crate::gpu::Gpu;
use crate::machine::Machine;
use gpu_kernels::geometry::by_element;
use gpu_kernels::normalize::{self, BIAS, Chunks, OWN_MOMENTS, WEIGHT, by_channel, normalize_grad, normalize_sums};
use kiln_tensor::{Normalization, Out, Result, View, composed};

impl<M: Machine> Gpu<M> {
    pub(super) fn channel_moments(&self, out: Out<'_>, x: View<'_>) -> Result<()> {
        let dtype = float("moments", out.dtype)?;
        let &[n, c, s] = &x.layout.shape()[..] else { return composed::moments(self, out, x) };
        let chunks = Chunks::new(n, s);
        if !chunks.fit() {
            return composed::moments(self, out, x);
        }
        if c == 0 {
            return Ok(());
        }
        let geometry = by_channel(c, &chunks, dtype.size());
        let (shape, x, to) = (sizes([n, c, s]), self.numbers(&x)?, self.target(&out));
        by_float!(dtype, T => self.run(normalize::moments::<T> { y: to.write(), x: x.read(), shape }, geometry))
    }

    pub(super) fn normalized(
        &self,
        form: &Normalization,
        out: &Out<'_>,
        x: &View<'_>,
        moments: &View<'_>,
        [weight, bias]: [Option<View<'_>>; 2],
    ) -> Result<()> {
        let dtype = float("normalize", out.dtype)?;
        let shape = sizes([out.shape[0], out.shape[1], out.shape[2]]);
        let (x, moments) = (self.numbers(x)?, self.numbers(moments)?);
        let (weight, scaled) = self.optional(weight.as_ref(), WEIGHT)?;
        let (bias, shifted) = self.optional(bias.as_ref(), BIAS)?;
        let (relu, after) = flag_of(form.activation);
        let flags = scaled | shifted | relu;
        self.computing(out, |to| {
            by_float!(dtype, T => {
                let (moments, epsilon) = (moments.read(), form.epsilon as T);
                let form = normalize::Form::<T> { moments, shape, flags, epsilon, share: 1.0 };
                let (y, x, weight, bias) = (to.write(), x.read(), weight.read(), bias.read());
                self.run(normalize::normalize { y, x, weight, bias, form }, by_element(out.elements()))
            })?;
            after.map_or(Ok(()), |call| self.unary_rows(call, [to, to], dtype))
        })
    }

    pub(super) fn normalized_gradients(
        &self,
        form: &Normalization,
        dx: Out<'_>,
        affine: Out<'_>,
        [x, y, dy]: [View<'_>; 3],
        moments: View<'_>,
        weight: Option<View<'_>>,
    ) -> Result<()> {
        let dtype = float("normalize_grad", dx.dtype)?;
        let (relu, other) = flag_of(form.activation);
        let &[n, c, s] = &dx.shape[..] else { return Ok(()) };
        let chunks = Chunks::new(n, s);
        if !chunks.fit() || other.is_some() {
            return composed::normalize_grad(self, form, dx, affine, [x, y, dy], moments, weight);
        }
        if c == 0 {
            return Ok(());
        }
        let (by_channel, shape) = (by_channel(c, &chunks, dtype.size()), sizes([n, c, s]));
        let (y, relu) = self.optional((relu != 0).then_some(&y), relu)?;
        let (x, dy, moments) = (self.numbers(&x)?, self.numbers(&dy)?, self.numbers(&moments)?);
        let (weight, scaled) = self.optional(weight.as_ref(), WEIGHT)?;
        let flags = relu | scaled | if form.own_moments { OWN_MOMENTS } else { 0 };
        let sums = self.target(&affine);
        self.computing(&dx, |to| {
            by_float!(dtype, T => {
                let (epsilon, share) = (form.epsilon as T, (1.0 / (n * s).max(1) as f64) as T);
                let form = normalize::Form::<T> { moments: moments.read(), shape, flags, epsilon, share };
                let (x, y, dy) = (x.read(), y.read(), dy.read());
                self.run(normalize_sums { sums: sums.write(), x, y, dy, form }, by_channel)?;
                let (dx, weight, sums) = (to.write(), weight.read(), sums.read());
                self.run(normalize_grad { dx, x, y, dy, weight, sums, form }, by_element(to.elements()))
            })
        })
    }
}
