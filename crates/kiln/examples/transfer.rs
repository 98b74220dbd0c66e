//! Transfer learning: a trained network without its head, with a new one. First the head is trained alone, then all of it, the
//! backbone with a tenth of the rate.
//!
//! ```sh
//! cargo run --release -p kiln --example transfer                            # a small network that has learned 0 to 4 learns 5 to 9
//! cargo run --release -p kiln --example transfer -- resnet18.safetensors    # torchvision's ResNet-18 learns 5 to 9
//! ```
//!
//! The file is that of `safetensors.torch.save_file(torchvision.models.resnet18(weights="DEFAULT").state_dict(), …)`. The same in
//! PyTorch: listings/transfer.py.

use kiln::models::resnet::ResNet;
use kiln::nn::safetensors;
use kiln::optim::Group;
use kiln::prelude::*;
use std::ops::Range;
use std::path::Path;

/// The first images of these digits, in three colors and normalized as torchvision's networks want them; classes are counted from 0.
fn digits(images: &ImageDataset, digits: Range<u8>, count: usize) -> Result<ImageDataset> {
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    let all = images.pixels().chunks_exact(28 * 28).zip(images.labels());
    for (image, label) in all.filter(|(_, label)| digits.contains(label)).take(count) {
        pixels.extend(image.repeat(3));
        labels.push(label - digits.start);
    }
    let images = ImageDataset::new(pixels, labels, &[3, 28, 28], digits.len())?;
    images.normalized_channels(&[0.485, 0.456, 0.406], &[0.229, 0.224, 0.225])
}

/// Trains a network and saves it as torchvision would.
fn pretrain(resnet: &ResNet, train: &ImageDataset, file: &Path) -> Result<()> {
    let model = resnet.clone().classes(train.classes()).model().build([3, 28, 28], &Device::cpu(), 0)?;
    let mut trainer = compile(model, Adam::new(0.003), SparseCategoricalCrossentropy::from_logits());
    trainer.fit(train, FitOptions::new().epochs(3))?;
    safetensors::save(&trainer.objective.model, file)
}

/// The accuracies on the test images of a trained head on the backbone of this file, and after fine-tuning.
fn transfer(resnet: &ResNet, file: &Path, train: &ImageDataset, test: &ImageDataset) -> Result<[f64; 2]> {
    let mut backbone = resnet.model().ending_at("avgpool")?.build([3, 28, 28], &Device::cpu(), 0)?;
    let unmatched = safetensors::load_matching(&mut backbone, file, false)?; // the file has a head too
    println!("left out of the file: {}", unmatched.unexpected.join(", "));
    let mut model = Sequential::new()
        .push_named("backbone", backbone)
        .push_named("head", Dense::new(train.classes()))
        .build([3, 28, 28], &Device::cpu(), 1)?;

    model.freeze("backbone.*")?; // statistics of batch normalization too
    let mut trainer = compile(model, Adam::new(0.01), SparseCategoricalCrossentropy::from_logits()).metric(Accuracy);
    trainer.fit(train, FitOptions::new().epochs(4))?;
    let frozen = trainer.evaluate(test)?.accuracy();

    trainer.objective.model.unfreeze("backbone.*")?;
    trainer.optimizer = Adam::new(0.002).group("backbone.*", Group::new().learning_rate_scale(0.1));
    trainer.fit(train, FitOptions::new().epochs(2))?;
    Ok([frozen, trainer.evaluate(test)?.accuracy()])
}

fn main() -> Result<()> {
    let Mnist { train, test } = Mnist::embedded()?;
    let (few, test) = (digits(&train, 5..10, 1000)?, digits(&test, 5..10, 1000)?);
    let accuracies = match std::env::args_os().nth(1) {
        Some(file) => transfer(&ResNet::basic([2, 2, 2, 2]), file.as_ref(), &few, &test)?,
        None => {
            let (small, file) = (ResNet::basic([1, 1, 1]).width(16), Path::new("backbone.safetensors"));
            pretrain(&small, &digits(&train, 0..5, 4000)?, file)?;
            transfer(&small, file, &few, &test)?
        }
    };
    println!("Test accuracy: {:.4} with a frozen backbone, {:.4} fine-tuned", accuracies[0], accuracies[1]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backbone_that_knows_other_digits_helps() {
        let Mnist { train, test } = Mnist::embedded().unwrap();
        let (few, test) = (digits(&train, 5..10, 500).unwrap(), digits(&test, 5..10, 500).unwrap());
        let small = ResNet::basic([1, 1, 1]).width(8);
        let file = std::env::temp_dir().join(format!("kiln-transfer-{}.safetensors", std::process::id()));
        pretrain(&small, &digits(&train, 0..5, 2000).unwrap(), &file).unwrap();
        let [frozen, tuned] = transfer(&small, &file, &few, &test).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert!(frozen > 0.5 && tuned > frozen + 0.05, "{frozen}, then {tuned}");
    }
}
