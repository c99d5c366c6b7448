//! Objects, lists and Statuses to responses: shape, encoding, indentation, compression, warnings.

use std::io::Write;

use api::columns::{self, IncludeObject, Now};
use api::kinds::{KindRef, Served};
use api::view::View;
use api::{Status, protobuf, schema, yaml};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::negotiate::{Accepted, Encoding, Shape};
use crate::registry::Object;
use crate::registry::patch::to_version;
use crate::request::Body;

/// Smaller bodies are not worth compressing (apiserver, responsewriters/writers.go: defaultGzipThresholdBytes).
pub const GZIP_FROM: usize = 128 * 1024;
/// All warnings of a response together (apiserver, endpoints/filters/warning.go).
const WARNINGS_LIMIT: usize = 4 * 1024;

/// How a request wants its answer.
#[derive(Clone, Copy)]
pub struct Reply {
    /// The kind that the path names.
    pub kind: KindRef,
    /// The version that the path names.
    pub served: Served,
    /// Encoding and shape.
    pub accepted: Accepted,
    /// How much of the object each row of a Table carries.
    pub include: IncludeObject,
    /// The client takes gzip.
    pub gzip: bool,
    /// What ages are counted to.
    pub now: Now,
}

impl Reply {
    /// Whether stored bytes can be sent as they are.
    pub fn verbatim(&self) -> bool {
        self.served == self.kind.served() && self.accepted.shape == Shape::Object
    }

    /// One object.
    ///
    /// # Errors
    /// 406 for a shape that only lists have.
    pub fn object(&self, code: StatusCode, object: &Object) -> Result<Response<Body>, Status> {
        if self.accepted.shape == Shape::Partial(true) {
            return Err(not_acceptable(format!(
                "you requested PartialObjectMetadataList, but the requested object is not a list ({})",
                self.kind.kind
            )));
        }
        if self.verbatim() && self.accepted.encoding == Encoding::Json && !self.accepted.pretty {
            let mut bytes = Vec::from(object.json());
            bytes.push(b'\n');
            return Ok(self.bytes(code, Encoding::Json, bytes));
        }
        if self.accepted.shape == Shape::Table {
            let table = self.table(&object.json(), true)?;
            if self.accepted.encoding == Encoding::Json && !self.accepted.pretty {
                return Ok(self.bytes(code, Encoding::Json, table));
            }
            return self.value(code, &serde_json::from_slice(&table).map_err(Status::internal)?);
        }
        if self.verbatim() && self.accepted.encoding == Encoding::Protobuf {
            let message = self.message(&object.json(), &mut View::default())?;
            let bytes = protobuf::wrap(&self.served.api_version(), self.kind.kind, &message);
            return Ok(self.bytes(code, Encoding::Protobuf, bytes));
        }
        self.value(code, &self.shape(object.value())?)
    }

    /// A value that has one shape only: Status, Scale, reviews.
    ///
    /// # Errors
    /// 500 if it cannot be encoded.
    pub fn value(&self, code: StatusCode, value: &Value) -> Result<Response<Body>, Status> {
        let encoding = self.accepted.encoding;
        Ok(self.bytes(code, encoding, encode(encoding, self.accepted.pretty, value)?))
    }

    /// A finished body.
    pub fn bytes(&self, code: StatusCode, encoding: Encoding, bytes: Vec<u8>) -> Response<Body> {
        let compress = self.gzip && bytes.len() >= GZIP_FROM;
        let body = if compress { compressed(&bytes) } else { bytes };
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = code;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(encoding.media_type()));
        if compress {
            mark_gzip(headers);
        }
        response
    }

    /// A stored object in the shape and version asked for; Tables are made by [`Reply::table`].
    ///
    /// # Errors
    /// 500 if it cannot be converted.
    pub fn shape(&self, stored: Value) -> Result<Value, Status> {
        match self.accepted.shape {
            Shape::Object | Shape::Table => to_version(self.kind, stored, &self.served),
            Shape::Partial(_) => Ok(partial(stored)),
        }
    }

    /// A stored object as a bare protobuf message, from its JSON.
    ///
    /// # Errors
    /// 500 if it cannot be encoded.
    pub fn message(&self, json: &[u8], view: &mut View) -> Result<Vec<u8>, Status> {
        let mut out = Vec::with_capacity(json.len());
        let definition = schema::def(self.served.definition)
            .ok_or_else(|| Status::internal(format_args!("no schema of {}", self.kind.kind)))?;
        protobuf::append_message(definition, json, view, &mut out).map_err(Status::internal)?;
        Ok(out)
    }

    /// A Table of one stored object, from its JSON.
    ///
    /// # Errors
    /// 500 if it is no JSON or cannot be converted.
    pub fn table(&self, json: &[u8], with_columns: bool) -> Result<Vec<u8>, Status> {
        let mut view = View::default();
        // What a dry run made has none.
        let metadata = match view.read(json).map_err(Status::internal)?.text("/metadata/resourceVersion") {
            "" => json!({}),
            version => json!({"resourceVersion": version}),
        };
        let mut out = self.table_head(&metadata, with_columns);
        self.write_row(json, &mut view, &mut out)?;
        out.extend_from_slice(b"]}\n");
        Ok(out)
    }

    /// The JSON of a Table up to its first row.
    pub fn table_head(&self, metadata: &Value, with_columns: bool) -> Vec<u8> {
        // Null as upstream sends it from the second event of a watch on.
        let definitions = if with_columns { columns::definitions(self.kind.columns) } else { Value::Null };
        let head = r#"{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":"#;
        format!(r#"{head}{metadata},"columnDefinitions":{definitions},"rows":["#).into_bytes()
    }

    /// Appends one row of a Table, from the JSON of a stored object.
    ///
    /// # Errors
    /// As [`Reply::table`].
    pub fn write_row(&self, json: &[u8], view: &mut View, out: &mut Vec<u8>) -> Result<(), Status> {
        let item = view.read(json).map_err(Status::internal)?;
        columns::begin_row(self.kind.columns, item, self.now, out);
        match self.include {
            IncludeObject::None => out.extend_from_slice(b"null"),
            IncludeObject::Metadata => columns::write_partial(item, out),
            IncludeObject::Object if self.served == self.kind.served() => out.extend_from_slice(json),
            IncludeObject::Object => {
                let converted = to_version(self.kind, item.value(), &self.served)?;
                serde_json::to_writer(&mut *out, &converted).map_err(Status::internal)?;
            }
        }
        out.push(b'}');
        Ok(())
    }
}

