//! Maps from planes and back.

use crate::conv::numbers;
use crate::views::on_teams;
use kiln_cpu::Isa;
use kiln_cpu::inference::{from_nhwc, map_len, padded, padded_row, to_nhwc};
use proptest::prelude::*;

/// The map by definition.
pub(super) fn map_of(planes: &[f32], channels: usize, pixels: usize) -> Vec<f32> {
    let images = planes.len().checked_div(channels * pixels).unwrap_or(0);
    let mut map = vec![0.0; map_len(images, channels, pixels)];
    for (i, &x) in planes.iter().enumerate() {
        let (image, channel, pixel) = (i / (channels * pixels), i / pixels % channels, i % pixels);
        map[(image * pixels + pixel) * padded(channels) + channel] = x;
    }
    map
}

fn check(images: usize, channels: usize, pixels: usize) {
    let planes = numbers(images * channels * pixels, 3);
    let want = map_of(&planes, channels, pixels);
    for &isa in Isa::available() {
        let got = on_teams(|| {
            let (mut map, mut back) = (vec![f32::NAN; want.len()], vec![f32::NAN; planes.len()]);
            to_nhwc(isa, &planes, (channels, pixels), &mut map);
            from_nhwc(isa, &map, (channels, pixels), &mut back);
            assert_eq!(back, planes, "{isa:?} {images} {channels} {pixels}");
            map
        });
        assert_eq!(got, want, "{isa:?} {images} {channels} {pixels}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn a_map_has_the_channels_of_a_pixel_and_zeros(images in 0_usize..4, channels in 1_usize..40, pixels in 1_usize..150) {
        check(images, channels, pixels);
    }
}

#[test]
fn large_maps_are_shared_by_threads() {
    check(3, 3, 5_000);
    check(2, 70, 1_001);
    check(1, 1, 40_000);
}

#[test]
fn rows_have_the_zeros_of_a_pixel() {
    assert_eq!((padded(0), padded(1), padded(16), padded(17)), (0, 16, 16, 32));
    let row = padded_row(&[1.0; 17]);
    assert_eq!((&row[..17], &row[17..]), (&[1.0; 17][..], &[0.0; 15][..]));
}
