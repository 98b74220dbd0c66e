//! How much of each pixel a shape covers.

use super::Point;

/// The pixels that polygons may touch, with their cells.
struct Field {
    left: usize,
    top: usize,
    width: usize,
    /// Row by row. A cell holds by how much a pixel's coverage differs from its left neighbor's; what an edge passes on to the
    /// right of the last pixel has two more.
    cells: Vec<f32>,
    /// The cells of each row that are not 0 lie from the first on and before the second.
    touched: Vec<(usize, usize)>,
}

/// Hands the exact coverage of closed polygons, from 0 to 1, to `paint`: row, column, and the parts from there on to the right.
/// It comes from the signed areas beside their edges, as in Raph Levien's font-rs. Polygons that turn the same way add up, those
/// that turn the other way are holes. What is beyond `width` × `height` pixels is left out.
pub(super) fn cover(
    polygons: &[Vec<Point>],
    (width, height): (usize, usize),
    mut paint: impl FnMut(usize, usize, &[f32]),
) {
    let points = || polygons.iter().flatten();
    let low = |of: fn(&Point) -> f32| points().map(of).fold(f32::INFINITY, f32::min).floor().max(0.0) as usize;
    let high = |of: fn(&Point) -> f32, most: usize| {
        (points().map(of).fold(f32::NEG_INFINITY, f32::max).ceil().max(0.0) as usize).min(most)
    };
    let (left, top) = (low(|point| point.0), low(|point| point.1));
    let (right, bottom) = (high(|point| point.0, width), high(|point| point.1, height));
    if left >= right || top >= bottom {
        return;
    }
    let (width, height) = (right - left, bottom - top);
    let (cells, touched) = (vec![0.0; (width + 2) * height], vec![(width, 0); height]);
    let mut field = Field { left, top, width, cells, touched };
    for polygon in polygons {
        let ends = polygon.iter().cycle().skip(1);
        polygon.iter().zip(ends).for_each(|(&from, &to)| field.edge(from, to));
    }
    for (y, row) in field.cells.chunks_exact_mut(width + 2).enumerate() {
        let (first, end) = field.touched[y];
        if first >= end {
            continue;
        }
        let mut sum = 0.0;
        let parts = &mut row[first..end.min(width)];
        for part in parts.iter_mut() {
            sum += *part;
            *part = f32::min(f32::abs(sum), 1.0);
        }
        paint(top + y, left + first, parts);
    }
}

impl Field {
    /// Adds an edge: in each row that it passes, the area between it and the right.
    fn edge(&mut self, from: Point, to: Point) {
        let moved = |(x, y): Point| (x - self.left as f32, y - self.top as f32);
        let (from, to) = (moved(from), moved(to));
        let (sign, upper, lower) = if from.1 < to.1 { (1.0, from, to) } else { (-1.0, to, from) };
        let slope = (lower.0 - upper.0) / (lower.1 - upper.1);
        let first = upper.1.max(0.0) as usize;
        let rows = self.cells.chunks_exact_mut(self.width + 2).zip(&mut self.touched).enumerate().skip(first);
        for (y, (row, touched)) in rows {
            let (begin, end) = (upper.1.max(y as f32), lower.1.min((y + 1) as f32));
            if begin >= end {
                break;
            }
            let at = |y: f32| (upper.0 + slope * (y - upper.1)).clamp(0.0, self.width as f32);
            let (a, b) = (at(begin), at(end));
            let (low, high) = (a.min(b), a.max(b));
            span(row, low, high, sign * (end - begin));
            *touched = (touched.0.min(low as usize), touched.1.max(high as usize + 2));
        }
    }
}

/// Adds the part of an edge within a row, `height` high, which goes from x = `low` to `high`.
fn span(row: &mut [f32], low: f32, high: f32, height: f32) {
    // The area that lies right of the edge and left of x, in a row of height 1.
    let area = |x: f32| {
        if x >= high { x - (low + high) / 2.0 } else { (x - low) * (x - low) / (2.0 * (high - low)) }
    };
    let (mut area_before, mut covered_before) = (0.0, 0.0);
    for (x, cell) in row.iter_mut().enumerate().skip(low as usize) {
        let right = (x + 1) as f32;
        let area_here = area(right);
        let covered = if right > high + 1.0 { 1.0 } else { area_here - area_before };
        *cell += (covered - covered_before) * height;
        if right > high + 1.0 {
            break;
        }
        (area_before, covered_before) = (area_here, covered);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where rows begin, and their parts that are not 0.
    fn rows(polygons: &[Vec<Point>]) -> Vec<((usize, usize), Vec<f32>)> {
        let mut rows = Vec::new();
        cover(polygons, (8, 8), |y, x, parts| {
            let end = parts.iter().rposition(|&part| part > 0.0).map_or(0, |last| last + 1);
            rows.push(((x, y), parts[..end].to_vec()));
        });
        rows
    }

    #[test]
    fn pixels_are_covered_by_their_parts() {
        let square = vec![(1.5, 2.0), (3.0, 2.0), (3.0, 2.5), (1.5, 2.5)];
        assert_eq!(rows(&[square]), [((1, 2), vec![0.25, 0.5])]);
        let triangle = vec![(0.0, 0.0), (4.0, 0.0), (0.0, 2.0)];
        assert_eq!(rows(&[triangle]), [((0, 0), vec![1.0, 1.0, 0.75, 0.25]), ((0, 1), vec![0.75, 0.25])]);
    }

    #[test]
    fn holes_turn_the_other_way() {
        let square = |low: f32, high: f32| vec![(low, low), (high, low), (high, high), (low, high)];
        let hole = square(1.0, 2.0).into_iter().rev().collect();
        let parts: Vec<_> = rows(&[square(0.0, 3.0), hole]).into_iter().map(|(_, parts)| parts).collect();
        assert_eq!(parts, [[1.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 1.0]]);
        // The same twice is no darker.
        assert_eq!(rows(&[square(0.0, 1.0), square(0.0, 1.0)]), [((0, 0), vec![1.0])]);
    }

    #[test]
    fn what_is_beyond_the_picture_is_left_out() {
        let wide = vec![(-100.0, 6.0), (100.0, 6.0), (100.0, 99.0), (-100.0, 99.0)];
        assert_eq!(rows(&[wide]), [((0, 6), vec![1.0; 8]), ((0, 7), vec![1.0; 8])]);
        for (x, y) in [(-50.0, 0.0), (50.0, 0.0), (0.0, -50.0), (0.0, 50.0)] {
            let outside = vec![(x, y), (x + 5.0, y), (x + 5.0, y + 5.0)];
            assert!(rows(&[outside]).iter().all(|(_, parts)| parts.is_empty()), "{x} {y}");
        }
        assert_eq!(rows(&[]), []);
    }
}
