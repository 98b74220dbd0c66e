//! Recurrent layers and cells.

mod cells;
mod composed;
mod direction;
mod keras;
mod layers;
mod settings;
mod stack;
mod state;

pub use cells::{GruCell, LstmCell, SimpleRnnCell};
pub use keras::KerasWeights;
pub use layers::{Gru, Lstm, PeepholeLstm, SimpleRnn};
pub use settings::Merge;
pub use state::{RecurrentState, SequenceInputs};
