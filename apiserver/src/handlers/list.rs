//! Lists: written from the bytes of the entries, in pieces where they are large, so that the memory of a list of any
//! size is its entries (shared with the cache) and one piece. Tables and protobuf, too: each object is read in place, not decoded.
//!
//! A protobuf list begins with its length, so messages are made before anything is sent. The entries keep them while there is room, and
//! their lengths in any case.

use std::io::Write;
use std::sync::Arc;

use api::view::View;
use api::{Status, protobuf, schema};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::stream;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::negotiate::{Encoding, Shape};
use super::respond::{Reply, encode, mark_gzip, not_acceptable};
use crate::registry::patch::to_version;
use crate::request::Body;
use crate::storage::{Entry, Listing, token};

/// Lists up to this size go out in one piece, with their length.
const WHOLE: usize = 256 * 1024;
/// Objects that are measured without letting others run.
const YIELD_EVERY: usize = 64;
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
    let mut writer = Writer::new(reply)?;
    let encoding = reply.accepted.encoding;
    if encoding == Encoding::Yaml || reply.accepted.pretty {
        let json = writer.whole(&listing)?;
        let value: Value = serde_json::from_slice(&json).map_err(Status::internal)?;
        return Ok(reply.bytes(StatusCode::OK, encoding, encode(encoding, reply.accepted.pretty, &value)?));
    }
    if size <= WHOLE {
        return Ok(reply.bytes(StatusCode::OK, encoding, writer.whole(&listing)?));
    }
    let items = writer.measure(&listing).await?;
    let (head, tail) = writer.frame(&listing, items)?;
    let gzip = reply.gzip.then(|| GzEncoder::new(Vec::new(), Compression::fast()));
    let compress = gzip.is_some();
    let pieces = Pieces { writer, head, entries: listing.entries.into_iter(), tail, gzip, ended: false };
    let mut response = Response::new(Body::from_stream(stream::iter(pieces)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(encoding.media_type()));
    if compress {
        mark_gzip(headers);
    }
    Ok(response)
}

/// Writes the items of a list, and what is around them.
struct Writer {
    reply: Reply,
    definition: &'static schema::Def,
    /// Nothing has been written yet.
    first: bool,
    // Scratch space.
    view: View,
    json: Vec<u8>,
    message: Vec<u8>,
}

impl Writer {
    fn new(reply: Reply) -> Result<Self, Status> {
        let definition = match reply.accepted.shape {
            Shape::Partial(_) => schema::of_object("meta.k8s.io/v1", "PartialObjectMetadata"),
            Shape::Object | Shape::Table => schema::def(reply.served.definition),
        };
        let definition =
            definition.ok_or_else(|| Status::internal(format_args!("no schema of {}", reply.kind.kind)))?;
        Ok(Self { reply, definition, first: true, view: View::default(), json: Vec::new(), message: Vec::new() })
    }

    fn is_protobuf(&self) -> bool {
        self.reply.accepted.encoding == Encoding::Protobuf
    }

    /// All of it; for what is small.
    fn whole(&mut self, listing: &Listing) -> Result<Vec<u8>, Status> {
        let mut items = Vec::new();
        for entry in &listing.entries {
            self.item(entry, &mut items)?;
        }
        let (head, tail) = self.frame(listing, items.len())?;
        Ok([head, items, tail].concat())
    }

