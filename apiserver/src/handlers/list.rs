//! Lists: written from the bytes of the entries, in pieces where they are large, so that the memory of a list of any
//! size is its entries (shared with the cache) and one piece.

use std::io::Write;
use std::sync::Arc;

use api::kinds::KindRef;
use api::{Status, columns, protobuf, schema};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::stream;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::negotiate::{Encoding, Shape};
use super::respond::{GZIP_FROM, Reply, encode, mark_gzip, not_acceptable};
use crate::registry::patch::to_version;
use crate::request::Body;
use crate::storage::{Entry, Listing, token};

/// Lists up to this size go out in one piece, with their length.
const WHOLE: usize = 256 * 1024;
/// Objects that are transcoded without letting others run.
const YIELD_EVERY: usize = 32;
/// Size of a piece of a larger one.
const PIECE: usize = 64 * 1024;

/// `metadata` of a list.
fn metadata(listing: &Listing) -> Value {
    let mut metadata = json!({"resourceVersion": listing.revision.to_string()});
    if let Some(next) = &listing.next {
        metadata["continue"] = json!(token::encode(Some(listing.revision), next));
        if let Some(remaining) = listing.remaining {
            metadata["remainingItemCount"] = json!(remaining);
        }
    }
    metadata
}

/// The answer to a list.
///
/// # Errors
/// 406 for a shape that only single objects have, 500 for what cannot be encoded.
pub async fn respond(reply: Reply, listing: Listing) -> Result<Response<Body>, Status> {
    if reply.accepted.shape == Shape::Partial(false) {
        return Err(not_acceptable(format!(
            "you requested PartialObjectMetadata, but the requested object is a list ({})",
            reply.kind.list_kind
        )));
    }
    let size: usize = listing.entries.iter().map(|entry| entry.json_len() + 1).sum();
    match reply.accepted.encoding {
        Encoding::Json if !reply.accepted.pretty => json_response(reply, listing, size),
        Encoding::Json | Encoding::Yaml => {
            let writer = Writer::new(reply, &listing)?;
            let whole: Value = serde_json::from_slice(&writer.all(listing.entries)?).map_err(Status::internal)?;
            let bytes = encode(reply.accepted.encoding, reply.accepted.pretty, &whole)?;
            Ok(reply.bytes(StatusCode::OK, reply.accepted.encoding, bytes))
        }
        Encoding::Protobuf => protobuf_response(reply, &listing).await,
    }
}

fn json_response(reply: Reply, listing: Listing, size: usize) -> Result<Response<Body>, Status> {
    let writer = Writer::new(reply, &listing)?;
    if size <= WHOLE {
        return Ok(reply.bytes(StatusCode::OK, Encoding::Json, writer.all(listing.entries)?));
    }
    let gzip = (reply.gzip && size >= GZIP_FROM).then(|| GzEncoder::new(Vec::new(), Compression::fast()));
    let compress = gzip.is_some();
    let pieces = Pieces { writer, entries: listing.entries.into_iter(), gzip, state: State::Head };
    let stream = stream::iter(pieces);
    let mut response = Response::new(Body::from_stream(stream));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(Encoding::Json.media_type()));
    if compress {
        mark_gzip(headers);
    }
    Ok(response)
}

/// The parts of a list around and between its items.
struct Writer {
    reply: Reply,
    head: Vec<u8>,
}

impl Writer {
    fn new(reply: Reply, listing: &Listing) -> Result<Self, Status> {
        let metadata = metadata(listing);
        let head = match reply.accepted.shape {
            Shape::Object => {
                let (kind, version) = (reply.kind.list_kind, reply.served.api_version());
                format!(r#"{{"kind":"{kind}","apiVersion":"{version}","metadata":{metadata},"items":["#)
            }
            Shape::Partial(_) => format!(
                r#"{{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1","metadata":{metadata},"items":["#
            ),
            Shape::Table => {
                let definitions = columns::definitions(reply.kind.columns);
                format!(
                    r#"{{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{metadata},"columnDefinitions":{definitions},"rows":["#
                )
            }
        };
        Ok(Self { reply, head: head.into_bytes() })
    }

    fn item(&self, entry: &Entry, out: &mut Vec<u8>) -> Result<(), Status> {
        match self.reply.accepted.shape {
            Shape::Partial(_) => {
                out.extend_from_slice(&entry.partial());
                Ok(())
            }
            Shape::Table => self.reply.write_row(entry, out),
            Shape::Object if self.reply.verbatim() => {
                entry.write_json(out);
                Ok(())
            }
            Shape::Object => {
                let value = to_version(self.reply.kind, entry.try_value()?, &self.reply.served)?;
                serde_json::to_writer(out, &value).map_err(Status::internal)
            }
        }
    }

    fn all(mut self, entries: Vec<Arc<Entry>>) -> Result<Vec<u8>, Status> {
        let mut out = std::mem::take(&mut self.head);
        for (index, entry) in entries.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            self.item(entry, &mut out)?;
        }
        out.extend_from_slice(b"]}\n");
        Ok(out)
    }
}

