//! A file from an address.

use super::{FetchEvent, fetch_source};
use crate::catalog::{Content, Remote, Source};
use kiln_tensor::{Error, Result};
use std::path::{Path, PathBuf};

/// Fetches the file at `url` into the folder `name` in `directory`, and returns its path: `DIRECTORY/NAME/FILE`, where FILE is the last
/// part of the address. As [`fetch`](super::fetch), it goes on where an earlier call stopped, and the file has its name only once
/// its SHA-256 is `sha256`; one that is there already and right is kept.
///
/// # Errors
/// An address that does not begin with `http://` or `https://`, or that ends in `/`; a checksum that is not 64 hexadecimal digits; a
/// name that cannot be a folder's; and the errors of [`fetch`](super::fetch).
pub fn fetch_url(
    url: &str,
    sha256: &str,
    name: &str,
    directory: impl AsRef<Path>,
    mut progress: impl FnMut(FetchEvent<'_>),
) -> Result<PathBuf> {
    let refused = |why: String| Err(Error::value("fetch", why));
    let Some(path) = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")) else {
        return refused(format!("`{url}` is not the address of a file: it must begin with https:// or http://"));
    };
    if url.ends_with('/') {
        return refused(format!("`{url}` is the address of a folder: that of a file is expected"));
    }
    if sha256.len() != 64 || !sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return refused(format!(
            "`{sha256}` is no SHA-256: 64 hexadecimal digits are expected, as `sha256sum FILE` prints them"
        ));
    }
    if !is_name(name) {
        return refused(format!("`{name}` cannot be the name of a folder: a name without / and \\ is expected"));
    }
    // Without a file's name in the address, as of a query, the file is called as the data set.
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let file = path.split_once('/').and_then(|(_, path)| path.rsplit('/').next()).filter(|file| is_name(file));
    let remote = Remote {
        mirrors: &[url],
        name: file.unwrap_or(name),
        size: None,
        sha256: &sha256.to_ascii_lowercase(),
        content: Content::File,
    };
    let source = Source { name, about: "", license: "", folder: name, files: &[remote] };
    Ok(fetch_source(&source, directory, &mut progress)?.join(remote.name))
}

/// Whether a file or folder can have this name, wherever it is put.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\\', ':', '\0'])
}
