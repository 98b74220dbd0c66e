//! Image files as samples: decoded, resized, normalized and augmented where they are asked for.

mod cache;
mod dataset;
mod decode;
mod digit;
mod files;
mod fit;
mod format;
mod options;
mod picture;
mod resample;
mod scan;
mod summary;
mod table;

pub use dataset::ImageFileDataset;
pub use files::ImageFiles;
pub use fit::Fit;
pub use format::PictureFormat;
pub use options::{ColorMode, ImageOptions};
pub use picture::Picture;
pub use summary::{BrokenImage, ImageSummary};
