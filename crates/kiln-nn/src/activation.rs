//! Activations: fused into the layer before them, or layers of their own.

use crate::{ClassAxis, Ctx, Describe, Init, Layer, Module, Visitor, VisitorMut, settings};
use kiln_autograd::Var;
use kiln_math::UnaryOp;
use kiln_tensor::{Result, Shape, UnaryCall};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// Where an activation is computed.
pub(crate) enum Form {
    None,
    Elementwise(UnaryCall),
    Softmax(ClassAxis),
    LogSoftmax(ClassAxis),
}

/// An elementwise operation.
fn plain(op: UnaryOp) -> Form {
    Form::Elementwise(op.into())
}

/// An elementwise operation with a constant.
fn with(op: UnaryOp, constant: f64) -> Form {
    Form::Elementwise(UnaryCall { op, params: [constant, 0.0] })
}

/// The activations: documentation, name with what it is given, what it is called as a layer, and where it is computed. The enum, reading
/// and writing JSON (`leaky_relu`), and the tests' list follow.
macro_rules! activations {
    ($($(#[$meta:meta])* $variant:ident $(($value:ident: $type:ty))?, $name:expr, $form:expr;)+) => {
        /// What is applied to a layer's output, by Keras's names: `Dense::new(128).activation(Activation::Relu)`, or as a layer,
        /// `.push(Activation::Relu)`.
        #[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Activation {
            $($(#[$meta])* $variant $(($type))?,)+
        }

        impl Activation {
            pub(crate) fn form(self) -> Form {
                match self { $(Activation::$variant $(($value))? => $form,)+ }
            }

            /// What it is called as a layer.
            #[allow(unused_variables)] // most names do not depend on what the activation is given
            fn layer(self) -> &'static str {
                match self { $(Activation::$variant $(($value))? => $name,)+ }
            }
        }

        /// Calls `$callback! { Name … }` with all activations.
        #[doc(hidden)]
        #[macro_export]
        macro_rules! for_each_activation {
            ($callback:path) => {
                $callback! { $($variant)+ }
            };
        }
    };
}

activations! {
    /// x itself: none.
    #[default]
    Linear, "Identity", Form::None;
    /// max(x, 0)
    Relu, "Relu", plain(UnaryOp::Relu);
    /// min(max(x, 0), 6)
    Relu6, "Relu6", plain(UnaryOp::Relu6);
    /// x where positive, else slope·x. (Keras's default slope is 0.3, PyTorch's 0.01.)
    LeakyRelu(slope: f64), "LeakyRelu", with(UnaryOp::LeakyRelu, slope);
    /// x where positive, else alpha·(eˣ − 1).
    Elu(alpha: f64), "Elu", with(UnaryOp::Elu, alpha);
    /// x where positive, else alpha·(exp(x/alpha) − 1): an ELU whose slope is continuous.
    Celu(alpha: f64), "Celu", with(UnaryOp::Celu, alpha);
    /// The self-normalizing ELU; goes with [`Initializer::LecunNormal`](crate::Initializer::LecunNormal).
    Selu, "Selu", plain(UnaryOp::Selu);
    /// x·Φ(x)
    Gelu, "Gelu", plain(UnaryOp::Gelu);
    /// GELU by its tanh form.
    GeluTanh, "Gelu", plain(UnaryOp::GeluTanh);
    /// x·sigmoid(x), also called swish.
    Silu, "Silu", plain(UnaryOp::Silu);
    /// x·tanh(softplus(x))
    Mish, "Mish", plain(UnaryOp::Mish);
    /// tanh x
    Tanh, "Tanh", plain(UnaryOp::Tanh);
    /// 1/(1 + e⁻ˣ)
    Sigmoid, "Sigmoid", plain(UnaryOp::Sigmoid);
    /// −ln(1 + e⁻ˣ)
    LogSigmoid, "LogSigmoid", plain(UnaryOp::LogSigmoid);
    /// ln(1 + eˣ)
    Softplus, "Softplus", plain(UnaryOp::Softplus);
    /// x/(1 + |x|)
    Softsign, "Softsign", plain(UnaryOp::Softsign);
    /// min(max(x/6 + 1/2, 0), 1)
    HardSigmoid, "HardSigmoid", plain(UnaryOp::HardSigmoid);
    /// x·hard_sigmoid(x)
    HardSwish, "HardSwish", plain(UnaryOp::HardSwish);
    /// eˣ
    Exp, "Exp", plain(UnaryOp::Exp);
    /// exp(xᵢ) / Σ exp(xⱼ) along the axis of classes ([`ClassAxis::BY_RANK`]: the last one, of maps axis 1). Before a
    /// cross-entropy on probabilities the two are computed as one.
    Softmax, "Softmax", Form::Softmax(ClassAxis::BY_RANK);
    /// xᵢ − ln Σ exp(xⱼ) along the axis of classes, as [`Activation::Softmax`].
    LogSoftmax, "LogSoftmax", Form::LogSoftmax(ClassAxis::BY_RANK);
    /// [`Activation::Softmax`] along this axis, the batch's being 0; negative ones count from the end.
    SoftmaxAlong(axis: isize), "Softmax", Form::Softmax(ClassAxis::at(axis));
    /// [`Activation::LogSoftmax`] along this axis.
    LogSoftmaxAlong(axis: isize), "LogSoftmax", Form::LogSoftmax(ClassAxis::at(axis));
    /// Any elementwise operation with its constants.
    #[serde(skip)]
    Unary(call: UnaryCall), call.op.name(), Form::Elementwise(call);
}

impl Activation {
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
        self.layer()
    }
}
