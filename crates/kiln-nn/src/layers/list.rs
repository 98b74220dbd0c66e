//! Layers under names or positions.

use super::held::Held;
use crate::{AnyLayer, Module, Segment, Visitor, VisitorMut};
use kiln_tensor::{Error, ErrorKind, Result};

/// Layers in order. One without a name is called by its position, as in PyTorch's containers.
#[derive(Default)]
pub(crate) struct Layers(Vec<Entry>);

pub(crate) struct Entry {
    pub(crate) name: Option<String>,
    pub(crate) layer: Held,
}

impl Layers {
    pub(crate) fn add(&mut self, name: Option<String>, layer: Box<dyn AnyLayer>) {
        self.push(Entry { name, layer: Held::new(layer) });
    }

    pub(crate) fn push(&mut self, entry: Entry) {
        self.0.push(entry);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (Segment<'_>, &(dyn AnyLayer + 'static))> {
        self.0.iter().enumerate().map(|(index, entry)| (segment(index, &entry.name), entry.layer.get()))
    }

    pub(crate) fn iter_mut(&mut self) -> impl ExactSizeIterator<Item = (Segment<'_>, &mut (dyn AnyLayer + 'static))> {
        self.0.iter_mut().enumerate().map(|(index, Entry { name, layer })| (segment(index, name), layer.get_mut()))
    }

    /// The layer at a position.
    pub(crate) fn at(&self, index: usize) -> (Segment<'_>, &(dyn AnyLayer + 'static)) {
        let Entry { name, layer } = &self.0[index];
        (segment(index, name), layer.get())
    }

    /// As [`Layers::at`], to be changed.
    pub(crate) fn at_mut(&mut self, index: usize) -> (Segment<'_>, &mut (dyn AnyLayer + 'static)) {
        let Entry { name, layer } = &mut self.0[index];
        (segment(index, name), layer.get_mut())
    }

    /// The layers with the names that were given.
    pub(crate) fn into_entries(self) -> impl Iterator<Item = Entry> {
        self.0.into_iter()
    }

    /// The same, borrowed.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.0
    }

    /// The names that were given.
    pub(crate) fn names(&self) -> impl Iterator<Item = Option<&str>> {
        self.0.iter().map(|entry| entry.name.as_deref())
    }

    /// Fails where a path would name two layers, or a name would be two steps of a path.
    pub(crate) fn check_names(&self) -> Result<()> {
        let dotted = self.names().flatten().find(|name| name.is_empty() || name.contains('.'));
        if let Some(name) = dotted {
            let message = format!("{name:?} is an invalid name of a layer: it must not be empty or contain a dot");
            return Err(Error::new(ErrorKind::Value, "build", message));
        }
        self.check_unique()
    }

    /// Fails where a path would name two layers.
    pub(crate) fn check_unique(&self) -> Result<()> {
        let mut known: Vec<String> = Vec::with_capacity(self.len());
        for (segment, _) in self.iter() {
            let name = segment.to_string();
            if known.contains(&name) {
                let message = format!("two layers are called {name}: give each a name of its own");
                return Err(Error::new(ErrorKind::Value, "build", message));
            }
            known.push(name);
        }
        Ok(())
    }
}

/// What paths call the layer at a position with this name.
pub(crate) fn segment(index: usize, name: &Option<String>) -> Segment<'_> {
    name.as_deref().map_or(Segment::Index(index), Segment::Name)
}

impl Module for Layers {
    fn visit<'m>(&'m self, visitor: &mut dyn Visitor<'m>) {
        for (segment, layer) in self.iter() {
            visitor.enter(segment);
            layer.visit(visitor);
            visitor.leave();
        }
    }
    fn visit_mut<'m>(&'m mut self, visitor: &mut dyn VisitorMut<'m>) {
        for (index, Entry { name, layer }) in self.0.iter_mut().enumerate() {
            visitor.enter(segment(index, name));
            layer.get_mut().visit_mut(visitor);
            visitor.leave();
        }
    }
}
