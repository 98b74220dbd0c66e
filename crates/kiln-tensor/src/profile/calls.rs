//! How much work a coarse operation is.

use super::Work;
use super::work::{read, read_if, written, written_if};
use crate::tensor::calls::*;
use crate::{Call, DType, Out, Shape, UpdatePart, UpdateSlot, View};

impl Work {
    /// Of a call, with the name that it has in the list of calls.
    #[cold]
    pub(crate) fn of_call(call: &Call<'_>) -> Self {
        let (operation, _) = call.name();
        let plain = |bytes: u64| Work::new(operation, "", None, bytes);
        match call {
            Call::Dropout(c) => plain(written(&c.out) + read(&c.x) + read(&c.stream)),
            Call::Softmax(c) => plain(written(&c.out) + read(&c.x)),
            Call::SoftmaxGrad(c) => plain(written(&c.out) + read(&c.y) + read(&c.dy)),
            Call::Logsumexp(c) => plain(written(&c.out) + read(&c.x)),
            Call::CrossEntropy(c) => plain(written(&c.out) + read(&c.logits) + read(&c.target)),
            Call::CrossEntropyGrad(c) => plain(written(&c.out) + read(&c.logits) + read(&c.target) + read(&c.dy)),
            Call::Attention(c) => {
                let bytes = written(&c.out) + written(&c.log_sum) + of_attention_operands(&c.operands);
                of_attention(operation, &c.operands, [1, 1], bytes)
            }
            Call::AttentionGrad(c) => {
                let outputs = written(&c.dquery) + written(&c.dkey) + written(&c.dvalue);
                let bytes =
                    outputs + read(&c.out) + read(&c.log_sum) + read(&c.dy) + of_attention_operands(&c.operands);
                of_attention(operation, &c.operands, [3, 2], bytes)
            }
            Call::Conv(c) => {
                let bytes = written(&c.out) + read(&c.x) + read(&c.weight) + read_if(c.epilogue.bias.as_ref());
                of_convolution(operation, c.out.shape, c.weight.layout.shape(), c.x.dtype, bytes)
            }
            Call::ConvGradInput(c) => {
                let bytes = written(&c.out) + read(&c.dy) + read(&c.weight);
                of_convolution(operation, c.dy.layout.shape(), c.weight.layout.shape(), c.dy.dtype, bytes)
            }
            Call::ConvGradWeight(c) => {
                let bytes = written(&c.out) + read(&c.x) + read(&c.dy);
                of_convolution(operation, c.dy.layout.shape(), c.out.shape, c.dy.dtype, bytes)
            }
            Call::MaxPool(c) => Work::moving(operation, written(&c.out) + written_if(c.taps.as_ref()) + read(&c.x)),
            Call::MaxPoolGrad(c) => plain(written(&c.out) + read(&c.dy) + read(&c.taps)),
            Call::Moments(c) => plain(written(&c.out) + read(&c.x)),
            Call::Normalize(c) => {
                let affine = read_if(c.weight.as_ref()) + read_if(c.bias.as_ref());
                plain(written(&c.out) + read(&c.x) + read(&c.moments) + affine)
            }
            Call::NormalizeGrad(c) => {
                let y = if c.form.activation.is_some() { read(&c.y) } else { 0 };
                let outputs = written(&c.dx) + written(&c.affine);
                plain(outputs + read(&c.x) + y + read(&c.dy) + read(&c.moments) + read_if(c.weight.as_ref()))
            }
            Call::RowNorm(c) => {
                let outputs = written(&c.out) + written_if(c.sum.as_ref()) + written(&c.moments);
                let affine = read_if(c.weight.as_ref()) + read_if(c.bias.as_ref());
                plain(outputs + read(&c.x) + read_if(c.residual.as_ref()) + affine)
            }
            Call::RowNormGrad(c) => {
                let gradients = read(&c.dy) + read_if(c.direct.as_ref());
                let outputs = written(&c.dx) + written(&c.affine);
                plain(outputs + gradients + read(&c.x) + read(&c.moments) + read_if(c.weight.as_ref()))
            }
            Call::Recurrent(c) => of_recurrent(operation, c),
            Call::RecurrentGrad(c) => of_recurrent_grad(operation, c),
            Call::Update(c) => {
                let bytes = c.slots.iter().map(of_slot).sum::<u64>() + read(&c.constants) + read_if(c.apply.as_ref());
                Work::new(operation, c.rule.name(), None, bytes)
            }
            Call::Sort(c) => {
                Work::moving(operation, written_if(c.values.as_ref()) + written_if(c.positions.as_ref()) + read(&c.x))
            }
            Call::Kth(c) => Work::moving(operation, written(&c.values) + written(&c.positions) + read(&c.x)),
            Call::Search(c) => Work::moving(operation, written(&c.out) + read(&c.sorted) + read(&c.x)),
            Call::Scan(c) => plain(written(&c.out) + read(&c.x)),
            Call::ScanExtrema(c) => Work::moving(operation, written(&c.values) + written(&c.positions) + read(&c.x)),
            Call::LinearScan(c) => plain(written(&c.out) + read(&c.a) + read(&c.b)),
            Call::Distances(c) => plain(written(&c.out) + read(&c.x) + read_if(c.center.as_ref())),
            Call::Blend(c) => plain(written(&c.out) + read(&c.x)),
            Call::Custom(c) => {
                let bytes = written(&c.out) + c.operands.iter().map(read).sum::<u64>();
                Work::new(operation, c.op.name(), None, bytes)
            }
        }
    }
}

