//! Models that read one text and write another, beside greedy decoding by hand.

use kiln::datasets::{CsvOptions, PairDataset, PairEncoder, TextOptions};
use kiln::generate::{Decoder, SourceDecoder};
use kiln::nn::Value;
use kiln::prelude::*;
use kiln::train::{ExactMatch, Supervised};
use kiln::trained::Input;
use serde_json::json;

/// Numbers in two languages, one or two of them.
fn pairs() -> (PairEncoder, PairDataset, Vec<[String; 2]>) {
    let words = [("one", "un"), ("two", "deux"), ("three", "trois"), ("four", "quatre")];
    let mut rows: Vec<[String; 2]> = words.iter().map(|(a, b)| [a.to_string(), b.to_string()]).collect();
    for (a, b) in words {
        rows.extend(words.iter().map(|(c, d)| [format!("{a} {c}"), format!("{b} {d}")]));
    }
    let text: String = rows.iter().map(|[a, b]| format!("{a},{b}\n")).collect();
    let csv = CsvOptions::new().read(format!("english,french\n{text}")).unwrap();
    let encoder = TextOptions::new("english", "french").fit_pairs(&csv).unwrap();
    let data = encoder.dataset(&csv).unwrap();
    (encoder, data, rows)
}

fn model(pairs: &PairEncoder) -> Sequential {
    let tokens = pairs.tokenizer().len();
    let length = pairs.max_length();
    let attention = json!({ "heads": 2 });
    let block = json!({ "attention": attention, "feed_forward": { "hidden": 16 }, "norm_first": true });
    let mut decoder = block.clone();
    decoder["attention"]["causal"] = true.into();
    decoder["cross_attention"] = attention;
    let embedding = |name: &str| json!({ "layer": "Embedding", "name": name, "vocabulary": tokens, "size": 16 });
    let positions = |name: &str| json!({ "layer": "PositionEmbedding", "name": name, "positions": length });
    let call = |name: &str, inputs: &[&str]| json!({ "name": name, "layer": name, "inputs": inputs });
    let graph = json!({
        "layer": "Graph",
        "inputs": [{ "name": "source", "shape": [length] }, { "name": "target", "shape": [length] }],
        "layers": [
            embedding("a"), positions("b"),
            { "layer": "TransformerEncoder", "name": "encoder", "layers": 1, "block": block },
            embedding("c"), positions("d"),
            { "layer": "TransformerDecoder", "name": "decoder", "layers": 1, "block": decoder },
            { "layer": "Dense", "name": "next", "units": tokens },
        ],
        "calls": [
            call("a", &["source"]), call("b", &["a"]), call("encoder", &["b"]),
            call("c", &["target"]), call("d", &["c"]), call("decoder", &["d", "encoder"]),
            call("next", &["decoder"]),
        ],
        "outputs": ["next"],
    });
    let description = json!({ "input": [[length], [length]], "layers": [graph] });
    Sequential::from_architecture(&description, &Device::cpu()).unwrap()
}

/// Greedy decoding of one text alone, without padding and without masks.
fn by_hand(model: &Sequential, pairs: &PairEncoder, text: &str) -> String {
    let cpu = Device::cpu();
    let tokenizer = pairs.tokenizer();
    let source = tokenizer.encode_ordinary(text).unwrap();
    let source = Tensor::from_slice(&source, [1, source.len()], &cpu).unwrap();
    let mut written = vec![tokenizer.special(PairEncoder::BEGIN).unwrap()];
    while written.len() <= pairs.max_length() {
        let target = Tensor::from_slice(&written, [1, written.len()], &cpu).unwrap();
        let inputs = Value::Many(vec![source.clone().into(), target.into()]);
        let logits = model.forward(inputs, &Ctx::eval()).unwrap().into_tensor();
        let next = logits.argmax(-1).unwrap().to_vec::<i64>().unwrap()[written.len() - 1];
        if Some(next) == tokenizer.special(PairEncoder::END) {
            break;
        }
        written.push(next);
    }
    tokenizer.decode(&written[1..]).unwrap()
}

#[test]
fn exact_match_is_the_share_that_greedy_decoding_writes_without_a_mistake() {
    let (pairs, data, rows) = pairs();
    let texts: Vec<&str> = rows.iter().map(|[text, _]| text.as_str()).collect();
    let loss = SparseCategoricalCrossentropy::from_logits();
    let mut trainer = Trainer::new(Supervised { model: model(&pairs), loss }, Adam::new(0.01)).metric(ExactMatch);
    let mut shares = Vec::new();
    for epochs in [2, 10, 10, 10] {
        trainer.fit(&data, FitOptions::new().epochs(epochs).batch_size(4).quiet()).unwrap();
        let share = trainer.evaluate(&data).unwrap().metric("exact_match").unwrap();
        let model = std::mem::take(&mut trainer.objective.model);
        let mut trained = Trained::new(model).input(Input::Pairs(pairs.clone())).logits(true);
        let written = trained.translate(&texts).unwrap();
        let right = written.iter().zip(&rows).filter(|(said, [_, wanted])| *said == wanted).count();
        assert!((share - right as f64 / rows.len() as f64).abs() < 1e-12, "{share} of {right} in {}", rows.len());
        for (text, said) in texts.iter().zip(&written) {
            assert_eq!(&by_hand(&trained.model, &pairs, text), said, "{text}");
        }
        trained.batch_size = 3;
        assert_eq!(trained.translate(&texts).unwrap(), written, "in other batches");
        trainer.objective.model = trained.model;
        shares.push(share);
    }
    assert!(shares[0] < 0.5 && shares[3] > 0.9, "{shares:?}");
}

#[test]
fn a_model_of_pairs_is_saved_and_refuses_what_it_cannot_read() {
    let (pairs, _, _) = pairs();
    let folder = std::env::temp_dir().join(format!("kiln-translate-{}", std::process::id()));
    let trained = Trained::new(model(&pairs)).input(Input::Pairs(pairs.clone())).logits(true);
    trained.save(&folder).unwrap();
    let loaded = kiln::load(&folder).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(loaded.translate(&["one two"]).unwrap(), trained.translate(&["one two"]).unwrap());
    assert!(loaded.translate::<&str>(&[]).unwrap().is_empty());
    let refused = |result: Result<Vec<String>>| result.unwrap_err().to_string();
    assert!(refused(loaded.translate(&["five"])).contains("\"five\" is unknown"));
    let other = Trained::new(Sequential::new()).input(Input::Digits);
    assert!(refused(other.translate(&["one"])).contains("takes images of digits, not texts"));

    let cpu = Device::cpu();
    let sources = Tensor::zeros([2, 3], DType::I64, &cpu).unwrap();
    assert!(SourceDecoder::new(&loaded.model, sources.clone(), sources.clone()).is_err(), "a mask of numbers");
    let mask = Tensor::ones([2, 3], DType::Bool, &cpu).unwrap();
    let mut decoder = SourceDecoder::new(&loaded.model, sources, mask).unwrap();
    assert!(decoder.begin(3).unwrap_err().to_string().contains("3 texts and 2 sources"));
}
