//! Operations that move, pick and put elements, by the names of their fixtures.

use kiln_autograd::Var;
use kiln_tensor::{ConvOptions, PadMode, ReduceOp, Result, Tensor, idx};

/// Which dtypes an operation is compared in.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Kind {
    /// Elements are only moved: all of them.
    Moves,
    /// Whole numbers are added up: floats and i64.
    Sums,
    /// f64 alone.
    Smooth,
    /// f64 alone, and no differences: a step would change which elements are equal or 0.
    Kinks,
}
use Kind::{Kinks, Moves, Smooth, Sums};

pub(crate) type Case = (&'static str, Kind, fn(&[Var], &[Tensor]) -> Result<Var>);

fn window() -> ConvOptions {
    ConvOptions::new().stride([2, 1]).padding([1, 0]).dilation([1, 2])
}

fn reduced(v: &[Var], i: &[Tensor], reduce: ReduceOp, own: bool) -> Result<Var> {
    v[0].scatter_reduce(1, &i[0], &v[1], reduce, own)
}

pub(crate) const CASES: &[Case] = &[
    ("roll", Moves, |v, _| v[0].roll(2, 1)),
    ("roll/back", Moves, |v, _| v[0].roll(-5, 0)),
    ("roll/several", Moves, |v, _| v[0].roll([1, -2], [0, 2])),
    ("flip", Moves, |v, _| v[0].flip([0, 2])),
    ("rot90/1", Moves, |v, _| v[0].rot90(1, 0, 2)),
    ("rot90/2", Moves, |v, _| v[0].rot90(2, 0, -1)),
    ("rot90/3", Moves, |v, _| v[0].rot90(3, 0, 2)),
    ("rot90/-1", Moves, |v, _| v[0].rot90(-1, 0, 2)),
    ("movedim", Moves, |v, _| v[0].movedim(-1, 1)),
    ("movedim/several", Moves, |v, _| v[0].movedim([0, 1], [-1, 0])),
    ("expand", Moves, |v, _| v[0].expand([2, -1, 4])),
    ("index", Moves, |v, _| v[0].index(1, -1)),
    ("narrow", Moves, |v, _| v[0].narrow(2, -3, 2)),
    ("split", Moves, |v, _| Ok(v[0].split(1, 3)?.remove(2))),
    ("split_sizes", Moves, |v, _| Ok(v[0].split_sizes(-1, &[1, 4, 2])?.remove(1))),
    ("chunk", Moves, |v, _| Ok(v[0].chunk(1, 3)?.remove(2))),
    ("unbind", Moves, |v, _| Ok(v[0].unbind(1)?.remove(2))),
    ("diagonal/0", Moves, |v, _| v[0].diagonal(0, 0, 2)),
    ("diagonal/1", Moves, |v, _| v[0].diagonal(1, 0, 2)),
    ("diagonal/-2", Moves, |v, _| v[0].diagonal(-2, 0, -1)),
    ("diagonal/4", Moves, |v, _| v[0].diagonal(4, 0, 2)),
    ("diag_embed/0", Moves, |v, _| v[0].diag_embed(0, 0, -1)),
    ("diag_embed/1", Moves, |v, _| v[0].diag_embed(1, 0, -1)),
    ("diag_embed/-2", Moves, |v, _| v[0].diag_embed(-2, 0, 2)),
    ("diag_embed/4", Moves, |v, _| v[0].diag_embed(4, 0, -1)),
    ("tril/0", Moves, |v, _| v[0].tril(0)),
    ("tril/1", Moves, |v, _| v[0].tril(1)),
    ("tril/-2", Moves, |v, _| v[0].tril(-2)),
    ("tril/4", Moves, |v, _| v[0].tril(4)),
    ("triu/0", Moves, |v, _| v[0].triu(0)),
    ("triu/1", Moves, |v, _| v[0].triu(1)),
    ("triu/-2", Moves, |v, _| v[0].triu(-2)),
    ("triu/4", Moves, |v, _| v[0].triu(4)),
    ("diag/vector", Moves, |v, _| v[0].diag(-1)),
    ("diag/matrix", Moves, |v, _| v[0].diag(1)),
    ("trace", Sums, |v, _| v[0].trace()),
    ("unfold", Moves, |v, _| v[0].unfold(1, 3, 2)),
    ("unfold/apart", Moves, |v, _| v[0].unfold(0, 2, 3)),
    ("im2col", Moves, |v, _| v[0].im2col([2, 3], &window())),
    ("col2im", Sums, |v, _| v[0].col2im([4, 6], [2, 3], &window())),
    ("tile", Moves, |v, _| v[0].tile(2)),
    ("tile/more", Moves, |v, _| v[0].tile([2, 3, 2])),
    ("tile/many", Moves, |v, _| v[0].tile([2, 2, 2, 2])),
    ("repeat_interleave", Moves, |v, _| v[0].repeat_interleave(3, 1)),
    ("repeat_each", Moves, |v, _| v[0].repeat_each(&[2, 0, 3], -1)),
    ("pad/constant", Moves, |v, _| v[0].pad_with(&[(0, 1), (1, 2)], PadMode::Constant(7.0))),
    ("pad/reflect", Moves, |v, _| v[0].pad_with(&[(1, 2), (2, 1)], PadMode::Reflect)),
    ("pad/replicate", Moves, |v, _| v[0].pad_with(&[(1, 2), (2, 1)], PadMode::Replicate)),
    ("pad/circular", Moves, |v, _| v[0].pad_with(&[(1, 2), (2, 1)], PadMode::Circular)),
    ("meshgrid", Smooth, |v, _| {
        let grid = Var::meshgrid(&[&v[0], &v[1]])?;
        grid[0].mul(&grid[1])
    }),
    ("get/basic", Moves, |v, _| v[0].get(idx![1.., -1, ..;2])),
    ("get/backwards", Moves, |v, _| v[0].get(idx![.., new, ..;-2])),
    ("get/ellipsis", Moves, |v, _| v[0].get(idx![..., new, -2..])),
    ("get/rows", Moves, |v, i| v[0].get(idx![&i[0]])),
    ("get/together", Moves, |v, i| v[0].get(idx![&i[0], &i[1]])),
    ("get/apart", Moves, |v, i| v[0].get(idx![&i[0], .., &i[1]])),
    ("get/mixed", Moves, |v, i| v[0].get(idx![.., 1.., &i[0]])),
    ("get/mask", Moves, |v, i| v[0].get(idx![&i[0]])),
    ("get/mask of rows", Moves, |v, i| v[0].get(idx![.., &i[0]])),
    ("put/basic", Moves, |v, _| v[0].put(idx![1.., ..., ..;2], &v[1])),
    ("put/one", Moves, |v, _| v[0].put(idx![1, -1], &v[1])),
    ("put/rows", Moves, |v, i| v[0].put(idx![.., &i[0]], &v[1])),
    ("put/together", Moves, |v, i| v[0].put(idx![&i[0], .., &i[1]], &v[1])),
    ("put/mask", Moves, |v, i| v[0].put(idx![&i[0]], &v[1])),
    ("put_add", Sums, |v, i| v[0].put_add(idx![&i[0], &i[1]], &v[1])),
    ("put_add/basic", Sums, |v, _| v[0].put_add(idx![.., ..2], &v[1])),
    ("take", Moves, |v, i| v[0].take(&i[0])),
    ("gather/0", Moves, |v, i| v[0].gather(0, &i[0])),
    ("gather/1", Moves, |v, i| v[0].gather(1, &i[0])),
    ("gather/-1", Moves, |v, i| v[0].gather(-1, &i[0])),
    ("gather/middle", Moves, |v, i| v[0].gather(1, &i[0])),
    ("scatter_add/0", Sums, |v, i| v[0].scatter_add(0, &i[0], &v[1])),
    ("scatter_add/1", Sums, |v, i| v[0].scatter_add(1, &i[0], &v[1])),
    ("scatter_add/-1", Sums, |v, i| v[0].scatter_add(-1, &i[0], &v[1])),
    ("scatter_add/middle", Sums, |v, i| v[0].scatter_add(1, &i[0], &v[1])),
    ("take_along", Moves, |v, i| v[0].take_along(1, &i[0])),
    ("scatter", Moves, |v, i| v[0].scatter(1, &i[0], &v[1])),
    ("scatter_reduce/sum/true", Smooth, |v, i| reduced(v, i, ReduceOp::Sum, true)),
    ("scatter_reduce/sum/false", Smooth, |v, i| reduced(v, i, ReduceOp::Sum, false)),
    ("scatter_reduce/mean/true", Smooth, |v, i| reduced(v, i, ReduceOp::Mean, true)),
    ("scatter_reduce/mean/false", Smooth, |v, i| reduced(v, i, ReduceOp::Mean, false)),
    ("scatter_reduce/prod/true", Smooth, |v, i| reduced(v, i, ReduceOp::Prod, true)),
    ("scatter_reduce/prod/false", Smooth, |v, i| reduced(v, i, ReduceOp::Prod, false)),
    ("scatter_reduce/max/true", Smooth, |v, i| reduced(v, i, ReduceOp::Max, true)),
    ("scatter_reduce/max/false", Smooth, |v, i| reduced(v, i, ReduceOp::Max, false)),
    ("scatter_reduce/min/true", Smooth, |v, i| reduced(v, i, ReduceOp::Min, true)),
    ("scatter_reduce/min/false", Smooth, |v, i| reduced(v, i, ReduceOp::Min, false)),
    ("scatter_reduce/prod/zeros", Kinks, |v, i| reduced(v, i, ReduceOp::Prod, true)),
    ("index_add", Sums, |v, i| v[0].index_add(1, &i[0], &v[1])),
    ("index_copy", Moves, |v, i| v[0].index_copy(1, &i[0], &v[1])),
    ("index_fill", Moves, |v, i| v[0].index_fill(1, &i[0], 7.0)),
    ("masked_fill", Moves, |v, i| v[0].masked_fill(&i[0], 7.0)),
    ("masked_select", Moves, |v, i| v[0].masked_select(&i[0])),
    ("masked_scatter", Moves, |v, i| v[0].masked_scatter(&i[0], &v[1])),
];
