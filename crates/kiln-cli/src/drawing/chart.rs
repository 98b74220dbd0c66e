//! Lines over the same axes, with a legend.

use super::axis::Axis;
use super::canvas::{Align, Canvas, Font, Ink, Point, SCALE};

/// Points of a line's height in the legend, of a line's sample there, and of the room around.
const ROW: f32 = 18.0;
const SAMPLE: f32 = 20.0;
const ROOM: f32 = 8.0;

/// The part of the width that a legend takes at most.
const LEGEND: f32 = 0.75;

/// How a line is drawn.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Look {
    /// With a dot for each number too, where those are few.
    Solid,
    Dashed,
    /// Without a line.
    Dots,
}

/// A line over the axes. It is broken where a number is not finite, and outside of the axes.
pub(crate) struct Line {
    /// What the legend says of it.
    pub(crate) label: Option<String>,
    pub(crate) points: Vec<(f64, f64)>,
    pub(crate) ink: Ink,
    pub(crate) look: Look,
    /// A number that is marked by a ring.
    pub(crate) mark: Option<(f64, f64)>,
}

/// Axes with their names, and what is drawn over them.
pub(crate) struct Chart<'a> {
    pub(crate) title: &'a str,
    pub(crate) x: (&'a str, Axis),
    pub(crate) y: (&'a str, Axis),
    pub(crate) lines: &'a [Line],
}

/// The rectangle between the axes.
#[derive(Clone, Copy)]
struct Frame {
    left: f32,
    top: f32,
    width: f32,
    height: f32,
}

impl Chart<'_> {
    /// Draws the chart, with all its labels, in the place at `left` and `top` of this size.
    pub(crate) fn draw(&self, canvas: &mut Canvas, (left, top): Point, (width, height): Point) {
        let Chart { x: (x_name, _), y: (y_name, y), .. } = *self;
        let labels = y.ticks().map(|tick| Font::LABEL.width(&y.label(tick))).fold(0.0, f32::max);
        let [beside, below] = [y_name, x_name].map(|name| if name.is_empty() { 0.0 } else { 22.0 });
        let (before, above) = (labels + beside + 20.0, 38.0);
        let frame = Frame {
            left: left + before,
            top: top + above,
            width: width - before - 24.0,
            height: height - above - below - 30.0,
        };
        let title = Font::TITLE.fitted(self.title, frame.width);
        canvas.text(&title, (frame.left + frame.width / 2.0, top + 20.0), Font::TITLE.align(Align::Center));
        let middle = (frame.left + frame.width / 2.0, frame.bottom() + 38.0);
        canvas.text(x_name, middle, Font::LABEL.align(Align::Center));
        let middle = (left + 14.0, frame.top + frame.height / 2.0);
        canvas.text(y_name, middle, Font::LABEL.align(Align::Center).upward());
        self.axes(canvas, frame);
        let runs: Vec<Vec<Vec<Point>>> = self.lines.iter().map(|line| self.runs(frame, line)).collect();
        for (line, runs) in self.lines.iter().zip(&runs) {
            line.draw(canvas, runs);
        }
        for line in self.lines {
            if let Some(at) = line.mark {
                let at = self.at(frame, at);
                canvas.disk(at, 6.0, line.ink);
                canvas.disk(at, 4.0, Ink::WHITE);
                canvas.disk(at, 2.5, line.ink);
            }
        }
        if runs.iter().all(Vec::is_empty) {
            let middle = (frame.left + frame.width / 2.0, frame.top + frame.height / 2.0);
            canvas.text("no finite number", middle, Font::LABEL.align(Align::Center));
        }
        self.legend(canvas, frame, &taken(&runs));
    }

    /// Where a pair of numbers is.
    fn at(&self, frame: Frame, (x, y): (f64, f64)) -> Point {
        let (right, up) = (self.x.1.place(x) as f32, self.y.1.place(y) as f32);
        (frame.left + right * frame.width, frame.bottom() - up * frame.height)
    }

    fn axes(&self, canvas: &mut Canvas, frame: Frame) {
        let (bottom, right) = (frame.bottom(), frame.left + frame.width);
        let ((_, x), (_, y)) = (&self.x, &self.y);
        // Whole pixels are sharp.
        let sharp = |at: f32| (2.0 * at).round() / 2.0;
        for tick in x.ticks() {
            let at = sharp(frame.left + x.place(tick) as f32 * frame.width);
            canvas.rectangle((at - 0.5, frame.top), (1.0, frame.height), Ink::PALE);
            canvas.rectangle((at - 0.5, bottom), (1.0, 4.0), Ink::GRAY);
            canvas.text(&x.label(tick), (at, bottom + 14.0), Font::LABEL.align(Align::Center));
        }
        for tick in y.ticks() {
            let at = sharp(bottom - y.place(tick) as f32 * frame.height);
            canvas.rectangle((frame.left, at - 0.5), (frame.width, 1.0), Ink::PALE);
            canvas.rectangle((frame.left - 4.0, at - 0.5), (4.0, 1.0), Ink::GRAY);
            canvas.text(&y.label(tick), (frame.left - 9.0, at), Font::LABEL.align(Align::Right));
        }
        let (left, bottom) = (sharp(frame.left), sharp(bottom));
        canvas.rectangle((left - 0.5, frame.top), (1.0, bottom - frame.top), Ink::GRAY);
        canvas.rectangle((left - 0.5, bottom - 0.5), (right - left, 1.0), Ink::GRAY);
    }

    /// The parts of a line that are drawn: without what is not finite or outside of the axes.
    fn runs(&self, frame: Frame, line: &Line) -> Vec<Vec<Point>> {
        let inside =
            |&(x, y): &(f64, f64)| (0.0..=1.0).contains(&self.x.1.place(x)) && (0.0..=1.0).contains(&self.y.1.place(y));
        let parts = line.points.split(|point| !inside(point)).filter(|part| !part.is_empty());
        parts.map(|part| thinned(part.iter().map(|&point| self.at(frame, point)))).collect()
    }

    /// The legend, in the corner where it hides least of the lines.
    fn legend(&self, canvas: &mut Canvas, frame: Frame, taken: &[Point]) {
        let entries: Vec<(&Line, &str)> =
            self.lines.iter().filter_map(|line| Some((line, line.label.as_deref()?))).collect();
        if entries.is_empty() {
            return;
        }
        let fits = (((frame.height - 4.0 * ROOM) / ROW) as usize).max(2);
        let shown = if entries.len() > fits { fits - 1 } else { entries.len() };
        let more = entries.len() - shown;
        let rest = if more > 0 { format!("and {more} more") } else { String::new() };
        let room = LEGEND * frame.width - SAMPLE - 3.0 * ROOM;
        let labels: Vec<String> = entries[..shown].iter().map(|(_, label)| Font::LABEL.fitted(label, room)).collect();
        let widest = labels.iter().chain([&rest]).map(|label| Font::LABEL.width(label)).fold(0.0, f32::max);
        let size = (widest + SAMPLE + 3.0 * ROOM, ROW * (shown + usize::from(more > 0)) as f32 + ROOM);
        let (left, top) = frame.corner(size, taken);
        canvas.rectangle((left, top), size, Ink::WHITE.opacity(0.85));
        canvas.frame((left, top), size, 1.0, Ink::PALE);
        let begin = left + ROOM;
        let rows = (0..).map(|row| top + ROOM / 2.0 + ROW * (row as f32 + 0.5));
        for ((y, (line, _)), label) in rows.clone().zip(&entries).zip(&labels) {
            line.sample(canvas, (begin, y));
            canvas.text(label, (begin + SAMPLE + ROOM, y), Font::LABEL);
        }
        for y in rows.skip(shown).take(1) {
            canvas.text(&rest, (begin + SAMPLE + ROOM, y), Font::LABEL);
        }
    }
}

