//! What a convolutional network looks for and what it sees: its first filters, and the feature maps of an image.

use crate::arguments::PlotOptions;
use crate::drawing::{COLUMNS, Group, SIDE, Tile, tiles};
use crate::report::plain;
use crate::run_folder::Run;
use crate::settings::Setup;
use kiln::ErrorKind;
use kiln::nn::KeptOutputs;
use kiln::prelude::*;
use kiln::store::write_atomically;
use std::path::Path;

/// Layers whose feature maps are drawn, at most.
const LAYERS: usize = 6;

/// A convolution of images: its path, and its weight (filters, channels, rows, columns).
struct Convolution {
    path: String,
    weight: Tensor,
}

pub(crate) fn run(options: &PlotOptions, folder: &Path, out: &Path) -> Result<()> {
    let run = Run::open(folder, options.accept_changed, &Device::cpu())?;
    let convolutions = convolutions(&run.trained.model);
    let Some(first) = convolutions.first() else {
        let message =
            format!("{}: the model has no convolution whose filters could be drawn", run.description.display());
        return Err(Error::new(ErrorKind::Unsupported, "", message));
    };
    let [filters, channels, rows, columns] = *first.weight.dims() else { return Ok(()) };
    let of = match channels {
        1 => "blue below 0, red above".to_owned(),
        3 => "in the colors that they answer to".to_owned(),
        _ => format!("the mean over {channels} channels, blue below 0, red above"),
    };
    let heading = format!("layer {}: {filters} filters of {rows} × {columns}, {of}", first.path);
    let mut groups = vec![Group { heading, side: SIDE, tiles: filter_tiles(&first.weight)? }];
    let image = image_of(&run, options)?;
    if let Some(image) = &image {
        groups.extend(map_groups(&run.trained.model, &convolutions, image)?);
    } else {
        eprintln!("feature maps need an image: name one with --image FILE, or the folder of the data with --data DIR");
    }
    write_atomically(out, &tiles(&groups)?)?;
    let maps = if image.is_some() { " and feature maps" } else { "" };
    plain(&format!("{filters} filters of layer {}{maps} drawn to {}", first.path, out.display()));
    Ok(())
}

/// The convolutions of images, in order.
fn convolutions(model: &Sequential) -> Vec<Convolution> {
    let named = model.parameters().into_iter().filter(|(_, parameter)| parameter.value().rank() == 4);
    let convolution = |(path, parameter): (String, &Param)| {
        let path = path.strip_suffix(".weight")?.to_owned();
        Some(Convolution { path, weight: parameter.value().clone() })
    };
    named.filter_map(convolution).collect()
}

/// The image whose maps are drawn, a batch of one: that of the command line, or else the first of the test images.
fn image_of(run: &Run, options: &PlotOptions) -> Result<Option<Tensor>> {
    let cpu = Device::cpu();
    let input = run.trained.input.as_ref();
    if let Some(path) = &options.image {
        let Some(input) = input else {
            let message =
                format!("{}: it is not said how images become inputs of the model", run.description.display());
            return Err(Error::new(ErrorKind::Unsupported, "", message));
        };
        let image = input.images(&[path], &cpu)?;
        run.expect_input("images", &image.dims()[1..])?;
        return Ok(Some(image));
    }
    let Some(settings) = &run.settings else { return Ok(None) };
    let setup = Setup { data: options.data.as_deref(), device: &cpu, learned: Some(&run.trained) };
    // Where the data is not here, the filters are drawn all the same.
    let Ok(data) = settings.data(&setup) else { return Ok(None) };
    run.expect_input("the test images", data.test.input_shape())?;
    data.test.batch(&[0], &[], &cpu).map(|batch| Some(batch.inputs.into_first()))
}

/// The image, and of some convolutions, evenly spread, the first maps.
fn map_groups(model: &Sequential, convolutions: &[Convolution], image: &Tensor) -> Result<Vec<Group>> {
    let outputs = image.device().session(|| {
        let ctx = Ctx::eval().with_probe(KeptOutputs::default());
        ctx.run(model, image)?;
        Ok(ctx.probe::<KeptOutputs>().map_or_else(Vec::new, KeptOutputs::take))
    })?;
    let heading = "an image, and what the layers make of it".to_owned();
    let mut groups = vec![Group { heading, side: 2 * SIDE, tiles: image_tiles(image)? }];
    let shown = convolutions.len().min(LAYERS);
    for i in 0..shown {
        // From the first to the last.
        let path = &convolutions[if shown > 1 { i * (convolutions.len() - 1) / (shown - 1) } else { 0 }].path;
        let Some((_, maps)) = outputs.iter().find(|(of, maps)| of == path && maps.rank() == 4) else { continue };
        let [_, count, rows, columns] = *maps.dims() else { continue };
        let values = maps.to_vec::<f32>()?;
        let tiles = values.chunks_exact((rows * columns).max(1)).take(COLUMNS);
        let tiles = tiles.map(|map| shades(map, columns)).collect();
        let of = if count > COLUMNS { format!("{COLUMNS} of {count}") } else { count.to_string() };
        let heading = format!("layer {path}: {of} feature maps of {rows} × {columns}");
        groups.push(Group { heading, side: SIDE, tiles });
    }
    Ok(groups)
}

