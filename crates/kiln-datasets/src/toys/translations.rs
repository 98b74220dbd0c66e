//! Lists of words and what a command makes of them.

use super::table;
use crate::Csv;
use kiln_tensor::Result;

/// In alphabetical order.
const WORDS: [&str; 24] = [
    "apple", "banana", "cherry", "date", "elder", "fig", "grape", "hazel", "iris", "juniper", "kale", "lemon", "mango",
    "nutmeg", "olive", "pear", "quince", "rose", "sage", "tea", "umbra", "vanilla", "walnut", "yam",
];
/// Words in a list, at least and at most.
const LENGTHS: [usize; 2] = [2, 6];

/// Made-up pairs of texts for models that read one text and write another, in the columns `text` and `answer`: a command with two to six words,
/// and the words as it wants them. `sort: pear fig apple` has the answer `apple fig pear`, `reverse: pear fig apple` the answer `apple fig
/// pear` too, and `reverse: fig pear` is `pear fig`. The words of a list are different ones of 24; no text is there twice.
///
/// ```
/// let pairs = kiln_datasets::toy_translations(100, 0)?;
/// assert_eq!((pairs.len(), pairs.columns()), (100, &["text".to_owned(), "answer".to_owned()][..]));
/// # Ok::<(), kiln_tensor::Error>(())
/// ```
///
/// # Errors
/// A number of rows that is not from 1 to 1,000,000.
pub fn toy_translations(rows: usize, seed: u64) -> Result<Csv> {
    table("toy_translations", ["text", "answer"], rows, seed, |random| {
        let mut places: Vec<usize> = (0..WORDS.len()).collect();
        random.shuffle(&mut places);
        let [least, most] = LENGTHS;
        places.truncate(least + random.below((most - least + 1) as u32) as usize);
        let words = |places: &[usize]| places.iter().map(|&place| WORDS[place]).collect::<Vec<_>>().join(" ");
        let given = words(&places);
        let command = if random.below(2) == 0 {
            places.sort_unstable();
            "sort"
        } else {
            places.reverse();
            "reverse"
        };
        [format!("{command}: {given}"), words(&places)]
    })
}
