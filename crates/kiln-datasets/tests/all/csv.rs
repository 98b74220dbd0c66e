//! Tables in CSV files: what is found in them, what is learned from them, and what is wrong.

use crate::files::Folder;
use kiln_datasets::{
    ColumnKind, Csv, CsvOptions, CsvSummary, Dataset, Encoding, Loader, Missing, TableEncoder, TableOptions,
};
use kiln_tensor::{Device, Result};
use proptest::prelude::*;

const ANIMALS: &str = "\
day,weight,legs,color,tame,note,nothing,kind
2024-01-01,3.5,4,red,yes,a first one,,cat
2024-01-02,NA,4,blue,no,\"a second, quoted\",,dog
2024-01-03,7.5,2,red,yes,third,,bird
2024-01-04,1.5,4,,no,fourth,,cat
2024-01-05,5.5,4,blue,yes,fifth,,dog
2024-01-06,0.5,2,blue,no,sixth,,bird
";

fn read(text: &str) -> Csv {
    CsvOptions::new().read(text).unwrap()
}

fn animals() -> TableOptions {
    TableOptions::new("kind").ignore(["day", "note", "nothing"])
}

fn inputs(table: &TableEncoder, csv: &Csv) -> Vec<f32> {
    table.inputs(csv, &Device::cpu()).unwrap().to_vec().unwrap()
}

#[test]
fn types_and_numbers_are_found() -> Result<()> {
    let csv = read(ANIMALS);
    let summary = csv.summary();
    let kinds: Vec<&str> = summary.columns.iter().map(|column| column.kind.name()).collect();
    assert_eq!(kinds, ["date", "float", "integer", "category", "boolean", "text", "empty", "category"]);
    let weight = summary.column("weight").unwrap();
    assert_eq!((weight.missing, weight.distinct), (1, Some(5)));
    assert_eq!((weight.minimum, weight.maximum), (Some(0.5), Some(7.5)));
    assert!((weight.mean.unwrap() - 3.7).abs() < 1e-12);
    let color = summary.column("color").unwrap();
    assert_eq!((color.missing, color.mean), (1, None));
    assert_eq!(color.frequent, [("blue".to_owned(), 3), ("red".to_owned(), 2)]);
    let shown = summary.to_string();
    assert!(shown.starts_with("6 rows, 8 columns\n") && shown.contains("1 missing  0.5 to 7.5, mean 3.7"), "{shown}");
    let json = serde_json::to_string(summary).unwrap();
    assert_eq!(&serde_json::from_str::<CsvSummary>(&json).unwrap(), summary);

    // By the first rows alone, 1.0 and 1 being the same number.
    let text = "a,b\n1,x\n1.0,x\nyes,y\n";
    let csv = CsvOptions::new().types_from(2).read(text)?;
    let a = &csv.summary().columns[0];
    assert_eq!((csv.len(), csv.summary().seen, a.kind, a.distinct), (3, 2, ColumnKind::Float, Some(1)));
    let csv = read(text);
    let a = &csv.summary().columns[0];
    assert_eq!((a.kind, a.odd.clone()), (ColumnKind::Mixed, Some((4, "\"yes\"".to_owned()))));
    Ok(())
}

#[test]
fn forms_of_files() -> Result<()> {
    let csv = CsvOptions::new().header(false).delimiter(b'\t').quote(b'\'').read("1\t'a\tb'\n2\t' c '\n")?;
    assert_eq!((csv.len(), csv.columns()), (2, &["column1".to_owned(), "column2".to_owned()][..]));
    assert_eq!(csv.summary().columns[1].frequent, [("a\tb".to_owned(), 1), ("c".to_owned(), 1)]);
    let csv = CsvOptions::new().quote(None).missing(["-"]).read(",a\n0,\"x\n1, - \n\n")?;
    assert_eq!((csv.len(), csv.columns()), (2, &["column1".to_owned(), "a".to_owned()][..]));
    assert_eq!((csv.summary().columns[1].missing, csv.summary().columns[1].frequent[0].0.as_str()), (1, "\"x"));
    // With a byte order mark, and line breaks of another system.
    assert_eq!(read("\u{feff}a,b\r\n1,2\r\n").columns(), ["a", "b"]);
    Ok(())
}

