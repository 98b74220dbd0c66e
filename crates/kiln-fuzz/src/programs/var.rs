//! Programs over `Var`: every gradient has its variable's shape and type; a variable that is a strided view gets the same
//! gradient, bit for bit; and where a program is made of smooth functions alone, gradients of f32 are near those of f64.

use super::operations::{
    attention_options, binary_op, index, indices, indices_of, outputs, pick, shape, unary_call, wider,
};
use super::values::{expect_same, read};
use super::{LARGEST, LONGEST, POOL, Settings};
use crate::Target;
use crate::source::Source;
use kiln::autograd::{RecurrentOptions, RecurrentOutput, Var, grad};
use kiln::math::{Purpose, RandomStream};
use kiln::tensor::{DType, Device, Error, PadMode, Recurrence, RecurrentCell, Result, Tensor};

pub(crate) const VAR: Target = Target { name: "var", run, seeds, words: &[] };

const FLOATS: [DType; 6] = [DType::F32, DType::F64, DType::F32, DType::F16, DType::F64, DType::BF16];

type Operation = fn(&[Var], &Settings) -> Result<Vec<Var>>;

fn one(result: Result<Var>) -> Result<Vec<Var>> {
    result.map(|var| vec![var])
}

/// Functions whose derivatives have no jumps, of values that stay small: f32 and f64 must agree on them.
const SMOOTH: &[(&str, Operation)] = &[
    ("add", |x, _| one(x[0].add(&x[1]))),
    ("mul", |x, _| one(x[0].tanh()?.mul(&x[1].tanh()?))),
    ("sub", |x, _| one(x[0].sub(&x[1]))),
    ("tanh", |x, _| one(x[0].tanh())),
    ("sigmoid", |x, _| one(x[0].sigmoid())),
    ("sin", |x, _| one(x[0].sin())),
    ("gelu", |x, _| one(x[0].tanh()?.gelu())),
    ("softmax", |x, s| one(x[0].softmax((s.numbers[0] as isize).wrapping_sub(3)))),
    ("logsumexp", |x, s| one(x[0].logsumexp((s.numbers[0] as isize).wrapping_sub(3)))),
    ("log_softmax", |x, s| one(x[0].tanh()?.log_softmax((s.numbers[0] as isize).wrapping_sub(3)))),
    ("mean", |x, s| {
        one(if s.flags[0] {
            x[0].mean_keepdim(&s.axes(x[0].shape().rank())[..])
        } else {
            x[0].mean(&s.axes(x[0].shape().rank())[..])
        })
    }),
    ("sum", |x, s| {
        one(if s.flags[0] {
            x[0].tanh()?.sum_keepdim(&s.axes(x[0].shape().rank())[..])
        } else {
            x[0].tanh()?.sum(&s.axes(x[0].shape().rank())[..])
        })
    }),
    ("attention of what fits", |x, s| {
        let (query, key) = (of_matrix(&x[0])?.tanh()?, of_matrix(&x[1])?.tanh()?);
        let width = query.dims()[1].min(key.dims()[1]);
        let head = |rows: &Var| rows.slice(1, 0..width)?.unsqueeze(0)?.unsqueeze(0);
        one(head(&query)?.attention(&head(&key)?, &head(&key)?, None, &attention_options(s)))
    }),
    ("matmul", |x, _| one(x[0].tanh()?.matmul(&x[1].tanh()?))),
    ("matmul of what fits", |x, _| {
        let (a, b) = (of_matrix(&x[0])?, of_matrix(&x[1])?);
        let k = a.dims()[1].min(b.dims()[0]);
        one(a.slice(1, 0..k)?.tanh()?.matmul(&b.slice(0, 0..k)?))
    }),
    ("permute", |x, s| one(x[0].permute(&s.order(x[0].shape().rank())))),
    ("broadcast_to", |x, s| one(x[0].broadcast_to(&wider(x[0].shape(), s)[..]))),
    ("slice", |x, s| one(x[0].slice(s.numbers[0], s.numbers[1]..s.numbers[2]))),
    ("reshape by a factor", |x, s| {
        let (count, part) = (x[0].tensor().elements(), s.numbers[0].clamp(1, 9));
        one(x[0].reshape([count / part, part]))
    }),
    ("conv", |x, s| one(x[0].tanh()?.conv(&x[1].tanh()?, None, &s.conv(), None))),
    ("conv of what fits", |x, s| {
        let (input, weight) = fitting(&x[0], &x[1], s)?;
        one(input.tanh()?.conv(&weight.tanh()?, None, &s.conv(), None))
    }),
    ("avg_pool", |x, s| one(x[0].avg_pool(&s.pool()))),
    ("layer_norm", |x, s| one(x[0].layer_norm(s.numbers[0], None, None, 0.1))),
    ("group_norm", |x, s| one(x[0].group_norm(s.numbers[0], None, None, 0.1))),
    ("concat", |x, s| one(Var::concat(&[&x[0], &x[1]], s.numbers[0]))),
    ("stack", |x, s| one(Var::stack(&[&x[0], &x[0]], s.numbers[0]))),
    ("upsample_bilinear", |x, s| one(x[0].upsample_bilinear(outputs(s), s.flags[0]))),
    ("upsample_bicubic", |x, s| one(x[0].upsample_bicubic(outputs(s), s.flags[0]))),
    ("pad", |x, s| {
        let sides: Vec<(usize, usize)> =
            (0..x[0].shape().rank()).map(|axis| (s.numbers[axis % 6], s.numbers[(axis + 1) % 6])).collect();
        one(if s.flags[0] { x[0].crop(&sides) } else { x[0].pad(&sides, 0.5) })
    }),
    ("squeeze", |x, s| one(if s.flags[0] { x[0].squeeze(s.numbers[0]) } else { x[0].unsqueeze(s.numbers[0]) })),
    ("recurrent", recurrent),
];

