//! Folders as Hugging Face's hub has them, opened as any trained model.

use kiln::ErrorKind;
use kiln::autograd::Var;
use kiln::datasets::{TextInputs, Tokenizer};
use kiln::models::hub::{Architecture, Config};
use kiln::nn::{Init, Mask, StateDict, Value, safetensors};
use kiln::prelude::*;
use kiln::trained::{Input, LoadOptions};
use std::fs;
use std::path::{Path, PathBuf};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../kiln-nn/tests/fixtures/hub").join(name)
}

fn values() -> StateDict {
    safetensors::read(fixture("values.safetensors"), &Device::cpu()).unwrap()
}

fn copy(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in fs::read_dir(fixture(name)).unwrap().flatten() {
        fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
    }
    folder
}

#[test]
fn classes_are_predicted_with_their_probabilities() {
    let values = values();
    let trained = kiln::load(fixture("vit")).unwrap();
    let predictions = trained.predict(&values["vit/pixels"]).unwrap();
    let expected = values["vit/logits"].softmax(-1).unwrap().to_f64_vec().unwrap();
    assert_eq!(predictions.classes(), ["cat", "dog", "cow"]);
    for (given, expected) in predictions.values(1).iter().zip(&expected[3..]) {
        assert!((given - expected).abs() < 1e-5, "{given} {expected}");
    }
}

#[test]
fn a_model_of_the_hub_can_be_saved_as_kilns_own() {
    let tokens = &values()["llama-tied/tokens"];
    let trained = kiln::load(fixture("llama-tied")).unwrap();
    let expected = trained.model.forward(tokens, &Ctx::eval()).unwrap().into_tensor().to_f64_vec().unwrap();
    let folder = tempfile::tempdir().unwrap();
    trained.save(folder.path()).unwrap();
    let again = kiln::load(folder.path()).unwrap();
    assert_eq!(again.model.forward(tokens, &Ctx::eval()).unwrap().into_tensor().to_f64_vec().unwrap(), expected);
}

#[test]
fn weights_that_are_not_finite_are_refused() {
    let folder = copy("gpt2");
    let file = folder.path().join("model.safetensors");
    let mut tensors = safetensors::read(&file, &Device::cpu()).unwrap();
    let nan = Tensor::from_slice(&[f32::NAN; 16], [16], &Device::cpu()).unwrap();
    tensors.insert("transformer.ln_f.bias".to_owned(), nan);
    safetensors::write(&tensors, &file).unwrap();
    let error = LoadOptions::new().load(folder.path()).map(|_| ()).unwrap_err();
    assert!(error.message().contains("transformer.ln_f.bias: 16 of 16 values are infinite or NaN"), "{error}");
}

#[test]
fn a_folder_of_another_architecture_says_what_is_known() {
    let folder = copy("gpt2");
    fs::write(folder.path().join("config.json"), r#"{"model_type": "t5"}"#).unwrap();
    let error = kiln::load(folder.path()).map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.message().contains("the model type `t5` is unknown; known are gpt2"), "{error}");
}

#[test]
fn a_tokenizer_beside_the_weights_makes_tokens_of_text() {
    let folder = copy("gpt2");
    let tokenizer = Tokenizer::byte_pairs(["low lower lowest low low"], 260).unwrap();
    tokenizer.save(folder.path()).unwrap();
    let trained = kiln::load(folder.path()).unwrap();
    assert!(trained.logits);
    assert_eq!(trained.input, Some(Input::Tokens(tokenizer)));
    fs::write(folder.path().join("tokenizer.json"), "{").unwrap();
    assert!(kiln::load(folder.path()).map(|_| ()).unwrap_err().message().contains("tokenizer.json"));
}

/// The folder of a classifier of BERT's kind with its vocabulary.
fn bert() -> tempfile::TempDir {
    let folder = copy("bert-classes");
    let vocabulary = Path::new(env!("CARGO_MANIFEST_DIR")).join("../kiln-datasets/tests/fixtures/bert/vocab.txt");
    fs::copy(vocabulary, folder.path().join("vocab.txt")).unwrap();
    folder
}

