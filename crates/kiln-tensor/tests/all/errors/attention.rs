//! Sentences on attention's operands and options.

use super::{check, labels, typed, zeros};
use kiln_tensor::{AttentionOptions, DType, ErrorKind, Result, Tensor};

fn attend<const Q: usize, const K: usize, const V: usize>(
    query: [usize; Q],
    key: [usize; K],
    value: [usize; V],
) -> Result<Tensor> {
    zeros(query).attention(&zeros(key), &zeros(value), None, &AttentionOptions::new())
}

#[test]
fn shapes() {
    let shape = ErrorKind::Shape;
    check(
        attend([2, 3, 4], [2, 3, 4], [2, 3, 4]),
        shape,
        "attention: query, key and value have shape (batch, heads, length, width), got (2, 3, 4), (2, 3, 4) and (2, 3, 4)",
    );
    check(
        attend([2, 6, 3, 8], [2, 4, 5, 8], [2, 4, 5, 8]),
        shape,
        "attention: 6 query heads cannot share 4 key heads evenly: the number of key heads must divide that of query heads",
    );
    check(
        attend([2, 4, 3, 8], [2, 4, 5, 7], [2, 4, 5, 8]),
        shape,
        "attention: the query's heads have width 8, the key's 7: one width of 1 or more is expected",
    );
    check(
        attend([2, 4, 3, 8], [1, 4, 5, 8], [1, 4, 5, 8]),
        shape,
        "attention: the query has a batch of 2, the key of 1, the value of 1: one batch is expected",
    );
    check(
        attend([2, 4, 3, 8], [2, 4, 5, 8], [2, 4, 6, 8]),
        shape,
        "attention: the key has 4 heads and length 5, the value 4 heads and length 6: both must be the same",
    );
}

#[test]
fn masks() {
    let (query, key) = (zeros([2, 4, 3, 8]), zeros([2, 4, 5, 8]));
    let masked = |mask: &Tensor| query.attention(&key, &key, Some(mask), &AttentionOptions::new());
    check(
        masked(&typed([2, 5], DType::Bool)),
        ErrorKind::Shape,
        "attention: a mask of shape (2, 5) does not broadcast to (2, 4, 3, 5), (batch, heads, queries, keys): a mask of padded \
         keys has shape (batch, 1, 1, keys), one that is the same for all heads (batch, 1, queries, keys)",
    );
    check(
        masked(&labels(&[0, 1, 1, 1, 0])),
        ErrorKind::DType,
        "attention: dtype i64 is not supported; it takes a mask of bool or u8, true where a key is seen, or one of f32 that is \
         added: convert with `to_dtype`",
    );
    assert!(masked(&typed([2, 1, 1, 5], DType::U8)).is_ok());
}

#[test]
fn options() {
    let x = zeros([2, 4, 3, 8]);
    let attend = |options: AttentionOptions| x.attention(&x, &x, None, &options);
    let options = AttentionOptions::new;
    let stream = Tensor::from_slice(&[1i64, 0], [2], x.device()).unwrap();
    let refused = [
        (options().window(0), "a window of 0 keys sees nothing: at least 1 is expected"),
        (options().scale(f64::NAN), "the scale is NaN, expected a finite number"),
        (
            options().alibi_slopes(&[0.5, f64::INFINITY, 0.5, 0.5]),
            "the slope of head 1 is inf, expected a finite number",
        ),
        (options().dropout(1.5, &stream), "a dropout rate from 0 to 1 is expected, got 1.5"),
        (options().packed(&[0, 3], &[0, 3]), "packed sequences are a batch of 1, got a batch of 2"),
    ];
    for (options, sentence) in refused {
        check(attend(options), ErrorKind::Value, &format!("attention: {sentence}"));
    }
    check(
        attend(options().alibi_slopes(&[0.5, 0.25])),
        ErrorKind::Shape,
        "attention: 2 slopes are given for 4 heads: one for each query head is expected",
    );
}

#[test]
fn packed_sequences() {
    let (query, key) = (zeros([1, 2, 5, 4]), zeros([1, 2, 7, 4]));
    for (queries, keys, sentence) in [
        (&[0, 5][..], &[0, 3, 7][..], "2 offsets of queries and 3 of keys: there must be as many of both"),
        (&[0, 4], &[0, 7], "the offsets of queries end with 4, expected 5, the number of queries"),
        (&[0, 2, 5], &[0, 8, 7], "the offsets of keys fall from 8 to 7 at position 2"),
        (&[1, 5], &[0, 7], "the offsets of queries begin with 1, expected 0"),
        (
            &[0],
            &[0],
            "1 offset of queries is given, expected 2 or more: where each sequence begins and where the last one ends",
        ),
    ] {
        let options = AttentionOptions::new().packed(queries, keys);
        let result = query.attention(&key, &key, None, &options);
        check(result, ErrorKind::Value, &format!("attention: {sentence}"));
    }
}
