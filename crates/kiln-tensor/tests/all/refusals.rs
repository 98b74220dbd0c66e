//! What operations that move, pick and put elements refuse, and the sentences that they say.

use kiln_tensor::{ConvOptions, DType, Device, ErrorKind, PadMode, ReduceOp, Result, Tensor, idx};

const MAX: usize = usize::MAX;

fn zeros<const N: usize>(shape: [usize; N]) -> Tensor {
    Tensor::zeros(shape, DType::F32, &Device::cpu()).unwrap()
}

fn index<const N: usize>(values: &[i64], shape: [usize; N]) -> Tensor {
    Tensor::from_slice(values, shape, &Device::cpu()).unwrap()
}

/// Each result is an error of this kind with this sentence.
#[track_caller]
fn refused<T, const N: usize>(kind: ErrorKind, cases: [(Result<T>, &str); N]) {
    for (result, sentence) in cases {
        let Err(error) = result else { panic!("no error, expected: {sentence}") };
        assert_eq!((error.to_string().as_str(), error.kind()), (sentence, kind));
    }
}

#[test]
fn moves() {
    let x = zeros([2, 3]);
    refused(
        ErrorKind::Shape,
        [
            (x.roll(1, 2), "roll: axis 2 is out of range for (2, 3), which has 2 axes"),
            (x.flip([0, -2]), "flip: axis 0 of (2, 3) is named twice"),
            (x.rot90(1, 0, -2), "rot90: axis 0 of (2, 3) twice: a plane has two axes"),
            (x.movedim([0, 0], [0, 1]), "movedim: axis 0 of (2, 3) is named twice"),
            (x.expand([3]), "expand: 1 sizes [3] for (2, 3): give one for each axis"),
            (x.expand([-1, 2, 3]), "expand: sizes [-1, 2, 3]: −1 keeps an axis of (2, 3), axis 0 is new"),
            (x.expand([2, -2]), "expand: sizes [2, -2] for (2, 3): a size is 0 or more, or −1 to keep an axis"),
            (x.expand([2, 4]), "expand: (2, 3) does not broadcast to (2, 4)"),
            (x.narrow(1, 2, 2), "narrow: 2 indices from 2 leave axis 1 of (2, 3), which has 3"),
        ],
    );
    refused(
        ErrorKind::Index,
        [
            (x.index(1, 3), "index: index 3 is out of range for axis 1 of (2, 3): it has −3 to 2"),
            (x.index(1, -4), "index: index -4 is out of range for axis 1 of (2, 3): it has −3 to 2"),
            (zeros([0]).index(0, 0), "index: index 0 is out of range for axis 0 of (0,): it has none"),
            (x.narrow(1, -4, 1), "narrow: index -4 is out of range for axis 1 of (2, 3): it has −3 to 2"),
        ],
    );
    refused(
        ErrorKind::Value,
        [
            (x.roll([1, 2], 0), "roll: 2 shifts for 1 axes: give one for each axis"),
            (x.movedim(0, [0, 1]), "movedim: 1 axes for 2 places: give a place for each axis"),
        ],
    );
}

