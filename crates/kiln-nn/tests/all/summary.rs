//! Summaries: what is inside of containers, and operations of blocks.

use kiln_nn::*;
use kiln_tensor::{Device, Padding};

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
