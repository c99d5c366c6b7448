//! Making patches: the strategic merge patch that turns one object into another, and the three-way patch of `kubectl apply`
//! (apimachinery, pkg/util/strategicpatch: CreateTwoWayMergePatch, CreateThreeWayMergePatch; jsonmergepatch for kinds without
//! a schema).
//!
//! Three-way: what differs between the live and the wanted object, without deletions (others may have added fields), joined with
//! what was deleted between the last applied and the wanted object.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::json::{create_merge_patch, keep_deletions, without_deletions};
use super::lists::{self, DIRECTIVE, Elements};
use super::strategic::{DELETE_PREFIX, Mode, ORDER_PREFIX, RETAIN_KEYS, merge_maps};
use super::{Error, Facts, Shape};

/// Which differences count.
#[derive(Clone, Copy)]
struct Options {
    deletions: bool,
    changes: bool,
    order: bool,
}

/// The strategic merge patch that turns `original` into `modified`; for kinds without a definition a merge patch.
pub fn create_two_way(original: &Value, modified: &Value, def: Option<&str>) -> Result<Value, Error> {
    let Some(def) = def else { return Ok(create_merge_patch(original, modified)) };
    let options = Options { deletions: true, changes: true, order: true };
    let (original, modified) = (object(original)?, object(modified)?);
    diff_maps(original, modified, Shape::named(def)?, false, options).map(Value::Object)
}

/// The patch of `kubectl apply`: `original` is what was last applied (null if nothing was), `modified` what is wanted, `current`
/// what is live. A strategic merge patch for kinds with a definition, otherwise a merge patch.
pub fn three_way(original: &Value, modified: &Value, current: &Value, def: Option<&str>) -> Result<Value, Error> {
    let Some(def) = def else {
        let changes = without_deletions(&create_merge_patch(current, modified));
        let mut patch = keep_deletions(&create_merge_patch(original, modified));
        overlay(&mut patch, &changes);
        return Ok(patch);
    };
    let shape = Shape::named(def)?;
    let (original, modified, current) = (object(original)?, object(modified)?, object(current)?);
    let changes = Options { deletions: false, changes: true, order: true };
    let changes = diff_maps(current, modified, shape, false, changes)?;
    let deletions = Options { deletions: true, changes: false, order: true };
    let deletions = diff_maps(original, modified, shape, false, deletions)?;
    merge_maps(deletions, changes, shape, Mode::Combine).map(Value::Object)
}

static EMPTY: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);

fn object(value: &Value) -> Result<&Map<String, Value>, Error> {
    match value {
        Value::Null => Ok(&EMPTY),
        other => other.as_object().ok_or(Error::BadDocument),
    }
}

