//! Images of the validation set with what the model says of them.

use super::picture::{Color, LINE, Picture};
use crate::Run;
use kiln_autograd::Var;
use kiln_tensor::{Result, Tensor};

const BLACK: Color = [0, 0, 0];
const GREEN: Color = [0, 130, 0];
const RED: Color = [200, 0, 0];

/// Pixels between images.
const GAP: usize = 4;
/// Small images are drawn with larger pixels, up to this height and width; of larger ones some pixels are left out.
const SIDE: usize = 96;

/// What the model says of a sample.
struct Answer {
    class: usize,
    predicted: usize,
    /// Of the predicted class.
    probability: f64,
}

/// So many images of the validation set, evenly chosen, with two lines below each: the true class, then the predicted one with its
/// probability, green where it is right. None where the samples are no images or the targets are not one class each.
pub(super) fn predictions(run: &Run<'_>, count: usize, classes: &[String]) -> Result<Option<Picture>> {
    let Some(data) = run.validation() else { return Ok(None) };
    let Some(form) = Form::of(data.input_shape()) else { return Ok(None) };
    let count = count.min(data.len());
    if count == 0 || data.fixed_batch_size().is_some() {
        return Ok(None);
    }
    // The first ones of a folder's images would all be of its first class.
    let spread = if data.in_order() { 1 } else { data.len() / count };
    let indices: Vec<usize> = (0..count).map(|at| at * spread).collect();
    let batch = data.batch(&indices, &[], &run.device)?;
    let (Some(inputs), Some(targets)) = (batch.inputs.iter().next(), batch.targets.iter().next()) else {
        return Ok(None);
    };
    let pixels = inputs.to_f64_vec()?;
    let carried = run.model.carried_states();
    run.model.begin_pass();
    let outcome = run.model.loss(&batch, &run.eval_ctx())?;
    run.model.set_carried_states(&carried)?;
    let Some(prediction) = outcome.predictions.first() else { return Ok(None) };
    let Some(answers) = answers(prediction.values.as_var()?, targets)? else { return Ok(None) };
    let images = pixels.chunks_exact(form.pixels()).zip(&answers);
    Ok(Some(form.sheet(images, classes)))
}

/// The answers; none where the outputs are not the classes of one target a sample.
fn answers(outputs: &Var, targets: &Tensor) -> Result<Option<Vec<Answer>>> {
    let count = targets.dims().first().copied().unwrap_or(0);
    if outputs.tensor().rank() > 2 || outputs.tensor().dims().first() != Some(&count) {
        return Ok(None);
    }
    let Some(classes) = classes_of(targets, count)? else { return Ok(None) };
    let squashed = outputs.origin().is_some();
    let values = outputs.tensor().to_f64_vec()?;
    let rows = values.chunks_exact((values.len() / count.max(1)).max(1));
    let answers = rows.zip(classes).map(|(row, class)| {
        let (predicted, probability) = match row {
            [value] => {
                let positive = if squashed { *value } else { 1.0 / (1.0 + (-value).exp()) };
                if positive >= 0.5 { (1, positive) } else { (0, 1.0 - positive) }
            }
            row => largest(row, squashed),
        };
        Answer { class, predicted, probability }
    });
    Ok(Some(answers.collect()))
}

/// The class of each target: integers, zeros and ones, or rows with a single one.
fn classes_of(targets: &Tensor, count: usize) -> Result<Option<Vec<usize>>> {
    let integers = targets.dtype().is_integer();
    let values = targets.to_f64_vec()?;
    if values.len() == count {
        let fits = values.iter().all(|&value| value >= 0.0 && (integers || value == 0.0 || value == 1.0));
        return Ok(fits.then(|| values.iter().map(|&value| value as usize).collect()));
    }
    if targets.rank() != 2 {
        return Ok(None);
    }
    let classes = values.chunks_exact(values.len() / count.max(1)).map(|row| {
        let one = row.iter().position(|&value| value == 1.0)?;
        (row.iter().filter(|&&value| value != 0.0).count() == 1).then_some(one)
    });
    Ok(classes.collect())
}

