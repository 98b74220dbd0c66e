//! Reviews of films that nobody has made.

use super::{one_of, table};
use crate::Csv;
use kiln_math::RandomStream;
use kiln_tensor::Result;

const BEGINNINGS: [&str; 8] = [
    "",
    "",
    "last night we saw it at home. ",
    "i watched it with my brother. ",
    "this is a film from the seventies. ",
    "it runs for two hours. ",
    "my friends had told me of it. ",
    "we went to the first show. ",
];
const ASPECTS: [&str; 14] = [
    "plot",
    "acting",
    "music",
    "ending",
    "dialogue",
    "camera work",
    "story",
    "cast",
    "script",
    "humor",
    "editing",
    "scenery",
    "opening",
    "sound",
];
const VERBS: [&str; 4] = ["was", "is", "felt", "seemed"];
/// Empty or not, these do not change what a sentence says.
const STRONG: [&str; 7] = ["", "", "", "really ", "very ", "rather ", "quite "];
/// These turn it around.
const NOT: [&str; 3] = ["not ", "never ", "hardly "];
const GOOD: [&str; 14] = [
    "good",
    "great",
    "lovely",
    "clever",
    "moving",
    "funny",
    "brilliant",
    "fresh",
    "elegant",
    "gripping",
    "charming",
    "warm",
    "witty",
    "superb",
];
const BAD: [&str; 14] = [
    "bad", "dull", "boring", "clumsy", "silly", "tired", "awful", "stale", "weak", "slow", "messy", "cold", "shallow",
    "dreadful",
];
const JOINED: [&str; 3] = [", and ", ", but ", "; "];

/// Made-up reviews of films for models that classify texts, in the columns `text` and `label`, which is `positive` or `negative`. They are put
/// together at random from short lists of words; no review is there twice.
///
/// A review judges one or three parts of a film, some of them with a negation: `the plot was not very good, and the music is lovely; the cast
/// felt dull`. The label is what most of the judgments say, so single words do not tell it.
///
/// ```
/// let reviews = kiln_datasets::toy_reviews(100, 0)?;
/// assert_eq!((reviews.len(), reviews.columns()), (100, &["text".to_owned(), "label".to_owned()][..]));
/// # Ok::<(), kiln_tensor::Error>(())
/// ```
///
/// # Errors
/// A number of rows that is not from 1 to 1,000,000.
pub fn toy_reviews(rows: usize, seed: u64) -> Result<Csv> {
    table("toy_reviews", ["text", "label"], rows, seed, |random| {
        let mut text = one_of(&BEGINNINGS, random).to_owned();
        let (count, mut positive) = (1 + 2 * random.below(2), 0);
        for part in 0..count {
            text += if part == 0 { "" } else { one_of(&JOINED, random) };
            let (said, good) = judgment(random);
            text += &said;
            positive += u32::from(good);
        }
        [text, if 2 * positive > count { "positive" } else { "negative" }.to_owned()]
    })
}

/// A sentence on a part of a film, and whether it is praise.
fn judgment(random: &mut RandomStream) -> (String, bool) {
    let [is_good, is_negated] = [random.below(2) == 0, random.below(3) == 0];
    let aspect = one_of(&ASPECTS, random);
    let verb = one_of(&VERBS, random);
    let not = if is_negated { one_of(&NOT, random) } else { "" };
    let strong = one_of(&STRONG, random);
    let adjective = one_of(if is_good { &GOOD } else { &BAD }, random);
    (format!("the {aspect} {verb} {not}{strong}{adjective}"), is_good != is_negated)
}