/// A value in an encoding.
///
/// # Errors
/// 500 if the encoding has no form for it.
pub fn encode(encoding: Encoding, pretty: bool, value: &Value) -> Result<Vec<u8>, Status> {
    match encoding {
        Encoding::Json if pretty => serde_json::to_vec_pretty(value).map_err(Status::internal),
        Encoding::Json => {
            let mut bytes = serde_json::to_vec(value).map_err(Status::internal)?;
            bytes.push(b'\n');
            Ok(bytes)
        }
        Encoding::Yaml => Ok(yaml::write(value).into_bytes()),
        Encoding::Protobuf => protobuf::encode(value).map_err(Status::internal),
    }
}

/// `meta.k8s.io/v1 PartialObjectMetadata` of an object.
pub fn partial(mut object: Value) -> Value {
    json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": object["metadata"].take()})
}

/// 406 with another message than the list of media types.
pub fn not_acceptable(message: String) -> Status {
    let mut status = Status::not_acceptable(&[]);
    status.message = message;
    status
}

/// A Status as the whole answer; in an encoding that the client takes.
pub fn status(status: &Status, accept: &str) -> Response<Body> {
    let accepted = super::negotiate::negotiate(accept, false).unwrap_or(Accepted::JSON);
    let value = serde_json::to_value(status).unwrap_or_default();
    let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let (encoding, bytes) = match encode(accepted.encoding, accepted.pretty, &value) {
        Ok(bytes) => (accepted.encoding, bytes),
        Err(_) => (Encoding::Json, value.to_string().into_bytes()),
    };
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = code;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(encoding.media_type()));
    let retry = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
    // Not for every 429: a client that finds the header tries again by itself, and a refused eviction is for its caller.
    if retry > 0 {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry));
    }
    response
}

/// Adds `Warning` headers (RFC 7234, code 299): one per text while there is room.
pub fn warn(response: &mut Response<Body>, warnings: &[String]) {
    let mut room = WARNINGS_LIMIT;
    for text in warnings {
        let clean: String = text.chars().filter(|c| !c.is_control()).collect();
        let value = format!("299 - \"{}\"", clean.replace('\\', "\\\\").replace('"', "\\\""));
        if value.len() > room {
            return;
        }
        room -= value.len();
        if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
}

/// The bytes compressed; fast rather than small, as upstream.
pub fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::fast());
    // Writing to memory does not fail.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

/// Says that the body is compressed.
pub fn mark_gzip(headers: &mut http::HeaderMap) {
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
}

/// An empty body.
pub fn empty() -> Body {
    Body::from(Bytes::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_quoted_and_bounded() {
        let mut response = Response::new(empty());
        warn(&mut response, &["a \"b\" \\ c\n".into(), "x".repeat(5000), "late".into()]);
        let texts: Vec<_> = response.headers().get_all(header::WARNING).iter().collect();
        assert_eq!(texts, ["299 - \"a \\\"b\\\" \\\\ c\""]);
    }

    #[test]
    fn a_status_says_when_to_come_back() {
        let response = status(&Status::too_many_requests("slow", 3), "");
        assert_eq!((response.status().as_u16(), response.headers()["retry-after"].to_str().unwrap()), (429, "3"));
    }
}
