//! Recording events: what people read in `kubectl describe`. Never blocks the caller; equal events are counted in one
//! object; a chatty object is capped (client-go, tools/record: 25 at once, then one every five minutes).

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::Instant;

use base::Context;

use crate::error::Error;
use crate::object::Object;
use crate::rest::{Client, Patch};

/// Most events that wait to be sent; more are dropped.
const BACKLOG: usize = 1000;
/// Most (object, reason, message) triples that are remembered for counting.
const REMEMBERED: usize = 4096;
const BURST: f64 = 25.0;
const REFILL: Duration = Duration::from_secs(300);

/// How worried to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Type {
    /// Business as usual.
    Normal,
    /// Somebody should look.
    Warning,
}

impl Type {
    fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Record {
    kind: Type,
    reason: String,
    message: String,
    object: Subject,
}

/// The parts of an ObjectReference that tell objects apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Subject {
    api_version: Option<String>,
    kind: Option<String>,
    namespace: Option<String>,
    name: Option<String>,
    uid: Option<String>,
    field_path: Option<String>,
    resource_version: Option<String>,
}

/// Sends events in the background. Clones share the sender.
#[derive(Clone)]
pub struct Recorder {
    sender: mpsc::Sender<Record>,
}

impl Recorder {
    /// A recorder for `component` (e.g. `kubelet`) on `host` (a node, or empty).
    pub fn new(context: &Context, client: Client, component: &str, host: &str) -> Self {
        let (sender, receiver) = mpsc::channel(BACKLOG);
        let source = EventSource { component: Some(component.into()), host: none_if_empty(host) };
        context.spawn("events", send_all(client, source, receiver));
        Self { sender }
    }

    /// A recorder that drops everything, for tests.
    pub fn discard() -> Self {
        Self { sender: mpsc::channel(1).0 }
    }

    /// Records an event about the object that `object` refers to.
    pub fn event(&self, object: &ObjectReference, kind: Type, reason: &str, message: impl Into<String>) {
        let object = Subject {
            api_version: object.api_version.clone(),
            kind: object.kind.clone(),
            namespace: object.namespace.clone(),
            name: object.name.clone(),
            uid: object.uid.clone(),
            field_path: object.field_path.clone(),
            resource_version: object.resource_version.clone(),
        };
        let record = Record { kind, reason: reason.into(), message: message.into(), object };
        if self.sender.try_send(record).is_err() {
            tracing::debug!(reason, "event dropped");
        }
    }

    /// Records an event about `object`.
    pub fn about<K: Object>(&self, object: &K, kind: Type, reason: &str, message: impl Into<String>) {
        self.event(&reference(object), kind, reason, message);
    }
}

/// A reference to an object.
pub fn reference<K: Object>(object: &K) -> ObjectReference {
    let meta = object.metadata();
    ObjectReference {
        api_version: Some(K::API_VERSION.into()),
        kind: Some(K::KIND.into()),
        namespace: meta.namespace.clone(),
        name: meta.name.clone(),
        uid: meta.uid.clone(),
        resource_version: meta.resource_version.clone(),
        field_path: None,
    }
}

fn none_if_empty(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_string())
}

/// What was sent before: for counting and capping.
#[derive(Default)]
struct Memory {
    /// Record without the object's resource version → name of the event, how often.
    sent: HashMap<Record, (String, i32)>,
    /// UID → tokens left, when counted.
    buckets: HashMap<Option<String>, (f64, Instant)>,
}

impl Memory {
    /// Whether an object may have one more event now.
    fn allows(&mut self, uid: &Option<String>, now: Instant) -> bool {
        if self.buckets.len() >= REMEMBERED {
            self.buckets.clear();
        }
        let (tokens, counted) = self.buckets.entry(uid.clone()).or_insert((BURST, now));
        let refilled = now.duration_since(*counted).as_secs_f64() / REFILL.as_secs_f64();
        *tokens = (*tokens + refilled).min(BURST);
        *counted = now;
        if *tokens < 1.0 {
            return false;
        }
        *tokens -= 1.0;
        true
    }
}

async fn send_all(client: Client, source: EventSource, mut records: mpsc::Receiver<Record>) {
    let mut memory = Memory::default();
    while let Some(record) = records.recv().await {
        if !memory.allows(&record.object.uid, Instant::now()) {
            continue;
        }
        if let Err(error) = send(&client, &source, &record, &mut memory).await {
            tracing::debug!(reason = record.reason, error = error.chain(), "event not recorded");
        }
    }
}

async fn send(client: &Client, source: &EventSource, record: &Record, memory: &mut Memory) -> Result<(), Error> {
    let mut identity = record.clone();
    identity.object.resource_version = None;
    let namespace = record.object.namespace.clone().unwrap_or_else(|| "default".into());
    if let Some((name, count)) = memory.sent.get_mut(&identity) {
        let patch = json!({"count": *count + 1, "lastTimestamp": Time(Timestamp::now())});
        match client.patch::<Event>(&namespace, name, &Patch::Merge(patch)).await {
            Ok(_) => {
                *count += 1;
                return Ok(());
            }
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    let event = build(source, record, &namespace);
    let created = client.create(&namespace, &event).await?;
    if memory.sent.len() >= REMEMBERED {
        memory.sent.clear();
    }
    memory.sent.insert(identity, (created.metadata.name.unwrap_or_default(), 1));
    Ok(())
}

fn build(source: &EventSource, record: &Record, namespace: &str) -> Event {
    let now = Timestamp::now();
    let object = &record.object;
    let name = format!("{}.{:x}", object.name.as_deref().unwrap_or("unknown"), now.as_nanosecond());
    Event {
        metadata: ObjectMeta { name: Some(name), namespace: Some(namespace.into()), ..ObjectMeta::default() },
        involved_object: ObjectReference {
            api_version: object.api_version.clone(),
            kind: object.kind.clone(),
            namespace: object.namespace.clone(),
            name: object.name.clone(),
            uid: object.uid.clone(),
            field_path: object.field_path.clone(),
            resource_version: object.resource_version.clone(),
        },
        type_: Some(record.kind.as_str().into()),
        reason: Some(record.reason.clone()),
        message: Some(truncated(&record.message, 1024)),
        source: Some(source.clone()),
        reporting_component: source.component.clone(),
        reporting_instance: source.host.clone(),
        first_timestamp: Some(Time(now)),
        last_timestamp: Some(Time(now)),
        count: Some(1),
        ..Event::default()
    }
}

fn truncated(text: &str, most: usize) -> String {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_chatty_object_is_capped_and_recovers() {
        let mut memory = Memory::default();
        let uid = Some("u".to_string());
        let allowed = (0..100).filter(|_| memory.allows(&uid, Instant::now())).count();
        assert_eq!(allowed, 25);
        assert!(memory.allows(&Some("other".into()), Instant::now()));
        tokio::time::advance(REFILL + Duration::from_secs(1)).await;
        assert!(memory.allows(&uid, Instant::now()));
        assert!(!memory.allows(&uid, Instant::now()));
    }

    #[test]
    fn messages_are_cut_between_characters() {
        assert_eq!(truncated("aé", 2), "a");
        assert_eq!(truncated("aé", 3), "aé");
    }
}
