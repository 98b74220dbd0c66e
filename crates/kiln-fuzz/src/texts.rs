//! Texts, vocabularies and sequences.

use crate::Target;
use crate::source::Source;
use kiln::datasets::{
    Dataset, Loader, SequenceDataset, SeriesWindows, TextStreams, TextWindows, Vocabulary, pad_sequences,
};
use kiln::tensor::{Device, Tensor};

pub(crate) const TEXT: Target =
    Target { name: "text", run, seeds, words: &["\u{1f600}".as_bytes(), "é".as_bytes(), b"\xff\xff", b"\r\n"] };

/// Sizes that a caller may ask for, from sound to absurd.
fn size(source: &mut Source<'_>) -> usize {
    source.of(&[1, 2, 3, 5, 0, 8, 100, 1 << 20, usize::MAX / 2, usize::MAX - 1, usize::MAX])
}

/// Every sample of a data set can be read in batches, and none past the last.
fn walk(data: &dyn Dataset) {
    let cpu = Device::cpu();
    let count = data.len();
    for index in (0..count).take(5).chain(count.checked_sub(1)) {
        let batch = data.batch(&[index], &[], &cpu).expect("a sample that there is");
        assert_eq!(batch.inputs.dims()[0], 1);
        assert!(data.length(index).is_none_or(|length| batch.inputs.dims()[1] == length));
    }
    assert!(data.batch(&[count], &[], &cpu).is_err());
    assert!(data.batch(&[usize::MAX], &[], &cpu).is_err());
    if count == 0 {
        return;
    }
    let loader = Loader::new(data).batch_size(3);
    let whole = loader.epoch(0, |batches| batches.take(4).try_for_each(|batch| batch.map(|_| ())));
    whole.expect("batches of samples that there are");
}

fn run(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let (length, stride, streams, horizon) =
        (size(&mut source), size(&mut source), size(&mut source), size(&mut source));
    let known = source.below(64);
    let known = String::from_utf8_lossy(source.take(known)).into_owned();
    let text = String::from_utf8_lossy(source.rest()).into_owned();

    let vocabulary = Vocabulary::of(&known);
    assert_eq!(Vocabulary::of(&vocabulary.to_string()), vocabulary);
    if let Ok(tokens) = vocabulary.encode(&text) {
        assert_eq!(vocabulary.decode(&tokens).expect("tokens of its own"), text);
    }
    let vocabulary = Vocabulary::of(&text);
    let tokens = vocabulary.encode(&text).expect("characters of its own");
    assert!(vocabulary.decode(&[vocabulary.len() as i64]).is_err() && vocabulary.decode(&[-1]).is_err());
    if let Ok(windows) = TextWindows::new(tokens.clone(), length, stride) {
        walk(&windows);
    }
    if let Ok(streams) = TextStreams::new(tokens.clone(), streams, length) {
        walk(&streams);
    }
    // Lines as sequences.
    let lines: Vec<Vec<i64>> = text.lines().filter_map(|line| vocabulary.encode(line).ok()).collect();
    if let Ok(data) = SequenceDataset::of_tokens(lines.clone(), vocabulary.len().min(length)) {
        walk(&data);
        if let Ok(data) = data.labels_of_steps(lines.clone()) {
            walk(&data);
        }
    }
    let features: Vec<Vec<f32>> = lines.iter().map(|line| line.iter().map(|&token| token as f32).collect()).collect();
    if let Ok(data) = SequenceDataset::of_features(features, stride) {
        walk(&data);
    }
    let slices: Vec<&[i64]> = lines.iter().map(Vec::as_slice).collect();
    let _ = pad_sequences(&slices, horizon, 0, &Device::cpu());
    let series: Vec<f32> = tokens.iter().map(|&token| token as f32).collect();
    let steps = series.len();
    let series = Tensor::from_vec(series, [steps, 1], &Device::cpu()).expect("a series");
    if let Ok(windows) = SeriesWindows::new(&series, length) {
        walk(&windows.horizon(horizon).stride(stride));
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let text = "to be or not to be,\nthat is the question\n\u{e9}\u{1f600}";
    let with = |sizes: [u8; 5]| [&sizes[..], text.as_bytes()].concat();
    vec![with([3, 1, 1, 1, 8]), with([0, 2, 2, 0, 20]), with([10, 9, 8, 10, 3]), with([2, 0, 8, 9, 0])]
}
