//! Networks that are known by name, to train or to load weights into.
//!
//! Each function gives a [`Sequential`], to be built for your images. Classifiers end in logits, one
//! for each class (of a U-Net, for each class and pixel): train with `SparseCategoricalCrossentropy::from_logits()`, or push
//! `Activation::Softmax` for probabilities, through which losses on probabilities look.
//!
//! ```
//! use kiln_nn::{Module, models};
//! use kiln_tensor::Device;
//! # fn main() -> Result<(), kiln_tensor::Error> {
//! let model = models::resnet20(10).build([3, 32, 32], &Device::cpu(), 1)?; // shape of one image, where, seed
//! assert_eq!(model.parameter_count(), 272_474);
//! # Ok(())
//! # }
//! ```
//!
//! [`resnet`], [`vgg`], [`mobilenet`], [`densenet`] and [`efficientnet`] have torchvision's names and shapes, so that its weights load, once they are a safetensors file:
//! `safetensors.torch.save_file(torchvision.models.resnet18(weights="DEFAULT").state_dict(), "resnet18.safetensors")`, and
//! then (an example that is compiled but not run, as the file has 47 MB)
//!
//! ```no_run
//! use kiln_nn::{models, safetensors};
//! use kiln_tensor::Device;
//! # fn main() -> Result<(), kiln_tensor::Error> {
//! let mut model = models::resnet18(1000).build([3, 224, 224], &Device::cpu(), 1)?;
//! safetensors::load(&mut model, "resnet18.safetensors")?;
//! # Ok(())
//! # }
//! ```
//!
//! A file of another architecture is refused with the names that are missing, unexpected or of another shape; for another
//! number of classes, leave `fc.weight` and `fc.bias` out of it and load with `load_matching(…, false)`.
//!
//! | | images | parameters |
//! |---|---|---|
//! | [`lenet5`] | 1 × 28 × 28 | 61,706 |
//! | [`alexnet`] | 3 × 227 × 227 | 60,965,224 |
//! | [`alexnet_cifar`] | 3 × 32 × 32 | 21,631,722 |
//! | [`vgg11`], [`vgg13`], [`vgg16`] | 3 × 224 × 224 | 132,863,336 to 138,357,544 |
//! | [`resnet18`], [`resnet34`], [`resnet50`] | 3 × 224 × 224 | 11,689,512 to 25,557,032 |
//! | [`resnet20`] | 3 × 32 × 32 | 272,474 |
//! | [`mobilenet_v2`] | 3 × 224 × 224 | 3,504,872 |
//! | [`densenet121`] | 3 × 224 × 224 | 7,978,856 |
//! | [`efficientnet_b0`] | 3 × 224 × 224 | 5,288,548 |
//! | [`unet`](unet()) | any whose sides are multiples of 16 | 31,037,698 for 3 channels and 2 classes |
//! | [`autoencoder`](autoencoder()), [`vae`] | samples of any shape | 222,384 and 652,824 for 28 × 28 |
//! | [`vit_b16`] | 3 × 224 × 224 | 86,567,656 |
//! | [`vit_cifar`] | 3 × 32 × 32 | 2,693,578 for 10 classes |
//! | [`dcgan::Dcgan`] | squares, such as 3 × 64 × 64 | 3,576,704 and 2,765,568 |

//!
//! Models of texts, which take tokens:
//!
//! | | tokens | parameters |
//! |---|---|---|
//! | [`gpt2`](gpt2()), [`gpt2_medium`], [`gpt2_large`], [`gpt2_xl`] | up to 1024 of 50,257 | 124,439,808 to 1,557,611,200 |
//! | [`bert_base`] | up to 512 of 30,522 | 109,514,298 |
//! | [`llama::Llama`] | any | |
//!
//! [`hub::load`] opens these, and vision transformers, with the weights of Hugging Face's hub.

use crate::{Lambda, Sequential};
use kiln_autograd::Var;
use kiln_tensor::{Error, Result};

mod alexnet;
pub mod autoencoder;
pub mod bert;
pub mod dcgan;
pub mod densenet;
pub mod efficientnet;
pub mod gpt2;
pub mod hub;
mod lenet;
pub mod llama;
pub mod mobilenet;
mod parts;
pub mod resnet;
mod transformers;
pub mod unet;
pub mod vgg;
pub mod vit;

pub use alexnet::{alexnet, alexnet_cifar};
pub use autoencoder::{autoencoder, vae};
pub use bert::bert_base;
pub use densenet::densenet121;
pub use efficientnet::efficientnet_b0;
pub use gpt2::{gpt2, gpt2_large, gpt2_medium, gpt2_xl};
pub use lenet::lenet5;
pub use mobilenet::mobilenet_v2;
pub use resnet::{resnet18, resnet20, resnet34, resnet50};
pub use unet::unet;
pub use vgg::{vgg11, vgg13, vgg16};
pub use vit::{vit_b16, vit_cifar};

/// A model whose build fails with this message: settings that make no network are reported there.
fn refused(operation: &'static str, message: String) -> Sequential {
    let fail = move |_: Var| -> Result<Var> { Err(Error::value(operation, message.clone())) };
    Sequential::new().push(Lambda::new(fail))
}
