//! The implementation that the macro writes.

use crate::attributes::{FieldOptions, crate_path};
use crate::framework;
use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{Data, DeriveInput, Error, Fields, Index, Member, Result, Type, WherePredicate, parse_quote};

/// A field that is visited.
struct Visited<'a> {
    member: Member,
    ty: &'a Type,
    /// The path's segment; none where it is flattened.
    segment: Option<TokenStream>,
}

pub(crate) fn module(input: DeriveInput) -> Result<TokenStream> {
    let DeriveInput { attrs, ident: name, mut generics, data, .. } = input;
    let fields = match &data {
        Data::Struct(data) => &data.fields,
        Data::Enum(_) => {
            return Err(Error::new_spanned(
                &name,
                "Module is derived for structs; an enum's fields depend on its variant: write `impl Module` by hand and match",
            ));
        }
        Data::Union(_) => {
            return Err(Error::new_spanned(&name, "Module is derived for structs; a union's field cannot be known"));
        }
    };
    let nn = match crate_path(&attrs)? {
        Some(path) => path.into_token_stream(),
        None => framework::path(),
    };
    let visited = visited_fields(fields, &nn)?;

    let body = |visit: TokenStream, reference: TokenStream| -> TokenStream {
        visited
            .iter()
            .map(|Visited { member, segment, .. }| {
                let inner = quote!(#nn::Module::#visit(#reference self.#member, visitor););
                match segment {
                    Some(segment) => quote!(visitor.enter(#segment); #inner visitor.leave();),
                    None => inner,
                }
            })
            .collect()
    };
    let (shared, unique) = (body(quote!(visit), quote!(&)), body(quote!(visit_mut), quote!(&mut)));

    let parameters: Vec<Ident> = generics.type_params().map(|p| p.ident.clone()).collect();
    // A bound on the field's type, not on the parameter: `PhantomData<T>` and `Vec<T>` ask of T what they need.
    let bounds: Vec<WherePredicate> = visited
        .iter()
        .filter(|field| mentions(field.ty.to_token_stream(), &parameters))
        .map(|Visited { ty, .. }| parse_quote!(#ty: #nn::Module))
        .collect();
    if !bounds.is_empty() {
        generics.make_where_clause().predicates.extend(bounds);
    }
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #impl_generics #nn::Module for #name #type_generics #where_clause {
            #[allow(unused_variables)]
            fn visit<'m>(&'m self, visitor: &mut dyn #nn::Visitor<'m>) { #shared }
            #[allow(unused_variables)]
            fn visit_mut<'m>(&'m mut self, visitor: &mut dyn #nn::VisitorMut<'m>) { #unique }
        }
    })
}

fn visited_fields<'a>(fields: &'a Fields, nn: &TokenStream) -> Result<Vec<Visited<'a>>> {
    let mut visited = Vec::new();
    for (position, field) in fields.iter().enumerate() {
        let FieldOptions { skip, flatten, rename } = FieldOptions::of(&field.attrs)?;
        if usize::from(skip) + usize::from(flatten) + usize::from(rename.is_some()) > 1 {
            return Err(Error::new_spanned(field, "`skip`, `flatten` and `rename` exclude each other"));
        }
        if skip {
            continue;
        }
        let (member, segment) = match &field.ident {
            Some(ident) => {
                let name = ident.to_string();
                let name = name.strip_prefix("r#").unwrap_or(&name);
                (Member::Named(ident.clone()), quote!(#nn::Segment::Name(#name)))
            }
            None => (Member::Unnamed(Index::from(position)), quote!(#nn::Segment::Index(#position))),
        };
        let segment = match rename {
            Some(name) => Some(quote!(#nn::Segment::Name(#name))),
            None => (!flatten).then_some(segment),
        };
        visited.push(Visited { member, ty: &field.ty, segment });
    }
    Ok(visited)
}

/// Whether any of these identifiers occurs among the tokens.
fn mentions(tokens: TokenStream, names: &[Ident]) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => names.contains(&ident),
        TokenTree::Group(group) => mentions(group.stream(), names),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::module;
    use syn::{DeriveInput, parse_quote};

    fn error(input: DeriveInput) -> String {
        module(input).map(|tokens| tokens.to_string()).unwrap_err().to_string()
    }

    fn expanded(input: DeriveInput) -> String {
        module(input).unwrap().to_string().replace(' ', "")
    }

    #[test]
    fn what_has_no_fixed_fields_is_refused() {
        assert!(
            error(parse_quote!(
                enum Either {
                    Left(A),
                    Right(B),
                }
            ))
            .contains("write `impl Module` by hand and match")
        );
        assert!(error(parse_quote!(union Both { a: u32, b: f32 })).contains("a union's field cannot be known"));
    }

    #[test]
    fn attributes_that_make_no_sense_are_refused() {
        assert!(
            error(parse_quote!(
                struct Net {
                    #[module(skipp)]
                    a: A,
                }
            ))
            .contains("expected `skip`, `flatten` or `rename")
        );
        assert!(
            error(parse_quote!(
                struct Net {
                    #[module(skip, flatten)]
                    a: A,
                }
            ))
            .contains("exclude each other")
        );
        assert!(
            error(parse_quote!(
                struct Net {
                    #[module(rename = "a.b")]
                    a: A,
                }
            ))
            .contains("holds no dot")
        );
        assert!(
            error(parse_quote!(
                struct Net {
                    #[module(rename = "")]
                    a: A,
                }
            ))
            .contains("is not empty")
        );
        assert!(
            error(parse_quote!(
                #[module(skip)]
                struct Net {
                    a: A,
                }
            ))
            .contains("belong on its fields")
        );
    }

    #[test]
    fn bounds_are_put_on_fields_that_are_visited_and_generic() {
        let input = parse_quote!(
            #[module(crate = "my::nn")]
            struct Net<T, U> {
                a: Vec<T>,
                b: Dense,
                #[module(skip)]
                c: U,
            }
        );
        let code = expanded(input);
        assert!(code.contains("impl<T,U>my::nn::ModuleforNet<T,U>whereVec<T>:my::nn::Module{"), "{code}");
        assert!(
            code.contains(
                "visitor.enter(my::nn::Segment::Name(\"b\"));my::nn::Module::visit(&self.b,visitor);visitor.leave();"
            ),
            "{code}"
        );
        assert!(!code.contains("self.c"), "{code}");
    }
}
