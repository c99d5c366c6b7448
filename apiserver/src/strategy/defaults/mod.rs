//! Defaults of fields, as upstream's `SetDefaults_*` fill them in (pkg/apis/<group>/v1/defaults.go).
//!
//! A default is a row: where, and what. A path is made of map keys; `*` stands for every element of a list or value of a
//! map. What depends on other fields is a function ([`pod_spec`], [`services`]).

pub mod pod_spec;
mod table;

use api::kinds::KindRef;
use serde_json::{Value, json};

/// What a field gets when it is missing (null, or `""` where upstream's type has no "absent").
pub(super) enum Fill {
    /// A text.
    Text(&'static str),
    /// A number.
    Number(i64),
    /// A truth value.
    Flag(bool),
    /// `{}`.
    Map,
}

impl Fill {
    fn value(&self) -> Value {
        match self {
            Self::Text(text) => json!(text),
            Self::Number(number) => json!(number),
            Self::Flag(flag) => json!(flag),
            Self::Map => json!({}),
        }
    }
}

/// Path and default. The last key is the field; the path before it must exist.
pub(super) type Row = (&'static str, Fill);

/// Fills in what `kind` says.
pub fn apply(kind: KindRef, object: &mut Value) {
    for (path, fill) in table::of(kind) {
        set(object, path, fill);
    }
    table::special(kind, object);
}

/// Puts `fill` at `path` wherever the field is missing and its parent is not.
pub(super) fn set(object: &mut Value, path: &str, fill: &Fill) {
    let (key, rest) = path.split_once('.').map_or((path, None), |(key, rest)| (key, Some(rest)));
    match (key, rest) {
        ("*", Some(rest)) => each(object, |element| set(element, rest, fill)),
        ("*", None) => {}
        (key, Some(rest)) => {
            if let Some(child) = object.get_mut(key).filter(|child| !child.is_null()) {
                set(child, rest, fill);
            }
        }
        (key, None) => {
            if let Some(map) = object.as_object_mut() {
                let missing = map.get(key).is_none_or(|present| present.is_null() || present == "");
                if missing {
                    map.insert(key.into(), fill.value());
                }
            }
        }
    }
}

/// Calls `change` for every element of a list, or value of a map.
pub(super) fn each(value: &mut Value, mut change: impl FnMut(&mut Value)) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(change),
        Value::Object(map) => map.values_mut().for_each(&mut change),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_fills_what_is_missing_where_its_parent_is() {
        let mut object = json!({"spec": {"ports": [{"port": 1}, {"port": 2, "protocol": "UDP"}, {"protocol": ""}]}});
        set(&mut object, "spec.ports.*.protocol", &Fill::Text("TCP"));
        set(&mut object, "spec.missing.field", &Fill::Number(1));
        set(&mut object, "spec.replicas", &Fill::Number(1));
        let expected = json!({"spec": {"replicas": 1, "ports":
            [{"port": 1, "protocol": "TCP"}, {"port": 2, "protocol": "UDP"}, {"protocol": "TCP"}]}});
        assert_eq!(object, expected);
    }
}
