//! Pairs of texts, and texts that are made up.

use kiln_datasets::{
    Csv, CsvOptions, Dataset, Loader, Map, PairEncoder, Subset, TextOptions, Zip, toy_reviews, toy_translations,
};
use kiln_tensor::{Device, Result, Tensor};

const PAIRS: &str = "\
english,french
A cat,Un chat
\"The cat sleeps, today\",\"Le chat dort, aujourd'hui\"
The cat,Le chat
";

fn read(text: &str) -> Csv {
    CsvOptions::new().read(text).unwrap()
}

fn options() -> TextOptions {
    TextOptions::new("english", "french")
}

#[track_caller]
fn refused<T>(result: Result<T>, expected: &str) {
    let said = result.err().unwrap().to_string();
    assert!(said.contains(expected), "{said}");
}

#[test]
fn a_batch_is_for_teacher_forcing() -> Result<()> {
    let (cpu, csv) = (Device::cpu(), read(PAIRS));
    let pairs = PairEncoder::from_json(&options().fit_pairs(&csv)?.to_json())?;
    assert_eq!((pairs.text(), pairs.target(), pairs.max_length()), ("english", "french", 6));
    let data = pairs.dataset(&csv)?;
    assert_eq!((data.len(), data.input_shapes(), data.left_out()), (3, vec![vec![6], vec![6]], 0));
    assert_eq!((data.length(0), data.length(1), data.length(3)), (Some(3), Some(6), None));
    let batch = data.batch(&[0, 1], &[], &cpu)?;
    let inputs: Vec<&Tensor> = batch.inputs.iter().collect();
    let row = |tensor: &Tensor, at: i64| pairs.tokenizer().decode(&tensor.index(0, at as isize)?.to_vec::<i64>()?);
    assert_eq!((row(inputs[0], 0)?, row(inputs[0], 1)?), ("a cat".into(), "the cat sleeps , today".into()));
    assert_eq!(
        (row(inputs[1], 0)?, row(inputs[1], 1)?),
        ("<s> un chat".into(), "<s> le chat dort , aujourd'hui".into())
    );
    assert_eq!(row(&batch.targets, 0)?, "un chat </s>");
    // Each target is the decoder's input one step later, and the mask leaves out what is filled up.
    let (given, next) = (inputs[1].to_vec::<i64>()?, batch.targets.to_vec::<i64>()?);
    assert_eq!(given[7..], next[6..11]);
    let masks: Vec<Vec<bool>> =
        batch.masks.iter().map(|mask| mask.as_ref().unwrap().to_vec()).collect::<Result<_>>()?;
    assert_eq!(masks[0], [true, true, false, false, false, true, true, true, true, true]);
    assert_eq!(masks[1], [true, true, true, false, false, false, true, true, true, true, true, true]);
    refused(data.batch(&[3], &[], &cpu), "3");

    // A longer pair is left out, by the text or by the answer.
    let short = options().max_length(3).fit_pairs(&csv)?.dataset(&csv)?;
    assert_eq!((short.len(), short.left_out()), (2, 1));
    refused(options().max_length(1).fit_pairs(&csv)?.dataset(&csv), "3 have more than 1 tokens");
    for options in [options().byte_pairs(300), options().characters()] {
        let data = options.fit_pairs(&csv)?.dataset(&csv)?;
        Loader::new(&data)
            .batch_size(2)
            .shuffle(1)
            .bucket_by_length(2)
            .epoch(0, |batches| batches.try_for_each(|batch| batch.map(|batch| assert_eq!(batch.inputs.count(), 2))))?;
    }
    Ok(())
}

