//! The memory of a step with checkpoints. Alone, as the peak is the process's.
#![allow(clippy::unwrap_used)] // a panic is a test's report

use kiln_nn::{Activation, BatchNorm2d, Conv2d, Ctx, Module, Sequential};
use kiln_tensor::{DType, Device, Tensor};

/// The largest number of bytes in use in a step of 50 layers beyond those in use before it.
fn peak(checkpoints: Option<usize>) -> usize {
    let cpu = Device::cpu();
    let mut model = Sequential::new();
    for _ in 0..25 {
        model.add(Conv2d::new(4, 3).padding(1));
        model.add(BatchNorm2d::new().activation(Activation::Relu));
    }
    let model = checkpoints.into_iter().fold(model, Sequential::checkpoint_every);
    let model = model.build([4, 32, 32], &cpu, 1).unwrap();
    let x = Tensor::ones([16, 4, 32, 32], DType::F32, &cpu).unwrap();
    let before = cpu.memory().live;
    let loss = model.forward(&x, &Ctx::train(0, 0)).unwrap().mean_all().unwrap();
    assert_eq!(loss.backward().unwrap().len(), model.parameters().len());
    cpu.memory().peak - before
}

#[test]
fn a_chain_of_50_layers_needs_at_most_a_third() {
    // The smaller one first: a peak stays.
    let (kept, plain) = (peak(Some(7)), peak(None));
    println!("{kept} of {plain} bytes");
    assert!(3 * kept <= plain, "{kept} of {plain} bytes");
}
