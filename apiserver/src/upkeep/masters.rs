//! Which API servers there are, as endpoints of the `kubernetes` Service (upstream: the lease endpoint reconciler,
//! pkg/controlplane/reconcilers/lease.go). Each server renews a record of its own below `/registry/masterleases/`; one that
//! is not renewed in time is removed by whoever notices, and every server then writes what is left into the endpoints.
//!
//! Times are measured by the observer, from when it saw a record change, as in leader election: the servers' clocks need not
//! agree. A record is removed only as it was seen: one that has been renewed meanwhile stays.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use api::Status;
use base::Context;
use futures::StreamExt;
use serde_json::json;
use store::{EventKind, Range, Revision, Signal, WatchOptions, prefix_end};
use tokio::time::Instant;

use crate::bootstrap::{Facts, service};
use crate::registry::Registry;
use crate::storage::Claim;

const PREFIX: &str = "/registry/masterleases/";
/// How often a record is renewed, and how long it lasts. The defaults are upstream's DefaultEndpointReconcilerInterval and
/// DefaultEndpointReconcilerTTL.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Between two renewals.
    pub renew: Duration,
    /// How long a record that nobody renews counts.
    pub life: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { renew: Duration::from_secs(10), life: Duration::from_secs(15) }
    }
}

/// Pause after the store did not answer.
const PAUSE: Duration = Duration::from_secs(1);

/// The records as one server has seen them: address → (revision, when it came).
#[derive(Debug, Default)]
struct Seen(BTreeMap<String, (Revision, Instant)>);

impl Seen {
    /// Whether the set of addresses is another one now.
    fn note(&mut self, address: &str, revision: Option<Revision>, now: Instant) -> bool {
        match revision {
            Some(revision) => self.0.insert(address.to_string(), (revision, now)).is_none(),
            None => self.0.remove(address).is_some(),
        }
    }

    /// When the first record but `own` runs out, if each lasts for `life`.
    fn next_end(&self, own: &str, life: Duration) -> Option<Instant> {
        self.0.iter().filter(|(address, _)| *address != own).map(|(_, (_, since))| *since + life).min()
    }

    /// What has run out: (address, revision at which it may be removed).
    fn ended(&self, own: &str, life: Duration, now: Instant) -> Vec<(String, Revision)> {
        let ended = self.0.iter().filter(|(address, (_, since))| *address != own && *since + life <= now);
        ended.map(|(address, (revision, _))| (address.clone(), *revision)).collect()
    }

    fn addresses(&self) -> Vec<IpAddr> {
        self.0.keys().filter_map(|address| address.parse().ok()).collect()
    }
}

/// This server among the others.
pub struct Masters {
    registry: Arc<Registry>,
    facts: Facts,
    own: String,
    pace: Pace,
}

impl Masters {
    /// Enters this server: when this returns, the endpoints lead to it.
    ///
    /// # Errors
    /// When the store or an object is refused.
    pub async fn join(registry: &Arc<Registry>, facts: &Facts, pace: Pace) -> Result<Option<Self>, Status> {
        if facts.advertise.is_loopback() || facts.advertise.is_unspecified() {
            // No endpoint may have such an address (ValidateNonSpecialIP); upstream logs it and goes on as well.
            let address = facts.advertise;
            tracing::warn!(%address, "the Service kubernetes gets no endpoints: no pod could reach this address");
            return Ok(None);
        }
        if registry.storage().kv().is_private() {
            // Nobody else can be there, and nobody could see the record run out.
            service::endpoints(registry, facts, &[facts.advertise]).await?;
            return Ok(None);
        }
        let own = facts.advertise.to_string();
        let masters = Self { registry: registry.clone(), facts: facts.clone(), own, pace };
        masters.renew().await?;
        let (seen, _) = masters.list().await?;
        masters.publish(&seen).await?;
        Ok(Some(masters))
    }

