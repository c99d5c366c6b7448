//! What locks and elections have in common: everybody who wants puts a key of his own under a prefix, bound to a lease; whose
//! key was created first has it; the others wait until all keys before theirs are gone. etcd: client/v3/concurrency.

use bytes::Bytes;
use futures::StreamExt;
use tonic::Status;

use super::Service;
use super::errors::status;
use crate::kv::{
    Compare, Error, EventKind, KeyValue, Kv, Op, OpReply, Order, Range, Signal, Target, Txn, WatchOptions, prefix_end,
};

/// Seconds of a lease that the client did not bring (etcd: client/v3/concurrency/session.go, defaultSessionTTL).
const SESSION: i64 = 60;

/// A key in the queue.
pub(super) struct Place {
    pub(super) key: Bytes,
    /// The revision that created it: its place.
    pub(super) created: u64,
    pub(super) lease: i64,
    /// The key as it was, if it stood there already.
    pub(super) existing: Option<KeyValue>,
}

impl Service {
    /// Queues up under `name`: puts the key that stands for the lease, unless it is there.
    pub(super) async fn queue_up(&self, name: &Bytes, lease: i64, value: Bytes) -> Result<Place, Status> {
        let lease = if lease == 0 { self.store.lease_grant(0, SESSION).await.map_err(status)?.0 } else { lease };
        let key: Bytes = [name.as_ref(), format!("/{}", hex(lease)).as_bytes()].concat().into();
        let absent = created_at(&key, 0);
        let put = Op::Put { key: key.clone(), value, lease };
        let get = Op::Range(Range { key: key.clone(), ..Range::default() });
        let txn = Txn { when: vec![absent], then: vec![put], otherwise: vec![get] };
        let reply = self.store.txn(txn).await.map_err(status)?;
        let existing = match reply.replies.into_iter().next() {
            Some(OpReply::Range(page)) => page.kvs.into_iter().next(),
            _ => None,
        };
        let created = existing.as_ref().map_or(reply.revision, |kv| kv.create_revision);
        Ok(Place { key, created, lease, existing })
    }

    /// Waits until no key under `name` was created before `created`.
    pub(super) async fn wait_for_turn(&self, name: &Bytes, created: u64) -> Result<(), Status> {
        loop {
            let page = self.store.range(under(name)).await.map_err(status)?;
            let before = page.kvs.into_iter().filter(|kv| kv.create_revision < created);
            let Some(last) = before.max_by_key(|kv| kv.create_revision) else { return Ok(()) };
            self.wait_until_deleted(last.key, page.revision).await?;
        }
    }

    async fn wait_until_deleted(&self, key: Bytes, from: u64) -> Result<(), Status> {
        let range = Range { key, ..Range::default() };
        let mut watch = self.store.watch(range, WatchOptions { from, progress: false });
        while let Some(signal) = watch.next().await {
            if let Signal::Events(_, events) = signal.map_err(status)?
                && events.iter().any(|event| event.kind == EventKind::Delete)
            {
                return Ok(());
            }
        }
        Err(status(Error::Unavailable("the watch for the key before ended".into())))
    }

    /// The key under `name` that was created first.
    pub(super) async fn first(&self, name: &Bytes) -> Result<(Option<KeyValue>, u64), Status> {
        let page = self.store.range(under(name)).await.map_err(status)?;
        Ok((page.kvs.into_iter().min_by_key(|kv| kv.create_revision), page.revision))
    }

    /// Deletes a key (if it is the one created then); answers the revision.
    pub(super) async fn leave(&self, key: Bytes, created: Option<u64>) -> Result<u64, Error> {
        let when = created.map(|created| created_at(&key, created)).into_iter().collect();
        let txn = Txn { when, then: vec![Op::Delete { key, end: None }], ..Txn::default() };
        self.store.txn(txn).await.map(|reply| reply.revision)
    }

    /// A guard that leaves the queue if the client goes away while it waits.
    pub(super) fn queued(&self, key: Bytes) -> Queued {
        Queued { service: self.clone(), key: Some(key) }
    }
}

/// See [`Service::queued`].
pub(super) struct Queued {
    service: Service,
    key: Option<Bytes>,
}

impl Queued {
    /// The turn has come: the key stays.
    pub(super) fn keep(mut self) {
        self.key = None;
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            let service = self.service.clone();
            tokio::spawn(async move {
                if let Err(error) = service.leave(key, None).await {
                    tracing::debug!(%error, "cannot leave a queue; the lease's end will");
                }
            });
        }
    }
}

pub(super) fn created_at(key: &Bytes, revision: u64) -> Compare {
    Compare { key: key.clone(), end: None, target: Target::CreateRevision(revision), order: Order::Equal }
}

/// All keys of a queue.
pub(super) fn under(name: &Bytes) -> Range {
    let key: Bytes = [name.as_ref(), b"/"].concat().into();
    Range { end: prefix_end(&key), key, ..Range::default() }
}

/// As Go prints it.
fn hex(lease: i64) -> String {
    if lease < 0 { format!("-{:x}", lease.unsigned_abs()) } else { format!("{lease:x}") }
}
