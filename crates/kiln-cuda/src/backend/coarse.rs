//! Softmax, cross-entropy and optimizer steps. What no kernel does is left to the bodies that [`kiln_tensor::composed`] makes of finer
//! primitives.

use super::Gpu;
use super::operand::float;
use crate::machine::Machine;
use gpu_kernels::cross_entropy::{
    cross_entropy_f32, cross_entropy_f64, cross_entropy_grad_f32, cross_entropy_grad_f64,
};
use gpu_kernels::geometry::{by_element, by_lanes};
use gpu_kernels::softmax::{softmax_f32, softmax_f64, softmax_grad_f32, softmax_grad_f64};
use gpu_kernels::update::{adam_f32, adam_f64, sgd_f32, sgd_f64};
use kiln_tensor::{DType, Out, Result, SoftmaxKind, UpdateRule, UpdateSlot, View, composed, unsupported_dtype};

/// How long the rows of an output are, and how many there are.
fn rows_of(out: &Out<'_>) -> (u32, usize) {
    let width = out.shape.last().copied().unwrap_or(1);
    (u32::try_from(width).unwrap_or(u32::MAX), out.elements() / width.max(1))
}

impl<M: Machine> Gpu<M> {
    pub(super) fn softmax_rows(&self, kind: SoftmaxKind, out: &Out<'_>, x: &View<'_>) -> Result<()> {
        self.sound()?;
        let dtype = float("softmax", out.dtype)?;
        let (width, rows) = rows_of(out);
        let (x, geometry, log) = (self.numbers(x)?, by_lanes(rows), u32::from(kind == SoftmaxKind::LogSoftmax));
        self.computing(out, |to| {
            self.launched(match dtype {
                DType::F64 => softmax_f64::launch(self, geometry, to.slice_mut(), x.slice(), width, log),
                _ => softmax_f32::launch(self, geometry, to.slice_mut(), x.slice(), width, log),
            })
        })
    }

    pub(super) fn softmax_gradients(
        &self,
        kind: SoftmaxKind,
        out: &Out<'_>,
        y: &View<'_>,
        dy: &View<'_>,
    ) -> Result<()> {
        self.sound()?;
        let dtype = float("softmax_grad", out.dtype)?;
        let (width, rows) = rows_of(out);
        let (y, dy, geometry) = (self.numbers(y)?, self.numbers(dy)?, by_lanes(rows));
        let log = u32::from(kind == SoftmaxKind::LogSoftmax);
        self.computing(out, |to| {
            self.launched(match dtype {
                DType::F64 => {
                    softmax_grad_f64::launch(self, geometry, to.slice_mut(), y.slice(), dy.slice(), width, log)
                }
                _ => softmax_grad_f32::launch(self, geometry, to.slice_mut(), y.slice(), dy.slice(), width, log),
            })
        })
    }

    pub(super) fn losses(&self, out: Out<'_>, logits: View<'_>, target: View<'_>) -> Result<()> {
        self.sound()?;
        if target.dtype.is_float() {
            return composed::cross_entropy(self, out, logits, target);
        }
        let classes = logits.layout.shape()[1] as u32;
        let (x, labels) = (self.rows(&logits)?, self.rows_as(&target, DType::I64)?);
        let (to, geometry, labels) = (self.target(&out), by_lanes(out.elements()), labels.slice());
        self.launched(match out.dtype {
            DType::F32 => cross_entropy_f32::launch(self, geometry, to.slice_mut(), x.slice(), labels, classes),
            DType::F64 => cross_entropy_f64::launch(self, geometry, to.slice_mut(), x.slice(), labels, classes),
            other => return Err(unsupported_dtype("cross_entropy", other, "f32 or f64")),
        })
    }

    pub(super) fn loss_gradients(&self, out: Out<'_>, logits: View<'_>, target: View<'_>, dy: View<'_>) -> Result<()> {
        self.sound()?;
        if target.dtype.is_float() {
            return composed::cross_entropy_grad(self, out, logits, target, dy);
        }
        let [rows, classes] = [logits.layout.shape()[0], logits.layout.shape()[1]];
        let (x, labels) = (self.rows(&logits)?, self.rows_as(&target, DType::I64)?);
        let (slopes, start) = (self.whole(dy.buffer, dy.dtype), dy.layout.offset() as i64);
        let step = dy.layout.strides()[0] as i64;
        let (to, geometry, labels, classes) = (self.target(&out), by_lanes(rows), labels.slice(), classes as u32);
        macro_rules! launch {
            ($kernel:ident) => {
                $kernel::launch(self, geometry, to.slice_mut(), x.slice(), labels, slopes.slice(), start, step, classes)
            };
        }
        self.launched(match out.dtype {
            DType::F32 => launch!(cross_entropy_grad_f32),
            DType::F64 => launch!(cross_entropy_grad_f64),
            other => return Err(unsupported_dtype("cross_entropy_grad", other, "f32 or f64")),
        })
    }

    pub(super) fn update_slot(&self, rule: UpdateRule, step: &View<'_>, slot: &UpdateSlot) -> Result<()> {
        self.sound()?;
        let part = |buffer, offset| self.part(buffer, offset, slot.elements, slot.dtype);
        let parameter = part(slot.parameter, slot.parameter_offset);
        let gradient = part(slot.gradient, slot.gradient_offset);
        // A state that the rule does not have is empty.
        let state = |i: usize| {
            let buffer = slot.states[i];
            self.part(buffer, 0, if buffer.bytes == 0 { 0 } else { slot.elements }, slot.dtype)
        };
        let (first, second) = (state(0), state(1));
        let step = self.rows(step)?;
        let geometry = by_element(slot.elements);
        macro_rules! launch {
            ($kernel:ident: $($state:ident),+; $($constant:expr),+) => {
                $kernel::launch(
                    self,
                    geometry,
                    parameter.slice_mut(),
                    gradient.slice(),
                    $($state.slice_mut(),)+
                    step.slice(),
                    $($constant),+
                )
            };
        }
        self.launched(match (rule, slot.dtype) {
            (UpdateRule::Adam { beta1, beta2, epsilon, weight_decay, decoupled }, DType::F32) => {
                launch!(adam_f32: first, second; beta1, beta2, epsilon, weight_decay, decoupled.into())
            }
            (UpdateRule::Adam { beta1, beta2, epsilon, weight_decay, decoupled }, DType::F64) => {
                launch!(adam_f64: first, second; beta1, beta2, epsilon, weight_decay, decoupled.into())
            }
            (UpdateRule::Sgd { momentum, dampening, weight_decay, nesterov }, DType::F32) => {
                launch!(sgd_f32: first; momentum, dampening, weight_decay, nesterov.into())
            }
            (UpdateRule::Sgd { momentum, dampening, weight_decay, nesterov }, DType::F64) => {
                launch!(sgd_f64: first; momentum, dampening, weight_decay, nesterov.into())
            }
            (_, other) => return Err(unsupported_dtype("update", other, "f32 or f64")),
        })
    }
}
