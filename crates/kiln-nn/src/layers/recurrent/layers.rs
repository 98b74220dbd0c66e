//! The layers by their names.

use super::keras::KerasWeights;
use super::settings::{Merge, Settings};
use super::stack::Stack;
use super::state::{RecurrentState, SequenceInputs};
use crate::layers::setters::setters;
use crate::{
    Constraint, Ctx, Describe, Init, Initializer, L1L2, Layer, Module, Sequence, Shapes, StateDict, settings,
};
use kiln_autograd::Var;
use kiln_tensor::{RecurrentCell, Result, Shape};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

macro_rules! layer {
    ($(#[$documentation:meta])* $name:ident, $cell:expr) => {
        $(#[$documentation])*
        #[derive(Module, Clone, Debug, Serialize, Deserialize)]
        pub struct $name {
            #[module(flatten)]
            #[serde(flatten)]
            stack: Stack,
        }

        impl $name {
            /// A layer of this many units, to be built for its input. It gives its last state; see
            /// [`return_sequences`](Self::return_sequences). First values are Keras's: Glorot-uniform for the input's
            /// weights, orthogonal for the recurrent ones, 0 for biases.
            pub fn new(units: usize) -> Self {
                $name { stack: Stack::new(Settings::new($cell, units)) }
            }

            /// A layer of these sizes as PyTorch makes it, built at once: it gives all steps, and its first values are
            /// uniform in ±1/√units.
            ///
            /// # Errors
            /// Sizes of 0, or out of memory.
            pub fn with_sizes(inputs: usize, units: usize, init: &mut Init) -> Result<Self> {
                $name::new(units).return_sequences(true).uniform_initializer().with_input(inputs, init)
            }

            /// The same layer, built for inputs of this many features.
            ///
            /// # Errors
            /// Sizes of 0, or out of memory.
            pub fn with_input(mut self, inputs: usize, init: &mut Init) -> Result<Self> {
                self.build(&Shape::new(&[1, inputs])?, init)?;
                Ok(self)
            }

            setters! {
                /// So many layers one over the other, of the same units; 1 by default.
                fn layers(self, layers: usize) { self.stack.settings.layers = layers }

                /// A second set of weights that goes through the sequence from its end, beside the first: the output is
                /// twice as wide, or what `merge` makes of the two.
                fn bidirectional(self, merge: Merge) { self.stack.settings.bidirectional = Some(merge) }

                /// Whether the output is the state after every step, (N, T, units), or after the last, (N, units), as by
                /// default (Keras's). Of the reverse direction the last is the first step's.
                fn return_sequences(self, all: bool) { self.stack.settings.return_sequences = all }

                /// Whether inputs and outputs are (N, T, …), as by default, or (T, N, …).
                fn batch_first(self, batch_first: bool) { self.stack.settings.batch_first = batch_first }

                /// Whether there are biases; there are by default.
                fn use_bias(self, use_bias: bool) { self.stack.settings.use_bias = use_bias }

                /// In training, what of each layer's output the next one does not see (PyTorch's `dropout`; for that of the
                /// first layer's input put a [`Dropout`](crate::Dropout) before).
                fn dropout(self, rate: f64) { self.stack.settings.dropout = rate }

                /// In training, what of the state is dropped on its way into the recurrent product: the same units at every
                /// step and for all gates (Gal and Ghahramani 2016).
                fn recurrent_dropout(self, rate: f64) { self.stack.settings.recurrent_dropout = rate }

                /// First values of the input's weights.
                fn kernel_initializer(self, initializer: Initializer) {
                    self.stack.settings.kernel_initializer = initializer;
                }

                /// First values of the recurrent weights.
                fn recurrent_initializer(self, initializer: Initializer) {
                    self.stack.settings.recurrent_initializer = initializer;
                }

                /// First values of the biases.
                fn bias_initializer(self, initializer: Initializer) { self.stack.settings.bias_initializer = initializer }
            }

            /// PyTorch's first values: all uniform in ±1/√units.
            #[must_use]
            pub fn uniform_initializer(mut self) -> Self {
                self.stack.settings.uniform();
                self
            }

            setters! {
                /// A penalty on the input's weights, added to the loss.
                fn kernel_regularizer(self, regularizer: impl Into<L1L2>) {
                    self.stack.settings.kernel_regularizer = Some(regularizer.into());
                }

                /// A penalty on the recurrent weights.
                fn recurrent_regularizer(self, regularizer: impl Into<L1L2>) {
                    self.stack.settings.recurrent_regularizer = Some(regularizer.into());
                }

                /// A penalty on the biases.
                fn bias_regularizer(self, regularizer: impl Into<L1L2>) {
                    self.stack.settings.bias_regularizer = Some(regularizer.into());
                }

                /// A penalty on the output.
                fn activity_regularizer(self, regularizer: impl Into<L1L2>) {
                    self.stack.settings.activity_regularizer = Some(regularizer.into());
                }

                /// What the input's weights are brought back to after each step.
                fn kernel_constraint(self, constraint: impl Into<Constraint>) {
                    self.stack.settings.kernel_constraint = Some(constraint.into());
                }

                /// What the recurrent weights are brought back to after each step.
                fn recurrent_constraint(self, constraint: impl Into<Constraint>) {
                    self.stack.settings.recurrent_constraint = Some(constraint.into());
                }

                /// What the biases are brought back to after each step.
                fn bias_constraint(self, constraint: impl Into<Constraint>) {
                    self.stack.settings.bias_constraint = Some(constraint.into());
                }

                /// Whether each batch begins with the states that the one before ended with, row by row, without gradients
                /// flowing back: truncated backpropagation through time over data such as
                /// [`TextStreams`](https://docs.rs/kiln-datasets), in order. Training and evaluation each carry states of their
                /// own; [`Layer::reset_states`] forgets them, which `fit` does before each pass over its data.
                fn stateful(self, stateful: bool) { self.stack.settings.stateful = stateful }

                /// Whether gradients of gradients can be taken; the input's part of the gates is then kept for them.
                fn twice_differentiable(self, twice: bool) { self.stack.settings.twice_differentiable = twice }
            }

            /// The output for x (N, T, features), and the states after the last step, from initial states, with lengths or a
            /// mask.
            ///
            /// # Errors
            /// An input of other features than the layer was built for, a state of another batch's, a mask of another shape,
            /// a length outside the sequence, named with what was expected.
            pub fn run(&self, x: &Var, inputs: &SequenceInputs<'_>, ctx: &Ctx) -> Result<(Var, RecurrentState)> {
                self.stack.run(x, inputs, ctx)
            }

            /// Takes over the weights that Keras's layer has, of layer `layer` and one of its directions.
            ///
            /// # Errors
            /// A layer that is not built, or weights of other shapes, each named with what is expected. Nothing is changed
            /// then.
            pub fn set_keras_weights(&mut self, layer: usize, reverse: bool, weights: &KerasWeights) -> Result<()> {
                self.stack.set_keras_weights(layer, reverse, weights)
            }

            /// Takes over weights under Keras's names: `…/kernel`, `…/recurrent_kernel` and `…/bias`, the directions of a
            /// bidirectional layer told by `forward` and `backward` in the names. Of a layer of one layer.
            ///
            /// # Errors
            /// Names that are missing; as [`set_keras_weights`](Self::set_keras_weights).
            pub fn load_keras(&mut self, state: &StateDict) -> Result<()> {
                self.stack.load_keras(state)
            }
        }

        impl Layer for $name {
            type Input = Sequence;
            type Output = Sequence;

            fn forward(&self, x: Sequence, ctx: &Ctx) -> Result<Sequence> {
                self.stack.forward(x, ctx)
            }

            fn build(&mut self, input: &Shape, init: &mut Init) -> Result<Shape> {
                self.stack.build(input, init)
            }

            fn reset_states(&self) {
                self.stack.reset_states();
            }
        }

        impl Describe for $name {
            fn config(&self) -> Option<Json> {
                settings(self)
            }
            fn flops(&self, _: &Shapes) -> u64 {
                self.stack.flops()
            }
        }
    };
}

layer! {
    /// Long short-term memory (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000):
    ///
    /// i = σ(W_ii·x + W_hi·h + b), f = σ(W_if·x + W_hf·h + b), g = tanh(W_ig·x + W_hg·h + b), o = σ(W_io·x + W_ho·h + b);
    /// c′ = f⊙c + i⊙g, h′ = o⊙tanh c′.
    ///
    /// x is (N, T, features). Paths and shapes are those of PyTorch's `LSTM`: `weight_ih_l0` (4·units, features),
    /// `weight_hh_l0` (4·units, units), `bias_ih_l0`, `bias_hh_l0`, with `_reverse` for the reverse direction; gates in the
    /// order i, f, g, o. The forget gate's bias begins at 1, as in Keras.
    ///
    /// ```
    /// use kiln_nn::{Activation, Dense, Lstm, Merge, Module, Sequential};
    /// use kiln_tensor::Device;
    /// # fn main() -> Result<(), kiln_tensor::Error> {
    /// let model = Sequential::new()
    ///     .push(Lstm::new(64).bidirectional(Merge::Concat).return_sequences(true))
    ///     .push(Lstm::new(32).layers(2).dropout(0.2))
    ///     .push(Dense::new(10).activation(Activation::Softmax))
    ///     .build([28, 28], &Device::cpu(), 1)?; // 28 steps of 28 features
    /// assert_eq!(model.parameters()[4].0, "0.weight_ih_l0_reverse");
    /// # Ok(())
    /// # }
    /// ```
    Lstm, RecurrentCell::Lstm
}

layer! {
    /// An [`Lstm`] with peephole connections (Gers and Schmidhuber 2000): its gates see the cell state, each unit its own.
    ///
    /// i = σ(W_ii·x + W_hi·h + p_i⊙c + b), f = σ(W_if·x + W_hf·h + p_f⊙c + b), g = tanh(W_ig·x + W_hg·h + b); c′ = f⊙c + i⊙g;
    /// o = σ(W_io·x + W_ho·h + p_o⊙c′ + b), h′ = o⊙tanh c′.
    ///
    /// x is (N, T, features). Paths and shapes are those of [`Lstm`], with `weight_unit_l0` (3·units,) for p_i, p_f, p_o. It is
    /// ONNX's `LSTM` with the input P, but for the order of gates.
    PeepholeLstm, RecurrentCell::PeepholeLstm
}

layer! {
    /// Gated recurrent unit (Cho et al. 2014):
    ///
    /// r = σ(W_ir·x + W_hr·h + b), z = σ(W_iz·x + W_hz·h + b), n = tanh(W_in·x + b + r⊙(W_hn·h + b′));
    /// h′ = (1 − z)⊙n + z⊙h.
    ///
    /// So it is in PyTorch and, as `reset_after=True`, by default in Keras; with [`Gru::reset_after`]`(false)` the reset gate
    /// comes before the product, n = tanh(W_in·x + W_hn·(r⊙h) + b), as in the paper.
    ///
    /// x is (N, T, features). Paths and shapes are those of PyTorch's `GRU`, see [`Lstm`]; gates in the order r, z, n.
    Gru, RecurrentCell::Gru
}

layer! {
    /// The plain recurrent network (Elman 1990): h′ = tanh(W_ih·x + W_hh·h + b), or ReLU with [`SimpleRnn::relu`].
    ///
    /// x is (N, T, features). Paths and shapes are those of PyTorch's `RNN`, see [`Lstm`].
    SimpleRnn, RecurrentCell::Tanh
}

macro_rules! forget_gate {
    ($($name:ident),+) => {$(
        impl $name {
            setters! {
                /// Whether the forget gate's bias begins 1 higher (Jozefowicz et al. 2015), as by default in Keras.
                fn unit_forget_bias(self, unit: bool) { self.stack.settings.unit_forget_bias = unit }
            }
        }
    )+};
}
forget_gate!(Lstm, PeepholeLstm);

impl Lstm {
    setters! {
        /// The size of the state h, of fewer numbers than the layer's units: h′ = W_hr·(o⊙tanh c′) (Sak et al. 2014; PyTorch's
        /// `proj_size`). It is what the layer gives. `weight_hr_l0` is (size, units), and `weight_hh_l0` (4·units, size).
        ///
        /// No kernel has this cell: each step is made of several operations, which takes longer.
        fn projection(self, size: usize) { self.stack.settings.projection = Some(size) }

        /// Whether each step is normalized (Ba et al. 2016): the gates' arguments are LN(W_i·x) + LN(W_h·h), and
        /// c′ = LN(f⊙c + i⊙g). It is the LayerNormLSTMCell of PyTorch's benchmarks and of TensorFlow Addons, with ε = 10⁻⁵.
        ///
        /// The biases are those of the normalizations: `norm_ih_weight_l0` and `norm_ih_bias_l0` (4·units,), `norm_hh_…`, and `norm_c_…`
        /// (units,). As for [`Lstm::projection`], a step takes longer.
        fn layer_norm(self, normalized: bool) { self.stack.settings.layer_norm = normalized }
    }
}

impl Gru {
    setters! {
        /// Whether the reset gate comes after the recurrent product, as by default, or before it.
        fn reset_after(self, after: bool) {
            self.stack.settings.cell = if after { RecurrentCell::Gru } else { RecurrentCell::GruResetBefore };
        }
    }
}

impl SimpleRnn {
    /// max(x, 0) in the place of tanh (Le et al. 2015; `nonlinearity='relu'` in PyTorch).
    #[must_use]
    pub fn relu(mut self) -> Self {
        self.stack.settings.cell = RecurrentCell::Relu;
        self
    }
}
