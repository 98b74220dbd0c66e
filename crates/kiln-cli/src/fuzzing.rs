//! For each kind of file that the command reads a function that reads one: what fuzzing calls.

use crate::drawing;
use crate::run_folder::{Run, curve};
use kiln::Result;
use kiln::datasets::{ImageOptions, Picture};
use kiln::tensor::Device;
use std::path::Path;

/// An image file's bytes as the models of digits and of photos see it; none where there is no figure in it.
pub fn image(bytes: &[u8]) -> Result<[Option<Vec<f32>>; 2]> {
    let image = Picture::decode(bytes)?;
    let photo = ImageOptions::new(32, 32).sample(&image, &Device::cpu()).and_then(|sample| sample.to_vec());
    Ok([image.to_digit().ok(), photo.ok()])
}

/// The PNG file of the curves of a run's folder.
pub fn curves(folder: &Path) -> Result<Vec<u8>> {
    drawing::curves(&[curve(folder, true)?])
}

/// The model of a run's folder.
pub fn model(folder: &Path, device: &Device) -> Result<kiln::nn::Sequential> {
    Ok(Run::open(folder, true, device)?.trained.model)
}