/// All others.
const REST: &[(&str, Operation)] = &[
    ("unary", |x, s| one(x[0].unary(unary_call(s)))),
    ("binary", |x, s| one(x[0].binary(binary_op(s), &x[1]))),
    ("scalars", |x, s| one(x[0].add_scalar(s.constants[0])?.mul_scalar(s.constants[1]))),
    ("select", |x, s| {
        let condition = x[0].tensor().to_dtype(DType::Bool)?;
        one(Var::select(if s.flags[0] { &condition } else { x[0].tensor() }, &x[1], &x[2]))
    }),
    ("get", |x, s| one(x[0].get(index(s, x[1].tensor())))),
    ("put", |x, s| {
        let index = index(s, x[1].tensor());
        one(if s.flags[1] { x[0].put_add(index, &x[2]) } else { x[0].put(index, &x[2]) })
    }),
    ("gather", |x, s| {
        let index = indices_of(x[1].tensor(), x[0].dims().get(s.numbers[0]).copied().unwrap_or(0), s)?;
        one(if s.flags[1] { x[0].take_along(s.numbers[0], &index) } else { x[0].gather(s.numbers[0], &index) })
    }),
    ("scatter", |x, s| {
        let index = indices_of(x[1].tensor(), x[0].dims().get(s.numbers[0]).copied().unwrap_or(0), s)?;
        let source = x[2].broadcast_to(index.shape())?;
        one(if s.flags[1] {
            x[0].scatter(s.numbers[0], &index, &source)
        } else {
            x[0].scatter_add(s.numbers[0], &index, &source)
        })
    }),
    ("roll", |x, s| one(x[0].roll([s.signed(0), s.signed(1)], [s.signed(2), s.signed(3)]))),
    ("slice_by", |x, s| one(x[0].slice_by(s.signed(0), s.numbers[1]..s.numbers[2], s.signed(3)))),
    ("embed_by", |x, s| {
        let shape: Vec<usize> = x[0].dims().iter().map(|&size| 2 * size).collect();
        let size = shape.get(s.numbers[0]).copied().unwrap_or(0);
        one(x[0].embed_by(s.numbers[0], 0..size, if s.flags[0] { -2 } else { 2 }, &shape[..]))
    }),
    ("diagonals", |x, s| {
        one(if s.flags[0] {
            x[0].diagonal(s.signed(0), s.signed(1), s.signed(2))
        } else {
            x[0].diag_embed(s.signed(0), s.signed(1), s.signed(2))
        })
    }),
    ("triangles", |x, s| one(if s.flags[0] { x[0].tril(s.signed(0)) } else { x[0].triu(s.signed(0)) })),
    ("unfold", |x, s| one(x[0].unfold(s.signed(0), s.numbers[1], s.numbers[2]))),
    ("im2col", |x, s| one(x[0].im2col(s.numbers[0], &s.conv()))),
    ("tile", |x, s| one(x[0].tile(&s.numbers[..s.numbers[5].min(4)]))),
    ("pad_with", |x, s| {
        let mode = pick(&[PadMode::Reflect, PadMode::Replicate, PadMode::Circular], s.numbers[4]);
        one(x[0].pad_with(&[(s.numbers[0], s.numbers[1]), (s.numbers[2], s.numbers[3])], mode))
    }),
    ("masked", |x, s| {
        let mask = x[1].tensor().to_dtype(DType::Bool)?;
        one(if s.flags[0] { x[0].masked_fill(&mask, s.constants[0]) } else { x[0].masked_select(&mask) })
    }),
    ("index_select", |x, s| {
        let axis = s.numbers[0];
        let index = indices(x[1].tensor(), x[0].dims().get(axis).copied().unwrap_or(0), s.flags[0])?;
        one(x[0].index_select(axis, &index))
    }),
    ("index_add", |x, s| {
        let (axis, to) = (s.numbers[0], s.numbers[1].min(9));
        let count = x[0].dims().get(axis).copied().unwrap_or(0);
        let index: Vec<i64> = (0..count).map(|at| (at % to.max(1)) as i64).collect();
        let index = Tensor::from_slice(&index, [index.len()], &Device::cpu())?;
        let target = x[0].slice(axis, 0..to.min(count))?;
        one(if s.flags[0] { target.index_copy(axis, &index, &x[0]) } else { target.index_add(axis, &index, &x[0]) })
    }),
    ("embed", |x, s| {
        let dims = if s.flags[0] {
            shape(s)?.dims().to_vec()
        } else {
            x[0].dims().iter().map(|size| size.saturating_add(s.numbers[2])).collect()
        };
        one(x[0].embed(s.numbers[0], s.numbers[1], &dims[..]))
    }),
    ("embed of what broadcasts", |x, s| {
        let part = x[0].sum_keepdim(&s.axes(x[0].shape().rank())[..])?;
        let axis = s.numbers[3];
        let dims: Vec<usize> =
            x[0].dims().iter().enumerate().map(|(at, &size)| if at == axis { size + 2 } else { size }).collect();
        one(part.embed(axis, s.numbers[1], &dims[..]))
    }),
    ("sum_to", |x, _| one(x[0].sum_to(x[1].shape()))),
    ("max and min", |x, s| {
        let axes = s.axes(x[0].shape().rank());
        one(if s.flags[1] {
            if s.flags[0] { x[0].max_keepdim(&axes[..]) } else { x[0].max(&axes[..]) }
        } else if s.flags[0] {
            x[0].min_keepdim(&axes[..])
        } else {
            x[0].min(&axes[..])
        })
    }),
    ("prod", |x, s| {
        one(if s.flags[0] {
            x[0].prod_keepdim(&s.axes(x[0].shape().rank())[..])
        } else {
            x[0].prod(&s.axes(x[0].shape().rank())[..])
        })
    }),
    ("cross_entropy", |x, _| one(x[0].cross_entropy(x[1].tensor()))),
    ("cross_entropy of labels", |x, s| {
        let classes = x[0].dims().last().copied().unwrap_or(0);
        let labels = indices(x[1].tensor(), classes, false)?;
        one(if s.flags[0] {
            x[0].cross_entropy(&labels)
        } else {
            x[0].softmax(-1)?.cross_entropy_from_probabilities(&labels)
        })
    }),
    ("linear", |x, s| {
        let activation = s.flags[0].then(|| unary_call(s));
        let (a, w) = (of_matrix(&x[0])?, of_matrix(&x[1])?);
        let k = a.dims()[1].min(w.dims()[1]);
        one(a.slice(1, 0..k)?.linear(&w.slice(1, 0..k)?, s.flags[1].then_some(&x[2]), activation))
    }),
    ("conv with bias", |x, s| {
        let (input, weight) = fitting(&x[0], &x[1], s)?;
        let activation = s.flags[0].then(|| unary_call(s));
        let bias = x[2].flatten(0)?;
        let bias = bias.slice(0, 0..weight.dims()[0])?;
        one(input.conv(&weight, Some(&bias), &s.conv(), activation))
    }),
    ("conv_transpose", |x, s| one(x[0].conv_transpose(&x[1], None, &s.conv()))),
    ("max_pool", |x, s| one(x[0].max_pool(&s.pool()))),
    ("lp_pool", |x, s| one(x[0].lp_pool(s.constants[0], &s.pool()))),
    ("adaptive", |x, s| {
        one(if s.flags[0] { x[0].adaptive_max_pool(outputs(s)) } else { x[0].adaptive_avg_pool(outputs(s)) })
    }),
    ("global", |x, s| {
        one(if s.flags[0] {
            if s.flags[1] { x[0].global_max_pool_keepdim() } else { x[0].global_max_pool() }
        } else if s.flags[1] {
            x[0].global_avg_pool_keepdim()
        } else {
            x[0].global_avg_pool()
        })
    }),
    ("batch_norm", |x, s| {
        one(x[0].batch_norm(None, None, s.constants[0].abs(), s.flags[0].then(|| unary_call(s))).map(|(y, _)| y))
    }),
    ("batch_norm with factors", |x, s| {
        let channels = x[0].dims().get(1).copied().unwrap_or(0);
        let factors = x[1].flatten(0)?.slice(0, 0..channels)?;
        one(x[0].batch_norm(Some(&factors), Some(&factors), s.constants[0].abs(), None).map(|(y, _)| y))
    }),
    ("instance_norm", |x, s| one(x[0].instance_norm(None, None, s.constants[0].abs()))),
    ("rms_norm", |x, s| one(x[0].rms_norm(s.numbers[0], None, s.constants[0].abs()))),
    ("local_response_norm", |x, s| one(x[0].local_response_norm(s.numbers[0], s.constants[0], 0.75, s.constants[1]))),
    ("upsample_nearest", |x, s| one(x[0].upsample_nearest(outputs(s)))),
    ("flatten", |x, s| one(x[0].flatten(s.numbers[0]))),
    ("reshape", |x, s| one(x[0].reshape(shape(s)?))),
    ("dropout", |x, s| {
        one(x[0]
            .dropout(s.constants[0], &Tensor::random_stream(&RandomStream::new(1, Purpose::Data, 0), &Device::cpu())?))
    }),
    ("to_dtype", |x, s| one(x[0].to_dtype(pick(&FLOATS, s.numbers[0].min(9))))),
    ("detach", |x, _| Ok(vec![x[0].detach()])),
    ("t", |x, _| one(x[0].t())),
    ("transpose", |x, s| one(x[0].transpose(s.numbers[0], s.numbers[1]))),
];

