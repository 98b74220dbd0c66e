//! One step at a time.

use super::direction::{Direction, Run};
use super::settings::Settings;
use crate::{Ctx, Init, Module, Visitor, VisitorMut};
use kiln_autograd::{RecurrentOutput, Var};
use kiln_tensor::{Error, RecurrentCell, Result};

/// A cell: settings and weights.
#[derive(Clone, Debug)]
struct CellModule {
    settings: Settings,
    direction: Direction,
}

impl CellModule {
    fn new(cell: RecurrentCell, inputs: usize, units: usize, init: &mut Init) -> Result<Self> {
        if inputs == 0 || units == 0 {
            return Err(Error::value(
                "recurrent",
                format!("a cell of {inputs} inputs and {units} units: both must be above 0"),
            ));
        }
        let mut settings = Settings::new(cell, units);
        settings.uniform();
        let direction = Direction::new(&settings, inputs, "", init)?;
        Ok(CellModule { settings, direction })
    }

    /// The states after x (N, inputs): (1, N, units), with an LSTM's c (2, N, units).
    fn run(&self, x: &Var, h: Option<&Var>, c: Option<&Var>, ctx: &Ctx) -> Result<Var> {
        let inputs = self.direction.weight_ih.value().dims()[1];
        if x.shape().rank() != 2 || x.dims()[1] != inputs {
            return Err(Error::shape("recurrent", format!("expected (batch, {inputs}), got {}", x.shape())));
        }
        let run = Run { reverse: false, mask: None, h0: h, c0: c, output: RecurrentOutput::WithCell };
        self.direction.run(&self.settings, &x.unsqueeze(0)?, &run, ctx)
    }
}

impl Module for CellModule {
    fn visit<'m>(&'m self, visitor: &mut dyn Visitor<'m>) {
        self.direction.visit("", visitor);
    }
    fn visit_mut<'m>(&'m mut self, visitor: &mut dyn VisitorMut<'m>) {
        self.direction.visit_mut("", visitor);
    }
}

macro_rules! plain_cell {
    ($(#[$documentation:meta])* $name:ident, $cell:expr) => {
        $(#[$documentation])*
        #[derive(Module, Clone, Debug)]
        pub struct $name {
            #[module(flatten)]
            step: CellModule,
        }

        impl $name {
            /// A cell of these sizes with PyTorch's first values, uniform in ±1/√units.
            ///
            /// # Errors
            /// Sizes of 0, or out of memory.
            pub fn new(inputs: usize, units: usize, init: &mut Init) -> Result<Self> {
                Ok($name { step: CellModule::new($cell, inputs, units, init)? })
            }

            /// The state (N, units) after x (N, inputs), from the one before; 0 where there is none.
            ///
            /// # Errors
            /// Inputs or states of other shapes, named with what was expected.
            pub fn step(&self, x: &Var, h: Option<&Var>, ctx: &Ctx) -> Result<Var> {
                self.step.run(x, h, None, ctx)?.squeeze(0)
            }
        }
    };
}

plain_cell! {
    /// One step of a [`SimpleRnn`](crate::SimpleRnn). Paths are those of PyTorch's `RNNCell`: `weight_ih`, `weight_hh`,
    /// `bias_ih`, `bias_hh`.
    SimpleRnnCell, RecurrentCell::Tanh
}

plain_cell! {
    /// One step of a [`Gru`](crate::Gru). Paths are those of PyTorch's `GRUCell`.
    GruCell, RecurrentCell::Gru
}

impl SimpleRnnCell {
    /// max(x, 0) in the place of tanh.
    #[must_use]
    pub fn relu(mut self) -> Self {
        self.step.settings.cell = RecurrentCell::Relu;
        self
    }
}

impl GruCell {
    /// Whether the reset gate comes after the recurrent product, as by default, or before it.
    #[must_use]
    pub fn reset_after(mut self, after: bool) -> Self {
        self.step.settings.cell = if after { RecurrentCell::Gru } else { RecurrentCell::GruResetBefore };
        self
    }
}

/// One step of an [`Lstm`](crate::Lstm). Paths are those of PyTorch's `LSTMCell`: `weight_ih`, `weight_hh`, `bias_ih`,
/// `bias_hh`.
///
/// ```
/// use kiln_autograd::Var;
/// use kiln_nn::{Ctx, Init, LstmCell};
/// use kiln_tensor::{DType, Device, Tensor};
/// # fn main() -> kiln_tensor::Result<()> {
/// let cpu = Device::cpu();
/// let cell = LstmCell::new(3, 8, &mut Init::new(1, &cpu))?;
/// let (ctx, x) = (Ctx::eval(), Var::constant(Tensor::ones([2, 3], DType::F32, &cpu)?));
/// let mut state = None;
/// for _ in 0..4 {
///     state = Some(cell.step(&x, state.as_ref(), &ctx)?);
/// }
/// assert_eq!(state.unwrap().0.dims(), [2, 8]);
/// # Ok(())
/// # }
/// ```
#[derive(Module, Clone, Debug)]
pub struct LstmCell {
    #[module(flatten)]
    step: CellModule,
}

impl LstmCell {
    /// A cell of these sizes with PyTorch's first values, uniform in ±1/√units.
    ///
    /// # Errors
    /// Sizes of 0, or out of memory.
    pub fn new(inputs: usize, units: usize, init: &mut Init) -> Result<Self> {
        Ok(LstmCell { step: CellModule::new(RecurrentCell::Lstm, inputs, units, init)? })
    }

    /// The states h and c (N, units) after x (N, inputs), from those before; 0 where there are none.
    ///
    /// # Errors
    /// Inputs or states of other shapes, named with what was expected.
    pub fn step(&self, x: &Var, state: Option<&(Var, Var)>, ctx: &Ctx) -> Result<(Var, Var)> {
        let both = self.step.run(x, state.map(|(h, _)| h), state.map(|(_, c)| c), ctx)?;
        Ok((both.slice(0, 0..1)?.squeeze(0)?, both.slice(0, 1..2)?.squeeze(0)?))
    }
}
