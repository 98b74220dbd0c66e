//! A block around which its input goes too.

use super::setters::setters;
use crate::{Activation, Ctx, Describe, FromValue, Init, Layer, Module, Sequence, Sequential, Shapes, architecture};
use kiln_tensor::{Error, Result, Shape};
use serde_json::{Value as Json, json};

/// activation(main(x) + shortcut(x)) (He et al. 2015). The shortcut is x itself, or layers that bring it to the shape of the
/// other.
///
/// Paths are those of torchvision's blocks: the main layers' own names, and `downsample.…` for the shortcut.
///
/// ```
/// use kiln_nn::{Activation, BatchNorm2d, Conv2d, Module, Residual, Sequential};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let main = Sequential::new()
///     .push_named("conv1", Conv2d::new(16, 3).stride(2).padding(1).use_bias(false))
///     .push_named("bn1", BatchNorm2d::new().activation(Activation::Relu))
///     .push_named("conv2", Conv2d::new(16, 3).padding(1).use_bias(false))
///     .push_named("bn2", BatchNorm2d::new());
/// let shortcut = Sequential::new().push(Conv2d::new(16, 1).stride(2).use_bias(false)).push(BatchNorm2d::new());
/// let block = Residual::new(main).shortcut(shortcut).activation(Activation::Relu);
/// let model = Sequential::new().push(block).build([8, 6, 6], &kiln_tensor::Device::cpu(), 1)?;
/// assert_eq!(model.output_shapes()[0], [16, 3, 3]);
/// assert_eq!(model.parameters()[0].0, "0.conv1.weight");
/// # Ok(())
/// # }
/// ```
#[derive(Module, Debug)]
pub struct Residual {
    #[module(flatten)]
    main: Sequential,
    downsample: Option<Sequential>,
    activation: Activation,
}

impl Residual {
    /// main(x) + x.
    pub fn new(main: Sequential) -> Self {
        Residual { main, downsample: None, activation: Activation::Linear }
    }

    setters! {
        /// Layers for the shortcut, which else is x itself.
        fn shortcut(self, layers: Sequential) { self.downsample = Some(layers) }

        /// Applied to the sum.
        fn activation(self, activation: Activation) { self.activation = activation }
    }
}

/// Fails where the two do not have the same shape: a sum would broadcast one of them.
fn expect_same(operation: &'static str, main: &Shape, shortcut: &Shape) -> Result<()> {
    if main == shortcut {
        return Ok(());
    }
    let message = format!(
        "the main layers give {main}, the shortcut {shortcut}; give the shortcut layers that lead to the same shape: \
         Residual::new(main).shortcut(Sequential::new().push(Conv2d::new(channels, 1).stride(stride)))"
    );
    Err(Error::shape(operation, message))
}

impl Layer for Residual {
    type Input = Sequence;
    type Output = Sequence;

    /// Both sides begin with the mask of the input; that of the main layers goes on.
    fn forward(&self, x: Sequence, ctx: &Ctx) -> Result<Sequence> {
        let shortcut = match &self.downsample {
            Some(_) => x.clone(),
            None => Sequence::from(&x.values),
        };
        let main = Sequence::from_value(ctx.run(&self.main, x)?)?;
        let shortcut = match &self.downsample {
            Some(layers) => ctx.layer("downsample", layers, shortcut)?.var()?,
            None => shortcut.values,
        };
        expect_same("residual", main.values.shape(), shortcut.shape())?;
        let (values, shortcut) = ctx.alike((main.values, shortcut))?;
        let values = self.activation.apply(&values.add(&shortcut)?)?;
        Ok(Sequence { values, mask: main.mask })
    }

    fn build(&mut self, input: &Shape, init: &mut Init) -> Result<Shape> {
        let input = Shapes::One(*input);
        let main = *Layer::build(&mut self.main, &input, init)?.one()?;
        let shortcut = match &mut self.downsample {
            Some(layers) => init.layer("downsample", layers, &input)?,
            None => input,
        };
        expect_same("build", &main, shortcut.one()?)?;
        Ok(main)
    }

    fn reset_states(&self) {
        self.main.reset_states();
        self.downsample.iter().for_each(Layer::reset_states);
    }
}

impl Describe for Residual {
    fn spatial_axes(&self) -> Option<usize> {
        self.main.spatial_axes()
    }
    fn config(&self) -> Option<Json> {
        let mut config = json!({ "main": architecture::of_layers(&self.main), "activation": self.activation });
        if let Some(shortcut) = &self.downsample {
            config["shortcut"] = Json::Object(architecture::of_layers(shortcut));
        }
        Some(config)
    }
    fn flops(&self, output: &Shapes) -> u64 {
        self.main.flops(output) + self.downsample.as_ref().map_or(0, |layers| layers.flops(output))
    }
}