#[test]
fn missing_values_by_each_rule() -> Result<()> {
    let csv = read(ANIMALS);
    let all = animals().missing(Missing::Mean).fit(&csv)?;
    assert_eq!(all.feature_names(), ["weight", "legs", "color=blue", "color=red", "tame"]);
    assert_eq!(all.class_names().unwrap(), ["bird", "cat", "dog"]);
    // The second row has the mean weight, the fourth the most frequent color.
    let rows = inputs(&all, &csv);
    assert_eq!(rows[5..10], [3.7, 4.0, 1.0, 0.0, 0.0]);
    assert_eq!(rows[15..20], [1.5, 4.0, 1.0, 0.0, 0.0]);
    let labels = all.dataset(&csv)?.class_labels()?;
    assert_eq!(labels, Some(vec![1, 2, 0, 1, 2, 0]));

    let weight = |missing| {
        animals().ignore(["color"]).missing_in("weight", missing).fit(&csv).map(|table| inputs(&table, &csv)[3])
    };
    assert_eq!(weight(Missing::Median)?, 3.5);
    assert_eq!(weight(Missing::Mode)?, 0.5);
    assert_eq!(weight(Missing::constant(-1))?, -1.0);
    let table = animals().missing(Missing::DropRow).fit(&csv)?;
    let data = table.dataset(&csv)?;
    assert_eq!((data.len(), data.dropped(), data.class_labels()?), (4, 2, Some(vec![1, 0, 2, 0])));
    // Of a row that is left out nothing is learned or asked for; a prediction cannot leave it out.
    let text = "x,c,y\n1,a,0.5\nabc,,1.5\n2,b,2.5\n";
    let options = TableOptions::new("y").number("x").category("c", Encoding::Index);
    let table = options.missing_in("c", Missing::DropRow).fit(&read(text))?;
    assert_eq!(table.dataset(&read(text))?.dropped(), 1);
    let error = table.inputs(&read("x,c\n1,\n"), &Device::cpu()).unwrap_err().to_string();
    assert!(error.contains("line 2: column \"c\": the value is missing, and nothing stands for it"), "{error}");
    let unknown = animals().missing(Missing::Mode).missing_in("color", Missing::constant("gray")).fit(&csv)?;
    assert_eq!(unknown.feature_names()[2..5], ["color=blue", "color=gray", "color=red"]);

    // An even number of values, and a target that is missing.
    let csv = read("x,y\n1,1.5\n2,2.5\n10,\n4,3.5\n,0.5\n");
    let table = TableOptions::new("y").missing(Missing::Median).missing_in("y", Missing::DropRow).fit(&csv)?;
    let batch = table.dataset(&csv)?.load()?.batch(&[0, 1, 2, 3], &[], &Device::cpu())?;
    assert_eq!(batch.inputs.to_vec::<f32>()?, [1.0, 2.0, 4.0, 2.0]);
    assert_eq!((batch.targets.dims(), batch.targets.to_vec::<f32>()?), (&[4, 1][..], vec![1.5, 2.5, 3.5, 0.5]));
    Ok(())
}

#[test]
fn what_is_learned_is_of_the_training_rows() -> Result<()> {
    let csv = read("x,c,y\n1,a,0.5\n3,b,1.5\n100,z,2.5\n");
    let [train, test] = [csv.select([0, 1])?, csv.select([2])?];
    let options = TableOptions::new("y").category("c", Encoding::Index);
    let table = options.fit(&train)?;
    assert_eq!(inputs(&table, &train), [1.0, 0.0, 3.0, 1.0]);
    let error = table.dataset(&test).unwrap_err().to_string();
    assert!(error.contains("line 4: column \"c\": \"z\" is not among the categories of the training rows"), "{error}");
    // As JSON, on a file with the columns in another order, without the target, and with one more.
    let again = TableEncoder::from_json(&table.to_json())?;
    assert_eq!(again, table);
    let error = TableEncoder::from_json("{\"features\": 3}").unwrap_err().to_string();
    assert!(error.contains("not a table's JSON"), "{error}");
    assert_eq!(inputs(&again, &read("more,c,x\n,b,7\n,a,8\n")), [7.0, 1.0, 8.0, 0.0]);
    let error = again.inputs(&read("X,k\n1,b\n"), &Device::cpu()).unwrap_err().to_string();
    assert!(error.contains("the columns \"x\", \"c\", which the features are made of"), "{error}");
    let bent = table.to_json().replace("\"refuse\"", "{\"category\": \"q\"}");
    assert!(TableEncoder::from_json(&bent)?.inputs(&train, &Device::cpu()).is_err());
    Ok(())
}