#[test]
fn what_cannot_be_read_is_named() -> Result<()> {
    let (cpu, csv) = (Device::cpu(), read(PAIRS));
    refused(TextOptions::new("english", "english").fit_pairs(&csv), "is to be the text and the target");
    refused(options().max_length(0).fit_pairs(&csv), "1 or more are expected");
    refused(TextOptions::new("englsh", "french").fit_pairs(&csv), "the nearest name is \"english\"");
    let missing = read("english,french\nA cat,\nA dog,un chien\n");
    refused(options().fit_pairs(&missing), "line 2: column \"french\": the text is missing");
    assert_eq!(options().drop_missing(true).fit_pairs(&missing)?.dataset(&missing)?.len(), 1);

    let pairs = options().fit_pairs(&csv)?;
    let padded = pairs.padded(&["The CAT", "a"], &cpu)?;
    assert_eq!((padded.values.dims(), padded.mask.to_vec::<bool>()?), (&[2, 2][..], vec![true, true, true, false]));
    refused(pairs.padded(&["a cat", "a dog"], &cpu), "text 2: \"dog\" is unknown");
    refused(pairs.padded(&["  "], &cpu), "a text with at least one token is expected");
    refused(pairs.padded(&["a a a a a a a"], &cpu), "the text has 7 tokens, and the model reads at most 6");
    refused(options().characters().fit_pairs(&csv)?.padded(&["xy"], &cpu), "\"x\" is unknown");
    // What spells a special token is text like any other.
    let spelled = read("english,french\n<s> a,</s> b\n");
    let batch = options().fit_pairs(&spelled)?.dataset(&spelled)?.batch(&[0], &[], &cpu)?;
    assert_eq!(batch.inputs.dims(), [1, 4]);
    refused(PairEncoder::from_json("{}"), "this is not a pair encoder's JSON");
    Ok(())
}

#[test]
fn data_sets_of_others_have_the_shapes_of_all_inputs() -> Result<()> {
    let csv = read(PAIRS);
    let data = options().fit_pairs(&csv)?.dataset(&csv)?;
    let both = vec![vec![6], vec![6]];
    assert_eq!(Subset::new(&data, [0])?.input_shapes(), both);
    assert_eq!(Zip::new(&data, &data)?.input_shapes(), [both.clone(), both.clone()].concat());
    assert_eq!(Map::new(&data, Ok)?.input_shapes(), both);
    let boxed: Box<dyn Dataset> = Box::new(data);
    assert_eq!(boxed.input_shapes(), both);
    Ok(())
}

/// The rows of a table of two columns.
fn rows(csv: &Csv) -> Vec<[String; 2]> {
    let columns: Vec<&str> = csv.columns().iter().map(String::as_str).collect();
    let mut rows = Vec::new();
    csv.for_each(&columns, |values| {
        rows.push([values[0].unwrap().to_owned(), values[1].unwrap().to_owned()]);
        Ok(())
    })
    .unwrap();
    rows
}

fn different(rows: &[[String; 2]]) -> usize {
    rows.iter().map(|[text, _]| text).collect::<std::collections::HashSet<_>>().len()
}

#[test]
fn made_up_commands_are_carried_out() -> Result<()> {
    let made = rows(&toy_translations(2_000, 3)?);
    assert_eq!((made.len(), different(&made)), (2_000, 2_000));
    let mut commands = [0; 2];
    for [text, answer] in &made {
        let (command, words) = text.split_once(": ").unwrap();
        let mut words: Vec<&str> = words.split(' ').collect();
        assert!((2..=6).contains(&words.len()), "{text}");
        match command {
            "sort" => words.sort_unstable(),
            "reverse" => words.reverse(),
            other => panic!("{other}"),
        }
        commands[usize::from(command == "sort")] += 1;
        assert_eq!(&words.join(" "), answer, "{text}");
    }
    assert!(commands.iter().all(|&count| count > 900), "{commands:?}");
    assert_eq!(made[..10], rows(&toy_translations(10, 3)?), "fewer rows are the first ones");
    assert_ne!(made[..10], rows(&toy_translations(10, 4)?));
    refused(toy_translations(0, 0), "0 rows: 1 to 1000000 are expected");
    Ok(())
}

#[test]
fn made_up_reviews_say_what_most_of_their_parts_say() -> Result<()> {
    let made = rows(&toy_reviews(2_000, 3)?);
    assert_eq!(different(&made), 2_000);
    let bad = [
        "bad", "dull", "boring", "clumsy", "silly", "tired", "awful", "stale", "weak", "slow", "messy", "cold",
        "shallow", "dreadful",
    ];
    let mut positives = 0;
    for [text, label] in &made {
        let praise = |part: &str| {
            let words: Vec<&str> = part.split(' ').collect();
            let not = words.iter().any(|word| ["not", "never", "hardly"].contains(word));
            not == bad.contains(words.last().unwrap())
        };
        let parts: Vec<&str> = text.rsplit(". ").next().unwrap().split([',', ';']).collect();
        let good = parts.iter().filter(|part| praise(part)).count();
        assert_eq!(label, if 2 * good > parts.len() { "positive" } else { "negative" }, "{text}");
        positives += usize::from(label == "positive");
    }
    assert!((900..1_100).contains(&positives), "{positives}");
    refused(toy_reviews(1_000_001, 0), "1000001 rows");
    Ok(())
}
