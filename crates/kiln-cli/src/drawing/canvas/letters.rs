//! The letters of the one font there is, whatever the machine has installed: their outlines, from the tables of its TrueType
//! file (cmap, loca, glyf, hmtx). That file is a part of the program, so there is no answer to a damaged one: it has no outlines.

use super::Point;
use std::sync::LazyLock;

static FILE: &[u8] = include_bytes!("font/DejaVuSans.ttf");
static FONT: LazyLock<Font> = LazyLock::new(Font::new);

/// Parts that a letter is put together from, at most: one within the other.
const DEPTH: u32 = 4;

/// Lines that a curve is drawn by.
const STEPS: usize = 6;

/// Where the tables begin.
struct Font {
    loca: usize,
    glyf: usize,
    hmtx: usize,
    /// The part of cmap that has a segment for each range of characters.
    segments: usize,
    /// Places in `loca` are of 4 bytes, not of 2.
    long: bool,
    /// Letters that have a width of their own; those after them are as wide as the last one.
    widths: usize,
    /// Units of a letter's height.
    em: f32,
}

/// A letter as it is drawn: in parts of the font's size, x to the right and y down from where it stands on the line.
pub(super) struct Letter {
    pub(super) outline: Vec<Vec<Point>>,
    /// How far right of it the next one stands.
    pub(super) advance: f32,
}

pub(super) fn letter(character: char) -> Letter {
    let glyph = FONT.glyph(character);
    let mut outline = Vec::new();
    FONT.outline(glyph, DEPTH, &mut outline);
    let place = |(x, y): Point| (x / FONT.em, -y / FONT.em);
    let outline = outline.into_iter().map(|polygon| polygon.into_iter().map(place).collect()).collect();
    Letter { outline, advance: advance(character) }
}

pub(super) fn advance(character: char) -> f32 {
    let glyph = FONT.glyph(character).min(FONT.widths.saturating_sub(1));
    number(FONT.hmtx + 4 * glyph) as f32 / FONT.em
}

/// The unsigned number of two bytes there; 0 beyond the end.
fn number(at: usize) -> usize {
    match FILE.get(at..at + 2) {
        Some(&[high, low]) => usize::from(u16::from_be_bytes([high, low])),
        _ => 0,
    }
}

fn signed(at: usize) -> i32 {
    i32::from(number(at) as u16 as i16)
}

fn long(at: usize) -> usize {
    number(at) << 16 | number(at + 2)
}

fn byte(at: usize) -> u8 {
    FILE.get(at).copied().unwrap_or(0)
}

impl Font {
    fn new() -> Font {
        let tables = (0..number(4)).map(|i| 12 + 16 * i);
        let table = |name: &[u8]| {
            let mut named = tables.clone().filter(|&at| FILE.get(at..at + 4) == Some(name));
            named.next().map_or(FILE.len(), |at| long(at + 8))
        };
        let (head, cmap) = (table(b"head"), table(b"cmap"));
        let parts = (0..number(cmap + 2)).map(|i| cmap + long(cmap + 8 + 8 * i));
        Font {
            loca: table(b"loca"),
            glyf: table(b"glyf"),
            hmtx: table(b"hmtx"),
            segments: parts.clone().find(|&at| number(at) == 4).unwrap_or(FILE.len()),
            long: number(head + 50) == 1,
            widths: number(table(b"hhea") + 34),
            em: number(head + 18).max(1) as f32,
        }
    }

    /// The number of a character's outline: 0, an empty box, of those that the font lacks.
    fn glyph(&self, character: char) -> usize {
        let code = character as usize;
        let bytes = number(self.segments + 6);
        let ends = self.segments + 14;
        let (starts, deltas, offsets) = (ends + bytes + 2, ends + 2 * bytes + 2, ends + 3 * bytes + 2);
        let segment = (0..bytes).step_by(2).find(|at| code <= number(ends + at));
        let Some(at) = segment.filter(|at| (number(starts + at)..=number(ends + at)).contains(&code)) else { return 0 };
        let (delta, offset) = (number(deltas + at), number(offsets + at));
        let base = if offset == 0 { code } else { number(offsets + at + offset + 2 * (code - number(starts + at))) };
        if base == 0 { 0 } else { (base + delta) & 0xffff }
    }

    /// Adds a glyph's polygons, in the font's units.
    fn outline(&self, glyph: usize, depth: u32, polygons: &mut Vec<Vec<Point>>) {
        let place = |glyph: usize| match self.long {
            true => long(self.loca + 4 * glyph),
            false => 2 * number(self.loca + 2 * glyph),
        };
        let at = self.glyf + place(glyph);
        if place(glyph) == place(glyph + 1) || depth == 0 {
            return;
        }
        match signed(at) {
            count @ 1.. => simple(at + 10, count as usize, polygons),
            0 => {}
            _ => self.composite(at + 10, depth, polygons),
        }
    }

