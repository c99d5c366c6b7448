//! The two standard patches: JSON patch (RFC 6902) with upstream's bounds and answers, merge patch (RFC 7386), and making merge
//! patches.

use serde_json::{Map, Value};

use super::{go_kind, unprocessable};
use crate::status::Status;

/// How many operations a JSON patch may have (apiserver, maxJSONPatchOperations).
const MAX_OPERATIONS: usize = 10_000;
/// How many bytes the copy operations of one JSON patch may add up to (apiserver, JSONPatchMaxCopyBytes).
const MAX_COPIED: usize = 3 * 1024 * 1024;

/// Applies a JSON patch. What cannot be decoded is a bad request; an operation that does not fit the object, including a failed
/// test, is upstream's 422.
pub fn json_patch(mut object: Value, patch: &Value) -> Result<Value, Status> {
    let Value::Array(operations) = patch else {
        let kind = match patch {
            Value::Object(_) => "object",
            Value::Number(_) => "number",
            other => go_kind(other),
        };
        return Err(Status::bad_request(format!(
            "json: cannot unmarshal {kind} into Go value of type jsonpatch.Patch"
        )));
    };
    if operations.len() > MAX_OPERATIONS {
        let found = operations.len();
        return Err(Status::too_large(format!(
            "Request entity too large: The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {found}"
        )));
    }
    let mut copied = 0;
    for operation in operations {
        let operation: json_patch::PatchOperation = serde_json::from_value(operation.clone()).map_err(|error| {
            if malformed(operation) { Status::bad_request(error.to_string()) } else { unprocessable() }
        })?;
        if let json_patch::PatchOperation::Copy(copy) = &operation {
            copied += object.pointer(copy.from.as_str()).map_or(0, |value| value.to_string().len());
            if copied > MAX_COPIED {
                return Err(unprocessable());
            }
        }
        json_patch::patch_unsafe(&mut object, &[operation]).map_err(|_| unprocessable())?;
    }
    Ok(object)
}

/// Whether an operation is not even of the right form: not an object, or with parts that are not text.
fn malformed(operation: &Value) -> bool {
    let texts = ["op", "path", "from"];
    !operation.is_object() || texts.iter().any(|part| operation.get(part).is_some_and(|part| !part.is_string()))
}

/// Applies a merge patch: maps merge, null deletes, anything else replaces.
pub fn merge_patch(mut object: Value, patch: &Value) -> Result<Value, Status> {
    if !patch.is_object() {
        return Err(Status::bad_request("Invalid JSON Patch"));
    }
    json_patch::merge(&mut object, patch);
    Ok(object)
}

/// The merge patch that turns `original` into `modified`.
pub fn create_merge_patch(original: &Value, modified: &Value) -> Value {
    let empty = Map::new();
    let (original, modified) = (original.as_object().unwrap_or(&empty), modified.as_object().unwrap_or(&empty));
    Value::Object(diff(original, modified))
}

fn diff(original: &Map<String, Value>, modified: &Map<String, Value>) -> Map<String, Value> {
    let mut patch = Map::new();
    for (key, wanted) in modified {
        match (original.get(key), wanted) {
            (Some(ours), wanted) if ours == wanted => {}
            (Some(Value::Object(ours)), Value::Object(wanted)) => {
                patch.insert(key.clone(), Value::Object(diff(ours, wanted)));
            }
            _ => {
                patch.insert(key.clone(), wanted.clone());
            }
        }
    }
    let gone = original.keys().filter(|key| !modified.contains_key(*key));
    patch.extend(gone.map(|key| (key.clone(), Value::Null)));
    patch
}

/// Only the nulls of a merge patch, with the maps they stand in.
pub(super) fn keep_deletions(patch: &Value) -> Value {
    let kept = |value: &Value| match value {
        Value::Null => Some(Value::Null),
        Value::Object(_) => Some(keep_deletions(value)).filter(|map| *map != Value::Object(Map::new())),
        _ => None,
    };
    let fields = patch.as_object().into_iter().flatten();
    Value::Object(fields.filter_map(|(key, value)| Some((key.clone(), kept(value)?))).collect())
}

/// A merge patch without its nulls and without the maps that they leave empty; maps that were empty stay.
pub(super) fn without_deletions(patch: &Value) -> Value {
    let kept = |value: &Value| match value {
        Value::Null => None,
        Value::Object(map) if !map.is_empty() => {
            Some(without_deletions(value)).filter(|map| *map != Value::Object(Map::new()))
        }
        other => Some(other.clone()),
    };
    let fields = patch.as_object().into_iter().flatten();
    Value::Object(fields.filter_map(|(key, value)| Some((key.clone(), kept(value)?))).collect())
}

#[cfg(test)]
mod tests;