fn of_matrix(x: &Var) -> Result<Var> {
    match x.shape().rank() {
        0 => x.reshape([1, 1]),
        1 => x.unsqueeze(0),
        2 => Ok(x.clone()),
        _ => x.flatten(1),
    }
}

/// An input and a weight of a convolution, cut so that their channels fit.
fn fitting(x: &Var, weight: &Var, settings: &Settings) -> Result<(Var, Var)> {
    if x.shape().rank() < 3 || weight.shape().rank() != x.shape().rank() {
        return Err(Error::shape("fitting", "no convolution"));
    }
    let groups = settings.numbers[2].clamp(1, 5);
    let each = (x.dims()[1] / groups).min(weight.dims()[1]);
    let filters = weight.dims()[0] / groups * groups;
    Ok((x.slice(1, 0..each * groups)?, weight.slice(1, 0..each)?.slice(0, 0..filters)?))
}

/// A recurrent layer on gates (T, N, gates·H) that the operands are cut to.
fn recurrent(x: &[Var], s: &Settings) -> Result<Vec<Var>> {
    let cell = pick(RecurrentCell::ALL, s.numbers[0]);
    let Some(&[steps, batch, width]) = x[0].dims().first_chunk::<3>().filter(|_| x[0].shape().rank() == 3) else {
        return Err(Error::shape("recurrent", "no sequence"));
    };
    let gates = cell.gates();
    let hidden = width / gates;
    let input = x[0].slice(2, 0..hidden * gates)?;
    let weight = of_matrix(&x[1])?;
    // (gates·H, H), repeated from whatever there is.
    let flat = weight.flatten(0)?;
    let (count, needed) = (flat.dims()[0].max(1), hidden * hidden * gates);
    let index: Vec<i64> = (0..needed).map(|at| (at % count) as i64).collect();
    let index = Tensor::from_slice(&index, [needed], &Device::cpu())?;
    let weight = flat.index_select(0, &index)?.tanh()?.reshape([gates * hidden, hidden])?;
    let mask: Vec<bool> = (0..steps * batch).map(|at| at % 3 != s.numbers[1].min(9)).collect();
    let mask = Tensor::from_slice(&mask, [steps, batch], &Device::cpu())?;
    let output = pick(&[RecurrentOutput::Sequence, RecurrentOutput::Last, RecurrentOutput::WithCell], s.numbers[2]);
    let (reverse, mask) = (s.flags[0], s.flags[1].then_some(&mask));
    let layer = Recurrence { reverse, mask, ..Recurrence::new(cell, &weight) };
    one(input.tanh()?.recurrent(&layer, RecurrentOptions { output, twice: s.flags[2] }))
}

