//! Documents packed into rows: losses and gradients are those of the documents one by one.

use super::{close, cpu};
use kiln_autograd::Var;
use kiln_nn::*;
use kiln_tensor::{DType, Tensor};

const TOKENS: usize = 11;
const WIDTH: usize = 8;
const STEPS: usize = 8;

/// The lengths of the documents in each row; token 0 ends a document.
const ROWS: [&[usize]; 3] = [&[3, 1, 4], &[8], &[2, 5, 1]];

fn documents() -> Vec<Vec<i64>> {
    let lengths = ROWS.iter().flat_map(|row| row.iter().copied());
    let token = |document: usize, at: usize| 1 + ((document * 5 + at * 3) % (TOKENS - 1)) as i64;
    let document = |(number, length): (usize, usize)| {
        (0..length).map(|at| if at + 1 == length { 0 } else { token(number, at) }).collect()
    };
    lengths.enumerate().map(document).collect()
}

/// (rows, steps): documents one after the other.
fn packed() -> Tensor {
    let tokens: Vec<i64> = documents().concat();
    Tensor::from_vec(tokens, [ROWS.len(), STEPS], &cpu()).unwrap()
}

/// (documents, steps) with the mask of their tokens: one document in each row.
fn padded() -> (Tensor, Tensor) {
    let documents = documents();
    let padded = documents.iter().flat_map(|document| (0..STEPS).map(|at| document.get(at).copied().unwrap_or(7)));
    let mask = documents.iter().flat_map(|document| (0..STEPS).map(|at| at < document.len()));
    let shape = [documents.len(), STEPS];
    let mask = Tensor::from_vec(mask.collect(), shape, &cpu()).unwrap();
    (Tensor::from_vec(padded.collect(), shape, &cpu()).unwrap(), mask)
}

/// The rows of padded outputs that are tokens, in the order of the packed ones.
fn real_rows() -> Tensor {
    let documents = documents();
    let rows = documents
        .iter()
        .enumerate()
        .flat_map(|(row, document)| (0..document.len()).map(move |at| (row * STEPS + at) as i64));
    let rows: Vec<i64> = rows.collect();
    Tensor::from_slice(&rows, [rows.len()], &cpu()).unwrap()
}

fn targets() -> Tensor {
    let targets: Vec<i64> = (0..ROWS.len() * STEPS).map(|at| (at * 7 % TOKENS) as i64).collect();
    Tensor::from_slice(&targets, [targets.len()], &cpu()).unwrap()
}

fn model(attention: MultiHeadAttention, documents: Option<DocumentMask>, learned: bool) -> Sequential {
    let block = TransformerEncoderLayer::of(attention, FeedForward::new(12)).norm_first(true);
    let mut model = Sequential::new();
    if let Some(documents) = documents {
        model.add_named("documents", documents);
    }
    model.add_named(
        "embedding",
        Embedding::new(TOKENS, WIDTH).embeddings_initializer(Initializer::Normal { mean: 0.0, std: 1.0 }),
    );
    match learned {
        true => model.add_named("positions", PositionEmbedding::new(STEPS)),
        false => model.add_named("positions", SinusoidalPositions::new()),
    }
    model.add_named("blocks", TransformerEncoder::new(block, 2));
    model.add_named("logits", Dense::new(TOKENS));
    model.build_with([STEPS], &mut Init::new(1, &cpu()).dtype(DType::F64)).unwrap()
}

/// The loss of logits (tokens, vocabulary), and the gradients by path.
fn loss(model: &Sequential, logits: &Var) -> (f64, Vec<(String, Tensor)>) {
    let loss = SparseCategoricalCrossentropy::from_logits().forward(logits, &targets()).unwrap();
    let value = loss.item().unwrap();
    let gradients = loss.backward().unwrap();
    let named = model.named_gradients(&gradients).into_iter();
    (value, named.map(|(path, gradient)| (path, gradient.clone())).collect())
}

#[track_caller]
fn as_padded(what: &str, attention: MultiHeadAttention, learned: bool) {
    let end = DocumentMask::new().end_token(0);
    let (one, other) = (model(attention.clone(), Some(end), learned), model(attention, None, learned));
    let flat = |y: Var| y.reshape([y.dims()[0] * STEPS, TOKENS]).unwrap();
    let y = flat(one.forward(packed(), &Ctx::train(1, 0)).unwrap());
    let (found, gradients) = loss(&one, &y);
    let (tokens, mask) = padded();
    let y = flat(other.forward(Sequence::new(tokens.into(), mask), &Ctx::train(1, 0)).unwrap());
    let (expected, padded) = loss(&other, &y.index_select(0, &real_rows()).unwrap());
    assert!((found - expected).abs() < 1e-12, "{what}: {found}, expected {expected}");
    assert_eq!(gradients.len(), padded.len());
    for ((path, found), (of, expected)) in gradients.iter().zip(&padded) {
        assert_eq!(path, of);
        close(&format!("{what}: {path}"), found, expected, 1e-10);
    }
}

#[test]
fn packed_documents_are_learned_as_padded_ones() {
    let attention = || MultiHeadAttention::new(2);
    as_padded("causal", attention().causal(true), true);
    as_padded("sinusoidal", attention().causal(true), false);
    as_padded("both directions", attention(), true);
    as_padded("rotary", attention().causal(true).rotary(Rotary::new()).key_heads(1), false);
    as_padded("window", attention().causal(true).window(2).alibi(true), true);
}

