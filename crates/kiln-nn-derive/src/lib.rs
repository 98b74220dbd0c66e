//! The derive macro of kiln-nn's Module trait.
