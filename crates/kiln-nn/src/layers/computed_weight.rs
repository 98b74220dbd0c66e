//! A layer with a parameter that is computed from others: what weight and spectral normalization have in common.

use crate::{AnyLayer, Buffer, Carried, Ctx, Module, Param, Path, Segment, Value, Visitor, VisitorMut};
use kiln_autograd::Var;
use kiln_tensor::{Error, Result};
use serde_json::{Map, Value as Json};

/// A layer, and the path of its parameter that is computed. The parameter's own value is what is learned, under a name with a suffix.
pub(super) struct ComputedWeight {
    layer: Box<dyn AnyLayer>,
    path: String,
    suffix: &'static str,
}

impl ComputedWeight {
    /// Of the parameter `weight`.
    pub(super) fn new(layer: Box<dyn AnyLayer>, suffix: &'static str) -> Self {
        ComputedWeight { layer, path: "weight".to_owned(), suffix }
    }

    /// The same of another parameter.
    pub(super) fn set_path(&mut self, path: String) {
        self.path = path;
    }

    pub(super) fn layer(&self) -> &dyn AnyLayer {
        &*self.layer
    }

    pub(super) fn layer_mut(&mut self) -> &mut dyn AnyLayer {
        &mut *self.layer
    }

    /// The parameter, once the layer is built.
    pub(super) fn parameter(&self) -> Result<&Param> {
        let parameters = self.layer.parameters();
        let names: Vec<&str> = parameters.iter().map(|(path, _)| path.as_str()).collect();
        let Some(at) = names.iter().position(|name| *name == self.path) else {
            let message = match names.is_empty() {
                true => format!("{} has no parameters, or is not built", self.layer.name()),
                false => format!(
                    "{} has no parameter `{}`, but {}: name one with `.parameter(…)`",
                    self.layer.name(),
                    self.path,
                    names.join(", ")
                ),
            };
            return Err(Error::value("reparametrize", message));
        };
        Ok(parameters[at].1)
    }

    /// The layer's output with `weight` in the parameter's place.
    pub(super) fn forward(&self, parameter: &Param, weight: Var, x: Value, ctx: &Ctx) -> Result<Value> {
        ctx.replacing(parameter, weight, || self.layer.forward_any(x, ctx))
    }

    /// The inner layer's description and the parameter's path.
    pub(super) fn config(&self) -> Option<Map<String, Json>> {
        let Json::Object(mut inner) = self.layer.config()? else { return None };
        inner.entry("layer").or_insert_with(|| self.layer.name().into());
        Some(Map::from_iter([
            ("inner".to_owned(), Json::Object(inner)),
            ("parameter".to_owned(), self.path.as_str().into()),
        ]))
    }

    /// The path of something beside the parameter: its own with this suffix.
    pub(super) fn beside(&self, suffix: &str) -> String {
        format!("{}{suffix}", self.path)
    }
}

impl Module for ComputedWeight {
    fn visit<'m>(&'m self, visitor: &mut dyn Visitor<'m>) {
        let ComputedWeight { layer, path, suffix } = self;
        layer.visit(&mut Renaming { inner: visitor, at: Path::new(), path, suffix });
    }
    fn visit_mut<'m>(&'m mut self, visitor: &mut dyn VisitorMut<'m>) {
        let ComputedWeight { layer, path, suffix } = self;
        layer.visit_mut(&mut Renaming { inner: visitor, at: Path::new(), path, suffix });
    }
}

/// Shows a module to a visitor at a dotted path.
pub(super) fn visit_at<'m>(path: &str, module: &'m dyn Module, visitor: &mut dyn Visitor<'m>) {
    path.split('.').for_each(|name| visitor.enter(Segment::Name(name)));
    module.visit(visitor);
    path.split('.').for_each(|_| visitor.leave());
}

/// As [`visit_at`], to be changed.
pub(super) fn visit_mut_at<'m>(path: &str, module: &'m mut dyn Module, visitor: &mut dyn VisitorMut<'m>) {
    path.split('.').for_each(|name| visitor.enter(Segment::Name(name)));
    module.visit_mut(visitor);
    path.split('.').for_each(|_| visitor.leave());
}

/// A visitor that calls what is at one path by a name with a suffix.
struct Renaming<'r, V: ?Sized> {
    inner: &'r mut V,
    at: Path,
    path: &'r str,
    suffix: &'static str,
}

impl<V: ?Sized> Renaming<'_, V> {
    /// One step down, under the new name where it is the one.
    fn down(&mut self, segment: Segment<'_>, enter: impl FnOnce(&mut V, Segment<'_>)) {
        let name = segment.to_string() + self.suffix;
        self.at.push(segment);
        let is_the_one = self.at.as_str() == self.path;
        enter(self.inner, if is_the_one { Segment::Name(&name) } else { segment });
    }
}

impl<'m> Visitor<'m> for Renaming<'_, dyn Visitor<'m> + '_> {
    fn enter(&mut self, segment: Segment<'_>) {
        self.down(segment, |inner, segment| inner.enter(segment));
    }
    fn leave(&mut self) {
        self.at.pop();
        self.inner.leave();
    }
    fn parameter(&mut self, parameter: &'m Param) {
        self.inner.parameter(parameter);
    }
    fn buffer(&mut self, buffer: &'m Buffer) {
        self.inner.buffer(buffer);
    }
    fn carried(&mut self, carried: &'m Carried) {
        self.inner.carried(carried);
    }
}

impl<'m> VisitorMut<'m> for Renaming<'_, dyn VisitorMut<'m> + '_> {
    fn enter(&mut self, segment: Segment<'_>) {
        self.down(segment, |inner, segment| inner.enter(segment));
    }
    fn leave(&mut self) {
        self.at.pop();
        self.inner.leave();
    }
    fn parameter(&mut self, parameter: &'m mut Param) {
        self.inner.parameter(parameter);
    }
    fn buffer(&mut self, buffer: &'m mut Buffer) {
        self.inner.buffer(buffer);
    }
}
