//! Random attentions, the kernels' answers, and those of a loop in f64.

use kiln_cpu::Isa;
use kiln_cpu::attention::{
    Dropout, Form, Gradients, Mask, Offsets, Operand, OperandMut, Operands, Saved, backward, forward,
};
use kiln_cpu::operand::Stored;
use kiln_cpu::random::{Draw, uniform};
use proptest::prelude::*;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum MaskKind {
    None,
    /// Of (batch, 1, 1, keys), as padding is masked.
    Padding,
    Seen,
    Added,
}

#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) batch: usize,
    pub(super) key_heads: usize,
    pub(super) group: usize,
    pub(super) queries: usize,
    pub(super) keys: usize,
    pub(super) width: usize,
    pub(super) value_width: usize,
    pub(super) causal: bool,
    pub(super) window: Option<usize>,
    pub(super) alibi: bool,
    pub(super) mask: MaskKind,
    pub(super) rate: f64,
    /// (batch, length, heads, width) in memory in the place of (batch, heads, length, width).
    pub(super) heads_inside: bool,
    pub(super) offsets: Option<[Vec<i64>; 2]>,
    pub(super) seed: u64,
}

/// A tensor of rows (batch, heads, length, width), whatever its order in memory.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rows<T> {
    pub(super) data: Vec<T>,
    pub(super) shape: [usize; 4],
    strides: [isize; 3],
}

impl<T: Copy> Rows<T> {
    pub(super) fn at(&self, [b, h, l, x]: [usize; 4]) -> T {
        let [sb, sh, sl] = self.strides.map(|stride| stride as usize);
        self.data[b * sb + h * sh + l * sl + x]
    }
    fn operand(&self) -> Operand<T> {
        Operand { first: self.data.as_ptr(), strides: self.strides }
    }
    fn operand_mut(&mut self) -> OperandMut<T> {
        OperandMut { first: self.data.as_mut_ptr(), strides: self.strides }
    }
}

struct Numbers(u64);
impl Numbers {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as f64 / (1u64 << 30) as f64 - 1.0) * 1.5
    }
}

/// The operands of a case.
#[derive(Clone, Debug)]
pub(super) struct Inputs<T> {
    pub(super) query: Rows<T>,
    pub(super) key: Rows<T>,
    pub(super) value: Rows<T>,
    pub(super) out_grad: Rows<T>,
    pub(super) seen: Vec<u8>,
    pub(super) added: Vec<f32>,
    slopes: Vec<f32>,
}

/// A sum, and the sum of its terms' absolute values, which its rounding errors are relative to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum {
    pub(super) value: f64,
    pub(super) size: f64,
}

/// Output, lse and the three gradients.
pub(super) type Answer<T> = (Rows<T>, Vec<f32>, [Rows<T>; 3]);

impl Case {
    pub(super) fn heads(&self) -> usize {
        self.key_heads * self.group
    }
    pub(super) fn scale(&self) -> f32 {
        1.0 / (self.width.max(1) as f32).sqrt()
    }
    fn rows<T: Copy>(&self, heads: usize, length: usize, width: usize, mut fill: impl FnMut() -> T) -> Rows<T> {
        // Rows apart from one another, and first elements off every alignment.
        let row = width + 3;
        let strides = if self.heads_inside {
            [length * heads * row, row, heads * row]
        } else {
            [heads * length * row, length * row, row]
        };
        let data = (0..self.batch * heads * length * row).map(|_| fill()).collect();
        Rows { data, shape: [self.batch, heads, length, width], strides: strides.map(|stride| stride as isize) }
    }

    pub(super) fn inputs<T: Stored<Compute = f32>>(&self) -> Inputs<T> {
        let mut numbers = Numbers(self.seed | 1);
        let mut fill = || T::store(numbers.next() as f32);
        let query = self.rows(self.heads(), self.queries, self.width, &mut fill);
        let key = self.rows(self.key_heads, self.keys, self.width, &mut fill);
        let value = self.rows(self.key_heads, self.keys, self.value_width, &mut fill);
        let out_grad = self.rows(self.heads(), self.queries, self.value_width, &mut fill);
        let count = match self.mask {
            MaskKind::None => 0,
            MaskKind::Padding => self.batch * self.keys,
            MaskKind::Seen | MaskKind::Added => self.batch * self.heads() * self.queries * self.keys,
        };
        let seen = (0..count).map(|_| u8::from(numbers.next() > -0.9)).collect();
        let added =
            (0..count).map(|_| numbers.next() as f32).map(|x| if x > 1.2 { f32::NEG_INFINITY } else { x }).collect();
        let slopes = (0..self.heads()).map(|h| 0.5 / (h + 1) as f32).collect();
        Inputs { query, key, value, out_grad, seen, added, slopes }
    }

    fn form<'a>(&'a self, slopes: &'a [f32]) -> Form<'a> {
        Form {
            batch: self.batch,
            heads: self.heads(),
            key_heads: self.key_heads,
            queries: self.queries,
            keys: self.keys,
            width: self.width,
            value_width: self.value_width,
            scale: self.scale(),
            causal: self.causal,
            window: self.window,
            slopes: self.alibi.then_some(slopes),
            packed: self.offsets.as_ref().map(|[queries, keys]| Offsets { queries, keys }),
        }
    }

