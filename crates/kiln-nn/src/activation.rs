//! Activations: fused into the layer before them, or layers of their own.

use crate::{ClassAxis, Ctx, Describe, Init, Layer, Module, Visitor, VisitorMut, settings};
use kiln_autograd::Var;
use kiln_math::UnaryOp;
use kiln_tensor::{Result, Shape, UnaryCall};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// What is applied to a layer's output, by Keras's names: `Dense::new(128).activation(Activation::Relu)`, or as a layer,
/// `.push(Activation::Relu)`.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// x itself: none.
    #[default]
    Linear,
    /// max(x, 0)
    Relu,
    /// min(max(x, 0), 6)
    Relu6,
    /// x where positive, else slope·x. (Keras's default slope is 0.3, PyTorch's 0.01.)
    LeakyRelu(f64),
    /// x where positive, else alpha·(eˣ − 1).
    Elu(f64),
    /// x where positive, else alpha·(exp(x/alpha) − 1): an ELU whose slope is continuous.
    Celu(f64),
    /// The self-normalizing ELU; goes with [`Initializer::LecunNormal`](crate::Initializer::LecunNormal).
    Selu,
    /// x·Φ(x)
    Gelu,
    /// GELU by its tanh form.
    GeluTanh,
    /// x·sigmoid(x), also called swish.
    Silu,
    /// x·tanh(softplus(x))
    Mish,
    /// tanh x
    Tanh,
    /// 1/(1 + e⁻ˣ)
    Sigmoid,
    /// −ln(1 + e⁻ˣ)
    LogSigmoid,
    /// ln(1 + eˣ)
    Softplus,
    /// x/(1 + |x|)
    Softsign,
    /// min(max(x/6 + 1/2, 0), 1)
    HardSigmoid,
    /// x·hard_sigmoid(x)
    HardSwish,
    /// x kept between the two numbers, in PyTorch by default −1 and 1.
    HardTanh(f64, f64),
    /// x where |x| > lambda, else 0. (PyTorch's default is 0.5.)
    HardShrink(f64),
    /// x moved towards 0 by lambda, but not across it. (PyTorch's default is 0.5.)
    SoftShrink(f64),
    /// x − tanh x
    TanhShrink,
    /// x above the first number, else the second one.
    Threshold(f64, f64),
    /// eˣ
    Exp,
    /// exp(xᵢ) / Σ exp(xⱼ) along the axis of classes ([`ClassAxis::BY_RANK`]: the last one, of maps axis 1). Before a
    /// cross-entropy on probabilities the two are computed as one.
    Softmax,
    /// xᵢ − ln Σ exp(xⱼ) along the axis of classes, as [`Activation::Softmax`].
    LogSoftmax,
    /// [`Activation::Softmax`] along this axis, the batch's being 0; negative ones count from the end.
    SoftmaxAlong(isize),
    /// [`Activation::LogSoftmax`] along this axis.
    LogSoftmaxAlong(isize),
    /// Any elementwise operation with its constants.
    #[serde(skip)]
    Unary(UnaryCall),
}

/// Where an activation is computed.
pub(crate) enum Form {
    None,
    Elementwise(UnaryCall),
    Softmax(ClassAxis),
    LogSoftmax(ClassAxis),
}

impl Activation {
    pub(crate) fn form(self) -> Form {
        let with_two = |op: UnaryOp, params: [f64; 2]| Form::Elementwise(UnaryCall { op, params });
        let with = |op: UnaryOp, constant: f64| with_two(op, [constant, 0.0]);
        let plain = |op: UnaryOp| Form::Elementwise(op.into());
        match self {
            Activation::Linear => Form::None,
            Activation::Relu => plain(UnaryOp::Relu),
            Activation::Relu6 => plain(UnaryOp::Relu6),
            Activation::LeakyRelu(slope) => with(UnaryOp::LeakyRelu, slope),
            Activation::Elu(alpha) => with(UnaryOp::Elu, alpha),
            Activation::Celu(alpha) => with(UnaryOp::Celu, alpha),
            Activation::Selu => plain(UnaryOp::Selu),
            Activation::Gelu => plain(UnaryOp::Gelu),
            Activation::GeluTanh => plain(UnaryOp::GeluTanh),
            Activation::Silu => plain(UnaryOp::Silu),
            Activation::Mish => plain(UnaryOp::Mish),
            Activation::Tanh => plain(UnaryOp::Tanh),
            Activation::Sigmoid => plain(UnaryOp::Sigmoid),
            Activation::LogSigmoid => plain(UnaryOp::LogSigmoid),
            Activation::Softplus => plain(UnaryOp::Softplus),
            Activation::Softsign => plain(UnaryOp::Softsign),
            Activation::HardSigmoid => plain(UnaryOp::HardSigmoid),
            Activation::HardSwish => plain(UnaryOp::HardSwish),
            Activation::HardTanh(low, high) => with_two(UnaryOp::Clamp, [low, high]),
            Activation::HardShrink(lambda) => with(UnaryOp::HardShrink, lambda),
            Activation::SoftShrink(lambda) => with(UnaryOp::SoftShrink, lambda),
            Activation::TanhShrink => plain(UnaryOp::TanhShrink),
            Activation::Threshold(threshold, value) => with_two(UnaryOp::Threshold, [threshold, value]),
            Activation::Exp => plain(UnaryOp::Exp),
            Activation::Softmax => Form::Softmax(ClassAxis::BY_RANK),
            Activation::LogSoftmax => Form::LogSoftmax(ClassAxis::BY_RANK),
            Activation::SoftmaxAlong(axis) => Form::Softmax(ClassAxis::at(axis)),
            Activation::LogSoftmaxAlong(axis) => Form::LogSoftmax(ClassAxis::at(axis)),
            Activation::Unary(call) => Form::Elementwise(call),
        }
    }