/// Joins two merge patches; nulls of the second stay.
fn overlay(patch: &mut Value, other: &Value) {
    match (patch, other) {
        (Value::Object(patch), Value::Object(other)) => {
            for (key, value) in other {
                overlay(patch.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (patch, other) => *patch = other.clone(),
    }
}

fn diff_maps(
    original: &Map<String, Value>,
    modified: &Map<String, Value>,
    shape: Shape,
    retain: bool,
    options: Options,
) -> Result<Map<String, Value>, Error> {
    let mut patch = Map::new();
    for (key, wanted) in modified {
        match (original.get(key), wanted) {
            (Some(Value::Object(ours)), Value::Object(wanted)) if ours != wanted => {
                let facts = shape.field(key)?;
                if !facts.replace {
                    let inner = diff_maps(ours, wanted, facts.shape, facts.retain_keys, options)?;
                    if !inner.is_empty() {
                        patch.insert(key.clone(), Value::Object(inner));
                    }
                } else if options.changes {
                    patch.insert(key.clone(), Value::Object(wanted.clone()));
                }
            }
            (Some(Value::Array(ours)), Value::Array(wanted)) if ours != wanted => {
                let facts = shape.field(key)?;
                if facts.merge {
                    diff_lists(key, ours, wanted, &facts, options, &mut patch)?;
                } else if options.changes {
                    patch.insert(key.clone(), Value::Array(wanted.clone()));
                }
            }
            (Some(ours), wanted) if ours == wanted => {}
            _ if options.changes => {
                patch.insert(key.clone(), wanted.clone());
            }
            _ => {}
        }
    }
    let gone = || original.iter().filter(|(key, _)| !modified.contains_key(*key));
    if options.deletions {
        patch.extend(gone().map(|(key, _)| (key.clone(), Value::Null)));
    }
    let kept: Vec<&String> = modified.iter().filter(|(_, value)| !value.is_null()).map(|(key, _)| key).collect();
    if retain && !kept.is_empty() && (!patch.is_empty() || gone().any(|(_, value)| !value.is_null())) {
        patch.insert(RETAIN_KEYS.into(), json!(kept));
    }
    Ok(patch)
}

fn diff_lists(
    field: &str,
    original: &[Value],
    modified: &[Value],
    facts: &Facts,
    options: Options,
    patch: &mut Map<String, Value>,
) -> Result<(), Error> {
    if original.is_empty() {
        if options.changes {
            patch.insert(field.into(), Value::Array(modified.to_vec()));
        }
        return Ok(());
    }
    let order = match lists::elements([original, modified])? {
        Some(Elements::Maps) => {
            let (mut list, deletions) = diff_list_of_maps(original, modified, facts, options)?;
            list = lists::sort_by_order(list, modified, facts.merge_key)?;
            list.extend(deletions);
            let moved = moved(original, modified, facts.merge_key)?;
            let touched = !list.is_empty();
            if touched {
                patch.insert(field.into(), Value::Array(list));
            }
            let keys = |element: &Value| Ok(json!({facts.merge_key: lists::identity(element, facts.merge_key)?}));
            let wanted = touched || (options.changes && moved);
            if wanted { Some(modified.iter().map(keys).collect::<Result<Vec<_>, Error>>()?) } else { None }
        }
        _ => {
            let (added, deleted) = diff_list_of_scalars(original, modified, options);
            let changed = (options.deletions && !deleted.is_empty()) || options.changes;
            if !added.is_empty() {
                patch.insert(field.into(), Value::Array(added));
            }
            if !deleted.is_empty() {
                patch.insert(format!("{DELETE_PREFIX}/{field}"), Value::Array(deleted));
            }
            changed.then(|| modified.to_vec())
        }
    };
    if let Some(order) = order.filter(|order| options.order && !order.is_empty()) {
        patch.insert(format!("{ORDER_PREFIX}/{field}"), Value::Array(order));
    }
    Ok(())
}

fn moved(original: &[Value], modified: &[Value], merge_key: &str) -> Result<bool, Error> {
    for (ours, wanted) in original.iter().zip(modified) {
        if lists::identity(ours, merge_key)? != lists::identity(wanted, merge_key)? {
            return Ok(true);
        }
    }
    Ok(original.len() != modified.len())
}

/// Pairs elements by the text of their merge keys, in the order of those texts; the second result are deletions.
fn diff_list_of_maps(
    original: &[Value],
    modified: &[Value],
    facts: &Facts,
    options: Options,
) -> Result<(Vec<Value>, Vec<Value>), Error> {
    let sorted = |list: &[Value]| {
        let keyed = |element: &Value| {
            let key = lists::identity(element, facts.merge_key)?.clone();
            Ok((super::go_text(&key), key, lists::as_map(element)?.clone()))
        };
        let mut list = list.iter().map(keyed).collect::<Result<Vec<_>, Error>>()?;
        list.sort_by(|a, b| a.0.cmp(&b.0));
        Ok::<_, Error>(list.into_iter().peekable())
    };
    let (mut original, mut modified) = (sorted(original)?, sorted(modified)?);
    let (mut patch, mut deletions) = (Vec::new(), Vec::new());
    loop {
        let order = match (original.peek(), modified.peek()) {
            (None, None) => return Ok((patch, deletions)),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(ours), Some(wanted)) => ours.0.cmp(&wanted.0),
        };
        let ours = if order.is_le() { original.next() } else { None };
        let wanted = if order.is_ge() { modified.next() } else { None };
        match (ours, wanted) {
            (Some((_, _, ours)), Some((_, key, wanted))) => {
                let mut inner = diff_maps(&ours, &wanted, facts.shape, facts.retain_keys, options)?;
                if !inner.is_empty() {
                    inner.insert(facts.merge_key.into(), key);
                    patch.push(Value::Object(inner));
                }
            }
            (None, Some((_, _, wanted))) if options.changes => patch.push(Value::Object(wanted)),
            (Some((_, key, _)), None) if options.deletions => {
                deletions.push(json!({facts.merge_key: key, DIRECTIVE: "delete"}));
            }
            _ => {}
        }
    }
}

/// What was added, in the order of the modified list, and what was taken out, sorted.
fn diff_list_of_scalars(original: &[Value], modified: &[Value], options: Options) -> (Vec<Value>, Vec<Value>) {
    let texts = |list: &[Value]| list.iter().map(Value::to_string).collect::<HashSet<_>>();
    let (ours, wanted) = (texts(original), texts(modified));
    let mut added = Vec::new();
    if options.changes {
        added.extend(modified.iter().filter(|value| !ours.contains(&value.to_string())).cloned());
    }
    let mut deleted = Vec::new();
    if options.deletions {
        deleted.extend(original.iter().filter(|value| !wanted.contains(&value.to_string())).cloned());
        deleted.sort_by_key(super::go_text);
    }
    (lists::distinct(added), lists::distinct(deleted))
}

#[cfg(test)]
mod tests;
