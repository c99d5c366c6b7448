//! Equality as upstream's `Semantic.DeepEqual` has it: what Go cannot tell from "not there" counts as not there, and
//! quantities are compared by value. The schema says which fields are pointers.

use api::schema::{self, Def, Form, Type};
use serde_json::{Map, Value};

/// Whether two values of the type `definition` mean the same.
pub fn equal(definition: &str, one: &Value, other: &Value) -> bool {
    one == other || canonical(definition, one) == canonical(definition, other)
}

/// The value without what counts as not there.
pub fn canonical(definition: &str, value: &Value) -> Value {
    schema::def(definition).map_or_else(|| value.clone(), |def| of_def(def, value))
}

fn of_def(def: &'static Def, value: &Value) -> Value {
    match (def.form, value) {
        (Form::Quantity, Value::String(text)) => {
            api::quantity::canonical_text(text).map_or_else(|_| value.clone(), Value::String)
        }
        (Form::Quantity, Value::Number(number)) => Value::String(number.to_string()),
        (Form::Object, Value::Object(map)) => {
            let mut kept = Map::new();
            for (name, child) in map {
                let Some(field) = def.field(name) else {
                    kept.insert(name.clone(), child.clone());
                    continue;
                };
                let child = of_type(field.ty, child);
                if !absent(&child, field.pointer) {
                    kept.insert(name.clone(), child);
                }
            }
            Value::Object(kept)
        }
        _ => value.clone(),
    }
}

fn of_type(ty: Type, value: &Value) -> Value {
    match (ty, value) {
        (Type::Def(id), _) => of_def(id.get(), value),
        (Type::List(element), Value::Array(list)) => list.iter().map(|value| of_type(*element, value)).collect(),
        (Type::Map(element), Value::Object(map)) => {
            Value::Object(map.iter().map(|(key, value)| (key.clone(), of_type(*element, value))).collect())
        }
        _ => value.clone(),
    }
}

/// Whether Go would not know that it was written.
fn absent(value: &Value, pointer: bool) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty() && !pointer,
        Value::String(text) => text.is_empty() && !pointer,
        Value::Bool(flag) => !flag && !pointer,
        Value::Number(number) => number.as_i64() == Some(0) && !pointer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn equality() {
        let spec = "io.k8s.api.core.v1.PodSpec";
        let table = [
            (json!({"hostNetwork": false}), json!({}), true),
            (json!({"nodeSelector": {}}), json!({}), true),
            (json!({"volumes": []}), json!({"volumes": null}), true),
            (json!({"activeDeadlineSeconds": 0}), json!({}), false),
            (json!({"nodeName": ""}), json!({}), true),
            (json!({"nodeName": "a"}), json!({}), false),
            (json!({"securityContext": {"runAsUser": 0}}), json!({"securityContext": {}}), false),
            (
                json!({"containers": [{"name": "a", "resources": {"limits": {"cpu": "1000m"}}}]}),
                json!({"containers": [{"name": "a", "resources": {"limits": {"cpu": "1"}}}]}),
                true,
            ),
            (
                json!({"containers": [{"name": "a", "resources": {"limits": {"cpu": 1}}, "tty": false}]}),
                json!({"containers": [{"name": "a", "resources": {"limits": {"cpu": "1"}}}]}),
                true,
            ),
        ];
        for (one, other, expected) in table {
            assert_eq!(equal(spec, &one, &other), expected, "{one} {other}");
        }
    }
}