/// The class with the largest value, and its probability.
fn largest(row: &[f64], squashed: bool) -> (usize, f64) {
    let mut best = (0, f64::NEG_INFINITY);
    for (class, &value) in row.iter().enumerate() {
        if value > best.1 {
            best = (class, value);
        }
    }
    // Probabilities that do not come from a layer that is known to make them sum to 1 too.
    let probabilities =
        squashed || row.iter().all(|&value| value >= 0.0) && (row.iter().sum::<f64>() - 1.0).abs() < 1e-3;
    let probability =
        if probabilities { best.1 } else { 1.0 / row.iter().map(|value| (value - best.1).exp()).sum::<f64>() };
    (best.0, probability)
}

/// Sizes of an image: (H, W) or (C, H, W) of 1 or 3 channels.
#[derive(Clone, Copy)]
struct Form {
    channels: usize,
    height: usize,
    width: usize,
}

impl Form {
    fn of(shape: &[usize]) -> Option<Form> {
        let (channels, height, width) = match *shape {
            [height, width] => (1, height, width),
            [channels @ (1 | 3), height, width] => (channels, height, width),
            _ => return None,
        };
        // A few numbers in rows are no image.
        (height >= 4 && width >= 4).then_some(Form { channels, height, width })
    }

    fn pixels(self) -> usize {
        self.channels * self.height * self.width
    }

    /// Height and width of an image as it is drawn.
    fn drawn(self) -> [usize; 2] {
        let longest = self.height.max(self.width);
        let scaled = |size: usize| match SIDE / longest {
            0 => (size * SIDE / longest).max(1),
            factor => size * factor,
        };
        [scaled(self.height), scaled(self.width)]
    }

    /// The images with their captions, in rows and columns.
    fn sheet<'s>(self, images: impl Iterator<Item = (&'s [f64], &'s Answer)> + Clone, classes: &[String]) -> Picture {
        let count = images.clone().count();
        let columns = (1..).find(|columns| columns * columns >= count).unwrap_or(1).max(1);
        let [height, width] = self.drawn();
        // Room for `9 100%` below the smallest image.
        let cell = [height + 2 * LINE + GAP, width.max(42) + GAP];
        let mut picture = Picture::new(columns * cell[1], count.div_ceil(columns) * cell[0]);
        let name = |class: usize| classes.get(class).map_or_else(|| class.to_string(), String::clone);
        for (at, (image, answer)) in images.enumerate() {
            let (x, y) = (at % columns * cell[1] + GAP / 2, at / columns * cell[0] + GAP / 2);
            self.draw(image, &mut picture, [x, y]);
            let color = if answer.predicted == answer.class { GREEN } else { RED };
            let percent = format!("{:.0}%", 100.0 * answer.probability);
            // The name is cut where there is no room for all of it, the probability is not.
            let letters = (cell[1] / 6).saturating_sub(percent.len() + 1).max(1);
            let predicted: String = name(answer.predicted).chars().take(letters).collect();
            picture.write(&name(answer.class), [x, y + height + 2], cell[1] - GAP, BLACK);
            picture.write(&format!("{predicted} {percent}"), [x, y + height + LINE], cell[1] - GAP, color);
        }
        picture
    }

    /// Draws an image, from its least value to its largest: data is normalized in many ways.
    fn draw(self, image: &[f64], picture: &mut Picture, [x, y]: [usize; 2]) {
        let finite = || image.iter().copied().filter(|value| value.is_finite());
        let (least, largest) = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
        let range = (largest - least).max(f64::MIN_POSITIVE);
        let [height, width] = self.drawn();
        for (row, column) in (0..height).flat_map(|row| (0..width).map(move |column| (row, column))) {
            let (from_row, from_column) = (row * self.height / height, column * self.width / width);
            let shade = |channel: usize| {
                let value = image[(channel * self.height + from_row) * self.width + from_column];
                ((value - least) / range * 255.0).round() as u8
            };
            let color = if self.channels == 3 { [shade(0), shade(1), shade(2)] } else { [shade(0); 3] };
            picture.set(x + column, y + row, color);
        }
    }
}
