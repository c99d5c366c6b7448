//! The heartbeat: a lease named like the node in `kube-node-lease`, renewed every ten seconds
//! (pkg/kubelet, k8s.io/component-helpers/apimachinery/lease).

use std::sync::Arc;
use std::time::Duration;

use base::Clock;
use client::Client;
use client::rest::Patch;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference};
use serde_json::json;
use tokio::sync::watch;

/// Namespace of the leases of nodes.
pub const NAMESPACE: &str = "kube-node-lease";
/// Seconds after which the node counts as lost.
const DURATION_SECONDS: i32 = 40;
const RENEW: Duration = Duration::from_secs(10);
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(7);

fn micro(time: Timestamp) -> MicroTime {
    MicroTime(Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time))
}

/// A fresh lease of the node.
pub fn lease(name: &str, node: Option<&Node>, now: Timestamp) -> Lease {
    let owner = node.and_then(|n| n.metadata.uid.clone()).map(|uid| OwnerReference {
        api_version: "v1".into(),
        kind: "Node".into(),
        name: name.into(),
        uid,
        ..OwnerReference::default()
    });
    Lease {
        metadata: ObjectMeta {
            name: Some(name.into()),
            namespace: Some(NAMESPACE.into()),
            owner_references: owner.map(|o| vec![o]),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(name.into()),
            lease_duration_seconds: Some(DURATION_SECONDS),
            renew_time: Some(micro(now)),
            ..LeaseSpec::default()
        }),
    }
}

/// Renews the lease forever, from when the node is registered.
pub async fn run(
    client: Client,
    clock: Arc<dyn Clock>,
    name: String,
    node: impl Fn() -> Option<Arc<Node>> + Send,
    mut registered: watch::Receiver<bool>,
) {
    if registered.wait_for(|registered| *registered).await.is_err() {
        return;
    }
    let mut wait = FIRST_WAIT;
    loop {
        match renew(&client, &*clock, &name, node().as_deref()).await {
            Ok(()) => {
                wait = FIRST_WAIT;
                // Nodes that were started together shall not renew together.
                tokio::time::sleep(RENEW.mul_f64(rand::random_range(0.96..1.04))).await;
            }
            Err(error) => {
                tracing::warn!(error = %error.chain(), "lease not renewed");
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(LONGEST_WAIT);
            }
        }
    }
}

async fn renew(client: &Client, clock: &dyn Clock, name: &str, node: Option<&Node>) -> client::Result<()> {
    let fresh = lease(name, node, clock.now());
    let patch =
        Patch::Merge(json!({"spec": fresh.spec, "metadata": {"ownerReferences": fresh.metadata.owner_references}}));
    match client.patch::<Lease>(NAMESPACE, name, &patch).await {
        Err(error) if error.is_not_found() => client.create::<Lease>(NAMESPACE, &fresh).await.map(drop),
        result => result.map(drop),
    }
}
