//! Samples of a batch mixed with their neighbors.

use super::{Rectangle, Transform};

/// How a sample is mixed with the one before it in the batch; the first with the last.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Mix {
    /// λ of itself and 1 − λ of the other: mixup.
    Blend(f64),
    /// This part from the other: CutMix.
    Paste(Rectangle),
}

impl Mix {
    /// How much of the sample's own target counts.
    pub fn share(self, height: usize, width: usize) -> f64 {
        match self {
            Mix::Blend(share) => share,
            Mix::Paste(part) => 1.0 - (part.width * part.height) as f64 / (height * width).max(1) as f64,
        }
    }

    /// Mixes planes of this size.
    fn apply(self, image: &mut [f32], other: &[f32], (height, width): (usize, usize)) {
        match self {
            Mix::Blend(share) => {
                let (share, rest) = (share as f32, (1.0 - share) as f32);
                image.iter_mut().zip(other).for_each(|(x, y)| *x = share * *x + rest * y);
            }
            Mix::Paste(Rectangle { left, top, width: across, height: down }) => {
                let rows = image.chunks_exact_mut(width).zip(other.chunks_exact(width)).enumerate();
                for (_, (to, from)) in rows.filter(|(row, _)| (top..top + down).contains(&(row % height))) {
                    to[left..left + across].copy_from_slice(&from[left..left + across]);
                }
            }
        }
    }
}

/// Mixes each sample, a row of `samples`, with the one before it as that was before any mixing.
pub(super) fn mix(samples: &mut [f32], transforms: &[Transform], (height, width): (usize, usize)) {
    let Some(size) = samples.len().checked_div(transforms.len()).filter(|&size| size > 0) else { return };
    if transforms.iter().all(|transform| transform.mix.is_none()) {
        return;
    }
    let Some(last) = samples.rchunks_exact(size).next().map(<[f32]>::to_vec) else { return };
    // From the last to the first: the one before is still unmixed.
    for (i, transform) in transforms.iter().enumerate().rev() {
        let (before, from_here) = samples.split_at_mut(i * size);
        let other = before.rchunks_exact(size).next().unwrap_or(&last);
        if let Some(mix) = transform.mix {
            mix.apply(&mut from_here[..size], other, (height, width));
        }
    }
}

/// How much of each sample's own target counts; 1 where there is no transform.
pub(crate) fn shares(transforms: &[Transform], (height, width): (usize, usize)) -> impl Iterator<Item = f64> {
    let share = move |transform: &Transform| transform.mix.map_or(1.0, |mix| mix.share(height, width));
    transforms.iter().map(share).chain(std::iter::repeat(1.0))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a panic is a test's report

    use super::*;
    use safetensors::SafeTensors;

    /// torchvision's mixed batches (tests/fixtures), of five images of (3, 16, 16) in four classes.
    #[test]
    fn batches_are_mixed_as_by_torchvision() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/augment.safetensors");
        let file = std::fs::read(path).unwrap();
        let tensors = SafeTensors::deserialize(&file).unwrap();
        let floats = |name: &str| -> Vec<f32> {
            let data = tensors.tensor(name).unwrap().data().to_vec();
            data.chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
        };
        let many: Vec<f32> = tensors.tensor("many").unwrap().data().iter().map(|&b| f32::from(b) / 255.0).collect();
        let part = Rectangle { left: 2, top: 5, width: 7, height: 11 };
        let labels = [3, 0, 1, 3, 2];
        for (name, how) in [("mixup", Mix::Blend(0.3125)), ("cutmix", Mix::Paste(part))] {
            let transforms = vec![Transform { mix: Some(how), ..Transform::default() }; 5];
            let mut found = many.clone();
            mix(&mut found, &transforms, (16, 16));
            let near =
                |found: &[f32], expected: Vec<f32>| found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6);
            assert!(near(&found, floats(&format!("torch/{name}"))), "{name}");
            let mut targets = [0.0; 20];
            for (i, share) in shares(&transforms, (16, 16)).take(5).enumerate() {
                targets[4 * i + labels[i]] += share as f32;
                targets[4 * i + labels[(i + 4) % 5]] += (1.0 - share) as f32;
            }
            assert!(near(&targets, floats(&format!("torch/{name}_targets"))), "{name}: {targets:?}");
        }
    }

    #[test]
    fn one_image_is_mixed_with_itself_and_none_with_nothing() {
        let transforms = [Transform { mix: Some(Mix::Blend(0.25)), ..Transform::default() }];
        let mut image = [4.0, 8.0, 12.0, 16.0];
        mix(&mut image, &transforms, (2, 2));
        assert_eq!(image, [4.0, 8.0, 12.0, 16.0]);
        mix(&mut [], &transforms, (2, 2));
        mix(&mut image, &[], (2, 2));
    }
}
