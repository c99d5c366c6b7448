//! The controllers: each compares what is wanted with what is there, and writes the difference.
//!
//! Each lives in a module of its own: a reconciler (observe and act) and, where there is something to decide, a pure
//! `plan.rs`. [`CONTROLLERS`] is the table of them. A controller that has found its work done sleeps until something
//! changes: there are no resync loops.

mod claims;
mod deployment;
mod disruption;
mod endpoints;
mod garbage;
mod namespace;
mod node_ipam;
mod node_lifecycle;
mod pod_gc;
mod pods;
mod replicaset;
mod resources;
mod root_ca;
mod service_account;
mod taint_eviction;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use base::Context;
use client::events::Recorder;
use client::leader::{self, Election};
use client::{Caches, Client, Config};

/// Flags, named as upstream's kube-controller-manager names them.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Kubeconfig of the controllers; the pod's own files if absent.
    #[arg(long)]
    pub kubeconfig: Option<PathBuf>,
    /// Work only while holding a lease, so that several managers can stand by.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    pub leader_elect: bool,
    /// Who we are in the election: stable over restarts, unique among candidates.
    #[arg(long, default_value = "mkube-controller-manager")]
    pub leader_elect_identity: String,
    /// Range of pod addresses, from which each node gets a part.
    #[arg(long)]
    pub cluster_cidr: Option<String>,
    /// Bits of a node's part.
    #[arg(long, default_value_t = 24)]
    pub node_cidr_mask_size: u8,
    /// Certificate that every namespace gets as ConfigMap kube-root-ca.crt.
    #[arg(long)]
    pub root_ca_file: Option<PathBuf>,
    /// How long a node may be silent before it counts as unreachable, in seconds.
    #[arg(long, default_value_t = 40)]
    pub node_monitor_grace_period_seconds: u64,
    /// How many ended pods may stay before the oldest are removed.
    #[arg(long, default_value_t = 12_500)]
    pub terminated_pod_gc_threshold: usize,
    /// Address of the health and metrics port.
    #[arg(long, default_value = "127.0.0.1:10257")]
    pub health_bind_address: SocketAddr,
}

/// What every controller is given.
pub(crate) struct Setup {
    pub(crate) options: Options,
    pub(crate) context: Context,
    pub(crate) client: Client,
    pub(crate) caches: Caches,
}

impl Setup {
    /// An event recorder for a controller, e.g. `deployment-controller`.
    pub(crate) fn recorder(&self, component: &str) -> Recorder {
        Recorder::new(&self.context, self.client.clone(), component, "")
    }
}

/// Starts a controller in the setup's context.
///
/// # Errors
/// When its options are unusable.
type Start = fn(&Setup) -> anyhow::Result<()>;

/// The table of controllers: upstream's name, and how to start it.
const CONTROLLERS: &[(&str, Start)] = &[
    ("deployment-controller", deployment::start),
    ("disruption-controller", disruption::start),
    ("endpointslice-controller", endpoints::start),
    ("garbage-collector-controller", garbage::start),
    ("namespace-controller", namespace::start),
    ("node-ipam-controller", node_ipam::start),
    ("node-lifecycle-controller", node_lifecycle::start),
    ("pod-garbage-collector-controller", pod_gc::start),
    ("replicaset-controller", replicaset::start),
    ("root-ca-certificate-publisher-controller", root_ca::start),
    ("serviceaccount-controller", service_account::start),
    ("taint-eviction-controller", taint_eviction::start),
];

/// Runs all controllers until `context` stops.
///
/// # Errors
/// When they cannot start, or the lease is lost.
pub async fn run(options: Options, context: Context) -> anyhow::Result<()> {
    let config = Config::load(options.kubeconfig.as_deref())?.named("mkube-controller-manager");
    let client = Client::new(&config)?;
    base::health::serve(&context, options.health_bind_address, Arc::new(|| Ok(()))).await.context("health port")?;
    let election = Election {
        namespace: "kube-system".into(),
        name: "kube-controller-manager".into(),
        identity: options.leader_elect_identity.clone(),
    };
    if options.leader_elect {
        let work = |term: Context| {
            let (client, options) = (client.clone(), options.clone());
            async move {
                match start_all(&client, options, &term) {
                    Ok(()) => term.stopped().await,
                    Err(error) => tracing::error!(error = format!("{error:#}"), "cannot start"),
                }
            }
        };
        leader::run(&context, &client, &election, work).await?;
    } else {
        start_all(&client, options, &context)?;
        context.stopped().await;
    }
    context.shutdown(Duration::from_secs(2)).await;
    Ok(())
}

fn start_all(client: &Client, options: Options, context: &Context) -> anyhow::Result<()> {
    let caches = Caches::new(client.clone(), context.clone());
    let setup = Setup { options, context: context.clone(), client: client.clone(), caches };
    for (name, start) in CONTROLLERS {
        start(&setup).with_context(|| format!("controller {name}"))?;
    }
    Ok(())
}
