//! What event files say: TensorFlow's messages `Event`, `Summary.Value` and those of TensorBoard's plugins.

use super::HyperParameter;
use super::histogram::Histogram;
use super::picture::Picture;
use super::wire::Message;
use std::time::{SystemTime, UNIX_EPOCH};

/// Number of the type "text" among TensorFlow's.
const DT_STRING: u64 = 7;
const DT_FLOAT: u64 = 1;

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// The event that every file begins with.
pub(super) fn version() -> Message {
    Message::new().double(1, now()).text(3, "brain.Event:2")
}

/// An event of some values at a step.
pub(super) fn event(step: u64, values: &[Message]) -> Message {
    let summary = values.iter().fold(Message::new(), |summary, value| summary.message(1, value));
    Message::new().double(1, now()).integer(2, step).message(5, &summary)
}

fn value(tag: &str) -> Message {
    Message::new().text(1, tag)
}

/// A number, as an f32.
pub(super) fn scalar(tag: &str, number: f64) -> Message {
    value(tag).float(2, number as f32)
}

pub(super) fn histogram(tag: &str, histogram: &Histogram) -> Message {
    let Histogram { least, largest, count, sum, sum_of_squares, limits, counts } = histogram;
    let message = Message::new().double(1, *least).double(2, *largest).double(3, *count).double(4, *sum);
    value(tag).message(5, &message.double(5, *sum_of_squares).doubles(6, limits).doubles(7, counts))
}

pub(super) fn image(tag: &str, picture: &Picture, png: &[u8]) -> Message {
    let (height, width, rgb) = (picture.height() as u64, picture.width() as u64, 3);
    value(tag).message(4, &Message::new().integer(1, height).integer(2, width).integer(3, rgb).bytes(4, png))
}

/// Text in Markdown.
pub(super) fn text(tag: &str, text: &str) -> Message {
    let tensor = Message::new().integer(1, DT_STRING).message(2, &Message::new()).text(8, text);
    value(tag).message(9, &plugin("text", &Message::new())).message(8, &tensor)
}

/// The beginning of a training with these settings.
pub(super) fn hyperparameters(settings: &[(String, HyperParameter)]) -> Message {
    let start = settings.iter().fold(Message::new(), |start, (name, setting)| {
        let setting = match setting {
            // JSON, by which TensorBoard shows it, has no other numbers.
            HyperParameter::Number(number) if !number.is_finite() => Message::new().text(3, &number.to_string()),
            HyperParameter::Number(number) => Message::new().double(2, *number),
            HyperParameter::Text(text) => Message::new().text(3, text),
            HyperParameter::Flag(flag) => Message::new().integer(4, u64::from(*flag)),
        };
        start.message(1, &Message::new().text(1, name).message(2, &setting))
    });
    let data = Message::new().message(3, &start.double(5, now()));
    // A value must hold a tensor; this one has no element.
    let dimension = Message::new().integer(1, 0);
    let empty = Message::new().integer(1, DT_FLOAT).message(2, &Message::new().message(2, &dimension));
    value("_hparams_/session_start_info").message(9, &plugin("hparams", &data)).message(8, &empty)
}

/// The metadata of a value that a plugin of TensorBoard shows.
fn plugin(name: &str, data: &Message) -> Message {
    Message::new().message(1, &Message::new().text(1, name).message(2, data))
}
