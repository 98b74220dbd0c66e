//! From a CSV file of texts to a trained model: whether a review praises a film. Texts have different lengths, and the order of words
//! matters: what is not good is bad. The file is written first.
//!
//! ```sh
//! cargo run --release -p kiln --example sentiment
//! ```
//!
//! The same in Keras: listings/sentiment.py.

use kiln::prelude::*;
use std::path::Path;

/// Reviews of 3 to 17 words: what was seen, words that mean nothing, and a verdict.
fn write(path: &Path) -> Result<()> {
    let mut text = "review,mood\n".to_owned();
    for row in 0..800 {
        let mut random = RandomStream::new(1, Purpose::Data, row);
        let mut one = |words: &[&'static str]| words[random.below(words.len() as u32) as usize];
        let what = one(&["A film", "This story", "The cast", "The music", "The end"]);
        let fillers = (0..one(&["", "..", "....", "......"]).len())
            .map(|_| one(&["which", "we", "saw", "there,", "with", "friends"]));
        let fillers = fillers.collect::<Vec<_>>().join(" ");
        let (not, praise) = (one(&["", "", "not "]), one(&["yes", "no"]) == "yes");
        let verdict =
            one(if praise { &["good", "fine", "great", "touching"] } else { &["dull", "bad", "poor", "boring"] });
        let mood = if praise == not.is_empty() { "positive" } else { "negative" };
        text += &format!("\"{what} {fillers} is {not}{verdict}{}\",{mood}\n", one(&[".", "!", " and long."]));
    }
    std::fs::write(path, text).map_err(|e| Error::value("csv", format!("{}: {e}", path.display())))
}

/// The accuracy on reviews that the training has not seen, and what the model says of others.
fn train(path: &Path, reviews: &[&str]) -> Result<(f64, Vec<String>)> {
    let [train, test] = Csv::open(path)?.split_stratified("mood", 0.2, 42)?;
    let texts = TextOptions::new("review", "mood").words(WordOptions::new().size(1000)).max_length(50).fit(&train)?;
    let (train, test) = (texts.dataset(&train)?, texts.dataset(&test)?);

    let model = Sequential::new()
        .push(Embedding::new(texts.tokenizer().len(), 16).padding(0).mask_padding(true))
        .push(Gru::new(16))
        .push(Dense::new(texts.class_names().len()).activation(Activation::Softmax))
        .build(train.input_shape(), &Device::cpu(), 1)?;
    let mut trainer = compile(model, Adam::new(0.01), SparseCategoricalCrossentropy::new()).metric(Accuracy);
    trainer.fit(&train, FitOptions::new().epochs(10).seed(1).quiet())?;
    let accuracy = trainer.evaluate(&test)?.accuracy();

    // Elsewhere: the encoder's JSON goes with the model's file.
    let texts = TextEncoder::from_json(&texts.to_json())?;
    let classes = trainer.predict(&texts.inputs(reviews, &Device::cpu())?)?.argmax(-1)?.to_vec::<i64>()?;
    Ok((accuracy, classes.iter().map(|&class| texts.class_names()[class as usize].clone()).collect()))
}

const REVIEWS: [&str; 3] =
    ["Great!", "The cast we saw there is not bad", "The story with the marvelous cast is not good."];

fn main() -> Result<()> {
    let path = Path::new("reviews.csv");
    write(path)?;
    let (accuracy, moods) = train(path, &REVIEWS)?;
    println!("accuracy {accuracy:.3}");
    REVIEWS.iter().zip(moods).for_each(|(review, mood)| println!("{review}: {mood}"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moods_are_learned_from_a_file() {
        let path = std::env::temp_dir().join(format!("kiln-reviews-{}.csv", std::process::id()));
        write(&path).unwrap();
        let (accuracy, moods) = train(&path, &REVIEWS).unwrap();
        std::fs::remove_file(path).unwrap();
        // Words alone are right in two of three cases.
        assert!(accuracy > 0.95, "{accuracy}");
        assert_eq!(moods, ["positive", "positive", "negative"]);
    }
}
