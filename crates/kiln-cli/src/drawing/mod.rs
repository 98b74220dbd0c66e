//! Pictures of runs: what is drawn on, its letters, and the PNG file it becomes.

mod confusion;
mod curves;
mod sheet;
mod tiles;

pub(crate) use confusion::confusion;
pub(crate) use curves::{Curve, curves};
pub(crate) use sheet::{Row, Sheet, sheet};
pub(crate) use tiles::{COLUMNS, Group, SIDE, Tile, tiles};

use kiln::{Error, ErrorKind, Result};
use plotters::coord::Shift;
use plotters::drawing::DrawingAreaErrorKind;
use plotters::prelude::*;

/// The one font there is, whatever the machine has installed.
const FONT: &[u8] = include_bytes!("font/DejaVuSans.ttf");
const FAMILY: &str = "sans-serif";

/// Drawn at so many times the size in each direction and averaged: plotters draws thick lines without smoothing their edges.
const SCALE: u32 = 2;

type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;
type Drawn<T> = std::result::Result<T, DrawingAreaErrorKind<<BitMapBackend<'static> as DrawingBackend>::ErrorType>>;

/// Lengths on the picture, in its pixels.
fn px(length: u32) -> u32 {
    length * SCALE
}

fn font(size: u32) -> TextStyle<'static> {
    (FAMILY, px(size)).into_font().color(&RGBColor(40, 40, 40))
}

/// Draws an image `width` pixels wide with its upper left corner there: each pixel, whose colour is asked for by its number, a
/// square of this side. Images on white have an edge too.
fn enlarged(
    area: &Area<'_>,
    (left, top): (u32, u32),
    (width, height): (usize, usize),
    square: u32,
    colour: impl Fn(usize) -> [u8; 3],
) -> Drawn<()> {
    let (place, side) = ((px(left) as i32, px(top) as i32), px(square) as usize);
    let (across, down) = (width * side, height * side);
    let mut pixels = Vec::with_capacity(3 * across * down);
    for y in 0..down {
        (0..across).for_each(|x| pixels.extend(colour(y / side * width + x / side)));
    }
    if let Some(image) = BitMapElement::with_owned_buffer(place, (across as u32, down as u32), pixels) {
        area.draw(&image)?;
    }
    let corners = [place, (place.0 + across as i32, place.1 + down as i32)];
    area.draw(&Rectangle::new(corners, RGBColor(210, 210, 210).stroke_width(1)))
}

/// The PNG file of a white picture of this size after `draw`.
fn picture(width: u32, height: u32, draw: impl FnOnce(&Area<'_>) -> Drawn<()>) -> Result<Vec<u8>> {
    let failed = |why: String| Error::new(ErrorKind::Format, "", format!("the picture cannot be drawn: {why}"));
    plotters::style::register_font(FAMILY, FontStyle::Normal, FONT)
        .map_err(|_| failed("its font cannot be read".to_owned()))?;
    let (w, h) = (px(width), px(height));
    let mut pixels = vec![0; 3 * w as usize * h as usize];
    let area = BitMapBackend::with_buffer(&mut pixels, (w, h)).into_drawing_area();
    let drawn = area.fill(&WHITE).and_then(|()| draw(&area)).and_then(|()| area.present());
    drop(area);
    drawn.map_err(|error| failed(error.to_string()))?;
    encode(width, height, &smaller(&pixels, w as usize)).map_err(|error| failed(error.to_string()))
}

/// Each `SCALE` × `SCALE` pixels as one, their mean.
fn smaller(pixels: &[u8], width: usize) -> Vec<u8> {
    let scale = SCALE as usize;
    let mut out = Vec::with_capacity(pixels.len() / (scale * scale));
    for rows in pixels.chunks_exact(3 * width * scale) {
        for x in 0..width / scale {
            for channel in 0..3 {
                let at = |i: usize| rows[3 * (width * (i / scale) + x * scale + i % scale) + channel];
                let sum: usize = (0..scale * scale).map(|i| usize::from(at(i))).sum();
                out.push((sum / (scale * scale)) as u8);
            }
        }
    }
    out
}

fn encode(width: u32, height: u32, rgb: &[u8]) -> std::result::Result<Vec<u8>, png::EncodingError> {
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(rgb)?;
    writer.finish()?;
    Ok(out)
}
