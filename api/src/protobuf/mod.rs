//! Kubernetes protobuf to JSON and back, driven by the schema table: one transcoder for every kind and option type.
//!
//! A body is the four bytes `k8s\0` and a `runtime.Unknown {typeMeta, raw, contentEncoding, contentType}` around the
//! message. Decoding gives the JSON that Go's encoder would write for the same message; encoding gives the bytes that
//! the generated marshallers of k8s.io/api write (fields by number, maps by key, plain scalars and structs always,
//! pointers only when set), so that a message goes through JSON and back unchanged.
//!
//! Relies on [`crate::schema`]. Foreign input is limited by its own size and by depth, and gives errors, never a panic.

mod decode;
mod encode;
pub(crate) mod wire;

use serde_json::Value;

use crate::schema::{self, Def};
use crate::view::View;
use wire::{Reader, Writer};

/// The media type.
pub const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";

/// What every enveloped message begins with.
pub const MAGIC: &[u8] = b"k8s\0";

/// Messages in messages, at most: what comes out must not be deeper than [`crate::decode::MAX_DEPTH`] in JSON, where a
/// list or a map between two messages is a level, too. The deepest built-in type that is not recursive has 14.
const MAX_DEPTH: u32 = 48;

/// What the envelope says, and the message in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// E.g. `apps/v1`.
    pub api_version: String,
    /// E.g. `Deployment`.
    pub kind: String,
    /// The message.
    pub raw: &'a [u8],
    /// What the message is, if not protobuf.
    pub content_type: String,
}

/// Takes a body apart without looking into the message.
pub fn open(bytes: &[u8]) -> Result<Envelope<'_>, String> {
    let Some(unknown) = bytes.strip_prefix(MAGIC) else {
        return Err("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]".into());
    };
    let mut envelope =
        Envelope { api_version: String::new(), kind: String::new(), raw: &[], content_type: String::new() };
    let mut reader = Reader::new(unknown);
    while let Some(tag) = reader.tag()? {
        match tag.field {
            1 => {
                let mut meta = Reader::new(reader.bytes(tag)?);
                while let Some(tag) = meta.tag()? {
                    match tag.field {
                        1 => envelope.api_version = meta.string(tag)?,
                        2 => envelope.kind = meta.string(tag)?,
                        _ => meta.skip(tag)?,
                    }
                }
            }
            2 => envelope.raw = reader.bytes(tag)?,
            3 => {
                if !reader.bytes(tag)?.is_empty() {
                    return Err("the content encoding is not supported".into());
                }
            }
            4 => envelope.content_type = reader.string(tag)?,
            _ => reader.skip(tag)?,
        }
    }
    Ok(envelope)
}

/// An enveloped message as JSON, with `apiVersion` and `kind`.
pub fn decode(bytes: &[u8]) -> Result<Value, String> {
    let envelope = open(bytes)?;
    decode_as(&envelope, MAX_DEPTH)
}

fn decode_as(envelope: &Envelope<'_>, depth: u32) -> Result<Value, String> {
    let mut value = if envelope.content_type == "application/json" {
        crate::decode::parse(envelope.raw)?
    } else {
        decode::message(definition(&envelope.api_version, &envelope.kind)?, envelope.raw, depth)?
    };
    if let Value::Object(object) = &mut value {
        object.insert("apiVersion".into(), envelope.api_version.clone().into());
        object.insert("kind".into(), envelope.kind.clone().into());
    }
    Ok(value)
}

/// A bare message, without the envelope.
pub fn decode_message(def: &'static Def, bytes: &[u8]) -> Result<Value, String> {
    decode::message(def, bytes, MAX_DEPTH)
}

fn definition(api_version: &str, kind: &str) -> Result<&'static Def, String> {
    schema::of_object(api_version, kind)
        .ok_or_else(|| format!("no kind \"{kind}\" is registered for version \"{api_version}\""))
}

/// An object as an enveloped message; what it is, it says itself.
pub fn encode(value: &Value) -> Result<Vec<u8>, String> {
    let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or("");
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    Ok(wrap(api_version, kind, &encode_message(definition(api_version, kind)?, value)?))
}

/// An object as a bare message.
pub fn encode_message(def: &'static Def, value: &Value) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    append_message(def, value.to_string().as_bytes(), &mut View::default(), &mut out)?;
    Ok(out)
}

/// Appends an object, given as JSON with its maps in the order of their keys, as a bare message. `view` is scratch space.
pub fn append_message(def: &'static Def, json: &[u8], view: &mut View, out: &mut Vec<u8>) -> Result<(), String> {
    let node = view.read(json).map_err(|error| error.to_string())?;
    let mut writer = Writer::onto(std::mem::take(out));
    let given = Some(node).filter(|node| !node.is_null());
    let result = encode::message(def, given, &mut writer, MAX_DEPTH);
    *out = writer.done();
    result
}

/// Puts a bare message into an envelope.
pub fn wrap(api_version: &str, kind: &str, message: &[u8]) -> Vec<u8> {
    let (head, tail) = envelope(api_version, kind, message.len());
    [&head, message, &tail].concat()
}

/// What comes before and after a message of this length.
fn envelope(api_version: &str, kind: &str, length: usize) -> (Vec<u8>, Vec<u8>) {
    let mut head = Writer::with_prefix(MAGIC, api_version.len() + kind.len() + 32);
    head.nested(1, |meta| {
        meta.bytes(1, api_version.as_bytes());
        meta.bytes(2, kind.as_bytes());
    });
    head.begin(2, length);
    let mut tail = Writer::default();
    tail.bytes(3, b"");
    tail.bytes(4, b"");
    (head.done(), tail.done())
}

/// What comes before and after the items of an enveloped list, each written by [`append_item`], `items` bytes together: so a
/// list of any size can be sent in pieces.
pub fn list_frame(
    api_version: &str,
    list_kind: &str,
    metadata: &Value,
    items: usize,
) -> Result<(Vec<u8>, Vec<u8>), String> {
    let meta = schema::def("io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta").ok_or("no ListMeta")?;
    let mut writer = Writer::default();
    writer.bytes(1, &encode_message(meta, metadata)?);
    let metadata = writer.done();
    let (head, tail) = envelope(api_version, list_kind, metadata.len() + items);
    Ok(([head, metadata].concat(), tail))
}

/// How many bytes an item of a list takes whose message has `message` bytes.
pub fn item_len(message: usize) -> usize {
    let mut writer = Writer::default();
    writer.begin(ITEMS, message);
    writer.done().len() + message
}

/// Appends a bare message as an item of a list.
pub fn append_item(message: &[u8], out: &mut Vec<u8>) {
    let mut writer = Writer::onto(std::mem::take(out));
    writer.bytes(ITEMS, message);
    *out = writer.done();
}

/// The number of `items` in every list.
const ITEMS: u32 = 2;

/// A bare watch event around an enveloped object, as `application/vnd.kubernetes.protobuf;stream=watch` frames it.
pub fn encode_watch_event(event: &str, object: &[u8]) -> Vec<u8> {
    let mut writer = Writer::with_prefix(b"", object.len() + event.len() + 16);
    writer.bytes(1, event.as_bytes());
    writer.nested(2, |raw| raw.bytes(1, object));
    writer.done()
}

/// One frame of a stream: the length in four bytes, big-endian, and the message.
pub fn frame(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes(), message].concat()
}

#[cfg(test)]
mod tests;
