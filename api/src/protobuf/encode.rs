//! JSON to messages. Of a map's members the order is kept: that of the keys, because such is the JSON of this server.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

use super::decode::GO_ZERO_TIME;
use super::wire::Writer;
use crate::schema::{Def, Field, Form, MOST_FIELDS, Type};
use crate::view::Node;

/// A value; absent is what is not there or null.
type Given<'a> = Option<Node<'a>>;

/// An object, or what a definition with a form of its own looks like, as a message.
pub(super) fn message(def: &'static Def, given: Given<'_>, writer: &mut Writer, depth: u32) -> Result<(), String> {
    let deeper = depth.checked_sub(1).ok_or("the object is nested too deeply")?;
    match def.form {
        Form::Object => fields(def, given, writer, deeper),
        Form::Time | Form::MicroTime => time(given, writer, def.form == Form::MicroTime),
        Form::Quantity => {
            let text = match given {
                None => "0",
                Some(node) => node.as_str().or(node.as_number()).ok_or("expected a quantity")?,
            };
            writer.bytes(1, text.as_bytes());
            Ok(())
        }
        Form::IntOrString => int_or_string(given, writer),
        Form::Raw | Form::Fields | Form::Json => {
            if let Some(node) = given {
                writer.bytes(1, node.json().as_bytes());
            }
            Ok(())
        }
        Form::SchemaOrBool | Form::SchemaOrArray | Form::SchemaOrStrings => either(def, given, writer, deeper),
        Form::Items => match (def.field("items"), given) {
            (Some(items), Some(_)) => field(items, given, writer, deeper),
            _ => Ok(()),
        },
    }
}

/// Fields in the order of their numbers, inline messages among them.
fn fields(def: &'static Def, given: Given<'_>, writer: &mut Writer, depth: u32) -> Result<(), String> {
    if given.is_some_and(|node| !node.is_object()) {
        return Err("expected an object".into());
    }
    // Each member is looked up among the fields, not each field among the members: most fields of most objects are absent,
    // and of those only the plain ones are written.
    let (mut members, mut written) = ([None; MOST_FIELDS], def.plain());
    for (name, value) in given.into_iter().flat_map(Node::members) {
        if let Some(place) = def.position(name) {
            members[place] = value.place();
            written |= 1 << place;
        }
    }
    for (field, place) in def.by_number() {
        let Some(place) = place else {
            if let Some(inline) = field.ty.def() {
                writer.nested(field.number, |writer| fields(inline, given, writer, depth))?;
            }
            continue;
        };
        if written & 1 << place == 0 {
            continue;
        }
        let given = given.zip(members[place]).and_then(|(object, place)| some(object.seek(place)));
        self::field(field, given, writer, depth).map_err(|error| format!("{}: {error}", field.name))?;
    }
    Ok(())
}

fn field(field: &Field, given: Given<'_>, writer: &mut Writer, depth: u32) -> Result<(), String> {
    match (field.ty, given) {
        // Plain values are always on the wire, with their zero; the rest only when it is there.
        (Type::List(_) | Type::Map(_) | Type::Bytes, None) => Ok(()),
        (_, None) if field.pointer => Ok(()),
        (Type::Def(id), None) if id.get().form == Form::Items => Ok(()),
        (Type::List(element), Some(list)) if list.is_array() => {
            list.elements().try_for_each(|item| value(field.number, *element, some(item), writer, depth))
        }
        (Type::List(_), _) => Err("expected a list".into()),
        (Type::Map(element), Some(map)) if map.is_object() => {
            for (key, item) in map.members() {
                writer.nested(field.number, |writer| {
                    writer.bytes(1, key.as_bytes());
                    value(2, *element, some(item), writer, depth)
                })?;
            }
            Ok(())
        }
        (Type::Map(_), _) => Err("expected a map".into()),
        (ty, given) => value(field.number, ty, given, writer, depth),
    }
}

