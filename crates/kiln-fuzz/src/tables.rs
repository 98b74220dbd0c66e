//! Tables in CSV files.

use crate::Target;
use crate::source::Source;
use kiln::datasets::{
    Csv, CsvDataset, CsvOptions, Dataset, Encoding, Missing, SeriesEncoder, SeriesOptions, TableEncoder, TableOptions,
    TextEncoder, TextOptions, WordOptions,
};
use kiln::tensor::Device;

/// How the file is read and what is learned from it, then the file.
pub(crate) const CSV: Target = Target {
    name: "csv",
    run: csv,
    seeds,
    words: &[b"\r\n", b"\"\"", b"\",\"", b"NA", b"2024-01-01", b"1e400", b"-0.5", b"true", b"\xef\xbb\xbf", b"\n\n"],
};

/// Checks a fitted table: rows can be read in any order, and its JSON gives the same table.
fn check(table: &TableEncoder, csv: &Csv, data: &CsvDataset) {
    let cpu = Device::cpu();
    assert_eq!(TableEncoder::from_json(&table.to_json()).as_ref().ok(), Some(table));
    assert_eq!(table.feature_names().len(), table.features());
    assert_eq!(data.len() + data.dropped(), csv.len());
    let count = data.len().min(50);
    let backwards: Vec<usize> = (0..count).rev().collect();
    let whole = data.load().and_then(|all| all.batch(&backwards, &[], &cpu)).expect("rows that there are");
    let rows = data.batch(&backwards, &[], &cpu).expect("rows that there are");
    assert_eq!(rows.inputs.dims(), [count, table.features()]);
    let inputs = rows.inputs.to_vec::<f32>().expect("features");
    assert!(inputs.iter().all(|x| x.is_finite()));
    assert_eq!(inputs, whole.inputs.to_vec::<f32>().expect("features"));
    assert_eq!(rows.targets.to_f64_vec().ok(), whole.targets.to_f64_vec().ok());
    assert!(data.batch(&[data.len()], &[], &cpu).is_err());
    if data.dropped() == 0 {
        table.inputs(csv, &cpu).expect("features of all rows");
    }
}

fn csv(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let options = CsvOptions::new()
        .header(!source.flag())
        .delimiter(source.of(b",;\t \"\n"))
        .quote(source.of(&[Some(b'"'), None, Some(b'\'')]))
        .line_limit(source.of(&[1 << 16, 5, usize::MAX, 0]))
        .types_from(source.of(&[usize::MAX, 1, 3, 0]));
    let (target, ignored, rules) = (source.byte(), source.byte(), source.byte());
    let Ok(csv) = options.read(source.rest()) else { return };
    assert_eq!((csv.summary().rows, csv.summary().columns.len()), (csv.len(), csv.columns().len()));
    assert!(csv.len() <= bytes.len() && !csv.summary().to_string().is_empty());
    let names = csv.columns();
    let name = |byte: u8| names[usize::from(byte) % names.len()].as_str();
    let missing = [
        Missing::Mode,
        Missing::Refuse,
        Missing::DropRow,
        Missing::Mean,
        Missing::Median,
        Missing::constant(0),
        Missing::constant("NA"),
        Missing::constant("é"),
    ];
    let mut options = TableOptions::new(name(target)).missing(missing[usize::from(rules & 7)].clone());
    if rules & 8 == 8 {
        options = options.encoding(Encoding::Index);
    }
    if rules & 16 == 16 {
        options = if rules & 32 == 32 { options.classes() } else { options.regression() };
    }
    options = match rules >> 6 {
        1 => options.ignore([name(ignored)]),
        2 => options.category(name(ignored), Encoding::OneHot),
        3 => options.number(name(ignored)),
        _ => options,
    };
    if let Ok(table) = options.fit(&csv) {
        // Whatever is learned from rows can be applied to them.
        let data = table.dataset(&csv).expect("the rows that it was fitted on");
        check(&table, &csv, &data);
    }
    texts(&csv, [name(target), name(ignored)], rules);
    series(&csv, [name(target), name(ignored)], rules);
    if let Ok([first, second]) = csv.split_stratified(name(target), 0.5, 1) {
        assert_eq!(first.len() + second.len(), csv.len());
        if let Ok(table) = options.fit(&first)
            && let Ok(data) = table.dataset(&second)
        {
            check(&table, &second, &data);
        }
    }
}

