//! The driver's library, opened when it is first needed.

use libloading::Library;
use std::error::Error;
use std::sync::OnceLock;

/// The file that NVIDIA's driver installs.
const FILE: &str = if cfg!(windows) { "nvcuda.dll" } else { "libcuda.so.1" };

/// Opens the library on the first call; the sentence says why there is none.
fn library() -> Result<&'static Library, &'static str> {
    static LIBRARY: OnceLock<Result<Library, String>> = OnceLock::new();
    let open = || {
        let file = std::env::var_os("KILN_LIBCUDA").unwrap_or_else(|| FILE.into());
        // SAFETY: the driver's library may be loaded at any time; it, or what the user names in its place, is trusted.
        unsafe { Library::new(&file) }.map_err(|error| {
            // The loader's own words, which name the file once more.
            let error = error.source().map_or_else(|| error.to_string(), ToString::to_string);
            let file = file.to_string_lossy();
            let error = error.strip_prefix(&format!("{file}: ")).unwrap_or(&error);
            format!("no NVIDIA driver was found ({file} could not be opened: {error})")
        })
    };
    LIBRARY.get_or_init(open).as_ref().map_err(String::as_str)
}

/// Why no driver could be opened, in one sentence; nothing where one is open.
#[must_use]
pub fn missing_driver() -> Option<&'static str> {
    library().err()
}

/// A function of the driver's library, if there is a driver and it has the function.
///
/// # Safety
/// `F` is the type of a pointer to the function of that name.
#[must_use]
pub unsafe fn symbol<F: Copy>(name: &str) -> Option<F> {
    let library = library().ok()?;
    // SAFETY: as the caller promises. The library is never closed, so the pointer stays valid.
    unsafe { library.get::<F>(name) }.ok().map(|symbol| *symbol)
}
