//! Operations that move, pick and put elements: the CPU's values, without a download; those whose size depends on the values read
//! them once.

use kiln_cuda::Simulated;
use kiln_tensor::{ConvOptions, DType, Device, PadMode, ReduceOp, Result, ScatterOp, Tensor, idx};

/// Operands on a device.
struct Operands {
    x: Tensor,
    source: Tensor,
    /// Of (3, 4), one for each element along axis 1.
    index: Tensor,
    rows: Tensor,
    mask: Tensor,
}

impl Operands {
    fn on(device: &Device) -> Self {
        let numbers = |shift: usize| {
            let values: Vec<f32> = (0..12).map(|i| ((i * 7 + shift) % 12) as f32 - 4.0).collect();
            Tensor::from_slice(&values, [3, 4], device).unwrap()
        };
        let index = [0i64, 3, 3, 1, 2, 2, 2, 2, 1, 0, 3, 0];
        let mask: Vec<bool> = (0..12).map(|i| i % 5 < 2).collect();
        Operands {
            x: numbers(0),
            source: numbers(5),
            index: Tensor::from_slice(&index, [3, 4], device).unwrap(),
            rows: Tensor::from_slice(&[2i64, 0, 2], [3], device).unwrap(),
            mask: Tensor::from_slice(&mask, [3, 4], device).unwrap(),
        }
    }
}

type Operation = (&'static str, fn(&Operands) -> Result<Tensor>);

fn negative(rows: &Tensor) -> Result<Tensor> {
    rows.sub(&Tensor::scalar(3i64, rows.device())?)
}

const OPERATIONS: &[Operation] = &[
    ("roll", |o| o.x.roll([1, -1], [0, 1])),
    ("flip", |o| o.x.flip([0, 1])?.copied()),
    ("diagonal", |o| o.x.diagonal(-1, 0, 1)?.copied()),
    ("diag_embed", |o| o.x.diag_embed(1, -1, -2)),
    ("tril", |o| o.x.tril(-1)),
    ("triu", |o| o.x.triu(1)),
    ("unfold", |o| o.x.unfold(1, 2, 1)?.copied()),
    ("im2col", |o| o.x.reshape([1, 1, 3, 4])?.im2col(2, &ConvOptions::new().padding(1))),
    ("col2im", |o| o.x.reshape([1, 4, 3])?.col2im([2, 4], 2, &ConvOptions::new())),
    ("tile", |o| o.x.tile([2, 1, 3])),
    ("repeat_interleave", |o| o.x.repeat_interleave(2, 1)),
    ("pad_with", |o| o.x.pad_with(&[(1, 2), (2, 3)], PadMode::Reflect)),
    ("eye", |o| Tensor::eye([2, 3], DType::F32, o.x.device())),
    ("linspace", |o| Tensor::linspace(0.0, 1.0, 5, DType::F32, o.x.device())),
    ("get", |o| o.x.get(idx![1.., ..;-2])?.copied()),
    ("get rows", |o| o.x.get(idx![&negative(&o.rows)?, new, ..])),
    ("get elements", |o| o.x.get(idx![&o.rows, &negative(&o.rows)?])),
    ("put", |o| o.x.put(idx![.., &o.rows], &Tensor::scalar(9.0f32, o.x.device())?)),
    ("put_add", |o| o.x.put_add(idx![&o.rows, &o.rows], &Tensor::scalar(9.0f32, o.x.device())?)),
    ("take", |o| o.x.take(&o.index)),
    ("gather", |o| o.x.gather(1, &o.index)),
    ("take_along", |o| o.x.take_along(0, &o.rows.reshape([3, 1])?)),
    ("scatter", |o| o.x.scatter(1, &o.index, &o.source)),
    ("scatter_add", |o| o.x.scatter_add(1, &o.index, &o.source)),
    ("scatter_add of halves", |o| {
        let half = |x: &Tensor| x.to_dtype(DType::BF16);
        half(&o.x)?.scatter_add(1, &o.index, &half(&o.source)?)?.to_dtype(DType::F32)
    }),
    ("scatter_reduce", |o| o.x.scatter_reduce(1, &o.index, &o.source, ReduceOp::Max, false)),
    ("scatter_reduce to means", |o| o.x.scatter_reduce(1, &o.index, &o.source, ReduceOp::Mean, true)),
    ("scatter_assign to a part", |o| {
        let mut x = o.x.copied()?;
        let part = |x: &Tensor| x.slice(0, 0..2);
        x.scatter_assign(ScatterOp::Mul, 1, &part(&o.index)?, &part(&o.source)?)?;
        Ok(x)
    }),
    ("index_add", |o| o.x.index_add(0, &o.rows, &o.source)),
    ("index_copy", |o| o.x.index_copy(0, &o.rows, &o.source)),
    ("index_fill", |o| o.x.index_fill(1, &o.rows, 7.0)),
    ("masked_fill", |o| o.x.masked_fill(&o.mask, 7.0)),
];

/// These read a mask.
const READING: &[Operation] = &[
    ("masked_select", |o| o.x.masked_select(&o.mask)),
    ("masked_scatter", |o| o.x.masked_scatter(&o.mask, &o.source)),
    ("get where", |o| o.x.get(idx![&o.mask])),
    ("nonzero", |o| o.mask.nonzero()?.to_dtype(DType::F32)),
];

fn check(operations: &[Operation], downloads: u64) {
    let gpu = Simulated::new();
    let (there, here) = (Operands::on(&gpu.device()), Operands::on(&Device::cpu()));
    for (name, operation) in operations {
        let before = gpu.downloads();
        let found = operation(&there).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(gpu.downloads() - before, downloads, "downloads of {name}");
        let expected = operation(&here).unwrap();
        assert_eq!(found.shape(), expected.shape(), "{name}");
        assert_eq!(found.to_vec::<f32>().unwrap(), expected.to_vec::<f32>().unwrap(), "{name}");
    }
}

#[test]
fn nothing_is_downloaded() {
    check(OPERATIONS, 0);
}

#[test]
fn masks_are_read_once() {
    check(READING, 1);
}

#[test]
fn indices_out_of_range_are_faults() {
    for at in [-1i64, 4] {
        let gpu = Simulated::new();
        let o = Operands::on(&gpu.device());
        let index = Tensor::from_slice(&[at], [1, 1], &gpu.device()).unwrap();
        let error = o.x.gather(1, &index).and_then(|y| y.to_vec::<f32>()).unwrap_err();
        assert!(error.to_string().contains("an index is outside of its axis"), "{error}");
    }
    // As one number, the pair would be within the two axes.
    let gpu = Simulated::new();
    let o = Operands::on(&gpu.device());
    let index = |at: i64| Tensor::from_slice(&[at], [1], &gpu.device()).unwrap();
    assert!(o.x.get(idx![&index(0), &index(5)]).and_then(|y| y.to_vec::<f32>()).is_err());
}
