//! Augmentation against Keras's ImageDataGenerator, parameters given: matrices, images, normalization.

use crate::fixture::{Fixture, distance};
use kiln_datasets::{Color, Dataset, Fill, ImageDataset, Samplewise, Transform};
use kiln_tensor::Device;

/// The fixture's transforms: theta, tx, ty, shear, zx, zy, flips.
fn transforms(fixture: &Fixture) -> Vec<Transform> {
    let of = |p: &[f64]| Transform {
        rotation: p[0],
        shift: [p[1], p[2]],
        shear: p[3],
        zoom: [p[4], p[5]],
        horizontal_flip: p[6] != 0.0,
        vertical_flip: p[7] != 0.0,
        ..Transform::default()
    };
    fixture.values["keras/parameters"].chunks(8).map(of).collect()
}

#[test]
fn the_maps_are_its_matrices() {
    let fixture = Fixture::read();
    for (i, transform) in transforms(&fixture).into_iter().enumerate() {
        // Its flips come after.
        let map = Transform { horizontal_flip: false, vertical_flip: false, ..transform }.map(16, 16);
        let [[a, b, c], [d, e, f]] = [map.x, map.y];
        for (found, expected) in [e, d, f, b, a, c].into_iter().zip(&fixture.values[&format!("keras/matrix/{i}")]) {
            assert!((found - expected).abs() < 1e-12, "{i}: {map:?}, expected {expected}");
        }
    }
}

#[test]
fn the_images_are_its_images_whatever_lies_beyond_the_edges() {
    let fixture = Fixture::read();
    let transforms = transforms(&fixture);
    for (mode, fill) in [
        ("nearest", Fill::Nearest),
        ("constant", Fill::Constant(33.0)),
        ("reflect", Fill::Reflect),
        ("wrap", Fill::Wrap),
    ] {
        for (i, transform) in transforms.iter().enumerate() {
            let found = transform.apply(fixture.planes(), fill).unwrap();
            let off = distance(&found, &fixture.values[&format!("keras/{mode}/{i}")]);
            // Coordinates of 24 bits, up to 255 from a pixel to the next.
            assert!(off < 2e-3, "{mode} {i}: off by {off}");
        }
    }
}

#[test]
fn colors() {
    let fixture = Fixture::read();
    let color = |color| {
        Transform { colors: vec![color], ..Transform::default() }.apply(fixture.planes(), Fill::Nearest).unwrap()
    };
    let mut seen = 0;
    for (intensity, expected) in fixture.under("keras/channel_shift/") {
        assert!(distance(&color(Color::Shift(intensity.parse().unwrap())), expected) < 1e-4, "{intensity}");
        seen += 1;
    }
    for (factor, expected) in fixture.under("keras/brightness/") {
        // Keras rounds down to whole bytes.
        let found =
            color(Color::Brightness(factor.parse().unwrap())).iter().map(|x| (x + 1e-3).floor()).collect::<Vec<_>>();
        assert_eq!(distance(&found, expected), 0.0, "{factor}");
        seen += 1;
    }
    assert_eq!(seen, 5);
}

#[test]
fn normalization() {
    let fixture = Fixture::read();
    let images = ImageDataset::new(fixture.many.clone(), vec![0; 5], &[3, 16, 16], 1).unwrap();
    let statistics = images.channel_statistics();
    let std: Vec<f64> = statistics.std.iter().map(|std| std + 1e-6).collect(); // as Keras divides
    let images = || images.clone();
    for (name, data) in [
        ("featurewise_center", images().normalized_channels(&statistics.mean, &[1.0; 3]).unwrap()),
        ("featurewise", images().normalized_channels(&statistics.mean, &std).unwrap()),
        ("samplewise_center", images().standardized(Samplewise::Center)),
        ("samplewise", images().standardized(Samplewise::Standardize)),
    ] {
        let batch = data.batch(&[0, 1, 2, 3, 4], &[], &Device::cpu()).unwrap();
        let off = distance(&batch.inputs.to_vec::<f32>().unwrap(), &fixture.values[&format!("keras/{name}")]);
        // Keras sums in f32 and is itself 1.3e-5 from what f64 gives.
        assert!(off < 2e-5, "{name}: off by {off}");
    }
}

#[test]
fn a_channel_of_one_value_has_no_deviation() {
    // 77/255 squared is not the mean of its squares once both are rounded.
    let pixels: Vec<u8> = (0..2 * 3 * 25).map(|i| [77, 3, 255][i / 25 % 3]).collect();
    let images = ImageDataset::new(pixels, vec![0; 2], &[3, 5, 5], 1).unwrap();
    let statistics = images.channel_statistics();
    assert_eq!(statistics.std, [0.0; 3]);
    assert_eq!(statistics.mean, [77.0 / 255.0, 3.0 / 255.0, 1.0]);
}