    /// What comes before and after the items, which have so many bytes together (JSON need not know).
    fn frame(&self, listing: &Listing, items: usize) -> Result<(Vec<u8>, Vec<u8>), Status> {
        let (metadata, version) = (metadata(listing), self.reply.served.api_version());
        let (kind, version) = match self.reply.accepted.shape {
            Shape::Partial(_) => ("PartialObjectMetadataList", "meta.k8s.io/v1"),
            Shape::Object | Shape::Table => (self.reply.kind.list_kind, version.as_str()),
        };
        if self.is_protobuf() {
            return protobuf::list_frame(version, kind, &metadata, items).map_err(Status::internal);
        }
        let head = match self.reply.accepted.shape {
            Shape::Table => self.reply.table_head(&metadata, true),
            Shape::Partial(_) | Shape::Object => {
                format!(r#"{{"kind":"{kind}","apiVersion":"{version}","metadata":{metadata},"items":["#).into_bytes()
            }
        };
        Ok((head, b"]}\n".to_vec()))
    }

    /// How many bytes the items of a protobuf list have together; 0 for JSON.
    async fn measure(&mut self, listing: &Listing) -> Result<usize, Status> {
        if !self.is_protobuf() {
            return Ok(0);
        }
        let (mut sum, mut made) = (0, 0);
        for entry in &listing.entries {
            let known = entry.message_len().filter(|_| self.reply.verbatim());
            let length = match known {
                Some(length) => length,
                None => {
                    made += 1;
                    if made % YIELD_EVERY == 0 {
                        // Thousands of objects take their time; others wait for this thread.
                        tokio::task::yield_now().await;
                    }
                    self.encode(entry)?
                }
            };
            sum += protobuf::item_len(length);
        }
        Ok(sum)
    }

    /// Makes the protobuf message of an entry; how long it is.
    fn encode(&mut self, entry: &Entry) -> Result<usize, Status> {
        self.shaped(entry)?;
        self.message.clear();
        protobuf::append_message(self.definition, &self.json, &mut self.view, &mut self.message)
            .map_err(Status::internal)?;
        if self.reply.verbatim() {
            entry.remember_message(&self.message);
        }
        Ok(self.message.len())
    }

    /// Makes the JSON of an entry in the shape and version asked for; of a Table, of its stored object.
    fn shaped(&mut self, entry: &Entry) -> Result<(), Status> {
        self.json.clear();
        match self.reply.accepted.shape {
            Shape::Partial(_) => self.json.extend_from_slice(&entry.partial()),
            Shape::Object if !self.reply.verbatim() => {
                let value = to_version(self.reply.kind, entry.try_value()?, &self.reply.served)?;
                serde_json::to_writer(&mut self.json, &value).map_err(Status::internal)?;
            }
            Shape::Object | Shape::Table => entry.write_json(&mut self.json),
        }
        Ok(())
    }

    fn item(&mut self, entry: &Entry, out: &mut Vec<u8>) -> Result<(), Status> {
        if self.is_protobuf() {
            if self.reply.verbatim()
                && let Some(message) = entry.message()
            {
                protobuf::append_item(message, out);
                return Ok(());
            }
            self.encode(entry)?;
            protobuf::append_item(&self.message, out);
            return Ok(());
        }
        if !std::mem::take(&mut self.first) {
            out.push(b',');
        }
        if self.reply.verbatim() {
            entry.write_json(out);
            return Ok(());
        }
        self.shaped(entry)?;
        match self.reply.accepted.shape {
            Shape::Table => self.reply.write_row(&self.json, &mut self.view, out),
            Shape::Object | Shape::Partial(_) => {
                out.extend_from_slice(&self.json);
                Ok(())
            }
        }
    }
}

/// The pieces of a large list.
struct Pieces {
    writer: Writer,
    head: Vec<u8>,
    entries: std::vec::IntoIter<Arc<Entry>>,
    tail: Vec<u8>,
    gzip: Option<GzEncoder<Vec<u8>>>,
    ended: bool,
}

impl Iterator for Pieces {
    type Item = Result<Bytes, Status>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            let piece = match self.plain() {
                Ok(piece) => piece,
                Err(error) => {
                    // The head is on its way: all that is left is to break off.
                    tracing::error!(%error, kind = self.writer.reply.kind.kind, "list broken off");
                    self.ended = true;
                    return Some(Err(error));
                }
            };
            let bytes = self.compress(piece);
            if !bytes.is_empty() {
                return Some(Ok(bytes.into()));
            }
        }
        None
    }
}

impl Pieces {
    fn plain(&mut self) -> Result<Vec<u8>, Status> {
        let mut out = Vec::with_capacity(PIECE + PIECE / 4);
        out.append(&mut self.head);
        while out.len() < PIECE {
            let Some(entry) = self.entries.next() else {
                out.append(&mut self.tail);
                self.ended = true;
                break;
            };
            self.writer.item(&entry, &mut out)?;
        }
        Ok(out)
    }

    /// Writing to memory does not fail.
    fn compress(&mut self, piece: Vec<u8>) -> Vec<u8> {
        let Some(gzip) = &mut self.gzip else { return piece };
        let _ = gzip.write_all(&piece);
        if self.ended {
            return self.gzip.take().and_then(|gzip| gzip.finish().ok()).unwrap_or_default();
        }
        std::mem::take(gzip.get_mut())
    }
}
