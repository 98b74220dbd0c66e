//! Where the deriving crate finds kiln-nn: directly, or through the facade.

use proc_macro2::TokenStream;
use quote::quote;

/// `::kiln_nn` where the crate being compiled depends on it (or is it), else the facade's `::kiln::nn`.
pub(crate) fn path() -> TokenStream {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
        .and_then(|folder| std::fs::read_to_string(std::path::Path::new(&folder).join("Cargo.toml")).ok());
    match manifest {
        Some(manifest) if !names(&manifest, "kiln-nn") && names(&manifest, "kiln") => quote!(::kiln::nn),
        _ => quote!(::kiln_nn),
    }
}

/// Whether a manifest names this crate: as a key (`kiln-nn = …`, `kiln-nn.workspace = true`), as a table
/// (`[dependencies.kiln-nn]`) or as the package itself. Lines are enough to tell; a TOML parser would be a dependency.
fn names(manifest: &str, krate: &str) -> bool {
    manifest.lines().map(str::trim).any(|line| {
        let key = line.strip_prefix(krate).is_some_and(|rest| rest.starts_with([' ', '=', '.']));
        let table = line.strip_suffix(']').is_some_and(|l| l.ends_with(&format!("dependencies.{krate}")));
        let package =
            line.strip_prefix("name").is_some_and(|rest| rest.trim_start_matches([' ', '=']) == format!("\"{krate}\""));
        key || table || package
    })
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn dependencies_are_found_however_they_are_written() {
        for manifest in
            ["kiln-nn.workspace = true", "kiln-nn = \"0.1\"", "[dependencies.kiln-nn]", "name = \"kiln-nn\""]
        {
            assert!(names(manifest, "kiln-nn"), "{manifest}");
            assert!(!names(manifest, "kiln"), "{manifest}");
        }
        assert!(names("[dependencies]\nkiln = { path = \"../kiln\" }", "kiln"));
        assert!(!names("description = \"kiln-nn and more\"", "kiln-nn"));
    }
}
