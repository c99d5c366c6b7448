//! JSON to messages.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::Value;

use super::decode::GO_ZERO_TIME;
use super::wire::Writer;
use crate::schema::{Def, Field, Form, Type};

/// An object, or what a definition with a form of its own looks like, as a message.
pub(super) fn message(def: &'static Def, value: &Value, writer: &mut Writer, depth: u32) -> Result<(), String> {
    let deeper = depth.checked_sub(1).ok_or("the object is nested too deeply")?;
    match def.form {
        Form::Object => fields(def, value, writer, deeper),
        Form::Time | Form::MicroTime => time(value, writer, def.form == Form::MicroTime),
        Form::Quantity => {
            match value {
                Value::Null => writer.bytes(1, b"0"),
                Value::String(text) => writer.bytes(1, text.as_bytes()),
                Value::Number(number) => writer.bytes(1, number.to_string().as_bytes()),
                _ => return Err("expected a quantity".into()),
            }
            Ok(())
        }
        Form::IntOrString => int_or_string(value, writer),
        Form::Raw | Form::Fields | Form::Json => {
            if !value.is_null() {
                writer.bytes(1, value.to_string().as_bytes());
            }
            Ok(())
        }
        Form::SchemaOrBool | Form::SchemaOrArray | Form::SchemaOrStrings => either(def, value, writer, deeper),
        Form::Items => match (def.field("items"), value) {
            (_, Value::Null) => Ok(()),
            (Some(items), _) => field(items, value, writer, deeper),
            (None, _) => Ok(()),
        },
    }
}

/// Fields in the order of their numbers, inline messages among them.
fn fields(def: &'static Def, value: &Value, writer: &mut Writer, depth: u32) -> Result<(), String> {
    if !value.is_object() && !value.is_null() {
        return Err("expected an object".into());
    }
    for (field, inline) in def.by_number() {
        if inline {
            if let Some(inline) = field.ty.def() {
                writer.nested(field.number, |writer| fields(inline, value, writer, depth))?;
            }
            continue;
        }
        let value = value.get(field.name).unwrap_or(&Value::Null);
        self::field(field, value, writer, depth).map_err(|error| format!("{}: {error}", field.name))?;
    }
    Ok(())
}

fn field(field: &Field, value: &Value, writer: &mut Writer, depth: u32) -> Result<(), String> {
    match (field.ty, value) {
        // Plain values are always on the wire, with their zero; the rest only when it is there.
        (Type::List(_) | Type::Map(_) | Type::Bytes, Value::Null) => Ok(()),
        (_, Value::Null) if field.pointer => Ok(()),
        (Type::Def(id), Value::Null) if id.get().form == Form::Items => Ok(()),
        (Type::List(element), Value::Array(list)) => {
            list.iter().try_for_each(|item| self::value(field.number, *element, item, writer, depth))
        }
        (Type::List(_), _) => Err("expected a list".into()),
        (Type::Map(element), Value::Object(map)) => {
            for (key, item) in map {
                writer.nested(field.number, |writer| {
                    writer.bytes(1, key.as_bytes());
                    self::value(2, *element, item, writer, depth)
                })?;
            }
            Ok(())
        }
        (Type::Map(_), _) => Err("expected a map".into()),
        (ty, value) => self::value(field.number, ty, value, writer, depth),
    }
}

#[allow(clippy::cast_sign_loss)]
fn value(number: u32, ty: Type, value: &Value, writer: &mut Writer, depth: u32) -> Result<(), String> {
    match (ty, value) {
        (Type::String | Type::Bytes, Value::Null) => writer.bytes(number, b""),
        (Type::String, Value::String(text)) => writer.bytes(number, text.as_bytes()),
        (Type::Bytes, Value::String(text)) => {
            let bytes = STANDARD.decode(text).map_err(|error| format!("illegal base64 data: {error}"))?;
            writer.bytes(number, &bytes);
        }
        (Type::Bool, Value::Null) => writer.varint(number, 0),
        (Type::Bool, Value::Bool(flag)) => writer.varint(number, u64::from(*flag)),
        (Type::Int32 | Type::Int64, Value::Null) => writer.varint(number, 0),
        (Type::Int32 | Type::Int64, Value::Number(_)) => {
            let integer = integer(value).ok_or("expected an integer")?;
            if ty == Type::Int32 && i32::try_from(integer).is_err() {
                return Err(format!("{integer} does not fit into 32 bits"));
            }
            writer.varint(number, integer as u64);
        }
        (Type::Double, Value::Null) => writer.fixed64(number, 0),
        (Type::Double, Value::Number(float)) => writer.fixed64(number, float.as_f64().unwrap_or(0.0).to_bits()),
        (Type::Def(id), value) => return writer.nested(number, |writer| message(id.get(), value, writer, depth)),
        (ty, _) => return Err(format!("expected {}", crate::schema::go_type(ty))),
    }
    Ok(())
}

/// An integer, also one written as `1.0` or `1e3`.
#[allow(clippy::cast_possible_truncation)]
fn integer(value: &Value) -> Option<i64> {
    value
        .as_i64()
        .or_else(|| value.as_f64().filter(|f| f.fract() == 0.0 && f.abs() < 9_007_199_254_740_992.0).map(|f| f as i64))
}

#[allow(clippy::cast_sign_loss)]
fn time(value: &Value, writer: &mut Writer, micro: bool) -> Result<(), String> {
    let text = match value {
        Value::Null => return Ok(()),
        Value::String(text) => text,
        _ => return Err("expected a time".into()),
    };
    let time: Timestamp = text.parse().map_err(|_| format!("{text:?} is not a time"))?;
    if time.as_second() == GO_ZERO_TIME {
        return Ok(());
    }
    // Timestamps count nanoseconds forward, also before 1970.
    let (mut seconds, mut nanos) = (time.as_second(), time.subsec_nanosecond());
    if nanos < 0 {
        (seconds, nanos) = (seconds - 1, nanos + 1_000_000_000);
    }
    let nanos = if micro { nanos / 1000 * 1000 } else { 0 };
    writer.varint(1, seconds as u64);
    writer.varint(2, u64::from(nanos.unsigned_abs()));
    Ok(())
}

#[allow(clippy::cast_sign_loss)]
fn int_or_string(value: &Value, writer: &mut Writer) -> Result<(), String> {
    let (kind, int, text) = match value {
        Value::Null => (0, 0, ""),
        Value::String(text) => (1, 0, text.as_str()),
        value => {
            let fits = |i: &i64| i32::try_from(*i).is_ok();
            (0, integer(value).filter(fits).ok_or("expected an integer or a string")?, "")
        }
    };
    writer.varint(1, kind);
    writer.varint(2, int as u64);
    writer.bytes(3, text.as_bytes());
    Ok(())
}

fn either(def: &'static Def, value: &Value, writer: &mut Writer, depth: u32) -> Result<(), String> {
    let one = |name: &str, value: &Value, writer: &mut Writer| match def.field(name) {
        Some(found) => field(found, value, writer, depth),
        None => Ok(()),
    };
    match (def.form, value) {
        (Form::SchemaOrBool, Value::Object(_)) => {
            one("allows", &Value::Bool(true), writer)?;
            one("schema", value, writer)
        }
        (Form::SchemaOrBool, _) => one("allows", value, writer),
        (_, Value::Object(_)) => one("schema", value, writer),
        (Form::SchemaOrArray, _) => one("jSONSchemas", value, writer),
        (_, _) => one("property", value, writer),
    }
}
