//! A graph as a layer.

use super::{Graph, What};
use crate::value::{Shapes, Value, arity};
use crate::{Ctx, Describe, Init, Json, Layer, LayerPrecision, Part};
use kiln_tensor::{Error, Result};

/// One value alone, several as one.
fn one_or_many(mut values: impl Iterator<Item = Value>) -> Value {
    match (values.next(), values.next()) {
        (Some(one), None) => one,
        (first, second) => Value::Many(first.into_iter().chain(second).chain(values).collect()),
    }
}

impl Graph {
    /// What was given, one for each input.
    fn given<T: Clone>(&self, parts: &[T]) -> Result<Vec<T>> {
        if parts.len() != self.inputs.len() {
            let takes = match self.inputs.len() {
                1 => format!("1 input ({})", self.names(&self.inputs)),
                count => format!("{count} inputs ({})", self.names(&self.inputs)),
            };
            return Err(arity(&takes, parts.len()));
        }
        Ok(parts.to_vec())
    }
}

impl Layer for Graph {
    type Input = Value;
    type Output = Value;

    fn forward(&self, x: Value, ctx: &Ctx) -> Result<Value> {
        let Some(built) = &self.built else {
            return Err(Error::new(kiln_tensor::ErrorKind::Build, "forward", "this graph is not built: call `build`"));
        };
        let mut values: Vec<Option<Value>> = vec![None; self.places.len()];
        for (&at, value) in self.inputs.iter().zip(self.given(x.parts())?) {
            values[at] = Some(value);
        }
        drop(x);
        for (at, place) in self.places.iter().enumerate() {
            let What::Call { layer, method, arguments } = &place.what else { continue };
            for &argument in arguments {
                if let Some(value @ Value::Projection(..)) = &mut values[argument] {
                    *value = value.computed()?;
                }
            }
            let given = one_or_many(arguments.iter().enumerate().filter_map(|(position, &argument)| {
                // A value is let go with its last use: the backward pass can then free what it has used.
                match built.last_use[argument] == at && !arguments[position + 1..].contains(&argument) {
                    true => values[argument].take(),
                    false => values[argument].clone(),
                }
            }));
            let (segment, layer) = self.layers.at(*layer);
            values[at] = Some(match method {
                None => ctx.layer(segment, layer, given)?,
                Some(method) => ctx.scope(segment, || {
                    layer.call_method(method, given, ctx).map_err(|error| ctx.locate(error, layer.name()))
                })?,
            });
        }
        Ok(one_or_many(self.outputs.iter().filter_map(|&at| values[at].take())))
    }

    /// For other shapes than it was built for, as long as the layers take them.
    fn build(&mut self, input: &Shapes, init: &mut Init) -> Result<Shapes> {
        let given = self.given(input.parts())?;
        for (&at, shape) in self.inputs.iter().zip(given) {
            self.places[at].what = What::Input(shape);
        }
        self.make(init)?;
        let shapes = self.output_shapes();
        Ok(match shapes.as_slice() {
            [one] => (*one).clone(),
            several => Shapes::Many(several.iter().map(|&shape| shape.clone()).collect()),
        })
    }

    fn reset_states(&self) {
        self.layers.iter().for_each(|(_, layer)| layer.forget());
    }

    fn precision(&self) -> LayerPrecision {
        LayerPrecision::AsGiven
    }
}

impl Describe for Graph {
    fn config(&self) -> Option<Json> {
        Some(Json::Object(self.description()))
    }

    /// Those of the layers that give them.
    fn output_names(&self) -> Vec<&str> {
        self.outputs.iter().map(|&at| self.places[at].name.as_str()).collect()
    }

    /// Of every call: a layer that is called twice computes twice.
    fn flops(&self, _: &Shapes) -> u64 {
        self.parts().iter().filter_map(|part| part.output.map(|output| part.layer.flops(output))).sum()
    }

    fn parts(&self) -> Vec<Part<'_>> {
        let calls = self.places.iter().enumerate().filter_map(|(at, place)| match &place.what {
            What::Input(_) => None,
            What::Call { layer, arguments, .. } => Some(Part {
                segment: place.name.as_str().into(),
                layer: self.layers.at(*layer).1,
                output: self.built.as_ref().map(|built| &built.shapes[at]),
                inputs: arguments.iter().map(|&argument| self.places[argument].name.clone()).collect(),
            }),
        });
        calls.collect()
    }
}
