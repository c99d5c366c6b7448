//! Whether all members hold the same: their hashes are compared at the start, and now and then by the leader, who raises the alarm
//! CORRUPT for those that differ from a quorum. What is decided is [`crate::divergence`]'s. etcd:
//! server/etcdserver/corrupt.go.

use std::sync::Weak;
use std::time::Duration;

use proto::log::request::Body;
use proto::log::{AlarmChange, AlarmKind};

use super::Store;
use crate::divergence::{Verdict, judge};
use crate::kv::Error;
use crate::request;
use crate::state::HashKv;

/// A compaction that comes between makes hashes incomparable: then they are asked for again.
const ATTEMPTS: usize = 3;

impl Store {
    /// Asks all members for their hash of the revision that this one has.
    async fn compare(&self) -> Result<(HashKv, Verdict), Error> {
        let Some(peers) = &self.peers else { return Err(Error::Unavailable("there are no other members".into())) };
        let mut attempt = 0;
        loop {
            attempt += 1;
            let own = self.core().hash(0).await?;
            let voters = self.core().state.read().members().membership().voters;
            let others = peers.hashes(own.revision).await;
            let verdict = judge((self.member_id(), own), &others, &voters);
            if attempt == ATTEMPTS || !matches!(verdict, Verdict::Incomplete(_)) {
                return Ok((own, verdict));
            }
        }
    }

    /// Compares this member with the others, before it serves.
    ///
    /// # Errors
    /// When what it holds differs from what a quorum, or all others, have.
    pub async fn check_at_start(&self) -> Result<(), Error> {
        if self.core().solitary() {
            return Ok(());
        }
        let (own, verdict) = self.compare().await?;
        let me = self.member_id();
        match verdict {
            Verdict::Corrupt(ids) if ids.contains(&me) => {}
            Verdict::Undecided => {}
            _ => {
                tracing::info!(?verdict, revision = own.revision, hash = own.hash, "compared with the other members");
                return Ok(());
            }
        }
        Err(Error::Corrupt(format!("{me:x} found data inconsistency with peers")))
    }

    /// Compares all members, if this one leads, and raises the alarm for those that are corrupt.
    ///
    /// # Errors
    /// When the alarm cannot be raised.
    pub async fn check_members(&self) -> Result<(), Error> {
        if !self.is_leader() || self.core().solitary() {
            return Ok(());
        }
        let (own, verdict) = self.compare().await?;
        let corrupt = match &verdict {
            Verdict::Corrupt(ids) => ids.clone(),
            // etcd's 0: the whole cluster.
            Verdict::Undecided => vec![0],
            _ => {
                tracing::debug!(?verdict, revision = own.revision, hash = own.hash, "compared the members");
                return Ok(());
            }
        };
        tracing::error!(
            ?verdict,
            revision = own.revision,
            compacted = own.compacted,
            hash = own.hash,
            "members differ"
        );
        let on = |member| AlarmChange { member, kind: AlarmKind::AlarmCorrupt.into(), on: true };
        for change in corrupt.into_iter().map(on).filter(|change| !self.alarms().contains(change)) {
            self.propose(request::encode(Body::Alarm(change))).await?;
        }
        Ok(())
    }
}

/// Compares the members every so often, as long as the store is open.
pub(crate) async fn keep_comparing(store: Weak<Store>, every: Duration) {
    let mut interval = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let Some(store) = store.upgrade() else { return };
        if !store.is_open() {
            return;
        }
        if let Err(error) = store.check_members().await {
            tracing::warn!(%error, "cannot compare the members");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use super::*;
    use crate::cluster::Cluster;
    use crate::kv::Kv;
    use crate::options::Options;
    use crate::testing::{free_ports, put};

    const PATIENCE: Duration = Duration::from_secs(60);

    async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done().await {
            assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn three(dir: &std::path::Path, context: &base::Context) -> Vec<Arc<Store>> {
        let urls: Vec<_> = free_ports(3).iter().map(|port| format!("http://127.0.0.1:{port}")).collect();
        let initial: Vec<_> = urls.iter().enumerate().map(|(at, url)| (format!("m{at}"), url.clone())).collect();
        let start = |at: usize| {
            // Who leads first stays it, on however busy a machine: founders elect at once, whatever this says.
            let election = PATIENCE;
            let own = Cluster::new(&format!("m{at}"), &urls[at]);
            let cluster = Cluster { initial: initial.clone(), election, ..own };
            let options = Options { cluster: Some(cluster), prompt: false, ..Options::new(dir.join(format!("m{at}"))) };
            Store::open_member(options, context)
        };
        futures::future::join_all((0..3).map(start)).await.into_iter().map(|store| store.unwrap()).collect()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn only_the_member_that_differs_from_the_others_is_alarmed() {
        let dir = tempfile::tempdir().unwrap();
        let context = base::Context::new();
        let stores = three(dir.path(), &context).await;
        // What is handed to a leader who is lost before he answers is waited for very long with such a timeout.
        let write = || tokio::time::timeout(Duration::from_secs(1), put(&*stores[0], "k", "v"));
        until("a write", async || matches!(write().await, Ok(Ok(_)))).await;
        let revision = stores[0].revision().await.unwrap();
        for store in &stores {
            until("the write everywhere", async || store.local_revision() >= revision).await;
        }
        let led = stores[0].status();
        let leader = stores.iter().position(|store| store.is_leader()).unwrap();
        stores[leader].check_members().await.unwrap();
        assert_eq!(stores[leader].compare().await.unwrap().1, Verdict::Same);
        assert_eq!(stores[leader].alarms(), []);

        // Not the leader: that only the minority is alarmed must not follow from who judges.
        let bad = (leader + 1) % 3;
        stores[bad].core().state.write().tamper(b"k");
        assert!(stores[bad].check_at_start().await.is_err());
        for (at, store) in stores.iter().enumerate().filter(|(at, _)| *at != bad) {
            store.check_at_start().await.unwrap_or_else(|error| panic!("{at}: {error}"));
        }
        stores[bad].check_members().await.unwrap();
        assert_eq!(stores[leader].alarms(), [], "only the leader raises it");
        stores[leader].check_members().await.unwrap();
        let alarm = AlarmChange { member: stores[bad].member_id(), kind: AlarmKind::AlarmCorrupt.into(), on: true };
        assert_eq!(stores[leader].alarms(), [alarm]);
        assert_eq!(put(&*stores[leader], "k", "w").await.unwrap_err(), Error::CorruptCluster);
        // Disarmed, and found again; this time by itself.
        let off = AlarmChange { member: 0, kind: AlarmKind::AlarmCorrupt.into(), on: false };
        stores[leader].alarm(off).await.unwrap();
        assert_eq!(stores[leader].alarms(), []);
        let comparing = tokio::spawn(keep_comparing(Arc::downgrade(&stores[leader]), Duration::from_millis(10)));
        until("the alarm", async || stores[leader].alarms() == [alarm]).await;
        comparing.abort();
        assert_eq!(stores[0].status().term, led.term, "another election came between");
        for store in stores {
            store.close().await;
        }
    }
}
