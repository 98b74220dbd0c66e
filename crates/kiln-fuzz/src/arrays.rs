//! NumPy's files, and the equations of `einsum`.

use crate::Target;
use crate::archives::zip;
use crate::scratch::Folder;
use crate::source::Source;
use kiln::datasets::{load_npz, save_npz_compressed};
use kiln::tensor::{DType, Device, Tensor};

/// The file itself.
pub(crate) const NPY: Target = Target {
    name: "npy",
    run: npy,
    seeds: npy_seeds,
    words: &[
        b"\x93NUMPY",
        b"'descr'",
        b"'fortran_order'",
        b"'shape'",
        b"True",
        b"False",
        b"<f4",
        b">i2",
        b"|b1",
        b"u8",
    ],
};
/// The first byte says whether the others are the archive, or an array in one that is whole.
pub(crate) const NPZ: Target =
    Target { name: "npz", run: npz, seeds: npz_seeds, words: &[b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06", b".npy"] };
/// Shapes and dtypes of the operands, then the equation.
pub(crate) const EINSUM: Target =
    Target { name: "einsum", run: einsum, seeds: einsum_seeds, words: &[b"->", b"...", b",", b"ij", b"ii"] };

/// What an array that was read promises: it is of no more elements than the file has bytes, and it can be written and read again.
fn check(array: &Tensor, length: usize) {
    assert!(array.elements() <= length, "{} elements of {length} bytes", array.elements());
    let mut file = Vec::new();
    array.to_npy(&mut file).expect("a type that NumPy has");
    let again = Tensor::from_npy(&file[..], &Device::cpu()).expect("a file that was written");
    let mut twice = Vec::new();
    again.to_npy(&mut twice).expect("a type that NumPy has");
    assert_eq!(file, twice);
}

fn npy(bytes: &[u8]) {
    if let Ok(array) = Tensor::from_npy(bytes, &Device::cpu()) {
        check(&array, bytes.len());
    }
}

fn file(header: &str, elements: &[u8]) -> Vec<u8> {
    [b"\x93NUMPY\x01\0", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), elements].concat()
}

fn npy_seeds() -> Vec<Vec<u8>> {
    let mut ours = Vec::new();
    let x = Tensor::arange(6, &Device::cpu()).and_then(|x| x.reshape([2, 3])).expect("a tensor");
    x.to_npy(&mut ours).expect("a type that NumPy has");
    let elements: Vec<u8> = (0..24).collect();
    vec![
        ours,
        file("{'descr': '>f4', 'fortran_order': True, 'shape': (3, 2), }\n", &elements),
        file("{'descr': '|b1', 'fortran_order': False, 'shape': (), }\n", &elements[..1]),
        file("{\"shape\": (4,), \"descr\": \"<u2\", \"fortran_order\": False}", &elements),
        file("{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999, 9)}", &elements),
    ]
}

fn npz(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let whole = source.flag();
    let folder = Folder::new();
    let rest = source.rest();
    let archive = if whole { zip(&[("x.npy", 0, rest)]) } else { rest.to_vec() };
    let path = folder.write("arrays.npz", &archive);
    let Ok(arrays) = load_npz(&path, &Device::cpu()) else { return };
    // What is compressed may be a thousand times as large.
    arrays.values().for_each(|array| check(array, archive.len().saturating_mul(1032)));
    save_npz_compressed(&path, &arrays).expect("arrays that were read");
    let again = load_npz(&path, &Device::cpu()).expect("a file that was written");
    assert!(again.keys().eq(arrays.keys()));
}

fn npz_seeds() -> Vec<Vec<u8>> {
    let arrays = npy_seeds();
    let archive = zip(&[("x.npy", 0, &arrays[0]), ("y.npy", 0, &arrays[1])]);
    vec![[&[0][..], &archive].concat(), [&[1][..], &arrays[0]].concat(), [&[1][..], &arrays[4]].concat()]
}

fn einsum(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let dtype = source.of(&[DType::F32, DType::F64, DType::BF16]);
    let operands: Vec<Tensor> = (0..source.below(5))
        .map(|_| {
            let shape: Vec<usize> = (0..source.below(5)).map(|_| source.below(4)).collect();
            Tensor::full(shape, 0.5, dtype, &Device::cpu()).expect("a small tensor")
        })
        .collect();
    let equation = String::from_utf8_lossy(source.rest()).into_owned();
    if let Ok(y) = Tensor::einsum(&equation, &operands.iter().collect::<Vec<_>>()) {
        assert_eq!(y.dtype(), dtype);
        assert_eq!(y.to_f64_vec().expect("numbers").len(), y.elements());
    }
}

fn einsum_seeds() -> Vec<Vec<u8>> {
    let of = |shapes: &[&[u8]], equation: &str| {
        let mut seed = vec![0, shapes.len() as u8];
        for shape in shapes {
            seed.push(shape.len() as u8);
            seed.extend(*shape);
        }
        [&seed[..], equation.as_bytes()].concat()
    };
    vec![
        of(&[&[2, 3], &[3, 2]], "ij,jk->ik"),
        of(&[&[2, 3, 3], &[2, 1, 3]], "...ij,...kj->...ik"),
        of(&[&[3, 3]], "ii"),
        of(&[&[2], &[3], &[2], &[3]], "i,j,i,j->"),
    ]
}
