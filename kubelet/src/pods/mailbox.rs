//! What happened since the worker last looked. Bounded by construction: the latest pod wins, flags stay flags, probe results
//! are kept one per probe. Whoever puts something in wakes the worker.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::probes::ProbeKind;
use crate::runtime::ContainerId;

/// The node needs what the pod takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Eviction {
    /// `status.message`.
    pub message: String,
    /// Seconds that its containers get.
    pub grace_seconds: i64,
}

/// News for a worker.
#[derive(Debug, Default)]
pub struct News {
    /// The latest version of the pod.
    pub pod: Option<Arc<Pod>>,
    /// The latest version of a static pod's mirror; `Some(None)` = it is gone.
    pub mirror: Option<Option<Arc<Pod>>>,
    /// The pod was removed from its source.
    pub gone: bool,
    /// The pod is to end for the sake of the others.
    pub eviction: Option<Eviction>,
    /// Something that the pod refers to changed.
    pub objects_changed: bool,
    /// What failed may be tried again at once.
    pub retry: bool,
    /// References of images that were found, by image.
    pub images: BTreeMap<String, String>,
    /// Results of probes.
    pub probes: BTreeMap<(ContainerId, ProbeKind), bool>,
}

/// Shared by the worker and those who tell it.
#[derive(Debug, Default)]
pub struct Mailbox {
    news: Mutex<News>,
    notify: Notify,
}

impl Mailbox {
    /// Changes the news and wakes the worker.
    pub fn tell(&self, change: impl FnOnce(&mut News)) {
        change(&mut self.news.lock());
        self.notify.notify_one();
    }

    /// Changes the news without waking the worker: it finds them when it looks next.
    pub fn note(&self, change: impl FnOnce(&mut News)) {
        change(&mut self.news.lock());
    }

    /// Wakes the worker: the runtime has something new.
    pub fn poke(&self) {
        self.notify.notify_one();
    }

    /// Takes the news.
    pub fn take(&self) -> News {
        std::mem::take(&mut self.news.lock())
    }

    /// Resolves when there is something to look at.
    pub async fn notified(&self) {
        self.notify.notified().await;
    }
}