#[test]
fn parts() {
    let x = zeros([2, 3]);
    refused(
        ErrorKind::Shape,
        [
            (
                x.split_sizes(1, &[1, 3]).map(|_| ()),
                "split_sizes: sizes [1, 3] must add up to 3, the size of axis 1 of (2, 3)",
            ),
            (
                x.split_sizes(1, &[MAX, 4]).map(|_| ()),
                "split_sizes: sizes [18446744073709551615, 4] must add up to 3, the size of axis 1 of (2, 3)",
            ),
            (x.unbind(2).map(|_| ()), "unbind: axis 2 is out of range for (2, 3), which has 2 axes"),
        ],
    );
    refused(
        ErrorKind::Value,
        [
            (x.split(0, 0).map(|_| ()), "split: the size of the pieces must be above 0"),
            (x.chunk(0, 0).map(|_| ()), "chunk: the number of pieces must be above 0"),
        ],
    );
    refused(
        ErrorKind::Shape,
        [
            (x.diagonal(0, 1, -1), "diagonal: axis 1 of (2, 3) is named twice"),
            (
                zeros([1, 1, 1]).diag(0),
                "diag: (1, 1, 1) is neither a vector nor a matrix; use `diagonal` or `diag_embed` for others",
            ),
            (zeros([]).diag_embed(0, 0, 1), "diag_embed: a scalar has no axis to lie along a diagonal; `unsqueeze` it"),
            (x.diag_embed(0, 0, 0), "diag_embed: axis 0 of (2, 3, 3) is named twice"),
            (
                x.diag_embed(isize::MAX, 0, 1),
                "diag_embed: [2, 9223372036854775810] has more elements than memory can hold",
            ),
            (zeros([3]).trace(), "trace: (3,) is not a matrix; sum its `diagonal`"),
            (zeros([3]).tril(0), "tril: (3,) has no matrices: two axes are needed"),
            (zeros([3]).triu(0), "triu: (3,) has no matrices: two axes are needed"),
            (
                x.unfold(1, 4, 1),
                "unfold: windows of 4 elements, 1 apart, at every 1 do not fit axis 1 of (2, 3): they need 4 elements and steps \
                 above 0",
            ),
            (
                x.unfold(1, 2, 0),
                "unfold: windows of 2 elements, 1 apart, at every 0 do not fit axis 1 of (2, 3): they need 2 elements and steps \
                 above 0",
            ),
            (
                x.im2col(2, &ConvOptions::new()),
                "im2col: images (N, C, …) of one or two spatial axes are expected, got (2, 3)",
            ),
            (
                x.col2im([4, 4], 2, &ConvOptions::new()),
                "col2im: columns (N, C·K, L) and sizes of one or two axes are expected, got (2, 3) and 4×4",
            ),
            (
                zeros([1, 4, 8]).col2im([4, 4], [2, 2], &ConvOptions::new()),
                "col2im: (1, 4, 8) are not the columns of images (1, 1, 4, 4), which are (1, 4, 9) for this kernel",
            ),
        ],
    );
}

#[test]
fn growth_and_new_tensors() {
    let (x, cpu) = (zeros([2, 3]), Device::cpu());
    refused(
        ErrorKind::Shape,
        [
            (
                x.slice(1, 0..1).unwrap().tile([MAX, 2]),
                "tile: [18446744073709551615, 2] has more elements than memory can hold",
            ),
            (
                x.repeat_interleave(MAX, 0),
                "repeat_interleave: [18446744073709551615, 3] has more elements than memory can hold",
            ),
            (x.repeat_each(&[1], 0), "repeat_each: 1 counts for axis 0 of (2, 3): give one for each index"),
            (
                x.repeat_each(&[MAX, MAX], 0),
                "repeat_each: [18446744073709551615, 3] has more elements than memory can hold",
            ),
            (x.pad_with(&[(1, 1); 3], PadMode::Reflect), "pad_with: 3 axes are to be padded, (2, 3) has 2"),
            (
                x.pad_with(&[(3, 0)], PadMode::Reflect),
                "pad_with: (3, 0) elements by Reflect are more than axis 1 of (2, 3) can give",
            ),
            (
                x.pad_with(&[(0, 4)], PadMode::Circular),
                "pad_with: (0, 4) elements by Circular are more than axis 1 of (2, 3) can give",
            ),
            (
                zeros([0]).pad_with(&[(0, 1)], PadMode::Replicate),
                "pad_with: (0, 1) elements by Replicate are more than axis 0 of (0,) can give",
            ),
            (
                x.pad_with(&[(MAX, 1)], PadMode::Replicate),
                "pad_with: [2, 18446744073709551615] has more elements than memory can hold",
            ),
            (
                Tensor::meshgrid(&[&x]).map(|mut grid| grid.remove(0)),
                "meshgrid: vectors of one axis are expected, got (2, 3)",
            ),
            (Tensor::eye([1, 2, 3], DType::F32, &cpu), "eye: one size or two are expected, got (1, 2, 3)"),
        ],
    );
    refused(
        ErrorKind::Value,
        [
            (
                Tensor::arange_by(0.0, 1.0, 0.0, DType::F32, &cpu).map(|_| ()),
                "arange_by: from 0 to 1 by 0: finite numbers and a step towards the end are needed",
            ),
            (
                Tensor::arange_by(0.0, 1.0, -1.0, DType::F32, &cpu).map(|_| ()),
                "arange_by: from 0 to 1 by -1: finite numbers and a step towards the end are needed",
            ),
            (
                Tensor::linspace(0.0, f64::NAN, 3, DType::F32, &cpu).map(|_| ()),
                "linspace: from 0 to NaN: finite numbers are needed",
            ),
            (
                Tensor::logspace(0.0, 1.0, 3, f64::INFINITY, DType::F32, &cpu).map(|_| ()),
                "logspace: inf^0 to inf^1: finite numbers are needed",
            ),
        ],
    );
}

