//! The memory of a loss over a large vocabulary. Alone, as the peak is the process's.
#![allow(clippy::unwrap_used)] // a panic is a test's report

use kiln_nn::losses::Counting;
use kiln_nn::{AnyLayer, Ctx, Dense, Loss, Sequential, SparseCategoricalCrossentropy, Value};
use kiln_tensor::{DType, Device, Tensor};

const TOKENS: usize = 2048;
const VOCABULARY: usize = 16_384;

/// The largest number of bytes in use in a step beyond those in use before it.
fn peak(of_logits: bool) -> usize {
    let cpu = Device::cpu();
    let model = Sequential::new().push(Dense::new(VOCABULARY)).build([8], &cpu, 1).unwrap();
    let x = Tensor::ones([TOKENS, 8], DType::F32, &cpu).unwrap();
    let labels = Tensor::zeros([TOKENS], DType::I64, &cpu).unwrap();
    let before = cpu.memory().live;
    let mut output = Ctx::train(0, 0).run::<dyn AnyLayer>(&model, &x).unwrap();
    if of_logits {
        output = Value::from(output.var().unwrap());
    }
    let loss = SparseCategoricalCrossentropy::from_logits().of_output(&output, &labels, Counting::default()).unwrap();
    drop(output);
    assert_eq!(loss.backward().unwrap().len(), 2);
    cpu.memory().peak - before
}

#[test]
fn a_loss_over_a_large_vocabulary_needs_less_than_a_quarter() {
    // The smaller one first: a peak stays.
    let (fused, whole) = (peak(false), peak(true));
    println!("{fused} of {whole} bytes");
    assert!(4 * fused < whole, "{fused} of {whole} bytes");
}
