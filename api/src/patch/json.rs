//! The two standard patches: JSON patch (RFC 6902) with upstream's bounds and answers, merge patch (RFC 7386), and making merge
//! patches.

use serde_json::{Map, Value};

use super::{go_kind, operations, unprocessable};
use crate::status::Status;

/// How many operations a JSON patch may have (apiserver, maxJSONPatchOperations).
const MAX_OPERATIONS: usize = 10_000;

/// Applies a JSON patch. What cannot be decoded is a bad request; an operation that does not fit the object, including a failed
/// test, is upstream's 422.
pub fn json_patch(mut object: Value, patch: &Value) -> Result<Value, Status> {
    let operations = match patch {
        Value::Array(operations) => operations.as_slice(),
        Value::Null => &[],
        other => return Err(not_decoded(other, "Patch")),
    };
    if operations.len() > MAX_OPERATIONS {
        let found = operations.len();
        return Err(Status::too_large(format!(
            "Request entity too large: The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {found}"
        )));
    }
    let refused = operations.iter().find(|operation| !operation.is_object() && !operation.is_null());
    if let Some(operation) = refused {
        return Err(not_decoded(operation, "Operation"));
    }
    let (mut copied, none) = (0, Map::new());
    for operation in operations {
        let operation = operation.as_object().unwrap_or(&none);
        operations::apply(&mut object, operation, &mut copied).map_err(|_| unprocessable())?;
    }
    Ok(object)
}

fn not_decoded(value: &Value, ty: &str) -> Status {
    let found = match value {
        Value::Object(_) => "object",
        Value::Array(_) => "array",
        Value::Number(_) => "number",
        other => go_kind(other),
    };
    Status::bad_request(format!("json: cannot unmarshal {found} into Go value of type jsonpatch.{ty}"))
}

/// Applies a merge patch: maps merge, null deletes, anything else replaces.
pub fn merge_patch(mut object: Value, patch: &Value) -> Result<Value, Status> {
    let Value::Object(patch) = patch else { return Err(Status::bad_request("Invalid JSON Patch")) };
    merge(&mut object, patch);
    Ok(object)
}

fn merge(object: &mut Value, patch: &Map<String, Value>) {
    let object = crate::object::as_map(object);
    for (key, value) in patch {
        match (object.get_mut(key), value) {
            (_, Value::Null) => {
                object.remove(key);
            }
            (Some(ours @ Value::Object(_)), Value::Object(patch)) => merge(ours, patch),
            (Some(ours @ Value::Object(_)), value) => *ours = value.clone(),
            (_, value) => {
                object.insert(key.clone(), without_nulls(value));
            }
        }
    }
}

/// A value without the nulls in its maps, also of those in lists: as evanphx/json-patch puts in what meets no map. (RFC 7386 leaves
/// lists as they are.)
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let fields = map.iter().filter(|(_, value)| !value.is_null());
            Value::Object(fields.map(|(key, value)| (key.clone(), without_nulls(value))).collect())
        }
        Value::Array(list) => list.iter().map(without_nulls).collect(),
        scalar => scalar.clone(),
    }
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
