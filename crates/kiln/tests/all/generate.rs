//! Text that a model writes: sampling beside Hugging Face's transformers, beam search beside trying everything, stop texts, batches.

use kiln::generate::{Decoder, Ended, GenerateOptions, Generated, ModelDecoder, Sampling, generate};
use kiln::nn::safetensors;
use kiln::prelude::*;
use kiln::{ThreadPool, run_in};

/// A model that knows the last token only: what comes after each.
struct Bigrams {
    logits: Vec<Vec<f32>>,
    read: Vec<Vec<i64>>,
}

impl Bigrams {
    fn new(logits: Vec<Vec<f32>>) -> Self {
        Bigrams { logits, read: Vec::new() }
    }

    /// Of random numbers.
    fn random(tokens: usize, seed: u64) -> Self {
        let mut stream = RandomStream::new(seed, Purpose::Data, 0);
        Bigrams::new((0..tokens).map(|_| (0..tokens).map(|_| 2.0 * stream.normal()).collect()).collect())
    }
}

impl Decoder for Bigrams {
    fn begin(&mut self, rows: usize) -> Result<()> {
        self.read = vec![Vec::new(); rows];
        Ok(())
    }

    fn read(&mut self, tokens: &Tensor) -> Result<Tensor> {
        let [rows, count] = tokens.dims().try_into().unwrap();
        assert_eq!(rows, self.read.len());
        let mut logits: Vec<f32> = Vec::new();
        for (read, new) in self.read.iter_mut().zip(tokens.to_vec::<i64>()?.chunks(count)) {
            read.extend(new);
            logits.extend(&self.logits[new[count - 1] as usize]);
        }
        Tensor::from_vec(logits, [rows, self.logits[0].len()], &Device::cpu())
    }

    fn select(&mut self, rows: &[usize]) -> Result<()> {
        self.read = rows.iter().map(|&row| self.read[row].clone()).collect();
        Ok(())
    }

    fn device(&self) -> Device {
        Device::cpu()
    }
}

fn texts(
    decoder: &mut dyn Decoder,
    tokenizer: &Tokenizer,
    prompts: &[&str],
    options: &GenerateOptions,
) -> Vec<Generated> {
    let mut shown = vec![String::new(); prompts.len()];
    let texts = generate(decoder, tokenizer, prompts, options, |prompt, more| shown[prompt] += more).unwrap();
    assert!(texts.iter().map(|generated| &generated.text).eq(&shown), "what is shown is the text");
    texts
}

#[test]
fn filters_are_those_of_transformers() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/sampling.safetensors");
    let mut values = safetensors::read(path, &Device::cpu()).unwrap();
    let logits = values.remove("logits").unwrap().to_vec::<f32>().unwrap();
    let read = values.remove("read").unwrap().to_vec::<i64>().unwrap();
    assert_eq!(values.len(), 12);
    for (name, expected) in values {
        let mut sampling = Sampling::new();
        for setting in name.split(',') {
            let (setting, value) = setting.split_once('=').unwrap();
            let number: f64 = value.parse().unwrap();
            sampling = match setting {
                "temperature" => sampling.temperature(number),
                "top_k" => sampling.top_k(number as usize),
                "top_p" => sampling.top_p(number),
                "min_p" => sampling.min_p(number),
                "repetition_penalty" => sampling.repetition_penalty(number),
                other => panic!("{other}"),
            };
        }
        let expected = expected.to_vec::<f32>().unwrap();
        let rows = logits.chunks(50).zip(read.chunks(12)).zip(expected.chunks(50));
        for (row, ((logits, read), expected)) in rows.enumerate() {
            let mut logits = logits.to_vec();
            sampling.apply(&mut logits, read).unwrap();
            for (token, (found, expected)) in logits.iter().zip(expected).enumerate() {
                let same = found == expected || (found - expected).abs() <= 1e-5 * expected.abs();
                assert!(same, "{name}, row {row}, token {token}: {found}, expected {expected}");
            }
        }
    }
}

