//! What programs do with tensors.

use super::Settings;
use kiln::math::{BinaryOp, IntegerOp, Law, RandomStream, UnaryOp};
use kiln::tensor::{
    AttentionOptions, CompareOp, DType, Error, IndexItem, MatmulOptions, PadMode, PerAxis, ReduceOp, Result, Shape,
    SoftmaxKind, Tensor, UnaryCall,
};

/// A function of three operands, of which it may leave some out, and of settings.
pub(super) type Operation = fn(&[Tensor], &Settings) -> Result<Vec<Tensor>>;

const COMPARISONS: [CompareOp; 6] =
    [CompareOp::Eq, CompareOp::Ne, CompareOp::Lt, CompareOp::Le, CompareOp::Gt, CompareOp::Ge];
const REDUCTIONS: [ReduceOp; 5] = [ReduceOp::Sum, ReduceOp::Mean, ReduceOp::Max, ReduceOp::Min, ReduceOp::Prod];

/// One of a list, whatever the number.
pub(super) fn pick<T: Copy>(list: &[T], number: usize) -> T {
    list[number % list.len()]
}

pub(super) fn unary_call(settings: &Settings) -> UnaryCall {
    let op = pick(UnaryOp::ALL, settings.numbers[0].wrapping_add(6 * settings.numbers[1].min(9)));
    UnaryCall { op, params: settings.constants }
}

pub(super) fn binary_op(settings: &Settings) -> BinaryOp {
    pick(BinaryOp::ALL, settings.numbers[0].wrapping_add(settings.numbers[1].min(9)))
}

/// Numbers as a shape of so many axes.
pub(super) fn shape(settings: &Settings) -> Result<Shape> {
    Shape::new(&settings.numbers[..settings.numbers[5].min(5)])
}

/// The shape of a value that an operand may be broadcast to: axes in front, sizes where there were 1s.
pub(super) fn wider(of: &Shape, settings: &Settings) -> Vec<usize> {
    let front = settings.numbers[..settings.numbers[5] % 3].iter().copied();
    front.chain(of.iter().map(|&size| if size == 1 { settings.numbers[4] } else { size })).collect()
}

/// A view of a tensor that shares its memory.
pub(super) fn view(kind: u8, x: &Tensor, settings: &Settings) -> Result<Tensor> {
    let [a, b, c, ..] = settings.numbers;
    let axis = a % x.rank().max(1);
    let size = x.dims().get(axis).copied().unwrap_or(0);
    // Mostly within, so that something comes of it.
    let range = if settings.flags[2] {
        b..c
    } else {
        (b % (size + 1)).min(c % (size + 1))..(b % (size + 1)).max(c % (size + 1))
    };
    match kind % 10 {
        0 => x.permute(&settings.order(x.rank())),
        1 => x.slice(axis, range),
        2 => x.slice_by(axis, range, settings.numbers[3] as isize),
        3 => x.slice_by(axis, range, (settings.numbers[3] as isize).wrapping_neg()),
        4 => x.flip(axis),
        5 => x.broadcast_to(&wider(x.shape(), settings)[..]),
        6 => x.index(axis, b),
        7 => x.unsqueeze(a),
        8 => x.transpose(a, b),
        _ => x.squeeze(axis),
    }
}

fn one(result: Result<Tensor>) -> Result<Vec<Tensor>> {
    result.map(|tensor| vec![tensor])
}

/// The gradient that a kernel gives, if there is one.
fn some(result: Result<Option<Tensor>>) -> Result<Vec<Tensor>> {
    result.map(Vec::from_iter)
}

/// Indices for an axis, from any numbers: most within it.
pub(super) fn indices(of: &Tensor, size: usize, wild: bool) -> Result<Tensor> {
    let index = if of.rank() == 1 { of.clone() } else { of.flatten(0)? }.to_dtype(DType::I64)?;
    if wild || size == 0 {
        return Ok(index);
    }
    let within: Vec<i64> = index.to_vec::<i64>()?.into_iter().map(|at| at.rem_euclid(size as i64)).collect();
    Tensor::from_slice(&within, [within.len()], of.device())
}

/// As [`indices`], in the shape that they came in.
pub(super) fn indices_of(of: &Tensor, size: usize, settings: &Settings) -> Result<Tensor> {
    indices(&of.flatten(0)?, size, settings.flags[0])?.reshape(of.shape())
}

