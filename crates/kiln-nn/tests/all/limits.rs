//! Layers of sizes at the end of what numbers hold: building them is an error, and none panics or ends the process.

use kiln_nn::*;
use kiln_tensor::{Device, ErrorKind, Shape};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// More than can be counted in all; more than any machine has; and where products of several overflow.
const SIZES: [usize; 4] = [usize::MAX, 1 << 63, 1 << 56, (1 << 63) / 3];

/// How building a layer for samples of this shape ends, if not with an error that says so.
fn fault(layer: impl Layer + 'static, sample: &[usize]) -> Option<String> {
    let build = || Sequential::new().push(layer).build(Shape::new(sample)?, &Device::cpu(), 1);
    match catch_unwind(AssertUnwindSafe(build)) {
        Ok(Err(error)) => match error.kind() {
            ErrorKind::Shape | ErrorKind::Value | ErrorKind::Memory => None,
            kind => Some(format!("{kind:?}: {error}")),
        },
        Ok(Ok(_)) => Some("there was no error".to_owned()),
        Err(payload) => Some(payload.downcast_ref::<String>().cloned().unwrap_or_else(|| "it panicked".to_owned())),
    }
}

/// Builds each layer with each size in the place of `n`.
macro_rules! refused {
    ($n:ident, $sample:expr, $($layer:expr),+ $(,)?) => {
        let mut faults = Vec::new();
        for $n in SIZES {
            $(
                if let Some(fault) = fault($layer, &$sample) {
                    faults.push(format!("{} of {}: {fault}", stringify!($layer), $n));
                }
            )+
        }
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    };
}

#[test]
fn layers_of_vectors_and_sequences() {
    refused!(n, [4], Dense::new(n), GroupNorm::new(n), Reshape::new([n, n]), Reshape::new([n]), Embedding::new(n, n));
    refused!(n, [5], Embedding::new(n, 8), Embedding::new(8, n));
    refused!(
        n,
        [5, 3],
        Lstm::new(n),
        Gru::new(n),
        SimpleRnn::new(n),
        Lstm::new(n).bidirectional(Merge::Concat),
        Conv1d::new(n, 3),
        Conv1d::new(2, n),
        MaxPool1d::new(n),
        TimeDistributed::new(Dense::new(n)),
    );
}

#[test]
fn layers_of_images() {
    refused!(
        n,
        [3, 8, 8],
        Conv2d::new(n, 3),
        Conv2d::new(n, n),
        Conv2d::new(3, [3, n]),
        Conv2d::new(3, 3).stride(n),
        Conv2d::new(3, 3).dilation(n),
        Conv2d::new(3, 3).padding(n),
        Conv2d::new(3, 3).groups(n),
        ConvTranspose2d::new(n, 3),
        ConvTranspose2d::new(n, n),
        ConvTranspose2d::new(3, 3).stride(n),
        DepthwiseConv2d::new(3).multiplier(n),
        DepthwiseConv2d::new(n).multiplier(n),
        SeparableConv2d::new(n, 3),
        SeparableConv2d::new(3, 3).multiplier(n),
        MaxPool2d::new(n),
        MaxPool2d::new(2).stride(n),
        AvgPool2d::new(n),
        AvgPool2d::new(2).padding(n),
        AdaptiveAvgPool2d::new(n),
        ZeroPad2d::new(n),
        Upsample2d::new(n),
        Upsample2d::to(n).bilinear(),
        Upsample2d::new(n).bicubic(),
        Cropping2d::new(n),
        PixelShuffle::new(n),
        PixelUnshuffle::new(n),
        SqueezeExcitation::new(n),
    );
    refused!(n, [2, 3, 8, 8], ConvLstm2d::new(n, 3), ConvLstm2d::new(3, n), ConvTranspose3d::new(3, n));
}

/// First values that are drawn in memory of the host's.
#[test]
fn first_values_larger_than_memory() {
    let shape = Shape::new(&[1 << 24, 1 << 24]).unwrap();
    let device = Device::cpu();
    for initializer in [Initializer::Orthogonal, Initializer::HeNormal, Initializer::HeUniform, Initializer::Zeros] {
        let stream = kiln_math::RandomStream::new(1, kiln_math::Purpose::Init, 0);
        let fans = Fans { input: usize::MAX, output: usize::MAX };
        let error = initializer.tensor(&shape, fans, kiln_tensor::DType::F32, &device, stream).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Memory, "{initializer:?}: {error}");
    }
}