/// An operation, its settings, and which values it takes.
struct Call {
    name: &'static str,
    operation: Operation,
    settings: Settings,
    operands: [usize; 3],
}

struct Program {
    leaves: Vec<Tensor>,
    steps: Vec<Call>,
    smooth: bool,
    twice: bool,
}

impl Program {
    fn read(source: &mut Source<'_>) -> Self {
        let form = source.byte();
        let (smooth, twice) = (form & 1 == 0, form & 2 == 2);
        let dtypes: &[DType] = if smooth { &[DType::F32] } else { &FLOATS };
        let leaves = (0..=form >> 2 & 3).map(|_| read(source, dtypes, !smooth && form & 128 == 128)).collect();
        let mut steps = Vec::new();
        while !source.is_empty() && steps.len() < LONGEST {
            let count = if smooth { SMOOTH.len() } else { SMOOTH.len() + REST.len() };
            let at = source.below(count);
            let (name, operation) = if at < SMOOTH.len() { SMOOTH[at] } else { REST[at - SMOOTH.len()] };
            let settings = Settings::read(source);
            let operands = [0; 3].map(|_: usize| source.below(POOL));
            steps.push(Call { name, operation, settings, operands });
        }
        Program { leaves, steps, smooth, twice }
    }

    fn told(&self) -> String {
        let steps: Vec<String> =
            self.steps.iter().map(|step| format!("{} {:?} of {:?}", step.name, step.settings, step.operands)).collect();
        let leaves: Vec<String> = self.leaves.iter().map(|leaf| format!("{} {}", leaf.dtype(), leaf.shape())).collect();
        format!("variables {leaves:?}, then\n{}", steps.join("\n"))
    }

