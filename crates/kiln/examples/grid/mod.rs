//! What the examples draw images with: a grid of gray in a PNG file.

use kiln::prelude::*;
use kiln::{Error, ErrorKind};
use std::fs::File;

/// Pixels on a side of the square that a pixel becomes.
const SQUARE: usize = 3;

/// Writes rows of images (n, height, width), with values from 0 to 1, one row below the other.
pub(crate) fn draw(path: &str, rows: &[Tensor]) -> Result<()> {
    let across = |row: &Tensor| row.permute(&[1, 0, 2])?.reshape([row.dims()[1], row.dims()[0] * row.dims()[2]]);
    let rows = rows.iter().map(across).collect::<Result<Vec<_>>>()?;
    let all = Tensor::concat(&rows.iter().collect::<Vec<_>>(), 0)?;
    let all = all.repeat_interleave(SQUARE, 0)?.repeat_interleave(SQUARE, 1)?;
    let bytes = all.to_f64_vec()?.into_iter().map(|value| (value * 255.0).round().clamp(0.0, 255.0) as u8);
    let file = File::create(path).map_err(|error| Error::new(ErrorKind::Io, "", format!("{path}: {error}")))?;
    let mut encoder = png::Encoder::new(file, all.dims()[1] as u32, all.dims()[0] as u32);
    encoder.set_color(png::ColorType::Grayscale);
    let written = encoder.write_header().and_then(|mut png| png.write_image_data(&bytes.collect::<Vec<_>>()));
    written.map_err(|error| Error::new(ErrorKind::Io, "", format!("{path}: {error}")))
}
