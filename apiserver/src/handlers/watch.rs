//! Watches over HTTP: frames of JSON or protobuf in a response that ends with its time, pulled only as fast as the client
//! reads; a client that does not read costs the storage nothing but its place (storage cuts off who falls too far behind).

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use api::columns::{self, IncludeObject, Now};
use api::kinds::KindRef;
use api::view::View;
use api::{Status, protobuf};
use base::Clock;
use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use futures::stream::{BoxStream, StreamExt};
use http::Response;
use http::header::{self, HeaderValue};
use rand::Rng;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::negotiate::{Encoding, Shape};
use super::query::{ListOptions, watch_from};
use super::respond::Reply;
use crate::registry::Registry;
use crate::request::Body;
use crate::storage::{Predicate, WatchItem, WatchQuery};

/// A watch without timeoutSeconds ends after a random time between this and twice as much, so that reconnects spread.
const MIN_TIMEOUT: u64 = 1800;
/// Frames that are ready at once are sent together, at most so many.
const BATCH: usize = 64;
/// See [`paced`].
const PACE: Duration = Duration::from_millis(1);

/// Answers a watch.
///
/// # Errors
/// What keeps it from starting; later errors are events.
pub async fn serve(
    registry: &Registry,
    reply: Reply,
    options: ListOptions,
    namespace: &str,
    name: &str,
) -> Result<Response<Body>, Status> {
    let some = |text: &str| Some(text.to_string()).filter(|text| !text.is_empty());
    let query = WatchQuery {
        namespace: some(namespace),
        name: some(name),
        from: watch_from(&options)?,
        initial_events: options.initial_events == Some(true) && options.bookmarks,
        bookmarks: options.bookmarks,
        predicate: Predicate { labels: options.labels, fields: options.fields },
    };
    // A version that is gone is told inside the stream, as upstream's watch cache does: clients look for it there.
    let items = match registry.watch(reply.kind, query).await {
        Ok(items) => items,
        Err(status) if status.is("Expired") => futures::stream::once(async move { Err(status) }).boxed(),
        Err(status) => return Err(status),
    };
    let seconds = options
        .timeout_seconds
        .filter(|seconds| *seconds > 0)
        .unwrap_or_else(|| rand::rng().random_range(MIN_TIMEOUT..2 * MIN_TIMEOUT));
    let frames = frames(Encoder { reply, first: true, clock: registry.clock() }, items);
    let bounded = frames.take_until(tokio::time::sleep(Duration::from_secs(seconds)));
    let mut response = Response::new(Body::from_stream(bounded.map(Ok::<_, std::convert::Infallible>)));
    let media_type = match reply.accepted.encoding {
        Encoding::Protobuf => "application/vnd.kubernetes.protobuf;stream=watch",
        Encoding::Json | Encoding::Yaml => "application/json",
    };
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    Ok(response)
}

/// Encoded events; the stream ends after an error event.
fn frames(mut encoder: Encoder, items: BoxStream<'static, Result<WatchItem, Status>>) -> BoxStream<'static, Bytes> {
    let items = items.scan(false, |ended, item| {
        let over = std::mem::replace(ended, item.is_err());
        futures::future::ready((!over).then_some(item))
    });
    paced(items.boxed())
        .map(move |items| {
            let mut frames = items.into_iter().map(|item| encoder.frame(item));
            match (frames.next(), frames.len()) {
                (Some(only), 0) => only,
                (first, _) => {
                    let mut all = BytesMut::new();
                    first.into_iter().chain(frames).for_each(|frame| all.extend_from_slice(&frame));
                    all.freeze()
                }
            }
        })
        .boxed()
}

/// What is ready at once goes out together. Who has just been told something is told more only after [`PACE`]: under a storm of
/// changes this saves both ends most of their system calls, while a change that comes alone is passed on at once. What is
/// behind (initial objects, history) is not held up.
fn paced<T: Send + 'static>(items: BoxStream<'static, T>) -> impl futures::Stream<Item = Vec<T>> + Send {
    let state = (items.fuse().peekable(), Instant::now());
    futures::stream::unfold(state, |(mut items, at)| async move {
        Pin::new(&mut items).peek().await?;
        if Instant::now() < at {
            tokio::time::sleep_until(at).await;
        }
        let mut batch = Vec::new();
        while batch.len() < BATCH
            && let Some(Some(item)) = items.next().now_or_never()
        {
            batch.push(item);
        }
        let pause = if batch.len() < BATCH { PACE } else { Duration::ZERO };
        Some((batch, (items, Instant::now() + pause)))
    })
}

struct Encoder {
    reply: Reply,
    /// The next Table is the first: the only one with column definitions.
    first: bool,
    /// A watch outlives the moment in which it was asked for: ages are those of the event.
    clock: Arc<dyn Clock>,
}

impl Encoder {
    fn frame(&mut self, item: Result<WatchItem, Status>) -> Bytes {
        let item = match item {
            Ok(item) => item,
            Err(status) => return self.error(&status),
        };
        if self.reply.verbatim() && self.reply.accepted.encoding == Encoding::Json {
            return item.json_frame(self.reply.kind);
        }
        let with_columns = std::mem::replace(&mut self.first, false) && self.reply.accepted.shape == Shape::Table;
        let reply = Reply { now: Now(self.clock.now()), ..self.reply };
        item.frame(key(&reply, with_columns), |item| {
            encode_item(&reply, item, with_columns).unwrap_or_else(|status| encode_error(&reply, &status))
        })
    }