    /// Adds the parts of a glyph that is put together from others, as á from a and ´.
    fn composite(&self, mut at: usize, depth: u32, polygons: &mut Vec<Vec<Point>>) {
        loop {
            let (flags, part) = (number(at), number(at + 2));
            at += 4;
            let (dx, dy) = match flags & 1 {
                1 => (signed(at) as f32, signed(at + 2) as f32),
                _ => (f32::from(byte(at) as i8), f32::from(byte(at + 1) as i8)),
            };
            at += if flags & 1 == 1 { 4 } else { 2 };
            let scale = |at: usize| signed(at) as f32 / 16384.0;
            let ([xx, xy, yx, yy], scales) = match flags & (0x08 | 0x40 | 0x80) {
                0x08 => ([scale(at), 0.0, 0.0, scale(at)], 1),
                0x40 => ([scale(at), 0.0, 0.0, scale(at + 2)], 2),
                0x80 => ([scale(at), scale(at + 2), scale(at + 4), scale(at + 6)], 4),
                _ => ([1.0, 0.0, 0.0, 1.0], 0),
            };
            at += 2 * scales;
            let mut moved = Vec::new();
            self.outline(part, depth - 1, &mut moved);
            for (x, y) in moved.iter_mut().flatten() {
                (*x, *y) = (xx * *x + yx * *y + dx, xy * *x + yy * *y + dy);
            }
            polygons.append(&mut moved);
            if flags & 0x20 == 0 {
                return;
            }
        }
    }
}

/// Adds the closed curves of a glyph: the last point of each, instructions that are passed over, then flags and coordinates,
/// each from the point before.
fn simple(at: usize, count: usize, polygons: &mut Vec<Vec<Point>>) {
    let ends: Vec<usize> = (0..count).map(|i| number(at + 2 * i) + 1).collect();
    let points = ends.last().copied().unwrap_or(0);
    let mut at = at + 2 * count;
    at += 2 + number(at);
    let mut flags = Vec::with_capacity(points);
    while flags.len() < points {
        let flag = byte(at);
        let times = if flag & 8 != 0 { usize::from(byte(at + 1)) + 1 } else { 1 };
        at += if flag & 8 != 0 { 2 } else { 1 };
        flags.extend(std::iter::repeat_n(flag, times));
    }
    let mut coordinates = |short: u8, same: u8| -> Vec<f32> {
        let mut sum = 0;
        let next = |flag: &u8| {
            let (step, bytes) = match (flag & short != 0, flag & same != 0) {
                (true, positive) => (i32::from(byte(at)) * if positive { 1 } else { -1 }, 1),
                (false, true) => (0, 0),
                (false, false) => (signed(at), 2),
            };
            at += bytes;
            sum += step;
            sum as f32
        };
        flags[..points].iter().map(next).collect()
    };
    let (xs, ys) = (coordinates(2, 16), coordinates(4, 32));
    let mut begin = 0;
    for end in ends {
        if begin < end.min(points) {
            let curve: Vec<_> = (begin..end).map(|i| ((xs[i], ys[i]), flags[i] & 1 == 1)).collect();
            polygons.push(flat(&curve));
        }
        begin = end;
    }
}

/// A closed curve as a polygon. Its points lie on it or, as the flag says, beside it: those pull it as the control points of
/// quadratic splines do, and between two of them it passes the middle.
fn flat(curve: &[(Point, bool)]) -> Vec<Point> {
    let middle = |a: Point, b: Point| ((a.0 + b.0) / 2.0, (a.1 + b.1) / 2.0);
    let mut polygon = Vec::new();
    for (i, &(point, on)) in curve.iter().enumerate() {
        if on {
            polygon.push(point);
            continue;
        }
        let [before, after] = [i + curve.len() - 1, i + 1].map(|neighbor| {
            let (neighbor, on) = curve[neighbor % curve.len()];
            if on { neighbor } else { middle(neighbor, point) }
        });
        polygon.extend((0..=STEPS).map(|step| {
            let t = step as f32 / STEPS as f32;
            let weights = [(1.0 - t) * (1.0 - t), 2.0 * t * (1.0 - t), t * t];
            let along = |[a, b, c]: [f32; 3]| weights[0] * a + weights[1] * b + weights[2] * c;
            (along([before.0, point.0, after.0]), along([before.1, point.1, after.1]))
        }));
    }
    polygon
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Width and height of what is drawn.
    fn size(character: char) -> (f32, f32) {
        let letter = letter(character);
        let points = || letter.outline.iter().flatten();
        let spread = |of: fn(&Point) -> f32| {
            points().map(of).fold(f32::MIN, f32::max) - points().map(of).fold(f32::MAX, f32::min)
        };
        (spread(|point| point.0), spread(|point| point.1))
    }

    #[test]
    fn letters_have_their_outlines_and_widths() {
        // DejaVu Sans has 2048 units in its em: a capital is 1493 high; an H is 1540 wide, an i 569.
        assert_eq!(FONT.em, 2048.0);
        assert_eq!((letter('H').outline.len(), size('H').1 * 2048.0), (1, 1493.0));
        assert_eq!([advance('H'), advance('i'), advance('0')].map(|width| width * 2048.0), [1540.0, 569.0, 1303.0]);
        let counts = ['o', 'i', 'B', 'é', ' ', '8'].map(|character| letter(character).outline.len());
        assert_eq!(counts, [2, 2, 3, 3, 0, 3]);
        // An accent stands above its letter.
        assert!(size('é').1 > 1.2 * size('e').1 && (size('é').0 - size('e').0).abs() < 0.01);
    }

    #[test]
    fn every_character_has_something_to_show() {
        let drawn = ('!'..='~').chain("äéßÆçñ…×·−–Ωλπжя".chars());
        for character in drawn {
            let (width, height) = size(character);
            assert!(FONT.glyph(character) > 0 && width > 0.02 && height > 0.02, "{character}: {width} × {height}");
            assert!(width < 1.2 && height < 1.2 && advance(character) > 0.2, "{character}: {width} × {height}");
        }
        // What the font lacks is a box.
        for character in ['漢', '🔥', '\u{10ffff}'] {
            assert_eq!((FONT.glyph(character), letter(character).outline.len()), (0, 2), "{character}");
        }
    }
}
