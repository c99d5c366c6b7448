//! YAML bodies: reading and writing, the one place of this crate that knows how.

use serde_json::Value;

/// The first document of a text; null if there is none.
pub(super) fn read(text: &str) -> Result<Value, String> {
    serde_yaml::from_str(text).map_err(|error| error.to_string())
}

/// A value as a document.
pub(super) fn write(value: &Value) -> Result<String, String> {
    serde_yaml::to_string(value).map_err(|error| error.to_string())
}
