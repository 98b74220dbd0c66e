//! The list of cells, from which enum, kernels and tests are generated.

use super::{Cell, CellVisitor, Inner};

/// Calls `$callback! { {"documentation", Type, name} … }` with every cell.
#[macro_export]
macro_rules! for_each_cell {
    ($callback:path) => {
        $callback! {
            { "h′ = tanh a.", Tanh, tanh }
            { "h′ = max(a, 0).", Relu, relu }
            { "Long short-term memory.", Lstm, lstm }
            { "The LSTM whose gates see the cell state.", PeepholeLstm, peephole_lstm }
            { "Gated recurrent unit whose reset gate comes after the recurrent product, as in PyTorch.", Gru, gru }
            { "Gated recurrent unit whose reset gate comes before it, as in the paper.", GruResetBefore, gru_reset_before }
        }
    };
}

macro_rules! cell_enum {
    ($({ $doc:literal, $cell:ident, $name:ident })+) => {
        /// A cell of the list.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum RecurrentCell { $(#[doc = $doc] #[doc = ""] #[doc = concat!("[`", stringify!($cell), "`](super::", stringify!($cell), ")")] $cell),+ }

        impl RecurrentCell {
            /// All of them.
            pub const ALL: &'static [RecurrentCell] = &[$(RecurrentCell::$cell),+];

            /// The name, as files have it.
            pub const fn name(self) -> &'static str {
                match self { $(RecurrentCell::$cell => stringify!($name)),+ }
            }

            /// Runs code that is generic over the cell for this one.
            #[inline]
            pub fn visit<V: CellVisitor>(self, visitor: V) -> V::Output {
                match self { $(RecurrentCell::$cell => visitor.visit(super::$cell)),+ }
            }
        }
    };
}
for_each_cell!(cell_enum);

/// G, W and [`Cell::INNER`].
struct Describe;

impl CellVisitor for Describe {
    type Output = (usize, usize, Inner);
    fn visit<C: Cell<G, W>, const G: usize, const W: usize>(self, _: C) -> Self::Output {
        (G, W, C::INNER)
    }
}

impl RecurrentCell {
    /// Gates: a step's projection has this many numbers for each unit.
    pub fn gates(self) -> usize {
        self.visit(Describe).0
    }

    /// Weights of each unit that belong to no product: a GRU's bias inside the reset gate.
    pub fn unit_weights(self) -> usize {
        self.visit(Describe).1
    }

    /// What a step leaves beside its state.
    pub fn inner(self) -> Inner {
        self.visit(Describe).2
    }

    /// Whether a second state is handed from step to step: an LSTM's c.
    pub fn has_cell_state(self) -> bool {
        self.inner() == Inner::State
    }
}
