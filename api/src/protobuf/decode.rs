//! Messages to JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::wire::{FIXED64, LENGTH, Reader, Tag, VARINT, text};
use crate::schema::{Def, Field, Form, Type};

type Object = Map<String, Value>;

/// A message as the JSON that Go's encoder would write; what Go leaves out (or writes as null) is left out.
pub(super) fn message(def: &'static Def, bytes: &[u8], depth: u32) -> Result<Value, String> {
    let deeper = depth.checked_sub(1).ok_or("the message is nested too deeply")?;
    match def.form {
        Form::Object => {
            let mut object = Object::new();
            fields(def, bytes, &mut object, deeper)?;
            if def.short.ends_with("List") && def.field("items").is_some() {
                object.entry("items").or_insert_with(|| Value::Array(vec![]));
            }
            Ok(Value::Object(object))
        }
        Form::Time | Form::MicroTime => time(bytes, def.form == Form::MicroTime),
        Form::Quantity => Ok(first_bytes(bytes)?.map_or(Ok("0".into()), text)?.into()),
        Form::IntOrString => int_or_string(bytes),
        Form::Raw => raw(first_bytes(bytes)?.unwrap_or(b""), deeper),
        Form::Fields | Form::Json => match first_bytes(bytes)? {
            None | Some(b"") => Ok(Value::Null),
            Some(json) => crate::decode::parse(json),
        },
        Form::SchemaOrBool | Form::SchemaOrArray | Form::SchemaOrStrings => either(def, bytes, deeper),
        Form::Items => {
            let mut object = Object::new();
            fields(def, bytes, &mut object, deeper)?;
            Ok(object.remove("items").unwrap_or_else(|| Value::Array(vec![])))
        }
    }
}

/// The fields of a message into an object; messages that are inline add to the same one.
fn fields(def: &'static Def, bytes: &[u8], object: &mut Object, depth: u32) -> Result<(), String> {
    let mut reader = Reader::new(bytes);
    while let Some(tag) = reader.tag()? {
        if let Some(field) = def.fields.iter().find(|field| field.number == tag.field) {
            self::field(field, tag, &mut reader, object, depth).map_err(|error| within(field.name, error))?;
        } else if let Some(inline) = def.inline.iter().find(|field| field.number == tag.field) {
            let bytes = reader.bytes(tag)?;
            if let Some(inline) = inline.ty.def() {
                let deeper = depth.checked_sub(1).ok_or("the message is nested too deeply")?;
                fields(inline, bytes, object, deeper)?;
            }
        } else {
            reader.skip(tag)?;
        }
    }
    Ok(())
}

/// The path grows while an error comes up.
fn within(name: &str, error: String) -> String {
    match error.split_once(": ") {
        Some((path, what)) if !path.contains(' ') && path != "proto" => format!("{name}.{path}: {what}"),
        _ => format!("{name}: {error}"),
    }
}

fn field(
    field: &'static Field,
    tag: Tag,
    reader: &mut Reader<'_>,
    object: &mut Object,
    depth: u32,
) -> Result<(), String> {
    match field.ty {
        Type::List(element) => {
            let list = object.entry(field.name).or_insert_with(|| Value::Array(vec![]));
            let Value::Array(list) = list else { return Err("proto: a list and something else".into()) };
            if tag.wire == LENGTH && matches!(element, Type::Int32 | Type::Int64 | Type::Bool) {
                let mut packed = Reader::new(reader.bytes(tag)?);
                while !packed.is_empty() {
                    list.push(varint(*element, packed.varint()?));
                }
            } else {
                list.push(value(*element, tag, reader, depth)?);
            }
        }
        Type::Map(element) => {
            let (key, value) = entry(*element, reader.bytes(tag)?, depth)?;
            let map = object.entry(field.name).or_insert_with(|| Value::Object(Object::new()));
            if let Value::Object(map) = map {
                map.insert(key, value);
            }
        }
        ty => {
            let value = value(ty, tag, reader, depth)?;
            // A message that comes twice is merged by proto2's rules; nothing in Kubernetes writes that, the last wins.
            if is_written(field, &value) {
                object.insert(field.name.into(), value);
            } else {
                object.remove(field.name);
            }
        }
    }
    Ok(())
}

/// Whether Go's JSON encoder writes this value: `omitempty` drops zero scalars, but not what a pointer points to.
fn is_written(field: &Field, value: &Value) -> bool {
    let zero = match value {
        Value::Null => return false,
        Value::String(text) => text.is_empty(),
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::Array(_) | Value::Object(_) => false,
    };
    match field.ty {
        _ if !zero || field.keep || field.pointer => true,
        // Go would write the 0 of a `targetPort` that nobody set, and defaulting would then replace it: absent is the same.
        Type::Def(id) => id.get().form != Form::IntOrString,
        _ => false,
    }
}