    /// Does all steps that can be done, and gives the last value's gradients, one for each leaf.
    fn run(&self, leaves: &[Tensor]) -> Option<Run> {
        let leaves: Vec<Var> = leaves.iter().map(|leaf| Var::variable(leaf.clone())).collect();
        let mut pool = leaves.clone();
        let mut done = Vec::new();
        for step in &self.steps {
            let operands = step.operands.map(|at| pool[pool.len() - 1 - at % pool.len()].clone());
            let result = (step.operation)(&operands, &step.settings);
            done.push(result.is_ok());
            pool.extend(result.into_iter().flatten());
            pool.retain(|value| value.tensor().elements() <= LARGEST);
            if pool.is_empty() {
                pool.extend(leaves.iter().cloned());
            }
        }
        let outputs = pool.iter().rev().filter(|value| value.requires_grad() && value.dtype().is_float());
        let output = outputs.take(3).cloned().collect::<Vec<Var>>();
        // What is squared and summed has gradients of every element.
        let total = output.iter().filter_map(|value| value.square().and_then(|value| value.mean_all()).ok());
        let total = total
            .filter(|value| value.dtype() == output[0].dtype())
            .reduce(|sum, value| sum.add(&value).expect("scalars"))?;
        let value = total.tensor().clone();
        if self.twice {
            self.run_twice(&total, &leaves);
        }
        let gradients = total.backward().unwrap_or_else(|error| panic!("{}\n{error}", self.told()));
        let gradients = leaves.iter().map(|leaf| gradients.of(leaf).cloned()).collect::<Vec<_>>();
        for (leaf, gradient) in leaves.iter().zip(&gradients) {
            if let Some(gradient) = gradient {
                let (of, got) = ((leaf.dtype(), leaf.shape()), (gradient.dtype(), gradient.shape()));
                assert_eq!(of, got, "the gradient of a variable: {}", self.told());
            }
        }
        Some(Run { done, value, gradients })
    }