#[test]
fn tokens_are_drawn_as_often_as_they_are_likely() {
    let chances = [0.5f32, 0.0, 0.2, 0.3];
    let mut stream = RandomStream::new(1, Purpose::Data, 0);
    let mut seen = [0; 4];
    for _ in 0..10_000 {
        seen[Sampling::new().draw(&mut chances.map(f32::ln), &[], &mut stream).unwrap() as usize] += 1;
    }
    for (seen, chance) in seen.into_iter().zip(chances) {
        assert!((f64::from(seen) / 10_000.0 - f64::from(chance)).abs() < 0.02, "{seen} of 10,000 at {chance}");
    }
    let greedy = Sampling::greedy().draw(&mut [1.0, 3.0, 3.0], &[], &mut stream).unwrap();
    assert_eq!(greedy, 1, "the first of equal ones");
}

#[test]
fn settings_that_make_no_sense() {
    let refused = |sampling: Sampling| sampling.check().unwrap_err().to_string();
    assert!(refused(Sampling::new().temperature(-1.0)).contains("a temperature of -1: 0 or more is expected"));
    assert!(refused(Sampling::new().temperature(f64::NAN)).contains("temperature"));
    assert!(refused(Sampling::new().top_k(0)).contains("a top-k of 0"));
    assert!(refused(Sampling::new().top_p(0.0)).contains("a top-p of 0: a number above 0 and at most 1 is expected"));
    assert!(refused(Sampling::new().min_p(1.5)).contains("a min-p of 1.5"));
    assert!(refused(Sampling::new().repetition_penalty(0.0)).contains("a repetition penalty of 0"));
    let refused = |logits: &mut [f32]| Sampling::new().apply(logits, &[]).unwrap_err().to_string();
    assert!(refused(&mut [0.0, f32::NAN]).contains("the model's output for token 1 is NaN"));
    assert!(refused(&mut [f32::NEG_INFINITY; 2]).contains("gives every token a probability of 0"));

    let tokenizer = Tokenizer::characters("ab");
    let refused = |prompt: &str, options: GenerateOptions| {
        generate(&mut Bigrams::random(2, 1), &tokenizer, &["a", prompt], &options, |_, _| {}).unwrap_err().to_string()
    };
    assert!(refused("c", GenerateOptions::new()).contains("prompt 1: 'c' at position 0"));
    assert!(refused("", GenerateOptions::new()).contains("prompt 1, \"\": a text with at least one token"));
    assert!(refused("a", GenerateOptions::new().stop("")).contains("an empty stop text"));
    assert!(refused("a", GenerateOptions::new().max_tokens(0)).contains("texts of 0 tokens"));
    assert!(refused("a", GenerateOptions::new().beams(0, 1.0)).contains("0 beams"));
    assert!(refused("a", GenerateOptions::new().beams(1, f64::NAN)).contains("length penalty"));
}

#[test]
fn stop_texts_and_tokens_end_a_text() {
    // a → b → c → d → <|endoftext|>
    let next = |token: usize| (0..5).map(|other| if other == token + 1 { 5.0 } else { 0.0 }).collect();
    let tokenizer = Tokenizer::characters("abcd").with_special("<|endoftext|>").unwrap();
    let mut model = Bigrams::new((0..5).map(next).collect());
    let mut write = |options: GenerateOptions| {
        let [generated] = <[_; 1]>::try_from(texts(&mut model, &tokenizer, &["a"], &options)).unwrap();
        (generated.text, generated.tokens, generated.ended)
    };
    for options in [GenerateOptions::new().sampling(Sampling::greedy()), GenerateOptions::new().beams(2, 0.0)] {
        let options = || options.clone();
        assert_eq!(write(options()), ("bcd".to_owned(), vec![1, 2, 3, 4], Ended::Token));
        assert_eq!(write(options().max_tokens(2)), ("bc".to_owned(), vec![1, 2], Ended::Length));
        assert_eq!(write(options().stop("cd")), ("b".to_owned(), vec![1, 2, 3], Ended::Text));
        // What might have been the beginning of a stop text is shown at the end.
        assert_eq!(write(options().stop("cdd").max_tokens(3)), ("bcd".to_owned(), vec![1, 2, 3], Ended::Length));
        assert_eq!(write(options().stop_token(2)), ("b".to_owned(), vec![1, 2], Ended::Token));
    }
}

