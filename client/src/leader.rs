//! Leader election by a Lease (client-go, tools/leaderelection): one process of several does the work. Released on
//! stop, so that the next one need not wait; an identity that comes back goes on at once with the lease it still holds.

use std::future::Future;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use serde_json::json;
use tokio::time::Instant;

use base::Context;

use crate::error::{Error, Result};
use crate::object::Object;
use crate::rest::{Client, Patch};

/// Whoever has not renewed for this long may be replaced.
const LEASE_DURATION: Duration = Duration::from_secs(15);
/// A leader that cannot renew for this long stops leading.
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
const RETRY_PERIOD: Duration = Duration::from_secs(2);

/// Which lease, and who we are.
#[derive(Debug, Clone)]
pub struct Election {
    /// Namespace of the lease.
    pub namespace: String,
    /// Its name, e.g. `kube-scheduler`.
    pub name: String,
    /// Who we are: stable over restarts, unique among candidates.
    pub identity: String,
}

/// What a candidate sees: the lease's state, and since when (by our own clock) it has stood like this.
struct Observed {
    lease: Lease,
    since: Instant,
}

/// Runs `lead` while leading, until `context` stops or leadership is lost. `lead` gets a context that stops with either.
///
/// # Errors
/// When leadership was lost: the caller should exit, so that it starts anew as a candidate.
pub async fn run<F, Fut>(context: &Context, client: &Client, election: &Election, lead: F) -> Result<()>
where
    F: FnOnce(Context) -> Fut,
    Fut: Future<Output = ()>,
{
    let mut observed = tokio::select! {
        observed = acquire(client, election) => observed,
        () = context.stopped() => return Ok(()),
    };
    tracing::info!(lease = election.name, identity = election.identity, "leading");
    let term = context.child();
    let lost = {
        let leading = lead(term.clone());
        let renewing = renew(client, election, &mut observed);
        tokio::select! {
            () = leading => false,
            () = renewing => true,
            () = context.stopped() => false,
        }
    };
    term.shutdown(Duration::from_secs(5)).await;
    if lost {
        return Err(Error::Config(format!("leader election lost for {}", election.name)));
    }
    release(client, election, &observed).await;
    Ok(())
}

async fn acquire(client: &Client, election: &Election) -> Observed {
    let mut observed: Option<Observed> = None;
    loop {
        match try_take(client, election, &mut observed).await {
            Ok(true) => {
                if let Some(observed) = observed {
                    return observed;
                }
            }
            Ok(false) => {}
            Err(error) => tracing::debug!(lease = election.name, error = error.chain(), "lease not taken"),
        }
        tokio::time::sleep(RETRY_PERIOD.mul_f64(0.5 + rand::random::<f64>() / 2.0)).await;
        if observed.as_ref().is_some_and(|seen| holder(&seen.lease) == Some(&election.identity)) {
            observed = None;
        }
    }
}

/// Resolves when the lease could not be renewed in time.
async fn renew(client: &Client, election: &Election, observed: &mut Observed) {
    let mut last = Instant::now();
    loop {
        tokio::time::sleep(RETRY_PERIOD).await;
        let mut seen = Some(Observed { lease: observed.lease.clone(), since: observed.since });
        let attempt = tokio::time::timeout(RENEW_DEADLINE, try_take(client, election, &mut seen)).await;
        match (attempt, seen) {
            (Ok(Ok(true)), Some(seen)) => {
                *observed = seen;
                last = Instant::now();
            }
            (Ok(Ok(false)), _) => return,
            (Ok(Err(error)), _) => tracing::warn!(lease = election.name, error = error.chain(), "lease not renewed"),
            (..) => tracing::warn!(lease = election.name, "lease renewal timed out"),
        }
        if last.elapsed() > RENEW_DEADLINE {
            return;
        }
    }
}

/// One attempt to become, or stay, the holder. `false`: somebody else holds the lease.
async fn try_take(client: &Client, election: &Election, observed: &mut Option<Observed>) -> Result<bool> {
    let lease = match client.get::<Lease>(&election.namespace, &election.name).await {
        Ok(lease) => lease,
        Err(error) if error.is_not_found() => {
            let lease = client.create(&election.namespace, &fresh(election)).await?;
            *observed = Some(Observed { lease, since: Instant::now() });
            return Ok(true);
        }
        Err(error) => return Err(error),
    };
    let changed = observed.as_ref().is_none_or(|seen| seen.lease.revision() != lease.revision());
    if changed {
        *observed = Some(Observed { lease: lease.clone(), since: Instant::now() });
    }
    let since = observed.as_ref().map_or_else(Instant::now, |seen| seen.since);
    let ours = holder(&lease) == Some(&election.identity);
    let free = holder(&lease).is_none_or(str::is_empty) || since.elapsed() > LEASE_DURATION;
    if !ours && !free {
        return Ok(false);
    }
    let lease = client.patch::<Lease>(&election.namespace, &election.name, &claim(&lease, election, ours)).await?;
    *observed = Some(Observed { lease, since: Instant::now() });
    Ok(true)
}

fn holder(lease: &Lease) -> Option<&str> {
    lease.spec.as_ref()?.holder_identity.as_deref()
}

fn fresh(election: &Election) -> Lease {
    let now = MicroTime(Timestamp::now());
    Lease {
        metadata: ObjectMeta { name: Some(election.name.clone()), ..ObjectMeta::default() },
        spec: Some(LeaseSpec {
            holder_identity: Some(election.identity.clone()),
            lease_duration_seconds: Some(LEASE_DURATION.as_secs() as i32),
            acquire_time: Some(now.clone()),
            renew_time: Some(now),
            lease_transitions: Some(0),
            ..LeaseSpec::default()
        }),
    }
}

fn claim(lease: &Lease, election: &Election, ours: bool) -> Patch {
    let now = MicroTime(Timestamp::now());
    let mut spec = json!({
        "holderIdentity": election.identity,
        "leaseDurationSeconds": LEASE_DURATION.as_secs(),
        "renewTime": now,
    });
    if !ours {
        let transitions = lease.spec.as_ref().and_then(|spec| spec.lease_transitions).unwrap_or(0);
        spec["acquireTime"] = json!(now);
        spec["leaseTransitions"] = json!(transitions + 1);
    }
    Patch::Merge(json!({"metadata": version(lease), "spec": spec}))
}

async fn release(client: &Client, election: &Election, observed: &Observed) {
    let patch = Patch::Merge(json!({
        "metadata": version(&observed.lease),
        "spec": {"holderIdentity": "", "leaseDurationSeconds": 1},
    }));
    let released = client.patch::<Lease>(&election.namespace, &election.name, &patch);
    if let Ok(Err(error)) = tokio::time::timeout(Duration::from_secs(2), released).await {
        tracing::debug!(lease = election.name, error = error.chain(), "lease not released");
    }
}

fn version(lease: &Lease) -> serde_json::Value {
    json!({"resourceVersion": lease.metadata.resource_version})
}
