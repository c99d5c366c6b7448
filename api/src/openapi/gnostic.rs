//! The version 2 document in the protobuf of google/gnostic (openapiv2/OpenAPIv2.proto), which clients insist on.
//! Maps are lists of named values, extensions are YAML text. Only what our own documents contain is written.

use serde_json::{Map, Value};

use crate::protobuf::wire::Writer;

type Object = Map<String, Value>;

/// The whole document.
pub(super) fn encode(document: &Value) -> Vec<u8> {
    let mut writer = Writer::default();
    string(&mut writer, 1, document, "swagger");
    writer.nested(2, |info| {
        string(info, 1, &document["info"], "title");
        string(info, 2, &document["info"], "version");
    });
    writer.nested(8, |paths| named(paths, 2, &document["paths"], path_item));
    writer.nested(9, |definitions| named(definitions, 1, &document["definitions"], schema));
    writer.done()
}

fn string(writer: &mut Writer, number: u32, value: &Value, key: &str) {
    if let Some(text) = value.get(key).and_then(Value::as_str) {
        writer.bytes(number, text.as_bytes());
    }
}

fn strings(writer: &mut Writer, number: u32, value: &Value, key: &str) {
    for text in value.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        writer.bytes(number, text.as_bytes());
    }
}

fn flag(writer: &mut Writer, number: u32, value: &Value, key: &str) {
    if value.get(key) == Some(&Value::Bool(true)) {
        writer.varint(number, 1);
    }
}

/// A map as `{name = 1, value = 2}` each.
fn named(writer: &mut Writer, number: u32, map: &Value, write: fn(&mut Writer, &Value)) {
    for (name, value) in map.as_object().into_iter().flatten() {
        writer.nested(number, |entry| {
            entry.bytes(1, name.as_bytes());
            entry.nested(2, |inner| write(inner, value));
        });
    }
}

/// Everything that begins with `x-`; JSON is YAML.
fn extensions(writer: &mut Writer, number: u32, value: &Value) {
    let empty = Object::new();
    for (name, value) in value.as_object().unwrap_or(&empty).iter().filter(|(name, _)| name.starts_with("x-")) {
        writer.nested(number, |entry| {
            entry.bytes(1, name.as_bytes());
            entry.nested(2, |any| any.bytes(2, value.to_string().as_bytes()));
        });
    }
}

fn path_item(writer: &mut Writer, item: &Value) {
    for (method, number) in [("get", 2), ("put", 3), ("post", 4), ("delete", 5), ("patch", 8)] {
        if let Some(found) = item.get(method) {
            writer.nested(number, |inner| operation(inner, found));
        }
    }
    parameters(writer, 9, item);
}

fn operation(writer: &mut Writer, value: &Value) {
    strings(writer, 1, value, "tags");
    string(writer, 5, value, "operationId");
    strings(writer, 6, value, "produces");
    strings(writer, 7, value, "consumes");
    parameters(writer, 8, value);
    writer.nested(9, |responses| named(responses, 1, &value["responses"], response));
    extensions(writer, 13, value);
}

fn response(writer: &mut Writer, value: &Value) {
    writer.nested(1, |inner| {
        string(inner, 1, value, "description");
        if let Some(found) = value.get("schema") {
            inner.nested(2, |item| item.nested(1, |inner| schema(inner, found)));
        }
    });
}

/// ParametersItem {parameter = 1} around Parameter {body = 1, other = 2}; others are by place.
fn parameters(writer: &mut Writer, number: u32, value: &Value) {
    for parameter in value.get("parameters").and_then(Value::as_array).into_iter().flatten() {
        writer.nested(number, |item| {
            item.nested(1, |one| match parameter["in"].as_str() {
                Some("body") => one.nested(1, |body| {
                    string(body, 2, parameter, "name");
                    string(body, 3, parameter, "in");
                    flag(body, 4, parameter, "required");
                    body.nested(5, |inner| schema(inner, &parameter["schema"]));
                }),
                Some("path") => one.nested(2, |other| other.nested(4, |path| simple(path, parameter, [5, 19]))),
                _ => one.nested(2, |other| other.nested(3, |query| simple(query, parameter, [6, 20]))),
            });
        });
    }
}

/// The fields that parameters in paths and in queries share; type and uniqueItems have different numbers.
fn simple(writer: &mut Writer, value: &Value, numbers: [u32; 2]) {
    flag(writer, 1, value, "required");
    string(writer, 2, value, "in");
    string(writer, 4, value, "name");
    string(writer, numbers[0], value, "type");
    flag(writer, numbers[1], value, "uniqueItems");
}

fn schema(writer: &mut Writer, value: &Value) {
    string(writer, 1, value, "$ref");
    string(writer, 2, value, "format");
    strings(writer, 19, value, "required");
    if let Some(additional) = value.get("additionalProperties") {
        writer.nested(21, |item| item.nested(1, |inner| schema(inner, additional)));
    }
    if let Some(name) = value.get("type").and_then(Value::as_str) {
        writer.nested(22, |item| item.bytes(1, name.as_bytes()));
    }
    if let Some(items) = value.get("items") {
        writer.nested(23, |item| item.nested(1, |inner| schema(inner, items)));
    }
    if let Some(properties) = value.get("properties") {
        writer.nested(25, |inner| named(inner, 1, properties, schema));
    }
    extensions(writer, 31, value);
}