/// Each element of the convolution's output y is a sum of C/groups·K products, in the forward pass and in both gradients; products with
/// padding count, as in a layer's FLOPs.
fn of_convolution(operation: &'static str, y: &Shape, weight: &Shape, dtype: DType, bytes: u64) -> Work {
    let terms: usize = weight.iter().skip(1).product();
    Work::of_products(operation, "", 2 * (y.elements() * terms) as u64, dtype, bytes)
}

fn of_attention_operands(operands: &Attention<'_>) -> u64 {
    read(&operands.query) + read(&operands.key) + read(&operands.value) + read_if(operands.mask.as_ref())
}

/// The products of each query with each key that it sees by its place: so many over the width, and so many over the value's width. The
/// forward pass has scores and output; the backward pass the scores again, dq, dk, and the gradient of the probabilities, dv.
fn of_attention(operation: &'static str, operands: &Attention<'_>, products: [u64; 2], bytes: u64) -> Work {
    let (query, value) = (operands.query.layout.shape(), operands.value.layout.shape());
    let terms = products[0] * query[3] as u64 + products[1] * value[3] as u64;
    let flops = 2 * (query[0] * query[1]) as u64 * operands.reach.pairs() * terms;
    Work::of_products(operation, "", flops, operands.query.dtype, bytes)
}

/// What a recurrent layer reads of itself.
fn of_layer(layer: &Recurrence<View<'_>>) -> u64 {
    let given = [&layer.unit_weights, &layer.mask, &layer.keep, &layer.h0, &layer.c0];
    read(&layer.weight) + given.into_iter().map(|x| read_if(x.as_ref())).sum::<u64>()
}

/// 2·T·N·G·H·H: the product of each step. The cell itself is not counted, as in a layer's FLOPs.
fn of_recurrent(operation: &'static str, call: &RecurrentCall<'_>) -> Work {
    let outputs = 2 * written(&call.gates) + written(&call.states) + written_if(call.inner.as_ref());
    let hidden = call.states.shape.last().copied().unwrap_or(1);
    let flops = 2 * (call.gates.elements() * hidden) as u64;
    let bytes = outputs + of_layer(&call.layer);
    Work::of_products(operation, call.layer.cell.name(), flops, call.layer.weight.dtype, bytes)
}

/// As many FLOPs as the forward pass: the product of each step's gradient with the weight.
fn of_recurrent_grad(operation: &'static str, call: &RecurrentGradCall<'_>) -> Work {
    let given = [&call.inner, &call.states_grad, &call.last_grad, &call.cell_grad];
    let operands = given.into_iter().map(|x| read_if(x.as_ref())).sum::<u64>() + read(&call.gates) + read(&call.states);
    let made = [&call.dproduct, &call.dc0, &call.dunit_weights];
    let made = made.into_iter().map(|out: &Option<Out<'_>>| written_if(out.as_ref())).sum::<u64>();
    let outputs = made + written(&call.dgates) + written(&call.dh0);
    let hidden = call.states.layout.shape().last().copied().unwrap_or(1);
    let flops = 2 * (call.dgates.elements() * hidden) as u64;
    let bytes = operands + outputs + of_layer(&call.layer);
    Work::of_products(operation, call.layer.cell.name(), flops, call.layer.weight.dtype, bytes)
}

/// A parameter and its states are read and written, its gradient is read.
fn of_slot(slot: &UpdateSlot) -> u64 {
    let size = |part: &UpdatePart| part.dtype.size();
    let states: usize = slot.states.iter().flatten().map(size).sum();
    (slot.elements * (2 * size(&slot.parameter) + size(&slot.gradient) + 2 * states)) as u64
}
