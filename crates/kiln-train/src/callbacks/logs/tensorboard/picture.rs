//! A picture that is drawn, and its PNG file.

use super::font::{GLYPH_HEIGHT, GLYPH_WIDTH, glyph};
use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};
use std::io::{self, Write};

/// Red, green, blue.
pub(super) type Color = [u8; 3];

/// Pixels, row by row.
#[derive(Clone, Debug)]
pub(super) struct Picture {
    width: usize,
    pixels: Vec<Color>,
}

impl Picture {
    /// A white one.
    pub(super) fn new(width: usize, height: usize) -> Picture {
        Picture { width, pixels: vec![[255; 3]; width * height] }
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn height(&self) -> usize {
        self.pixels.len() / self.width.max(1)
    }

    /// Sets a pixel; one that is outside is left out.
    pub(super) fn set(&mut self, x: usize, y: usize, color: Color) {
        if x < self.width
            && let Some(pixel) = self.pixels.get_mut(y * self.width + x)
        {
            *pixel = color;
        }
    }

    /// Writes one line of text, as much of it as fits into a width.
    pub(super) fn write(&mut self, text: &str, [x, y]: [usize; 2], width: usize, color: Color) {
        for (at, letter) in text.chars().take((width + 1) / (GLYPH_WIDTH + 1)).enumerate() {
            let left = x + at * (GLYPH_WIDTH + 1);
            for (row, bits) in glyph(letter).into_iter().enumerate() {
                for column in (0..GLYPH_WIDTH).filter(|column| bits >> (GLYPH_WIDTH - 1 - column) & 1 == 1) {
                    self.set(left + column, y + row, color);
                }
            }
        }
    }

    /// Its PNG file: 8 bits a color, no filters.
    pub(super) fn png(&self) -> io::Result<Vec<u8>> {
        let mut rows = ZlibEncoder::new(Vec::new(), Compression::fast());
        for row in self.pixels.chunks(self.width.max(1)) {
            rows.write_all(&[0])?;
            rows.write_all(row.as_flattened())?;
        }
        let mut header = [0; 13];
        header[..4].copy_from_slice(&(self.width as u32).to_be_bytes());
        header[4..8].copy_from_slice(&(self.height() as u32).to_be_bytes());
        (header[8], header[9]) = (8, 2);
        let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
        chunk(&mut file, b"IHDR", &header);
        chunk(&mut file, b"IDAT", &rows.finish()?);
        chunk(&mut file, b"IEND", &[]);
        Ok(file)
    }
}

/// Height of a line of text with the space around it.
pub(super) const LINE: usize = GLYPH_HEIGHT + 2;

fn chunk(file: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
    let mut crc = Crc::new();
    crc.update(kind);
    crc.update(data);
    file.extend((data.len() as u32).to_be_bytes());
    file.extend(kind);
    file.extend(data);
    file.extend(crc.sum().to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn text_is_drawn_and_a_png_file_holds_the_pixels() {
        let mut picture = Picture::new(13, 8);
        picture.write("1L7", [1, 0], 11, [9, 8, 7]);
        let row = |y: usize| {
            let row = &picture.pixels[y * 13..(y + 1) * 13];
            row.iter().map(|&color| if color == [9, 8, 7] { '#' } else { '.' }).collect::<String>()
        };
        // Two letters fit.
        assert_eq!([row(0), row(1), row(6)], ["...#...#.....", "..##...#.....", "..###..#####."]);
        picture.set(13, 0, [0; 3]);
        picture.set(0, 8, [0; 3]);
        let png = picture.png().unwrap();
        assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
        assert_eq!(png[16..26], [0, 0, 0, 13, 0, 0, 0, 8, 8, 2]);
        let length = u32::from_be_bytes(png[33..37].try_into().unwrap()) as usize;
        assert_eq!(&png[37..41], b"IDAT");
        let mut rows = Vec::new();
        flate2::read::ZlibDecoder::new(&png[41..41 + length]).read_to_end(&mut rows).unwrap();
        assert_eq!((rows.len(), rows[0], &rows[1 + 3 * 3..1 + 4 * 3]), (8 * (1 + 13 * 3), 0, &[9, 8, 7][..]));
        // The sum of IEND is known.
        assert_eq!(png[png.len() - 12..], *b"\0\0\0\0IEND\xae\x42\x60\x82");
    }
}
