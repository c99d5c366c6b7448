//! Pods of this node from the API: each change goes to the manager; mirrors of static pods go to those.

use std::sync::Arc;

use client::{Cache, Change};
use k8s_openapi::api::core::v1::Pod;
use tokio::sync::watch;

use crate::pod;
use crate::pods::manager::Manager;

/// Most changes that wait to be taken.
const BACKLOG: usize = 256;

/// Follows `cache`, which holds the pods of this node, forever; `ready` becomes true once all of them are known.
pub async fn follow(cache: Cache<Pod>, manager: Manager, ready: watch::Sender<bool>) {
    cache.synced().await;
    // Subscribed before listing: nothing is missed, and what is seen twice changes nothing.
    let mut changes = cache.subscribe(BACKLOG);
    cache.list().into_iter().for_each(|pod| present(&manager, pod));
    ready.send_replace(true);
    while let Some(change) = changes.recv().await {
        match change {
            Change::Added(new) => present(&manager, new),
            Change::Updated { old, new } => {
                if pod::uid(&old) != pod::uid(&new) {
                    absent(&manager, &old);
                }
                present(&manager, new);
            }
            Change::Deleted(old) => absent(&manager, &old),
        }
    }
}

fn present(manager: &Manager, pod: Arc<Pod>) {
    match pod::annotation(&pod, pod::MIRROR).map(ToString::to_string) {
        Some(hash) => manager.mirror(&hash, Some(pod)),
        None => manager.update(pod),
    }
}

fn absent(manager: &Manager, pod: &Pod) {
    match pod::annotation(pod, pod::MIRROR) {
        Some(hash) => manager.mirror(hash, None),
        None => manager.gone(pod::uid(pod)),
    }
}
