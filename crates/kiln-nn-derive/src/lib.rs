// Its example stands on kiln-nn, which stands on this crate: it is a test of kiln-nn.
#![cfg_attr(not(doctest), doc = include_str!("../README.md"))]

mod attributes;
mod describe;
mod expand;
mod framework;
mod values;

use proc_macro::TokenStream;
use syn::{DeriveInput, Error, parse_macro_input};

/// Implements `kiln_nn::Module` for a struct: every field is visited in order under its name, or under its position in a
/// tuple struct, so that parameters have the paths of PyTorch's `state_dict` (`features.3.weight`).
///
/// Every field's type must be a `Module`: parameters, buffers, layers, `Option`, `Vec`, arrays and tuples of such, and plain
/// settings (numbers, `bool`, `String`, shapes), which have no parameters.
///
/// On a field:
/// * `#[module(skip)]`: not visited; any type will do.
/// * `#[module(flatten)]`: visited without a name of its own: `0.weight` instead of `layers.0.weight`.
/// * `#[module(rename = "weight_ih")]`: visited under another name.
///
/// On the struct:
/// * `#[module(crate = "my_crate::nn")]`: where `Module` is found. By default in `::kiln_nn` where the crate depends on
///   kiln-nn, else in `::kiln::nn`.
///
/// Enums and unions are refused: what is visited depends on their value. So is an attribute that is not known.
#[proc_macro_derive(Module, attributes(module))]
pub fn derive_module(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand::module(input).unwrap_or_else(Error::into_compile_error).into()
}

/// Implements `kiln_nn::Describe` with its defaults: the layer's name is the type's.
///
/// On the struct:
/// * `#[describe(settings)]`: its config is what serde writes of it, from which a saved model is made again.
/// * `#[describe(spatial)]`: it goes over as many spatial axes as its const parameter says, and is called by them: `Conv2d`;
///   `#[describe(spatial = "Dropout")]` where its own name is another.
/// * `#[describe(elementwise)]`: its FLOPs are 0, as nothing is multiplied by weights.
#[proc_macro_derive(Describe, attributes(describe, module))]
pub fn derive_describe(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    describe::describe(input).unwrap_or_else(Error::into_compile_error).into()
}

/// Implements `kiln_nn::FromValue` for a struct of 1 to 6 fields, one value a field, in order: what a layer takes. `IntoValue`
/// is derived with it.
#[proc_macro_derive(FromValue, attributes(module))]
pub fn derive_from_value(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    values::from_value(&input).unwrap_or_else(Error::into_compile_error).into()
}

/// Implements `kiln_nn::IntoValue` for a struct of 1 to 6 fields, one value a field, in order: what a layer gives.
#[proc_macro_derive(IntoValue, attributes(module))]
pub fn derive_into_value(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    values::into_value(&input).unwrap_or_else(Error::into_compile_error).into()
}
