//! Texts, tokenizers and sequences.

use crate::Target;
use crate::source::Source;
use kiln::datasets::{
    Dataset, Loader, SequenceDataset, SeriesWindows, TextInputs, TextStreams, TextWindows, Tokenizer, WordOptions,
    pad_sequences,
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
    let text = String::from_utf8_lossy(source.rest()).into_owned();

    let tokenizer = Tokenizer::characters(&text);
    let tokens = tokenizer.encode(&text).expect("characters of its own");
    if let Ok(windows) = TextWindows::new(tokens.clone(), length, stride) {
        walk(&windows);
    }
    if let Ok(streams) = TextStreams::new(tokens.clone(), streams, length) {
        walk(&streams);
    }
    // Lines as sequences.
    let lines: Vec<Vec<i64>> = text.lines().filter_map(|line| tokenizer.encode(line).ok()).collect();
    if let Ok(data) = SequenceDataset::of_tokens(lines.clone(), tokenizer.len().min(length)) {
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

/// What a tokenizer is learned from, then a text that it encodes; and the same text as a tokenizer's JSON.
pub(crate) const TOKENIZER: Target = Target {
    name: "tokenizer",
    run: tokenizer,
    seeds: tokenizer_seeds,
    words: &[
        "é".as_bytes(),
        "日本".as_bytes(),
        b"\xff",
        b"  ",
        b"\r\n",
        b"'ll",
        b"[[0,1],[256,2]]",
        b"true",
        b"merges",
    ],
};

/// Checks what holds for every tokenizer; `exactly`: nothing of a text is lost.
fn check(tokenizer: &Tokenizer, text: &str, exactly: bool) {
    assert_eq!(Tokenizer::from_json(&tokenizer.to_json()).as_ref().ok(), Some(tokenizer));
    if let Ok((vocab, merges)) = tokenizer.to_vocab_and_merges() {
        let read = Tokenizer::from_vocab_and_merges(&vocab, &merges).expect("files of its own");
        assert_eq!(read.len(), tokenizer.len());
    }
    let past = tokenizer.len() as i64;
    assert!(tokenizer.decode(&[past]).is_err() && tokenizer.decode(&[-1]).is_err());
    let Ok(tokens) = tokenizer.encode(text) else { return };
    assert!(tokens.iter().all(|token| (0..past).contains(token)));
    let decoded = tokenizer.decode(&tokens).expect("tokens of its own");
    if exactly {
        assert_eq!(decoded, text);
    }
}

fn tokenizer(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let (size, count) = (source.of(&[300, 256, 257, 3, 2, 0, 1000, usize::MAX]), source.below(4));
    let options = WordOptions::new().size(size).minimum_count(count).lowercase(source.flag());
    let known = source.below(200);
    let known = String::from_utf8_lossy(source.take(known)).into_owned();
    let text = String::from_utf8_lossy(source.rest()).into_owned();
    if let Ok(saved) = Tokenizer::from_json(&text) {
        check(&saved, &known, false);
    }
    if let Ok(saved) = Tokenizer::from_vocab_and_merges(&known, &text) {
        check(&saved, &known, false);
    }
    if let Ok(pieces) = Tokenizer::from_word_pieces(&text, size > 256) {
        check(&pieces, &known, false);
        let longest = count + 4;
        let inputs = TextInputs::new(pieces).max_length(longest);
        if let Ok(texts) = inputs.pairs(&[(&known, &text), (&text, &known)], &Device::cpu()) {
            assert!(texts.tokens.dims()[1] <= longest && texts.segments.dims() == texts.mask.dims());
        }
    }
    let characters = Tokenizer::characters(&known);
    check(&characters, &text, true);
    check(&characters.with_padding().with_unknown(), &text, false);
    if let Ok(words) = Tokenizer::words(known.lines(), options) {
        assert!(words.len() <= size);
        check(&words, &text, false);
    }
    if let Ok(pairs) = Tokenizer::byte_pairs(known.lines(), size) {
        assert!(pairs.len() <= size);
        check(&pairs, &text, true);
        check(&pairs.with_unknown(), &text, true);
    }
}

fn tokenizer_seeds() -> Vec<Vec<u8>> {
    let known = "the cat sat on the mat,\nthe cat's hat; aaaaaa 1 12 123 \u{e9}\u{e9}";
    let with = |settings: [u8; 3], text: &str| {
        [&settings[..], &[known.len() as u8], known.as_bytes(), text.as_bytes()].concat()
    };
    let units = [
        r#""characters","characters":"abc""#,
        r#""words","lowercase":true,"words":["the","cat"]"#,
        r#""byte_pairs","merges":[[83,71],[256,68]]"#,
    ];
    let json = units.map(|units| with([0, 0, 0], &format!(r#"{{"padding":true,"unknown":true,"kind":{units}}}"#)));
    let mut seeds = vec![
        with([0, 0, 0], "the hat aaaa \u{e9} 12"),
        with([3, 2, 1], "The Cat  sat"),
        with([7, 1, 0], "\u{1f600} mat"),
        with([0, 3, 0], "[UNK]\n[CLS]\n[SEP]\ncat\n##s\n'\n\u{e9}"),
    ];
    seeds.extend(json);
    let vocab = r#"{"a":1,"b":0,"ab":2,"c":3,"<s>":4}"#;
    seeds.push([&[0, 0, 0, vocab.len() as u8], vocab.as_bytes(), b"#version: 0.2\na b\n"].concat());
    let tokenizer = r#"{"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]},"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false},"added_tokens":[{"id":3,"content":"<s>"}]}"#;
    seeds.push(with([0, 0, 0], tokenizer));
    seeds
}

fn seeds() -> Vec<Vec<u8>> {
    let text = "to be or not to be,\nthat is the question\n\u{e9}\u{1f600}";
    let with = |sizes: [u8; 4]| [&sizes[..], text.as_bytes()].concat();
    vec![with([3, 1, 1, 1]), with([0, 2, 2, 0]), with([10, 9, 8, 10]), with([2, 0, 8, 9])]
}
