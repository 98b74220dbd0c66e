//! A block whose input is concatenated to its output.

use crate::{Ctx, Describe, Init, Layer, MaskRule, Module, Sequential, Shapes, Value, architecture};
use kiln_autograd::Var;
use kiln_tensor::{Error, Result, Shape};
use serde_json::{Value as Json, json};

/// x (N, C, …) and main(x), one after the other along the channels: a layer of DenseNet, a level of a U-Net. (A
/// [`Residual`](crate::Residual) adds the two.)
///
/// Paths are the main layers' own names.
///
/// ```
/// use kiln_nn::{Conv2d, Module, Sequential, SkipConcat};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let block = SkipConcat::new(Sequential::new().push_named("conv", Conv2d::new(12, 3).padding(1)));
/// let model = Sequential::new().push(block).build([4, 6, 6], &kiln_tensor::Device::cpu(), 1)?;
/// assert_eq!(model.output_shapes()[0], [4 + 12, 6, 6]);
/// assert_eq!(model.parameters()[0].0, "0.conv.weight");
/// # Ok(())
/// # }
/// ```
#[derive(Module, Debug)]
pub struct SkipConcat {
    #[module(flatten)]
    main: Sequential,
}

impl SkipConcat {
    /// The channels of x, then those of main(x).
    pub fn new(main: Sequential) -> Self {
        SkipConcat { main }
    }
}

impl Layer for SkipConcat {
    type Input = Var;
    type Output = Var;

    fn forward(&self, x: Var, ctx: &Ctx) -> Result<Var> {
        let main = ctx.run(&self.main, Value::from(&x))?.var()?;
        expect_beside("skip_concat", &x.dims()[1..], &main.dims()[1..])?;
        let (x, main) = ctx.alike((x, main))?;
        Var::concat(&[&x, &main], 1)
    }

    fn mask(&self) -> MaskRule {
        MaskRule::Drop
    }

    fn build(&mut self, input: &Shape, init: &mut Init) -> Result<Shape> {
        let main = *Layer::build(&mut self.main, &Shapes::One(*input), init)?.one()?;
        expect_beside("build", input, &main)?;
        let mut dims = input.to_vec();
        dims[0] += main[0];
        Shape::new(&dims)
    }

    fn reset_states(&self) {
        self.main.reset_states();
    }
}

/// Fails where two samples differ in more than their channels.
fn expect_beside(operation: &'static str, x: &[usize], main: &[usize]) -> Result<()> {
    if x.len() == main.len() && !x.is_empty() && x[1..] == main[1..] {
        return Ok(());
    }
    let message = format!(
        "x is {}, the main layers give {}: all but the channels must be the same; change strides or padding, or take images \
         whose sides the strides divide",
        Shape::new(x)?,
        Shape::new(main)?
    );
    Err(Error::shape(operation, message))
}

impl Describe for SkipConcat {
    fn spatial_axes(&self) -> Option<usize> {
        self.main.spatial_axes()
    }
    fn config(&self) -> Option<Json> {
        Some(json!({ "main": architecture::of_layers(&self.main) }))
    }
    fn flops(&self, output: &Shapes) -> u64 {
        self.main.flops(output)
    }
}
