//! The AlexNet listing's augmentation of images as large as CIFAR-10's, as `augment_keras.py` does it.

use crate::timing::{median, seconds};
use kiln::prelude::*;
use serde_json::{Value, json};

/// Images, of noise: what they show is no matter to the time. Batches are of 64, as in the listing.
const IMAGES: usize = 6400;
const BATCH: usize = 64;

/// Epochs that are timed, after three that are not.
const EPOCHS: usize = 60;

fn listing() -> Augmentation {
    Augmentation::new().rotation(20.0).width_shift(0.2).height_shift(0.2).shear(0.2).zoom(0.2).horizontal_flip()
}

/// Images a second of an epoch of augmented batches, the median.
fn rate(loader: &Loader<&ImageDataset>) -> Result<f64> {
    let epoch = |epoch| seconds(|| loader.epoch(epoch, |batches| batches.try_for_each(|batch| batch.map(drop))));
    let times = (0..EPOCHS as u64 + 3).map(epoch).collect::<Result<Vec<f64>>>()?;
    Ok((IMAGES as f64 / median(times[3..].to_vec())).round())
}

/// Images a second by the training loop's own threads and by two workers beside it; and without augmentation.
pub(crate) fn rates() -> Result<Value> {
    let mut noise = RandomStream::new(0, Purpose::Data, 0);
    let pixels = (0..IMAGES * 3072).map(|_| noise.next_u32() as u8).collect();
    let plain = ImageDataset::new(pixels, vec![0; IMAGES], &[3, 32, 32], 10)?;
    let data = plain.clone().augment(listing())?;
    let loader = Loader::new(&data).batch_size(BATCH).shuffle(0);
    let within = kiln::tensor::Device::cpu().session(|| rate(&loader))?;
    let gathered = kiln::tensor::Device::cpu().session(|| rate(&Loader::new(&plain).batch_size(BATCH).shuffle(0)))?;
    Ok(json!({
        "task": "augment",
        "images_per_s": within,
        "images_per_s_by_two_workers": rate(&loader.clone().workers(2))?,
        "images_per_s_without_augmentation": gathered,
    }))
}
