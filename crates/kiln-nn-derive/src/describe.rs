//! `#[derive(Describe)]`.

use crate::attributes::{DescribeOptions, crate_path};
use crate::framework;
use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{DeriveInput, Error, Result, parse_quote};

pub(crate) fn describe(input: DeriveInput) -> Result<TokenStream> {
    let DeriveInput { attrs, ident: name, mut generics, .. } = input;
    let nn = match crate_path(&attrs)? {
        Some(path) => path.into_token_stream(),
        None => framework::path(),
    };
    if !generics.params.is_empty() {
        generics.make_where_clause().predicates.push(parse_quote!(Self: #nn::Module));
    }
    let options = DescribeOptions::of(&attrs)?;
    let spatial = match &options.spatial {
        None => None,
        Some(named) => {
            let Some(axes) = generics.const_params().next().map(|parameter| &parameter.ident) else {
                return Err(Error::new_spanned(
                    &name,
                    "`spatial` is for structs with a const parameter, the number of axes",
                ));
            };
            let stem = named.as_ref().map_or_else(|| name.to_string(), |named| named.value());
            let [one, two, three] = [1, 2, 3].map(|axes| format!("{stem}{axes}d"));
            Some(quote! {
                fn name(&self) -> &'static str {
                    match #axes { 1 => #one, 2 => #two, _ => #three }
                }
                fn spatial_axes(&self) -> ::core::option::Option<usize> {
                    ::core::option::Option::Some(#axes)
                }
            })
        }
    };
    let flops = options.elementwise.then(|| {
        quote! {
            fn flops(&self, _: &#nn::Shapes) -> u64 {
                0
            }
        }
    });
    let config = options.settings.then(|| {
        quote! {
            fn config(&self) -> ::core::option::Option<#nn::Json> {
                #nn::settings(self)
            }
        }
    });
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #impl_generics #nn::Describe for #name #type_generics #where_clause { #spatial #config #flops }
    })
}

#[cfg(test)]
mod tests {
    use super::describe;
    use syn::parse_quote;

    #[test]
    fn settings_are_what_serde_writes() {
        let code = |input| describe(input).map(|tokens| tokens.to_string()).unwrap();
        assert!(
            !code(parse_quote!(
                struct Net;
            ))
            .contains("config")
        );
        assert!(
            code(parse_quote!(
                #[describe(settings)]
                struct Net;
            ))
            .contains("config")
        );
        let error = describe(parse_quote!(
            #[describe(setting)]
            struct Net;
        ))
        .unwrap_err()
        .to_string();
        assert!(error.contains("expected `settings`"), "{error}");
    }

    #[test]
    fn spatial_layers_are_named_by_their_axes() {
        let code = |input| describe(input).map(|tokens| tokens.to_string());
        let conv = code(parse_quote!(
            #[describe(spatial)]
            struct Conv<const N: usize>;
        ))
        .unwrap();
        assert!(conv.contains("\"Conv2d\"") && conv.contains("spatial_axes"), "{conv}");
        let dropout = code(parse_quote!(
            #[describe(spatial = "Dropout")]
            struct Other<const N: usize>;
        ))
        .unwrap();
        assert!(dropout.contains("\"Dropout3d\""), "{dropout}");
        assert!(
            code(parse_quote!(
                #[describe(spatial)]
                struct Conv;
            ))
            .is_err()
        );
    }
}
