//! Kernels of compiled inference: convolutions, pools and dense layers over NHWC maps, with weights that are packed once.
//!
//! A map of N images is `N·D·H·W` pixels, one after the other, and a pixel is [`padded`]`(C)` floats: the C channels, then zeros. Each
//! function here reads and writes maps of this layout, and leaves zeros behind the channels. [`to_nhwc`] and [`from_nhwc`] convert
//! planes (N, C, D, H, W). A row of features (N, C) is a map of one pixel an image. Rows of channels, such as a bias, have the same
//! zeros; [`padded_row`] makes them.
//!
//! A [`Filter`] says how a convolution of one form is computed on one instruction set, and packs its weights into memory of the
//! caller. [`Filter::run`] allocates nothing. Its result has the same bits for any number of threads. With [`Way::Direct`] these are the
//! bits of [`conv::forward`](crate::conv::forward), and each [`Step`] of an [`Epilogue`] has the bits of the separate operation.
//!
//! ```
//! use kiln_cpu::Isa;
//! use kiln_cpu::conv::Conv;
//! use kiln_cpu::inference::{Epilogue, Filter, Step, Way, from_nhwc, map_len, padded_row, to_nhwc};
//!
//! // relu(x·w + b): two images of 3 channels, 4 × 4 pixels, under 5 kernels of 3 × 3.
//! let form = Conv {
//!     batch: 2, groups: 1, inputs: 3, outputs: 5,
//!     size: [1, 4, 4], out: [1, 4, 4], kernel: [1, 3, 3], stride: [1; 3], dilation: [1; 3], before: [0, 1, 1],
//! };
//! let isa = Isa::best();
//! let filter = Filter::new(isa, Way::Direct, &form);
//! let mut packed = vec![0.0; filter.room()];
//! filter.pack(&[0.1; 5 * 3 * 9], None, &mut packed);
//!
//! let mut x = vec![0.0; map_len(2, 3, 16)];
//! to_nhwc(isa, &[1.0; 2 * 3 * 16], (3, 16), &mut x);
//! let mut y = vec![0.0; map_len(2, 5, 16)];
//! let mut scratch = vec![0.0; filter.scratch(1)];
//! let bias = padded_row(&[-1.0; 5]);
//! filter.run(&packed, &x, &mut y, &mut scratch, &Epilogue::new(&[Step::Bias(&bias), Step::Relu]));
//!
//! let mut planes = [0.0; 2 * 5 * 16];
//! from_nhwc(isa, &y, (5, 16), &mut planes);
//! assert!((planes[0] - 0.2).abs() < 1e-6 && (planes[5] - 1.7).abs() < 1e-6);
//! ```

mod apply;
mod depthwise;
mod direct;
mod epilogue;
mod field;
mod filter;
mod int8;
mod layout;
mod panels;
mod pool;
mod slots;
mod winograd;

pub use apply::apply;
pub use epilogue::{Epilogue, Scaling, Step};
pub use filter::{Filter, Way};
pub use int8::quantize::{Quantization, Words, quantize};
pub use int8::{QuantizedFilter, weight_scales};
pub use layout::{from_nhwc, map_len, padded, padded_row, to_nhwc};
pub use pool::{global_average_pool, max_pool};