    fn draw(&self) -> Draw {
        Draw { key: self.seed, counter: self.seed % 1000 }
    }

    /// What the kernels give.
    pub(super) fn run<T: Stored<Compute = f32>>(&self, isa: Isa, inputs: &Inputs<T>) -> Answer<T> {
        let form = self.form(&inputs.slopes);
        let (q, k) = (self.queries as isize, self.keys as isize);
        let strides = [self.heads() as isize * q * k, q * k, k, 1];
        let mask = match self.mask {
            MaskKind::None => Mask::None,
            MaskKind::Padding => Mask::Seen(inputs.seen.as_ptr(), [k, 0, 0, 1]),
            MaskKind::Seen => Mask::Seen(inputs.seen.as_ptr(), strides),
            MaskKind::Added => Mask::Added(inputs.added.as_ptr(), strides),
        };
        let operands = Operands {
            query: inputs.query.operand(),
            key: inputs.key.operand(),
            value: inputs.value.operand(),
            mask,
            dropout: (self.rate > 0.0).then(|| Dropout { draw: self.draw(), rate: self.rate }),
        };
        // Whatever is there before must not matter.
        let old = |shape: [usize; 4]| self.rows(shape[1], shape[2], shape[3], || T::store(f32::NAN));
        let mut out = old(inputs.out_grad.shape);
        let mut lse = vec![f32::NAN; self.batch * self.heads() * self.queries];
        let [mut dq, mut dk, mut dv] = [inputs.query.shape, inputs.key.shape, inputs.value.shape].map(old);
        // SAFETY: all rows are as large as the form says.
        unsafe {
            forward(isa, &form, &operands, &out.operand_mut(), &mut lse);
            let saved = Saved { out: out.operand(), lse: &lse, out_grad: inputs.out_grad.operand() };
            let gradients = Gradients { query: dq.operand_mut(), key: dk.operand_mut(), value: dv.operand_mut() };
            backward(isa, &form, &operands, &saved, &gradients);
        }
        (out, lse, [dq, dk, dv])
    }

    /// Whether query i sees key j, by the definition.
    fn sees(&self, i: usize, j: usize) -> Option<isize> {
        let (mut i, mut j, mut queries, mut keys) = (i as isize, j as isize, self.queries as isize, self.keys as isize);
        if let Some([of_queries, of_keys]) = &self.offsets {
            let part = |offsets: &[i64], at: isize| offsets.iter().rposition(|&o| o as isize <= at).unwrap();
            // Sequences without elements share their offset with the next one.
            let s = part(of_queries, i);
            if !(of_keys[s]..of_keys[s + 1]).contains(&(j as i64)) {
                return None;
            }
            i -= of_queries[s] as isize;
            j -= of_keys[s] as isize;
            queries = (of_queries[s + 1] - of_queries[s]) as isize;
            keys = (of_keys[s + 1] - of_keys[s]) as isize;
        }
        let distance = i + keys - queries - j; // keys back from the query's place
        let causal = !self.causal || distance >= 0;
        let window = self.window.is_none_or(|window| {
            let window = window as isize;
            if self.causal { distance < window } else { distance.abs() <= window }
        });
        (causal && window).then_some(distance)
    }

