//! A picture that is drawn on. Lengths are in points of two pixels each way, so that it is sharp on dense screens; edges are
//! smooth.

mod coverage;
mod letters;
mod stroke;

use kiln::{Error, ErrorKind, Result};

/// Pixels of a point.
pub(crate) const SCALE: usize = 2;

/// More are not drawn: a picture is held in memory.
const MOST_PIXELS: usize = 40_000_000;

/// A place, to the right and down.
pub(crate) type Point = (f32, f32);

/// A color, and how much of what lies below it is covered, from 0 to 1.
#[derive(Clone, Copy)]
pub(crate) struct Ink {
    color: [u8; 3],
    opacity: f32,
}

impl Ink {
    pub(crate) const WHITE: Ink = Ink::new(255, 255, 255);
    /// Of letters.
    pub(crate) const DARK: Ink = Ink::new(40, 40, 40);
    /// Of axes.
    pub(crate) const GRAY: Ink = Ink::new(120, 120, 120);
    /// Of what is to be hardly seen: grids and borders.
    pub(crate) const PALE: Ink = Ink::new(218, 218, 218);

    pub(crate) const fn new(red: u8, green: u8, blue: u8) -> Ink {
        Ink { color: [red, green, blue], opacity: 1.0 }
    }

    pub(crate) const fn opacity(self, opacity: f32) -> Ink {
        Ink { opacity, ..self }
    }
}

/// Which part of a text is at the place that is given.
#[derive(Clone, Copy)]
pub(crate) enum Align {
    Left,
    Center,
    Right,
}

/// How a text is written.
#[derive(Clone, Copy)]
pub(crate) struct Font {
    size: f32,
    ink: Ink,
    align: Align,
    /// From below to above.
    upward: bool,
}

impl Font {
    /// Of all labels.
    pub(crate) const LABEL: Font = Font { size: 12.0, ink: Ink::DARK, align: Align::Left, upward: false };
    pub(crate) const TITLE: Font = Font { size: 15.0, ..Font::LABEL };

    pub(crate) const fn ink(self, ink: Ink) -> Font {
        Font { ink, ..self }
    }

    pub(crate) const fn align(self, align: Align) -> Font {
        Font { align, ..self }
    }

    pub(crate) const fn upward(self) -> Font {
        Font { upward: true, ..self }
    }

    pub(crate) fn width(self, text: &str) -> f32 {
        self.size * text.chars().map(letters::advance).sum::<f32>()
    }

    /// The text if it is no wider than this, else its beginning and three dots.
    pub(crate) fn fitted(self, text: &str, width: f32) -> String {
        if self.width(text) <= width {
            return text.to_owned();
        }
        let mut room = width - self.width("…");
        let fits = |character: &char| {
            room -= self.size * letters::advance(*character);
            room >= 0.0
        };
        text.chars().take_while(fits).chain(['…']).collect()
    }
}

/// White at first.
pub(crate) struct Canvas {
    /// In pixels.
    width: usize,
    height: usize,
    pixels: Vec<[u8; 3]>,
}

impl Canvas {
    pub(crate) fn new(width: f32, height: f32) -> Result<Canvas> {
        let [width, height] = [width, height].map(|side| (side.ceil().max(1.0) as usize).saturating_mul(SCALE));
        if width.saturating_mul(height) > MOST_PIXELS {
            let message = format!("a picture of {width} × {height} pixels is not drawn, at most {MOST_PIXELS} in all");
            return Err(Error::new(ErrorKind::Unsupported, "", message));
        }
        Ok(Canvas { width, height, pixels: vec![[255; 3]; width * height] })
    }

    /// The middle of a capital letter is at the height of `at`.
    pub(crate) fn text(&mut self, text: &str, at: Point, font: Font) {
        let width = font.width(text);
        let mut along = match font.align {
            Align::Left => 0.0,
            Align::Center => -width / 2.0,
            Align::Right => -width,
        };
        // Half of a capital letter's height.
        let down = 0.365 * font.size;
        for character in text.chars() {
            let letter = letters::letter(character);
            let place = |(x, y): Point| {
                let (x, y) = (along + font.size * x, down + font.size * y);
                if font.upward { (at.0 + y, at.1 - x) } else { (at.0 + x, at.1 + y) }
            };
            let outline = letter.outline.into_iter().map(|polygon| polygon.into_iter().map(place).collect());
            self.fill(outline.collect(), font.ink);
            along += font.size * letter.advance;
        }
    }

    pub(crate) fn rectangle(&mut self, (left, top): Point, (width, height): Point, ink: Ink) {
        let (right, bottom) = (left + width, top + height);
        self.fill(vec![vec![(left, top), (right, top), (right, bottom), (left, bottom)]], ink);
    }

    /// A rectangle's border, within it.
    pub(crate) fn frame(&mut self, (left, top): Point, (width, height): Point, thickness: f32, ink: Ink) {
        let inner = height - 2.0 * thickness;
        self.rectangle((left, top), (width, thickness), ink);
        self.rectangle((left, top + height - thickness), (width, thickness), ink);
        self.rectangle((left, top + thickness), (thickness, inner), ink);
        self.rectangle((left + width - thickness, top + thickness), (thickness, inner), ink);
    }

    /// A line from point to point.
    pub(crate) fn line(&mut self, points: &[Point], thickness: f32, ink: Ink) {
        self.fill(stroke::line(points, thickness), ink);
    }