#[test]
#[allow(clippy::reversed_empty_ranges)] // which are refused
fn indices() {
    let x = zeros([2, 3]);
    refused(
        ErrorKind::Shape,
        [
            (x.get(idx![0, 0, 0]), "get: an index of 3 axes for (2, 3), which has 2"),
            (x.get(idx![..3]), "get: range ..3 by 1 does not fit axis 0 of (2, 3), which has 2 indices"),
            (x.get(idx![.., 2..1]), "get: range 2..1 by 1 does not fit axis 1 of (2, 3), which has 3 indices"),
            (x.get(idx![.., -4..]), "get: range -4.. by 1 does not fit axis 1 of (2, 3), which has 3 indices"),
            (x.get(idx![..;0]), "get: range .. by 0 does not fit axis 0 of (2, 3), which has 2 indices"),
            (
                x.get(idx![&x.eq(&x).unwrap().t().unwrap()]),
                "get: a mask (3, 2) for axes [2, 3] of (2, 3): they must be of one shape",
            ),
            (
                x.get(idx![&index(&[0, 1], [2]), &index(&[0, 1, 0], [3])]),
                "get: shapes (2,) and (3,) do not broadcast: axis 0 is 2 against 3; equal sizes or 1 are needed",
            ),
            (x.put(idx![.., 0], &zeros([3])), "put: a value (3,) does not broadcast to (2,), which the index names"),
            (x.get(idx![new, new, new, new, new]), "get: [1, 1, 1, 1, 1, 2, 3] has 7 axes, at most 6 are supported"),
        ],
    );
    refused(
        ErrorKind::Index,
        [
            (x.get(idx![2]), "get: index 2 is out of range for axis 0 of (2, 3): it has −2 to 1"),
            (x.get(idx![.., -4]), "get: index -4 is out of range for axis 1 of (2, 3): it has −3 to 2"),
            (x.get(idx![.., &index(&[0, 3], [2])]), "get: index 3 (number 1) is out of range for axis 1 of (2, 3)"),
        ],
    );
    refused(
        ErrorKind::DType,
        [
            (
                x.get(idx![&x]),
                "get: an index tensor is of integers, or bool for a mask, this one is f32: convert it with `to_dtype`",
            ),
            (
                x.put(idx![0], &Tensor::zeros([3], DType::F64, &Device::cpu()).unwrap()),
                "put: operands of dtypes f32 (2, 3) and f64 (1, 3): convert one with `to_dtype`",
            ),
        ],
    );
    refused(
        ErrorKind::Value,
        [(x.get(idx![..., ...]), "get: an index has one `...` at most: write `..` for single axes")],
    );
}