/// Texts and classes in two columns: whatever is learned from rows can be applied to them.
fn texts(csv: &Csv, [target, text]: [&str; 2], rules: u8) {
    let options = TextOptions::new(text, target).drop_missing(rules & 1 == 1);
    let options = match rules >> 6 {
        0 => options,
        1 => options.words(WordOptions::new().size(5)).max_length(2),
        2 => options.characters(),
        _ => options.byte_pairs(260),
    };
    let Ok(texts) = options.fit(csv) else { return };
    assert_eq!(TextEncoder::from_json(&texts.to_json()).as_ref().ok(), Some(&texts));
    let data = texts.dataset(csv).expect("the rows that it was fitted on");
    let all: Vec<usize> = (0..data.len().min(50)).collect();
    let batch = data.batch(&all, &[], &Device::cpu()).expect("rows that there are");
    assert!(batch.masks[0].is_some() && batch.inputs.dims()[1] <= texts.max_length().unwrap_or(usize::MAX));
    texts.inputs(&["", target], &Device::cpu()).expect("any text");
}

/// A series with a target and perhaps a time.
fn series(csv: &Csv, [target, time]: [&str; 2], rules: u8) {
    let sizes = [1, 2, 0, usize::MAX];
    let size = |shift: u8| sizes[usize::from(rules >> shift & 3)];
    let mut options = SeriesOptions::new([target], size(0)).horizon(size(2)).stride(size(4)).features([target]);
    options = options.fill_forward(rules & 64 == 64);
    if rules & 128 == 128 {
        options = options.time(time);
    }
    let Ok(series) = options.fit(csv) else { return };
    assert_eq!(SeriesEncoder::from_json(&series.to_json()).as_ref().ok(), Some(&series));
    let Ok(data) = series.dataset(csv) else { return };
    let last = data.batch(&[data.len() - 1], &[], &Device::cpu()).expect("a window that there is");
    assert_eq!((last.inputs.dims(), last.targets.dims()), (&[1, series.window(), 1][..], &[1, series.horizon()][..]));
    series.inputs(csv, &Device::cpu()).expect("as many rows as for a window and its targets");
}

fn seeds() -> Vec<Vec<u8>> {
    let numbers = "x,y,z\n1,2.5,yes\n3,NA,no\n5,-1e3,yes\n,4,no\n";
    let texts = "day,c,\"y\"\r\n2024-01-01,red,a\r\n2024-01-02,\"blue, \"\"dark\"\"\",b\r\n\r\n2024-01-03,red,a\r\n";
    let with = |settings: [u8; 8], text: &str| [&settings[..], text.as_bytes()].concat();
    vec![
        with([0, 0, 0, 0, 0, 2, 0, 0], numbers),
        with([0, 0, 0, 0, 0, 1, 0, 4 + 16], numbers),
        with([0, 0, 0, 0, 0, 2, 0, 2], numbers),
        with([0, 0, 0, 0, 0, 2, 0, 64], texts),
        with([0, 0, 0, 0, 0, 2, 0, 128 + 8], texts),
        with([1, 1, 1, 0, 1, 0, 1, 128], "a;b\nc;d\na;d\nc;b\n"),
        with([0, 0, 0, 0, 0, 2, 1, 64 + 1], texts),
        with([0, 0, 0, 0, 0, 0, 1, 192], "x,t\n1,2024-01-02\n,2024-01-03\n3,2024-01-01T10:00Z\n"),
        with([0, 0, 0, 1, 0, 0, 0, 0], "a,b\n1,22222\n"),
        with([0, 0, 0, 0, 0, 1, 0, 0], "a,b\n1,\"2\n3,4\n"),
    ]
}
