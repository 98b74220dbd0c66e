//! Texts that are made up, to try models of texts on.

mod reviews;
mod translations;

pub use reviews::toy_reviews;
pub use translations::toy_translations;

use crate::{Csv, CsvOptions};
use kiln_math::{Purpose, RandomStream};
use kiln_tensor::{Error, Result};
use std::collections::HashSet;

/// The most rows: there are enough different ones.
const MOST: usize = 1_000_000;

/// A table of two columns with so many different rows. `draw` makes a row; a text that was there before is drawn again.
fn table(
    operation: &'static str,
    [text, target]: [&str; 2],
    rows: usize,
    seed: u64,
    draw: impl Fn(&mut RandomStream) -> [String; 2],
) -> Result<Csv> {
    if !(1..=MOST).contains(&rows) {
        return Err(Error::value(operation, format!("{rows} rows: 1 to {MOST} are expected")));
    }
    let (mut random, mut seen) = (RandomStream::new(seed, Purpose::Data, 0), HashSet::new());
    let mut csv = format!("{text},{target}\n");
    while seen.len() < rows {
        let [text, target] = draw(&mut random);
        if !seen.contains(&text) {
            csv += &format!("\"{text}\",\"{target}\"\n");
            seen.insert(text);
        }
    }
    CsvOptions::new().read(csv)
}

/// One of some words.
fn one_of<'w>(words: &[&'w str], random: &mut RandomStream) -> &'w str {
    words.get(random.below(words.len() as u32) as usize).copied().unwrap_or_default()
}
