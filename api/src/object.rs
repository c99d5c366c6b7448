//! Accessors over an API object held as `serde_json::Value`. They never fail: what is absent, or of a wrong type, reads as
//! empty, because types are checked once at the door (schema). Setters create `metadata` and what lies between.

use serde_json::{Map, Value};

/// As `Value::pointer`, which makes two texts for every step, without them.
fn find<'a>(object: &'a Value, pointer: &str) -> Option<&'a Value> {
    if pointer.contains('~') {
        return object.pointer(pointer);
    }
    steps(pointer).try_fold(object, |value, step| match value {
        Value::Object(map) => map.get(step),
        Value::Array(list) => list.get(step.parse::<usize>().ok()?),
        _ => None,
    })
}

/// The steps of a JSON pointer, which is empty or begins with a slash. Pointers are short: simpler loops than those of `str` find
/// their slashes sooner.
pub(crate) fn steps(pointer: &str) -> impl Iterator<Item = &str> {
    let mut rest = pointer.strip_prefix('/');
    std::iter::from_fn(move || {
        let all = rest.take()?;
        let slash = all.bytes().position(|byte| byte == b'/');
        let (step, tail) = slash.map_or((all, None), |at| (&all[..at], Some(&all[at + 1..])));
        rest = tail;
        Some(step)
    })
}

/// The value at a JSON pointer such as `/spec/replicas`; null counts as absent, as Go's decoding treats it.
pub fn at<'a>(object: &'a Value, pointer: &str) -> Option<&'a Value> {
    find(object, pointer).filter(|value| !value.is_null())
}

/// The string at a pointer; empty if there is none.
pub fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    find(object, pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The integer at a pointer.
pub fn integer(object: &Value, pointer: &str) -> Option<i64> {
    find(object, pointer).and_then(Value::as_i64)
}

/// The boolean at a pointer; false if there is none.
pub fn flag(object: &Value, pointer: &str) -> bool {
    find(object, pointer).and_then(Value::as_bool).unwrap_or_default()
}

/// The list at a pointer; empty if there is none.
pub fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    find(object, pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The map at a pointer.
pub fn map<'a>(object: &'a Value, pointer: &str) -> Option<&'a Map<String, Value>> {
    find(object, pointer).and_then(Value::as_object)
}

/// `metadata.<field>` as a string; empty if there is none.
fn meta<'a>(object: &'a Value, field: &str) -> &'a str {
    object.get("metadata").and_then(|m| m.get(field)).and_then(Value::as_str).unwrap_or_default()
}

/// `apiVersion`.
pub fn api_version(object: &Value) -> &str {
    object.get("apiVersion").and_then(Value::as_str).unwrap_or_default()
}

/// `kind`.
pub fn kind(object: &Value) -> &str {
    object.get("kind").and_then(Value::as_str).unwrap_or_default()
}

/// Group and version of `apiVersion`: `apps/v1` is ("apps", "v1"), `v1` is ("", "v1").
pub fn group_version(object: &Value) -> (&str, &str) {
    let api_version = api_version(object);
    api_version.split_once('/').unwrap_or(("", api_version))
}

/// `metadata.name`.
pub fn name(object: &Value) -> &str {
    meta(object, "name")
}

/// `metadata.generateName`.
pub fn generate_name(object: &Value) -> &str {
    meta(object, "generateName")
}

/// `metadata.namespace`; empty for cluster-scoped objects.
pub fn namespace(object: &Value) -> &str {
    meta(object, "namespace")
}

/// `metadata.uid`.
pub fn uid(object: &Value) -> &str {
    meta(object, "uid")
}

/// `metadata.resourceVersion`, if set and not empty.
pub fn resource_version(object: &Value) -> Option<&str> {
    Some(meta(object, "resourceVersion")).filter(|version| !version.is_empty())
}

/// `metadata.creationTimestamp`, if set.
pub fn creation_timestamp(object: &Value) -> Option<&str> {
    Some(meta(object, "creationTimestamp")).filter(|time| !time.is_empty())
}

/// `metadata.deletionTimestamp`, if set: the object is being deleted.
pub fn deletion_timestamp(object: &Value) -> Option<&str> {
    Some(meta(object, "deletionTimestamp")).filter(|time| !time.is_empty())
}

/// `metadata.deletionGracePeriodSeconds`.
pub fn deletion_grace_period_seconds(object: &Value) -> Option<i64> {
    integer(object, "/metadata/deletionGracePeriodSeconds")
}

