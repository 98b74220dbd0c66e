//! Attention against loops over batches, heads, queries and keys.

use super::cases::{Cases, FLOATS, Operand, Values, expect, rounded, values_of};
use crate::{AttentionOptions, AttentionReach, DType, Device, Shape, Tensor};

/// Operands with the numbers that they hold, and what is asked for.
struct Case {
    sizes: [usize; 7],
    query: Operand,
    key: Operand,
    value: Operand,
    /// Whether it is added, and its numbers for every pair.
    mask: Option<(Operand, bool)>,
    options: AttentionOptions,
    slopes: Option<Vec<f64>>,
    /// What each probability is multiplied by.
    kept: Option<Vec<f64>>,
    scale: f64,
}

const RATE: f64 = 0.3;

/// Cases with fixed lengths, not packed; every third case from 1 on is causal.
const FEW_QUERIES: usize = 26;
const FEW_CAUSAL_QUERIES: usize = 28;

/// The same numbers, where heads lie inside of rows.
fn with_rows_first(operand: Operand) -> Operand {
    let tensor = operand.tensor.transpose(1, 2).unwrap().contiguous().unwrap().transpose(1, 2).unwrap();
    Operand { tensor, ..operand }
}

impl Case {
    fn draw(cases: &mut Cases, dtype: DType, number: usize) -> Self {
        let key_heads = 1 + cases.below(2);
        let heads = key_heads * (1 + cases.below(3));
        let packed = number % 6 == 5;
        let batch = if packed { 1 } else { 1 + cases.below(2) };
        // Two are longer than the blocks of kernels; two have few queries, whose window begins inside of a block.
        let (queries, keys) = match (dtype, number) {
            (DType::F32, 24 | 25) => (140, 300),
            (_, FEW_QUERIES) => (1, 37),
            (_, FEW_CAUSAL_QUERIES) => (3, 37),
            _ => (1 + cases.below(19), 1 + cases.below(21)),
        };
        let (width, value_width) = (1 + cases.below(9), 1 + cases.below(9));
        let sizes = [batch, heads, key_heads, queries, keys, width, value_width];
        let rows_first = number % 2 == 1;
        let draw = |cases: &mut Cases, dims: [usize; 4]| {
            let between = Values::Between(-1.5, 1.5);
            let operand = cases.operand(&Shape::new(&dims).unwrap(), dtype, between);
            if rows_first { with_rows_first(operand) } else { operand }
        };
        let query = draw(cases, [batch, heads, queries, width]);
        let key = draw(cases, [batch, key_heads, keys, width]);
        let value = draw(cases, [batch, key_heads, keys, value_width]);
        let scale = if cases.chance(2) { 0.7 } else { 1.0 / (width as f64).sqrt() };
        let mut options = AttentionOptions::new().causal(number % 3 == 1).scale(scale);
        if matches!(number, FEW_QUERIES | FEW_CAUSAL_QUERIES) {
            options = options.window(20);
        } else if cases.chance(3) {
            options = options.window(1 + cases.below(6));
        }
        let slopes = cases.chance(3).then(|| cases.numbers(heads, Values::Between(0.01, 0.5)));
        if let Some(slopes) = &slopes {
            options = options.alibi_slopes(slopes);
        }
        if packed {
            let mut ends = |size: usize| [0, cases.below(size + 1).min(size), size];
            options = options.packed(&ends(queries), &ends(keys));
        }
        let mut case = Case { sizes, query, key, value, mask: None, options, slopes, kept: None, scale };
        case.draw_mask(cases, dtype, number);
        case.draw_dropout(cases, number);
        case
    }

    fn draw_mask(&mut self, cases: &mut Cases, dtype: DType, number: usize) {
        let [batch, heads, _, queries, keys, ..] = self.sizes;
        let shape = Shape::new(&[batch, heads, queries, keys]).unwrap();
        self.mask = match number % 4 {
            1 => Some((cases.operand(&shape, DType::Bool, Values::Below(3)), false)),
            2 => Some((cases.operand(&shape, dtype, Values::Between(-2.0, 2.0)), true)),
            _ => None,
        };
    }

