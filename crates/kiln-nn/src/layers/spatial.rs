//! Samples with channels and positions, (C, D…): what the layers that go over them check, and how settings are written.

use kiln_tensor::{Error, PerAxis, Result, Shape};

/// One shape among those for one, two and three spatial axes.
pub(super) const fn by_axes<const N: usize>(names: [&'static str; 3]) -> &'static str {
    match N {
        1 => names[0],
        2 => names[1],
        _ => names[2],
    }
}

/// Fails where a sample has not channels and `N` spatial axes.
pub(super) fn expect_sample<const N: usize>(operation: &'static str, sample: &[usize]) -> Result<()> {
    if sample.len() == N + 1 {
        return Ok(());
    }
    Err(misfit::<N>(operation, sample))
}

#[cold]
fn misfit<const N: usize>(operation: &'static str, sample: &[usize]) -> Error {
    let expected = by_axes::<N>(["(C, L)", "(C, H, W)", "(C, D, H, W)"]);
    let got = match Shape::new(sample) {
        Ok(shape) => shape.to_string(),
        Err(_) => format!("{sample:?}"),
    };
    // Images of gray come without an axis for their channel.
    let remedy = if sample.len() == N {
        let one: Vec<usize> = std::iter::once(1).chain(sample.iter().copied()).collect();
        format!("put Reshape::new({one:?}) before this layer")
    } else {
        "change the layer before, or the shape that the model is built for".to_owned()
    };
    Error::shape(operation, format!("samples of {expected} are expected, got {got}; {remedy}"))
}

/// As [`expect_sample`], of the samples of a batch.
pub(super) fn expect_batch<const N: usize>(operation: &'static str, batch: &Shape) -> Result<()> {
    expect_sample::<N>(operation, batch.get(1..).unwrap_or(&[]))
}

/// (1, …): a batch of one such sample.
pub(super) fn batch_of_one(sample: &Shape) -> Result<Shape> {
    let dims: Vec<usize> = std::iter::once(1).chain(sample.iter().copied()).collect();
    Shape::new(&dims)
}

/// The shape of one sample of a batch.
pub(super) fn sample_of(batch: &Shape) -> Result<Shape> {
    Shape::new(batch.get(1..).unwrap_or(&[]))
}

/// The numbers of `N` axes.
pub(super) fn sizes<const N: usize>(operation: &'static str, numbers: PerAxis) -> Result<Vec<usize>> {
    Ok(numbers.sizes(operation, N)?[3 - N..].to_vec())
}

/// `PerAxis` in JSON: `3` or `[3, 5]`.
pub(super) mod per_axis {
    use kiln_tensor::PerAxis;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Form<T> {
        One(T),
        Each(Vec<T>),
    }

    fn form<T: Copy>(numbers: &PerAxis<T>) -> Form<T> {
        match numbers.given() {
            [one] => Form::One(*one),
            each => Form::Each(each.to_vec()),
        }
    }

    pub(super) fn from_slice<T: Copy>(given: &[T]) -> Option<PerAxis<T>> {
        Some(match *given {
            [a] => [a].into(),
            [a, b] => [a, b].into(),
            [a, b, c] => [a, b, c].into(),
            _ => return None,
        })
    }

    pub(in super::super) fn serialize<S: Serializer>(numbers: &PerAxis, serializer: S) -> Result<S::Ok, S::Error> {
        form(numbers).serialize(serializer)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PerAxis, D::Error> {
        let expected = || D::Error::custom("a number, or a list of one for each of one to three axes, is expected");
        match Form::deserialize(deserializer).map_err(|_| expected())? {
            Form::One(number) => Ok(PerAxis::from(number)),
            Form::Each(numbers) => from_slice(&numbers).ok_or_else(expected),
        }
    }

    /// Where there may be none.
    pub(in super::super) mod optional {
        use super::form;
        use kiln_tensor::PerAxis;
        use serde::{Deserializer, Serialize, Serializer};

        pub(in super::super::super) fn serialize<S: Serializer>(
            numbers: &Option<PerAxis>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            numbers.as_ref().map(form).serialize(serializer)
        }

        pub(in super::super::super) fn deserialize<'de, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Option<PerAxis>, D::Error> {
            super::deserialize(deserializer).map(Some)
        }
    }
}

/// `Padding` in JSON: `"valid"`, `"same"`, or pairs before and after, one for all axes or one for each. A number is read as a pair of it.
pub(super) mod padding {
    use super::per_axis::from_slice;
    use kiln_tensor::Padding;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Form {
        Rule(Rule),
        All(usize),
        Each(Vec<usize>),
        Sides(Vec<(usize, usize)>),
    }

    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Rule {
        Valid,
        Same,
    }

    pub(in super::super) fn serialize<S: Serializer>(padding: &Padding, serializer: S) -> Result<S::Ok, S::Error> {
        let form = match padding {
            Padding::Valid => Form::Rule(Rule::Valid),
            Padding::Same => Form::Rule(Rule::Same),
            Padding::Explicit(sides) => Form::Sides(sides.given().to_vec()),
        };
        form.serialize(serializer)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Padding, D::Error> {
        let expected = || D::Error::custom("\"valid\", \"same\", a number, or a list of numbers or pairs, is expected");
        let explicit = |sides: &[(usize, usize)]| from_slice(sides).map(Padding::Explicit).ok_or_else(expected);
        let both = |number: &usize| (*number, *number);
        match Form::deserialize(deserializer).map_err(|_| expected())? {
            Form::Rule(Rule::Valid) => Ok(Padding::Valid),
            Form::Rule(Rule::Same) => Ok(Padding::Same),
            Form::All(number) => explicit(&[both(&number)]),
            Form::Each(numbers) => explicit(&numbers.iter().map(both).collect::<Vec<_>>()),
            Form::Sides(sides) => explicit(&sides),
        }
    }
}
