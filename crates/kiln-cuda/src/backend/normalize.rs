//! Normalisation by the moments of channels.

use super::Gpu;
use super::operand::{flag_of, float, sizes};
use crate::machine::Machine;
use gpu_kernels::geometry::by_element;
use gpu_kernels::normalize::{
    BIAS, Chunks, OWN_MOMENTS, WEIGHT, by_channel, moments_f32, moments_f64, normalize_f32, normalize_f64,
    normalize_grad_f32, normalize_grad_f64, normalize_sums_f32, normalize_sums_f64,
};
use kiln_tensor::{DType, Normalization, Out, Result, View, composed};

impl<M: Machine> Gpu<M> {
    pub(super) fn channel_moments(&self, out: Out<'_>, x: View<'_>) -> Result<()> {
        self.sound()?;
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
        let ([n, c, s], x) = (sizes([n, c, s]), self.numbers(&x)?);
        let to = self.target(&out);
        self.launched(match dtype {
            DType::F64 => moments_f64::launch(self, geometry, to.slice_mut(), x.slice(), n, c, s),
            _ => moments_f32::launch(self, geometry, to.slice_mut(), x.slice(), n, c, s),
        })
    }

    pub(super) fn normalized(
        &self,
        form: &Normalization,
        out: &Out<'_>,
        x: &View<'_>,
        moments: &View<'_>,
        [weight, bias]: [Option<View<'_>>; 2],
    ) -> Result<()> {
        self.sound()?;
        let dtype = float("normalize", out.dtype)?;
        let &[_, c, s] = &sizes([out.shape[0], out.shape[1], out.shape[2]]);
        let (x, moments) = (self.numbers(x)?, self.numbers(moments)?);
        let (weight, scaled) = self.optional(weight.as_ref(), WEIGHT)?;
        let (bias, shifted) = self.optional(bias.as_ref(), BIAS)?;
        let (relu, after) = flag_of(form.activation);
        let (flags, geometry) = (scaled | shifted | relu, by_element(out.elements()));
        self.computing(out, |to| {
            macro_rules! launch {
                ($kernel:ident, $epsilon:expr) => {
                    $kernel::launch(
                        self,
                        geometry,
                        to.slice_mut(),
                        x.slice(),
                        moments.slice(),
                        weight.slice(),
                        bias.slice(),
                        c,
                        s,
                        $epsilon,
                        flags,
                    )
                };
            }
            self.launched(match dtype {
                DType::F64 => launch!(normalize_f64, form.epsilon),
                _ => launch!(normalize_f32, form.epsilon as f32),
            })?;
            after.map_or(Ok(()), |call| self.unary_rows(call, to, to, dtype))
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
        self.sound()?;
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
        let by_channel = by_channel(c, &chunks, dtype.size());
        let share = 1.0 / (n * s).max(1) as f64;
        let [n, c, s] = sizes([n, c, s]);
        let (y, relu) = self.optional((relu != 0).then_some(&y), relu)?;
        let (x, dy, moments) = (self.numbers(&x)?, self.numbers(&dy)?, self.numbers(&moments)?);
        let (weight, scaled) = self.optional(weight.as_ref(), WEIGHT)?;
        let flags = relu | scaled | if form.own_moments { OWN_MOMENTS } else { 0 };
        let sums = self.target(&affine);
        self.computing(&dx, |to| {
            macro_rules! launch {
                ($sums:ident $gradient:ident $T:ident) => {{
                    let epsilon = form.epsilon as $T;
                    let [x, y, dy, moments] = [x.slice(), y.slice(), dy.slice(), moments.slice()];
                    let end =
                        $sums::launch(self, by_channel, sums.slice_mut(), x, y, dy, moments, n, c, s, epsilon, flags);
                    self.launched(end)?;
                    let (to, weight, sums) = (to.slice_mut(), weight.slice(), sums.slice());
                    let (share, geometry) = (share as $T, by_element(dx.elements()));
                    $gradient::launch(self, geometry, to, x, y, dy, moments, weight, sums, c, s, epsilon, share, flags)
                }};
            }
            self.launched(match dtype {
                DType::F64 => launch!(normalize_sums_f64 normalize_grad_f64 f64),
                _ => launch!(normalize_sums_f32 normalize_grad_f32 f32),
            })
        })
    }
}
