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

/// First pause of a candidate that nobody answers, while servers start; it doubles up to the retry period.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// Which lease, and who we are.
#[derive(Debug, Clone)]
pub struct Election {
    /// Namespace of the lease.
    pub namespace: String,
    /// Its name, e.g. `kube-scheduler`.
    pub name: String,
    /// Who we are: stable over restarts, unique among candidates.
    pub identity: String,
    /// Its times.
    pub timing: Timing,
}

/// How an election runs; upstream's defaults.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Whoever has not renewed for this long may be replaced; in a lease in whole seconds.
    pub lease_duration: Duration,
    /// A leader that cannot renew for this long stops leading.
    pub renew_deadline: Duration,
    /// Between two attempts to take or renew.
    pub retry_period: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        let [lease_duration, renew_deadline, retry_period] = [15, 10, 2].map(Duration::from_secs);
        Self { lease_duration, renew_deadline, retry_period }
    }
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
    let mut pause = FIRST_PAUSE;
    loop {
        match try_take(client, election, &mut observed).await {
            Ok(true) => {
                if let Some(observed) = observed {
                    return observed;
                }
            }
            Ok(false) => pause = election.timing.retry_period,
            Err(error) => tracing::debug!(lease = election.name, error = error.chain(), "lease not taken"),
        }
        tokio::time::sleep(pause.mul_f64(0.5 + rand::random::<f64>() / 2.0)).await;
        pause = (pause * 2).min(election.timing.retry_period);
        if observed.as_ref().is_some_and(|seen| holder(&seen.lease) == Some(&election.identity)) {
            observed = None;
        }
    }
}

/// Resolves when the lease could not be renewed in time.
async fn renew(client: &Client, election: &Election, observed: &mut Observed) {
    let mut last = Instant::now();
    loop {
        tokio::time::sleep(election.timing.retry_period).await;
        let mut seen = Some(Observed { lease: observed.lease.clone(), since: observed.since });
        let attempt = tokio::time::timeout(election.timing.renew_deadline, try_take(client, election, &mut seen)).await;
        match (attempt, seen) {
            (Ok(Ok(true)), Some(seen)) => {
                *observed = seen;
                last = Instant::now();
            }
            (Ok(Ok(false)), _) => return,
            (Ok(Err(error)), _) => tracing::warn!(lease = election.name, error = error.chain(), "lease not renewed"),
            (..) => tracing::warn!(lease = election.name, "lease renewal timed out"),
        }
        if last.elapsed() > election.timing.renew_deadline {
            return;
        }
    }
}

/// One attempt to become, or stay, the holder. `false`: somebody else holds the lease.
async fn try_take(client: &Client, election: &Election, observed: &mut Option<Observed>) -> Result<bool> {
    // A leader first takes it that nothing has happened since, which saves every second request (client-go,
    // tryAcquireOrRenew). If it is wrong, the version says so.
    if let Some(seen) = observed.as_ref().filter(|seen| holder(&seen.lease) == Some(&election.identity)) {
        match claim(client, election, &seen.lease, true).await {
            Err(error) if error.is_conflict() || error.is_not_found() => {}
            renewed => {
                *observed = Some(Observed { lease: renewed?, since: Instant::now() });
                return Ok(true);
            }
        }
    }
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
    let free = holder(&lease).is_none_or(str::is_empty) || since.elapsed() > election.timing.lease_duration;
    if !ours && !free {
        return Ok(false);
    }
    let lease = claim(client, election, &lease, ours).await?;
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
            lease_duration_seconds: i32::try_from(election.timing.lease_duration.as_secs()).ok(),
            acquire_time: Some(now.clone()),
            renew_time: Some(now),
            lease_transitions: Some(0),
            ..LeaseSpec::default()
        }),
    }
}

