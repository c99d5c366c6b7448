//! Keeps a cache equal to the server: list, watch from there; after a break go on from the last version seen; when that
//! version is gone, list again. Never polls; waits between failed tries, longer each time.

use std::time::Duration;

use futures::StreamExt;

use super::{Applied, Cache};
use crate::error::Result;
use crate::object::Object;
use crate::rest::{Client, ListOptions};
use crate::watch::WatchEvent;

const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// A watch that ends sooner than this without a word counts as failed: the server is stopping, or refuses politely.
const SHORTEST_WATCH: Duration = Duration::from_secs(1);

/// Follows forever.
pub(super) async fn follow<K: Object>(client: Client, namespace: String, options: ListOptions, cache: Cache<K>) {
    let mut wait = FIRST_WAIT;
    let mut listed = false;
    loop {
        let before = cache.revision();
        let begun = tokio::time::Instant::now();
        let result = match listed {
            true => watch(&client, &namespace, &options, &cache).await,
            false => list(&client, &namespace, &options, &cache).await,
        };
        let progress = cache.revision() != before;
        match result {
            Ok(()) if !listed || progress || begun.elapsed() >= SHORTEST_WATCH => {
                listed = true;
                wait = FIRST_WAIT;
                continue;
            }
            Ok(()) => tracing::debug!(kind = K::KIND, "watch ended at once"),
            Err(error) if error.is_expired() => {
                listed = false;
                tracing::debug!(kind = K::KIND, "version gone, listing again");
            }
            Err(error) => tracing::debug!(kind = K::KIND, error = error.chain(), "watch interrupted"),
        }
        wait = if progress { FIRST_WAIT } else { (wait * 2).min(LONGEST_WAIT) };
        tokio::time::sleep(wait.mul_f64(0.5 + rand::random::<f64>() / 2.0)).await;
    }
}

async fn list<K: Object>(client: &Client, namespace: &str, options: &ListOptions, cache: &Cache<K>) -> Result<()> {
    let list = client.list::<K>(namespace, options).await?;
    let revision = list.revision();
    cache.replace(list.items, revision).await;
    Ok(())
}

/// Watches until the server ends the watch (`Ok`) or something breaks.
async fn watch<K: Object>(client: &Client, namespace: &str, options: &ListOptions, cache: &Cache<K>) -> Result<()> {
    let options = ListOptions { resource_version: cache.revision().to_string(), ..options.clone() };
    let events = client.watch::<K>(namespace, &options).await?;
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        cache
            .apply(match event? {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => Applied::Changed(object),
                WatchEvent::Deleted(object) => Applied::Deleted(object),
                WatchEvent::Bookmark(revision) => Applied::Bookmark(revision),
            })
            .await;
    }
    Ok(())
}
