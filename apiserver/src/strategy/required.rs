//! The check of kinds without rules of their own: texts that the schema requires must be there, in what people write
//! (not in the status). Go cannot tell a missing text from an empty one, hence neither counts; numbers and flags have
//! zeros that mean something, and a missing list is an empty one.

use api::FieldError;
use api::kinds::KindRef;
use api::schema::{Def, Form, Type};
use serde_json::Value;

use super::check::{At, Errors, run};

/// How deep the check goes: some types contain themselves.
const DEEPEST: usize = 24;

/// What is missing.
pub fn check(kind: KindRef, object: &Value) -> Vec<FieldError> {
    let Some(def) = api::schema::def(kind.definition) else { return Vec::new() };
    let root = At::root(object);
    run(|errors| {
        for field in def.all_fields() {
            if !matches!(field.name, "apiVersion" | "kind" | "metadata" | "status") {
                one(field.ty, field.required, field.pointer, &root.get(field.name), DEEPEST, errors);
            }
        }
    })
}

fn one(ty: Type, required: bool, pointer: bool, at: &At<'_>, depth: usize, errors: &mut Errors) {
    if depth == 0 {
        return;
    }
    match ty {
        Type::String if required && !pointer => {
            errors.filled(at);
        }
        Type::String if required && !at.present() => errors.required(at, ""),
        Type::Def(id) if id.get().form == Form::Object => {
            if at.present() || (required && !pointer) {
                fields(id.get(), at, depth, errors);
            } else if required {
                errors.required(at, "");
            }
        }
        Type::List(element) => {
            for item in at.items() {
                one(*element, false, false, &item, depth - 1, errors);
            }
        }
        Type::Map(element) => {
            for (_, item) in at.entries() {
                one(*element, false, false, &item, depth - 1, errors);
            }
        }
        _ => {}
    }
}

fn fields(def: &'static Def, at: &At<'_>, depth: usize, errors: &mut Errors) {
    for field in def.all_fields() {
        one(field.ty, field.required, field.pointer, &at.get(field.name), depth - 1, errors);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::kinds;
    use serde_json::json;

    fn texts(group: &str, plural: &str, object: &Value) -> Vec<String> {
        let (kind, _) = kinds::find(group, "v1", plural).unwrap();
        check(kind, object).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn required_texts() {
        let table: Vec<(&str, &str, Value, Vec<&str>)> = vec![
            ("storage.k8s.io", "storageclasses", json!({"provisioner": "x"}), vec![]),
            ("storage.k8s.io", "storageclasses", json!({"provisioner": ""}), vec!["provisioner: Required value"]),
            ("node.k8s.io", "runtimeclasses", json!({}), vec!["handler: Required value"]),
            ("networking.k8s.io", "networkpolicies", json!({"spec": {"podSelector": {}}}), vec![]),
            ("networking.k8s.io", "networkpolicies", json!({"spec": {}}), vec![]),
            (
                "networking.k8s.io",
                "ingresses",
                json!({"spec": {"rules": [{"http": {"paths": [{"path": "/", "backend": {}}]}}]}}),
                vec!["spec.rules[0].http.paths[0].pathType: Required value"],
            ),
        ];
        for (group, plural, object, expected) in table {
            let found = texts(group, plural, &object);
            assert_eq!(found, expected, "{plural} {object}");
        }
    }
}
