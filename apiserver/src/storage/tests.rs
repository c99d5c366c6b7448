//! Tests of the storage as a whole, on the in-memory store.

mod broken;
mod flow;
mod lists;
mod memory;
mod storm;
mod watches;

use std::sync::Arc;
use std::time::Duration;

use api::kinds::KindRef;
use api::selector::{FieldSelector, LabelSelector};
use base::Context;
use futures::StreamExt;
use futures::stream::BoxStream;
use serde_json::{Value, json};
use store::{Kv, Revision, Store};

use super::*;

/// A storage over a new store; stops when it goes.
pub(super) struct Rig {
    pub(super) storage: Arc<Storage>,
    pub(super) kv: Arc<Store>,
    context: Context,
}

impl Rig {
    pub(super) fn new() -> Self {
        Self::with(Options::default())
    }

    pub(super) fn with(options: Options) -> Self {
        Self::over(Store::in_memory(), options)
    }

    pub(super) fn over(kv: Arc<Store>, options: Options) -> Self {
        let context = Context::new();
        let storage = Storage::with_options(kv.clone(), context.clone(), options);
        Self { storage, kv, context }
    }

    pub(super) async fn create(&self, kind: KindRef, ns: &str, name: &str, object: Value) -> Revision {
        self.storage.create(kind, ns, name, &object).await.unwrap().revision()
    }

    pub(super) async fn update(&self, kind: KindRef, ns: &str, name: &str, object: Value) -> Revision {
        let expected = self.storage.get(kind, ns, name, Freshness::Latest).await.unwrap().unwrap().revision();
        match self.storage.update(kind, ns, name, expected, &object).await.unwrap() {
            Updated::Done(entry) => entry.revision(),
            Updated::Changed(now) => panic!("changed meanwhile: {now:?}"),
        }
    }

    pub(super) async fn delete(&self, kind: KindRef, ns: &str, name: &str) -> Revision {
        let expected = self.storage.get(kind, ns, name, Freshness::Latest).await.unwrap().unwrap().revision();
        match self.storage.delete(kind, ns, name, expected).await.unwrap() {
            Updated::Done(entry) => entry.revision(),
            Updated::Changed(now) => panic!("changed meanwhile: {now:?}"),
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.context.stop();
    }
}

pub(super) fn kind(plural: &str) -> KindRef {
    api::kinds::find("", "v1", plural).unwrap().0
}

/// A pod with one label, on a node.
pub(super) fn pod(ns: &str, name: &str, app: &str, node: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": {"app": app}, "name": name, "namespace": ns, "uid": "u"},
           "spec": {"nodeName": node}})
}

pub(super) fn select(labels: &str, fields: &str) -> Predicate {
    Predicate { labels: LabelSelector::parse(labels).unwrap(), fields: FieldSelector::parse(fields).unwrap() }
}

pub(super) fn watch_from(from: WatchFrom) -> WatchQuery {
    WatchQuery {
        namespace: None,
        name: None,
        from,
        initial_events: false,
        bookmarks: false,
        predicate: Predicate::default(),
    }
}

pub(super) type Items = BoxStream<'static, Result<WatchItem, Status>>;

/// The next item, in time.
pub(super) async fn next(items: &mut Items) -> Result<WatchItem, Status> {
    tokio::time::timeout(Duration::from_secs(20), items.next()).await.expect("an item in time").expect("not the end")
}

/// The next item as `TYPE name@revision`.
pub(super) async fn told(items: &mut Items) -> String {
    match next(items).await {
        Ok(item) => {
            let name = item.change().map_or("", |change| change.name());
            format!("{} {name}@{}", item.type_name(), item.revision())
        }
        Err(status) => format!("{} {}", status.code, status.message),
    }
}
