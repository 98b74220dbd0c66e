//! What tells attention in which order steps come.

mod learned;
mod place;
mod rotary;
mod scaling;
mod sinusoidal;
mod table;

pub use learned::PositionEmbedding;
pub use rotary::Rotary;
pub use scaling::RotaryScaling;
pub use sinusoidal::SinusoidalPositions;