impl Line {
    fn draw(&self, canvas: &mut Canvas, runs: &[Vec<Point>]) {
        let few = runs.iter().map(Vec::len).sum::<usize>() < 40;
        for run in runs {
            match self.look {
                Look::Solid => canvas.line(run, 2.0, self.ink),
                Look::Dashed => canvas.dashed(run, 2.0, self.ink),
                Look::Dots => {}
            }
            // A number between two that are not drawn has no line.
            if self.look == Look::Dots || self.look == Look::Solid && few || run.len() == 1 {
                run.iter().for_each(|&at| canvas.disk(at, 2.5, self.ink));
            }
        }
    }

    /// What stands for it in the legend.
    fn sample(&self, canvas: &mut Canvas, (x, y): Point) {
        match self.look {
            Look::Solid => canvas.line(&[(x, y), (x + SAMPLE, y)], 2.0, self.ink),
            Look::Dashed => canvas.dashed(&[(x, y), (x + SAMPLE, y)], 2.0, self.ink),
            Look::Dots => canvas.disk((x + SAMPLE / 2.0, y), 2.5, self.ink),
        }
    }
}

impl Frame {
    fn bottom(self) -> f32 {
        self.top + self.height
    }

    /// The corner where a box of this size lies on the fewest of these places; the upper right one before the others.
    fn corner(self, (width, height): Point, taken: &[Point]) -> Point {
        let (left, right) = (self.left + ROOM, self.left + self.width - width - ROOM);
        let (top, bottom) = (self.top + ROOM, self.bottom() - height - ROOM);
        let hidden = |&(left, top): &Point| {
            let within = |from: f32, size: f32, at: f32| (from - 6.0..=from + size + 6.0).contains(&at);
            taken.iter().filter(|at| within(left, width, at.0) && within(top, height, at.1)).count()
        };
        let corners = [(right, top), (right, bottom), (left, bottom), (left, top)];
        corners.into_iter().min_by_key(hidden).unwrap_or((right, top))
    }
}

