//! What every cluster starts with. Runs at each start and changes only what is missing, so that a person's changes stay
//! (upstream: the post-start hooks of kube-apiserver).
//!
//! | module | what it brings |
//! |---|---|
//! | [`reconcile`] | creates what is missing, adds missing rules and subjects |
//! | [`service`] | the `kubernetes` Service and its endpoints |

pub mod reconcile;
pub mod service;

use std::net::IpAddr;
use std::sync::Arc;

use api::Status;
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::{Value, json};

use crate::auth::defaults;
use crate::registry::Registry;

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
    let mut rest = others;
    rest.extend(defaults::objects());
    rest.extend(facts.client_ca.as_deref().map(authentication));
    all(registry, rest).await?;
    service::reconcile(registry, facts).await?;
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
        "metadata": {"name": "kubernetes"},
        "spec": {"cidrs": [facts.service_range]},
    })
}

/// How extension API servers learn whom to trust (upstream: clusterauthenticationtrust).
fn authentication(client_ca: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "extension-apiserver-authentication", "namespace": "kube-system"},
        "data": {"client-ca-file": client_ca},
    })
}