#[test]
fn documents_are_told_by_their_numbers_too() {
    let attention = MultiHeadAttention::new(2).causal(true);
    let by_token = model(attention.clone(), Some(DocumentMask::new().end_token(0)), true);
    let mut g = Graph::new();
    let (tokens, numbers) = (g.input([STEPS]), g.input([STEPS]));
    let x = g.call(DocumentMask::new(), &[&tokens, &numbers]).unwrap();
    let y = g.call_named("rest", model(attention, None, true), &x).unwrap();
    let by_number = g.build_with(&[&tokens, &numbers], &[&y], &mut Init::new(1, &cpu()).dtype(DType::F64)).unwrap();
    // Any numbers, as long as neighbors of two documents differ.
    let numbers: Vec<i64> = ROWS
        .iter()
        .flat_map(|row| row.iter().enumerate().flat_map(|(at, &length)| vec![9 - at as i64; length]))
        .collect();
    let numbers = Tensor::from_slice(&numbers, [ROWS.len(), STEPS], &cpu()).unwrap();
    let found = by_number.forward((packed(), numbers), &Ctx::eval()).unwrap();
    let expected = by_token.forward(packed(), &Ctx::eval()).unwrap();
    assert_eq!(found.tensor().to_f64_vec().unwrap(), expected.tensor().to_f64_vec().unwrap());
    // Another document's tokens change nothing.
    let mut other = packed().to_vec::<i64>().unwrap();
    other[0] = 5;
    let other = Tensor::from_slice(&other, [ROWS.len(), STEPS], &cpu()).unwrap();
    let other = by_token.forward(other, &Ctx::eval()).unwrap();
    let rest = |y: &Var| {
        y.reshape([ROWS.len() * STEPS, TOKENS]).unwrap().slice(0, 3..24).unwrap().into_tensor().to_f64_vec().unwrap()
    };
    assert_eq!(rest(&other), rest(&expected));
    assert_ne!(other.tensor().to_f64_vec().unwrap(), expected.tensor().to_f64_vec().unwrap());
}

#[test]
fn a_decoder_sees_the_memory_of_its_document() {
    let block = TransformerDecoderLayer::new(2, 12).norm_first(true);
    let samples = kiln_tensor::Shape::new(&[STEPS, WIDTH]).unwrap();
    let mut decoder = TransformerDecoder::new(block, 2);
    decoder.build(&(samples, samples), &mut Init::new(1, &cpu()).dtype(DType::F64)).unwrap();
    let vectors = |index: u64, shape: &[usize]| super::uniform(shape, index).to_dtype(DType::F64).unwrap();
    let (table, memory) = (vectors(0, &[TOKENS, WIDTH]), vectors(1, &[TOKENS, WIDTH]));
    let of = |table: &Var, tokens: &Tensor| {
        let rows = table.index_select(0, &tokens.reshape([tokens.elements()]).unwrap()).unwrap();
        rows.reshape([tokens.dims()[0], STEPS, WIDTH]).unwrap()
    };
    let run = |tokens: &Tensor, mask: Mask| {
        let sequence = |table: &Var| Sequence { values: of(table, tokens), mask: Some(mask.clone()) };
        let y = decoder.forward((sequence(&table), sequence(&memory)), &Ctx::eval()).unwrap().values;
        y.reshape([y.dims()[0] * STEPS, WIDTH]).unwrap()
    };
    let ends = packed().eq(&Tensor::scalar(0i64, &cpu()).unwrap()).unwrap().to_dtype(DType::I64).unwrap();
    let numbers = ends.cumsum(1).unwrap().sub(&ends).unwrap();
    let found = run(&packed(), Mask::of_documents(&numbers).unwrap());
    let (tokens, mask) = padded();
    let expected = run(&tokens, mask.into()).index_select(0, &real_rows()).unwrap();
    close("decoder", found.tensor(), expected.tensor(), 1e-10);
}

#[test]
fn what_cannot_keep_to_documents_refuses_them() {
    let numbers = Tensor::from_slice(&[0i64, 0, 1, 0, 1, 1], [2, 3], &cpu()).unwrap();
    let x = || Sequence::new(super::uniform(&[2, 3, 4], 0), Mask::of_documents(&numbers).unwrap());
    let samples = kiln_tensor::Shape::new(&[3, 4]).unwrap();
    let lstm = super::built(Lstm::new(2), &samples);
    let error = lstm.forward(x(), &Ctx::eval()).unwrap_err();
    assert!(error.message().contains("from one packed document into the next"), "{error}");
    let class = super::built(ClassToken::new(), &samples);
    assert!(class.forward(x(), &Ctx::eval()).unwrap_err().message().contains("packed documents"));
    let attention = super::built(MultiHeadAttention::new(2).causal(true), &vec![samples]);
    let error = attention.forward(vec![x()], &Ctx::eval().carrying()).unwrap_err();
    assert!(error.message().contains("cannot go on in the next pass"), "{error}");
    let error = SinusoidalPositions::new().forward(x(), &Ctx::eval().carrying()).unwrap_err();
    assert!(error.message().contains("cannot go on in the next pass"), "{error}");
    let cross = super::built(MultiHeadAttention::new(2), &vec![samples, samples]);
    let error = cross.forward(vec![x(), super::uniform(&[2, 3, 4], 1).into()], &Ctx::eval()).unwrap_err();
    assert!(error.message().contains("pack both, or none"), "{error}");
    let error = Mask::of_documents(&numbers.index(0, 0).unwrap()).unwrap_err();
    assert_eq!(
        error.message(),
        "the numbers of documents are integers (batch, steps), one for each step, got i64 (3,)"
    );
    let tokens = Value::from(numbers.clone());
    let error = Ctx::eval().run(&DocumentMask::new(), tokens).unwrap_err();
    assert!(error.message().contains("or set `end_token`"), "{error}");
}