/// Characters of several tokens are shown once they are whole.
#[test]
fn characters_of_several_tokens() {
    let tokenizer = Tokenizer::byte_pairs([""; 0], 256).unwrap();
    let bytes = tokenizer.encode("é日!").unwrap();
    let mut logits = vec![vec![0.0; 256]; 256];
    let first = tokenizer.encode("a").unwrap()[0];
    for (before, after) in [first].iter().chain(&bytes).zip(&bytes) {
        logits[*before as usize][*after as usize] = 9.0;
    }
    let options = GenerateOptions::new().sampling(Sampling::greedy()).max_tokens(6);
    let mut shown = Vec::new();
    let mut model = Bigrams::new(logits);
    let texts = generate(&mut model, &tokenizer, &["a"], &options, |_, more| shown.push(more.to_owned())).unwrap();
    assert_eq!((texts[0].text.as_str(), shown), ("é日!", vec!["é".to_owned(), "日".to_owned(), "!".to_owned()]));
    // The last one is cut.
    let cut = generate(&mut model, &tokenizer, &["a"], &options.max_tokens(4), |_, _| {}).unwrap();
    assert_eq!(cut[0].text, "é\u{fffd}");
}

/// The best of all texts of so many tokens after the first.
fn best_of_all(model: &Bigrams, length: usize, penalty: f64) -> (f64, Vec<i64>) {
    let tokens = model.logits.len();
    let chances: Vec<Vec<f64>> = model
        .logits
        .iter()
        .map(|row| {
            let all: f64 = row.iter().map(|&logit| f64::from(logit).exp()).sum();
            row.iter().map(|&logit| f64::from(logit) - all.ln()).collect()
        })
        .collect();
    let mut best = (f64::MIN, Vec::new());
    for number in 0..tokens.pow(length as u32) {
        let mut text: Vec<i64> = (0..length).map(|at| (number / tokens.pow(at as u32) % tokens) as i64).collect();
        // The last token ends a text.
        let end = tokens as i64 - 1;
        text.truncate(text.iter().position(|&token| token == end).map_or(length, |at| at + 1));
        let before = [0].iter().chain(&text);
        let sum: f64 = before.zip(&text).map(|(&before, &after)| chances[before as usize][after as usize]).sum();
        let score = sum / (text.len() as f64).powf(penalty);
        if score > best.0 {
            best = (score, text);
        }
    }
    best
}

#[test]
fn wide_beams_find_the_best_text_of_all() {
    let tokenizer = Tokenizer::characters("abc").with_special("</s>").unwrap();
    let (mut differ, length) = (0, 5);
    for seed in 0..12 {
        for penalty in [0.0, 1.0, 2.0, -1.0] {
            let mut model = Bigrams::random(4, seed);
            let (_, expected) = best_of_all(&model, length, penalty);
            let options = GenerateOptions::new().max_tokens(length);
            let found = texts(&mut model, &tokenizer, &["a"], &options.clone().beams(300, penalty)).remove(0).tokens;
            assert_eq!(found, expected, "seed {seed}, penalty {penalty}");
            let one = texts(&mut model, &tokenizer, &["a"], &options.clone().beams(1, 0.0)).remove(0);
            let greedy = texts(&mut model, &tokenizer, &["a"], &options.sampling(Sampling::greedy())).remove(0);
            assert_eq!(one, greedy);
            differ += usize::from(found != greedy.tokens);
        }
    }
    assert!(differ > 10, "beams find others than the greedy text: {differ}");
}

const LETTERS: &str = "abcdefgh .";

fn model(stateful: bool) -> Sequential {
    Sequential::new()
        .push(Embedding::new(10, 8))
        .push(Lstm::new(16).return_sequences(true).stateful(stateful))
        .push(Gru::new(12).return_sequences(true).stateful(stateful))
        .push(Dense::new(10))
        .build([40], &Device::cpu(), 3)
        .unwrap()
}

