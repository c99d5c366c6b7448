//! Objects, lists and Statuses to responses: shape, encoding, indentation, compression, warnings.

use std::io::Write;

use api::columns::{self, IncludeObject, Now};
use api::kinds::{KindRef, Served};
use api::{Status, object, protobuf, yaml};
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
use crate::storage::Entry;

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
        let shaped = self.shape(object.value())?;
        self.value(code, &shaped)
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

    /// A stored object in the shape and version asked for.
    ///
    /// # Errors
    /// 500 if it cannot be converted.
    pub fn shape(&self, stored: Value) -> Result<Value, Status> {
        match self.accepted.shape {
            Shape::Object => to_version(self.kind, stored, &self.served),
            Shape::Partial(_) => Ok(partial(stored)),
            Shape::Table => {
                let mut table = columns::table(self.kind.columns, [&stored], self.now, self.include);
                if let Some(version) = object::resource_version(&stored) {
                    table["metadata"] = json!({"resourceVersion": version});
                }
                self.show_rows_as_served(&mut table)?;
                Ok(table)
            }
        }
    }

    /// Whole objects in rows are in the version asked for, too.
    fn show_rows_as_served(&self, table: &mut Value) -> Result<(), Status> {
        if self.include != IncludeObject::Object || self.served == self.kind.served() {
            return Ok(());
        }
        if let Some(Value::Array(rows)) = table.get_mut("rows") {
            for row in rows {
                let object = row["object"].take();
                row["object"] = to_version(self.kind, object, &self.served)?;
            }
        }
        Ok(())
    }

    /// Appends one row of a Table.
    ///
    /// # Errors
    /// As [`Reply::shape`].
    pub fn write_row(&self, entry: &Entry, out: &mut Vec<u8>) -> Result<(), Status> {
        let mut row = columns::row(self.kind.columns, &entry.value(), self.now, self.include);
        if self.include == IncludeObject::Object && self.served != self.kind.served() {
            let object = row["object"].take();
            row["object"] = to_version(self.kind, object, &self.served)?;
        }
        serde_json::to_writer(out, &row).map_err(Status::internal)
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
