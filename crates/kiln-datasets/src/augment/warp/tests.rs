//! Warps against a naive one in f64, over sizes, maps and what lies beyond; the same bits on every instruction set.

use super::{Affine, Fill, Planes, Room, warp};
use kiln_cpu::Isa;
use proptest::prelude::*;

/// scipy's rules for a coordinate outside, in exact terms: the one inside that it stands for, none where a constant is.
fn inside(x: f64, size: usize, fill: Fill) -> Option<f64> {
    let (size, last) = (size as f64, size as f64 - 1.0);
    match fill {
        Fill::Nearest => Some(x.clamp(0.0, last)),
        Fill::Constant(_) => (0.0..=last).contains(&x).then_some(x),
        Fill::Reflect => {
            let edge = (x + 0.5).rem_euclid(2.0 * size);
            let edge = if edge > size { 2.0 * size - edge } else { edge };
            Some((edge - 0.5).clamp(0.0, last))
        }
        Fill::Wrap if last == 0.0 => Some(0.0),
        Fill::Wrap if x < 0.0 => Some(x + last * ((-x / last).floor() + 1.0)),
        Fill::Wrap if x > last => Some(x - last * (x / last).floor()),
        Fill::Wrap => Some(x),
    }
}

/// A pixel of a plane, or the value that stands for what is outside; and how much the value can change nearby.
fn sample(plane: &[u8], (width, height): (usize, usize), x: f64, y: f64, fill: Fill) -> f64 {
    let (Some(x), Some(y)) = (inside(x, width, fill), inside(y, height, fill)) else {
        let Fill::Constant(value) = fill else { unreachable!() };
        return value.into();
    };
    let at = |x: f64, y: f64| f64::from(plane[(y as usize).min(height - 1) * width + (x as usize).min(width - 1)]);
    let (left, top) = (x.floor(), y.floor());
    let (fx, fy) = (x - left, y - top);
    let along = |y: f64| at(left, y) * (1.0 - fx) + at(left + 1.0, y) * fx;
    along(top) * (1.0 - fy) + along(top + 1.0) * fy
}

/// Whether a value jumps between a coordinate and its neighbors in f32: at the border of a constant, and at a seam of `wrap`.
fn jumps(x: f64, size: usize, fill: Fill) -> bool {
    let last = size as f64 - 1.0;
    match fill {
        Fill::Nearest | Fill::Reflect => false,
        Fill::Constant(_) => x.abs() < 1e-3 || (x - last).abs() < 1e-3,
        Fill::Wrap => last > 0.0 && ((x / last) - (x / last).round()).abs() * last < 1e-3,
    }
}

fn fill() -> impl Strategy<Value = Fill> {
    prop_oneof![Just(Fill::Nearest), (-300f32..300.0).prop_map(Fill::Constant), Just(Fill::Reflect), Just(Fill::Wrap),]
}