#[test]
fn picking_and_putting() {
    let x = zeros([2, 3]);
    let mask = |shape: &[usize]| Tensor::zeros(shape, DType::Bool, &Device::cpu()).unwrap();
    refused(
        ErrorKind::Shape,
        [
            (
                x.gather(0, &index(&[0], [1])),
                "gather: an index (1,) does not fit (2, 3) along axis 0: it needs as many axes, and is to be no larger along the \
                 others",
            ),
            (
                x.gather(0, &index(&[0; 4], [1, 4])),
                "gather: an index (1, 4) does not fit (2, 3) along axis 0: it needs as many axes, and is to be no larger along \
                 the others",
            ),
            (
                x.scatter_add(1, &index(&[0], [1, 1]), &zeros([1, 2])),
                "scatter_add: an index (1, 1) and a source (1, 2) must have one shape",
            ),
            (x.take_along(0, &index(&[0], [1])), "take_along: an index (1,) for (2, 3): it needs as many axes"),
            (
                x.index_copy(1, &index(&[0], [1]), &zeros([2, 2])),
                "index_copy: an index (1,) into axis 1 of (2, 3) needs a source of (2, 1), got (2, 2)",
            ),
            (
                x.index_add(1, &index(&[0], [1, 1]), &zeros([2, 1])),
                "index_add: an index of one axis is expected, got (1, 1)",
            ),
            (
                x.masked_select(&mask(&[2])),
                "masked_select: shapes (2, 3) and (2,) do not broadcast: axis 1 is 3 against 2; equal sizes or 1 are needed",
            ),
            (x.masked_scatter(&mask(&[2, 2, 3]), &x), "masked_scatter: a mask (2, 2, 3) does not broadcast to (2, 3)"),
            (
                x.masked_scatter(&mask(&[3]).logical_not().unwrap(), &zeros([5])),
                "masked_scatter: a source (5,) has 5 elements for 6 places",
            ),
        ],
    );
    refused(
        ErrorKind::Index,
        [
            (
                x.gather(1, &index(&[0, -1], [2, 1])),
                "gather: row 1 has index -1, expected 0 to 2: there are 3 to choose from",
            ),
            (
                x.scatter(1, &index(&[0, 3], [2, 1]), &zeros([2, 1])),
                "scatter: row 1 has index 3, expected 0 to 2: there are 3 to choose from",
            ),
            (x.take(&index(&[6], [1])), "take: row 0 has index 6, expected 0 to 5: there are 6 to choose from"),
        ],
    );
    let (truths, at) = (x.to_dtype(DType::Bool).unwrap(), index(&[0], [1, 1]));
    let first = truths.get(idx![..1, ..1]).unwrap();
    refused(
        ErrorKind::DType,
        [
            (
                x.masked_select(&x),
                "masked_select: a mask is bool, this one is f32: compare it, or convert it with `to_dtype`",
            ),
            (x.masked_fill(&x, 1.0), "masked_fill: bool is expected, the tensor is f32: convert with `to_dtype`"),
            (
                truths.scatter_add(0, &at, &first),
                "scatter_add: dtype bool is not supported; it takes numbers: convert with `to_dtype`",
            ),
            (
                truths.scatter_reduce(0, &at, &first, ReduceOp::Mean, true),
                "scatter_reduce: dtype bool is not supported; it takes floats for a mean: convert with `to_dtype`",
            ),
            (
                x.gather(0, &x),
                "gather: dtype f32 is not supported; it takes an index of integers: convert with `to_dtype`",
            ),
        ],
    );
    let elsewhere = at.to_device(&Device::cpu_with(kiln_cpu::Isa::Portable)).unwrap();
    let refusals = [x.gather(0, &elsewhere), x.get(idx![&elsewhere]), x.index_select(0, &elsewhere)];
    for refusal in refusals {
        assert_eq!(refusal.unwrap_err().kind(), ErrorKind::Device);
    }
}
