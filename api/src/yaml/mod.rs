//! YAML 1.1 as kubectl reads and writes it (sigs.k8s.io/yaml over go-yaml v2): manifests in, `-o yaml` out. Reading knows
//! YAML 1.1's booleans, octals and merge keys; writing quotes what such a reader would take for something else, so that
//! `get -o yaml | apply` changes nothing. Parsing into events is saphyr's, what they mean is decided here.

mod mistakes;
mod read;
mod resolve;
mod scalar;
mod write;

pub use read::{Error, read, read_documents, read_strict, split_documents};
pub use write::write;

/// A float as Go prints it.
pub(crate) fn go_float(number: f64) -> String {
    scalar::float_text(number, None)
}

#[cfg(test)]
mod tests;