    /// Renews the record and keeps the endpoints right until `context` stops; then takes this server out.
    pub async fn keep(self, context: Context) {
        loop {
            tokio::select! {
                () = context.stopped() => break,
                error = self.follow() => tracing::warn!(error = %error.message, "the records of the API servers cannot be followed, going on"),
            }
            tokio::select! {
                () = context.stopped() => break,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
        let left = async {
            self.registry.storage().forget_record(&self.key(&self.own)).await?;
            let (seen, _) = self.list().await?;
            self.publish(&seen).await
        };
        match tokio::time::timeout(PAUSE * 2, left).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(error = %error.message, "endpoints left to the others"),
            Err(_) => tracing::debug!("endpoints left to the others: no answer"),
        }
    }

    /// Until something breaks. What others have not been seen to renew counts from the beginning of this.
    async fn follow(&self) -> Status {
        match self.try_follow().await {
            Ok(never) => match never {},
            Err(status) => status,
        }
    }

    async fn try_follow(&self) -> Result<std::convert::Infallible, Status> {
        self.renew().await?;
        let (mut seen, revision) = self.list().await?;
        self.publish(&seen).await?;
        let range = Range { key: PREFIX.into(), end: prefix_end(PREFIX.as_bytes()), ..Range::default() };
        let mut watch = self.registry.storage().kv().watch(range, WatchOptions { from: revision + 1, progress: false });
        let mut renewal = tokio::time::interval_at(Instant::now() + self.pace.renew, self.pace.renew);
        loop {
            let next_end = seen.next_end(&self.own, self.pace.life);
            let end = async {
                match next_end {
                    Some(end) => tokio::time::sleep_until(end).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = renewal.tick() => self.renew().await?,
                () = end => self.remove(&seen.ended(&self.own, self.pace.life, Instant::now())).await?,
                signal = watch.next() => match signal {
                    Some(Ok(Signal::Events(_, events))) => {
                        let mut changed = false;
                        for event in events {
                            let revision = (event.kind == EventKind::Put).then_some(event.kv.mod_revision);
                            changed |= seen.note(&address(&event.kv.key), revision, Instant::now());
                        }
                        if changed {
                            self.publish(&seen).await?;
                        }
                    }
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(Status::internal(error)),
                    None => return Err(Status::internal("the watch ended")),
                },
            }
        }
    }

    fn key(&self, address: &str) -> String {
        format!("{PREFIX}{address}")
    }

    /// The content is upstream's, so that a look into the store shows the same.
    async fn renew(&self) -> Result<(), Status> {
        let record = json!({
            "kind": "Endpoints", "apiVersion": "v1", "metadata": {},
            "subsets": [{"addresses": [{"ip": self.own}], "ports": [{"port": self.facts.port}]}],
        });
        self.registry.storage().put_record(&self.key(&self.own), record.to_string().into()).await
    }

    async fn list(&self) -> Result<(Seen, Revision), Status> {
        // Before the list: what happens in between is told twice, not missed.
        let revision = self.registry.storage().kv().revision().await.map_err(Status::internal)?;
        let (mut seen, now) = (Seen::default(), Instant::now());
        for record in self.registry.storage().records(PREFIX, true).await? {
            seen.note(&address(&record.key), Some(record.mod_revision), now);
        }
        Ok((seen, revision))
    }

    async fn remove(&self, ended: &[(String, Revision)]) -> Result<(), Status> {
        for (address, revision) in ended {
            let claim = Claim::record(self.key(address), *revision, None);
            if self.registry.storage().settle(&[claim]).await? {
                tracing::warn!(address, "an API server has not been heard of any more: its endpoint goes");
            }
        }
        Ok(())
    }

    async fn publish(&self, seen: &Seen) -> Result<(), Status> {
        let mut addresses = seen.addresses();
        if addresses.is_empty() {
            // Upstream refuses to erase all endpoints too: there is always one, whoever asks.
            return Ok(());
        }
        addresses.sort();
        service::endpoints(&self.registry, &self.facts, &addresses).await
    }
}

fn address(key: &[u8]) -> String {
    String::from_utf8_lossy(key.strip_prefix(PREFIX.as_bytes()).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_record_ends_when_it_has_not_changed_for_its_life() {
        let (mut seen, begun, Pace { renew, life }) = (Seen::default(), Instant::now(), Pace::default());
        assert!(seen.note("10.0.0.1", Some(1), begun));
        assert!(seen.note("10.0.0.2", Some(2), begun));
        assert_eq!(seen.next_end("10.0.0.1", life), Some(begun + life));
        assert!(!seen.note("10.0.0.2", Some(7), begun + renew), "renewed, not new");
        assert_eq!(seen.ended("10.0.0.1", life, begun + life), []);
        assert_eq!(seen.ended("10.0.0.1", life, begun + renew + life), [("10.0.0.2".to_string(), 7)]);
        assert!(seen.note("10.0.0.2", None, begun));
        assert!(!seen.note("10.0.0.2", None, begun));
        assert_eq!((seen.addresses().len(), seen.next_end("10.0.0.1", life)), (1, None), "one's own never ends");
    }
}
