//! What changes on the server, event by event, and bodies that come line by line.

use bytes::{Bytes, BytesMut};
use http::{Request, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;

use crate::error::{Result, fail};
use crate::locate::{self, Options, Target};
use crate::session::{JSON, Session, with_query};

/// Opens a watch.
pub async fn events(
    session: &Session,
    target: &Target,
    options: &Options,
    accept: &str,
    version: &str,
) -> Result<Lines> {
    let fields = match &target.name {
        Some(name) => format!("metadata.name={name}"),
        None => options.fields.clone(),
    };
    let path = with_query(
        &target.resource.collection(&target.namespace),
        &[
            ("labelSelector", &options.labels),
            ("fieldSelector", &fields),
            ("resourceVersion", version),
            ("watch", "true"),
        ],
    );
    let request = Request::builder().uri(&path).header(header::ACCEPT, accept).body(Bytes::new());
    let request = request.map_err(|error| fail!("invalid request {path}: {error}"))?;
    let answer = session.client()?.stream(request).await.map_err(|error| session.unreachable(error))?;
    Ok(Lines::new(answer.into_body()))
}

/// Follows one named object, with `None` while there is none, until `satisfied` says so.
pub async fn follow(
    session: &Session,
    target: &Target,
    mut satisfied: impl FnMut(Option<&Value>) -> Result<bool>,
) -> Result<()> {
    let fields = format!("metadata.name={}", target.name.as_deref().unwrap_or_default());
    let one = Options { fields, ..Options::default() };
    let collection = Target { name: None, ..target.clone() };
    loop {
        let list = locate::fetch(session, &collection, &one, JSON, &[]).await?.remove(0);
        if satisfied(list["items"].as_array().and_then(|items| items.first()))? {
            return Ok(());
        }
        let version = api::object::resource_version(&list).unwrap_or_default();
        let mut lines = events(session, target, &Options::default(), JSON, version).await?;
        while let Some(line) = lines.next().await? {
            let event = event(&line)?;
            let now = match event["type"].as_str() {
                Some("ADDED" | "MODIFIED") => Some(&event["object"]),
                Some("DELETED") => None,
                Some("ERROR") => break,
                _ => continue,
            };
            if satisfied(now)? {
                return Ok(());
            }
        }
    }
}

/// Reads one event.
pub fn event(line: &[u8]) -> Result<Value> {
    serde_json::from_slice(line).map_err(|error| fail!("decoding a watch event: {error}"))
}

/// A body, line by line.
pub struct Lines {
    body: Incoming,
    buffer: BytesMut,
}

/// Most that a line may hold.
const MOST_LINE: usize = 64 << 20;

impl Lines {
    /// Of this body.
    pub fn new(body: Incoming) -> Self {
        Self { body, buffer: BytesMut::new() }
    }

    /// The next line; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        let mut searched = 0;
        loop {
            if let Some(end) = self.buffer[searched..].iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(searched + end + 1);
                return Ok(Some(line.freeze()));
            }
            searched = self.buffer.len();
            if searched > MOST_LINE {
                return Err(fail!("a line is too long"));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.buffer.extend_from_slice(data);
                    }
                }
                Some(Err(error)) => return Err(fail!("{error}")),
                None if self.buffer.is_empty() => return Ok(None),
                None => return Ok(Some(self.buffer.split().freeze())),
            }
        }
    }
}
