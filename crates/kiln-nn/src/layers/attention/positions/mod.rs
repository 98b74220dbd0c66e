//! What tells attention in which order steps come.

mod count;
mod learned;
mod place;
mod rotary;
mod scaling;
mod sinusoidal;
mod table;

pub(super) use count::{Counts, Positions};
pub use learned::PositionEmbedding;
pub(super) use place::carries_documents;
pub use rotary::Rotary;
pub use scaling::RotaryScaling;
pub use sinusoidal::SinusoidalPositions;
