//! Bodies to objects: size limit, media type, JSON, YAML or protobuf, type and field checks, version.
//!
//! Error texts follow upstream's decoders and `transformDecodeError` (apiserver, pkg/endpoints/handlers/rest.go).

use std::ops::Deref;

use api::kinds::{KindRef, Served};
use api::validate::{self, FieldValidation};
use api::{Status, object, protobuf, schema, yaml};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::negotiate::Encoding;
use crate::registry::Call;
use crate::registry::patch::to_version;
use crate::request::Body;

/// Largest body: what upstream takes for every write (apiserver, MaxRequestBodyBytes).
pub const BODY_LIMIT: usize = 3 * 1024 * 1024;

/// Where upstream's scheme stands, as its messages have it.
const SCHEME: &str = "k8s.io/kubernetes/pkg/api/legacyscheme/scheme.go:30";

/// From this size on a body is large: as a tree it can take ten times as much, so that few are worked on at a time.
const LARGE: usize = 256 * 1024;
/// How many.
static LARGE_AT_A_TIME: Semaphore = Semaphore::const_new(8);

/// A body that has been read. Keep it until the request is done: a large one holds one of few places.
pub struct Payload {
    bytes: Bytes,
    _place: Option<SemaphorePermit<'static>>,
}

impl Deref for Payload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Reads a body of at most [`BODY_LIMIT`] bytes.
///
/// # Errors
/// 413, and 400 for a body that breaks off.
pub async fn read(body: Body) -> Result<Payload, Status> {
    let bytes = collect(body).await?;
    // The place is taken once the body is there: a slow client takes none.
    let place = match bytes.len() {
        0..LARGE => None,
        _ => Some(LARGE_AT_A_TIME.acquire().await.map_err(Status::internal)?),
    };
    Ok(Payload { bytes, _place: place })
}

async fn collect(body: Body) -> Result<Bytes, Status> {
    match Limited::new(body, BODY_LIMIT).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.downcast_ref::<LengthLimitError>().is_some() => {
            Err(Status::too_large(format!("Request entity is too large: limit is {BODY_LIMIT}")))
        }
        Err(error) => Err(Status::bad_request(format!("unable to read the body of the request: {error}"))),
    }
}