enum State {
    Head,
    First,
    Rest,
    Done,
}

/// The pieces of a large list.
struct Pieces {
    writer: Writer,
    entries: std::vec::IntoIter<Arc<Entry>>,
    gzip: Option<GzEncoder<Vec<u8>>>,
    state: State,
}

impl Iterator for Pieces {
    type Item = Result<Bytes, Status>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if matches!(self.state, State::Done) {
                return None;
            }
            let piece = match self.plain() {
                Ok(piece) => piece,
                Err(error) => {
                    // The head is on its way: all that is left is to break off.
                    tracing::error!(%error, kind = self.writer.reply.kind.kind, "list broken off");
                    self.state = State::Done;
                    return Some(Err(error));
                }
            };
            let bytes = self.compress(piece);
            if !bytes.is_empty() {
                return Some(Ok(bytes.into()));
            }
        }
    }
}

impl Pieces {
    fn plain(&mut self) -> Result<Vec<u8>, Status> {
        let mut out = Vec::with_capacity(PIECE + PIECE / 4);
        while out.len() < PIECE {
            match self.state {
                State::Head => {
                    out.append(&mut self.writer.head);
                    self.state = State::First;
                }
                State::First | State::Rest => {
                    let Some(entry) = self.entries.next() else {
                        out.extend_from_slice(b"]}\n");
                        self.state = State::Done;
                        break;
                    };
                    if matches!(self.state, State::Rest) {
                        out.push(b',');
                    }
                    self.writer.item(&entry, &mut out)?;
                    self.state = State::Rest;
                }
                State::Done => break,
            }
        }
        Ok(out)
    }

    /// Writing to memory does not fail.
    fn compress(&mut self, piece: Vec<u8>) -> Vec<u8> {
        let Some(gzip) = &mut self.gzip else { return piece };
        let _ = gzip.write_all(&piece);
        if matches!(self.state, State::Done) {
            return self.gzip.take().and_then(|gzip| gzip.finish().ok()).unwrap_or_default();
        }
        std::mem::take(gzip.get_mut())
    }
}

async fn protobuf_response(reply: Reply, listing: &Listing) -> Result<Response<Body>, Status> {
    let partial = reply.accepted.shape != Shape::Object;
    let definition = item_definition(reply.kind, &reply, partial)?;
    let mut items: Vec<Vec<u8>> = Vec::with_capacity(listing.entries.len());
    for (index, entry) in listing.entries.iter().enumerate() {
        if index % YIELD_EVERY == YIELD_EVERY - 1 {
            // Parsing thousands of objects takes its time; others wait for this thread.
            tokio::task::yield_now().await;
        }
        let value = if partial {
            serde_json::from_slice(&entry.partial()).map_err(Status::internal)?
        } else {
            to_version(reply.kind, entry.try_value()?, &reply.served)?
        };
        items.push(protobuf::encode_message(definition, &value).map_err(Status::internal)?);
    }
    let version = reply.served.api_version();
    let (version, kind) = if partial {
        ("meta.k8s.io/v1", "PartialObjectMetadataList")
    } else {
        (version.as_str(), reply.kind.list_kind)
    };
    let items = items.iter().map(Vec::as_slice);
    let bytes = protobuf::encode_list(version, kind, &metadata(listing), items).map_err(Status::internal)?;
    Ok(reply.bytes(StatusCode::OK, Encoding::Protobuf, bytes))
}

fn item_definition(kind: KindRef, reply: &Reply, partial: bool) -> Result<&'static schema::Def, Status> {
    let found = if partial {
        schema::of_object("meta.k8s.io/v1", "PartialObjectMetadata")
    } else {
        schema::def(reply.served.definition)
    };
    found.ok_or_else(|| Status::internal(format_args!("no schema of {}", kind.kind)))
}
