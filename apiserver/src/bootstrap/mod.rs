//! What every cluster starts with. Runs at each start and changes only what is missing, so that a person's changes stay
//! (upstream: the post-start hooks of kube-apiserver).
//!
//! | module | what it brings |
//! |---|---|
//! | [`reconcile`] | creates what is missing, adds missing rules and subjects |
//! | [`service`] | the `kubernetes` Service, and its endpoints as objects |

pub mod reconcile;
pub mod service;

use std::net::IpAddr;
use std::sync::Arc;

use anyhow::Context as _;
use api::{Status, kinds, object};
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::{Value, json};

use crate::auth::defaults;
use crate::registry::update::Change;
use crate::registry::{Call, Registry, Target, timestamp};

/// What the objects depend on.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The address under which members of the cluster reach this server.
    pub advertise: IpAddr,
    /// And the port.
    pub port: u16,
    /// Range of the addresses of Services.
    pub service_range: String,
    /// Authorities of client certificates, PEM.
    pub client_ca: Option<String>,
}

/// Namespaces and priority classes.
const OBJECTS: &str = include_str!("../../../manifests/bootstrap/objects.yaml");
/// Name of the ServiceCIDR made of the flag.
const SERVICE_RANGE: &str = "kubernetes";
/// Keeps a ServiceCIDR until no address of it is in use (upstream: ServiceCIDRProtectionFinalizer). The controller manager
/// removes it, and adds it to the others.
const PROTECTION: &str = "networking.k8s.io/service-cidr-finalizer";
/// Objects written at once: they share the store's writes to disk.
const AT_ONCE: usize = 64;

/// Brings what is missing.
///
/// # Errors
/// When an object is refused or the store fails.
pub async fn run(registry: &Arc<Registry>, facts: &Facts) -> anyhow::Result<()> {
    let objects: Vec<Value> = serde_yaml::from_str(OBJECTS)?;
    let (namespaces, others): (Vec<_>, Vec<_>) = objects.into_iter().partition(|object| object["kind"] == "Namespace");
    // Namespaces first: everything else lives in them.
    all(registry, namespaces).await?;
    all(registry, vec![service_range(facts)]).await?;
    range_is_ready(registry, facts).await?;
    let mut rest = others;
    rest.extend(defaults::objects());
    rest.extend(facts.client_ca.as_deref().map(authentication));
    all(registry, rest).await?;
    match service::reconcile(registry, facts).await {
        // Another Service has its address: a person's to put right, with a server that runs (upstream logs it and goes on).
        Err(status) if status.is("Invalid") => {
            tracing::warn!(error = %status.message, "the Service kubernetes cannot be created yet");
        }
        done => drop(done?),
    }
    Ok(())
}

async fn all(registry: &Arc<Registry>, objects: Vec<Value>) -> Result<(), Status> {
    stream::iter(objects)
        .map(|object| async move { reconcile::ensure(registry, object).await })
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await
}

/// The range that Services get their addresses from (upstream: controlplane/controller/defaultservicecidr).
fn service_range(facts: &Facts) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR",
        "metadata": {"name": SERVICE_RANGE, "finalizers": [PROTECTION]},
        "spec": {"cidrs": [facts.service_range]},
    })
}

/// Says that addresses may be given out, unless somebody has said something already. A range that is not the flag's is a
/// person's to put right (upstream: `syncStatus` of the same controller).
async fn range_is_ready(registry: &Arc<Registry>, facts: &Facts) -> anyhow::Result<()> {
    let (kind, _) = kinds::find("networking.k8s.io", "v1", "servicecidrs").context("no ServiceCIDRs")?;
    let now = timestamp(registry.now());
    let mut edit = |old: &Value| {
        let mut new = old.clone();
        let same = old["spec"]["cidrs"] == json!([facts.service_range]);
        let known = object::list(old, "/status/conditions").iter().any(|condition| condition["type"] == "Ready");
        if !same {
            let (flag, stored) = (&facts.service_range, &old["spec"]["cidrs"]);
            tracing::warn!(flag, %stored, "the default ServiceCIDR does not match --service-cluster-ip-range");
        } else if !known && object::deletion_timestamp(old).is_none() {
            object::set(
                &mut new,
                "/status/conditions",
                json!([{
                    "type": "Ready", "status": "True", "reason": "", "lastTransitionTime": now,
                    "message": "Kubernetes default Service CIDR is ready",
                }]),
            );
        }
        Ok(new)
    };
    let change = Change::of(kind, "", SERVICE_RANGE).target(Target::Status);
    registry.modify(&Call::internal(), &change, &mut edit).await?;
    Ok(())
}

/// How extension API servers learn whom to trust (upstream: clusterauthenticationtrust).
fn authentication(client_ca: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "extension-apiserver-authentication", "namespace": "kube-system"},
        "data": {"client-ca-file": client_ca},
    })
}