/// An index of two items or three.
pub(super) fn index(settings: &Settings, tensor: &Tensor) -> Vec<IndexItem> {
    let item = |number: usize| match settings.numbers[number] % 6 {
        0 => IndexItem::from(settings.signed(number + 1)),
        1 => IndexItem::from(..).by(settings.signed(number + 1)),
        2 => IndexItem::from(settings.signed(number + 1)..).by(if settings.flags[1] { -1 } else { 2 }),
        3 => IndexItem::New,
        4 => IndexItem::Ellipsis,
        _ => IndexItem::from(tensor),
    };
    (0..2 + usize::from(settings.flags[2])).map(item).collect()
}

/// By name.
pub(super) const TENSOR_OPERATIONS: &[(&str, Operation)] = &[
    ("unary", |x, s| one(x[0].unary(unary_call(s)))),
    ("into_unary", |x, s| one(x[0].clone().into_unary(unary_call(s)))),
    ("unary_grad", |x, s| one(x[0].clone().unary_grad(unary_call(s), Some(&x[1]), Some(&x[2])))),
    ("binary", |x, s| one(x[0].binary(binary_op(s), &x[1]))),
    ("compare", |x, s| one(x[0].compare(pick(&COMPARISONS, s.numbers[0]), &x[1]))),
    ("select", |x, _| one(Tensor::select(&x[0].to_dtype(DType::Bool)?, &x[1], &x[2]))),
    ("logical", |x, s| {
        one(if s.flags[0] { x[0].logical_and(&x[1]) } else { x[0].logical_or(&x[1]) }.and_then(|y| y.logical_not()))
    }),
    ("integers", |x, s| {
        one(x[0].integers(pick(IntegerOp::ALL, s.numbers[0].wrapping_add(6 * s.numbers[1].min(9))), &x[1]))
    }),
    ("bits", |x, s| one(if s.flags[0] { x[0].logical_xor(&x[1]) } else { x[0].bitwise_not() })),
    ("sample", |x, s| {
        let law = pick(&Law::ALL, s.numbers[0]);
        one(Tensor::sample(law, &[&x[0], &x[1]][..law.parameters()], RandomStream::from_key(7)))
    }),
    ("choice", |x, s| {
        let stream = RandomStream::from_key(8);
        Ok(vec![x[0].categorical(stream)?, x[0].multinomial(s.numbers[0], s.flags[0], stream)?])
    }),
    ("scalars", |x, s| one(x[0].add_scalar(s.constants[0])?.mul_scalar(s.constants[1]))),
    ("reduce", |x, s| {
        one(if s.flags[0] {
            x[0].reduce_keepdim(pick(&REDUCTIONS, s.numbers[3]), &s.axes(x[0].rank())[..])
        } else {
            x[0].reduce(pick(&REDUCTIONS, s.numbers[3]), &s.axes(x[0].rank())[..])
        })
    }),
    ("sum_to", |x, _| one(x[0].sum_to(x[1].shape()))),
    ("arg", |x, s| {
        let axis = (s.numbers[0] as isize).wrapping_sub(3);
        one(if s.flags[0] { x[0].argmax(axis) } else { x[0].argmin(axis) })
    }),
    ("logsumexp", |x, s| one(x[0].logsumexp((s.numbers[0] as isize).wrapping_sub(3)))),
    ("softmax", |x, s| {
        let axis = (s.numbers[0] as isize).wrapping_sub(3);
        one(if s.flags[0] { x[0].softmax(axis) } else { x[0].log_softmax(axis) })
    }),
    ("softmax_grad", |x, s| {
        some(x[0].softmax_grad(if s.flags[0] { SoftmaxKind::Softmax } else { SoftmaxKind::LogSoftmax }, &x[1]))
    }),
    ("cross_entropy", |x, _| one(x[0].cross_entropy(&x[1]))),
    ("cross_entropy of labels", |x, _| {
        one(x[0].cross_entropy(&indices(&x[1], x[0].dims().last().copied().unwrap_or(0), false)?))
    }),
    ("cross_entropy_grad", |x, _| some(x[0].cross_entropy_grad(&x[1], &x[2]))),
    ("attention", |x, s| one(x[0].attention(&x[1], &x[2], None, &attention_options(s)))),
    ("attention of what fits", |x, s| {
        let (query, key) = (matrix(&x[0])?, matrix(&x[1])?);
        let width = query.dims()[1].min(key.dims()[1]);
        let head = |rows: &Tensor| rows.slice(1, 0..width)?.unsqueeze(0)?.unsqueeze(0);
        one(head(&query)?.attention(&head(&key)?, &head(&key)?, Some(&x[2]), &attention_options(s)))
    }),
    ("matmul", |x, _| one(x[0].matmul(&x[1]))),
    ("matmul of what fits", |x, s| {
        let (a, b) = (matrix(&x[0])?, matrix(&x[1])?);
        let k = a.dims()[1].min(b.dims()[0]);
        let (a, b) = (a.slice(1, 0..k)?, b.slice(0, 0..k)?);
        let activation = s.flags[0].then(|| unary_call(s));
        let bias = s.flags[1].then(|| x[2].flatten(0).and_then(|bias| bias.slice(0, 0..b.dims()[1]))).transpose()?;
        one(a.matmul_with(&b, MatmulOptions { bias: bias.as_ref(), activation }))
    }),
    ("add_matmul", |x, _| {
        let mut out = x[2].copied()?;
        out.add_matmul(&x[0], &x[1])?;
        Ok(vec![out])
    }),
    ("conv", |x, s| one(x[0].conv(&x[1], &s.conv(), MatmulOptions::default()))),
    ("conv of what fits", |x, s| {
        let (input, weight) = fitting(&x[0], &x[1], s)?;
        one(input.conv(&weight, &s.conv(), MatmulOptions::default()))
    }),
    ("conv_transpose of what fits", |x, s| {
        let (input, weight) = fitting(&x[0], &x[1].clone(), s)?;
        let weight = if weight.rank() > 1 { weight.transpose(0, 1)? } else { weight };
        one(input.conv_transpose(&weight, &s.conv()))
    }),
    ("conv_grad_input", |x, s| {
        let conv = s.conv().resolve(x[0].shape(), x[1].shape())?;
        one(x[2].conv_grad_input(&x[1], &conv, x[0].shape()))
    }),
    ("conv_grad_weight", |x, s| {
        let (input, weight) = fitting(&x[0], &x[1], s)?;
        let conv = s.conv().resolve(input.shape(), weight.shape())?;
        let dy = input.conv_with(&weight, &conv, MatmulOptions::default())?;
        Ok(vec![input.conv_grad_weight(&dy, &conv)?, dy.conv_grad_input(&weight, &conv, input.shape())?])
    }),
    ("max_pool", |x, s| {
        let (y, index) = x[0].max_pool(&s.pool())?;
        let dx = y.max_pool_grad(&index, x[0].shape())?;
        Ok(vec![y, dx])
    }),
    ("max_pool_grad", |x, s| {
        let index = indices(&x[1], x[0].elements(), s.flags[0])?.reshape(*x[2].shape())?;
        one(x[2].max_pool_grad(&index, x[0].shape()))
    }),
    ("moments", |x, _| one(x[0].moments())),
    ("normalize", |x, s| {
        let moments = x[0].moments()?;
        let normalization = kiln::tensor::Normalization {
            epsilon: s.constants[0].abs(),
            own_moments: s.flags[0],
            activation: s.flags[1].then(|| unary_call(s)),
        };
        one(x[0].normalize(&normalization, if s.flags[2] { &x[1] } else { &moments }, None, None))
    }),
    ("index_select", |x, s| {
        let axis = s.numbers[0];
        let index = indices(&x[1], x[0].dims().get(axis).copied().unwrap_or(0), s.flags[0])?;
        one(x[0].index_select(axis, &index))
    }),
    ("index_select as it is", |x, s| one(x[0].index_select(s.numbers[0], &x[1]))),
    ("index_add_assign", |x, s| {
        let mut out = x[0].copied()?;
        let axis = s.numbers[0];
        let index = indices(&x[1], out.dims().get(axis).copied().unwrap_or(0), s.flags[0])?;
        let source = x[0].index_select(axis, &index)?;
        out.index_add_assign(axis, &index, &source)?;
        Ok(vec![out])
    }),
    ("pad", |x, s| {
        let sides: Vec<(usize, usize)> =
            (0..x[0].rank()).map(|axis| (s.numbers[axis % 6], s.numbers[(axis + 1) % 6])).collect();
        one(if s.flags[0] { x[0].crop(&sides) } else { x[0].pad(&sides, s.constants[0]) })
    }),
    ("roll", |x, s| one(x[0].roll([s.signed(0), s.signed(1)], [s.signed(2), s.signed(3)]))),
    ("flip", |x, s| one(x[0].flip(&s.axes(x[0].rank())[..]))),
    ("rot90", |x, s| one(x[0].rot90(s.signed(0), s.signed(1), s.signed(2)))),
    ("movedim", |x, s| one(x[0].movedim([s.signed(0), s.signed(1)], [s.signed(2), s.signed(3)]))),
    ("expand", |x, s| {
        let sizes: Vec<isize> = wider(x[0].shape(), s).into_iter().map(|size| size as isize).collect();
        one(x[0].expand(&sizes[..]))
    }),
    ("narrow", |x, s| {
        one(if s.flags[0] {
            x[0].narrow(s.signed(0), s.signed(1), s.numbers[2])
        } else {
            x[0].index(s.signed(0), s.signed(1))
        })
    }),
    ("split_sizes", |x, s| x[0].split_sizes(s.signed(0), &s.numbers[1..1 + s.numbers[5].min(3)])),
    ("unbind", |x, s| x[0].unbind(s.signed(0))),
    ("diagonal", |x, s| one(x[0].diagonal(s.signed(0), s.signed(1), s.signed(2)))),
    ("diag_embed", |x, s| one(x[0].diag_embed(s.signed(0), s.signed(1), s.signed(2)))),
    ("diag", |x, s| one(if s.flags[0] { x[0].diag(s.signed(0)) } else { x[0].trace() })),
    ("triangles", |x, s| one(if s.flags[0] { x[0].tril(s.signed(0)) } else { x[0].triu(s.signed(0)) })),
    ("unfold", |x, s| one(x[0].unfold(s.signed(0), s.numbers[1], s.numbers[2]))),
    ("im2col", |x, s| one(x[0].im2col(s.numbers[0], &s.conv()))),
    ("col2im", |x, s| one(x[0].col2im([s.numbers[3], s.numbers[4]], s.numbers[0], &s.conv()))),
    ("tile", |x, s| one(x[0].tile(&s.numbers[..s.numbers[5].min(4)]))),
    ("repeat", |x, s| {
        one(if s.flags[0] {
            x[0].repeat_interleave(s.numbers[0], s.signed(1))
        } else {
            x[0].repeat_each(&s.numbers[1..1 + s.numbers[5].min(3)], s.signed(0))
        })
    }),
    ("pad_with", |x, s| {
        let mode = pick(&[PadMode::Reflect, PadMode::Replicate, PadMode::Circular], s.numbers[4]);
        one(x[0].pad_with(&[(s.numbers[0], s.numbers[1]), (s.numbers[2], s.numbers[3])], mode))
    }),
    ("meshgrid", |x, _| Tensor::meshgrid(&[&x[0], &x[1]])),
    ("get", |x, s| one(x[0].get(index(s, &x[1])))),
    ("put", |x, s| {
        one(if s.flags[1] { x[0].put_add(index(s, &x[1]), &x[2]) } else { x[0].put(index(s, &x[1]), &x[2]) })
    }),
    ("assign", |x, s| {
        let mut out = x[0].clone();
        out.assign(index(s, &x[1]), &x[2])?;
        Ok(vec![out])
    }),
    ("take", |x, s| one(x[0].take(&indices(&x[1], x[0].elements(), s.flags[0])?))),
    ("gather", |x, s| {
        let index = indices_of(&x[1], x[0].dims().get(s.numbers[0]).copied().unwrap_or(0), s)?;
        one(if s.flags[1] { x[0].take_along(s.numbers[0], &index) } else { x[0].gather(s.numbers[0], &index) })
    }),
    ("scatter", |x, s| {
        let index = indices_of(&x[1], x[0].dims().get(s.numbers[0]).copied().unwrap_or(0), s)?;
        let source = x[2].broadcast_to(index.shape())?;
        one(if s.flags[1] {
            x[0].scatter(s.numbers[0], &index, &source)
        } else {
            x[0].scatter_reduce(s.numbers[0], &index, &source, pick(&REDUCTIONS, s.numbers[3]), s.flags[2])
        })
    }),
    ("index_copy", |x, s| {
        let axis = s.numbers[0];
        let index = indices(&x[1], x[0].dims().get(axis).copied().unwrap_or(0), s.flags[0])?;
        let source = x[0].index_select(axis, &index)?;
        one(if s.flags[1] {
            x[0].index_copy(axis, &index, &source)
        } else {
            x[0].index_fill(axis, &index, s.constants[0])
        })
    }),
    ("masked", |x, s| {
        let mask = x[1].to_dtype(DType::Bool)?;
        Ok(vec![x[0].masked_fill(&mask, s.constants[0])?, x[0].masked_select(&mask)?])
    }),
    ("masked_scatter", |x, _| one(x[0].masked_scatter(&x[1].to_dtype(DType::Bool)?, &x[2]))),
    ("nonzero", |x, _| one(x[0].nonzero())),
    ("concat", |x, s| one(Tensor::concat(&x.iter().collect::<Vec<_>>()[..1 + s.numbers[1] % 3], s.numbers[0]))),
    ("stack", |x, s| one(Tensor::stack(&[&x[0], &x[0], &x[1]][..1 + s.numbers[1] % 3], s.numbers[0]))),
    ("split", |x, s| x[0].split(s.numbers[0], s.numbers[1])),
    ("chunk", |x, s| x[0].chunk(s.numbers[0], s.numbers[1])),
    ("one_hot", |x, s| one(x[0].one_hot(s.numbers[0]))),
    ("reshape", |x, s| one(x[0].reshape(shape(s)?))),
    ("reshape by a factor", |x, s| {
        let (count, part) = (x[0].elements(), s.numbers[0].clamp(1, 9));
        one(x[0].reshape([count / part, part]))
    }),
    ("flatten", |x, s| one(x[0].flatten(s.numbers[0]))),
    ("view", |x, s| one(view((s.numbers[3] as u8).wrapping_add(s.numbers[4] as u8), &x[0], s))),
    ("add_assign", |x, _| {
        let mut out = x[0].copied()?;
        out.add_assign(&x[1])?;
        Ok(vec![out])
    }),
    ("add_assign to what is shared", |x, _| {
        let mut out = x[0].clone();
        out.add_assign(&x[1])?;
        Ok(vec![out])
    }),
    ("copy_from", |x, s| {
        let mut out = x[0].copied()?;
        out.copy_from(&x[1])?;
        out.mul_scalar_assign(s.constants[0])?;
        Ok(vec![out])
    }),
    ("fill", |x, s| {
        let mut out = x[0].clone();
        out.fill(s.constants[0])?;
        Ok(vec![out])
    }),
    ("slice_assign", |x, s| {
        let mut out = x[0].clone();
        out.slice_assign(s.numbers[0], s.numbers[1]..s.numbers[2], &x[1])?;
        Ok(vec![out])
    }),
    ("to_dtype", |x, s| {
        one(x[0].to_dtype(pick(&super::values::DTYPES, s.numbers[0].wrapping_add(s.numbers[1].min(9)))))
    }),
    ("mask_of_lengths", |x, s| one(x[0].to_dtype(DType::I64)?.mask_of_lengths(s.numbers[0]))),
    ("copied", |x, _| one(x[0].copied())),
    ("contiguous", |x, _| one(x[0].contiguous())),
    ("display", |x, _| {
        let _ = format!("{} {:?}", x[0], x[0]).len();
        Ok(Vec::new())
    }),
    ("item", |x, _| {
        x[0].item()?;
        Ok(Vec::new())
    }),
];

