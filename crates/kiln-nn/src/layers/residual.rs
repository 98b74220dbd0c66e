//! A block around which its input goes too.

use crate::{Activation, Ctx, Init, Layer, Module, Sequential, architecture};
use kiln_autograd::Var;
use kiln_tensor::{Error, Result, Shape};
use serde_json::{Value, json};

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
/// assert_eq!(model.output_shapes()[0].dims(), [16, 3, 3]);
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

    /// Layers for the shortcut, which else is x itself.
    #[must_use]
    pub fn shortcut(mut self, layers: Sequential) -> Self {
        self.downsample = Some(layers);
        self
    }

    /// Applied to the sum.
    #[must_use]
    pub fn activation(mut self, activation: Activation) -> Self {
        self.activation = activation;
        self
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
    fn forward(&self, x: &Var, ctx: &Ctx) -> Result<Var> {
        let before = self.downsample.as_ref().and_then(|_| ctx.mask());
        let main = ctx.run(&self.main, x)?;
        let shortcut = match &self.downsample {
            Some(layers) => {
                // Both begin with the mask of the input; that of the main layers goes on.
                let after = ctx.mask();
                ctx.set_mask(before);
                let shortcut = ctx.layer("downsample", layers, x)?;
                ctx.set_mask(after);
                shortcut
            }
            None => x.clone(),
        };
        expect_same("residual", main.shape(), shortcut.shape())?;
        self.activation.apply(&main.add(&shortcut)?)
    }

    fn build(&mut self, input: &Shape, init: &mut Init) -> Result<Shape> {
        let main = Layer::build(&mut self.main, input, init)?;
        let shortcut = match &mut self.downsample {
            Some(layers) => init.layer("downsample", layers, input)?,
            None => *input,
        };
        expect_same("build", &main, &shortcut)?;
        Ok(main)
    }

    fn spatial_axes(&self) -> Option<usize> {
        self.main.spatial_axes()
    }

    fn config(&self) -> Option<Value> {
        let mut config = json!({ "main": architecture::of_layers(&self.main), "activation": self.activation });
        if let Some(shortcut) = &self.downsample {
            config["shortcut"] = Value::Object(architecture::of_layers(shortcut));
        }
        Some(config)
    }

    fn flops(&self, output: &Shape) -> u64 {
        self.main.flops(output) + self.downsample.as_ref().map_or(0, |layers| layers.flops(output))
    }
}