    fn error(&self, status: &Status) -> Bytes {
        encode_error(&self.reply, status)
    }
}

/// What an encoding depends on besides the item, as a number: frames with the same key are shared between watchers.
fn key(reply: &Reply, with_columns: bool) -> u32 {
    let encoding = u32::from(reply.accepted.encoding == Encoding::Protobuf);
    let shape = match reply.accepted.shape {
        Shape::Object => 0,
        Shape::Partial(_) => 1,
        Shape::Table => 2,
    };
    let include = match reply.include {
        IncludeObject::None => 0,
        IncludeObject::Metadata => 1,
        IncludeObject::Object => 2,
    };
    let version = reply.kind.all_served().position(|served| served == reply.served).unwrap_or(0);
    let version = u32::try_from(version).unwrap_or(0);
    encoding | shape << 1 | include << 3 | u32::from(with_columns) << 5 | version << 6
}

fn encode_item(reply: &Reply, item: &WatchItem, with_columns: bool) -> Result<Bytes, Status> {
    let Some(change) = item.change() else { return encode_event(reply, item.type_name(), &bookmark(reply, item)) };
    let (shape, encoding) = (reply.accepted.shape, reply.accepted.encoding);
    if shape == Shape::Table {
        let table = reply.table(&change.json(), with_columns)?;
        let table = String::from_utf8_lossy(&table);
        return Ok(format!("{{\"type\":\"{}\",\"object\":{}}}\n", item.type_name(), table.trim_end()).into());
    }
    if reply.verbatim() && encoding == Encoding::Protobuf {
        let message = reply.message(&change.json(), &mut View::default())?;
        let object = protobuf::wrap(&reply.served.api_version(), reply.kind.kind, &message);
        return Ok(protobuf::frame(&protobuf::encode_watch_event(item.type_name(), &object)).into());
    }
    encode_event(reply, item.type_name(), &reply.shape(change.entry().try_value()?)?)
}

fn bookmark(reply: &Reply, item: &WatchItem) -> Value {
    let mut metadata = json!({"resourceVersion": item.revision().to_string(), "creationTimestamp": null});
    if matches!(item, WatchItem::Bookmark { initial_end: true, .. }) {
        metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
    }
    match reply.accepted.shape {
        Shape::Object => typed(reply.kind, &reply.served.api_version(), metadata),
        Shape::Partial(_) => {
            json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": metadata})
        }
        Shape::Table => json!({"apiVersion": "meta.k8s.io/v1", "kind": "Table", "metadata": metadata,
            "columnDefinitions": columns::definitions(reply.kind.columns), "rows": []}),
    }
}

fn typed(kind: KindRef, api_version: &str, metadata: Value) -> Value {
    json!({"apiVersion": api_version, "kind": kind.kind, "metadata": metadata})
}

fn encode_event(reply: &Reply, event: &str, object: &Value) -> Result<Bytes, Status> {
    if reply.accepted.encoding == Encoding::Protobuf {
        let message = protobuf::encode(object).map_err(Status::internal)?;
        return Ok(protobuf::frame(&protobuf::encode_watch_event(event, &message)).into());
    }
    Ok(format!("{{\"type\":\"{event}\",\"object\":{object}}}\n").into())
}

/// An `ERROR` event; one that cannot be encoded ends the stream without words.
fn encode_error(reply: &Reply, status: &Status) -> Bytes {
    let value = serde_json::to_value(status).unwrap_or_default();
    encode_event(reply, "ERROR", &value).unwrap_or_else(|error| {
        tracing::error!(%error, "watch error cannot be encoded");
        Bytes::new()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_stream::wrappers::UnboundedReceiverStream;

    #[tokio::test(start_paused = true)]
    async fn a_lone_event_is_not_held_up_and_a_storm_goes_out_together() {
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        let mut batches = Box::pin(paced(UnboundedReceiverStream::new(receiver).boxed()));
        let begun = Instant::now();
        sender.send(1).unwrap();
        assert_eq!((batches.next().await, begun.elapsed()), (Some(vec![1]), Duration::ZERO));
        sender.send(2).unwrap();
        assert!(batches.next().now_or_never().is_none());
        sender.send(3).unwrap();
        assert_eq!((batches.next().await, begun.elapsed()), (Some(vec![2, 3]), PACE));
        // After a while without events the next one is alone again.
        tokio::time::advance(PACE).await;
        let quiet = Instant::now();
        sender.send(4).unwrap();
        assert_eq!((batches.next().await, quiet.elapsed()), (Some(vec![4]), Duration::ZERO));
        drop(sender);
        assert_eq!(batches.next().await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_behind_is_not_held_up() {
        let begun = Instant::now();
        let batches: Vec<_> = paced(futures::stream::iter(0..BATCH * 3).boxed()).collect().await;
        assert_eq!((batches.len(), begun.elapsed()), (3, Duration::ZERO));
    }
}
