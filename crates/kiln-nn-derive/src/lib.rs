// Its example stands on kiln-nn, which stands on this crate: it is a test of kiln-nn.
#![cfg_attr(not(doctest), doc = include_str!("../README.md"))]

mod attributes;
mod expand;
mod framework;

use proc_macro::TokenStream;

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
    let input = syn::parse_macro_input!(input as syn::DeriveInput);
    expand::module(input).unwrap_or_else(|error| error.into_compile_error()).into()
}
