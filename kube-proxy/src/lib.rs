//! The data plane of a node.
//!
//! Observe → plan → act: caches of Services, EndpointSlices and Nodes → [`rules::plan`] and [`routes::plan`], pure →
//! [`dataplane::DataPlane::apply`] (nftables, one atomic transaction) and [`routes::apply`] (netlink). Work starts when
//! something changed, never by a clock; what failed is tried again, later each time.

mod conntrack;
pub mod dataplane;
mod nft;
pub mod routes;
pub mod rules;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use tokio::sync::Notify;

use base::Context;
use client::{Cache, Caches, Client, Config, Object};
use dataplane::{DataPlane, Nftables};

/// Flags, named as upstream's kube-proxy names them.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Kubeconfig of the proxy; the pod's own files if absent.
    #[arg(long)]
    pub kubeconfig: Option<PathBuf>,
    /// Name of this node; none on a machine that is no node (a master) but should reach Services.
    #[arg(long, default_value = "")]
    pub hostname_override: String,
    /// Range of pod addresses, e.g. 10.64.0.0/16: what comes from outside it is masqueraded on its way to a Service.
    #[arg(long)]
    pub cluster_cidr: String,
    /// Address of the health and metrics port.
    #[arg(long, default_value = "127.0.0.1:10256")]
    pub healthz_bind_address: SocketAddr,
}

/// Longest wait before what failed is tried again.
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// Runs the proxy until `context` stops. The rules stay in the kernel, so that a restart interrupts nobody.
///
/// # Errors
/// When it cannot start: configuration, `nft` missing, health port taken.
pub async fn run(options: Options, context: Context) -> anyhow::Result<()> {
    let config = Config::load(options.kubeconfig.as_deref())?.named("mkube-proxy");
    let caches = Caches::new(Client::new(&config)?, context.clone());
    let pod_range = options.cluster_cidr.parse().map_err(anyhow::Error::msg).context("--cluster-cidr")?;
    let plane = Nftables::new().await.context("nftables cannot be programmed")?;
    routes::enable_forwarding().context("IP forwarding cannot be enabled")?;

    let synced = Arc::new(AtomicBool::new(false));
    let ready = synced.clone();
    let check: base::health::ReadyCheck = Arc::new(move || match ready.load(Ordering::Relaxed) {
        true => Ok(()),
        false => Err("rules not programmed yet".into()),
    });
    base::health::serve(&context, options.healthz_bind_address, check).await.context("health port")?;

    let state = State {
        services: caches.of(),
        slices: caches.of(),
        nodes: caches.of(),
        node: options.hostname_override,
        pod_range,
    };
    tokio::select! {
        () = state.follow(plane, &synced) => {}
        () = context.stopped() => {}
    }
    context.shutdown(Duration::from_secs(2)).await;
    Ok(())
}

/// What the proxy looks at.
struct State {
    services: Cache<Service>,
    slices: Cache<EndpointSlice>,
    nodes: Cache<Node>,
    node: String,
    pod_range: rules::Range,
}

impl State {
    /// Programs the present state after every change.
    async fn follow(&self, mut plane: impl DataPlane, synced: &AtomicBool) {
        futures::join!(self.services.synced(), self.slices.synced(), self.nodes.synced());
        let changed = Arc::new(Notify::new());
        wake_on_change(&self.services, &changed, |_, _| true);
        wake_on_change(&self.slices, &changed, |_, _| true);
        // Nodes report their health every few seconds; only addresses and ranges matter here.
        wake_on_change(&self.nodes, &changed, |old, new| routes::relevant(old) != routes::relevant(new));
        let mut wait = Duration::from_millis(100);
        loop {
            match self.sync(&mut plane).await {
                Ok(()) => {
                    synced.store(true, Ordering::Relaxed);
                    wait = Duration::from_millis(100);
                    changed.notified().await;
                }
                Err(error) => {
                    tracing::warn!(error = format!("{error:#}"), "data plane not programmed");
                    let _ = tokio::time::timeout(wait, changed.notified()).await;
                    wait = (wait * 2).min(LONGEST_RETRY);
                }
            }
        }
    }

    async fn sync(&self, plane: &mut impl DataPlane) -> anyhow::Result<()> {
        let nodes = self.nodes.list();
        let wanted = rules::plan(&self.services.list(), &self.slices.list(), &nodes, self.pod_range);
        plane.apply(&wanted).await.context("services")?;
        routes::apply(&routes::plan(&nodes, &self.node)).await.context("routes")
    }
}

fn wake_on_change<K: Object>(cache: &Cache<K>, changed: &Arc<Notify>, matters: fn(Option<&K>, Option<&K>) -> bool) {
    let changed = changed.clone();
    cache.observe(move |change| {
        if matters(change.old().map(Arc::as_ref), change.new().map(Arc::as_ref)) {
            changed.notify_one();
        }
    });
}
