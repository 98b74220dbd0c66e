//! Words on the command line and numbers of settings.

use crate::Target;
use crate::source::Source;
use kiln::datasets::{Augmentation, Dataset, ImageDataset, Pass};
use kiln::prelude::*;

pub(crate) const WORDS: Target = Target {
    name: "words",
    run,
    seeds,
    words: &[
        b"rotation=",
        b"shift=4px",
        b"zoom=",
        b"0.8:1.2",
        b"crop=",
        b"resized-crop=",
        b"fill=reflect",
        b"fill=wrap",
        b"cutout=",
        b"erasing=",
        b"mixup=",
        b"cutmix=",
        b"hue=",
        b"brightness=",
        b"keras",
        b"none",
        b"nan",
        b"inf",
        b"1e308",
        b"5e-324",
        b"18446744073709551615",
        b"-0",
    ],
};

fn run(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let [channels, height, width] = [source.of(&[1, 3, 2]), source.of(&[1, 2, 5, 8, 0]), source.of(&[8, 3, 1])];
    let (seed, classes) = (source.u32(), source.below(4) + 1);
    let text = String::from_utf8_lossy(source.rest()).into_owned();
    let _ = kiln::device(&text).map(|device| device.name().len());
    let Ok(augmentation) = text.parse::<Augmentation>() else { return };
    augmentation.check().expect("what was read was checked");
    let size = channels * height * width;
    let pixels = (0..2 * size).map(|i| (i * 37 % 256) as u8).collect();
    let images = ImageDataset::new(pixels, vec![0, (classes - 1) as u8], &[channels, height, width], classes);
    let Ok(images) = images.expect("two images").augment(augmentation) else { return };
    let batch = images.training_batch(&[0, 1, 1], &[], Pass { seed: u64::from(seed), epoch: 0 }, &Device::cpu());
    let batch = batch.expect("images that there are");
    assert_eq!(batch.inputs.dims(), [3, channels, height, width]);
    let values = batch.inputs.to_vec::<f32>().expect("floats");
    assert!(values.iter().all(|value| value.is_finite()), "{text}: a pixel is not finite");
}

fn seeds() -> Vec<Vec<u8>> {
    let words = [
        "rotation=20,shift=0.2,shear=0.2,zoom=0.8:1.2,flip,fill=reflect",
        "crop=1,vertical-flip,brightness=0.5:1.5,channel-shift=20,color=0.4,hue=0.1",
        "resized-crop=0.1:1,cutout=1,erasing=1,mixup=0.2,cutmix=1",
        "keras,pytorch,width-shift=2px,height-shift=0.9,fill=wrap",
        "none",
        "cuda:0",
    ];
    words.iter().map(|words| [&[1, 3, 0, 0, 0, 0, 7, 1][..], words.as_bytes()].concat()).collect()
}
