//! The part of a graph that leads from some inputs to some outputs.

use super::{Graph, What};
use crate::layers::Layers;
use kiln_tensor::{Error, ErrorKind, Result};

impl Graph {
    /// The model that ends at other places, by their names ([`Graph::summary`] shows them): the features of a model without its
    /// head, or several of its maps. Layers that are no longer needed are left out, and parameters keep their values and paths.
    ///
    /// ```
    /// # use kiln_nn::{Dense, Graph, Module};
    /// # fn main() -> kiln_tensor::Result<()> {
    /// # let mut g = Graph::new();
    /// # let x = g.input([4]);
    /// # let h = g.call_named("features", Dense::new(8), &x)?;
    /// # let y = g.call_named("head", Dense::new(2), &h)?;
    /// # let model = g.build(&[&x], &[&y], &kiln_tensor::Device::cpu(), 1)?;
    /// let features = model.ending_at(&["features"])?;
    /// assert_eq!(features.parameters().len(), 2);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// A name that no place has; an input that these places do not depend on.
    pub fn ending_at(mut self, outputs: &[&str]) -> Result<Self> {
        let place = |name: &&str| {
            self.places.iter().position(|place| place.name == *name).ok_or_else(|| {
                let known = self.names(&(0..self.places.len()).collect::<Vec<_>>());
                Error::new(ErrorKind::Value, "ending_at", format!("no place is called `{name}`: there are {known}"))
            })
        };
        let outputs = outputs.iter().map(place).collect::<Result<Vec<_>>>()?;
        let inputs = self.inputs.clone();
        self.keep_only(&inputs, &outputs)?;
        Ok(self)
    }

    /// Leaves out what no output depends on.
    pub(super) fn keep_only(&mut self, inputs: &[usize], outputs: &[usize]) -> Result<()> {
        let refused = |message: String| Err(Error::new(ErrorKind::Value, "build", message));
        if outputs.is_empty() {
            return refused("a graph needs an output: `g.build(&[&x], &[&y], …)`".to_owned());
        }
        for (what, places) in [("input", inputs), ("output", outputs)] {
            if let Some((_, &twice)) = places.iter().enumerate().find(|(at, place)| places[..*at].contains(place)) {
                return refused(format!("`{}` is named as {what} twice", self.places[twice].name));
            }
        }
        let needed = self.needed(outputs);
        for &input in inputs {
            let name = &self.places[input].name;
            match self.places[input].what {
                What::Call { .. } => {
                    return refused(format!("`{name}` is the output of a layer and cannot be an input"));
                }
                What::Input(_) if !needed[input] => return refused(format!("no output depends on the input `{name}`")),
                What::Input(_) => {}
            }
        }
        let missing =
            |at: &usize| needed[*at] && matches!(self.places[*at].what, What::Input(_)) && !inputs.contains(at);
        if let Some(at) = (0..self.places.len()).find(missing) {
            return refused(format!("the outputs depend on the input `{}`, which is not named", self.places[at].name));
        }
        self.renumber(&needed, inputs, outputs);
        Ok(())
    }

    /// Whether an output depends on each place.
    fn needed(&self, outputs: &[usize]) -> Vec<bool> {
        let mut needed = vec![false; self.places.len()];
        outputs.iter().for_each(|&output| needed[output] = true);
        for at in (0..self.places.len()).rev() {
            if let (true, What::Call { arguments, .. }) = (needed[at], &self.places[at].what) {
                arguments.iter().for_each(|&argument| needed[argument] = true);
            }
        }
        needed
    }

    /// Places and layers that are needed, under new numbers.
    fn renumber(&mut self, needed: &[bool], inputs: &[usize], outputs: &[usize]) {
        let before = |at: usize| needed[..at].iter().filter(|&&needed| needed).count();
        let moved = |places: &[usize]| places.iter().map(|&at| before(at)).collect::<Vec<_>>();
        let mut used = vec![false; self.layers.len()];
        let mut places = std::mem::take(&mut self.places);
        let mut flags = needed.iter();
        places.retain(|_| flags.next().copied().unwrap_or(false));
        for place in &places {
            if let What::Call { layer, .. } = place.what {
                used[layer] = true;
            }
        }
        for place in &mut places {
            if let What::Call { layer, arguments, .. } = &mut place.what {
                *layer = used[..*layer].iter().filter(|&&used| used).count();
                *arguments = moved(arguments);
            }
        }
        let layers = std::mem::take(&mut self.layers).into_entries().zip(used);
        let mut kept = Layers::default();
        layers.filter(|(_, used)| *used).for_each(|(entry, _)| kept.push(entry));
        (self.inputs, self.outputs) = (moved(inputs), moved(outputs));
        (self.places, self.layers) = (places, kept);
        if let Some(built) = self.built.take() {
            let shapes = built.shapes.into_iter().zip(needed).filter(|(_, needed)| **needed);
            self.note(shapes.map(|(shape, _)| shape).collect());
        }
    }
}
