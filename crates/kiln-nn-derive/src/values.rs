//! `#[derive(FromValue)]` and `#[derive(IntoValue)]`: a struct as several values, one a field.

use crate::attributes::crate_path;
use crate::framework;
use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Data, DeriveInput, Error, Index, Member, Result, Type};

/// Values that one struct may have: as many as there are tuples of.
const MOST: usize = 6;

/// The struct's fields as a tuple, in order.
struct Fields<'a> {
    nn: TokenStream,
    members: Vec<Member>,
    types: Vec<&'a Type>,
}

fn fields<'a>(input: &'a DeriveInput, of: &str) -> Result<Fields<'a>> {
    let Data::Struct(data) = &input.data else {
        return Err(Error::new_spanned(&input.ident, format!("{of} is derived for structs, one value a field")));
    };
    if !(1..=MOST).contains(&data.fields.len()) {
        return Err(Error::new_spanned(&input.ident, format!("{of} takes structs of 1 to {MOST} fields")));
    }
    let nn = match crate_path(&input.attrs)? {
        Some(path) => path.into_token_stream(),
        None => framework::path(),
    };
    let member = |(position, field): (usize, &syn::Field)| match &field.ident {
        Some(name) => Member::Named(name.clone()),
        None => Member::Unnamed(Index::from(position)),
    };
    let members = data.fields.iter().enumerate().map(member).collect();
    Ok(Fields { nn, members, types: data.fields.iter().map(|field| &field.ty).collect() })
}

/// The tuple of these, or the one alone.
fn tuple<T: ToTokens>(items: &[T]) -> TokenStream {
    match items {
        [one] => quote!(#one),
        several => quote!((#(#several),*)),
    }
}

pub(crate) fn into_value(input: &DeriveInput) -> Result<TokenStream> {
    let Fields { nn, members, types } = fields(input, "IntoValue")?;
    let name = &input.ident;
    let (generics, arguments, bounds) = input.generics.split_for_impl();
    let (of, values) = (tuple(&types), tuple(&members.iter().map(|member| quote!(self.#member)).collect::<Vec<_>>()));
    Ok(quote! {
        #[automatically_derived]
        impl #generics #nn::IntoValue for #name #arguments #bounds {
            type Shape = <#of as #nn::IntoValue>::Shape;
            fn into_value(self) -> #nn::Value {
                #nn::IntoValue::into_value(#values)
            }
            fn for_each_var<'v>(&'v self, f: &mut dyn FnMut(&'v #nn::Var)) {
                #(#nn::IntoValue::for_each_var(&self.#members, f);)*
            }
            fn map_vars(self, f: &mut dyn FnMut(#nn::Var) -> #nn::Var) -> Self {
                Self { #(#members: #nn::IntoValue::map_vars(self.#members, f)),* }
            }
        }
        #[automatically_derived]
        impl #generics ::core::convert::From<#name #arguments> for #nn::Value #bounds {
            fn from(value: #name #arguments) -> Self {
                #nn::IntoValue::into_value(value)
            }
        }
    })
}

pub(crate) fn from_value(input: &DeriveInput) -> Result<TokenStream> {
    let Fields { nn, members, types } = fields(input, "FromValue")?;
    let name = &input.ident;
    let (generics, arguments, bounds) = input.generics.split_for_impl();
    let of = tuple(&types);
    let made = match members.as_slice() {
        [member] => quote!(#name { #member: values }),
        several => {
            let positions = (0..several.len()).map(Index::from);
            quote!(#name { #(#several: values.#positions),* })
        }
    };
    Ok(quote! {
        #[automatically_derived]
        impl #generics #nn::FromValue for #name #arguments #bounds {
            fn from_value(value: #nn::Value) -> #nn::Result<Self> {
                let values = <#of as #nn::FromValue>::from_value(value)?;
                ::core::result::Result::Ok(#made)
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{from_value, into_value};
    use syn::parse_quote;

    #[test]
    fn what_is_no_struct_of_values_is_refused() {
        let error = |input| into_value(&input).unwrap_err().to_string();
        assert!(
            error(parse_quote!(
                enum Either {
                    Left(A),
                }
            ))
            .contains("for structs")
        );
        assert!(
            error(parse_quote!(
                struct Nothing;
            ))
            .contains("1 to 6 fields")
        );
        assert!(
            from_value(&parse_quote!(
                struct Nothing;
            ))
            .is_err()
        );
    }
}
