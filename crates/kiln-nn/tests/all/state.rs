//! State dicts and safetensors files: round trips, PyTorch's order of axes, and errors that change nothing.

use kiln_nn::*;
use kiln_tensor::{DType, Device, ErrorKind, Tensor};
use std::path::PathBuf;

fn network(units: usize, seed: u64) -> Sequential {
    Sequential::new()
        .push(Flatten::new())
        .push(
            Dense::new(units)
                .activation(Activation::Relu)
                .bias_initializer(Initializer::Normal { mean: 0.0, std: 1.0 }),
        )
        .push(Dense::new(3))
        .build([2, 2], &Device::cpu(), seed)
        .unwrap()
}

fn values(module: &dyn Module) -> Vec<(String, Vec<f64>)> {
    module.state_dict().into_iter().map(|(path, tensor)| (path, tensor.to_f64_vec().unwrap())).collect()
}

/// A folder of its own for each test, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("kiln-nn-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }
    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
    fn names(&self) -> Vec<String> {
        std::fs::read_dir(&self.0).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_state_dict_moves_a_model_into_another() {
    let (source, mut target) = (network(5, 1), network(5, 2));
    assert_ne!(values(&source), values(&target));
    let unmatched = target.load_state_dict(&source.state_dict(), true).unwrap();
    assert_eq!(unmatched, Unmatched::default());
    assert_eq!(values(&source), values(&target));
    let names: Vec<_> = source.state_dict().into_keys().collect();
    assert_eq!(names, ["1.bias", "1.weight", "2.bias", "2.weight"]);
}

#[test]
fn loading_converts_float_types_and_keeps_the_parameters_own() {
    let (mut source, mut target) = (network(5, 1), network(5, 2));
    let expected = values(&source);
    source.to_dtype(DType::F64).unwrap();
    target.load_state_dict(&source.state_dict(), true).unwrap();
    assert_eq!(values(&target), expected);
    assert!(target.parameters().iter().all(|(_, p)| p.value().dtype() == DType::F32));
}

#[test]
fn what_does_not_fit_is_listed_and_changes_nothing() {
    let mut model = network(5, 1);
    let before = values(&model);
    let mut state = network(5, 2).state_dict();
    let cpu = Device::cpu();
    state.remove("1.bias");
    state.insert("3.weight".into(), Tensor::zeros([1], DType::F32, &cpu).unwrap());
    state.insert("2.weight".into(), Tensor::zeros([4, 3], DType::F32, &cpu).unwrap());
    state.insert("2.bias".into(), Tensor::zeros([3], DType::I64, &cpu).unwrap());
    let error = model.load_state_dict(&state, true).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Shape);
    let text = error.to_string();
    for part in [
        "Missing (1): 1.bias.",
        "Unexpected (1): 3.weight.",
        "2.weight: expected f32 (3, 5), got f32 (4, 3)",
        "2.bias: expected f32 (3,), got i64 (3,)",
        "nothing was changed",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert_eq!(values(&model), before);

    // Without `strict`, what fits is loaded and the rest is told.
    let unmatched = model.load_state_dict(&state, false).unwrap();
    assert_eq!(unmatched.missing, ["1.bias".to_owned()]);
    assert_eq!(unmatched.unexpected, ["3.weight".to_owned()]);
    let skipped = ["2.weight: expected f32 (3, 5), got f32 (4, 3)", "2.bias: expected f32 (3,), got i64 (3,)"];
    assert_eq!(unmatched.skipped, skipped.map(String::from));
    assert_ne!(values(&model), before);
    assert_eq!(values(&model)[2..], before[2..]);
}

#[test]
fn foreign_tensors_in_a_file_are_skipped_and_told() {
    let folder = Folder::new("foreign");
    let path = folder.file("model.safetensors");
    let source = network(5, 1);
    let weight = source.state_dict()["1.weight"].to_vec::<f32>().unwrap();
    // As other programs write them: a head of another size, types that Kiln does not have, a rank that it does not have. The
    // header's length puts the numbers at an odd address.
    let header = concat!(
        r#"{"1.weight":{"dtype":"F32","shape":[5,4],"data_offsets":[0,80]},"#,
        r#""1.bias":{"dtype":"U64","shape":[1],"data_offsets":[80,88]},"#,
        r#""2.weight":{"dtype":"F32","shape":[1,5],"data_offsets":[88,108]},"#,
        r#""quantized":{"dtype":"F8_E5M2","shape":[4],"data_offsets":[108,112]},"#,
        r#""small":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[112,116]},"#,
        r#""deep":{"dtype":"F32","shape":[1,1,1,1,1,1,1],"data_offsets":[116,120]}}"#,
    );
    let header = format!("{header}{}", " ".repeat((1 + 8 - header.len() % 8) % 8));
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.bytes());
    bytes.extend(weight.iter().flat_map(|number| number.to_le_bytes()));
    bytes.extend([0xff; 8]);
    bytes.extend([0; 32]);
    std::fs::write(&path, bytes).unwrap();

    let mut model = network(5, 2);
    let unmatched = safetensors::load_matching(&mut model, &path, false).unwrap();
    assert_eq!(model.state_dict()["1.weight"].to_vec::<f32>().unwrap(), weight);
    assert_eq!(unmatched.missing, ["2.bias".to_owned()]);
    assert_eq!(unmatched.unexpected, Vec::<String>::new());
    let mut skipped = unmatched.skipped;
    skipped.sort();
    assert_eq!(skipped.len(), 5, "{skipped:?}");
    for (line, part) in skipped.iter().zip([
        "1.bias: element 0 of the dtype U64 is 18446744073709551615, which i64 does not hold",
        "2.weight: expected f32 (3, 5), got f32 (1, 5)",
        "deep: ",
        "quantized: Kiln does not have the dtype F8_E5M2",
        "small: Kiln does not have the dtype F8_E4M3",
    ]) {
        assert!(line.starts_with(part), "{line}");
    }
    let error = safetensors::load_matching(&mut model, &path, true).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
}

