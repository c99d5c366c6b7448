//! Strategic merge (apimachinery, pkg/util/strategicpatch/patch.go): maps merge key by key, null deletes, lists are replaced
//! unless the schema says that they merge. Directives: `$patch: replace|delete|merge` in a map or an element,
//! `$retainKeys` drops what it does not name, `$deleteFromPrimitiveList/<field>` takes scalars out,
//! `$setElementOrder/<field>` orders a merged list.
//!
//! The same merge joins two patches into one when `kubectl apply` makes a patch: then directives and nulls are kept.

use serde_json::{Map, Value};

use super::lists::{self, DIRECTIVE, Elements, Places};
use super::{Error, Shape, bad_type, go_text};
use crate::status::Status;

pub(super) const RETAIN_KEYS: &str = "$retainKeys";
pub(super) const DELETE_PREFIX: &str = "$deleteFromPrimitiveList";
pub(super) const ORDER_PREFIX: &str = "$setElementOrder";

/// What becomes of directives and nulls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// A patch is applied to an object: directives act, nulls delete.
    Apply,
    /// Two patches become one: directives and nulls stay.
    Combine,
}

/// Applies a strategic merge patch to an object of the definition `def`, e.g. `io.k8s.api.core.v1.Pod`.
pub fn strategic_merge(def: &str, object: Value, patch: Value) -> Result<Value, Status> {
    let shape = Shape::named(def)?;
    let (Value::Object(object), Value::Object(patch)) = (object, patch) else { return Err(Error::BadDocument.into()) };
    Ok(Value::Object(merge_maps(object, patch, shape, Mode::Apply)?))
}

/// Merges `patch` into `original`.
pub(super) fn merge_maps(
    mut original: Map<String, Value>,
    mut patch: Map<String, Value>,
    shape: Shape,
    mode: Mode,
) -> Result<Map<String, Value>, Error> {
    if let Some(directive) = patch.remove(DIRECTIVE) {
        return match directive.as_str() {
            Some("replace") => Ok(patch),
            Some("delete") => Ok(Map::new()),
            _ => Err(unknown_directive(&directive, patch)),
        };
    }
    retain_keys(&mut original, &mut patch, mode)?;
    merge_ordered_lists(&mut original, &mut patch, shape, mode)?;
    for (key, value) in patch {
        if let Some(field) = key.strip_prefix(DELETE_PREFIX) {
            if mode == Mode::Combine {
                original.insert(key, value);
                continue;
            }
            let field = field.strip_prefix('/').ok_or(Error::BadPrimitiveList)?;
            delete_scalars(&mut original, field, &value)?;
            continue;
        }
        if value.is_null() {
            original.remove(&key);
            if mode == Mode::Combine {
                original.insert(key, value);
            }
            continue;
        }
        let merged = match (original.remove(&key), value) {
            (Some(Value::Object(live)), Value::Object(patch)) => {
                let facts = shape.field(&key)?;
                let map = if facts.replace { patch } else { merge_maps(live, patch, facts.shape, mode)? };
                Some(Value::Object(map))
            }
            (Some(Value::Array(live)), Value::Array(patch)) => {
                let facts = shape.field(&key)?;
                let list = if facts.merge { merge_lists(live, patch, &facts, mode)? } else { patch };
                Some(Value::Array(list))
            }
            (_, value) => plain(value, mode),
        };
        original.extend(merged.map(|merged| (key, merged)));
    }
    Ok(original)
}

fn unknown_directive(directive: &Value, mut map: Map<String, Value>) -> Error {
    map.insert(DIRECTIVE.into(), directive.clone());
    Error::Other(format!("unknown patch type: {} in map: {}", go_text(directive), go_text(&Value::Object(map))))
}

/// A value of a patch that meets nothing to merge with: without nulls (when applied) and without what carries a directive.
fn plain(value: Value, mode: Mode) -> Option<Value> {
    match value {
        Value::Object(map) if map.contains_key(DIRECTIVE) => None,
        Value::Object(map) => {
            let fields = map.into_iter().filter(|(_, value)| mode == Mode::Combine || !value.is_null());
            Some(Value::Object(fields.filter_map(|(key, value)| Some((key, plain(value, mode)?))).collect()))
        }
        Value::Array(list) => Some(list.into_iter().filter_map(|value| plain(value, mode)).collect()),
        scalar => Some(scalar),
    }
}

fn retain_keys(original: &mut Map<String, Value>, patch: &mut Map<String, Value>, mode: Mode) -> Result<(), Error> {
    let Some(keys) = patch.remove(RETAIN_KEYS) else { return Ok(()) };
    if mode == Mode::Combine {
        if let Some(ours) = original.get(RETAIN_KEYS).filter(|ours| **ours != keys) {
            let (ours, theirs) = (go_text(ours), go_text(&keys));
            return Err(Error::Other(format!(
                "{ours} and {theirs} are not deep equal: this may happen when calculating the 3-way diff patch"
            )));
        }
        original.insert(RETAIN_KEYS.into(), keys);
        return Ok(());
    }
    let keys = keys.as_array().ok_or(Error::BadRetainKeys)?;
    let retained = |key: &str| keys.iter().any(|retained| retained == key);
    let directive = |key: &str| key.starts_with(DELETE_PREFIX) || key.starts_with(ORDER_PREFIX);
    if patch.iter().any(|(key, value)| !value.is_null() && !directive(key) && !retained(key)) {
        return Err(Error::BadRetainKeys);
    }
    original.retain(|key, _| retained(key));
    Ok(())
}