#[test]
fn texts_become_what_berts_model_reads() {
    let folder = bert();
    let trained = kiln::load(folder.path()).unwrap();
    let texts = ["The cats, undo it!", "", &"cat ".repeat(30)];
    let predictions = trained.predict_texts(&texts).unwrap();
    // By hand: the tokens between [CLS] and [SEP], cut to the 12 positions, one text at a time without padding.
    let tokens: [&[i64]; 3] = [&[2, 5, 8, 18, 9, 10, 12, 19, 3], &[2, 3], &[2, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 3]];
    for (at, row) in tokens.iter().enumerate() {
        let row = Tensor::from_slice(row, [1, row.len()], &Device::cpu()).unwrap();
        let logits = trained.model.forward(&row, &Ctx::eval()).unwrap().into_tensor();
        let expected = logits.softmax(-1).unwrap().to_f64_vec().unwrap();
        for (given, expected) in predictions.values(at).iter().zip(&expected) {
            assert!((given - expected).abs() < 1e-6, "text {at}: {given} {expected}");
        }
    }
    // The input is part of what is saved.
    let saved = tempfile::tempdir().unwrap();
    trained.save(saved.path()).unwrap();
    let again = kiln::load(saved.path()).unwrap();
    assert_eq!(again.input, trained.input);
    assert_eq!(again.predict_texts(&texts).unwrap().values(2), predictions.values(2));
}

#[test]
fn a_model_with_segments_takes_pairs() {
    let folder = bert();
    let mut config = Config::read(folder.path()).unwrap();
    let Architecture::Bert(bert) = config.architecture else { panic!("no BERT") };
    config.architecture = Architecture::Bert(bert.with_segments(true));
    let mut model = config.build(&mut Init::new(1, &Device::cpu()).placeholders()).unwrap();
    config.load_weights(&mut model, folder.path(), true).unwrap();
    let inputs = TextInputs::new(Tokenizer::load(folder.path()).unwrap()).max_length(12);
    let logits = |pairs: &[(&str, &str)]| {
        let pairs = inputs.pairs(pairs, &Device::cpu()).unwrap();
        let tokens = Value::One(Var::from(pairs.tokens), Some(Mask::from(pairs.mask)));
        let x = Value::Many(vec![tokens, Value::from(pairs.segments)]);
        model.forward(x, &Ctx::eval()).unwrap().into_tensor().to_f64_vec().unwrap()
    };
    let both = logits(&[("a cat", "undo it"), ("the cats", "a")]);
    let alone = logits(&[("the cats", "a")]);
    assert!(both[3..].iter().zip(&alone).all(|(a, b)| (a - b).abs() < 1e-6), "{both:?} {alone:?}");
    // The segments count: a pair is not the two texts joined.
    assert_ne!(logits(&[("a", "cat")]), logits(&[("a [SEP] cat", "")]));
}

#[cfg(not(feature = "tokenizers"))]
#[test]
fn without_a_tokenizer_that_is_known_a_model_takes_tokens() {
    let folder = copy("gpt2");
    let other = r#"{"model": {"type": "Unigram", "vocab": []}, "normalizer": null}"#;
    fs::write(folder.path().join("tokenizer.json"), other).unwrap();
    let trained = kiln::load(folder.path()).unwrap();
    assert_eq!(trained.input, None);
    assert!(trained.notes["tokenizer"].as_str().unwrap().contains("tokenizer.json"), "{:?}", trained.notes);
}

#[cfg(feature = "images")]
mod images {
    use super::*;
    use kiln::datasets::{Fit, ImageOptions};

    fn input(preprocessor: &str) -> Result<Option<Input>> {
        let folder = copy("vit");
        fs::write(folder.path().join("preprocessor_config.json"), preprocessor).unwrap();
        kiln::load(folder.path()).map(|trained| trained.input)
    }

    #[test]
    fn images_are_prepared_as_the_folder_says() {
        let half = [0.5; 3];
        let expected = |options: ImageOptions| Some(Input::Images(options));
        let stretched = ImageOptions::new(8, 8).fit(Fit::Stretch).normalized_channels(&half, &half).unwrap();
        let given = input(r#"{"size": {"height": 8, "width": 8}, "do_normalize": true, "resample": 2}"#).unwrap();
        assert_eq!(given, expected(stretched.clone()));
        assert_eq!(input(r#"{"size": 8}"#).unwrap(), expected(stretched));
        let given = input(r#"{"crop_size": 8, "do_center_crop": true, "do_normalize": false}"#).unwrap();
        assert_eq!(given, expected(ImageOptions::new(8, 8)));
        let error = input(r#"{"do_rescale": false}"#).unwrap_err();
        assert!(error.message().contains("`do_rescale` is false"), "{error}");
        assert!(input("[").unwrap_err().message().contains("preprocessor_config.json: "));
    }
}
