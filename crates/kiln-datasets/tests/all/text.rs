//! Texts and classes in a table: what is learned from them, and what is wrong.

use kiln_datasets::{Csv, CsvOptions, Dataset, Loader, TextEncoder, TextOptions, WordOptions};
use kiln_tensor::{Device, Error, Result};

const REVIEWS: &str = "\
id,review,stars
1,\"A fine, fine film.\",10
2,Too long,2
3,\"Fine,
but long\",2
4,A film,10
";

fn read(text: &str) -> Csv {
    CsvOptions::new().read(text).unwrap()
}

fn options() -> TextOptions {
    TextOptions::new("review", "stars")
}

#[test]
fn texts_become_tokens_and_classes_labels() -> Result<()> {
    let cpu = Device::cpu();
    let csv = read(REVIEWS);
    let texts = options().words(WordOptions::new().minimum_count(2)).fit(&csv)?;
    // fine 3; then , a film long 2, by their bytes; numbers of classes by value
    assert_eq!((texts.tokenizer().len(), texts.class_names()), (7, &["2".to_owned(), "10".to_owned()][..]));
    assert_eq!((texts.text(), texts.target(), texts.max_length()), ("review", "stars", None));
    let data = texts.dataset(&csv)?;
    assert_eq!((data.len(), data.class_labels()?, data.length(0)), (4, Some(vec![1, 0, 0, 1]), Some(6)));
    let batch = data.batch(&[1, 3], &[], &cpu)?;
    assert_eq!((batch.inputs.to_vec::<i64>()?, batch.targets.to_vec::<i64>()?), (vec![1, 6, 4, 5], vec![0, 1]));
    let mask = data.batch(&[1, 2], &[], &cpu)?.masks[0].as_ref().unwrap().to_vec::<bool>()?;
    assert_eq!(mask, [true, true, false, false, true, true, true, true]);

    // Cut, and of other texts; columns may come in any order, and the JSON says all.
    let texts = TextEncoder::from_json(&options().max_length(2).fit(&csv)?.to_json())?;
    assert_eq!((texts.dataset(&csv)?.input_shape(), texts.max_length()), (&[2][..], Some(2)));
    assert_eq!(texts.dataset(&read("stars,review\n10,film\n"))?.class_labels()?, Some(vec![1]));
    let inputs = texts.inputs(&["", "a fine film", "film"], &cpu)?;
    let fine = texts.inputs(&["fine"], &cpu)?.to_vec::<i64>()?[0];
    assert_eq!((inputs.dims(), inputs.to_vec::<i64>()?[..4].to_vec()), (&[3, 2][..], vec![1, 0, 4, fine]));
    Ok(())
}

#[test]
fn what_is_learned_is_of_the_training_rows() -> Result<()> {
    let csv = read(REVIEWS);
    let train = csv.select([0, 1])?;
    for options in [options(), options().characters(), options().byte_pairs(300)] {
        let texts = options.fit(&train)?;
        let data = texts.dataset(&csv)?;
        Loader::new(&data)
            .batch_size(2)
            .epoch(0, |batches| batches.try_for_each(|batch| batch.map(|batch| assert_eq!(batch.masks.len(), 1))))?;
        // "but" came in the third row.
        let tokens = texts.inputs(&["but"], &Device::cpu())?.to_vec::<i64>()?;
        let decoded = texts.tokenizer().decode(&tokens)?;
        let known = texts.tokenizer().len();
        assert!(known < 300 && (decoded == "but" || decoded.contains("[UNK]")), "{decoded}");
    }
    Ok(())
}

#[test]
fn what_is_wrong_is_named() -> Result<()> {
    let refused = |options: TextOptions, text: &str| options.fit(&read(text)).unwrap_err().to_string();
    let has = |error: String, parts: &[&str]| assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    let missing = "review,stars\nfine,2\n\n ,10\nlong,\ngood,10\n";
    has(
        refused(options(), missing),
        &["line 4: column \"review\": the text is missing", "`TextOptions::drop_missing`"],
    );
    let class = "review,stars\nfine,2\nlong,NA\n";
    has(refused(options(), class), &["line 3: column \"stars\": the class is missing"]);
    has(refused(TextOptions::new("revue", "stars"), missing), &["no column \"revue\"", "nearest name is \"review\""]);
    has(refused(TextOptions::new("stars", "stars"), missing), &["\"stars\" is to be the text and the target"]);
    has(refused(options(), "review,stars\na,2\nb,2\n"), &["one class only in the training rows, \"2\""]);
    has(refused(options().drop_missing(true), "review,stars\na,\n,2\n"), &["no training row"]);
    let rows: String = (0..11).map(|row| format!("good,a text of number {row}\n")).collect();
    let swapped = refused(options(), &format!("review,stars\n{rows}"));
    has(swapped, &["each of the 11 training rows has another value in the target \"stars\""]);
    has(refused(options().max_length(0), missing), &["at most 0 tokens"]);
    has(
        refused(options().byte_pairs(257), "review,stars\na,1\nb,2\n"),
        &["257 tokens is too small: byte pairs need 258"],
    );

    let texts = options().drop_missing(true).fit(&read(missing))?;
    let data = texts.dataset(&read(missing))?;
    assert_eq!((data.len(), data.class_labels()?), (2, Some(vec![0, 1])));
    has(texts.dataset(&read("review,stars\n,2\n")).unwrap_err().to_string(), &["no row is left"]);
    let unknown = texts.dataset(&read("review,stars\nfine,2\nfine,5\n")).unwrap_err().to_string();
    has(
        unknown,
        &["line 3: column \"stars\": \"5\" is not among the classes of the training rows: there are \"2\", \"10\""],
    );
    has(TextEncoder::from_json("{}").unwrap_err().to_string(), &["not a text encoder's JSON"]);

    // What a caller refuses is told with its line.
    let error = read(missing).for_each(&["stars"], |values| match values[0] {
        Some("10") => Err(Error::value("", "too good")),
        _ => Ok(()),
    });
    has(error.unwrap_err().to_string(), &["line 4: too good"]);
    Ok(())
}