/// Integers of other programs: in the dtype that they have, or in the next one that holds all of them.
#[test]
fn integers_in_a_file() {
    let header = concat!(
        r#"{"a":{"dtype":"I32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"I16","shape":[2],"data_offsets":[8,12]},"#,
        r#""c":{"dtype":"U16","shape":[2],"data_offsets":[12,16]},"d":{"dtype":"U32","shape":[1],"data_offsets":[16,20]},"#,
        r#""e":{"dtype":"I8","shape":[4],"data_offsets":[20,24]},"f":{"dtype":"U64","shape":[1],"data_offsets":[24,32]}}"#,
    );
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.bytes());
    bytes.extend([0xfe, 0xff, 0xff, 0xff, 7, 0, 0, 0, 0xfe, 0xff, 3, 0, 0xfe, 0xff, 3, 0, 0xfe, 0xff, 0xff, 0xff]);
    bytes.extend([0x80, 0xff, 0, 0x7f, 1, 2, 0, 0, 0, 0, 0, 0]);
    let state = safetensors::decode(&bytes, &Device::cpu()).unwrap();
    assert_eq!(state["a"].to_vec::<i32>().unwrap(), [-2, 7]);
    assert_eq!(state["b"].to_vec::<i32>().unwrap(), [-2, 3]);
    assert_eq!(state["c"].to_vec::<i32>().unwrap(), [0xfffe, 3]);
    assert_eq!(state["d"].to_vec::<i64>().unwrap(), [0xffff_fffe]);
    assert_eq!(state["e"].to_vec::<i8>().unwrap(), [-128, -1, 0, 127]);
    assert_eq!(state["f"].to_vec::<i64>().unwrap(), [0x201]);
    // Written, each keeps its dtype.
    let again = safetensors::decode(&safetensors::encode(&state).unwrap(), &Device::cpu()).unwrap();
    for (name, tensor) in &state {
        assert_eq!((again[name].dtype(), again[name].to_string()), (tensor.dtype(), tensor.to_string()));
    }
}

#[test]
fn the_name_of_the_metadata_is_refused() {
    let mut state = network(5, 1).state_dict();
    state.insert("__metadata__".into(), Tensor::zeros([1], DType::F32, &Device::cpu()).unwrap());
    assert!(safetensors::encode(&state).unwrap_err().message().contains("cannot be named __metadata__"));
}

#[test]
fn placeholders_take_no_memory_until_values_are_loaded() {
    let cpu = Device::cpu();
    let architecture = network(5, 1).architecture();
    let mut init = Init::new(0, &cpu).placeholders();
    let mut model = Sequential::from_architecture_with(&architecture, &mut init).unwrap();
    model.load_state_dict(&network(5, 3).state_dict(), true).unwrap();
    assert_eq!(values(&model), values(&network(5, 3)));

    // Terabytes: told from the shapes alone.
    let text = architecture.to_string().replace("\"units\":5", "\"units\":1000000000000");
    let mut large = Sequential::from_architecture_with(&serde_json::from_str(&text).unwrap(), &mut init).unwrap();
    let error = large.load_state_dict(&network(5, 3).state_dict(), true).unwrap_err();
    assert!(error.message().contains("expected f32 (1000000000000, 4), got f32 (5, 4)"), "{error}");
}