/// `metadata.generation`; 0 if not set.
pub fn generation(object: &Value) -> i64 {
    integer(object, "/metadata/generation").unwrap_or_default()
}

/// `metadata.labels`.
pub fn labels(object: &Value) -> Option<&Map<String, Value>> {
    map(object, "/metadata/labels")
}

/// One label.
pub fn label<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    labels(object)?.get(key)?.as_str()
}

/// `metadata.annotations`.
pub fn annotations(object: &Value) -> Option<&Map<String, Value>> {
    map(object, "/metadata/annotations")
}

/// One annotation.
pub fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    annotations(object)?.get(key)?.as_str()
}

/// `metadata.ownerReferences`.
pub fn owner_references(object: &Value) -> &[Value] {
    list(object, "/metadata/ownerReferences")
}

/// The owner reference with `controller: true`.
pub fn controller_of(object: &Value) -> Option<&Value> {
    owner_references(object).iter().find(|owner| flag(owner, "/controller"))
}

/// `metadata.finalizers`.
pub fn finalizers(object: &Value) -> impl Iterator<Item = &str> {
    list(object, "/metadata/finalizers").iter().filter_map(Value::as_str)
}

/// `metadata` as a map, made if it is not there. An object that is not a map becomes one.
pub fn metadata_mut(object: &mut Value) -> &mut Map<String, Value> {
    child_map_mut(as_map(object), "metadata")
}

/// The map `parent[key]`, made if it is not there.
pub fn child_map_mut<'a>(parent: &'a mut Map<String, Value>, key: &str) -> &'a mut Map<String, Value> {
    as_map(parent.entry(key).or_insert(Value::Null))
}

/// A value as a map; what is not one is replaced by an empty map.
pub fn as_map(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("made an object above"),
    }
}

/// Sets `metadata.<field>`; an empty text removes it, as Go's `omitempty` does.
pub fn set_meta(object: &mut Value, field: &str, text: &str) {
    let metadata = metadata_mut(object);
    if text.is_empty() {
        metadata.remove(field);
    } else {
        metadata.insert(field.into(), Value::String(text.into()));
    }
}

/// Sets `metadata.name`.
pub fn set_name(object: &mut Value, name: &str) {
    set_meta(object, "name", name);
}

/// Sets `metadata.namespace`.
pub fn set_namespace(object: &mut Value, namespace: &str) {
    set_meta(object, "namespace", namespace);
}

/// Sets `metadata.uid`.
pub fn set_uid(object: &mut Value, uid: &str) {
    set_meta(object, "uid", uid);
}

/// Sets `metadata.resourceVersion`; empty removes it.
pub fn set_resource_version(object: &mut Value, version: &str) {
    set_meta(object, "resourceVersion", version);
}

/// Sets `metadata.generation`.
pub fn set_generation(object: &mut Value, generation: i64) {
    metadata_mut(object).insert("generation".into(), generation.into());
}

/// Sets one label.
pub fn set_label(object: &mut Value, key: &str, value: &str) {
    child_map_mut(metadata_mut(object), "labels").insert(key.into(), value.into());
}

/// Sets one annotation.
pub fn set_annotation(object: &mut Value, key: &str, value: &str) {
    child_map_mut(metadata_mut(object), "annotations").insert(key.into(), value.into());
}

/// Replaces `metadata.finalizers`; an empty list removes the field.
pub fn set_finalizers(object: &mut Value, finalizers: Vec<String>) {
    let metadata = metadata_mut(object);
    if finalizers.is_empty() {
        metadata.remove("finalizers");
    } else {
        metadata.insert("finalizers".into(), finalizers.into());
    }
}

/// Sets the value at a pointer of map keys (`/status/phase`), making the maps on the way.
pub fn set(object: &mut Value, pointer: &str, value: Value) {
    let mut place = object;
    for key in pointer.split('/').skip(1) {
        let key = if key.contains('~') { key.replace("~1", "/").replace("~0", "~") } else { key.into() };
        place = as_map(place).entry(key).or_insert(Value::Null);
    }
    *place = value;
}

/// Removes the map entry at a pointer and returns it.
pub fn remove(object: &mut Value, pointer: &str) -> Option<Value> {
    let (parent, key) = pointer.rsplit_once('/')?;
    let key = key.replace("~1", "/").replace("~0", "~");
    object.pointer_mut(parent)?.as_object_mut()?.remove(&key)
}

#[cfg(test)]
mod tests;
