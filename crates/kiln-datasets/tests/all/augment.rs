//! Augmented data sets: bits that depend on seed, epoch and index alone, what is drawn, and the sentences for what is refused.

use kiln_datasets::{
    Augmentation, ColorJitter, CropWindow, Dataset, Erasing, Fill, ImageDataset, Loader, Pass, ResizedCrop, Shift,
    Subset,
};
use kiln_tensor::{Device, ErrorKind};
use proptest::prelude::*;
use std::collections::HashMap;

/// Images of noise; the label tells which.
fn images(count: usize, shape: &[usize]) -> ImageDataset {
    let size: usize = shape.iter().product();
    let noise = |i: usize| ((i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u8;
    ImageDataset::new((0..count * size).map(noise).collect(), (0..count).map(|i| i as u8).collect(), shape, 256)
        .unwrap()
}

/// Everything at once.
fn everything() -> Augmentation {
    Augmentation::new()
        .random_crop(2)
        .random_resized_crop(ResizedCrop::default())
        .rotation(20.0)
        .width_shift(0.2)
        .height_shift(Shift::WholePixels(3))
        .shear(10.0)
        .zoom(0.2)
        .horizontal_flip()
        .vertical_flip()
        .channel_shift(20.0)
        .brightness(0.7, 1.3)
        .color_jitter(ColorJitter { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 })
        .cutout(4)
        .random_erasing(Erasing::default())
}

/// The bits of each sample of an epoch, by its label.
fn by_label(loader: &Loader<&dyn Dataset>, epoch: u64) -> HashMap<u8, Vec<u32>> {
    let mut all = HashMap::new();
    loader
        .epoch(epoch, |batches| {
            for batch in batches {
                let batch = batch?;
                let inputs = batch.inputs.to_vec::<f32>()?;
                let size = inputs.len() / batch.len();
                for (label, image) in batch.targets.to_vec::<u8>()?.into_iter().zip(inputs.chunks(size)) {
                    all.insert(label, image.iter().map(|x| x.to_bits()).collect());
                }
            }
            Ok(())
        })
        .unwrap();
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn a_sample_depends_on_seed_epoch_and_index_alone(
        count in 1usize..80, sizes in (1usize..70, 1usize..70), seed: u64, epoch in 0u64..1000, gray: bool,
    ) {
        let shape: &[usize] = if gray { &[12, 10] } else { &[3, 12, 10] };
        let data = images(count, shape).augment(everything()).unwrap();
        let data: &dyn Dataset = &data;
        let expected = by_label(&Loader::new(data).batch_size(sizes.0).seed(seed), epoch);
        prop_assert_eq!(expected.len(), count);
        for workers in 0..3 {
            let loader = Loader::new(data).batch_size(sizes.1).shuffle(seed).workers(workers);
            prop_assert_eq!(&by_label(&loader, epoch), &expected);
        }
        // With the threads of a pool.
        let pool = kiln_cpu::team::ThreadPool::new(3);
        let loader = Loader::new(data).batch_size(64).shuffle(seed);
        prop_assert_eq!(&kiln_cpu::team::run_in(&pool, || by_label(&loader, epoch)), &expected);
        if count > 3 {
            prop_assert_ne!(&by_label(&loader, epoch + 1), &expected);
            prop_assert_ne!(&by_label(&loader.clone().shuffle(seed ^ 1), epoch), &expected);
        }
    }
}

#[test]
fn validation_and_plain_loaders_see_the_images_as_they_are() {
    let plain = images(9, &[3, 12, 12]);
    let data = plain.clone().augment(everything()).unwrap();
    let expected = by_label(&Loader::new(&plain as _), 1);
    assert_eq!(by_label(&Loader::new(&data as &dyn Dataset).plain(), 1), expected);
    assert_ne!(by_label(&Loader::new(&data as &dyn Dataset), 1), expected);
    // An augmentation that does nothing changes no bit either.
    let nothing = plain.augment(Augmentation::new()).unwrap();
    assert_eq!(by_label(&Loader::new(&nothing as _), 1), expected);
}

#[test]
fn a_subset_is_augmented_like_the_whole() {
    let data = images(20, &[12, 12]).augment(everything()).unwrap();
    let part = Subset::new(&data, 5..12).unwrap();
    let (pass, cpu) = (Pass { seed: 3, epoch: 2 }, Device::cpu());
    let bits = |data: &dyn Dataset, indices: &[usize]| {
        data.training_batch(indices, &[], pass, &cpu).unwrap().inputs.to_vec::<f32>().unwrap()
    };
    assert_eq!(bits(&part, &[6, 0]), bits(&data, &[11, 5]));
    assert_eq!(part.training_batch(&[7], &[], pass, &cpu).unwrap_err().kind(), ErrorKind::Index);
}

#[test]
fn draws_fill_their_ranges_evenly() {
    let augmentation = Augmentation::new()
        .rotation(20.0)
        .width_shift(0.25)
        .height_shift(Shift::WholePixels(2))
        .shear(5.0)
        .zoom((0.5, 1.5))
        .horizontal_flip()
        .brightness(0.5, 0.9);
    let count = 4000;
    let draws: Vec<_> =
        (0..count).map(|i| augmentation.draw(Pass { seed: 5, epoch: i as u64 / 1000 }, i % 1000, 32, 40)).collect();
    // A uniform number's mean is that of its ends, within five of its standard errors.
    let even = |what: &str, (low, high): (f64, f64), values: Vec<f64>| {
        let mean = values.iter().sum::<f64>() / count as f64;
        let error = (high - low) / (12.0 * count as f64).sqrt();
        assert!((mean - (low + high) / 2.0).abs() < 5.0 * error, "{what}: mean {mean}");
        let (least, most) = values.iter().fold((f64::MAX, f64::MIN), |(a, b), &x| (a.min(x), b.max(x)));
        let slack = 0.01 * (high - low);
        assert!(
            least >= low && least < low + slack && most <= high && most > high - slack,
            "{what}: {least} to {most}"
        );
    };
    even("rotation", (-20.0, 20.0), draws.iter().map(|t| t.rotation).collect());
    even("width_shift", (-10.0, 10.0), draws.iter().map(|t| t.shift[0]).collect());
    even("shear", (-5.0, 5.0), draws.iter().map(|t| t.shear).collect());
    even("zoom x", (0.5, 1.5), draws.iter().map(|t| t.zoom[0]).collect());
    even("zoom y", (0.5, 1.5), draws.iter().map(|t| t.zoom[1]).collect());
    for pixels in -2..=2 {
        let found = draws.iter().filter(|t| t.shift[1] == f64::from(pixels)).count();
        assert!(found.abs_diff(count / 5) < 130, "{pixels} pixels: {found}"); // five standard deviations of 25
    }
    let flipped = draws.iter().filter(|t| t.horizontal_flip).count();
    assert!(flipped.abs_diff(count / 2) < 160 && draws.iter().all(|t| !t.vertical_flip), "{flipped}");
    // Nothing that was not asked for; and asking for more leaves what is drawn.
    assert!(draws.iter().all(|t| t.window.is_none() && t.erased.is_empty() && t.mix.is_none() && t.colors.len() == 1));
    let more = augmentation.clone().random_crop(3).cutout(2).mixup(0.2).channel_shift(3.0);
    let again = more.draw(Pass { seed: 5, epoch: 0 }, 7, 32, 40);
    assert_eq!((again.rotation, again.shift, again.zoom), (draws[7].rotation, draws[7].shift, draws[7].zoom));
}

#[test]
fn crops_and_rectangles_stay_within_their_bounds() {
    let augmentation =
        Augmentation::new().random_crop(4).cutout(8).random_erasing(Erasing { probability: 1.0, ..Erasing::default() });
    let resized = Augmentation::new().random_resized_crop(ResizedCrop { area: (0.25, 0.5), ratio: (0.5, 2.0) });
    let (mut corners, mut erased) = (HashMap::new(), 0);
    for sample in 0..4000 {
        let pass = Pass { seed: 1, epoch: 9 };
        let transform = augmentation.draw(pass, sample, 32, 32);
        let Some(CropWindow { left, top, width, height }) = transform.window else { panic!("no crop") };
        assert_eq!((width, height), (32.0, 32.0));
        *corners.entry((left as i32, top as i32)).or_insert(0) += 1;
        assert!((-4.0..=4.0).contains(&left) && (-4.0..=4.0).contains(&top));
        let [cutout, rest @ ..] = &*transform.erased else { panic!("no cutout") };
        assert!((4..=8).contains(&cutout.width) && (4..=8).contains(&cutout.height));
        for part in &transform.erased {
            assert!(part.left + part.width <= 32 && part.top + part.height <= 32);
        }
        for part in rest {
            // Sides are rounded to pixels.
            assert!((10..=370).contains(&(part.width * part.height)), "{part:?}");
            erased += 1;
        }
        let Some(CropWindow { left, top, width, height }) = resized.draw(pass, sample, 24, 40).window else {
            panic!("no crop")
        };
        assert!(left >= 0.0 && top >= 0.0 && left + width <= 40.0 && top + height <= 24.0);
        assert!((0.22..=0.53).contains(&(width * height / 960.0)), "{width} × {height}");
    }
    assert_eq!(corners.len(), 81, "every offset is met");
    assert!(erased > 3900, "{erased}");
}

#[test]
fn mixed_batches_have_targets_that_say_how() {
    let data = images(30, &[3, 8, 8]).augment(Augmentation::new().mixup(1.0).cutmix(1.0)).unwrap();
    let (pass, cpu) = (Pass { seed: 3, epoch: 2 }, Device::cpu());
    let indices = [4, 9, 2];
    let batch = data.training_batch(&indices, &[], pass, &cpu).unwrap();
    assert_eq!(batch.targets.dims(), [3, 256]);
    let (inputs, targets) = (batch.inputs.to_vec::<f32>().unwrap(), batch.targets.to_vec::<f32>().unwrap());
    let pixel = |image: usize, at: usize| f32::from(data.pixels()[image * 192 + at]) / 255.0;
    for (i, (own, other)) in [(4, 2), (9, 4), (2, 9)].into_iter().enumerate() {
        let row = &targets[256 * i..256 * (i + 1)];
        assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6 && (row[own] + row[other] - 1.0).abs() < 1e-6);
        let blended = (0..192).all(|at| {
            let expected = row[own] * pixel(own, at) + row[other] * pixel(other, at);
            (inputs[192 * i + at] - expected).abs() < 1e-5
        });
        let pasted = (0..192).filter(|&at| (inputs[192 * i + at] - pixel(other, at)).abs() < 1e-6).count();
        assert!(blended || (pasted as f32 / 192.0 - row[other]).abs() < 0.05, "{i}: {pasted} pasted, {}", row[other]);
    }
    // To evaluate on, rows too.
    let plain = data.batch(&indices, &[], &cpu).unwrap().targets.to_vec::<f32>().unwrap();
    assert!(plain[4] == 1.0 && plain[256 + 9] == 1.0 && plain.iter().sum::<f32>() == 3.0);
    // Each of the two is chosen now and then.
    let kinds: Vec<bool> = (0..40)
        .map(|i| {
            matches!(
                Augmentation::new().mixup(1.0).cutmix(1.0).draw(pass, i, 8, 8).mix,
                Some(kiln_datasets::Mix::Blend(_))
            )
        })
        .collect();
    assert!(kinds.contains(&true) && kinds.contains(&false));
}

#[test]
fn settings_that_make_no_sense_are_one_sentence_each() {
    let new = Augmentation::new;
    let jitter = ColorJitter::default();
    for (augmentation, told) in [
        (new().rotation(-20.0), "rotation -20: a number of at least 0"),
        (new().rotation(f64::NAN), "rotation NaN: a number of at least 0"),
        (new().rotation(f64::INFINITY), "rotation inf"),
        (new().width_shift(1.5), "width_shift 1.5: a part of the size below 1"),
        (new().height_shift(-0.1), "height_shift -0.1: a number of at least 0"),
        (new().height_shift(Shift::Pixels(f64::NAN)), "height_shift NaN pixels"),
        (new().shear(90.0), "shear 90: degrees from 0 to below 90"),
        (new().zoom(1.0), "zoom 1: a number from 0 to below 1"),
        (new().zoom((1.2, 0.8)), "zoom 1.2 to 0.8: two factors above 0 are expected, the smaller one first"),
        (new().zoom((0.0, 1.0)), "zoom 0 to 1: two factors above 0"),
        (new().channel_shift(-1.0), "channel_shift -1"),
        (
            new().brightness(1.2, 0.8),
            "brightness 1.2 to 0.8: two factors of at least 0 are expected, the smaller one first",
        ),
        (new().brightness(-0.1, 0.8), "brightness -0.1 to 0.8"),
        (new().brightness(f64::NAN, 0.8), "brightness NaN to 0.8"),
        (
            new().random_resized_crop(ResizedCrop { area: (0.5, 1.5), ..ResizedCrop::default() }),
            "area 0.5 to 1.5: a part of the area",
        ),
        (
            new().random_resized_crop(ResizedCrop { ratio: (2.0, 1.0), ..ResizedCrop::default() }),
            "ratio 2 to 1: two ratios",
        ),
        (new().color_jitter(ColorJitter { hue: 0.6, ..jitter }), "hue 0.6: a number from 0 to 0.5"),
        (new().color_jitter(ColorJitter { contrast: -1.0, ..jitter }), "contrast -1: a number of at least 0"),
        (new().cutout(0), "cutout 0: a square of at least 1 pixel"),
        (new().random_erasing(Erasing { probability: 1.5, ..Erasing::default() }), "probability 1.5"),
        (new().mixup(0.0), "mixup 0: a number above 0"),
        (new().cutmix(f64::INFINITY), "cutmix inf: a number above 0"),
        (new().fill(Fill::Constant(f32::NAN)), "fill Constant(NaN): a finite value"),
        (
            new().random_crop(12),
            "random_crop with a padding of 12: images that are larger are expected, these are [3, 12, 14]",
        ),
        (new().cutout(13), "cutout of 13 × 13"),
    ] {
        let error = images(2, &[3, 12, 14]).augment(augmentation.clone()).unwrap_err();
        let text = error.to_string();
        assert_eq!(error.kind(), ErrorKind::Value);
        assert!(text.contains(told) && !text.contains('\n'), "{text}, expected {told}");
        assert_eq!(augmentation.check().is_err(), !text.contains("these are"), "{text}");
    }
    let hue = new().color_jitter(ColorJitter { hue: 0.1, ..jitter });
    assert!(images(2, &[2, 9, 9]).augment(hue.clone()).unwrap_err().to_string().contains("red, green and blue"));
    for shape in [&[][..], &[7], &[2, 3, 4, 5], &[3, 0, 4]] {
        let error = images(2, shape).augment(new()).unwrap_err();
        assert!(error.to_string().contains("(channels, height, width) are expected, these are"), "{error}");
    }
    let one = images(2, &[3, 4, 4]);
    for (mean, std) in
        [(vec![0.0; 2], vec![1.0; 3]), (vec![0.0; 3], vec![1.0, 0.0, 1.0]), (vec![f64::NAN; 3], vec![1.0; 3])]
    {
        assert!(
            one.clone().normalized_channels(&mean, &std).unwrap_err().to_string().contains("for each of 3 channels")
        );
    }
}

#[test]
fn words_are_the_same_as_calls() {
    let new = Augmentation::new;
    for (words, calls) in [
        ("none", new()),
        ("keras", new().rotation(20.0).width_shift(0.2).height_shift(0.2).shear(0.2).zoom(0.2).horizontal_flip()),
        ("pytorch,cutout=8", new().random_crop(4).horizontal_flip().cutout(8)),
        (
            "shift=4px, fill=reflect",
            new().width_shift(Shift::WholePixels(4)).height_shift(Shift::WholePixels(4)).fill(Fill::Reflect),
        ),
        ("zoom=0.8:1.5,fill=127", new().zoom((0.8, 1.5)).fill(Fill::Constant(127.0))),
        (
            "hue=0.1,jitter=0.4",
            new().color_jitter(ColorJitter { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 }),
        ),
        (
            "resized-crop,erasing=0.25",
            new()
                .random_resized_crop(ResizedCrop::default())
                .random_erasing(Erasing { probability: 0.25, ..Erasing::default() }),
        ),
        (
            "mixup=0.2,cutmix=1,brightness=0.5:1,channel-shift=30,vertical-flip",
            new().mixup(0.2).cutmix(1.0).brightness(0.5, 1.0).channel_shift(30.0).vertical_flip(),
        ),
    ] {
        assert_eq!(words.parse::<Augmentation>().unwrap(), calls, "{words}");
    }
    for (words, told) in [
        ("rotaton=20", "'rotaton' is not an augmentation: a similar one is 'rotation'"),
        ("kerras", "a similar one is 'keras'"),
        ("sharpen", "there are keras, pytorch, crop, resized-crop, rotation"),
        ("", "'' is not an augmentation"),
        ("rotation", "'rotation': rotation=DEGREES is expected: turned by at most so much"),
        ("flip=1", "'flip=1': flip is expected"),
        ("crop=2.5", "crop=PIXELS is expected"),
        ("zoom=1.2", "zoom 1.2: a number from 0 to below 1 is expected"),
        ("fill=red", "nearest, reflect, wrap, black, or a shade from 0 to 255"),
    ] {
        let error = words.parse::<Augmentation>().unwrap_err().to_string();
        assert!(error.contains(told) && !error.contains('\n'), "{error}");
    }
}
