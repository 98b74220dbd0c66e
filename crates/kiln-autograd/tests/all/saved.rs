//! What graphs keep alive, and what a backward pass does not compute.

use kiln_autograd::Var;
use kiln_cpu::Isa;
use kiln_math::UnaryOp;
use kiln_tensor::{ConvOptions, DType, Device, Padding, PoolOptions, Result, Tensor};

const N: usize = 1 << 16;

/// Bytes that a graph keeps of its inputs and outputs when these are gone, in tensors of N numbers.
fn kept(f: impl Fn(&Device, Var) -> Result<Var>) -> f64 {
    // A device of its own, whose counts nobody else changes.
    let device = Device::cpu_with(Isa::best());
    // A value of the graph's own, not the caller's.
    let x = Var::variable(ones(&[1, 16, 64, 64], &device)).affine(1.0, 0.5).unwrap();
    let before = device.backend().memory().live;
    let root = f(&device, x).unwrap().sum_all().unwrap();
    let after = device.backend().memory().live;
    drop(root);
    assert_eq!(device.backend().memory().live, 0);
    (after as f64 - before as f64 + (4 * N) as f64) / (4 * N) as f64
}

fn ones(shape: &[usize], device: &Device) -> Tensor {
    Tensor::ones(shape, DType::F32, device).unwrap()
}

#[test]
fn graphs_keep_what_wanted_gradients_need() {
    // Sums keep nothing, a product with a constant keeps that alone.
    assert!(kept(|_, x| x.add(&x)) < 0.01);
    assert!(kept(|device, x| x.mul(&Var::constant(ones(&[1], device)))) < 0.01);
    assert!((kept(|_, x| x.mul(&x)) - 1.0).abs() < 0.01);
    // A convolution keeps its input for the weight, and its weight for the input.
    let conv = ConvOptions::new().padding(1);
    assert!(kept(|device, x| x.conv(&Var::constant(ones(&[16, 16, 3, 3], device)), None, &conv, None)) < 0.1);
    let kept_input = kept(|device, x| x.conv(&Var::variable(ones(&[16, 16, 3, 3], device)), None, &conv, None));
    assert!((1.0..1.1).contains(&kept_input), "{kept_input}");
    let relu = Some(UnaryOp::Relu.into());
    let kept_both = kept(|device, x| x.conv(&Var::variable(ones(&[16, 16, 3, 3], device)), None, &conv, relu));
    assert!((2.0..2.1).contains(&kept_both), "{kept_both}");
    // Averages keep none of the numbers, maxima the taps that they are at: a byte, or two where there are more than 256.
    assert!(kept(|_, x| x.avg_pool(&PoolOptions::new(2))) < 0.01);
    assert!(kept(|_, x| x.avg_pool(&PoolOptions::new(3).stride(2).ceil(true))) < 0.1);
    let places = kept(|_, x| x.max_pool(&PoolOptions::new(2)));
    assert!((places - 0.25 / 4.0).abs() < 0.01, "{places}");
    let near = kept(|_, x| x.max_pool(&PoolOptions::new(16).stride(1).padding(Padding::Same)));
    assert!((near - 0.25).abs() < 0.01, "{near}");
    let far = kept(|_, x| x.max_pool(&PoolOptions::new(17).stride(1).padding(Padding::Same)));
    assert!((far - 0.5).abs() < 0.01, "{far}");
    // Batch normalization keeps its input, and its output only where an activation is taken from it.
    let plain = kept(|_, x| Ok(x.batch_norm(None, None, 1e-5, None)?.0));
    assert!((plain - 1.0).abs() < 0.01, "{plain}");
    let active = kept(|_, x| Ok(x.batch_norm(None, None, 1e-5, relu)?.0));
    assert!((active - 2.0).abs() < 0.01, "{active}");
    // Padding, cutting and resampling keep nothing.
    assert!(kept(|_, x| x.pad(&[(1, 1), (2, 2)], 0.0)?.crop(&[(2, 0)])) < 0.01);
    assert!(kept(|_, x| x.upsample_nearest([128, 64])) < 0.01);
    assert!(kept(|_, x| x.upsample_bilinear([30, 40], false)) < 0.1);
}

/// A convolution of a constant wants no gradient of it: its weight is not even kept.
#[test]
fn the_first_convolution_has_no_input_gradient() -> Result<()> {
    let device = Device::cpu_with(Isa::best());
    let image = Var::constant(ones(&[1, 3, 16, 16], &device));
    let leaf = kiln_autograd::Leaf::new();
    let weight = ones(&[64, 3, 3, 3], &device);
    let conv = |w: &Tensor| image.conv(&leaf.var(w), None, &ConvOptions::new(), None);
    let y = conv(&weight)?;
    assert!(weight.is_unique(), "the graph keeps the weight");
    let gradients = y.sum_all()?.backward()?;
    assert_eq!(gradients.len(), 1);
    assert_eq!(gradients.get(leaf.id()).unwrap().to_f64_vec()?, vec![196.0; 64 * 27]);
    Ok(())
}