/// Two axes from any.
pub(super) fn matrix(x: &Tensor) -> Result<Tensor> {
    match x.rank() {
        0 => x.reshape([1, 1]),
        1 => x.unsqueeze(0),
        2 => Ok(x.clone()),
        _ => x.flatten(1),
    }
}

pub(super) fn attention_options(s: &Settings) -> AttentionOptions {
    let options = AttentionOptions::new().causal(s.flags[0]).alibi(s.flags[1]);
    if s.flags[2] { options.window(s.numbers[0]) } else { options }
}

/// An input and a weight of a convolution of images, cut so that their channels fit.
fn fitting(x: &Tensor, weight: &Tensor, settings: &Settings) -> Result<(Tensor, Tensor)> {
    if x.rank() < 3 || weight.rank() != x.rank() {
        return Err(Error::shape("fitting", "no convolution"));
    }
    let groups = settings.numbers[2].clamp(1, 5);
    let each = (x.dims()[1] / groups).min(weight.dims()[1]);
    let filters = weight.dims()[0] / groups * groups;
    Ok((x.slice(1, 0..each * groups)?, weight.slice(1, 0..each)?.slice(0, 0..filters)?))
}

/// How many outputs an axis gets.
pub(super) fn outputs(settings: &Settings) -> PerAxis {
    PerAxis::from(settings.numbers[0])
}

/// A program for each of so many operations: two operands, one of them a view, then the operation.
pub(super) fn seeds(operations: usize) -> Vec<Vec<u8>> {
    // Eight operations a program.
    (0..operations.div_ceil(8))
        .map(|program| {
            let mut bytes = vec![0, 3, 0, 1, 2, 1, 1, 2, 3, 4, 5, 6, 0, 0, 1, 1, 2, 7, 8, 9, 10, 11, 12];
            for operation in 8 * program..8 * program + 8 {
                bytes.extend([3, operation as u8, 1, 1, 2, 1, 0, 3, 0, 1, (operation % 4) as u8, 0, 1, 0]);
            }
            bytes
        })
        .collect()
}
