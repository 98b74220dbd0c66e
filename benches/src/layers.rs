//! Single layers forward and backward, as `layers_torch.py` times them: milliseconds, the best of half a second.

use crate::timing::best_of_half_a_second;
use kiln::nn::AnyLayer;
use kiln::prelude::*;
use serde_json::{Map, Value, json};

/// Makes a layer.
type Make = fn() -> Box<dyn AnyLayer>;

/// The same list is in `layers_torch.py`: names, layers and the shapes of their batches.
const LAYERS: [(&str, Make, &[usize]); 9] = [
    ("upsample nearest 2x of 64", || Box::new(Upsample2d::new(2)), &[8, 32, 64, 64]),
    ("upsample bilinear 2x of 64", || Box::new(Upsample2d::new(2).bilinear()), &[8, 32, 64, 64]),
    ("upsample bicubic 2x of 64", || Box::new(Upsample2d::new(2).bicubic()), &[8, 32, 64, 64]),
    ("upsample trilinear 2x of 16", || Box::new(Upsample3d::new(2).bilinear()), &[4, 32, 16, 16, 16]),
    ("pixel_shuffle 2 of 64", || Box::new(PixelShuffle::new(2)), &[8, 64, 64, 64]),
    (
        "conv_transpose3d 32-16 4x4x4/2 of 8",
        || Box::new(ConvTranspose3d::new(16, 4).stride(2).padding(1)),
        &[8, 32, 8, 8, 8],
    ),
    ("drop_path of 256x14x14", || Box::new(DropPath::new(0.2)), &[32, 256, 14, 14]),
    ("alpha_dropout of 1024", || Box::new(AlphaDropout::new(0.2)), &[1024, 1024]),
    ("squeeze_excitation 64-16 of 28", || Box::new(SqueezeExcitation::new(16)), &[32, 64, 28, 28]),
];

/// Milliseconds of a forward pass in training and of the gradients of the sum of its output.
fn time(make: Make, shape: &[usize], device: &Device) -> Result<f64> {
    let mut layer = make();
    let sample = kiln::tensor::Shape::new(&shape[1..])?;
    layer.build_any(&sample.into(), &mut Init::new(0, device))?;
    let stream = RandomStream::new(0, Purpose::Data, 0);
    let x = Var::variable(Tensor::normal(shape, 0.0, 1.0, DType::F32, device, stream)?);
    best_of_half_a_second(|| {
        let y = layer.forward_any((&x).into(), &Ctx::train(0, 0))?.var()?;
        y.sum_all()?.backward()?;
        device.synchronize()
    })
}

/// Milliseconds by layer.
pub(crate) fn times(device: &Device) -> Result<Value> {
    let mut ms = Map::new();
    kiln::tensor::Device::cpu().session(|| -> Result<()> {
        for (name, make, shape) in LAYERS {
            ms.insert(name.to_owned(), json!((time(make, shape, device)? * 1e6).round() / 1e3));
        }
        Ok(())
    })?;
    Ok(json!({"task": "layers", "ms": ms}))
}
