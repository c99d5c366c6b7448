//! Events end by themselves, `--event-ttl` after they were last written (upstream gives each write a lease of that length).
//!
//! One watch of the events keeps an index by time; nothing is listed again, and between two ends the task sleeps. What it
//! finds at its start ends by its own times, so that a restart lengthens no life: an event says when it last happened, and
//! that is when it was last written. Deletion is bound to the revision that was seen: an event written meanwhile stays.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use api::object;
use base::Clock;
use futures::StreamExt;
use futures::stream;
use jiff::Timestamp;
use serde_json::Value;
use store::Revision;

use crate::storage::{Change, Freshness, Predicate, Storage, WatchFrom, WatchItem, WatchQuery};

/// Deletions under way at once: they share the store's writes to disk.
const AT_ONCE: usize = 64;
/// After a watch that broke.
const AGAIN: Duration = Duration::from_secs(1);

/// Namespace and name.
type Key = (Box<str>, Box<str>);

/// When each event ends.
#[derive(Debug, Default)]
struct Ends {
    by_time: BTreeSet<(Timestamp, Key)>,
    by_key: HashMap<Key, (Timestamp, Revision)>,
}

impl Ends {
    fn set(&mut self, key: Key, revision: Revision, end: Timestamp) {
        self.forget(&key);
        self.by_time.insert((end, key.clone()));
        self.by_key.insert(key, (end, revision));
    }

    fn forget(&mut self, key: &Key) {
        if let Some((end, _)) = self.by_key.remove(key) {
            self.by_time.remove(&(end, key.clone()));
        }
    }

    /// The first end.
    fn next(&self) -> Option<Timestamp> {
        self.by_time.first().map(|(end, _)| *end)
    }

    /// Takes out what has ended.
    fn ended(&mut self, now: Timestamp) -> Vec<(Key, Revision)> {
        let mut all = Vec::new();
        while let Some((end, key)) = self.by_time.first().cloned().filter(|(end, _)| *end <= now) {
            self.by_time.remove(&(end, key.clone()));
            if let Some((_, revision)) = self.by_key.remove(&key) {
                all.push((key, revision));
            }
        }
        all
    }
}

/// When an event found at the start was last written, by its own word; never later than now.
fn written(event: &Value, now: Timestamp) -> Timestamp {
    let times =
        ["/metadata/creationTimestamp", "/firstTimestamp", "/lastTimestamp", "/eventTime", "/series/lastObservedTime"];
    let said = times.iter().filter_map(|path| object::text(event, path).parse::<Timestamp>().ok());
    said.max().unwrap_or(now).min(now)
}

