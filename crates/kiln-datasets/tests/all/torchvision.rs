//! Augmentation against torchvision, parameters given: crops, colors, mixed batches.

use crate::fixture::{Fixture, distance};
use kiln_datasets::{Color, CropWindow, Fill, Rectangle, Transform};

fn apply(fixture: &Fixture, transform: Transform, fill: Fill) -> Vec<f32> {
    transform.apply(fixture.planes(), fill).unwrap()
}

#[test]
fn crops_with_padding() {
    let fixture = Fixture::read();
    // From row 7 and column 1 of the image with 4 pixels around it.
    let window = Some(CropWindow { left: -3.0, top: 3.0, width: 16.0, height: 16.0 });
    for (name, fill) in [("black", Fill::Constant(0.0)), ("nearest", Fill::Nearest), ("reflect", Fill::Reflect)] {
        let found = apply(&fixture, Transform { window, ..Transform::default() }, fill);
        assert!(distance(&found, &fixture.values[&format!("torch/crop/{name}")]) < 1e-4, "{name}");
    }
}

#[test]
fn resized_crops() {
    let fixture = Fixture::read();
    for (i, window) in fixture.values["torch/windows"].chunks(4).enumerate() {
        let &[left, top, width, height] = window else { unreachable!() };
        let found = apply(
            &fixture,
            Transform { window: Some(CropWindow { left, top, width, height }), ..Transform::default() },
            Fill::Nearest,
        );
        // torchvision resizes what has been cut out: within half a pixel of the part's own edges it repeats the outermost
        // pixel, where the image goes on here.
        let inner = |at: usize, start: f64, size: f64| {
            let from = (at as f64 + 0.5) * size / 16.0 - 0.5;
            (from >= 0.0 || start == 0.0) && (from <= size - 1.0 || start + size == 16.0)
        };
        let expected = &fixture.values[&format!("torch/resized_crop/{i}")];
        let mut compared = 0;
        for (at, (&found, &expected)) in found.iter().zip(expected).enumerate() {
            if inner(at / 16 % 16, top, height) && inner(at % 16, left, width) {
                assert!((f64::from(found) - expected).abs() < 1e-3, "{i}: {found} for {expected} at {at}");
                compared += 1;
            }
        }
        assert!(compared >= if width == 1.0 { 0 } else { 3 * 13 * 13 }, "{i}: {compared}");
    }
}

#[test]
fn colors() {
    let fixture = Fixture::read();
    let mut seen = 0;
    type Kind = (&'static str, fn(f32) -> Color);
    let kinds: [Kind; 4] = [
        ("torch/brightness/", Color::Brightness),
        ("torch/contrast/", Color::Contrast),
        ("torch/saturation/", Color::Saturation),
        ("torch/hue/", Color::Hue),
    ];
    for (name, color) in kinds {
        for (value, expected) in fixture.under(name) {
            let colors = vec![color(value.parse().unwrap())];
            let off = distance(&apply(&fixture, Transform { colors, ..Transform::default() }, Fill::Nearest), expected);
            assert!(off < 2e-3, "{name}{value}: off by {off}");
            seen += 1;
        }
    }
    assert_eq!(seen, 12);
    // One channel.
    let gray = kiln_datasets::Planes { bytes: &fixture.photo[..256], channels: 1, height: 16, width: 16 };
    let colors = vec![Color::Contrast(1.4), Color::Saturation(0.3), Color::Hue(0.2)];
    let found = Transform { colors, ..Transform::default() }.apply(gray, Fill::Nearest).unwrap();
    assert!(distance(&found, &fixture.values["torch/grey_contrast/1.4"]) < 1e-3);
}

#[test]
fn erased_parts_are_0() {
    let fixture = Fixture::read();
    let part = Rectangle { left: 3, top: 14, width: 13, height: 2 };
    let found = apply(&fixture, Transform { erased: vec![part], ..Transform::default() }, Fill::Nearest);
    for (at, &value) in found.iter().enumerate() {
        let (row, column) = (at / 16 % 16, at % 16);
        let erased = (14..16).contains(&row) && (3..16).contains(&column);
        assert_eq!(value, if erased { 0.0 } else { f32::from(fixture.photo[at]) });
    }
    let outside = Rectangle { left: 4, ..part };
    let transform = Transform { erased: vec![outside], ..Transform::default() };
    assert!(transform.apply(fixture.planes(), Fill::Nearest).unwrap_err().to_string().contains("reaches out"));
}