/// Writes us into the lease, provided that it is still as we know it.
async fn claim(client: &Client, election: &Election, lease: &Lease, ours: bool) -> Result<Lease> {
    let now = MicroTime(Timestamp::now());
    let mut spec = json!({
        "holderIdentity": election.identity,
        "leaseDurationSeconds": election.timing.lease_duration.as_secs(),
        "renewTime": now,
    });
    if !ours {
        let transitions = lease.spec.as_ref().and_then(|spec| spec.lease_transitions).unwrap_or(0);
        spec["acquireTime"] = json!(now);
        spec["leaseTransitions"] = json!(transitions + 1);
    }
    let patch = Patch::Merge(json!({"metadata": version(lease), "spec": spec}));
    client.patch::<Lease>(&election.namespace, &election.name, &patch).await
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::Router;
    use axum::body::Bytes;
    use axum::extract::State;
    use axum::http::{Method, StatusCode};
    use parking_lot::Mutex;
    use serde_json::Value;

    use super::*;
    use crate::config::Config;

    /// A server of one lease: what it holds, and the verbs it has been asked for.
    #[derive(Default)]
    struct Server {
        lease: Option<Value>,
        revision: u64,
        verbs: Vec<&'static str>,
    }

    impl Server {
        /// Somebody writes fields of the spec.
        fn write(&mut self, spec: &Value) {
            self.revision += 1;
            let lease = self.lease.get_or_insert_with(|| json!({"metadata": {"name": "l"}, "spec": {}}));
            lease["metadata"]["resourceVersion"] = json!(self.revision.to_string());
            for (key, value) in spec.as_object().unwrap() {
                lease["spec"][key] = value.clone();
            }
        }

        fn answer(&mut self, method: &Method, body: &[u8]) -> (StatusCode, String) {
            let body: Value = serde_json::from_slice(body).unwrap_or_default();
            match (method.as_str(), &self.lease) {
                ("GET", _) => self.verbs.push("get"),
                ("POST", None) => {
                    self.verbs.push("create");
                    self.write(&body["spec"]);
                }
                ("PATCH", Some(lease)) => {
                    self.verbs.push("patch");
                    if body["metadata"]["resourceVersion"] != lease["metadata"]["resourceVersion"] {
                        let status = api::Status::conflict("coordination.k8s.io", "leases", "l", "it has changed");
                        return (StatusCode::CONFLICT, serde_json::to_string(&status).unwrap());
                    }
                    self.write(&body["spec"]);
                }
                (other, lease) => panic!("{other} of {lease:?}"),
            }
            match &self.lease {
                Some(lease) => (StatusCode::OK, lease.to_string()),
                None => (StatusCode::NOT_FOUND, String::new()),
            }
        }
    }

    async fn serve() -> (Client, Arc<Mutex<Server>>) {
        type Shared = Arc<Mutex<Server>>;
        async fn answer(State(server): State<Shared>, method: Method, body: Bytes) -> (StatusCode, String) {
            server.lock().answer(&method, &body)
        }
        let server = Shared::default();
        let router = Router::new().fallback(answer).with_state(Arc::clone(&server));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let config = Config { server: format!("http://{address}"), ..Config::default() };
        (Client::new(&config).unwrap(), server)
    }

    fn election() -> Election {
        Election { namespace: "kube-system".into(), name: "l".into(), identity: "me".into(), timing: Timing::default() }
    }

    #[tokio::test]
    async fn a_leader_renews_by_one_request() {
        let (client, server) = serve().await;
        let mut observed = None;
        for _ in 0..3 {
            assert!(try_take(&client, &election(), &mut observed).await.unwrap());
        }
        assert_eq!(server.lock().verbs, ["get", "create", "patch", "patch"]);
    }

    #[tokio::test]
    async fn a_leader_looks_again_when_the_lease_has_changed() {
        for (change, stays) in [(json!({"leaseDurationSeconds": 9}), true), (json!({"holderIdentity": "other"}), false)]
        {
            let (client, server) = serve().await;
            let mut observed = None;
            assert!(try_take(&client, &election(), &mut observed).await.unwrap());
            server.lock().write(&change);
            assert_eq!(try_take(&client, &election(), &mut observed).await.unwrap(), stays, "{change}");
            let expected: &[_] = if stays { &["patch", "get", "patch"] } else { &["patch", "get"] };
            assert_eq!(server.lock().verbs[2..], *expected, "{change}");
        }
    }
}
