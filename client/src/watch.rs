//! The watch protocol: one JSON object per line.

use bytes::{Buf, Bytes, BytesMut};
use futures::Stream;
use http::{Method, Request, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use api::Status;

use crate::error::{Error, Result};
use crate::object::{Object, collection_path};
use crate::rest::{Client, ListOptions};

/// Most that one event may hold; the server's objects are smaller than 3 MiB.
const MOST_EVENT_BYTES: usize = 16 << 20;

/// What a watch says.
#[derive(Debug, Clone)]
pub enum WatchEvent<K> {
    /// The object appeared (or began to match the selector).
    Added(K),
    /// It changed.
    Modified(K),
    /// It went (or no longer matches): its last state.
    Deleted(K),
    /// Nothing happened up to this revision.
    Bookmark(u64),
}

#[derive(Deserialize)]
struct Frame<'a> {
    r#type: &'a str,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Deserialize)]
struct OnlyMeta {
    metadata: OnlyVersion,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OnlyVersion {
    resource_version: String,
}

impl Client {
    /// Watches a collection from `options.resource_version` on. The stream ends when the server closes it.
    ///
    /// # Errors
    /// [`Error::is_expired`] when that version is gone, here or as an item of the stream.
    pub async fn watch<K: Object>(
        &self,
        namespace: &str,
        options: &ListOptions,
    ) -> Result<impl Stream<Item = Result<WatchEvent<K>>> + Send + use<K>> {
        let query = options.query();
        let joint = if query.is_empty() { '?' } else { '&' };
        let path = format!("{}{query}{joint}watch=true&allowWatchBookmarks=true", collection_path::<K>(namespace));
        self.watch_path(&path, "application/json").await
    }

    /// Watches what `path` (with its query) streams, in the form that `accept` asks for: metadata only, for example.
    ///
    /// # Errors
    /// As [`Client::watch`].
    pub async fn watch_path<T: DeserializeOwned + Send + 'static>(
        &self,
        path: &str,
        accept: &str,
    ) -> Result<impl Stream<Item = Result<WatchEvent<T>>> + Send + use<T>> {
        let request = Request::builder()
            .method(Method::GET)
            .uri(path)
            .header(header::ACCEPT, accept)
            .body(Bytes::new())
            .map_err(|error| Error::Config(format!("invalid request {path}: {error}")))?;
        let body = self.stream(request).await?.into_body();
        Ok(futures::stream::try_unfold(Lines::new(body), |mut lines| async move {
            match lines.next().await? {
                Some(line) => Ok(Some((decode::<T>(&line)?, lines))),
                None => Ok(None),
            }
        }))
    }
}

/// Reads one frame.
fn decode<K: DeserializeOwned>(line: &[u8]) -> Result<WatchEvent<K>> {
    let failed = |error| Error::decode("watch event", error);
    let frame: Frame<'_> = serde_json::from_slice(line).map_err(failed)?;
    let object = frame.object.get();
    match frame.r#type {
        "ADDED" => serde_json::from_str(object).map(WatchEvent::Added).map_err(failed),
        "MODIFIED" => serde_json::from_str(object).map(WatchEvent::Modified).map_err(failed),
        "DELETED" => serde_json::from_str(object).map(WatchEvent::Deleted).map_err(failed),
        "BOOKMARK" => {
            let meta: OnlyMeta = serde_json::from_str(object).map_err(failed)?;
            Ok(WatchEvent::Bookmark(meta.metadata.resource_version.parse().unwrap_or(0)))
        }
        "ERROR" => Err(serde_json::from_str::<Status>(object).map_err(failed)?.into()),
        other => Err(Error::Config(format!("unknown watch event type \"{other}\""))),
    }
}

/// Cuts a body into lines.
struct Lines {
    body: Incoming,
    buffer: BytesMut,
    searched: usize,
}

impl Lines {
    fn new(body: Incoming) -> Self {
        Self { body, buffer: BytesMut::new(), searched: 0 }
    }

    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            if let Some(line) = take_line(&mut self.buffer, &mut self.searched) {
                return Ok(Some(line));
            }
            if self.buffer.len() > MOST_EVENT_BYTES {
                return Err(Error::Config("watch event too large".into()));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                Some(Err(error)) => return Err(Error::transport("reading watch", error)),
                None => return Ok(None),
            }
        }
    }
}

/// The next non-empty line without its end; remembers in `searched` how far there is none.
fn take_line(buffer: &mut BytesMut, searched: &mut usize) -> Option<Bytes> {
    while let Some(offset) = buffer[*searched..].iter().position(|byte| *byte == b'\n') {
        let line = buffer.split_to(*searched + offset);
        buffer.advance(1);
        *searched = 0;
        if !line.is_empty() {
            return Some(line.freeze());
        }
    }
    *searched = buffer.len();
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;

    #[test]
    fn lines_are_cut_wherever_the_chunks_end() {
        let mut buffer = BytesMut::new();
        let mut searched = 0;
        let mut lines = Vec::new();
        for chunk in ["{\"a\"", ":1}\n\n{\"b", "\":2}\n{"] {
            buffer.extend_from_slice(chunk.as_bytes());
            while let Some(line) = take_line(&mut buffer, &mut searched) {
                lines.push(String::from_utf8(line.to_vec()).unwrap());
            }
        }
        assert_eq!(lines, ["{\"a\":1}", "{\"b\":2}"]);
        assert_eq!(&buffer[..], b"{");
    }

    #[test]
    fn frames_become_events_and_errors_become_statuses() {
        let added = br#"{"type":"ADDED","object":{"metadata":{"name":"a","resourceVersion":"5"}}}"#;
        assert!(matches!(decode::<ConfigMap>(added).unwrap(), WatchEvent::Added(map) if map.revision() == 5));
        let bookmark = br#"{"type":"BOOKMARK","object":{"kind":"ConfigMap","metadata":{"resourceVersion":"9"}}}"#;
        assert!(matches!(decode::<ConfigMap>(bookmark).unwrap(), WatchEvent::Bookmark(9)));
        let gone = br#"{"type":"ERROR","object":{"kind":"Status","status":"Failure","reason":"Expired","code":410}}"#;
        assert!(decode::<ConfigMap>(gone).unwrap_err().is_expired());
        assert!(decode::<ConfigMap>(b"{}").is_err());
    }
}
