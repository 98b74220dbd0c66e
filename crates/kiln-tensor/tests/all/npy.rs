//! .npy files: NumPy's own (tests/fixtures/npy), ours, and what is wrong.

use kiln_tensor::{DType, Device, ErrorKind, Result, Tensor};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/npy")
}

fn read(bytes: &[u8]) -> Result<Tensor> {
    Tensor::from_npy(bytes, &Device::cpu())
}

/// Element i of a fixture, in row-major order.
fn expected(name: &str, i: usize) -> f64 {
    match name {
        "bool" => (i % 2) as f64,
        _ if name.starts_with("int") => i as f64 - 3.0,
        "scalar" => 7.0,
        _ => i as f64,
    }
}

#[test]
fn every_array_of_numpy() -> Result<()> {
    let mut count = 0;
    for entry in fs::read_dir(folder()).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        let Some(name) = name.strip_suffix(".npy").filter(|name| !name.starts_with("refused")) else { continue };
        let x = read(&fs::read(entry.path()).unwrap()).unwrap_or_else(|e| panic!("{name}: {e}"));
        let dims: &[usize] = match name {
            "fortran" => &[2, 3, 4],
            "fortran-big" => &[3, 2],
            "scalar" => &[],
            "empty" => &[0, 3],
            "vector" => &[5],
            _ => &[2, 3],
        };
        assert_eq!(x.dims(), dims, "{name}");
        let dtype = match name.trim_end_matches("-big") {
            "bool" => DType::Bool,
            "float16" => DType::F16,
            "float64" | "fortran" if name != "fortran" => DType::F64,
            "uint8" => DType::U8,
            "int8" => DType::I8,
            "int16" | "int32" | "uint16" => DType::I32,
            integer if integer.contains("int") => DType::I64,
            _ => DType::F32,
        };
        assert_eq!(x.dtype(), dtype, "{name}");
        assert!(x.is_contiguous());
        let found = x.to_f64_vec()?;
        assert!(found.iter().enumerate().all(|(i, &f)| f == expected(name, i)), "{name}: {found:?}");
        count += 1;
    }
    assert!(count >= 28, "{count}");
    Ok(())
}