/// Ends events for as long as it runs; zero: never.
pub async fn run(storage: Arc<Storage>, clock: Arc<dyn Clock>, ttl: Duration) {
    if ttl.is_zero() {
        return;
    }
    loop {
        if let Err(status) = follow(&storage, &*clock, ttl).await {
            tracing::warn!(message = status.message, "events cannot be followed");
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn follow(storage: &Arc<Storage>, clock: &dyn Clock, ttl: Duration) -> Result<(), api::Status> {
    let Some((kind, _)) = api::kinds::find("", "v1", "events") else { return Ok(()) };
    let query = WatchQuery {
        namespace: None,
        name: None,
        from: WatchFrom::State(Freshness::Latest),
        initial_events: true,
        bookmarks: false,
        predicate: Predicate::default(),
    };
    let mut items = storage.watch(kind, query).await?;
    let (mut ends, mut starting) = (Ends::default(), true);
    loop {
        let wait = ends.next().map(|end| Duration::try_from(end.duration_since(clock.now())).unwrap_or_default());
        tokio::select! {
            item = items.next() => match item.transpose()? {
                Some(WatchItem::Added(change) | WatchItem::Modified(change)) => {
                    let now = clock.now();
                    let last = if starting { written(&change.value(), now) } else { now };
                    ends.set(key(&change), change.revision(), last.saturating_add(ttl).unwrap_or(Timestamp::MAX));
                }
                Some(WatchItem::Deleted(change)) => ends.forget(&key(&change)),
                Some(WatchItem::Bookmark { initial_end, .. }) => starting &= !initial_end,
                None => return Ok(()),
            },
            () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => {
                let ended = ends.ended(clock.now());
                let delete = |((namespace, name), revision): (Key, Revision)| async move {
                    if let Err(status) = storage.delete(kind, &namespace, &name, revision).await {
                        tracing::warn!(%namespace, %name, message = status.message, "an event that has ended stays");
                    }
                };
                stream::iter(ended).map(delete).buffer_unordered(AT_ONCE).collect::<()>().await;
            }
        }
    }
}

fn key(change: &Change) -> Key {
    (change.namespace().into(), change.name().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, Server};
    use client::{Client, DeleteOptions, ListOptions, Patch};
    use k8s_openapi::api::core::v1::Event;
    use serde_json::json;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn ends_come_in_their_order_and_once() {
        let key = |name: &str| -> Key { ("ns".into(), name.into()) };
        let mut ends = Ends::default();
        ends.set(key("b"), 2, at(20));
        ends.set(key("a"), 1, at(30));
        ends.set(key("c"), 3, at(10));
        ends.set(key("c"), 4, at(40));
        ends.set(key("d"), 5, at(5));
        ends.forget(&key("d"));
        ends.forget(&key("none"));
        assert_eq!(ends.next(), Some(at(20)));
        assert_eq!(ends.ended(at(19)), []);
        assert_eq!(ends.ended(at(30)), [(key("b"), 2), (key("a"), 1)]);
        assert_eq!((ends.ended(at(30)), ends.next()), (vec![], Some(at(40))));
        assert_eq!(ends.ended(at(99)), [(key("c"), 4)]);
        assert!(ends.by_time.is_empty() && ends.by_key.is_empty());
    }

    #[test]
    fn the_latest_time_counts_but_not_the_future() {
        let now = at(1_800_000_000);
        let table = [
            (json!({}), now),
            (
                json!({"metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"}}),
                "2026-01-01T00:00:00Z".parse().unwrap(),
            ),
            (
                json!({"metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"}, "lastTimestamp": "2026-01-01T01:00:00Z"}),
                "2026-01-01T01:00:00Z".parse().unwrap(),
            ),
            (
                json!({"eventTime": "2026-01-01T00:00:00.5Z", "series": {"lastObservedTime": "2026-01-02T00:00:00.000001Z"}}),
                "2026-01-02T00:00:00.000001Z".parse().unwrap(),
            ),
            (json!({"lastTimestamp": "2999-01-01T00:00:00Z"}), now),
            (json!({"lastTimestamp": null, "eventTime": "nonsense"}), now),
        ];
        for (event, expected) in table {
            assert_eq!(written(&event, now), expected, "{event}");
        }
    }

    async fn create(client: &Client, name: &str, last: Option<Timestamp>) {
        let last = last.map(crate::registry::timestamp);
        let event =
            json!({"metadata": {"name": name}, "involvedObject": {"namespace": "default"}, "lastTimestamp": last});
        let event: Event = serde_json::from_value(event).unwrap();
        client.create("default", &event).await.unwrap();
    }

    async fn left(client: &Client) -> Vec<String> {
        let events = client.list::<Event>("default", &ListOptions::default()).await.unwrap().items;
        events.into_iter().filter_map(|event| event.metadata.name).collect()
    }

    async fn become_left(client: &Client, expected: &[&str]) {
        testing::eventually(&format!("{expected:?}"), async || (left(client).await == expected).then_some(())).await;
    }

    #[tokio::test(start_paused = true)]
    async fn events_end_after_their_last_write_and_nothing_else_does() {
        let server = Server::start().await.unwrap();
        let client = server.client().unwrap();
        let (storage, clock) = (server.registry.storage().clone(), server.clock.clone());
        tokio::spawn(run(storage, clock, Duration::from_secs(60)));
        create(&client, "early", None).await;
        create(&client, "kept-up", None).await;
        create(&client, "removed", None).await;
        testing::pass(Duration::from_secs(40)).await;
        let again = Patch::Merge(json!({"count": 2}));
        client.patch::<Event>("default", "kept-up", &again).await.unwrap();
        client.delete::<Event>("default", "removed", &DeleteOptions::default()).await.unwrap();
        create(&client, "late", None).await;
        testing::pass(Duration::from_secs(15)).await;
        assert_eq!(left(&client).await, ["early", "kept-up", "late"]);
        testing::pass(Duration::from_secs(10)).await;
        become_left(&client, &["kept-up", "late"]).await;
        testing::pass(Duration::from_secs(40)).await;
        become_left(&client, &[]).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_restart_lengthens_no_life() {
        let server = Server::start().await.unwrap();
        let client = server.client().unwrap();
        let (storage, clock) = (server.registry.storage().clone(), server.clock.clone());
        create(&client, "old", None).await;
        testing::pass(Duration::from_secs(50)).await;
        create(&client, "young", None).await;
        let happened = clock.now();
        testing::pass(Duration::from_secs(5)).await;
        client.patch::<Event>("default", "old", &Patch::Merge(json!({"count": 2}))).await.unwrap();
        create(&client, "just-now", Some(happened)).await;
        // The task that kept count has died with its process; this one starts anew.
        tokio::spawn(run(storage, clock, Duration::from_secs(60)));
        testing::pass(Duration::from_secs(10)).await;
        become_left(&client, &["just-now", "young"]).await;
        testing::pass(Duration::from_secs(60)).await;
        become_left(&client, &[]).await;
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_time_to_live_events_stay() {
        let server = Server::start().await.unwrap();
        // It ends at once: there is nothing to do.
        run(server.registry.storage().clone(), server.clock.clone(), Duration::ZERO).await;
    }
}
