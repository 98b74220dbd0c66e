//! Text: from characters, words or byte pairs to tokens and back.

mod byte_pairs;
mod characters;
mod counts;
mod encoder;
mod files;
#[cfg(feature = "tokenizers")]
mod hugging_face;
mod learner;
mod load;
mod options;
mod pairs;
mod saved;
mod special;
mod template;
mod text_inputs;
mod token_file;
mod tokenizer;
mod tokenizer_json;
mod units;
mod word_piece;
mod words;

pub use encoder::TextEncoder;
pub use load::load_text;
pub use options::TextOptions;
pub use pairs::{PairDataset, PairEncoder};
pub use text_inputs::{EncodedTexts, TextInputs};
pub use token_file::{TokenFile, TokenWriter};
pub use tokenizer::Tokenizer;
pub use words::WordOptions;