    fn draw_dropout(&mut self, cases: &Cases, number: usize) {
        if number % 5 != 3 {
            return;
        }
        let [batch, heads, _, queries, keys, ..] = self.sizes;
        let stream = Tensor::from_slice(&[number as i64 + 5, 3], [2], &cases.device).unwrap();
        let ones = Tensor::ones([batch, heads, queries, keys], DType::F64, &cases.device).unwrap();
        self.kept = Some(ones.dropout(RATE, &stream).unwrap().to_vec().unwrap());
        self.options = self.options.clone().dropout(RATE, &stream);
    }

    /// The scores of a query, −∞ where it does not see the key.
    fn scores(&self, b: usize, h: usize, i: usize) -> Vec<f64> {
        let [_, heads, key_heads, queries, keys, width, _] = self.sizes;
        let &AttentionOptions { causal, window, ref packed, .. } = &self.options;
        let reach = AttentionReach { queries, keys, causal, window, packed: packed.as_ref() };
        let place = &reach.places()[i];
        let q = &self.query.values[((b * heads + h) * queries + i) * width..][..width];
        let score = |j: usize| {
            let k = &self.key.values[((b * key_heads + h * key_heads / heads) * keys + j) * width..][..width];
            let mut score = self.scale * q.iter().zip(k).map(|(q, k)| q * k).sum::<f64>();
            if let Some(slopes) = &self.slopes {
                score -= slopes[h] * (j as f64 - place.place as f64).abs();
            }
            match &self.mask {
                Some((mask, added)) => {
                    let mask = mask.values[((b * heads + h) * queries + i) * keys + j];
                    if *added {
                        score + mask
                    } else if mask == 0.0 {
                        f64::NEG_INFINITY
                    } else {
                        score
                    }
                }
                None => score,
            }
        };
        (0..keys).map(|j| if place.keys.contains(&j) { score(j) } else { f64::NEG_INFINITY }).collect()
    }

    /// What the output is, and with its gradient those of query, key and value.
    fn naive(&self, dy: &[f64]) -> [Vec<f64>; 4] {
        let [batch, heads, key_heads, queries, keys, width, value_width] = self.sizes;
        let zeros = |operand: &Operand| vec![0.0; operand.values.len()];
        let (mut y, mut dq) = (vec![0.0; dy.len()], zeros(&self.query));
        let (mut dk, mut dv) = (zeros(&self.key), zeros(&self.value));
        for row in 0..batch * heads * queries {
            let (b, h, i) = (row / (heads * queries), row / queries % heads, row % queries);
            let scores = self.scores(b, h, i);
            let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            if max == f64::NEG_INFINITY {
                continue;
            }
            let sum: f64 = scores.iter().map(|score| (score - max).exp()).sum();
            let first_key = (b * key_heads + h * key_heads / heads) * keys;
            let dy = &dy[row * value_width..][..value_width];
            // Of each key: its probability, what is kept of it, and the gradient of what is kept.
            let pairs: Vec<[f64; 3]> = (0..keys)
                .map(|j| {
                    let v = &self.value.values[(first_key + j) * value_width..][..value_width];
                    let kept = self.kept.as_ref().map_or(1.0, |kept| kept[row * keys + j]);
                    [(scores[j] - max).exp() / sum, kept, dy.iter().zip(v).map(|(dy, v)| dy * v).sum()]
                })
                .collect();
            let delta: f64 = pairs.iter().map(|[p, kept, dp]| p * kept * dp).sum();
            for (j, [p, kept, dp]) in pairs.into_iter().enumerate() {
                for c in 0..value_width {
                    let at = (first_key + j) * value_width + c;
                    y[row * value_width + c] += p * kept * self.value.values[at];
                    dv[at] += p * kept * dy[c];
                }
                let ds = self.scale * p * (kept * dp - delta);
                for c in 0..width {
                    let at = (first_key + j) * width + c;
                    dq[row * width + c] += ds * self.key.values[at];
                    dk[at] += ds * self.query.values[row * width + c];
                }
            }
        }
        [y, dq, dk, dv]
    }
}

