//! What `#[module(…)]` says on a struct or a field.

use syn::meta::ParseNestedMeta;
use syn::{Attribute, LitStr, Path, Result};

/// How a field is visited.
#[derive(Default)]
pub(crate) struct FieldOptions {
    pub(crate) skip: bool,
    pub(crate) flatten: bool,
    pub(crate) rename: Option<LitStr>,
}

impl FieldOptions {
    pub(crate) fn of(attributes: &[Attribute]) -> Result<Self> {
        let mut options = FieldOptions::default();
        each(attributes, |meta| {
            if meta.path.is_ident("skip") {
                options.skip = true;
            } else if meta.path.is_ident("flatten") {
                options.flatten = true;
            } else if meta.path.is_ident("rename") {
                let name: LitStr = meta.value()?.parse()?;
                if name.value().is_empty() || name.value().contains('.') {
                    return Err(syn::Error::new(name.span(), "a name in a path is not empty and holds no dot"));
                }
                options.rename = Some(name);
            } else {
                return Err(meta.error("expected `skip`, `flatten` or `rename = \"…\"`"));
            }
            Ok(())
        })?;
        Ok(options)
    }
}

/// The path given by `#[module(crate = "…")]` on the struct.
pub(crate) fn crate_path(attributes: &[Attribute]) -> Result<Option<Path>> {
    let mut path = None;
    each(attributes, |meta| {
        if !meta.path.is_ident("crate") {
            return Err(
                meta.error("expected `crate = \"…\"` on a struct; `skip`, `flatten`, `rename` belong on its fields")
            );
        }
        path = Some(meta.value()?.parse::<LitStr>()?.parse()?);
        Ok(())
    })?;
    Ok(path)
}

/// What `#[describe(…)]` says on a struct.
#[derive(Default)]
pub(crate) struct DescribeOptions {
    /// Its config is its serde form.
    pub(crate) settings: bool,
    /// It is of as many spatial axes as its const parameter says: its name, without their number, where that is another.
    pub(crate) spatial: Option<Option<LitStr>>,
    /// Nothing in it is multiplied by weights.
    pub(crate) elementwise: bool,
}

impl DescribeOptions {
    pub(crate) fn of(attributes: &[Attribute]) -> Result<Self> {
        let mut options = DescribeOptions::default();
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("describe")) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("settings") {
                    options.settings = true;
                } else if meta.path.is_ident("elementwise") {
                    options.elementwise = true;
                } else if meta.path.is_ident("spatial") {
                    options.spatial = Some(meta.value().ok().map(|value| value.parse()).transpose()?);
                } else {
                    return Err(meta.error("expected `settings`, `elementwise`, `spatial` or `spatial = \"…\"`"));
                }
                Ok(())
            })?;
        }
        Ok(options)
    }
}

fn each(attributes: &[Attribute], mut entry: impl FnMut(ParseNestedMeta<'_>) -> Result<()>) -> Result<()> {
    attributes.iter().filter(|a| a.path().is_ident("module")).try_for_each(|a| a.parse_nested_meta(&mut entry))
}
