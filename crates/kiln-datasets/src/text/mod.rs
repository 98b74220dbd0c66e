//! Text: from characters, words or byte pairs to tokens and back.

mod byte_pairs;
mod characters;
mod counts;
mod learner;
mod load;
mod saved;
mod tokenizer;
mod words;

pub use load::load_text;
pub use tokenizer::Tokenizer;
pub use words::WordOptions;