fn some(node: Node<'_>) -> Given<'_> {
    Some(node).filter(|node| !node.is_null())
}

#[allow(clippy::cast_sign_loss)]
fn value(number: u32, ty: Type, given: Given<'_>, writer: &mut Writer, depth: u32) -> Result<(), String> {
    if let Type::Def(id) = ty {
        return writer.nested(number, |writer| message(id.get(), given, writer, depth));
    }
    let wrong = || format!("expected {}", crate::schema::go_type(ty));
    match (ty, given) {
        (Type::String | Type::Bytes, None) => writer.bytes(number, b""),
        (Type::String, Some(text)) => writer.bytes(number, text.as_str().ok_or_else(wrong)?.as_bytes()),
        (Type::Bytes, Some(text)) => {
            let bytes = STANDARD.decode(text.as_str().ok_or_else(wrong)?);
            writer.bytes(number, &bytes.map_err(|error| format!("illegal base64 data: {error}"))?);
        }
        (Type::Bool | Type::Int32 | Type::Int64, None) => writer.varint(number, 0),
        (Type::Bool, Some(flag)) => writer.varint(number, u64::from(flag.as_bool().ok_or_else(wrong)?)),
        (Type::Int32 | Type::Int64, Some(node)) => {
            node.as_number().ok_or_else(wrong)?;
            let integer = integer(node).ok_or("expected an integer")?;
            if ty == Type::Int32 && i32::try_from(integer).is_err() {
                return Err(format!("{integer} does not fit into 32 bits"));
            }
            writer.varint(number, integer as u64);
        }
        (Type::Double, None) => writer.fixed64(number, 0),
        (Type::Double, Some(float)) => writer.fixed64(number, float.as_f64().ok_or_else(wrong)?.to_bits()),
        _ => return Err(wrong()),
    }
    Ok(())
}

/// An integer, also one written as `1.0` or `1e3`.
#[allow(clippy::cast_possible_truncation)]
fn integer(node: Node<'_>) -> Option<i64> {
    node.as_i64()
        .or_else(|| node.as_f64().filter(|f| f.fract() == 0.0 && f.abs() < 9_007_199_254_740_992.0).map(|f| f as i64))
}

#[allow(clippy::cast_sign_loss)]
fn time(given: Given<'_>, writer: &mut Writer, micro: bool) -> Result<(), String> {
    let Some(node) = given else { return Ok(()) };
    let text = node.as_str().ok_or("expected a time")?;
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
fn int_or_string(given: Given<'_>, writer: &mut Writer) -> Result<(), String> {
    let (kind, int, text) = match given {
        None => (0, 0, ""),
        Some(node) => match node.as_str() {
            Some(text) => (1, 0, text),
            None => {
                let fits = |i: &i64| i32::try_from(*i).is_ok();
                (0, integer(node).filter(fits).ok_or("expected an integer or a string")?, "")
            }
        },
    };
    writer.varint(1, kind);
    writer.varint(2, int as u64);
    writer.bytes(3, text.as_bytes());
    Ok(())
}

fn either(def: &'static Def, given: Given<'_>, writer: &mut Writer, depth: u32) -> Result<(), String> {
    let one = |name: &str, given: Given<'_>, writer: &mut Writer| match def.field(name) {
        Some(found) => field(found, given, writer, depth),
        None => Ok(()),
    };
    match (def.form, given) {
        (Form::SchemaOrBool, Some(schema)) if schema.is_object() => {
            if let Some(allows) = def.field("allows") {
                writer.varint(allows.number, 1);
            }
            one("schema", given, writer)
        }
        (Form::SchemaOrBool, _) => one("allows", given, writer),
        (_, Some(schema)) if schema.is_object() => one("schema", given, writer),
        (Form::SchemaOrArray, _) => one("jSONSchemas", given, writer),
        (_, _) => one("property", given, writer),
    }
}
