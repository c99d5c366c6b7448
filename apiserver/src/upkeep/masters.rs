//! Which API servers there are, as endpoints of the `kubernetes` Service (upstream: the lease endpoint reconciler,
//! pkg/controlplane/reconcilers/lease.go). Each server renews a record of its own below `/registry/masterleases/`; one that
//! is not renewed in time is removed by whoever notices, and every server then writes what is left into the endpoints.
//!
//! The Service and its endpoints are watched: what is deleted comes back, what somebody made of the endpoints is changed back
//! (upstream looks every ten seconds: kubernetesservice.Controller). So it is with a store that is nobody else's, too.
//!
//! Times are measured by the observer, from when it saw a record change, as in leader election: the servers' clocks need not
//! agree. A record is removed only as it was seen: one that has been renewed meanwhile stays.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use api::{Status, kinds};
use base::Context;
use futures::StreamExt;
use futures::stream::BoxStream;
use serde_json::json;
use store::{EventKind, Range, Revision, Signal, WatchOptions, prefix_end};
use tokio::time::Instant;

use crate::bootstrap::{Facts, service};
use crate::registry::Registry;
use crate::storage::{Claim, Predicate, WatchFrom, WatchItem, WatchQuery};

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

/// Whom this server shares the endpoints with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Nobody else can be there: the store is this process's own.
    Alone,
    /// Whoever has a record.
    Among,
    /// No endpoint may have its address (ValidateNonSpecialIP): there are none.
    Unreachable,
}

/// This server among the others.
pub struct Masters {
    registry: Arc<Registry>,
    facts: Facts,
    own: String,
    pace: Pace,
    role: Role,
}

type Records = BoxStream<'static, Result<Signal, store::Error>>;
type Objects = BoxStream<'static, Result<WatchItem, Status>>;

impl Masters {
    /// Enters this server: when this returns, the endpoints lead to it.
    ///
    /// # Errors
    /// When the store or an object is refused.
    pub async fn join(registry: &Arc<Registry>, facts: &Facts, pace: Pace) -> Result<Self, Status> {
        let role = if facts.advertise.is_loopback() || facts.advertise.is_unspecified() {
            // Upstream logs it and goes on as well.
            let address = facts.advertise;
            tracing::warn!(%address, "the Service kubernetes gets no endpoints: no pod could reach this address");
            Role::Unreachable
        } else if registry.storage().kv().is_private() {
            Role::Alone
        } else {
            Role::Among
        };
        let own = facts.advertise.to_string();
        let masters = Self { registry: registry.clone(), facts: facts.clone(), own, pace, role };
        masters.renew().await?;
        let (seen, _) = masters.list().await?;
        masters.publish(&seen).await?;
        Ok(masters)
    }

