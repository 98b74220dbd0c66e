//! What must hold of attention's operands.

use super::AttentionOptions;
use crate::tensor::{check_device, check_pair};
use crate::{DType, Error, Result, Shape, Tensor, unsupported_dtype};

const OPERATION: &str = "attention";

/// The sizes of the operands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) batch: usize,
    pub(super) heads: usize,
    pub(super) key_heads: usize,
    pub(super) queries: usize,
    pub(super) keys: usize,
    pub(super) width: usize,
    pub(super) value_width: usize,
}

impl Sizes {
    /// Those of operands that fit each other.
    pub(super) fn of(query: &Tensor, key: &Tensor, value: &Tensor) -> Result<Self> {
        check_pair(OPERATION, query, key)?;
        check_pair(OPERATION, query, value)?;
        if !query.dtype.is_float() {
            return Err(unsupported_dtype(OPERATION, query.dtype, "f32, f64, f16 or bf16"));
        }
        let (&[batch, heads, queries, width], &[key_batch, key_heads, keys, key_width]) = (query.dims(), key.dims())
        else {
            return Err(of_another_rank(query, key, value));
        };
        let &[value_batch, value_heads, values, value_width] = value.dims() else {
            return Err(of_another_rank(query, key, value));
        };
        let refuse = |message: String| Err(Error::shape(OPERATION, message));
        if batch != key_batch || batch != value_batch {
            return refuse(format!(
                "the query has a batch of {batch}, the key of {key_batch}, the value of {value_batch}: one batch is expected"
            ));
        }
        if (key_heads, keys) != (value_heads, values) {
            return refuse(format!(
                "the key has {key_heads} heads and length {keys}, the value {value_heads} heads and length {values}: both must \
                 be the same"
            ));
        }
        if width != key_width || width == 0 {
            return refuse(format!(
                "the query's heads have width {width}, the key's {key_width}: one width of 1 or more is expected"
            ));
        }
        if key_heads == 0 || heads % key_heads != 0 {
            return refuse(format!(
                "{heads} query heads cannot share {key_heads} key heads evenly: the number of key heads must divide that of \
                 query heads"
            ));
        }
        Ok(Sizes { batch, heads, key_heads, queries, keys, width, value_width })
    }

    /// (batch, heads, queries, value width)
    pub(super) fn output(&self) -> Result<Shape> {
        Shape::new(&[self.batch, self.heads, self.queries, self.value_width])
    }

    /// (batch, heads, queries, keys)
    pub(super) fn scores(&self) -> Result<Shape> {
        Shape::new(&[self.batch, self.heads, self.queries, self.keys])
    }

    /// The mask in the shape of the scores: bool, or numbers of the type that scores are computed in.
    pub(super) fn mask(&self, query: &Tensor, mask: &Tensor) -> Result<Tensor> {
        check_device(OPERATION, query, mask)?;
        let mask = if mask.dtype == DType::U8 { mask.to_dtype(DType::Bool)? } else { mask.clone() };
        if mask.dtype != DType::Bool && mask.dtype != query.dtype {
            let takes =
                format!("a mask of bool or u8, true where a key is seen, or one of {} that is added", query.dtype);
            return Err(unsupported_dtype(OPERATION, mask.dtype, &takes));
        }
        let scores = self.scores()?;
        let mask = if mask.dtype == DType::Bool { mask } else { mask.to_dtype(mask.dtype.computed_in())? };
        mask.broadcast_to(scores).map_err(|_| {
            Error::shape(
                OPERATION,
                format!(
                    "a mask of shape {} does not broadcast to {scores}, (batch, heads, queries, keys): a mask of padded keys has \
                     shape (batch, 1, 1, keys), one that is the same for all heads (batch, 1, queries, keys)",
                    mask.shape()
                ),
            )
        })
    }

    /// Whether the options make sense for these operands.
    pub(super) fn check_options(&self, query: &Tensor, options: &AttentionOptions) -> Result<()> {
        let refuse = |message: String| Err(Error::value(OPERATION, message));
        if let Some(scale) = options.scale.filter(|scale| !scale.is_finite()) {
            return refuse(format!("the scale is {scale}, expected a finite number"));
        }
        if let Some(slopes) = options.slopes(self.heads)?
            && let Some(head) = slopes.iter().position(|slope| !slope.is_finite())
        {
            return refuse(format!("the slope of head {head} is {}, expected a finite number", slopes[head]));
        }
        if options.window == Some(0) {
            return refuse("a window of 0 keys sees nothing: at least 1 is expected".into());
        }
        if let Some((rate, stream)) = &options.dropout {
            Tensor::check_stream(OPERATION, stream)?;
            check_device(OPERATION, query, stream)?;
            if !(0.0..=1.0).contains(rate) {
                return refuse(format!("a dropout rate from 0 to 1 is expected, got {rate}"));
            }
        }
        let Some(packed) = &options.packed else { return Ok(()) };
        if self.batch != 1 {
            return refuse(format!("packed sequences are a batch of 1, got a batch of {}", self.batch));
        }
        if packed.queries.len() != packed.keys.len() {
            let [queries, keys] = [packed.queries.len(), packed.keys.len()];
            return refuse(format!("{queries} offsets of queries and {keys} of keys: there must be as many of both"));
        }
        check_offsets("queries", &packed.queries, self.queries)?;
        check_offsets("keys", &packed.keys, self.keys)
    }
}

/// Whether offsets begin with 0, do not fall, and end with the axis's size.
fn check_offsets(of: &str, offsets: &[i64], size: usize) -> Result<()> {
    let message = match *offsets {
        [] | [_] => format!(
            "{} offset of {of} is given, expected 2 or more: where each sequence begins and where the last one ends",
            offsets.len()
        ),
        [first, ..] if first != 0 => format!("the offsets of {of} begin with {first}, expected 0"),
        [.., end] => match offsets.windows(2).position(|pair| pair[0] > pair[1]) {
            Some(at) => {
                format!("the offsets of {of} fall from {} to {} at position {}", offsets[at], offsets[at + 1], at + 1)
            }
            None if end != size as i64 => {
                format!("the offsets of {of} end with {end}, expected {size}, the number of {of}")
            }
            None => return Ok(()),
        },
    };
    Err(Error::value(OPERATION, message))
}

#[cold]
fn of_another_rank(query: &Tensor, key: &Tensor, value: &Tensor) -> Error {
    Error::shape(
        OPERATION,
        format!(
            "query, key and value have shape (batch, heads, length, width), got {}, {} and {}",
            query.shape(),
            key.shape(),
            value.shape()
        ),
    )
}