#[test]
fn a_sorted_table_is_shuffled() -> Result<()> {
    let rows: String = (0..200).map(|i| format!("{i},{}\n", if i < 100 { "low" } else { "high" })).collect();
    let folder = Folder::new("csv");
    let path = folder.0.join("sorted.csv");
    std::fs::write(&path, format!("x,y\n{rows}")).unwrap();
    let csv = Csv::open(&path)?;
    let [train, test] = csv.split_stratified("y", 0.25, 3)?;
    let table = TableOptions::new("y").fit(&train)?;
    let (train, test) = (table.dataset(&train)?, table.dataset(&test)?);
    assert_eq!((train.len(), test.class_labels()?.unwrap().iter().sum::<i64>()), (150, 25));

    let epoch = |data: &dyn Dataset, workers| {
        let loader = Loader::new(data).batch_size(16).shuffle(7).workers(workers);
        let batch = |batch: Result<kiln_datasets::Batch>| {
            let batch = batch?;
            Ok((batch.inputs.to_vec::<f32>()?, batch.targets.to_vec::<i64>()?))
        };
        loader.epoch(1, |batches| batches.map(batch).collect::<Result<Vec<_>>>())
    };
    let batches = epoch(&train, 0)?;
    for (x, y) in &batches {
        assert!(x.iter().zip(y).all(|(&x, &y)| y == i64::from(x < 100.0)));
    }
    assert!(batches[..9].iter().all(|(_, y)| y.contains(&0) && y.contains(&1)));
    assert_eq!(batches, epoch(&train, 2)?);
    assert_eq!(batches, epoch(&train.load()?, 0)?);

    std::fs::write(&path, "x,y\n1,low\n").unwrap();
    let error = train.batch(&[0], &[], &Device::cpu()).unwrap_err().to_string();
    assert!(error.contains("sorted.csv: the file has changed"), "{error}");
    Ok(())
}

#[test]
fn a_line_of_two_gigabytes_is_not_read() {
    let folder = Folder::new("csv-long");
    let path = folder.0.join("long.csv");
    std::fs::write(&path, "a,b\n1,2\n").unwrap();
    // The rest are zeros that take no place on the disk.
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(2 << 30).unwrap();
    let error = Csv::open(&path).unwrap_err().to_string();
    assert!(error.contains("long.csv: line 3: the row is longer than 1048576 bytes"), "{error}");
    let error = CsvOptions::new().line_limit(5).read("a,b\n1,2\n1,234\n").unwrap_err().to_string();
    assert!(error.contains("line 3: the row is longer than 5 bytes"), "{error}");
}