    /// Renews the record, and keeps the Service and its endpoints right, until `context` stops; then takes this server out.
    pub async fn keep(self, context: Context) {
        loop {
            tokio::select! {
                () = context.stopped() => break,
                error = self.follow() => tracing::warn!(error = %error.message, "the API servers and their Service cannot be followed, going on"),
            }
            tokio::select! {
                () = context.stopped() => break,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
        if self.role != Role::Among {
            return;
        }
        let left = async {
            self.registry.storage().forget_record(&self.key(&self.own)).await?;
            let (seen, _) = self.list().await?;
            self.publish(&seen).await
        };
        match tokio::time::timeout(PAUSE * 2, left).await {
            Ok(Ok(_)) => {}
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

    async fn try_follow(&self) -> Result<Infallible, Status> {
        self.renew().await?;
        // Before anything is looked at: what happens in between is told.
        let mut objects = self.objects().await?;
        let (mut seen, revision) = self.list().await?;
        let mut records = self.records(revision);
        let mut renewal = tokio::time::interval_at(Instant::now() + self.pace.renew, self.pace.renew);
        // When to look at the objects, and from when on what somebody made of them is changed back: servers that do not agree
        // about them take turns, at upstream's pace.
        let (mut look, mut rested) = (Some(Instant::now()), Instant::now());
        loop {
            tokio::select! {
                // Records before objects: who left has gone from those first, and is not to be put back into these.
                biased;
                _ = renewal.tick() => self.renew().await?,
                signal = records.next() => {
                    if note(&mut seen, signal)? {
                        look = Some(Instant::now());
                    }
                }
                () = at(seen.next_end(&self.own, self.pace.life)) => {
                    self.remove(&seen.ended(&self.own, self.pace.life, Instant::now())).await?;
                }
                item = objects.next() => {
                    item.unwrap_or_else(|| Err(Status::internal("the watch ended")))?;
                    let next = rested.max(Instant::now());
                    look = Some(look.map_or(next, |look| look.min(next)));
                }
                () = at(look) => {
                    look = None;
                    match self.put_right(&seen).await {
                        Ok(false) => {}
                        Ok(true) => rested = Instant::now() + self.pace.renew,
                        Err(error) => {
                            tracing::warn!(error = %error.message, "the Service kubernetes is not as it should be, trying again");
                            look = Some(Instant::now() + self.pace.renew);
                        }
                    }
                }
            }
        }
    }

    /// What becomes of the Service and its endpoints, from now on.
    async fn objects(&self) -> Result<Objects, Status> {
        let mut all = Vec::new();
        for (group, plural) in [("", "services"), ("", "endpoints"), ("discovery.k8s.io", "endpointslices")] {
            let (kind, _) = kinds::find(group, "v1", plural).ok_or_else(|| Status::internal(format!("no {plural}")))?;
            let query = WatchQuery {
                namespace: Some(service::NAMESPACE.into()),
                name: Some(service::NAME.into()),
                from: WatchFrom::Now,
                initial_events: false,
                bookmarks: false,
                predicate: Predicate::default(),
            };
            all.push(self.registry.storage().watch(kind, query).await?);
        }
        Ok(futures::stream::select_all(all).boxed())
    }

    /// What becomes of the records after this revision.
    fn records(&self, revision: Revision) -> Records {
        if self.role != Role::Among {
            return futures::stream::pending().boxed();
        }
        let range = Range { key: PREFIX.into(), end: prefix_end(PREFIX.as_bytes()), ..Range::default() };
        self.registry.storage().kv().watch(range, WatchOptions { from: revision + 1, progress: false })
    }

    /// Creates the Service if it is missing, and makes its endpoints what they must be; says whether anything had to change.
    async fn put_right(&self, seen: &Seen) -> Result<bool, Status> {
        let endpoints = self.publish(seen).await?;
        Ok(service::ensure(&self.registry, &self.facts).await? || endpoints)
    }

    fn key(&self, address: &str) -> String {
        format!("{PREFIX}{address}")
    }

    /// The content is upstream's, so that a look into the store shows the same.
    async fn renew(&self) -> Result<(), Status> {
        if self.role != Role::Among {
            return Ok(());
        }
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
        if self.role == Role::Alone {
            seen.note(&self.own, Some(revision), now);
        }
        if self.role != Role::Among {
            return Ok((seen, revision));
        }
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

    async fn publish(&self, seen: &Seen) -> Result<bool, Status> {
        let mut addresses = seen.addresses();
        if addresses.is_empty() {
            // Upstream refuses to erase all endpoints too: there is always one, whoever asks.
            return Ok(false);
        }
        addresses.sort();
        service::endpoints(&self.registry, &self.facts, &addresses).await
    }
}

fn address(key: &[u8]) -> String {
    String::from_utf8_lossy(key.strip_prefix(PREFIX.as_bytes()).unwrap_or_default()).into_owned()
}

/// Takes note of what the watch says; whether the set of servers is another one now.
fn note(seen: &mut Seen, signal: Option<Result<Signal, store::Error>>) -> Result<bool, Status> {
    let Signal::Events(_, events) =
        signal.ok_or_else(|| Status::internal("the watch ended"))?.map_err(Status::internal)?
    else {
        return Ok(false);
    };
    let mut changed = false;
    for event in events {
        let revision = (event.kind == EventKind::Put).then_some(event.kv.mod_revision);
        changed |= seen.note(&address(&event.kv.key), revision, Instant::now());
    }
    Ok(changed)
}

/// Waits until then; without a time for ever.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
#[path = "masters_tests.rs"]
mod tests;