/// An image of gray or colors.
fn image_tiles(image: &Tensor) -> Result<Vec<Tile>> {
    let dims = image.dims();
    let &[.., height, width] = dims else { return Ok(Vec::new()) };
    let values = image.to_vec::<f32>()?;
    let size = height * width;
    let byte = |value: f32| (255.0 * value).round().clamp(0.0, 255.0) as u8;
    let pixel = |at: usize| match values.len() / size.max(1) {
        3 => [0, 1, 2].map(|channel| byte(values[channel * size + at])),
        _ => [byte(values[at]); 3],
    };
    Ok(vec![Tile { width, height, pixels: (0..size).map(pixel).collect() }])
}

/// Each map from its smallest value, black, to its largest, white; a map of one value is gray.
fn shades(map: &[f32], width: usize) -> Tile {
    let (low, high) = map.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &v| (low.min(v), high.max(v)));
    let shade = |&value: &f32| if high > low { (255.0 * (value - low) / (high - low)).round() as u8 } else { 128 };
    Tile { width, height: map.len() / width.max(1), pixels: map.iter().map(|value| [shade(value); 3]).collect() }
}

/// Filters of three channels as colors about gray, each by its own largest weight; others from blue over white to red, by the
/// largest of all.
fn filter_tiles(weight: &Tensor) -> Result<Vec<Tile>> {
    let &[_, channels, height, width] = weight.dims() else { return Ok(Vec::new()) };
    let values = weight.to_vec::<f32>()?;
    let size = height * width;
    let filters = values.chunks_exact((channels * size).max(1));
    let largest = |values: &[f32]| values.iter().fold(0f32, |most, value| most.max(value.abs())).max(f32::MIN_POSITIVE);
    if channels == 3 {
        let tile = |filter: &[f32]| {
            let most = largest(filter);
            let byte = |value: f32| (127.5 + 127.5 * value / most).round() as u8;
            let pixel = |at: usize| [0, 1, 2].map(|channel| byte(filter[channel * size + at]));
            Tile { width, height, pixels: (0..size).map(pixel).collect() }
        };
        return Ok(filters.map(tile).collect());
    }
    let mean = |filter: &[f32]| -> Vec<f32> {
        let at = |at: usize| (0..channels).map(|channel| filter[channel * size + at]).sum::<f32>() / channels as f32;
        (0..size).map(at).collect()
    };
    let means: Vec<Vec<f32>> = filters.map(mean).collect();
    let most = largest(&means.concat());
    let tile = |mean: Vec<f32>| Tile { width, height, pixels: mean.iter().map(|value| signed(value / most)).collect() };
    Ok(means.into_iter().map(tile).collect())
}

/// −1 blue, 0 white, 1 red.
fn signed(value: f32) -> [u8; 3] {
    let end = if value < 0.0 { [0.0, 90.0, 150.0] } else { [190.0, 60.0, 0.0] };
    end.map(|color| (255.0 + (color - 255.0) * value.abs().min(1.0)).round() as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colors_of_filters() {
        let cpu = Device::cpu();
        let weight = Tensor::from_slice(&[-2f32, 0.0, 1.0, 2.0], [2, 1, 1, 2], &cpu).unwrap();
        let tiles = filter_tiles(&weight).unwrap();
        assert_eq!(tiles[0].pixels, [[0, 90, 150], [255; 3]]);
        assert_eq!(tiles[1].pixels[1], [190, 60, 0]);
        let weight = Tensor::from_slice(&[0.5f32, 0.0, -0.5], [1, 3, 1, 1], &cpu).unwrap();
        assert_eq!(filter_tiles(&weight).unwrap()[0].pixels, [[255, 128, 0]]);
        // Two channels are averaged; nothing but zeros is white.
        let weight = Tensor::from_slice(&[1f32, -1.0], [1, 2, 1, 1], &cpu).unwrap();
        assert_eq!(filter_tiles(&weight).unwrap()[0].pixels, [[255; 3]]);
    }

    #[test]
    fn maps_reach_from_black_to_white() {
        let tile = shades(&[0.0, 1.0, 0.5, 0.25], 2);
        assert_eq!((tile.width, tile.height), (2, 2));
        assert_eq!(tile.pixels, [[0; 3], [255; 3], [128; 3], [64; 3]]);
        assert_eq!(shades(&[3.0, 3.0], 1).pixels, [[128; 3]; 2]);
    }
}