#[test]
fn what_is_not_read_is_named() {
    for (name, expected) in [
        ("object", "\"|O\", Python objects"),
        ("complex", "\"<c16\", complex numbers"),
        ("structured", "the array is structured"),
        ("text", "\"<U2\", text"),
        ("bytes", "\"|S2\", text"),
        ("dates", "\"<M8[D]\", dates or times"),
        ("untyped", "\"|V2\", bytes without a type, as NumPy saves bfloat16"),
        ("longdouble", "\"<f16\", floats of another size"),
        ("uint64", "holds 9223372036854775808, above the largest i64"),
    ] {
        let error = read(&fs::read(folder().join(format!("refused-{name}.npy"))).unwrap()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{name}");
        assert!(error.to_string().starts_with("from_npy: ") && error.message().contains(expected), "{name}: {error}");
    }
    let error = read(&fs::read(folder().join("refused-axes.npy")).unwrap()).unwrap_err();
    assert!(error.message().contains("7 axes, at most 6"), "{error}");
}

/// What is written is what NumPy writes, byte for byte, and comes back.
#[test]
fn there_and_back() -> Result<()> {
    for (name, dtype) in [
        ("bool", DType::Bool),
        ("float16", DType::F16),
        ("float32", DType::F32),
        ("float64", DType::F64),
        ("int64", DType::I64),
        ("int32", DType::I32),
        ("int8", DType::I8),
        ("uint8", DType::U8),
        ("scalar", DType::F32),
        ("empty", DType::F32),
        ("vector", DType::F32),
    ] {
        let file = fs::read(folder().join(format!("{name}.npy"))).unwrap();
        let x = read(&file)?;
        assert_eq!(x.dtype(), dtype);
        let mut written = Vec::new();
        x.to_npy(&mut written)?;
        assert_eq!(written, file, "{name}");
    }
    let x = Tensor::arange(200_000, &Device::cpu())?.to_dtype(DType::F64)?.reshape([400, 500])?;
    let (mut strided, mut several) = (Vec::new(), Vec::new());
    x.t()?.to_npy(&mut strided)?;
    assert_eq!(read(&strided)?.to_vec::<f64>()?, x.t()?.to_vec::<f64>()?);
    x.to_npy(&mut several)?;
    Tensor::scalar(3.0f32, &Device::cpu())?.to_npy(&mut several)?;
    let mut reader = &several[..];
    assert_eq!(Tensor::from_npy(&mut reader, &Device::cpu())?.dims(), [400, 500]);
    assert_eq!(Tensor::from_npy(&mut reader, &Device::cpu())?.item()?, 3.0);
    let error = x.to_dtype(DType::BF16)?.to_npy(io::sink()).unwrap_err();
    assert!(error.message().contains("NumPy has no type bf16: convert with"), "{error}");
    Ok(())
}

fn file(version: u8, header: &str, elements: &[u8]) -> Vec<u8> {
    let length = match version {
        1 => (header.len() as u16).to_le_bytes().to_vec(),
        _ => (header.len() as u32).to_le_bytes().to_vec(),
    };
    [b"\x93NUMPY", &[version, 0][..], &length, header.as_bytes(), elements].concat()
}

#[test]
fn headers_that_are_written_otherwise() -> Result<()> {
    for header in [
        "{\"shape\": (3,), \"fortran_order\": False, \"descr\": \"<u2\"}",
        "{'descr':'<u2','fortran_order':True,'shape':(3L,)}\n",
        "{ 'descr' : 'u2' , 'fortran_order' : False , 'shape' : ( 3 , ) , }   \n",
        "{'descr': '=u2', 'fortran_order': False, 'shape': (3), }",
    ] {
        for version in [1, 2, 3] {
            assert_eq!(read(&file(version, header, &[1, 0, 2, 0, 0, 1]))?.to_vec::<i32>()?, [1, 2, 256], "{header}");
        }
    }
    Ok(())
}

#[test]
fn damaged_files_are_one_sentence() {
    let good = file(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n", &[0; 24]);
    assert!(read(&good).is_ok());
    for length in 0..good.len() {
        let error = read(&good[..length]).unwrap_err();
        let message = error.message();
        assert_eq!(error.kind(), ErrorKind::Format);
        assert!(message.contains("ends within its header") || message.contains("cut short"), "{length}: {error}");
    }
    let lies = |header: &str| read(&file(1, header, &[0; 24])).unwrap_err();
    for (header, expected) in [
        (
            "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 4), }",
            "says (2, 4) of <f4, 32 bytes, but only 24 follow",
        ),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999,), }", "but only 24 follow"),
        (
            "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999, 99999999999), }",
            "more elements than memory",
        ),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999999,), }", "a dict of"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", "a dict of"),
        ("{'descr': '<f4', 'fortran_order': 0, 'shape': (6,), }", "a dict of"),
        ("{'descr': '<f4', 'shape': (6,), }", "a dict of"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (6,), 'more': 1}", "a dict of"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (6,)} x", "a dict of"),
        ("{'descr': '<f4", "a dict of"),
        ("", "a dict of"),
        ("{'descr': '<q7', 'fortran_order': False, 'shape': (6,), }", "\"<q7\", no type that is known"),
        ("{'descr': '', 'fortran_order': False, 'shape': (6,), }", "no type that is known"),
    ] {
        let error = lies(header);
        assert!(error.message().contains(expected), "{header}: {error}");
        assert!(!error.message().contains('\n'), "{error}");
    }
    assert!(read(&file(4, "", &[])).unwrap_err().message().contains("version 4"));
    let long = [b"\x93NUMPY", &[2, 0, 255, 255, 255, 255][..]].concat();
    assert!(read(&long).unwrap_err().message().contains("a header of 4294967295 bytes"));
    assert!(read(b"PK\x03\x04 no array").unwrap_err().message().contains("not a .npy file"));
}

/// A reader that fails is not a file that is cut short.
#[test]
fn a_reader_that_fails() {
    struct Fails;
    impl Read for Fails {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    let header = file(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (6,)}", &[0; 8]);
    let error = Tensor::from_npy(header.chain(Fails), &Device::cpu()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.message().contains("the disk is gone"), "{error}");
}
