//! From a folder of pictures to a trained model in a folder, and new pictures predicted. The pictures, of three kinds, sizes that differ,
//! are written first.
//!
//! ```sh
//! cargo run --release -p kiln --example pictures --features images
//! ```
//!
//! The same in Keras: listings/pictures.py.

use kiln::datasets::{ImageFiles, ImageOptions};
use kiln::prelude::*;
use kiln::trained::Input;
use std::fs::{self, File};
use std::path::Path;

/// A light figure on a dark ground: a bar across, a bar along, or a square.
fn draw(path: &Path, kind: &str, [height, width]: [u32; 2], shade: u8) -> Result<()> {
    let lit = |row: u32, column: u32| match kind {
        "across" => row * 3 / height == 1,
        "along" => column * 3 / width == 1,
        _ => row * 3 / height == 1 && column * 3 / width == 1,
    };
    let pixel = |i: u32| if lit(i / width, i % width) { [250, 240, 255 - shade] } else { [shade, 30, 40] };
    let pixels: Vec<u8> = (0..height * width).flat_map(pixel).collect();
    let failed = |why: String| Error::value("draw", format!("{}: {why}", path.display()));
    let file = File::create(path).map_err(|e| failed(e.to_string()))?;
    let mut encoder = png::Encoder::new(file, width, height);
    encoder.set_color(png::ColorType::Rgb);
    let writer = encoder.write_header().and_then(|mut writer| writer.write_image_data(&pixels));
    writer.map_err(|e| failed(e.to_string()))
}

fn write(folder: &Path) -> Result<()> {
    for kind in ["across", "along", "square"] {
        let folder = folder.join(kind);
        fs::create_dir_all(&folder).map_err(|e| Error::value("write", format!("{}: {e}", folder.display())))?;
        for i in 0..60u32 {
            draw(&folder.join(format!("{i}.png")), kind, [30 + i * 7 % 40, 30 + i * 11 % 40], (i * 17 % 120) as u8)?;
        }
    }
    Ok(())
}

/// The accuracy on pictures that the training has not seen; the model is saved in `run`.
fn train(photos: &Path, run: &Path) -> Result<f64> {
    let (files, options) = (ImageFiles::folder(photos)?, ImageOptions::new(24, 24));
    println!("{}", files.summary()?);
    let data = files.dataset(&options)?.cache().augment("shift=0.1,zoom=0.1".parse()?)?;
    let [train, test] = data.split_stratified(0.25, 42)?;

    let model = Sequential::new()
        .push(Conv2d::new(8, 3).activation(Activation::Relu))
        .push(MaxPool2d::new(2))
        .push(Conv2d::new(16, 3).activation(Activation::Relu))
        .push(MaxPool2d::new(2))
        .push(Flatten::new())
        .push(Dense::new(files.class_names().len()).activation(Activation::Softmax))
        .build(train.input_shape(), &Device::cpu(), 1)?;
    let mut trainer = compile(model, Adam::new(0.003), SparseCategoricalCrossentropy::new()).metric(Accuracy);
    trainer.fit(&train, FitOptions::new().epochs(12).batch_size(16).workers(2).seed(1).quiet())?;
    let accuracy = trainer.evaluate(&test)?.accuracy();
    Trained::new(trainer.into_model()).input(Input::Images(options)).classes(files.class_names()).save(run)?;
    Ok(accuracy)
}

/// What the model of a folder says about a picture.
fn predict(run: &Path, picture: &Path) -> Result<String> {
    let predictions = kiln::load(run)?.predict_images(&[picture])?;
    Ok(predictions.class(0).unwrap_or_default().to_owned())
}

fn main() -> Result<()> {
    let (photos, run, new) = (Path::new("photos"), Path::new("runs/photos"), Path::new("new.png"));
    write(photos)?;
    println!("accuracy {:.3}", train(photos, run)?);
    draw(new, "along", [50, 80], 60)?;
    println!("{}: {}", new.display(), predict(run, new)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_pictures_are_learned_of_a_folder() {
        let folder = std::env::temp_dir().join(format!("kiln-pictures-{}", std::process::id()));
        let (photos, run, new) = (folder.join("photos"), folder.join("run"), folder.join("new.png"));
        write(&photos).unwrap();
        let accuracy = train(&photos, &run).unwrap();
        assert!(accuracy > 0.9, "{accuracy}");
        for kind in ["across", "along", "square"] {
            draw(&new, kind, [50, 80], 60).unwrap();
            assert_eq!(predict(&run, &new).unwrap(), kind);
        }
        fs::remove_dir_all(folder).unwrap();
    }
}