/// Places that lines pass, close enough to each other that no line passes a legend unseen.
fn taken(lines: &[Vec<Vec<Point>>]) -> Vec<Point> {
    let mut places = Vec::new();
    for run in lines.iter().flatten() {
        places.extend(run.first());
        for pair in run.windows(2) {
            let (from, to) = (pair[0], pair[1]);
            let steps = ((to.0 - from.0).hypot(to.1 - from.1) / ROOM).ceil().max(1.0);
            places.extend((1..=steps as usize).map(|step| {
                let part = step as f32 / steps;
                (from.0 + part * (to.0 - from.0), from.1 + part * (to.1 - from.1))
            }));
        }
    }
    places
}

/// No more points than a picture shows: of those that fall on the same pixel column, one after the other, the first, the
/// lowest, the highest and the last.
fn thinned(points: impl Iterator<Item = Point>) -> Vec<Point> {
    let mut kept = Vec::new();
    let mut column: Option<Column> = None;
    for (i, at) in points.enumerate() {
        match &mut column {
            Some(column) if column.pixel() == (SCALE as f32 * at.0).floor() => column.add((i, at)),
            _ => {
                column.take().into_iter().for_each(|column| kept.extend(column.points()));
                column = Some(Column { first: (i, at), low: (i, at), high: (i, at), last: (i, at) });
            }
        }
    }
    column.into_iter().for_each(|column| kept.extend(column.points()));
    kept
}

/// Points of a pixel column with their numbers.
struct Column {
    first: (usize, Point),
    low: (usize, Point),
    high: (usize, Point),
    last: (usize, Point),
}

impl Column {
    fn pixel(&self) -> f32 {
        (SCALE as f32 * self.first.1.0).floor()
    }

    fn add(&mut self, point: (usize, Point)) {
        let y = |point: (usize, Point)| point.1.1;
        self.last = point;
        if y(point) < y(self.low) {
            self.low = point;
        }
        if y(point) > y(self.high) {
            self.high = point;
        }
    }

    /// In their order, each once.
    fn points(self) -> impl Iterator<Item = Point> {
        let mut points = vec![self.first, self.low, self.high, self.last];
        points.sort_by_key(|point| point.0);
        points.dedup_by_key(|point| point.0);
        points.into_iter().map(|(_, at)| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_their_shape_when_they_are_thinned() {
        let few = [(0.0, 3.0), (1.0, 2.0), (2.0, 5.0)];
        assert_eq!(thinned(few.into_iter()), few);
        // Ten thousand points on three pixel columns.
        let many = (0..30_000).map(|i| (i as f32 / 20_000.0, ((i * 7919) % 10_000) as f32));
        let kept = thinned(many.clone());
        assert!(kept.len() <= 12 && kept.is_sorted_by(|a, b| a.0 < b.0), "{kept:?}");
        for column in 0..3 {
            let within = |points: Vec<Point>| {
                let of = |at: &&Point| (2.0 * at.0).floor() == column as f32;
                let ys: Vec<f32> = points.iter().filter(of).map(|at| at.1).collect();
                let ends = (ys[0], ys[ys.len() - 1]);
                (ends, ys.iter().copied().fold(f32::MAX, f32::min), ys.iter().copied().fold(f32::MIN, f32::max))
            };
            assert_eq!(within(kept.clone()), within(many.clone().collect()));
        }
    }

    #[test]
    fn what_is_not_finite_breaks_a_line() {
        let points =
            [1.0, 2.0, f64::NAN, 3.0, f64::INFINITY, 1.0, 9.0].into_iter().zip(0..).map(|(y, x)| (f64::from(x), y));
        let line = Line { label: None, points: points.collect(), ink: Ink::DARK, look: Look::Solid, mark: None };
        let (x, y) = (("", Axis::new(0.0, 6.0, 8)), ("", Axis::new(0.0, 4.0, 8)));
        let chart = Chart { title: "", x, y, lines: &[] };
        let frame = Frame { left: 10.0, top: 10.0, width: 60.0, height: 40.0 };
        // 9 is outside of the axes.
        let runs = [vec![(10.0, 40.0), (20.0, 30.0)], vec![(40.0, 20.0)], vec![(60.0, 40.0)]];
        assert_eq!(chart.runs(frame, &line), runs);
    }

    #[test]
    fn legends_lie_where_nothing_is() {
        let frame = Frame { left: 0.0, top: 0.0, width: 400.0, height: 300.0 };
        let size = (100.0, 50.0);
        assert_eq!(frame.corner(size, &[]), (292.0, 8.0));
        assert_eq!(frame.corner(size, &[(390.0, 10.0)]), (292.0, 242.0));
        assert_eq!(frame.corner(size, &[(390.0, 10.0), (390.0, 290.0)]), (8.0, 242.0));
        // A line that only passes.
        let passing = taken(&[vec![vec![(0.0, 30.0), (400.0, 30.0)]]]);
        assert_eq!(frame.corner(size, &passing), (292.0, 242.0));
    }
}