fn entry(element: Type, bytes: &[u8], depth: u32) -> Result<(String, Value), String> {
    let (mut key, mut result) = (String::new(), None);
    let mut reader = Reader::new(bytes);
    while let Some(tag) = reader.tag()? {
        match tag.field {
            1 => key = reader.string(tag)?,
            2 => result = Some(value(element, tag, &mut reader, depth)?),
            _ => reader.skip(tag)?,
        }
    }
    let result = match (result, element) {
        (Some(value), _) => value,
        (None, Type::Def(id)) => message(id.get(), b"", depth)?,
        (None, Type::Int32 | Type::Int64) => 0.into(),
        (None, Type::Bool) => false.into(),
        (None, Type::Double) => 0.0.into(),
        (None, _) => "".into(),
    };
    Ok((key, result))
}

fn value(ty: Type, tag: Tag, reader: &mut Reader<'_>, depth: u32) -> Result<Value, String> {
    Ok(match ty {
        Type::String => reader.string(tag)?.into(),
        Type::Bytes => STANDARD.encode(reader.bytes(tag)?).into(),
        Type::Def(id) => message(id.get(), reader.bytes(tag)?, depth)?,
        Type::Double if tag.wire == FIXED64 => f64::from_bits(reader.fixed64()?).into(),
        Type::Int32 | Type::Int64 | Type::Bool if tag.wire == VARINT => varint(ty, reader.varint()?),
        _ => return Err(format!("proto: wrong wireType = {} for field {}", tag.wire, tag.field)),
    })
}

#[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap)]
fn varint(ty: Type, bits: u64) -> Value {
    match ty {
        Type::Bool => (bits != 0).into(),
        // Negative numbers are sign-extended to ten bytes, larger ones cut, as the generated code does.
        Type::Int32 => (bits as i32).into(),
        _ => (bits as i64).into(),
    }
}

/// The bytes in field 1, which is how the wrappers of text and JSON are made.
fn first_bytes(bytes: &[u8]) -> Result<Option<&[u8]>, String> {
    let mut reader = Reader::new(bytes);
    let mut found = None;
    while let Some(tag) = reader.tag()? {
        if tag.field == 1 { found = Some(reader.bytes(tag)?) } else { reader.skip(tag)? }
    }
    Ok(found)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap)]
fn time(bytes: &[u8], micro: bool) -> Result<Value, String> {
    let (mut seconds, mut nanos) = (0i64, 0i32);
    let mut reader = Reader::new(bytes);
    while let Some(tag) = reader.tag()? {
        match (tag.field, tag.wire) {
            (1, VARINT) => seconds = reader.varint()? as i64,
            (2, VARINT) => nanos = reader.varint()? as i32,
            _ => reader.skip(tag)?,
        }
    }
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let nanos = if micro { nanos / 1000 * 1000 } else { 0 };
    let time = Timestamp::new(seconds, nanos).map_err(|_| "the time is out of range")?;
    // Go's zero time is null in JSON (apimachinery, meta/v1 Time.MarshalJSON).
    if seconds == GO_ZERO_TIME {
        return Ok(Value::Null);
    }
    let format = if micro { "%Y-%m-%dT%H:%M:%S.%6fZ" } else { "%Y-%m-%dT%H:%M:%SZ" };
    Ok(time.strftime(format).to_string().into())
}

/// The first second of year 1.
pub(super) const GO_ZERO_TIME: i64 = -62_135_596_800;

#[allow(clippy::cast_possible_truncation)]
fn int_or_string(bytes: &[u8]) -> Result<Value, String> {
    let (mut is_string, mut int, mut string) = (false, 0i32, String::new());
    let mut reader = Reader::new(bytes);
    while let Some(tag) = reader.tag()? {
        match (tag.field, tag.wire) {
            (1, VARINT) => is_string = reader.varint()? == 1,
            (2, VARINT) => int = reader.varint()? as i32,
            (3, _) => string = reader.string(tag)?,
            _ => reader.skip(tag)?,
        }
    }
    Ok(if is_string { string.into() } else { int.into() })
}

/// A RawExtension holds JSON, or an enveloped message (the object of a watch event).
fn raw(bytes: &[u8], depth: u32) -> Result<Value, String> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    if bytes.starts_with(super::MAGIC) {
        let deeper = depth.checked_sub(1).ok_or("the message is nested too deeply")?;
        return super::decode_as(&super::open(bytes)?, deeper);
    }
    crate::decode::parse(bytes)
}

/// The unions of apiextensions: a schema, or a boolean, a list of schemas, a list of strings.
fn either(def: &'static Def, bytes: &[u8], depth: u32) -> Result<Value, String> {
    let mut object = Object::new();
    fields(def, bytes, &mut object, depth)?;
    Ok(match (object.remove("schema"), def.form) {
        (Some(schema), _) => schema,
        (None, Form::SchemaOrBool) => object.remove("allows").unwrap_or(Value::Bool(false)),
        (None, Form::SchemaOrArray) => object.remove("jSONSchemas").unwrap_or(Value::Null),
        (None, _) => object.remove("property").unwrap_or(Value::Null),
    })
}
