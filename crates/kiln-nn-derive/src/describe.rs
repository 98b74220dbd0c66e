//! `#[derive(Describe)]`.

use crate::attributes::{crate_path, takes_settings};
use crate::framework;
use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{DeriveInput, Result, parse_quote};

pub(crate) fn describe(input: DeriveInput) -> Result<TokenStream> {
    let DeriveInput { attrs, ident: name, mut generics, .. } = input;
    let nn = match crate_path(&attrs)? {
        Some(path) => path.into_token_stream(),
        None => framework::path(),
    };
    if !generics.params.is_empty() {
        generics.make_where_clause().predicates.push(parse_quote!(Self: #nn::Module));
    }
    let config = takes_settings(&attrs)?.then(|| {
        quote! {
            fn config(&self) -> ::core::option::Option<#nn::Json> {
                #nn::settings(self)
            }
        }
    });
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #impl_generics #nn::Describe for #name #type_generics #where_clause { #config }
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
}