/// Compares a gradient. That of half types goes through the output, which a kernel may have rounded: the largest element says how near it
/// must be.
fn expect_gradient(what: &str, out: &Tensor, want: &[f64]) {
    let share = match out.dtype() {
        DType::F16 => 4e-3,
        DType::BF16 => 3e-2,
        DType::F32 => 1e-4,
        _ => 1e-12,
    };
    // Terms of about 1 may add up to 0.
    let largest = want.iter().fold(1.0, |largest: f64, want| largest.max(want.abs()));
    for (i, (got, want)) in values_of(out).into_iter().zip(want).enumerate() {
        assert!((got - want).abs() <= share * largest, "{what}: element {i} is {got}, expected {want} of {largest}");
    }
}

pub(super) fn attention(device: &Device) {
    let mut cases = Cases::new(device, 64);
    for dtype in FLOATS {
        for number in 0..30 {
            let case = Case::draw(&mut cases, dtype, number);
            let [batch, heads, _, queries, _, _, value_width] = case.sizes;
            let operands = [&case.query.tensor, &case.key.tensor, &case.value.tensor];
            let [query, key, value] = operands;
            let mask = case.mask.as_ref().map(|(mask, _)| &mask.tensor);
            let after = query.attend(key, value, mask, &case.options).unwrap();
            let shape = Shape::new(&[batch, heads, queries, value_width]).unwrap();
            let dy = cases.operand(&shape, dtype, Values::Between(-1.0, 1.0));
            let [y, dq, dk, dv] = case.naive(&dy.values);
            let what = format!("attention {number} of {:?}", case.sizes);
            expect(&what, &after.out, &y, |_| 30.0);
            if let Some(gradients) = after.grad(operands, mask, &case.options, &dy.tensor).unwrap() {
                expect_gradient(&format!("dq of {what}"), &gradients.query, &dq);
                expect_gradient(&format!("dk of {what}"), &gradients.key, &dk);
                expect_gradient(&format!("dv of {what}"), &gradients.value, &dv);
            }
        }
    }
}

/// NaN comes through where a key is seen, −∞ in a mask hides even that, and no key gives 0.
pub(super) fn special(device: &Device) {
    let options = AttentionOptions::new().causal(true);
    for dtype in FLOATS {
        let tensor = |values: &[f64], shape: [usize; 4]| {
            let values: Vec<f64> = values.iter().map(|&value| rounded(value, dtype)).collect();
            Tensor::from_slice(&values, shape, device).unwrap().to_dtype(dtype).unwrap()
        };
        let query = tensor(&[0.5, f64::NAN, 1.0], [1, 1, 3, 1]);
        let key = tensor(&[1.0, 2.0], [1, 1, 2, 1]);
        let value = tensor(&[3.0, 4.0], [1, 1, 2, 1]);
        // The first of three queries comes before both keys.
        let y = query.attention(&key, &value, None, &options).unwrap();
        let p = 1.0 / (1.0 + (-1.0f64).exp());
        expect("attention of NaN", &y, &[0.0, f64::NAN, 3.0 + p], |_| 10.0);
        let mask = tensor(&[f64::NEG_INFINITY, 0.0], [1, 1, 1, 2]);
        let y = query.attention(&key, &value, Some(&mask), &options).unwrap();
        expect("attention with an infinite mask", &y, &[0.0, 0.0, 4.0], |_| 10.0);
        let none = query.attention(&key.slice(2, 0..0).unwrap(), &value.slice(2, 0..0).unwrap(), None, &options);
        expect("attention to no keys", &none.unwrap(), &[0.0; 3], |_| 0.0);
    }
}
