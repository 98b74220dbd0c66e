//! The tensors of a folder: one file, or the shards that an index names.

use super::format::{incomplete, tensor_of};
use super::of_file;
use ::safetensors::tensor::{Metadata, SafeTensors, TensorInfo, TensorView};
use kiln_store::Mapped;
use kiln_tensor::{DType, Device, Error, ErrorKind, Result, Shape, Tensor};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The file of a model that is not split.
const SINGLE: &str = "model.safetensors";
/// The file that says in which shard each tensor is.
const INDEX: &str = "model.safetensors.index.json";

/// The tensors of a folder as Hugging Face's hub has it: `model.safetensors`, or the shards (`model-00001-of-00003.safetensors`) that
/// `model.safetensors.index.json` names.
///
/// Files are mapped. A tensor takes memory when it is read, so that a large model can be read one tensor at a time.
///
/// ```
/// use kiln_nn::safetensors::Shards;
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/hub/llama-sharded"); // such as models/Llama-3.2-1B
/// let shards = Shards::open(folder)?;
/// for name in shards.names() {
///     println!("{name} {:?}", shards.shape(name));
/// }
/// let norm = shards.read("model.norm.weight", &kiln_tensor::Device::cpu())?;
/// assert_eq!(norm.dims(), [16]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Shards {
    folder: PathBuf,
    files: Vec<Shard>,
    /// The file of each tensor.
    tensors: BTreeMap<String, usize>,
}

/// One file, mapped.
#[derive(Debug)]
struct Shard {
    path: PathBuf,
    bytes: Mapped,
    metadata: Metadata,
    /// Where the tensors' bytes begin.
    data: usize,
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Shards {
    /// Opens the files of a folder.
    ///
    /// # Errors
    /// A folder with neither file; shards that are missing, all named; a shard that lacks a tensor that the index promises; files that
    /// cannot be read.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        let (single, index) = (folder.join(SINGLE), folder.join(INDEX));
        if single.is_file() {
            return Shards::of(folder, &[single]);
        }
        if !index.is_file() {
            return Err(nothing(folder));
        }
        let wrong = |why: String| Error::new(ErrorKind::Format, "load", format!("{}: {why}", index.display()));
        let text = fs::read_to_string(&index).map_err(|error| wrong(format!("cannot be read: {error}")))?;
        let Index { weight_map } = serde_json::from_str(&text)
            .map_err(|error| wrong(format!("not an index of shards with `weight_map`: {error}")))?;
        let names: BTreeSet<&str> = weight_map.values().map(String::as_str).collect();
        if let Some(name) = names.iter().find(|name| Path::new(name).file_name().is_none_or(|file| file != **name)) {
            return Err(wrong(format!("{name:?} is no name of a file in the folder")));
        }
        let missing: Vec<&str> = names.iter().copied().filter(|name| !folder.join(name).is_file()).collect();
        if !missing.is_empty() {
            let message = format!(
                "{} of the {} shards that {INDEX} names are missing: {}; download them again into {}",
                missing.len(),
                names.len(),
                missing.join(", "),
                folder.display()
            );
            return Err(Error::new(ErrorKind::Io, "load", message));
        }
        if weight_map.is_empty() {
            return Err(wrong("`weight_map` names no tensor".to_owned()));
        }
        let mut shards = Shards::of(folder, &names.iter().map(|name| folder.join(name)).collect::<Vec<_>>())?;
        let place = |(tensor, shard): (&String, &String)| {
            let at = names.iter().position(|name| name == shard).unwrap_or(0);
            match shards.files[at].metadata.info(tensor) {
                Some(_) => Ok((tensor.clone(), at)),
                None => Err(wrong(format!("{tensor} is said to be in {shard}, which does not have it"))),
            }
        };
        shards.tensors = weight_map.iter().map(place).collect::<Result<_>>()?;
        Ok(shards)
    }

    fn of(folder: &Path, paths: &[PathBuf]) -> Result<Self> {
        let mut shards = Shards { folder: folder.to_owned(), files: Vec::new(), tensors: BTreeMap::new() };
        for (at, path) in paths.iter().enumerate() {
            let bytes = Mapped::open(path)?;
            let (header, metadata) =
                SafeTensors::read_metadata(&bytes).map_err(|error| of_file(path, incomplete(error)))?;
            // The header comes after its length, in 8 bytes.
            let data = header + 8;
            shards.tensors.extend(metadata.offset_keys().into_iter().map(|name| (name, at)));
            shards.files.push(Shard { path: path.clone(), bytes, metadata, data });
        }
        Ok(shards)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The names of all tensors, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The sizes of a tensor's axes; none where no tensor has this name.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.find(name).map(|(_, info)| info.shape.as_slice())
    }

    fn find(&self, name: &str) -> Option<(&Shard, &TensorInfo)> {
        let shard = &self.files[*self.tensors.get(name)?];
        Some((shard, shard.metadata.info(name)?))
    }

    /// Reads a tensor to a device, in the file's dtype.
    ///
    /// # Errors
    /// A name that no tensor has; a dtype, a rank or numbers that Kiln does not have.
    pub fn read(&self, name: &str, device: &Device) -> Result<Tensor> {
        let Some((shard, info)) = self.find(name) else {
            return Err(Error::value("load", format!("{}: there is no tensor {name}", self.folder.display())));
        };
        let (first, end) = info.data_offsets;
        // Within the file, as its header was checked against its length.
        let bytes = &shard.bytes[shard.data + first..shard.data + end];
        let view = TensorView::new(info.dtype, info.shape.clone(), bytes)
            .map_err(|error| of_file(&shard.path, incomplete(error)))?;
        let of_tensor =
            |why: &str| Error::new(ErrorKind::Unsupported, "load", format!("{}: {name}: {why}", shard.path.display()));
        let shape = Shape::new(&info.shape).map_err(|error| of_tensor(error.message()))?;
        tensor_of(&view, shape, device)?.map_err(|why| of_tensor(&why))
    }

    /// As [`Shards::read`], as a float of this type.
    ///
    /// # Errors
    /// As [`Shards::read`]; a tensor of integers.
    pub fn read_float(&self, name: &str, dtype: DType, device: &Device) -> Result<Tensor> {
        let tensor = self.read(name, device)?;
        if !tensor.dtype().is_float() {
            let message = format!("{}: {name}: floats are expected, got {}", self.folder.display(), tensor.dtype());
            return Err(Error::new(ErrorKind::DType, "load", message));
        }
        tensor.to_dtype(dtype)
    }
}

/// The error of a folder without weights in a format that is read.
fn nothing(folder: &Path) -> Error {
    let path = folder.display();
    let message = if !folder.is_dir() {
        format!("{path}: this folder does not exist")
    } else if folder.join("pytorch_model.bin").is_file() || folder.join("pytorch_model.bin.index.json").is_file() {
        format!(
            "{path}: the weights are in PyTorch's pickle format, which is not read; write them as {SINGLE} in Python: \
             AutoModel.from_pretrained(folder).save_pretrained(folder)"
        )
    } else {
        format!("{path}: there is neither {SINGLE} nor {INDEX}")
    };
    Error::new(ErrorKind::Io, "load", message)
}