#[test]
fn a_prompt_goes_on_as_it_does_alone() {
    let tokenizer = Tokenizer::characters(LETTERS);
    let prompts = ["a", "head.", "bad", "a", "feed a bee", "bad"];
    let options = GenerateOptions::new().max_tokens(10).seed(5).stop(".");
    let carried = model(true);
    let mut decoder = ModelDecoder::new(&carried).unwrap();
    let all = texts(&mut decoder, &tokenizer, &prompts, &options);
    assert!(all.iter().any(|text| text.ended == Ended::Text) && all.iter().any(|text| text.ended == Ended::Length));
    assert_ne!(all[0], all[3], "the same prompt again goes on in another way");
    for (prompt, together) in [(0, &all[0]), (1, &all[1]), (2, &all[2]), (4, &all[4])] {
        assert_eq!(&texts(&mut decoder, &tokenizer, &[prompts[prompt]], &options)[0], together, "{prompt}");
    }
    assert_eq!(texts(&mut decoder, &tokenizer, &prompts, &options.clone().batch_size(4)), all);
    for threads in [1, 3] {
        let pool = ThreadPool::new(threads);
        run_in(&pool, || assert_eq!(texts(&mut decoder, &tokenizer, &prompts, &options), all));
    }
    assert_ne!(texts(&mut decoder, &tokenizer, &prompts, &options.clone().seed(6)), all);
    // A model that reads the whole text each time writes the same.
    let again = model(false);
    assert_eq!(texts(&mut ModelDecoder::new(&again).unwrap(), &tokenizer, &prompts, &options), all);
    let beams = options.beams(3, 1.0);
    let best = texts(&mut decoder, &tokenizer, &prompts, &beams);
    assert_eq!(texts(&mut ModelDecoder::new(&again).unwrap(), &tokenizer, &prompts, &beams), best);
}

#[test]
fn of_a_long_text_the_last_tokens_are_read() {
    let tokenizer = Tokenizer::characters(LETTERS);
    // Attention that sees later tokens too is read as a whole.
    let again = Sequential::new().push(Embedding::new(10, 8)).push(MultiHeadAttention::new(2)).push(Dense::new(10));
    let again = again.build([40], &Device::cpu(), 3).unwrap();
    let options = GenerateOptions::new().max_tokens(20).sampling(Sampling::greedy());
    let end = "feed a bee a head of had bad dad a feed .";
    let prompts = [format!("{}{end}", "ab ".repeat(30)), end.to_owned()].map(|prompt| prompt.replace('o', "a"));
    let [long, short] =
        prompts.map(|prompt| texts(&mut ModelDecoder::new(&again).unwrap(), &tokenizer, &[&prompt], &options));
    assert_eq!(long, short);
}

#[test]
fn a_transformer_reads_each_token_once_until_its_positions_end() {
    let tokenizer = Tokenizer::characters(LETTERS);
    let block = TransformerEncoderLayer::new(2, 16).causal(true).norm_first(true);
    let layers = Sequential::new().push(Embedding::new(10, 8)).push(PositionEmbedding::new(12));
    let model = layers.push(TransformerEncoder::new(block, 2)).push(Dense::new(10));
    let model = model.build([12], &Device::cpu(), 3).unwrap();
    let options = GenerateOptions::new().max_tokens(30).sampling(Sampling::greedy());
    let [text] = &texts(&mut ModelDecoder::new(&model).unwrap(), &tokenizer, &["feed"], &options)[..] else { panic!() };
    // The whole text each time; of more tokens than there are positions, from the last half on.
    let (mut read, mut expected) = (tokenizer.encode("feed").unwrap(), Vec::new());
    for _ in 0..30 {
        if read.len() > 12 {
            read.drain(..read.len() - 6);
        }
        let x = Tensor::from_slice(&read, [1, read.len()], &Device::cpu()).unwrap();
        let logits = model.forward(&x, &Ctx::eval()).unwrap().into_tensor();
        let next = logits.index(1, read.len() - 1).unwrap().argmax(-1).unwrap().item().unwrap() as i64;
        read.push(next);
        expected.push(next);
    }
    assert_eq!(text.text, tokenizer.decode(&expected).unwrap());
}

