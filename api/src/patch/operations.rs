//! One operation of a JSON patch, as evanphx/json-patch v4 does it, by which Kubernetes goes. It is not strict where RFC 6902 is:
//! an index may count from the end (`-1`), `replace` may name a field that is not there, and `test` takes what is not there
//! for null; on the other hand nothing is added at the root.

use serde_json::{Map, Value};

/// How many bytes the copy operations of one JSON patch may add up to (apiserver, JSONPatchMaxCopyBytes).
const MAX_COPIED: usize = 3 * 1024 * 1024;

/// An operation that does not fit; what exactly was wrong nobody is told.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unfit;

/// Changes the object; `copied` counts the bytes of all copies.
pub(super) fn apply(object: &mut Value, operation: &Map<String, Value>, copied: &mut usize) -> Result<(), Unfit> {
    let text = |part: &str| operation.get(part).and_then(Value::as_str).ok_or(Unfit);
    let value = || operation.get("value").cloned().unwrap_or_default();
    match text("op")? {
        "add" => add(object, text("path")?, value()),
        "remove" => remove(object, text("path")?).map(drop),
        "replace" => replace(object, text("path")?, value()),
        "test" if get(object, text("path")?)? == value() => Ok(()),
        "move" => {
            let moved = remove(object, text("from")?)?;
            add(object, text("path")?, moved)
        }
        "copy" => {
            let copy = match text("from")? {
                "" => return Err(Unfit),
                from => get(object, from)?,
            };
            *copied += copy.to_string().len();
            if *copied > MAX_COPIED { Err(Unfit) } else { add(object, text("path")?, copy) }
        }
        _ => Err(Unfit),
    }
}

/// What a path leads into, and the last step of it.
fn container<'a>(object: &'a mut Value, path: &str) -> Result<(&'a mut Value, String), Unfit> {
    let mut steps = path.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~"));
    let mut step = steps.next().ok_or(Unfit)?;
    let mut place = object;
    for next in steps {
        place = match place {
            Value::Object(map) => map.get_mut(&step).ok_or(Unfit)?,
            Value::Array(list) => {
                let at = index(&step, list.len())?;
                &mut list[at]
            }
            _ => return Err(Unfit),
        };
        step = next;
    }
    if place.is_object() || place.is_array() { Ok((place, step)) } else { Err(Unfit) }
}

/// An index below `length`; a negative one counts from the end.
fn index(step: &str, length: usize) -> Result<usize, Unfit> {
    let index: i64 = step.parse().map_err(|_| Unfit)?;
    let from_end = if index < 0 { i64::try_from(length).map_err(|_| Unfit)? } else { 0 };
    usize::try_from(index + from_end).ok().filter(|index| *index < length).ok_or(Unfit)
}

/// The value at a path; a field that is not there is null.
fn get(object: &mut Value, path: &str) -> Result<Value, Unfit> {
    if path.is_empty() {
        return Ok(object.clone());
    }
    match container(object, path)? {
        (Value::Array(list), step) => Ok(list[index(&step, list.len())?].clone()),
        (map, step) => Ok(map.get(&step).cloned().unwrap_or_default()),
    }
}

fn add(object: &mut Value, path: &str, value: Value) -> Result<(), Unfit> {
    match container(object, path)? {
        (Value::Array(list), step) if step == "-" => list.push(value),
        (Value::Array(list), step) => list.insert(index(&step, list.len() + 1)?, value),
        (place, step) => place[step] = value,
    }
    Ok(())
}

fn remove(object: &mut Value, path: &str) -> Result<Value, Unfit> {
    match container(object, path)? {
        (Value::Array(list), step) => Ok(list.remove(index(&step, list.len())?)),
        (Value::Object(map), step) => map.remove(&step).ok_or(Unfit),
        _ => Err(Unfit),
    }
}

fn replace(object: &mut Value, path: &str, value: Value) -> Result<(), Unfit> {
    if path.is_empty() {
        if !value.is_object() && !value.is_array() {
            return Err(Unfit);
        }
        *object = value;
        return Ok(());
    }
    match container(object, path)? {
        (Value::Array(list), step) => {
            let at = index(&step, list.len())?;
            list[at] = value;
        }
        (place, step) => place[step] = value,
    }
    Ok(())
}