    /// A softmax or its logarithm along another axis than that of [`ClassAxis::BY_RANK`]: `Activation::Softmax.axis(1)`.
    /// Other activations go element by element and stay as they are.
    #[must_use]
    pub const fn axis(self, axis: isize) -> Self {
        match self {
            Activation::Softmax | Activation::SoftmaxAlong(_) => Activation::SoftmaxAlong(axis),
            Activation::LogSoftmax | Activation::LogSoftmaxAlong(_) => Activation::LogSoftmaxAlong(axis),
            other => other,
        }
    }

    /// The activation of x.
    ///
    /// # Errors
    /// A dtype that is not a float type; an axis that x does not have.
    pub fn apply(self, x: &Var) -> Result<Var> {
        let along = |axis: ClassAxis| axis.of("softmax", x.shape()).map(|axis| axis as isize);
        match self.form() {
            Form::None => Ok(x.clone()),
            Form::Elementwise(call) => x.unary(call),
            Form::Softmax(axis) => x.softmax(along(axis)?),
            Form::LogSoftmax(axis) => x.log_softmax(along(axis)?),
        }
    }

    /// What a layer's own operation can apply in passing. Not a sigmoid, for a loss wants to know its logits
    /// ([`Var::origin`]).
    pub(crate) fn fused(self) -> Option<UnaryCall> {
        match self.form() {
            Form::Elementwise(call) if call.op != UnaryOp::Sigmoid => Some(call),
            _ => None,
        }
    }

    /// What is left to do after an operation that has applied [`Activation::fused`].
    pub(crate) fn rest(self, y: Var) -> Result<Var> {
        if self == Activation::Linear || self.fused().is_some() { Ok(y) } else { self.apply(&y) }
    }
}

impl From<UnaryOp> for Activation {
    fn from(op: UnaryOp) -> Self {
        Activation::Unary(op.into())
    }
}

impl Module for Activation {
    fn visit<'m>(&'m self, _: &mut dyn Visitor<'m>) {}
    fn visit_mut<'m>(&'m mut self, _: &mut dyn VisitorMut<'m>) {}
}

impl Layer for Activation {
    type Input = Var;
    type Output = Var;
    fn forward(&self, x: Var, _: &Ctx) -> Result<Var> {
        self.apply(&x)
    }

    fn build(&mut self, input: &Shape, _: &mut Init) -> Result<Shape> {
        Ok(*input)
    }
}

impl Describe for Activation {
    fn config(&self) -> Option<Json> {
        // What an activation is called depends on which it is.
        Some(json!({ "layer": "Activation", "activation": settings(self)? }))
    }
    fn name(&self) -> &'static str {
        match self {
            Activation::Linear => "Identity",
            Activation::Relu => "Relu",
            Activation::Relu6 => "Relu6",
            Activation::LeakyRelu(_) => "LeakyRelu",
            Activation::Elu(_) => "Elu",
            Activation::Celu(_) => "Celu",
            Activation::Selu => "Selu",
            Activation::Gelu | Activation::GeluTanh => "Gelu",
            Activation::Silu => "Silu",
            Activation::Mish => "Mish",
            Activation::Tanh => "Tanh",
            Activation::Sigmoid => "Sigmoid",
            Activation::LogSigmoid => "LogSigmoid",
            Activation::Softplus => "Softplus",
            Activation::Softsign => "Softsign",
            Activation::HardSigmoid => "HardSigmoid",
            Activation::HardSwish => "HardSwish",
            Activation::HardTanh(..) => "HardTanh",
            Activation::HardShrink(_) => "HardShrink",
            Activation::SoftShrink(_) => "SoftShrink",
            Activation::TanhShrink => "TanhShrink",
            Activation::Threshold(..) => "Threshold",
            Activation::Exp => "Exp",
            Activation::Softmax | Activation::SoftmaxAlong(_) => "Softmax",
            Activation::LogSoftmax | Activation::LogSoftmaxAlong(_) => "LogSoftmax",
            Activation::Unary(call) => call.op.name(),
        }
    }
}