/// Transformers with each kind of positions; the first has fewer positions than the prompts have tokens.
fn transformers() -> [Sequential; 4] {
    let blocks = |attention: MultiHeadAttention| {
        let block = TransformerEncoderLayer::of(attention.causal(true), FeedForward::new(16)).norm_first(true);
        TransformerEncoder::new(block, 2)
    };
    let build = |layers: Sequential| layers.push(Dense::new(10)).build([12], &Device::cpu(), 3).unwrap();
    let embedded = || Sequential::new().push(Embedding::new(10, 8));
    let attention = || MultiHeadAttention::new(2);
    [
        build(embedded().push(PositionEmbedding::new(12)).push(blocks(attention()))),
        build(embedded().push(SinusoidalPositions::new()).push(blocks(attention().alibi(true)))),
        build(embedded().push(blocks(attention().rotary(Rotary::new())))),
        build(embedded().push(blocks(attention().window(5).rotary(Rotary::new())))),
    ]
}

#[test]
fn transformers_go_on_with_each_of_several_prompts_as_they_do_alone() {
    let tokenizer = Tokenizer::characters(LETTERS);
    let prompts = ["a", "head of a feed bag.", "bad", "dad had a cab", "feed a bee and a head of bad"];
    let prompts = prompts.map(|prompt| prompt.replace(['o', 'n'], "a"));
    let prompts: Vec<&str> = prompts.iter().map(String::as_str).collect();
    for (number, model) in transformers().iter().enumerate() {
        let mut decoder = ModelDecoder::new(model).unwrap();
        for sampling in [Sampling::greedy(), Sampling::new().temperature(0.9)] {
            let options = GenerateOptions::new().max_tokens(30).seed(5).sampling(sampling);
            let together = texts(&mut decoder, &tokenizer, &prompts, &options);
            for (prompt, together) in prompts.iter().zip(&together) {
                let alone = texts(&mut decoder, &tokenizer, &[prompt], &options);
                assert_eq!(&alone[0], together, "model {number}, {prompt}");
            }
            assert_eq!(texts(&mut decoder, &tokenizer, &prompts, &options.batch_size(2)), together, "model {number}");
        }
    }
}

#[test]
fn tokens_that_are_refused_change_nothing() {
    let tokens = |tokens: &[i64]| Tensor::from_slice(tokens, [1, tokens.len()], &Device::cpu()).unwrap();
    let again = Sequential::new().push(Embedding::new(10, 8)).push(MultiHeadAttention::new(2)).push(Dense::new(10));
    let again = again.build([12], &Device::cpu(), 3).unwrap();
    for model in transformers().iter().chain([&again]) {
        let mut decoder = ModelDecoder::new(model).unwrap();
        let mut read = |wrong: bool| {
            decoder.begin(1).unwrap();
            let mut logits = Vec::new();
            // Of learned positions the context begins anew on the way.
            for at in 0..20 {
                if wrong {
                    decoder.read(&tokens(&[1, 10])).unwrap_err();
                }
                logits.extend(decoder.read(&tokens(&[at % 10])).unwrap().to_vec::<f32>().unwrap());
            }
            logits
        };
        let expected = read(false);
        assert_eq!(read(true), expected);
    }
}

#[test]
fn models_that_do_not_write() {
    let classes =
        Sequential::new().push(Embedding::new(10, 4)).push(Lstm::new(3)).build([5], &Device::cpu(), 1).unwrap();
    let error = ModelDecoder::new(&classes).err().unwrap().to_string();
    assert!(error.contains("for tokens of the shape [1, 1]: [1, 1, vocabulary] is expected"), "{error}");
    let trained = Trained::new(classes);
    let error = trained.generate(&["a"], &GenerateOptions::new(), |_, _| {}).unwrap_err().to_string();
    assert!(error.contains("not the beginning of a text"), "{error}");
}
