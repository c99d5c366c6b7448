//! Definitions of the schema table as OpenAPI schemas.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::Style;
use crate::kinds::{KindRef, by_definition};
use crate::schema::{self, Def, Field, Form, ListType, Type};

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";

/// The names of what the kinds of a group and version need: themselves, their lists, bodies of subresources, options,
/// and everything these contain.
pub(super) fn reachable(kinds: &[KindRef], group: &str, version: &str) -> BTreeSet<String> {
    let mut todo: Vec<String> = ["DeleteOptions", "Patch", "Status", "WatchEvent", "APIResourceList"]
        .iter()
        .map(|short| format!("{META}.{short}"))
        .collect();
    for kind in kinds {
        let Some(served) = kind.served_as(group, version) else { continue };
        todo.push(served.definition.into());
        if !kind.list_kind.is_empty() {
            todo.push(format!("{}List", served.definition));
        }
        for subresource in kind.subresources {
            let body = subresource.body(kind);
            todo.extend(body.and_then(|(group, version, body)| super::body_definition(group, version, body)));
        }
    }
    let mut seen = BTreeSet::new();
    while let Some(name) = todo.pop() {
        let Some(def) = schema::def(&name).filter(|def| def.open) else { continue };
        if seen.insert(name) && def.form == Form::Object {
            todo.extend(def.all_fields().filter_map(|field| field.ty.def()).map(Def::name));
        }
    }
    seen
}

/// A map of schemas by definition name.
pub(super) fn schemas(style: Style, names: &BTreeSet<String>) -> Map<String, Value> {
    let known = names.iter().filter_map(|name| Some((name, schema::def(name)?)));
    known.map(|(name, def)| (name.clone(), definition(style, def))).collect()
}

fn definition(style: Style, def: &'static Def) -> Value {
    match (def.form, style) {
        (Form::Time | Form::MicroTime, _) => json!({"type": "string", "format": "date-time"}),
        (Form::Quantity, Style::V2) => json!({"type": "string"}),
        (Form::Quantity, Style::V3) => json!({"oneOf": [{"type": "string"}, {"type": "number"}]}),
        (Form::IntOrString, Style::V2) => json!({"type": "string", "format": "int-or-string"}),
        (Form::IntOrString, Style::V3) => {
            json!({"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]})
        }
        (Form::Raw | Form::Fields, _) => json!({"type": "object"}),
        (Form::Json | Form::SchemaOrBool | Form::SchemaOrArray | Form::SchemaOrStrings | Form::Items, _) => json!({}),
        (Form::Object, _) => object(style, def),
    }
}

fn object(style: Style, def: &'static Def) -> Value {
    let mut schema = json!({"type": "object"});
    let (mut properties, mut required) = (Map::new(), vec![]);
    for field in def.all_fields() {
        properties.insert(field.name.into(), property(style, field));
        if field.required {
            required.push(field.name);
        }
    }
    if !properties.is_empty() {
        schema["properties"] = properties.into();
    }
    if !required.is_empty() {
        required.sort_unstable();
        schema["required"] = json!(required);
    }
    if def.atomic {
        schema["x-kubernetes-map-type"] = "atomic".into();
    }
    let kinds = group_version_kinds(def);
    if !kinds.is_empty() {
        schema["x-kubernetes-group-version-kind"] = kinds.into();
    }
    schema
}

/// The kinds a definition stands for: its own, or for the options that belong to every group all of them.
fn group_version_kinds(def: &Def) -> Vec<Value> {
    let entry = |group: &str, version: &str| json!({"group": group, "version": version, "kind": def.short});
    let name = def.name();
    if let Some((_, served)) = by_definition(&name) {
        return vec![entry(served.group, served.version)];
    }
    let element = name.strip_suffix("List").and_then(by_definition);
    if let Some((_, served)) = element {
        return vec![entry(served.group, served.version)];
    }
    match def.short {
        "DeleteOptions" | "WatchEvent" if def.package == META => {
            super::group_versions().into_iter().map(|(group, version)| entry(group, version)).collect()
        }
        "Status" | "APIGroup" | "APIGroupList" | "APIResourceList" | "APIVersions" if def.package == META => {
            vec![entry("", "v1")]
        }
        _ => vec![],
    }
}

fn property(style: Style, field: &Field) -> Value {
    let mut schema = typed(style, field.ty);
    if style == Style::V3
        && let (Type::Def(id), false) = (field.ty, field.pointer)
    {
        let form = id.get().form;
        // Beside a reference nothing else may stand in OpenAPI 3.0; upstream wraps it, too.
        schema = match form {
            Form::Object => json!({"allOf": [schema], "default": {}}),
            _ => json!({"allOf": [schema]}),
        };
    }
    let list = match field.list {
        ListType::None => None,
        ListType::Atomic => Some("atomic"),
        ListType::Set => Some("set"),
        ListType::Map => Some("map"),
    };
    let mut extend = |key: &str, value: Value| {
        schema[key] = value;
    };
    if let Some(list) = list {
        extend("x-kubernetes-list-type", list.into());
    }
    if !field.keys().is_empty() {
        extend("x-kubernetes-list-map-keys", json!(field.keys()));
    }
    if field.atomic {
        extend("x-kubernetes-map-type", "atomic".into());
    }
    let strategies: Vec<&str> =
        [(field.patch.merge, "merge"), (field.patch.retain_keys, "retainKeys"), (field.patch.replace, "replace")]
            .iter()
            .filter_map(|(on, name)| on.then_some(*name))
            .collect();
    if !strategies.is_empty() {
        extend("x-kubernetes-patch-strategy", strategies.join(",").into());
    }
    if !field.merge_key().is_empty() {
        extend("x-kubernetes-patch-merge-key", field.merge_key().into());
    }
    schema
}

fn typed(style: Style, ty: Type) -> Value {
    match ty {
        Type::String => json!({"type": "string"}),
        Type::Int32 => json!({"type": "integer", "format": "int32"}),
        Type::Int64 => json!({"type": "integer", "format": "int64"}),
        Type::Bool => json!({"type": "boolean"}),
        Type::Double => json!({"type": "number", "format": "double"}),
        Type::Bytes => json!({"type": "string", "format": "byte"}),
        Type::List(element) => json!({"type": "array", "items": typed(style, *element)}),
        Type::Map(element) => json!({"type": "object", "additionalProperties": typed(style, *element)}),
        Type::Def(id) => match (id.get().form, id.get().field("items")) {
            (Form::Items, Some(items)) => typed(style, items.ty),
            _ => json!({"$ref": style.reference(&id.get().name())}),
        },
    }
}
