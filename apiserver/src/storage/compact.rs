//! Compaction: the store forgets history that is older than one interval, and at most two.
//!
//! Of several API servers on one store only one compacts per interval. They agree by upstream's protocol (apiserver,
//! storage/etcd3/compact.go), so that upstream's servers may be among them: the key `compact_rev_key` counts the rounds in
//! its version and holds the compact revision. Who finds it at the version that it saw last has the round; the others learn the
//! version, and with it that somebody was there. Worked example with servers A and B, one interval apart:
//! ```text
//! A: version 7 as seen -> writes 1200 (version 8), compacts to 1200, has seen 8 at revision 1950
//! B: version 7 as seen? no, 8 -> has seen 8 at revision 1960, value 1200; compacts nothing
//! ```

use std::sync::Weak;
use std::sync::atomic::Ordering;
use std::time::Duration;

use api::Status;
use bytes::Bytes;
use store::{Compare, Error, Kv, Op, OpReply, Order, Range, Revision, Target, Txn};

use super::{Storage, errors};

const KEY: Bytes = Bytes::from_static(b"compact_rev_key");

impl Storage {
    /// Makes the store forget what is before `upto`. Lists of older revisions are refused from now on. What is forgotten
    /// already is no error.
    ///
    /// # Errors
    /// What the store says.
    pub async fn compact(&self, upto: Revision) -> Result<(), Status> {
        if upto <= self.shared.compacted.load(Ordering::Acquire) {
            return Ok(());
        }
        match self.shared.kv.compact(upto).await {
            Ok(()) | Err(Error::Compacted(_)) => {}
            Err(error) => return Err(errors::from_store(error)),
        }
        self.shared.compacted.fetch_max(upto, Ordering::AcqRel);
        Ok(())
    }

    /// Lets caches forget what is of no use any more.
    fn trim(&self) {
        let compacted = self.shared.compacted.load(Ordering::Acquire);
        for cache in self.caches.read().values() {
            cache.trim(compacted);
            let (watchers, events, topics) = cache.sizes();
            tracing::debug!(kind = cache.kind.plural, watchers, events, topics, "watch cache trimmed");
        }
    }
}

/// What a server knows of the rounds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Seen {
    /// Version of the key.
    version: u64,
    /// The store's revision at that time; 0: nothing was seen yet.
    revision: Revision,
}

/// Outcome of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Round {
    seen: Seen,
    /// Whether it was ours: then the store is to be compacted to what had been seen before.
    won: bool,
    /// What another server compacted to.
    compacted: Revision,
}

/// Takes part in a round: who finds the key at the version that was seen last wins.
async fn round(kv: &dyn Kv, seen: Seen) -> Result<Round, Error> {
    let as_seen = Compare { key: KEY, end: None, target: Target::Version(seen.version), order: Order::Equal };
    let mark = Op::Put { key: KEY, value: seen.revision.to_string().into(), lease: 0 };
    let look = Op::Range(Range { key: KEY, ..Range::default() });
    let reply = kv.txn(Txn { when: vec![as_seen], then: vec![mark], otherwise: vec![look] }).await?;
    let present = match reply.replies.into_iter().next() {
        Some(OpReply::Range(page)) if !reply.succeeded => page.kvs.into_iter().next(),
        _ => None,
    };
    let compacted = present.as_ref().and_then(|kv| std::str::from_utf8(&kv.value).ok()?.parse().ok()).unwrap_or(0);
    let version = if reply.succeeded { seen.version + 1 } else { present.map_or(0, |kv| kv.version) };
    Ok(Round { seen: Seen { version, revision: reply.revision }, won: reply.succeeded, compacted })
}

/// Compacts to where the store was one interval ago, every interval.
pub(super) async fn regularly(storage: Weak<Storage>, every: Duration) {
    let mut seen = Seen::default();
    loop {
        tokio::time::sleep(every).await;
        let Some(storage) = storage.upgrade() else { return };
        let before = seen.revision;
        let turn = if storage.shared.kv.is_private() {
            seen.revision = storage.shared.kv.local_revision();
            Ok(true)
        } else {
            round(&*storage.shared.kv, seen).await.map(|round| {
                storage.shared.compacted.fetch_max(round.compacted, Ordering::AcqRel);
                seen = round.seen;
                round.won
            })
        };
        let done = match turn {
            Ok(true) if before > 0 => storage.compact(before).await.map_err(|status| status.message),
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        };
        match done {
            Ok(()) => tracing::debug!(revision = before, "history is as short as it should be"),
            Err(error) => tracing::warn!(error, revision = before, "cannot compact"),
        }
        storage.trim();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn of_several_servers_one_compacts() {
        let kv = store::Store::in_memory();
        let write = || async { store::testing::put(&*kv, "k", "v").await.unwrap().revision };
        // Both are new: the first writes version 1, without anything to compact to.
        let a = round(&*kv, Seen::default()).await.unwrap();
        assert_eq!(a, Round { seen: Seen { version: 1, revision: 2 }, won: true, compacted: 0 });
        let b = round(&*kv, Seen::default()).await.unwrap();
        assert_eq!(b, Round { seen: Seen { version: 1, revision: 2 }, won: false, compacted: 0 });
        assert_eq!(write().await, 3);
        let b = round(&*kv, b.seen).await.unwrap();
        assert_eq!(b, Round { seen: Seen { version: 2, revision: 4 }, won: true, compacted: 0 });
        let a = round(&*kv, a.seen).await.unwrap();
        assert_eq!(a, Round { seen: Seen { version: 2, revision: 4 }, won: false, compacted: 2 });
        // B is gone: A goes on.
        assert_eq!(write().await, 5);
        let a = round(&*kv, a.seen).await.unwrap();
        assert_eq!(a, Round { seen: Seen { version: 3, revision: 6 }, won: true, compacted: 0 });
    }
}