#[test]
fn what_is_wrong_with_a_file_is_named() {
    let cases: [(&[u8], &str); 10] = [
        (b"", "the table: the file is empty"),
        (b"a,b\n", "there is no row after the columns' names"),
        (b"a,b\n1,2\n3\n", "line 3: the row has 1 values, and there are 2 columns"),
        (b"a,b\r\n1,2\r\n\r\n3,4,5\r\n", "line 4: the row has 3 values"),
        (b"a,b\n1,\"2\n3\"\n4\n", "line 4: the row has 1 values"),
        (b"a,b, a\n1,2,3\n", "line 1: columns 1 and 3 are both named \"a\""),
        (b"1,2\n3,4\n", "line 1: the header has numbers only"),
        (b"a,b\n1,\xff\n", "line 2: column \"b\": the text is not UTF-8"),
        (b"\xff,b\n1,2\n", "line 1: the text is not UTF-8"),
        (b"a,b\n1,\"2\n3,4\n", "line 2: the quote that is opened"),
    ];
    for (text, message) in cases {
        let error = CsvOptions::new().read(text).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
    let error = Csv::open("nowhere.csv").unwrap_err().to_string();
    assert!(error.contains("nowhere.csv: "), "{error}");
    assert!(CsvOptions::new().delimiter(b'"').read("a\n1\n").is_err());
}

#[test]
fn what_cannot_be_learned_is_named() {
    let wrong = |options: TableOptions, text: &str, message: &str| {
        let error = options.fit(&read(text)).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    };
    let y = || TableOptions::new("y");
    wrong(TableOptions::new("kinds"), ANIMALS, "no column \"kinds\": the nearest name is \"kind\"");
    wrong(y().ignore(["q"]), "x,y\n1,2\n", "no column \"q\": there are \"x\", \"y\"");
    wrong(y().ignore(["y"]), "x,y\n1,2\n", "is the target, and is to be ignored");
    wrong(y(), "y\n1\n", "no column is left");
    wrong(TableOptions::new("kind"), ANIMALS, "\"day\" (date), \"note\" (text), \"nothing\" (empty)");
    wrong(animals(), ANIMALS, "line 3: column \"weight\": the value is missing");
    wrong(y(), "x,y\n1,0.5\n2,0.25\nabc,3\n", "line 4: column \"x\": \"abc\" is no number");
    wrong(y().number("x"), "x,y\na,0.5\n", "line 2: column \"x\": \"a\" is no number");
    wrong(y(), "x,y\n1e50,0.5\n", "line 2: column \"x\": \"1e50\" is too large");
    wrong(y(), "x,y\n1,a\n2,a\n", "the target \"y\" has one class only in the training rows, \"a\"");
    wrong(y(), "x,y\n1,0.5\n2,\n", "line 3: column \"y\": the target is missing");
    wrong(y().regression(), "x,y\n1,0.5\n2,low\n", "line 3: column \"y\": \"low\" is no number");
    wrong(y().number("x").missing(Missing::Mean), "x,y\n,0.5\n", "\"x\" has no value in the training rows");
    wrong(y().missing(Missing::constant("a")), "x,y\n1,0.5\n", "\"a\" is no number");
    wrong(y().missing(Missing::DropRow), "x,y\n1,\n,0.5\n", "there is no training row");
    let many: String = (0..10_001).map(|i| format!("{i},0.5\n")).collect();
    wrong(y().category("x", Encoding::Index), &format!("x,y\n{many}"), "\"x\" has too many different values");
}

/// Fields as they are written: in quotes where that is asked for or needed.
fn written(fields: &[String], quoted: bool) -> String {
    let field = |field: &String| match quoted || field.is_empty() || field.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", field.replace('"', "\"\"")),
        false => field.clone(),
    };
    fields.iter().map(field).collect::<Vec<_>>().join(",")
}

proptest! {
    /// What is written comes back: numbers to the bit, categories by their index, at any place.
    #[test]
    fn tables_come_back(
        rows in prop::collection::vec((-1e30f32..1e30, "[a-z,\"\n é]{0,6}", any::<bool>()), 2..40),
        quoted: bool, breaks: bool, picks in prop::collection::vec(any::<prop::sample::Index>(), 1..20),
    ) {
        let end = if breaks { "\r\n" } else { "\n" };
        let mut text = format!("x,c,y{end}");
        for (x, c, y) in &rows {
            text += &written(&[x.to_string(), format!("c{c}"), y.to_string()], quoted);
            text += end;
        }
        let csv = CsvOptions::new().header(true).read(&text).unwrap();
        prop_assert_eq!(csv.len(), rows.len());
        let options = TableOptions::new("x").category("c", Encoding::Index);
        let table = options.fit(&csv).unwrap();
        prop_assert_eq!(&TableEncoder::from_json(&table.to_json()).unwrap(), &table);
        let mut categories: Vec<String> = rows.iter().map(|(_, c, _)| format!("c{c}").trim().to_owned()).collect();
        categories.sort();
        categories.dedup();
        let picks: Vec<usize> = picks.iter().map(|pick| pick.index(rows.len())).collect();
        let batch = table.dataset(&csv).unwrap().batch(&picks, &[], &Device::cpu()).unwrap();
        let (inputs, targets) = (batch.inputs.to_vec::<f32>().unwrap(), batch.targets.to_vec::<f32>().unwrap());
        for ((&pick, input), target) in picks.iter().zip(inputs.chunks(2)).zip(targets) {
            let (x, c, y) = &rows[pick];
            prop_assert_eq!(target, *x);
            let category = format!("c{c}");
            prop_assert_eq!(categories[input[0] as usize].as_str(), category.trim());
            prop_assert_eq!(input[1], f32::from(u8::from(*y)));
        }
    }
}

/// Read from its own place the row would lose the mark, and be another one.
#[test]
fn a_byte_order_mark_within_the_file_is_refused() {
    assert_eq!(read("\u{feff}x,y\n1,2\n").columns(), ["x", "y"]);
    let error = CsvOptions::new().read("x,y\n1,2\n\u{feff}3,4\n").unwrap_err().to_string();
    assert!(error.contains("line 3") && error.contains("byte order mark"), "{error}");
}
