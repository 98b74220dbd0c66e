//! .npy and .npz files: NumPy's own (tests/fixtures), ours, and what is wrong.

use crate::files::Folder;
use kiln_datasets::{Dataset, TensorDataset, load_npy, load_npz, save_npy, save_npz, save_npz_compressed};
use kiln_tensor::{DType, Device, Result, Tensor};
use std::path::{Path, PathBuf};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

#[test]
fn numpy_s_archives() -> Result<()> {
    for (name, columns) in [("stored.npz", 2), ("deflated.npz", 100)] {
        let arrays = load_npz(fixture(name), &Device::cpu())?;
        assert_eq!(arrays.keys().collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!((arrays["x"].dims(), arrays["x"].dtype()), (&[4, columns][..], DType::F32));
        assert_eq!(arrays["x"].slice(1, 0..2)?.to_vec::<f32>()?, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
        assert_eq!(arrays["y"].to_vec::<i64>()?, [0, 1, 1, 0]);
        let data = TensorDataset::from_npz(fixture(name), "x", "y", &Device::cpu())?;
        assert_eq!((data.len(), data.class_labels()?), (4, Some(vec![0, 1, 1, 0])));
    }
    let error = load_npz(fixture("object.npz"), &Device::cpu()).unwrap_err().to_string();
    assert!(error.contains("object.npz: y.npy: the array is of type \"|O\""), "{error}");
    // What is not asked for may be anything.
    assert_eq!(TensorDataset::from_npz(fixture("object.npz"), "x", "x", &Device::cpu())?.len(), 4);
    let error = TensorDataset::from_npz(fixture("stored.npz"), "x", "z", &Device::cpu()).unwrap_err().to_string();
    assert!(error.contains("stored.npz: no array is named \"z\""), "{error}");
    Ok(())
}

#[test]
fn there_and_back() -> Result<()> {
    let folder = Folder::new("numpy");
    let x = Tensor::arange(5000, &Device::cpu())?.reshape([50, 100])?;
    let y = x.t()?.to_dtype(DType::F32)?;
    save_npy(folder.0.join("y.npy"), &y)?;
    assert_eq!(load_npy(folder.0.join("y.npy"), &Device::cpu())?.to_vec::<f32>()?, y.to_vec::<f32>()?);
    save_npz(folder.0.join("stored.npz"), [("x", &x), ("y", &y)])?;
    save_npz_compressed(folder.0.join("deflated.npz"), [("x", &x), ("y", &y)])?;
    for name in ["stored.npz", "deflated.npz"] {
        let arrays = load_npz(folder.0.join(name), &Device::cpu())?;
        assert_eq!(arrays["x"].to_vec::<i64>()?, x.to_vec::<i64>()?);
        assert_eq!(arrays["y"].to_vec::<f32>()?, y.to_vec::<f32>()?);
    }
    let size = |name: &str| std::fs::metadata(folder.0.join(name)).unwrap().len();
    assert!(size("deflated.npz") * 2 < size("stored.npz"));
    // What cannot be written leaves what was there.
    let half = y.to_dtype(DType::BF16)?;
    let error = save_npz(folder.0.join("stored.npz"), [("x", &x), ("half", &half)]).unwrap_err().to_string();
    assert!(error.contains("stored.npz: half: NumPy has no type bf16"), "{error}");
    assert!(
        save_npz(folder.0.join("stored.npz"), [("x", &x), ("x", &y)]).unwrap_err().to_string().contains("two arrays")
    );
    assert_eq!(load_npz(folder.0.join("stored.npz"), &Device::cpu())?.len(), 2);
    Ok(())
}

#[test]
fn damaged_files_are_one_sentence() -> Result<()> {
    let folder = Folder::new("numpy");
    let x = Tensor::arange(10, &Device::cpu())?;
    save_npz(folder.0.join("x.npz"), [("x", &x)])?;
    let archive = std::fs::read(folder.0.join("x.npz")).unwrap();
    for length in 0..archive.len() {
        std::fs::write(folder.0.join("cut.npz"), &archive[..length]).unwrap();
        let error = load_npz(folder.0.join("cut.npz"), &Device::cpu()).unwrap_err().to_string();
        assert!(error.starts_with("load_npz: ") && error.contains("cut.npz: "), "{error}");
    }
    let mut damaged = archive.clone();
    damaged[200] ^= 1;
    std::fs::write(folder.0.join("damaged.npz"), damaged).unwrap();
    let error = load_npz(folder.0.join("damaged.npz"), &Device::cpu()).unwrap_err().to_string();
    assert!(error.contains("damaged.npz: x.npy: ") && error.contains("checksum"), "{error}");
    save_npy(folder.0.join("x.npy"), &x)?;
    let more = [std::fs::read(folder.0.join("x.npy")).unwrap(), vec![0]].concat();
    std::fs::write(folder.0.join("more.npy"), more).unwrap();
    for (name, expected) in [
        ("more.npy", "its header says (10,) of i64, but more bytes follow"),
        ("missing.npy", "missing.npy: "),
        ("", "this is a directory"),
        ("x.npz", "not a .npy file"),
    ] {
        let error = load_npy(folder.0.join(name), &Device::cpu()).unwrap_err().to_string();
        assert!(error.starts_with("load_npy: ") && error.contains(expected), "{error}");
    }
    Ok(())
}

/// Arrays of every type that NumPy has, which xtask/interop/npy.py reads with NumPy: element i is (i · 37 mod 101) − 20, saturated.
#[test]
#[ignore = "writes files that `cargo xtask interop` gives to NumPy"]
fn interop() -> Result<()> {
    let folder = PathBuf::from(std::env::var("KILN_INTEROP_DIR").expect("KILN_INTEROP_DIR names a folder"));
    let mut arrays = Vec::new();
    for shape in [&[][..], &[7], &[3, 5], &[2, 0, 3], &[2, 1, 2, 1, 2, 3]] {
        let count = shape.iter().product();
        let numbers: Vec<f64> = (0..count).map(|i: usize| (i * 37 % 101) as f64 - 20.0).collect();
        let x = Tensor::from_slice(&numbers, shape, &Device::cpu())?;
        for dtype in DType::ALL.into_iter().filter(|&dtype| dtype != DType::BF16) {
            arrays.push((format!("{dtype}-{}", shape.len()), x.to_dtype(dtype)?));
        }
    }
    for (name, array) in &arrays {
        save_npy(folder.join(format!("{name}.npy")), array)?;
    }
    save_npz(folder.join("stored.npz"), arrays.iter().map(|(name, array)| (name, array)))?;
    save_npz_compressed(folder.join("deflated.npz"), arrays.iter().map(|(name, array)| (name, array)))
}