fn bits(isa: Isa, image: Planes<'_>, from: Affine, fill: Fill, normalize: &[[f32; 2]]) -> Vec<u32> {
    let mut out = vec![f32::NAN; image.bytes.len()];
    // Room that another image has left something in.
    let mut room = Room::default();
    warp(
        isa,
        &mut [0.0; 18],
        Planes { bytes: &[255; 18], channels: 2, height: 1, width: 9 },
        from,
        fill,
        &[[1.0, 0.0]],
        &mut room,
    );
    warp(isa, &mut out, image, from, fill, normalize, &mut room);
    out.iter().map(|x| x.to_bits()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn samples_are_those_of_a_naive_warp(
        channels in 1usize..7, height in 1usize..40, width in prop_oneof![1usize..40, 250usize..300, Just(515)],
        x in prop::array::uniform3(-2f64..2.0), y in prop::array::uniform3(-2f64..2.0),
        offset in prop::array::uniform2(-1.5f64..1.5), fill in fill(), seed: u64,
    ) {
        let bytes: Vec<u8> =
            (0..(channels * height * width) as u64).map(|i| (seed ^ i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u8).collect();
        let image = Planes { bytes: &bytes, channels, height, width };
        let from = Affine {
            x: [x[0], x[1], offset[0] * width as f64],
            y: [y[0], y[1], offset[1] * height as f64],
        };
        let normalize: Vec<[f32; 2]> = (0..channels).map(|c| [0.5 + c as f32, c as f32 - 1.0]).collect();
        let found = bits(Isa::best(), image, from, fill, &normalize);
        for (i, &found) in found.iter().enumerate() {
            let (channel, row, column) = (i / (height * width), i / width % height, i % width);
            let along = |[a, b, c]: [f64; 3]| a * column as f64 + b * row as f64 + c;
            let (x, y) = (along(from.x), along(from.y));
            if jumps(x, width, fill) || jumps(y, height, fill) {
                continue;
            }
            let plane = &bytes[channel * height * width..][..height * width];
            let [scale, shift] = normalize[channel].map(f64::from);
            let expected = scale * sample(plane, (width, height), x, y, fill) + shift;
            // f32 coordinates up to some 3000: 2⁻¹² of a pixel at most, 255 of it from one pixel to the next.
            let tolerance = scale * 255.0 * 4.0 * (x.abs() + y.abs() + (width + height) as f64) * f64::from(f32::EPSILON) + 1e-3;
            prop_assert!((f64::from(f32::from_bits(found)) - expected).abs() < tolerance,
                "{} for {expected} at {column}, {row} of channel {channel}, from {x}, {y}", f32::from_bits(found));
        }
        for &isa in Isa::available().iter().filter(|isa| isa.fused() && Isa::best().fused()) {
            prop_assert_eq!(&bits(isa, image, from, fill, &normalize), &bits(Isa::best(), image, from, fill, &normalize));
        }
    }
}

#[test]
fn the_identity_flips_and_whole_shifts_are_exact() {
    let bytes: Vec<u8> = (0..3 * 5 * 7).map(|i| (i * 71 % 256) as u8).collect();
    let image = Planes { bytes: &bytes, channels: 3, height: 5, width: 7 };
    let at = |c: usize, row: i32, column: i32| {
        let inside = (0..5).contains(&row) && (0..7).contains(&column);
        if inside { f32::from(bytes[c * 35 + row as usize * 7 + column as usize]) } else { -1.0 }
    };
    let flipped = Affine { x: [-1.0, 0.0, 6.0], ..Affine::IDENTITY };
    let shifted = Affine { x: [1.0, 0.0, 2.0], y: [0.0, 1.0, -3.0] };
    for &isa in Isa::available() {
        for (from, source) in [
            (Affine::IDENTITY, (|row, column| (row, column)) as fn(i32, i32) -> (i32, i32)),
            (flipped, |row, column| (row, 6 - column)),
            (shifted, |row, column| (row - 3, column + 2)),
            (shifted.after(flipped), |row, column| (row - 3, 8 - column)),
        ] {
            let found = bits(isa, image, from, Fill::Constant(-1.0), &[[1.0, 0.0]]);
            let expected = (0..105).map(|i| {
                let (row, column) = source(i / 7 % 5, i % 7);
                at(i as usize / 35, row, column).to_bits()
            });
            assert_eq!(found, expected.collect::<Vec<_>>(), "{isa:?} {from:?}");
        }
    }
}

#[test]
fn images_without_pixels_and_maps_that_are_no_numbers_do_no_harm() {
    let mut room = Room::default();
    for (height, width) in [(0, 4), (4, 0), (0, 0)] {
        let image = Planes { bytes: &[], channels: 3, height, width };
        warp(Isa::best(), &mut [], image, Affine::IDENTITY, Fill::Wrap, &[[1.0, 0.0]], &mut room);
    }
    let image = Planes { bytes: &[7; 12], channels: 1, height: 3, width: 4 };
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e30, -1e30, f64::MAX] {
        for fill in [Fill::Nearest, Fill::Constant(7.0), Fill::Reflect, Fill::Wrap] {
            for &isa in Isa::available() {
                let mut out = [0.0; 12];
                warp(
                    isa,
                    &mut out,
                    image,
                    Affine { x: [bad, 0.0, 1.0], y: [0.0, 1.0, bad] },
                    fill,
                    &[[1.0, 0.0]],
                    &mut room,
                );
                assert_eq!(out, [7.0; 12], "{bad} {fill:?} {isa:?}");
            }
        }
    }
}

#[test]
fn what_does_not_fit_is_left_alone() {
    let image = Planes { bytes: &[7; 12], channels: 1, height: 3, width: 4 };
    let left = |length: usize, image: Planes<'_>, normalize: &[[f32; 2]]| {
        let mut out = vec![-1.0; length];
        warp(Isa::best(), &mut out, image, Affine::IDENTITY, Fill::Nearest, normalize, &mut Room::default());
        out.iter().all(|&x| x == -1.0)
    };
    assert!(!left(12, image, &[[1.0, 0.0]]));
    assert!(left(11, image, &[[1.0, 0.0]]));
    assert!(left(12, Planes { channels: 2, ..image }, &[[1.0, 0.0]]));
    assert!(left(12, image, &[]) && left(12, image, &[[1.0, 0.0]; 2]));
}

#[test]
fn sizes_beyond_memory_are_left_alone() {
    let image = Planes { bytes: &[1; 24], channels: 2, height: 3, width: 4 };
    for image in [
        Planes { channels: 1 << 62, height: 2, width: 2, ..image },
        Planes { channels: 1, height: usize::MAX, width: 2, ..image },
        Planes { channels: 0, ..image },
    ] {
        warp(Isa::best(), &mut [], image, Affine::IDENTITY, Fill::Nearest, &[[1.0, 0.0]], &mut Room::default());
    }
}

/// Beyond 2²³ columns f32 has no number between two of them.
#[test]
fn images_wider_than_f32_counts_are_left() {
    let width = (1 << 23) + 4;
    let bytes = vec![1; width];
    let mut out = vec![7.0; width];
    let image = Planes { bytes: &bytes, channels: 1, height: 1, width };
    warp(Isa::best(), &mut out, image, Affine::IDENTITY, Fill::Nearest, &[[1.0, 0.0]], &mut Room::default());
    assert!(out.iter().all(|&x| x == 7.0));
}

#[test]
fn the_widest_image_keeps_its_pixels() {
    let width = 1 << 23;
    let bytes: Vec<u8> = (0..width).map(|i| (i % 251) as u8).collect();
    let mut out = vec![7.0; width];
    let image = Planes { bytes: &bytes, channels: 1, height: 1, width };
    warp(Isa::best(), &mut out, image, Affine::IDENTITY, Fill::Nearest, &[[1.0, 0.0]], &mut Room::default());
    assert!(out.iter().zip(&bytes).all(|(&found, &byte)| found == f32::from(byte)));
}