    /// Gradients of gradients, where the layer supports them.
    fn run_twice(&self, total: &Var, leaves: &[Var]) {
        let targets: Vec<&Var> = leaves.iter().collect();
        let Ok(first) = grad(total, &targets) else { return };
        for (leaf, gradient) in leaves.iter().zip(first) {
            let Some(gradient) = gradient else { continue };
            assert_eq!((leaf.dtype(), leaf.shape()), (gradient.dtype(), gradient.shape()), "{}", self.told());
            if !gradient.requires_grad() {
                continue;
            }
            let Ok(slope) = gradient.square().and_then(|square| square.sum_all()) else { continue };
            let Ok(second) = grad(&slope, &targets) else { continue };
            for (leaf, second) in leaves.iter().zip(second) {
                if let Some(second) = second {
                    assert_eq!((leaf.dtype(), leaf.shape()), (second.dtype(), second.shape()), "{}", self.told());
                }
            }
        }
    }
}

/// What came of a program.
struct Run {
    done: Vec<bool>,
    value: Tensor,
    gradients: Vec<Option<Tensor>>,
}

/// The same values in memory of another order.
fn strided(x: &Tensor) -> Tensor {
    let order: Vec<usize> = (0..x.rank()).rev().collect();
    let turned = x.permute(&order).and_then(|turned| turned.copied()).and_then(|turned| turned.permute(&order));
    let turned = turned.expect("a transposed copy");
    // And backwards in memory along the first axis.
    if x.rank() == 0 {
        turned
    } else {
        turned.flip(0).and_then(|x| x.copied()).and_then(|x| x.flip(0)).expect("a flipped copy")
    }
}

fn run(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let program = Program::read(&mut source);
    let Some(plain) = program.run(&program.leaves) else { return };
    let views: Vec<Tensor> = program.leaves.iter().map(strided).collect();
    let other = program.run(&views).unwrap_or_else(|| panic!("of views, nothing comes of {}", program.told()));
    assert_eq!(plain.done, other.done, "of views, other steps fail in {}", program.told());
    for (one, other) in plain.gradients.iter().zip(&other.gradients) {
        match (one, other) {
            (Some(one), Some(other)) => {
                expect_same(one, other, &|| format!("a gradient of views in {}", program.told()))
            }
            (one, other) => {
                assert!(one.is_none() && other.is_none(), "of views, gradients of others: {}", program.told())
            }
        }
    }
    if program.smooth {
        compare_with_f64(&program, &plain);
    }
}

fn compare_with_f64(program: &Program, plain: &Run) {
    let wide: Vec<Tensor> = program.leaves.iter().map(|leaf| leaf.to_dtype(DType::F64).expect("floats")).collect();
    let Some(wide) = program.run(&wide) else { panic!("of f64, nothing comes of {}", program.told()) };
    assert_eq!(plain.done, wide.done, "of f64, other steps fail in {}", program.told());
    let near = |what: &str, one: &Tensor, other: &Tensor| {
        let (one, other) = (one.to_f64_vec().expect("floats"), other.to_f64_vec().expect("floats"));
        let largest = other.iter().fold(0f64, |most, value| most.max(value.abs()));
        for (one, other) in one.iter().zip(&other) {
            let fine = (one - other).abs() <= 1e-3 * (largest + 1e-2) || one.is_nan() && other.is_nan();
            assert!(fine, "{what} {one} of f32 and {other} of f64 in {}", program.told());
        }
    };
    near("value", &plain.value, &wide.value);
    for (one, other) in plain.gradients.iter().zip(&wide.gradients) {
        if let (Some(one), Some(other)) = (one, other) {
            near("gradient", one, other);
        }
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let all = SMOOTH.len() + REST.len();
    let program = |form: u8, from: usize, count: usize| {
        // Two variables (2, 3, 4) and (3, 1), then operations.
        let mut bytes = vec![form, 0, 1, 0, 1, 2, 1, 2, 3, 4, 5, 6, 0, 0, 1, 3, 7, 8, 9];
        for operation in from..(from + count).min(all) {
            bytes.extend([operation as u8, 1, 1, 2, 1, 0, 3, 0, 1, (operation % 4) as u8, 0, 1, 2]);
        }
        bytes
    };
    let mut seeds: Vec<Vec<u8>> = (0..SMOOTH.len().div_ceil(8)).map(|part| program(4, 8 * part, 8)).collect();
    seeds.extend((0..all.div_ceil(8)).map(|part| program(7, 8 * part, 8)));
    seeds
}
