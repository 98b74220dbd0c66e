//! Lines with a thickness, as polygons that all turn the same way, so that what they cover twice is no darker.

use super::Point;
use std::f32::consts::{PI, TAU};

/// The polygons of a line from point to point, its corners round.
pub(super) fn line(points: &[Point], thickness: f32) -> Vec<Vec<Point>> {
    let radius = thickness / 2.0;
    let mut polygons = Vec::with_capacity(2 * points.len());
    let mut direction_before = None;
    for pair in points.windows(2) {
        let (from, to) = (pair[0], pair[1]);
        let length = (to.0 - from.0).hypot(to.1 - from.1);
        if length == 0.0 {
            continue;
        }
        // To the right of the way, as y goes down.
        let aside = (-(to.1 - from.1) / length * radius, (to.0 - from.0) / length * radius);
        let beside = |point: Point, side: f32| (point.0 + side * aside.0, point.1 + side * aside.1);
        polygons.push(vec![beside(from, -1.0), beside(to, -1.0), beside(to, 1.0), beside(from, 1.0)]);
        let direction = (to.1 - from.1).atan2(to.0 - from.0);
        if let Some(before) = direction_before {
            polygons.extend(corner(from, before, direction, radius));
        }
        direction_before = Some(direction);
    }
    polygons
}

/// What is missing at the outer side where a line turns from one direction to another, angles; nothing where it hardly turns.
fn corner(at: Point, before: f32, after: f32, radius: f32) -> Option<Vec<Point>> {
    let turn = (after - before + 3.0 * PI) % TAU - PI;
    if turn.abs() < 0.01 {
        return None;
    }
    // Where it turns to the right, the outer side is at the left.
    let outer = before - PI / 2.0 * turn.signum();
    let steps = (turn.abs() * 4.0).ceil();
    let mut fan = vec![at];
    fan.extend((0..=steps as usize).map(|step| on_circle(at, radius, outer + turn * step as f32 / steps)));
    if turn < 0.0 {
        fan.reverse();
    }
    Some(fan)
}

fn on_circle((x, y): Point, radius: f32, angle: f32) -> Point {
    (x + radius * angle.cos(), y + radius * angle.sin())
}

pub(super) fn circle(center: Point, radius: f32) -> Vec<Point> {
    (0..32).map(|step| on_circle(center, radius, TAU * step as f32 / 32.0)).collect()
}

/// The parts of a line that are drawn if so much of it is and then so much is not.
pub(super) fn dashes(points: &[Point], drawn: f32, not_drawn: f32) -> Vec<Vec<Point>> {
    let mut dashes = Vec::new();
    let mut dash: Vec<Point> = points.first().copied().into_iter().collect();
    // What is left of the dash or of the gap.
    let (mut left, mut on) = (drawn, true);
    for pair in points.windows(2) {
        let (mut from, to) = (pair[0], pair[1]);
        loop {
            let length = (to.0 - from.0).hypot(to.1 - from.1);
            if length < left {
                left -= length;
                break;
            }
            let part = left / length;
            from = (from.0 + part * (to.0 - from.0), from.1 + part * (to.1 - from.1));
            if on {
                dash.push(from);
                dashes.push(std::mem::take(&mut dash));
            } else {
                dash.push(from);
            }
            on = !on;
            left = if on { drawn } else { not_drawn };
        }
        if on {
            dash.push(to);
        }
    }
    if dash.len() > 1 {
        dashes.push(dash);
    }
    dashes
}

#[cfg(test)]
mod tests {
    use super::super::coverage::cover;
    use super::*;

    fn covered(polygons: &[Vec<Point>]) -> f32 {
        let mut sum = 0.0;
        cover(polygons, (200, 200), |_, _, parts| sum += parts.iter().sum::<f32>());
        sum
    }

    #[test]
    fn lines_cover_their_length_times_their_thickness() {
        assert!((covered(&line(&[(10.0, 10.0), (110.0, 10.0)], 2.0)) - 200.0).abs() < 0.1);
        assert!((covered(&line(&[(10.0, 10.0), (40.0, 50.0)], 2.0)) - 100.0).abs() < 0.1);
        assert!(covered(&line(&[(10.0, 10.0)], 2.0)) == 0.0 && covered(&line(&[(10.0, 10.0); 3], 2.0)) == 0.0);
    }

    #[test]
    fn corners_are_round_whichever_way_they_turn() {
        let center = (100.0, 100.0);
        for direction in 0..16 {
            for turn in 1..16 {
                let angle = |step: i32| TAU * step as f32 / 16.0;
                let from = on_circle(center, 60.0, angle(direction) + PI);
                let to = on_circle(center, 60.0, angle(direction + turn));
                let polygons = line(&[from, center, to], 20.0);
                let whole = covered(&polygons);
                // A disk about the corner adds nothing to it.
                let disk = circle(center, 10.0);
                let with_disk = covered(&[polygons, vec![disk]].concat());
                let half_open = turn == 8;
                assert!(
                    with_disk - whole < 10.0 && (half_open || whole > 1200.0),
                    "{direction} {turn}: {whole} {with_disk}"
                );
            }
        }
    }

    #[test]
    fn dashes_go_around_corners() {
        let found = dashes(&[(0.0, 0.0), (6.0, 0.0), (6.0, 6.0)], 4.0, 3.0);
        assert_eq!(found, [vec![(0.0, 0.0), (4.0, 0.0)], vec![(6.0, 1.0), (6.0, 5.0)]]);
        let found = dashes(&[(0.0, 0.0), (2.0, 0.0), (2.0, 1.0)], 4.0, 3.0);
        assert_eq!(found, [vec![(0.0, 0.0), (2.0, 0.0), (2.0, 1.0)]]);
        assert!(dashes(&[], 4.0, 3.0).is_empty());
    }
}
