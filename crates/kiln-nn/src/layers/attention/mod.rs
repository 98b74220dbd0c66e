//! Attention, what tells it of positions, and the blocks of transformers.

mod aligned;
mod attend;
mod block;
mod cache;
mod decoder_layer;
mod encoder_layer;
mod feed_forward;
mod inputs;
mod keras;
mod multi_head;
mod norm;
mod packed;
mod past;
mod positions;
mod projections;
mod settings;
mod stack;

pub use decoder_layer::TransformerDecoderLayer;
pub use encoder_layer::TransformerEncoderLayer;
pub use feed_forward::FeedForward;
pub use inputs::AttentionInputs;
pub use multi_head::MultiHeadAttention;
pub use norm::BlockNorm;
pub use positions::{PositionEmbedding, Rotary, RotaryScaling, SinusoidalPositions};
pub use stack::{TransformerDecoder, TransformerEncoder};
