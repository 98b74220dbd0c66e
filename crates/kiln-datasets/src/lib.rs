#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod augment;
mod batch;
mod catalog;
mod cifar;
mod combine;
mod csv;
mod dataset;
#[cfg(feature = "embedded-mnist")]
mod embedded;
mod emnist;
mod fashion_mnist;
#[cfg(feature = "fetch")]
mod fetch;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod idx;
#[cfg(feature = "images")]
mod image_files;
mod image_form;
mod images;
mod inputs_as_targets;
mod kmnist;
mod labeled;
mod loader;
mod mnist;
mod normalize;
mod numpy;
mod rows;
mod sequences;
mod series;
mod split;
mod subset;
mod tables;
mod tensors;
mod text;
mod toys;
mod zip;

pub use augment::{
    AUGMENTATIONS, Affine, Augmentation, Color, ColorJitter, CropWindow, Erasing, Fill, Mix, Planes, Rectangle,
    ResizedCrop, Shift, Transform, Word, Zoom,
};
pub use batch::{Batch, Pass, Weights};
pub use catalog::{CATALOG, Content, Remote, Source, source};
pub use cifar::{Cifar10, Cifar100, Cifar100Labels};
pub use combine::{Cache, Concat, Map, MapSamples, Stream, Weighted, Zip};
pub use csv::{
    ColumnKind, ColumnSummary, Csv, CsvDataset, CsvOptions, CsvSummary, Encoding, Missing, Numbering, TableEncoder,
    TableOptions,
};
pub use dataset::Dataset;
pub use emnist::{Emnist, EmnistSplit};
pub use fashion_mnist::FashionMnist;
#[cfg(feature = "fetch")]
pub use fetch::{FetchEvent, fetch, fetch_source, fetch_url};
pub use idx::{Idx, read_idx};
#[cfg(feature = "images")]
pub use image_files::{
    BrokenImage, ColorMode, Fit, ImageFileDataset, ImageFiles, ImageOptions, ImageSummary, Picture, PictureFormat,
};
pub use images::ImageDataset;
pub use inputs_as_targets::InputsAsTargets;
pub use kmnist::Kmnist;
pub use loader::{Epoch, Loader};
pub use mnist::Mnist;
pub use normalize::{ChannelStatistics, Samplewise};
pub use numpy::{load_npy, load_npz, save_npy, save_npz, save_npz_compressed};
#[cfg(feature = "embedded-text")]
pub use sequences::ALICE;
pub use sequences::{
    AddingProblem, CopyTask, DigitStrings, Padded, SequenceDataset, TextStreams, TextWindows, pad_sequences,
    segment_offsets,
};
pub use series::{SeriesEncoder, SeriesOptions, SeriesWindows};
pub use subset::Subset;
pub use tables::{Table, breast_cancer, diabetes, digits, iris, wine};
pub use tensors::TensorDataset;
pub use text::{
    EncodedTexts, PairDataset, PairEncoder, TextEncoder, TextInputs, TextOptions, TokenFile, TokenWriter, Tokenizer,
    WordOptions, load_text,
};
pub use toys::{toy_reviews, toy_translations};
