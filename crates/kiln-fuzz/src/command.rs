//! The files that the `kiln` command reads: images to be predicted, and the folder of a run.

use crate::Target;
use crate::models;
use crate::scratch::Folder;
use crate::source::Source;
use kiln::nn::{Activation, Dense, Sequential};
use kiln::tensor::Device;
use kiln_cli::fuzzing;
use std::sync::LazyLock;

pub(crate) const IMAGE: Target = Target {
    name: "image",
    run: image,
    seeds: image_seeds,
    words: &[
        b"IHDR",
        b"IDAT",
        b"PLTE",
        b"tRNS",
        b"eXIf",
        b"IEND",
        b"\xff\xd8\xff",
        b"\xff\xda",
        b"\xff\xc4",
        b"VP8 ",
        b"VP8L",
        b"VP8X",
        b"ALPH",
        b"EXIF",
    ],
};

/// The first byte says which of a run's files the bytes are.
pub(crate) const RUN: Target = Target {
    name: "run",
    run,
    seeds: run_seeds,
    words: &[
        b"\"recipe\": \"mnist-mlp\"",
        b"\"architecture\": ",
        b"epoch,loss",
        b"val_loss",
        b"accuracy",
        b"nan",
        b"inf",
        b"1e308",
        b"-1e308",
        b"2147483647",
        b"5e-324",
        b"seconds",
    ],
};

fn image(bytes: &[u8]) {
    let Ok([digit, photo]) = fuzzing::image(bytes) else { return };
    let all = |pixels: Option<Vec<f32>>, count: usize| {
        let pixels = pixels.unwrap_or_else(|| vec![0.0; count]);
        assert_eq!(pixels.len(), count);
        assert!(pixels.iter().all(|pixel| (-1e-4..=1.0001).contains(pixel)), "a pixel is not from 0 to 1");
    };
    all(digit, 28 * 28);
    all(photo, 3 * 32 * 32);
}

/// A PNG file of these chunks, with checksums that are right.
fn png(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, content) in chunks {
        file.extend((content.len() as u32).to_be_bytes());
        file.extend([&kind[..], content].concat());
        let mut crc = flate2::Crc::new();
        crc.update(&[&kind[..], content].concat());
        file.extend(crc.sum().to_be_bytes());
    }
    file
}

fn image_seeds() -> Vec<Vec<u8>> {
    let header =
        |width: u32, height: u32, rest: [u8; 5]| [&width.to_be_bytes()[..], &height.to_be_bytes(), &rest].concat();
    let packed = |rows: &[u8]| {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, rows).expect("a buffer takes everything");
        encoder.finish().expect("a buffer takes everything")
    };
    let gray = packed(&[0, 0, 0, 0, 0, 0, 0, 255, 200, 0, 0, 0, 255, 100, 0, 0, 0, 0, 0, 0]);
    let palette = packed(&[0, 0b0110_0000, 0, 0b1100_0000]);
    let alpha = packed(&[0, 1, 2, 3, 128, 0, 255, 254, 253, 0]);
    vec![
        png(&[(b"IHDR", &header(4, 4, [8, 0, 0, 0, 0])), (b"IDAT", &gray), (b"IEND", &[])]),
        png(&[
            (b"IHDR", &header(3, 2, [2, 3, 0, 0, 0])),
            (b"PLTE", &[0, 0, 0, 255, 0, 0, 0, 255, 0, 1, 2, 3]),
            (b"tRNS", &[9]),
            (b"IDAT", &palette),
            (b"IEND", &[]),
        ]),
        png(&[(b"IHDR", &header(1, 2, [8, 6, 0, 0, 0])), (b"IDAT", &alpha), (b"IEND", &[])]),
        // A small file that claims to be a huge image.
        png(&[(b"IHDR", &header(60_000, 3_000, [16, 6, 0, 0, 1])), (b"IDAT", &gray), (b"IEND", &[])]),
        include_bytes!("../../kiln-cli/tests/fixtures/seven.jpg").to_vec(),
        include_bytes!("../../kiln-datasets/tests/fixtures/images/progressive.jpg").to_vec(),
        include_bytes!("../../kiln-datasets/tests/fixtures/images/cmyk.jpg").to_vec(),
        include_bytes!("../../kiln-datasets/tests/fixtures/images/turned.png").to_vec(),
        include_bytes!("../../kiln-datasets/tests/fixtures/images/lossy.webp").to_vec(),
        include_bytes!("../../kiln-datasets/tests/fixtures/images/lossless.webp").to_vec(),
        include_bytes!("../../kiln-datasets/tests/fixtures/images/palette.bmp").to_vec(),
    ]
}

const HISTORY: &str =
    "epoch,loss,accuracy,val_loss,val_accuracy,seconds\n1,0.5,0.8,0.4,0.85,1.5\n2,0.25,0.9,0.3,0.9,1.5\n";

fn description(architecture: &str) -> String {
    format!(r#"{{"kiln": "0.1.0", "recipe": "mnist-mlp", "architecture": {architecture}, "parameters": 7}}"#)
}

fn run(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let folder = Folder::new();
    match source.below(3) {
        0 => {
            folder.write("history.csv", source.rest());
            if let Ok(picture) = fuzzing::curves(folder.path()) {
                assert!(picture.starts_with(b"\x89PNG"));
            }
            return;
        }
        1 => {
            folder.write("model.json", source.rest());
            folder.write("model.safetensors", b"none");
        }
        _ => {
            folder.write("model.json", description(&MODEL).as_bytes());
            folder.write("model.safetensors", source.rest());
        }
    }
    let _ = fuzzing::model(folder.path(), &Device::cpu_of(models::MEMORY));
}

/// The architecture of a small model of digits.
static MODEL: LazyLock<String> = LazyLock::new(|| {
    let layer = Dense::new(10).activation(Activation::Softmax);
    let model = Sequential::new().push(layer).build([2], &Device::cpu(), 1).expect("a small model");
    model.architecture().to_string()
});

fn run_seeds() -> Vec<Vec<u8>> {
    let file = |kind: u8, text: &str| [&[kind][..], text.as_bytes()].concat();
    vec![
        file(0, HISTORY),
        file(0, "epoch,loss\n1,nan\n2,1e308\n3,-1e308\n"),
        file(0, "epoch,loss,seconds\n2147483647,1,1\n-5,2,1\n"),
        file(1, &description(&MODEL)),
        file(1, &description(&MODEL.replace("\"units\":10", "\"units\":1000000000000"))),
        file(2, "\u{8}\0\0\0\0\0\0\0{      }"),
    ]
}