    /// The textbook's loops: output, lse and gradients in f64.
    pub(super) fn naive<T: Stored<Compute = f32>>(&self, inputs: &Inputs<T>) -> (Rows<Sum>, Vec<f64>, [Rows<Sum>; 3]) {
        let zeros = |shape: [usize; 4]| self.rows(shape[1], shape[2], shape[3], Sum::default);
        let wide = |x: T| f64::from(x.load());
        let mut out = zeros(inputs.out_grad.shape);
        let [mut dq, mut dk, mut dv] = [inputs.query.shape, inputs.key.shape, inputs.value.shape].map(zeros);
        let mut lse = vec![f64::NEG_INFINITY; self.batch * self.heads() * self.queries];
        let mut words = vec![0.0f32; lse.len() * self.keys];
        uniform(Isa::Portable, &mut words, self.draw(), 0.0, 1.0);
        // Adds factor · y.
        let add = |rows: &mut Rows<Sum>, [b, h, l, x]: [usize; 4], factor: Sum, y: f64| {
            let [sb, sh, sl] = rows.strides.map(|stride| stride as usize);
            let sum = &mut rows.data[b * sb + h * sh + l * sl + x];
            sum.value += factor.value * y;
            sum.size += factor.size * y.abs();
        };
        for (row, lse) in lse.iter_mut().enumerate() {
            let (b, h, i) = (row / self.queries / self.heads(), row / self.queries % self.heads(), row % self.queries);
            let g = h / self.group;
            let mut scores = Vec::new();
            for j in 0..self.keys {
                let Some(distance) = self.sees(i, j) else { continue };
                let mut score: f64 = (0..self.width)
                    .map(|x| wide(inputs.query.at([b, h, i, x])) * wide(inputs.key.at([b, g, j, x])))
                    .sum();
                score *= f64::from(self.scale());
                if self.alibi {
                    score -= f64::from(inputs.slopes[h]) * distance.abs() as f64;
                }
                match self.mask {
                    MaskKind::Padding if inputs.seen[b * self.keys + j] == 0 => continue,
                    MaskKind::Seen if inputs.seen[row * self.keys + j] == 0 => continue,
                    MaskKind::Added if inputs.added[row * self.keys + j] == f32::NEG_INFINITY => continue,
                    MaskKind::Added => score += f64::from(inputs.added[row * self.keys + j]),
                    _ => {}
                }
                scores.push((j, score));
            }
            let max = scores.iter().map(|&(_, s)| s).fold(f64::NEG_INFINITY, f64::max);
            *lse = if scores.is_empty() {
                max
            } else {
                max + scores.iter().map(|&(_, s)| (s - max).exp()).sum::<f64>().ln()
            };
            let keep = |j: usize| match self.rate {
                rate if rate >= 1.0 => 0.0,
                rate if words[row * self.keys + j] >= rate as f32 => 1.0 / (1.0 - rate),
                _ => 0.0,
            };
            for &(j, s) in &scores {
                let p = (s - *lse).exp() * keep(j);
                for x in 0..self.value_width {
                    add(&mut out, [b, h, i, x], Sum { value: p, size: p }, wide(inputs.value.at([b, g, j, x])));
                }
            }
            let products = |y: &dyn Fn(usize) -> Sum| {
                (0..self.value_width).fold(Sum::default(), |sum, x| {
                    let (y, grad) = (y(x), wide(inputs.out_grad.at([b, h, i, x])));
                    Sum { value: sum.value + y.value * grad, size: sum.size + y.size * grad.abs() }
                })
            };
            let delta = products(&|x| out.at([b, h, i, x]));
            for (j, s) in scores {
                let p = (s - *lse).exp();
                let dp = products(&|x| {
                    let value = wide(inputs.value.at([b, g, j, x]));
                    Sum { value, size: value.abs() }
                });
                let factor = p * f64::from(self.scale());
                let ds = Sum {
                    value: factor * (dp.value * keep(j) - delta.value),
                    size: factor * (dp.size * keep(j) + delta.size),
                };
                let kept = Sum { value: p * keep(j), size: p * keep(j) };
                for x in 0..self.value_width {
                    add(&mut dv, [b, g, j, x], kept, wide(inputs.out_grad.at([b, h, i, x])));
                }
                for x in 0..self.width {
                    add(&mut dq, [b, h, i, x], ds, wide(inputs.key.at([b, g, j, x])));
                    add(&mut dk, [b, g, j, x], ds, wide(inputs.query.at([b, h, i, x])));
                }
            }
        }
        (out, lse, [dq, dk, dv])
    }
}

/// Offsets of sequences that make up `total`, empty ones among them.
fn offsets(total: usize, cuts: [usize; 2]) -> Vec<i64> {
    let mut offsets = vec![0, (cuts[0] % (total + 1)) as i64, (cuts[1] % (total + 1)) as i64, total as i64];
    offsets.sort_unstable();
    offsets
}

/// Cases of any options and of odd sizes first.
pub(super) fn cases() -> impl Strategy<Value = Case> {
    let length = || prop_oneof![6 => 1usize..20, 3 => 20usize..100, 1 => 100usize..300];
    let width = || prop_oneof![6 => 1usize..20, 2 => Just(64usize), 2 => 20usize..140, 1 => 250usize..270];
    let sizes = (1usize..3, 1usize..3, 1usize..4, length(), length(), width(), width());
    let window = prop_oneof![2 => Just(None), 1 => (0usize..20).prop_map(Some), 1 => (20usize..200).prop_map(Some)];
    let mask =
        prop::sample::select(vec![MaskKind::None, MaskKind::None, MaskKind::Padding, MaskKind::Seen, MaskKind::Added]);
    let rate = prop_oneof![3 => Just(0.0), 1 => 0.0..0.6, 1 => Just(1.0)];
    let packed = prop_oneof![2 => Just(None), 1 => any::<[usize; 4]>().prop_map(Some)];
    let options = (any::<bool>(), window, any::<bool>(), mask, rate, any::<bool>(), packed, any::<u64>());
    (sizes, options).prop_map(|(sizes, options)| {
        let (batch, key_heads, group, queries, keys, width, value_width) = sizes;
        let (causal, window, alibi, mask, rate, heads_inside, packed, seed) = options;
        let offsets = packed.map(|[a, b, c, d]| [offsets(queries, [a, b]), offsets(keys, [c, d])]);
        let batch = if offsets.is_some() { 1 } else { batch };
        Case {
            batch,
            key_heads,
            group,
            queries,
            keys,
            width,
            value_width,
            causal,
            window,
            alibi,
            mask,
            rate,
            heads_inside,
            offsets,
            seed,
        }
    })
}
