//! Folders of one safetensors file or of several.

use kiln_nn::StateDict;
use kiln_nn::safetensors::{self, Shards};
use kiln_tensor::{DType, Device, Tensor};
use std::fs;
use std::path::{Path, PathBuf};

/// An empty folder of this name.
pub(crate) fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("kiln-shards-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/hub").join(name)
}

/// A copy of a fixture's folder, to be changed.
pub(crate) fn copy(name: &str, to: &str) -> PathBuf {
    let to = folder(to);
    for file in fs::read_dir(fixture(name)).unwrap().flatten() {
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
    to
}

pub(crate) fn refused(folder: &Path) -> String {
    let error = Shards::open(folder).unwrap_err().to_string();
    fs::remove_dir_all(folder).unwrap();
    error
}

#[test]
fn tensors_of_several_files_are_one_set() {
    let shards = Shards::open(fixture("llama-sharded")).unwrap();
    assert_eq!(shards.names().count(), 21);
    assert_eq!(shards.shape("lm_head.weight"), Some([67, 16].as_slice()));
    assert_eq!(shards.shape("lm_head"), None);
    for file in 1..=4 {
        let path = fixture("llama-sharded").join(format!("model-0000{file}-of-00004.safetensors"));
        for (name, expected) in safetensors::read(path, &Device::cpu()).unwrap() {
            let read = shards.read(&name, &Device::cpu()).unwrap();
            assert_eq!(read.dtype(), DType::BF16);
            assert_eq!(read.to_f64_vec().unwrap(), expected.to_f64_vec().unwrap(), "{name}");
        }
    }
}

#[test]
fn every_shard_that_is_missing_is_named() {
    let folder = copy("llama-sharded", "missing");
    fs::remove_file(folder.join("model-00002-of-00004.safetensors")).unwrap();
    fs::remove_file(folder.join("model-00004-of-00004.safetensors")).unwrap();
    let error = refused(&folder);
    let expected = "2 of the 4 shards that model.safetensors.index.json names are missing: \
                    model-00002-of-00004.safetensors, model-00004-of-00004.safetensors; download them again";
    assert!(error.contains(expected), "{error}");
}

#[test]
fn files_that_do_not_fit_are_refused() {
    let empty = folder("empty");
    assert!(refused(&empty).contains("there is neither model.safetensors nor model.safetensors.index.json"));
    assert!(Shards::open(&empty).unwrap_err().to_string().contains("this folder does not exist"));

    let pickled = folder("pickled");
    fs::write(pickled.join("pytorch_model.bin"), "PK").unwrap();
    assert!(refused(&pickled).contains("save_pretrained(folder)"));

    let index = |name: &str, text: &str| {
        let folder = copy("llama-sharded", name);
        fs::write(folder.join("model.safetensors.index.json"), text).unwrap();
        refused(&folder)
    };
    assert!(index("no-index", "[]").contains("not an index of shards with `weight_map`"));
    let error = index("outside", r#"{"weight_map": {"a": "../model.safetensors"}}"#);
    assert!(error.contains(r#""../model.safetensors" is no name of a file in the folder"#), "{error}");
    let error = index("promised", r#"{"weight_map": {"a": "model-00001-of-00004.safetensors"}}"#);
    assert!(error.contains("a is said to be in model-00001-of-00004.safetensors, which does not have it"), "{error}");

    let cut = copy("gpt2", "cut");
    let bytes = fs::read(cut.join("model.safetensors")).unwrap();
    fs::write(cut.join("model.safetensors"), &bytes[..bytes.len() - 1]).unwrap();
    assert!(refused(&cut).contains("not a complete safetensors file"));
}

#[test]
fn integers_are_no_weights() {
    let folder = folder("integers");
    let tensors = StateDict::from([("a".to_owned(), Tensor::zeros([2], DType::I64, &Device::cpu()).unwrap())]);
    safetensors::write(&tensors, folder.join("model.safetensors")).unwrap();
    let shards = Shards::open(&folder).unwrap();
    fs::remove_dir_all(&folder).unwrap();
    let error = shards.read_float("a", DType::F32, &Device::cpu()).unwrap_err().to_string();
    assert!(error.contains("a: floats are expected, got i64"), "{error}");
    assert!(shards.read("b", &Device::cpu()).unwrap_err().to_string().contains("there is no tensor b"));
}
