//! Summaries: what is inside of containers, and operations of blocks.

use kiln_nn::*;
use kiln_tensor::{DType, Device, Padding, Tensor};

#[test]
fn layers_within_have_their_paths() {
    let features = Sequential::new()
        .push(Conv2d::new(8, 3).padding(1).use_bias(false))
        .push(BatchNorm2d::new().activation(Activation::Relu))
        .push_named("pool", MaxPool2d::new(2));
    let model = Sequential::new()
        .push_named("features", features)
        .push(GlobalAvgPool::new())
        .push_named("fc", Dense::new(10))
        .build([3, 6, 6], &Device::cpu(), 1)
        .unwrap();
    assert_eq!(
        model.summary("net"),
        r#"Model: "net"
┏━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━┳━━━━━━━━━┳━━━━━━━━┓
┃ Layer (type)              ┃ Output Shape    ┃ Param # ┃  FLOPs ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━╇━━━━━━━━━╇━━━━━━━━┩
│ features.0 (Conv2d)       │ (None, 8, 6, 6) │     216 │ 15,552 │
├───────────────────────────┼─────────────────┼─────────┼────────┤
│ features.1 (BatchNorm2d)  │ (None, 8, 6, 6) │      32 │      0 │
├───────────────────────────┼─────────────────┼─────────┼────────┤
│ features.pool (MaxPool2d) │ (None, 8, 3, 3) │       0 │      0 │
├───────────────────────────┼─────────────────┼─────────┼────────┤
│ 1 (GlobalAvgPool)         │ (None, 8)       │       0 │      0 │
├───────────────────────────┼─────────────────┼─────────┼────────┤
│ fc (Dense)                │ (None, 10)      │      90 │    160 │
└───────────────────────────┴─────────────────┴─────────┴────────┘
 Total params: 338 (1.32 KB)
 Trainable params: 322 (1.26 KB)
 Non-trainable params: 16 (64.00 B)
 Outputs of all layers: 2.60 KB a sample
 FLOPs: 15,712 a sample
"#
    );
}

#[test]
fn operations_of_blocks_are_those_of_their_layers() {
    let flops = |layer: Box<dyn AnyLayer>, input: &[usize]| {
        let model = Sequential::new().push(layer).build(input, &Device::cpu(), 1).unwrap();
        model.flops(&model.output_shapes()[0])
    };
    let conv = |filters: usize| Conv2d::new(filters, 3).padding(1);
    let plain = |filters: u64| 2 * 9 * 4 * filters * 25;
    let input = [4, 5, 5];
    assert_eq!(flops(Box::new(Residual::new(Sequential::new().push(conv(4)))), &input), plain(4));
    let shortcut = Sequential::new().push(Conv2d::new(6, 1));
    let block = Residual::new(Sequential::new().push(conv(6))).shortcut(shortcut);
    assert_eq!(flops(Box::new(block), &input), plain(6) + 2 * 4 * 6 * 25);
    assert_eq!(flops(Box::new(Concat::new().branch(conv(2)).branch(conv(3))), &input), plain(5));
    assert_eq!(flops(Box::new(SkipConcat::new(Sequential::new().push(conv(3)))), &input), plain(3));
    // Each weight meets each of the 25 inputs, whatever comes out.
    let weights = 4 * 3 * 9;
    for layer in [ConvTranspose2d::new(3, 3).stride(2), ConvTranspose2d::new(3, 3).stride(2).padding(Padding::Same)] {
        assert_eq!(flops(Box::new(layer), &input), 2 * weights * 25);
    }
    let layer = ConvTranspose2d::new(3, 3).stride(3).padding(1).output_padding(2);
    assert_eq!(flops(Box::new(layer), &input), 2 * weights * 25);
}

/// What the allocator says of a real forward pass: bytes that are in use while its output lives, beyond those before.
fn kept(model: &Sequential, x: &Tensor) -> usize {
    let before = x.device().memory().live;
    let loss = model.forward(x, &Ctx::train(3, 7)).unwrap();
    let live = x.device().memory().live;
    drop(loss);
    model.reset_states();
    assert_eq!(x.device().memory().live, before);
    live - before
}

#[test]
fn the_memory_of_training_is_that_of_a_real_pass() {
    let device = Device::cpu_of(1 << 30);
    let images = Sequential::new()
        .push(Conv2d::new(8, 3).padding(1))
        .push(BatchNorm2d::new().activation(Activation::Relu))
        .push(MaxPool2d::new(2))
        .push(Dropout::new(0.5))
        .push(Flatten::new())
        .push(Dense::new(10).activation(Activation::Softmax))
        .build([3, 16, 16], &device, 1)
        .unwrap();
    let text = Sequential::new()
        .push(Embedding::new(30, 8))
        .push(Lstm::new(16).return_sequences(true).stateful(true))
        .push(Dense::new(30))
        .build([12], &device, 1)
        .unwrap();
    let pixels = Tensor::ones([8, 3, 16, 16], DType::F32, &device).unwrap();
    let tokens = Tensor::ones([8, 12], DType::I64, &device).unwrap();
    for (model, x) in [(&images, &pixels), (&text, &tokens)] {
        let memory = model.training_memory(8).unwrap();
        assert!(model.carried_states().is_empty());
        assert_eq!(memory.activations, kept(model, x));
        assert!(memory.measured && memory.gradients == 4 * model.parameter_count());
        assert!(memory.total() >= 2 * memory.gradients + memory.activations);
        // Nothing of it is left.
        assert!(model.training_memory(16).unwrap().activations > memory.activations);
        assert_eq!(model.training_memory(8).unwrap(), memory);
    }
    // Of images (8, 3, 16, 16): the convolution's output, and at least that of the norm, (8, 8, 16, 16) each.
    assert!(images.training_memory(8).unwrap().activations >= 2 * 4 * 8 * 8 * 256);
    // Batch norm takes no batch of 1, and a model that is not built has no memory yet.
    assert!(images.training_memory(1).is_ok());
    let error = Sequential::new().push(Dense::new(1)).training_memory(8).unwrap_err();
    assert!(error.to_string().ends_with("the model must be built: call `build`"), "{error}");
}
