//! Visitors: how parameters and buffers are shown, and collected by path.

use crate::{Buffer, Carried, Param, Path, Segment};

/// What is shown parameters and buffers. `enter` and `leave` tell the path; a visitor that needs no path ignores them,
/// and then a visit costs a call and nothing more.
pub trait Visitor<'m> {
    /// What follows, up to the matching [`leave`](Visitor::leave), is below this segment.
    fn enter(&mut self, segment: Segment<'_>) {
        let _ = segment;
    }
    /// Back up.
    fn leave(&mut self) {}
    /// A parameter.
    fn parameter(&mut self, parameter: &'m Param);
    /// A buffer.
    fn buffer(&mut self, buffer: &'m Buffer) {
        let _ = buffer;
    }
    /// What is carried from one batch to the next.
    fn carried(&mut self, carried: &'m Carried) {
        let _ = carried;
    }
}

/// As [`Visitor`], of what may be changed. The references live as long as the module's, so they can be gathered.
pub trait VisitorMut<'m> {
    /// What follows, up to the matching [`leave`](VisitorMut::leave), is below this segment.
    fn enter(&mut self, segment: Segment<'_>) {
        let _ = segment;
    }
    /// Back up.
    fn leave(&mut self) {}
    /// A parameter.
    fn parameter(&mut self, parameter: &'m mut Param);
    /// A buffer.
    fn buffer(&mut self, buffer: &'m mut Buffer) {
        let _ = buffer;
    }
}

/// A visitor of what is found, with its path.
struct Paths<F> {
    path: Path,
    found: F,
}

impl<F> Paths<F> {
    fn new(found: F) -> Self {
        Paths { path: Path::new(), found }
    }
}

/// What [`Paths`] found.
enum Found<'m> {
    Parameter(&'m Param),
    Buffer(&'m Buffer),
    Carried(&'m Carried),
}

/// What [`Paths`] found, to be changed.
enum FoundMut<'m> {
    Parameter(&'m mut Param),
    Buffer(&'m mut Buffer),
}

impl<'m, F: FnMut(&str, Found<'m>)> Visitor<'m> for Paths<F> {
    fn enter(&mut self, segment: Segment<'_>) {
        self.path.push(segment);
    }
    fn leave(&mut self) {
        self.path.pop();
    }
    fn parameter(&mut self, parameter: &'m Param) {
        (self.found)(self.path.as_str(), Found::Parameter(parameter));
    }
    fn buffer(&mut self, buffer: &'m Buffer) {
        (self.found)(self.path.as_str(), Found::Buffer(buffer));
    }
    fn carried(&mut self, carried: &'m Carried) {
        (self.found)(self.path.as_str(), Found::Carried(carried));
    }
}

impl<'m, F: FnMut(&str, FoundMut<'m>)> VisitorMut<'m> for Paths<F> {
    fn enter(&mut self, segment: Segment<'_>) {
        self.path.push(segment);
    }
    fn leave(&mut self) {
        self.path.pop();
    }
    fn parameter(&mut self, parameter: &'m mut Param) {
        (self.found)(self.path.as_str(), FoundMut::Parameter(parameter));
    }
    fn buffer(&mut self, buffer: &'m mut Buffer) {
        (self.found)(self.path.as_str(), FoundMut::Buffer(buffer));
    }
}

/// All that a module owns, with its paths, in order.
pub(crate) struct Collected<P, B> {
    pub(crate) parameters: Vec<(String, P)>,
    pub(crate) buffers: Vec<(String, B)>,
}

/// What a module's `visit` shows.
pub(crate) fn collect<'m>(visit: impl FnOnce(&mut dyn Visitor<'m>)) -> Collected<&'m Param, &'m Buffer> {
    let mut all = Collected { parameters: Vec::new(), buffers: Vec::new() };
    visit(&mut Paths::new(|path: &str, found| match found {
        Found::Parameter(parameter) => all.parameters.push((path.to_owned(), parameter)),
        Found::Buffer(buffer) => all.buffers.push((path.to_owned(), buffer)),
        Found::Carried(_) => {}
    }));
    all
}

/// What layers carry from one batch to the next, as a module's `visit` shows it.
pub(crate) fn collect_carried<'m>(visit: impl FnOnce(&mut dyn Visitor<'m>)) -> Vec<(String, &'m Carried)> {
    let mut all = Vec::new();
    visit(&mut Paths::new(|path: &str, found| {
        if let Found::Carried(carried) = found {
            all.push((path.to_owned(), carried));
        }
    }));
    all
}

/// What a module's `visit_mut` shows.
pub(crate) fn collect_mut<'m>(visit: impl FnOnce(&mut dyn VisitorMut<'m>)) -> Collected<&'m mut Param, &'m mut Buffer> {
    let mut all = Collected { parameters: Vec::new(), buffers: Vec::new() };
    visit(&mut Paths::new(|path: &str, found| match found {
        FoundMut::Parameter(parameter) => all.parameters.push((path.to_owned(), parameter)),
        FoundMut::Buffer(buffer) => all.buffers.push((path.to_owned(), buffer)),
    }));
    all
}
