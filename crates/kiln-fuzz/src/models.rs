//! Models: their weights in safetensors files, their architecture in JSON.

use crate::Target;
use kiln::nn::safetensors;
use kiln::prelude::*;
use kiln::tensor::ErrorKind;
use serde_json::Value;

pub(crate) const SAFETENSORS: Target = Target {
    name: "safetensors",
    run: weights,
    seeds: weights_seeds,
    words: &[
        b"\"dtype\":\"F32\"",
        b"BF16",
        b"F8_E4M3",
        b"\"shape\":[",
        b"\"data_offsets\":[0,",
        b"18446744073709551615",
        b"__metadata__",
        b"0.weight",
    ],
};

pub(crate) const ARCHITECTURE: Target = Target {
    name: "architecture",
    run: architecture,
    seeds: architecture_seeds,
    words: &[
        b"\"layer\":\"Dense\"",
        b"\"units\":",
        b"1000000000000",
        b"18446744073709551615",
        b"4294967295",
        b"-1",
        b"0.5",
        b"1e999",
        b"null",
        b"[]",
        b"{}",
        b"\"input\":[",
        b"\"kernel\":",
        b"\"stride\":",
        b"\"padding\":\"same\"",
        b"\"groups\":",
        b"\"orthogonal\"",
        b"\"he_normal\"",
        b"\"layer\":\"Sequential\",\"layers\":[",
    ],
};

/// A model of two layers, whose weights a file may fit.
fn small() -> Sequential {
    Sequential::new().push(Dense::new(2)).push(Dense::new(1)).build([3], &Device::cpu(), 1).expect("a small model")
}

fn weights(bytes: &[u8]) {
    let cpu = Device::cpu();
    let Ok(tensors) = safetensors::decode(bytes, &cpu) else { return };
    let encoded = safetensors::encode(&tensors).expect("tensors that were read");
    let again = safetensors::decode(&encoded, &cpu).expect("a file that was written");
    assert_eq!(tensors.keys().collect::<Vec<_>>(), again.keys().collect::<Vec<_>>());
    for (one, other) in tensors.values().zip(again.values()) {
        assert_eq!((one.dtype(), one.shape()), (other.dtype(), other.shape()));
    }
    assert_eq!(safetensors::encode(&again).expect("tensors that were read"), encoded);
    for strict in [true, false] {
        let mut model = small();
        let before = safetensors::encode(&model.state_dict()).expect("weights");
        if model.load_state_dict(&tensors, strict).is_err() {
            let after = safetensors::encode(&model.state_dict()).expect("weights");
            assert_eq!(before, after, "a model was changed by a file that does not fit");
        }
    }
}

fn weights_seeds() -> Vec<Vec<u8>> {
    let file = |header: &str, bytes: usize| {
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0x3f; bytes]].concat()
    };
    vec![
        safetensors::encode(&small().state_dict()).expect("weights"),
        file(
            r#"{"a":{"dtype":"I32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"BOOL","shape":[],"data_offsets":[8,9]}}"#,
            9,
        ),
        file(
            r#"{"a":{"dtype":"BF16","shape":[1,2,0],"data_offsets":[0,0]},"b":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}}"#,
            8,
        ),
        file(r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296,0],"data_offsets":[0,0]}}"#, 0),
    ]
}

/// As much as a model of the fuzzer's may take.
pub(crate) const MEMORY: usize = 1 << 20;

fn architecture(bytes: &[u8]) {
    let Ok(description) = serde_json::from_slice::<Value>(bytes) else { return };
    let device = Device::cpu_of(MEMORY);
    let model = match Sequential::from_architecture(&description, &device) {
        Ok(model) => model,
        Err(error) => {
            assert!(!error.message().is_empty());
            return;
        }
    };
    assert!(device.memory().peak <= MEMORY, "{} bytes were taken", device.memory().peak);
    let again = model.architecture();
    let second = Sequential::from_architecture(&again, &device).map(|model| model.architecture());
    match second {
        Ok(second) => assert_eq!(second, again),
        // The first still holds its memory.
        Err(error) => assert_eq!(error.kind(), ErrorKind::Memory, "{again} cannot be made again: {error}"),
    }
    let _ = model.summary("model");
    let Some(input) = model.input_shape() else { return };
    let batch = [&[1], input.dims()].concat();
    let Ok(x) = Tensor::zeros(&batch[..], DType::F32, &device) else { return };
    let expected = model.output_shapes().last().and_then(|shapes| shapes.one().ok()).map(|shape| shape.dims().to_vec());
    if let (Ok(y), Some(expected)) = (model.forward(x, &Ctx::eval()), expected) {
        assert_eq!(y.dims()[1..], expected, "another shape than the architecture says");
    }
}

/// What Kiln itself writes of models.
fn architecture_seeds() -> Vec<Vec<u8>> {
    let cpu = Device::cpu();
    let dense = Sequential::new().push(Dense::new(3).activation(Activation::Relu)).push(Dropout::new(0.5));
    let linear = Linear::new(3, 2, &mut Init::new(1, &cpu)).expect("a small layer");
    let images = Sequential::new()
        .push(Conv2d::new(2, 3).padding(Padding::Same).groups(2).activation(Activation::Relu))
        .push(BatchNorm2d::new())
        .push(GroupNorm::new(1))
        .push(MaxPool2d::new(2))
        .push(SeparableConv2d::new(2, 1));
    let resized = Sequential::new()
        .push(Upsample2d::new(2))
        .push(ZeroPad2d::new(1))
        .push(ConvTranspose2d::new(2, 2))
        .push(AvgPool2d::new(2))
        .push(GlobalAvgPool::new());
    let steps = Sequential::new()
        .push(Gru::new(4).return_sequences(true))
        .push(TimeDistributed::new(Dense::new(2)))
        .push(LayerNorm::new())
        .push(Reshape::new([6]));
    let both = Residual::new(Sequential::new().push(Dense::new(3))).activation(Activation::Relu);
    let built = [
        dense.push(linear).build([4], &cpu, 1),
        images.push(Flatten::new()).build([2, 4, 4], &cpu, 1),
        Sequential::new().push(resized).build([1, 3, 3], &cpu, 1),
        steps.build([3, 4], &cpu, 1),
        Sequential::new().push(both).push(Lstm::new(2)).build([2, 3], &cpu, 1),
        Sequential::new().push(Embedding::new(7, 3)).push(SimpleRnn::new(2)).build([5], &cpu, 1),
    ];
    built.into_iter().flatten().map(|model| model.architecture().to_string().into_bytes()).collect()
}