    pub(crate) fn dashed(&mut self, points: &[Point], thickness: f32, ink: Ink) {
        for dash in stroke::dashes(points, 4.0, 3.0) {
            self.line(&dash, thickness, ink);
        }
    }

    pub(crate) fn disk(&mut self, center: Point, radius: f32, ink: Ink) {
        self.fill(vec![stroke::circle(center, radius)], ink);
    }

    /// An image `width` pixels wide, whose colors are asked for by their number, each a square of this side, in a frame: one on
    /// white has an edge too. All these lengths are whole points.
    pub(crate) fn image(
        &mut self,
        (left, top): (usize, usize),
        (width, height): (usize, usize),
        square: usize,
        color: impl Fn(usize) -> [u8; 3],
    ) {
        let side = SCALE * square;
        let rows = self.pixels.chunks_exact_mut(self.width).skip(SCALE * top).take(height * side);
        for (y, row) in rows.enumerate() {
            for (x, pixel) in row.iter_mut().skip(SCALE * left).take(width * side).enumerate() {
                *pixel = color(y / side * width + x / side);
            }
        }
        let (left, top) = (left as f32 - 0.5, top as f32 - 0.5);
        self.frame((left, top), ((width * square + 1) as f32, (height * square + 1) as f32), 0.5, Ink::PALE);
    }

    /// Fills closed polygons, in points.
    fn fill(&mut self, mut polygons: Vec<Vec<Point>>, ink: Ink) {
        for (x, y) in polygons.iter_mut().flatten() {
            (*x, *y) = (*x * SCALE as f32, *y * SCALE as f32);
        }
        let Canvas { width, height, pixels } = self;
        coverage::cover(&polygons, (*width, *height), |y, x, parts| {
            let row = &mut pixels[y * *width..][..*width];
            for (pixel, part) in row[x..].iter_mut().zip(parts) {
                let part = part * ink.opacity;
                for (below, color) in pixel.iter_mut().zip(ink.color) {
                    let mixed = f32::from(*below) + part * (f32::from(color) - f32::from(*below));
                    *below = mixed.round() as u8;
                }
            }
        });
    }

    /// The PNG file of the picture.
    pub(crate) fn png(&self) -> Result<Vec<u8>> {
        self.encode().map_err(|error| {
            Error::new(ErrorKind::Format, "", format!("the picture cannot be written: {error}")).with_source(error)
        })
    }

    fn encode(&self) -> std::result::Result<Vec<u8>, png::EncodingError> {
        let mut out = Vec::new();
        let mut encoder = png::Encoder::new(&mut out, self.width as u32, self.height as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        // Two pixels a point, of which an inch has 72: programs that look at it show the picture at its size in points.
        let [xppu, yppu] = [(72 * SCALE) as u32 * 10_000 / 254; 2];
        encoder.set_pixel_dims(Some(png::PixelDimensions { xppu, yppu, unit: png::Unit::Meter }));
        let mut writer = encoder.write_header()?;
        writer.write_image_data(self.pixels.as_flattened())?;
        writer.finish()?;
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_where_they_are_said_to_be() {
        let mut canvas = Canvas::new(4.0, 3.0).unwrap();
        canvas.rectangle((1.0, 1.0), (2.0, 1.0), Ink::new(0, 100, 200).opacity(0.5));
        let colors = |canvas: &Canvas| canvas.pixels.iter().filter(|pixel| **pixel != [255; 3]).count();
        assert_eq!((canvas.width, canvas.height, colors(&canvas)), (8, 6, 8));
        assert_eq!((canvas.pixels[2 * 8 + 2], canvas.pixels[2 * 8 + 6]), ([128, 178, 228], [255; 3]));
        canvas.image((1, 0), (2, 1), 1, |pixel| [pixel as u8; 3]);
        assert_eq!([2, 3, 4, 5].map(|x| canvas.pixels[x]), [[0; 3], [0; 3], [1; 3], [1; 3]]);
    }

    #[test]
    fn texts_are_as_wide_as_their_letters() {
        let font = Font::LABEL;
        let width = font.width("loss");
        for (align, left) in [(Align::Left, 100.0), (Align::Center, 100.0 - width / 2.0), (Align::Right, 100.0 - width)]
        {
            for upward in [false, true] {
                let mut canvas = Canvas::new(200.0, 200.0).unwrap();
                canvas.text("loss", (100.0, 100.0), Font { upward, ..font.align(align) });
                let inked = canvas.pixels.iter().enumerate().filter(|(_, pixel)| pixel[0] < 128);
                let along = inked.map(|(i, _)| if upward { 399 - i / 400 } else { i % 400 } as f32 / 2.0);
                let (low, high) = along.fold((f32::MAX, f32::MIN), |(low, high), x| (low.min(x), high.max(x)));
                assert!((low - left).abs() < 2.0 && (high - left - width).abs() < 2.0, "{low} {high} {left} {width}");
            }
        }
        assert_eq!(font.fitted("loss", width), "loss");
        let cut = font.fitted("validation of the second run", 60.0);
        assert!(cut.starts_with("vali") && cut.ends_with('…') && font.width(&cut) <= 60.0, "{cut}");
    }

    #[test]
    fn pictures_beyond_all_sizes_are_refused() {
        let refused = Canvas::new(1e30, 3.0).err().unwrap();
        assert!(refused.message().ends_with("pixels is not drawn, at most 40000000 in all"), "{}", refused.message());
        assert!(Canvas::new(4000.0, 3000.0).is_err());
    }
}
