//! Strings of digits to be read.

use super::check_indices;
use crate::{Batch, Dataset, ImageDataset};
use kiln_math::{Purpose, RandomStream};
use kiln_tensor::{Device, Error, Result, Tensor};

/// How far apart two digits begin, at least, and how many distances there are: digits of MNIST are about 20 pixels wide.
const APART: [usize; 2] = [19, 7];

/// What fills up targets, and what CTC calls the blank. A digit is one more than its number.
const BLANK: i64 = 0;

/// Pictures of strings of digits, drawn from pictures of single ones: what a model that reads is tried on, such as one that is trained
/// with CTC.
///
/// An input is (height, width), from 0 to 1, with 1 to `most` digits side by side, some closer than others, at a random place. A target
/// is (most,) of i64: of each digit its number plus 1, then 0s. String i is a function of the seed and i.
#[derive(Clone, Debug)]
pub struct DigitStrings {
    digits: ImageDataset,
    samples: usize,
    most: usize,
    shape: [usize; 2],
    seed: u64,
}

impl DigitStrings {
    /// So many strings of up to `most` of these digits, which are pictures (height, width) of 10 classes.
    ///
    /// # Errors
    /// No digits in a string; pictures that are none of digits, or too narrow ones.
    pub fn new(digits: ImageDataset, samples: usize, most: usize, seed: u64) -> Result<Self> {
        let &[height, width] = digits.input_shape() else {
            let message = format!("pictures (height, width) are expected, got {:?}", digits.input_shape());
            return Err(Error::shape("DigitStrings", message));
        };
        let widest = APART[0] + APART[1] - 1;
        if digits.len() == 0 || digits.classes() != 10 || width < widest || most == 0 {
            let message = format!(
                "strings of 1 digit and more, of pictures of 10 classes at least {widest} wide, are expected; got {most} digits, {} \
                 pictures of {} classes, {width} wide",
                digits.len(),
                digits.classes()
            );
            return Err(Error::value("DigitStrings", message));
        }
        // A multiple of 4, as networks halve it.
        let shape = [height, (widest * (most - 1) + width).next_multiple_of(4)];
        Ok(DigitStrings { digits, samples, most, shape, seed })
    }

    /// Draws a string into `to` (height, width), and gives its digits.
    fn draw(&self, index: usize, to: &mut [f32]) -> Vec<i64> {
        let mut stream = RandomStream::new(self.seed, Purpose::Data, index as u64);
        let mut below = |count: usize| stream.below(count as u32) as usize;
        let count = 1 + below(self.most);
        let starts: Vec<usize> = std::iter::once(0)
            .chain((1..count).scan(0, |start, _| {
                *start += APART[0] + below(APART[1]);
                Some(*start)
            }))
            .collect();
        let [height, width] = self.shape;
        let digit_width = self.digits.input_shape()[1];
        let room = width - digit_width - starts[count - 1];
        let first = below(room + 1);
        let digits: Vec<usize> = starts.iter().map(|_| below(self.digits.len())).collect();
        for (&digit, start) in digits.iter().zip(&starts) {
            let size = height * digit_width;
            let pixels = &self.digits.pixels()[digit * size..(digit + 1) * size];
            for (row, pixels) in to.chunks_exact_mut(width).zip(pixels.chunks_exact(digit_width)) {
                for (to, &pixel) in row[first + start..].iter_mut().zip(pixels) {
                    *to = to.max(f32::from(pixel) / 255.0);
                }
            }
        }
        digits.into_iter().map(|digit| i64::from(self.digits.labels()[digit]) + 1).collect()
    }
}

impl Dataset for DigitStrings {
    fn len(&self) -> usize {
        self.samples
    }

    fn input_shape(&self) -> &[usize] {
        &self.shape
    }

    fn batch(&self, indices: &[usize], _: &[usize], device: &Device) -> Result<Batch> {
        check_indices("DigitStrings", indices, self.samples)?;
        let [height, width] = self.shape;
        let mut labels = vec![BLANK; indices.len() * self.most];
        let inputs = Tensor::write_with([indices.len(), height, width], device, |to: &mut [f32]| {
            to.fill(0.0);
            let strings = to.chunks_exact_mut(height * width).zip(labels.chunks_exact_mut(self.most));
            for ((to, labels), &index) in strings.zip(indices) {
                let digits = self.draw(index, to);
                labels[..digits.len()].copy_from_slice(&digits);
            }
            Ok(())
        })?;
        Ok(Batch::new(inputs, Tensor::from_slice(&labels, [indices.len(), self.most], device)?))
    }
}