#[test]
fn files_give_back_the_same_bits() {
    let folder = Folder::new("round-trip");
    let path = folder.file("model.safetensors");
    for dtype in [DType::F32, DType::F64, DType::F16, DType::BF16] {
        let (mut source, mut target) = (network(5, 1), network(5, 2));
        source.to_dtype(dtype).unwrap();
        target.to_dtype(dtype).unwrap();
        safetensors::save(&source, &path).unwrap();
        safetensors::load(&mut target, &path).unwrap();
        assert_eq!(values(&source), values(&target), "{dtype}");
        let first = std::fs::read(&path).unwrap();
        safetensors::save(&target, &path).unwrap();
        assert_eq!(first, std::fs::read(&path).unwrap(), "equal models give equal files");
    }
    assert_eq!(folder.names(), ["model.safetensors"], "no temporary file is left");
}

#[test]
fn weights_lie_in_files_as_in_pytorch() {
    let folder = Folder::new("order");
    let path = folder.file("model.safetensors");
    let model = network(5, 1);
    safetensors::save(&model, &path).unwrap();
    let file = safetensors::read(&path, &Device::cpu()).unwrap();
    assert_eq!(file["1.weight"].dims(), [5, 4], "(out, in)");
    let memory = model.state_dict();
    assert_eq!(file["1.weight"].to_vec::<f32>().unwrap(), memory["1.weight"].to_vec::<f32>().unwrap());
}

#[test]
fn every_dtype_survives_a_file() {
    let folder = Folder::new("dtypes");
    let path = folder.file("tensors.safetensors");
    let cpu = Device::cpu();
    let base = Tensor::from_slice(&[-1.5f32, 0.0, 2.0, f32::INFINITY, 1e-40, 7.0], [2, 3], &cpu).unwrap();
    let mut tensors = StateDict::new();
    for dtype in DType::ALL {
        tensors.insert(format!("a {dtype} \"name\""), base.to_dtype(dtype).unwrap());
    }
    tensors.insert("scalar".into(), Tensor::scalar(3.0f64, &cpu).unwrap());
    tensors.insert("empty".into(), Tensor::zeros([0, 4], DType::F32, &cpu).unwrap());
    safetensors::write(&tensors, &path).unwrap();
    let read = safetensors::read(&path, &cpu).unwrap();
    assert_eq!(read.len(), tensors.len());
    for (name, tensor) in &tensors {
        assert_eq!(read[name].dtype(), tensor.dtype());
        assert_eq!(read[name].shape(), tensor.shape());
        assert_eq!(read[name].to_f64_vec().unwrap(), tensor.to_f64_vec().unwrap(), "{name}");
    }
}

#[test]
fn broken_files_are_named_and_change_nothing() {
    let folder = Folder::new("broken");
    let (good, path) = (folder.file("good.safetensors"), folder.file("broken.safetensors"));
    let mut model = network(5, 1);
    let before = values(&model);
    safetensors::save(&network(5, 2), &good).unwrap();
    let bytes = std::fs::read(&good).unwrap();
    let flipped = {
        let mut b = bytes.clone();
        b[9] = b'#';
        b
    };
    for broken in [&[][..], &bytes[..7], &bytes[..20], &bytes[..bytes.len() - 1], &[0xff; 64], &flipped] {
        std::fs::write(&path, broken).unwrap();
        let error = safetensors::load(&mut model, &path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Format);
        assert!(error.to_string().contains("broken.safetensors"), "{error}");
    }
    let longer = [&bytes[..], &[0]].concat();
    std::fs::write(&path, longer).unwrap();
    assert!(safetensors::load(&mut model, &path).is_err());
    let error = safetensors::load(&mut model, folder.file("absent")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.to_string().contains("absent"), "{error}");

    // A file of another architecture says so, with its name.
    safetensors::save(&network(6, 2), &path).unwrap();
    let error = safetensors::load(&mut model, &path).unwrap_err();
    assert!(error.to_string().contains("broken.safetensors") && error.to_string().contains("1.weight"), "{error}");
    assert_eq!(values(&model), before);
}

#[test]
fn a_failed_save_leaves_the_old_file() {
    let folder = Folder::new("failed-save");
    // A folder stands where the file should go: the rename fails after everything was written.
    let path = folder.file("model.safetensors");
    std::fs::create_dir(&path).unwrap();
    std::fs::write(path.join("inside"), b"x").unwrap();
    let error = safetensors::save(&network(5, 1), &path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.to_string().contains("model.safetensors"), "{error}");
    assert_eq!(folder.names(), ["model.safetensors"], "the temporary file is gone");
    assert!(safetensors::save(&network(5, 1), folder.file("no/such/folder")).is_err());
}

#[test]
fn conversion_and_moving_keep_identities() {
    let mut model = network(5, 1);
    let ids: Vec<_> = model.parameters().iter().map(|(_, p)| p.id()).collect();
    model.to_dtype(DType::F64).unwrap();
    model.to_device(&Device::cpu()).unwrap();
    assert_eq!(ids, model.parameters().iter().map(|(_, p)| p.id()).collect::<Vec<_>>());
    assert!(model.parameters().iter().all(|(_, p)| p.value().dtype() == DType::F64));
}