/// The media type of a body without its parameters.
pub(super) fn essence(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

/// How an object in a body is encoded.
///
/// # Errors
/// 415.
pub fn encoding(content_type: &str) -> Result<Encoding, Status> {
    match essence(content_type) {
        "" | "application/json" => Ok(Encoding::Json),
        "application/yaml" | "application/x-yaml" => Ok(Encoding::Yaml),
        "application/vnd.kubernetes.protobuf" => Ok(Encoding::Protobuf),
        _ => Err(Status::unsupported_media_type(&[
            Encoding::Json.media_type(),
            Encoding::Yaml.media_type(),
            Encoding::Protobuf.media_type(),
        ])),
    }
}

/// A body as a tree.
#[derive(Default)]
struct Parsed {
    value: Value,
    /// Paths of keys that came twice in JSON.
    duplicates: Vec<String>,
    /// What YAML has to say about its own.
    complaint: Option<String>,
}

impl From<Value> for Parsed {
    fn from(value: Value) -> Self {
        Self { value, ..Self::default() }
    }
}

fn parse(encoding: Encoding, body: &[u8]) -> Result<Parsed, String> {
    match encoding {
        Encoding::Json => match api::decode::strict(body) {
            Ok((value, duplicates)) => Ok(Parsed { value, duplicates, complaint: None }),
            Err(error) => Err(format!("couldn't get version/kind; json parse error: {error}")),
        },
        Encoding::Yaml => {
            let text = std::str::from_utf8(body).map_err(|_| "yaml: invalid leading UTF-8 octet".to_string())?;
            match yaml::read_strict(text) {
                Ok(value) => Ok(value.into()),
                Err(complaint) => {
                    let value = yaml::read(text).map_err(|error| error.to_string())?;
                    Ok(Parsed { complaint: Some(complaint.to_string()), ..value.into() })
                }
            }
        }
        Encoding::Protobuf => protobuf::decode(body).map(Into::into),
    }
}

/// A body as a value of any kind that is not stored (DeleteOptions and the like): no field checks.
///
/// # Errors
/// 400, 415.
pub fn loose(content_type: &str, body: &[u8], what: &str) -> Result<Value, Status> {
    let value = parse(encoding(content_type)?, body).map_err(|error| unrecognized(what, &error, body))?.value;
    let found = object::kind(&value);
    if !found.is_empty() && found != what {
        return Err(cannot_be_handled(&value, what, &format!("unexpected kind {found}")));
    }
    if value.is_object() { Ok(value) } else { Err(unrecognized(what, "it is not an object", body)) }
}

/// A body as an object of `kind` served as `served`, in the storage version. Unknown fields are dropped, told or refused.
///
/// # Errors
/// 400, 415.
pub fn object(
    call: &Call,
    kind: KindRef,
    served: &Served,
    content_type: &str,
    body: &[u8],
    validation: FieldValidation,
) -> Result<Value, Status> {
    let value = typed(call, kind.kind, served, content_type, body, validation)?;
    to_version(kind, value, &kind.served())
}

/// The same for any kind with a definition (subresource bodies), in the version of the definition.
///
/// # Errors
/// 400, 415.
pub fn typed(
    call: &Call,
    name: &str,
    served: &Served,
    content_type: &str,
    body: &[u8],
    validation: FieldValidation,
) -> Result<Value, Status> {
    let parsed = parse(encoding(content_type)?, body).map_err(|error| unrecognized(name, &error, body))?;
    let Parsed { mut value, duplicates, complaint } = parsed;
    if !value.is_object() {
        let error = "couldn't get version/kind; json parse error: json: cannot unmarshal into Go value of type struct";
        return Err(unrecognized(name, error, body));
    }
    is_kind(&mut value, name, served)?;
    match (complaint, validation) {
        (Some(text), FieldValidation::Strict) => {
            return Err(cannot_be_handled(&value, name, &validate::strict_error(&[text])));
        }
        (Some(text), FieldValidation::Warn) => call.warn(text),
        _ => {}
    }
    fields(call, served, &mut value, validation, &duplicates)?;
    Ok(value)
}

/// Type checks and unknown fields of a decoded or patched object.
///
/// # Errors
/// `BadRequest`.
pub fn fields(
    call: &Call,
    served: &Served,
    value: &mut Value,
    validation: FieldValidation,
    duplicates: &[String],
) -> Result<(), Status> {
    let definition = schema::def(served.definition)
        .ok_or_else(|| Status::internal(format_args!("no schema of {}", served.definition)))?;
    let found = validate::validate_decoded(definition, value, duplicates, validation)?;
    found.into_iter().for_each(|text| call.warn(text));
    Ok(())
}

/// Whether the object says that it is of the kind and version expected; what it leaves out is filled in.
fn is_kind(value: &mut Value, name: &str, served: &Served) -> Result<(), Status> {
    let api_version = served.api_version();
    for (field, expected) in [("apiVersion", api_version.as_str()), ("kind", name)] {
        let place = &mut value[field];
        if place.is_null() || place.as_str() == Some("") {
            *place = json!(expected);
        } else if !place.is_string() {
            let message = format!(
                "couldn't get version/kind; json parse error: json: cannot unmarshal {} into Go struct field .{field} of type string",
                go_kind(place)
            );
            return Err(unrecognized(name, &message, b""));
        }
    }
    let (found, found_version) = (object::kind(value), object::api_version(value));
    if found == name && found_version == api_version {
        return Ok(());
    }
    let (group, version) = object::group_version(value);
    let known = api::kinds::by_kind(group, version, found);
    match known {
        _ if found == name && known.is_some() => Err(Status::bad_request(format!(
            "the API version in the data ({found_version}) does not match the expected API version ({api_version})"
        ))),
        Some(_) => {
            let why = format!("converting ({version}.{found}) to ({}.{name}): unknown conversion", served.version);
            Err(cannot_be_handled(value, name, &why))
        }
        None => {
            let why = format!("no kind {found:?} is registered for version {found_version:?} in scheme {SCHEME:?}");
            Err(cannot_be_handled(value, name, &why))
        }
    }
}

fn go_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn cannot_be_handled(value: &Value, name: &str, why: &str) -> Status {
    let (_, version) = object::group_version(value);
    validate::cannot_be_handled(object::kind(value), version, name, why)
}

fn unrecognized(name: &str, why: &str, body: &[u8]) -> Status {
    let summary = summarize(body);
    Status::bad_request(format!("the object provided is unrecognized (must be of type {name}): {why} ({summary})"))
}

/// The beginning of a body, in hexadecimal as upstream shows it (`summarizeData`).
fn summarize(body: &[u8]) -> String {
    const SHOWN: usize = 30;
    if body.is_empty() {
        return "<empty>".into();
    }
    let hex: String = body.iter().take(SHOWN).map(|byte| format!("{byte:02x}")).collect();
    if body.len() > SHOWN { format!("{hex} ...") } else { hex }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::kinds;

    fn decode(plural: &str, body: &str, validation: FieldValidation) -> Result<Value, String> {
        let (kind, served) = kinds::find("", "v1", plural).unwrap();
        object(&Call::internal(), kind, &served, "application/json", body.as_bytes(), validation)
            .map_err(|status| status.message)
    }

    #[test]
    fn what_is_left_out_is_filled_in() {
        let value = decode("configmaps", r#"{"metadata":{"name":"a"}}"#, FieldValidation::Strict).unwrap();
        assert_eq!(value, json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}));
    }

    #[test]
    fn refusals_read_like_upstreams() {
        let table = [
            (
                "{x",
                "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: invalid character 'x' looking for beginning of object key string (7b78)",
            ),
            (
                r#"{"apiVersion":"v1","kind":"Pod"}"#,
                "Pod in version \"v1\" cannot be handled as a ConfigMap: converting (v1.Pod) to (v1.ConfigMap): unknown conversion",
            ),
            (
                r#"{"apiVersion":"v7","kind":"ConfigMap"}"#,
                "ConfigMap in version \"v7\" cannot be handled as a ConfigMap: no kind \"ConfigMap\" is registered for version \"v7\" in scheme \"k8s.io/kubernetes/pkg/api/legacyscheme/scheme.go:30\"",
            ),
            (
                r#"{"nope":1}"#,
                "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: unknown field \"nope\"",
            ),
            (
                r#"{"metadata":{"name":"a","name":"b"}}"#,
                "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: duplicate field \"metadata.name\"",
            ),
        ];
        for (body, expected) in table {
            assert_eq!(decode("configmaps", body, FieldValidation::Strict), Err(expected.into()), "{body}");
        }
    }

    #[test]
    fn media_types() {
        assert_eq!(encoding("application/json; charset=utf-8").unwrap(), Encoding::Json);
        assert_eq!(encoding("text/plain").unwrap_err().code, 415);
    }
}
