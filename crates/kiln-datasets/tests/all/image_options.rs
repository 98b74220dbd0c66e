//! Pictures are resized as Pillow does it, and become samples.

use crate::fixture::values_of;
use crate::pictures::{RESULTS, fixture};
use kiln_datasets::{ColorMode, Fit, ImageOptions, Picture};
use kiln_tensor::Device;
use std::fs;

#[test]
fn pictures_are_resized_as_by_pillow_and_torchvision() {
    let values = values_of(RESULTS);
    let mut compared = 0;
    for (name, expected) in &values {
        let &[source, mode, fit, size] = &name.split('/').collect::<Vec<_>>()[..] else { continue };
        let pixels: Vec<u8> = values[&format!("source/{source}")].iter().map(|&x| x as u8).collect();
        let (height, width) = match source {
            "photo" => (47, 61),
            "dot" => (1, 1),
            "line" => (1, 1000),
            _ => (700, 1),
        };
        let picture = Picture::new(pixels, [height, width, 3]).unwrap();
        let (height, width) = size.split_once('x').unwrap();
        let fit = match fit {
            "crop" => Fit::Crop,
            "pad" => Fit::Pad,
            _ => Fit::Stretch,
        };
        let color = if mode == "L" { ColorMode::Gray } else { ColorMode::Rgb };
        let options = ImageOptions::new(height.parse().unwrap(), width.parse().unwrap()).color(color).fit(fit);
        let found = options.planes(&picture).unwrap();
        assert_eq!(found.len(), expected.len(), "{name}");
        let far = found.iter().zip(expected).map(|(&a, b)| (f64::from(a) - b).abs()).fold(0.0, f64::max);
        assert!(far <= 1.0, "{name}: {far}");
        compared += 1;
    }
    assert_eq!(compared, 55);
}

#[test]
fn options_read_samples_and_batches() {
    let cpu = Device::cpu();
    let paths = ["baseline.jpg", "gray16.png", "lossy.webp"].map(fixture);
    let options = ImageOptions::new(8, 10).fit(Fit::Pad);
    let batch = options.read_batch(&paths, &cpu).unwrap();
    assert_eq!(batch.dims(), [3, 3, 8, 10]);
    let mut one_by_one = Vec::new();
    for path in &paths {
        let sample = options.read(path, &cpu).unwrap();
        assert_eq!(sample.dims(), [3, 8, 10]);
        assert_eq!(
            options.decode(&fs::read(path).unwrap(), &cpu).unwrap().to_vec::<f32>().unwrap(),
            sample.to_vec::<f32>().unwrap()
        );
        one_by_one.extend(sample.to_vec::<f32>().unwrap());
    }
    assert_eq!(batch.to_vec::<f32>().unwrap(), one_by_one);
    assert!(one_by_one.iter().all(|x| (0.0..=1.0).contains(x)));
    // Padded above and below: 24 × 16 fits as 10 × 7.
    assert!(one_by_one[..10].iter().any(|&x| x > 0.0) && one_by_one[70..80].iter().all(|&x| x == 0.0));

    let normalized = options.clone().normalized_channels(&[0.5, 0.25, 0.0], &[0.5, 0.5, 2.0]).unwrap();
    let expected: Vec<f32> = one_by_one
        .iter()
        .enumerate()
        .map(|(i, x)| match i / 80 % 3 {
            0 => (x - 0.5) / 0.5,
            1 => (x - 0.25) / 0.5,
            _ => x / 2.0,
        })
        .collect();
    let found = normalized.read_batch(&paths, &cpu).unwrap().to_vec::<f32>().unwrap();
    assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6));

    let broken = [fixture("baseline.jpg"), fixture("README"), fixture("nothing")];
    assert!(options.read_batch(&broken, &cpu).unwrap_err().message().contains("README: cannot be read"));
    assert!(
        ImageOptions::new(0, 4)
            .read(&paths[0], &cpu)
            .unwrap_err()
            .message()
            .contains("images of 0 × 4: at least 1 pixel")
    );
    assert!(
        options.clone().normalized_channels(&[0.5], &[0.5]).unwrap_err().message().contains("for each of 3 channels")
    );
}

#[test]
fn options_are_written_as_json() {
    let options = ImageOptions::new(28, 32)
        .color(ColorMode::Gray)
        .fit(Fit::Stretch)
        .normalized_channels(&[0.5], &[0.25])
        .unwrap();
    let json = serde_json::to_string(&options).unwrap();
    assert_eq!(json, r#"{"height":28,"width":32,"color":"gray","fit":"stretch","mean":[0.5],"std":[0.25]}"#);
    assert_eq!(serde_json::from_str::<ImageOptions>(&json).unwrap(), options);
    assert_eq!(serde_json::from_str::<ImageOptions>(r#"{"height":4,"width":4}"#).unwrap(), ImageOptions::new(4, 4));
    assert!(serde_json::from_str::<ImageOptions>(r#"{"height":4,"width":4,"hight":4}"#).is_err());
    // What was edited is checked where it is used.
    let wrong: ImageOptions = serde_json::from_str(r#"{"height":4,"width":4,"mean":[0.5],"std":[0.5]}"#).unwrap();
    let error = wrong.read(fixture("baseline.jpg"), &Device::cpu()).unwrap_err();
    assert!(error.message().contains("for each of 3 channels"), "{error}");
}