/// Merges the lists for which the patch states an order, and takes them out of the patch.
fn merge_ordered_lists(
    original: &mut Map<String, Value>,
    patch: &mut Map<String, Value>,
    shape: Shape,
    mode: Mode,
) -> Result<(), Error> {
    let directives: Vec<String> = patch.keys().filter(|key| key.starts_with(ORDER_PREFIX)).cloned().collect();
    for key in directives {
        let Some(order) = patch.remove(&key) else { continue };
        let field = key.strip_prefix(ORDER_PREFIX).and_then(|rest| rest.strip_prefix('/'));
        let field = field.ok_or(Error::BadSetElementOrder)?;
        if mode == Mode::Combine {
            if original.get(&key).is_some_and(|ours| *ours != order) {
                return Err(Error::BadSetElementOrder);
            }
            original.insert(key.clone(), order.clone());
        }
        let Value::Array(order) = order else { return Err(bad_type("[]interface {}", &order)) };
        let live = take_list(original, field)?;
        let wanted = take_list(patch, field)?;
        let facts = shape.field(field)?;
        lists::check_order(wanted.as_deref().unwrap_or_default(), &order, facts.merge_key)?;
        let before = match (&live, &wanted) {
            (Some(live), Some(wanted)) if facts.merge && !facts.merge_key.is_empty() => {
                lists::after_deletions(live, wanted, facts.merge_key)
            }
            (live, _) => live.clone().unwrap_or_default(),
        };
        let merged = match (live, wanted) {
            (None, None) => continue,
            (Some(live), None) => live,
            (None, Some(wanted)) => wanted.into_iter().filter_map(|value| plain(value, Mode::Combine)).collect(),
            (Some(live), Some(wanted)) if facts.merge => merge_lists(live, wanted, &facts, mode)?,
            (Some(_), Some(wanted)) => wanted,
        };
        let settled = lists::settle_order(merged, &order, &before, facts.merge_key)?;
        original.insert(field.into(), Value::Array(settled));
    }
    Ok(())
}

fn take_list(map: &mut Map<String, Value>, field: &str) -> Result<Option<Vec<Value>>, Error> {
    match map.remove(field) {
        None => Ok(None),
        Some(Value::Array(list)) => Ok(Some(list)),
        Some(other) => Err(bad_type("[]interface {}", &other)),
    }
}

fn delete_scalars(original: &mut Map<String, Value>, field: &str, doomed: &Value) -> Result<(), Error> {
    let doomed = doomed.as_array().ok_or(Error::BadPrimitiveList)?;
    if let Some(Value::Array(live)) = original.get_mut(field) {
        if lists::elements([live, doomed])? == Some(Elements::Maps) {
            return Err(Error::BadPrimitiveList);
        }
        live.retain(|value| !doomed.contains(value));
    }
    Ok(())
}

/// Merges two lists of a field with patch strategy merge.
fn merge_lists(live: Vec<Value>, patch: Vec<Value>, facts: &super::Facts, mode: Mode) -> Result<Vec<Value>, Error> {
    let Some(kind) = lists::elements([&live, &patch])? else { return Ok(live) };
    if kind == Elements::Scalars {
        let merged = lists::distinct(live.iter().chain(&patch).cloned().collect());
        return lists::settle_order(merged, &patch, &live, "");
    }
    if facts.merge_key.is_empty() {
        let name = facts.shape.name();
        return Err(Error::Other(format!("cannot merge lists without merge key for {name}")));
    }
    let (live, patch) = special_elements(live, patch, facts.merge_key)?;
    let mut merged = live.clone();
    let mut places = Places::of_keyed(&merged, facts.merge_key)?;
    for element in &patch {
        let key = lists::identity(element, facts.merge_key)?;
        match places.find(key) {
            Some(place) => {
                let (Value::Object(live), Value::Object(patch)) = (merged[place].take(), element.clone()) else {
                    return Err(bad_type("map[string]interface {}", element));
                };
                merged[place] = Value::Object(merge_maps(live, patch, facts.shape, mode)?);
            }
            None => {
                places.insert(key, merged.len());
                merged.push(element.clone());
            }
        }
    }
    lists::settle_order(merged, &patch, &live, facts.merge_key)
}

/// Acts on elements that carry a directive; what is left is merged as usual.
fn special_elements(
    mut live: Vec<Value>,
    patch: Vec<Value>,
    merge_key: &str,
) -> Result<(Vec<Value>, Vec<Value>), Error> {
    let (mut usual, mut replace) = (Vec::with_capacity(patch.len()), false);
    for element in patch {
        match element.get(DIRECTIVE) {
            None => usual.push(element),
            Some(directive) => match directive.as_str() {
                Some("delete") => {
                    let doomed = lists::identity(&element, merge_key)?;
                    live.retain(|element| element.get(merge_key) != Some(doomed));
                }
                Some("replace") => replace = true,
                Some("merge") => {
                    return Err(Error::Other("merging lists cannot yet be specified in the patch".into()));
                }
                _ => return Err(unknown_directive(&directive.clone(), lists::as_map(&element)?.clone())),
            },
        }
    }
    Ok(if replace { (usual, Vec::new()) } else { (live, usual) })
}
