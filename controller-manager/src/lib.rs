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
mod service_cidrs;
mod taint_eviction;
#[cfg(test)]
mod testing;
mod writes;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use api::duration::parse_flag;
use base::{Clock, Context, SystemClock};
use client::component::{self, Component};
use client::events::Recorder;
use client::{Caches, Client};

/// Flags, named as upstream's kube-controller-manager names them.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// What it shares with other components.
    #[command(flatten)]
    pub component: component::Flags,
    /// Controllers to run: `*` is all of them, `foo` the one named so, `-foo` all but that one.
    #[arg(long, default_value = "*", value_delimiter = ',', allow_hyphen_values = true)]
    pub controllers: Vec<String>,
    /// Range of pod addresses, from which each node gets a part.
    #[arg(long)]
    pub cluster_cidr: Option<String>,
    /// Bits of a node's part.
    #[arg(long, default_value_t = 24)]
    pub node_cidr_mask_size: u8,
    /// Certificate that every namespace gets as ConfigMap kube-root-ca.crt.
    #[arg(long)]
    pub root_ca_file: Option<PathBuf>,
    /// How long a node may be silent before it counts as unreachable.
    #[arg(long, default_value = "50s", value_parser = parse_flag)]
    pub node_monitor_grace_period: Duration,
    /// How long a node that starts may be silent before it counts as unreachable.
    #[arg(long, default_value = "1m0s", value_parser = parse_flag)]
    pub node_startup_grace_period: Duration,
    /// How many silent nodes per second lose their pods in a zone that is well.
    #[arg(long, default_value_t = 0.1)]
    pub node_eviction_rate: f64,
    /// The same in a large zone that is partly cut off; a small one loses none then.
    #[arg(long, default_value_t = 0.01)]
    pub secondary_node_eviction_rate: f64,
    /// A zone with more nodes than this is large.
    #[arg(long, default_value_t = 50)]
    pub large_cluster_size_threshold: usize,
    /// From this part of silent nodes on, and from three, a zone counts as partly cut off.
    #[arg(long, default_value_t = 0.55)]
    pub unhealthy_zone_threshold: f64,
    /// How many ended pods may stay before the oldest are removed; 0: all of them.
    #[arg(long, default_value_t = 12_500)]
    pub terminated_pod_gc_threshold: usize,
}

const COMPONENT: Component =
    Component { name: "mkube-controller-manager", lease: "kube-controller-manager", health_port: 10257 };

/// What every controller is given.
pub(crate) struct Setup {
    pub(crate) options: Options,
    pub(crate) context: Context,
    pub(crate) client: Client,
    pub(crate) caches: Caches,
    /// Wall time; where it is measured, tokio's is used.
    pub(crate) clock: Arc<dyn Clock>,
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
    ("service-cidr-controller", service_cidrs::start),
    ("serviceaccount-controller", service_account::start),
    ("taint-eviction-controller", taint_eviction::start),
];

/// Runs the controllers until `context` stops.
///
/// # Errors
/// When they cannot start, or the lease is lost.
pub async fn run(options: Options, context: Context) -> anyhow::Result<()> {
    let shared = options.component.clone();
    component::run(COMPONENT, &shared, &context, |client, term| async move {
        start(&client, options, SystemClock::shared(), &term)?;
        term.stopped().await;
        Ok(())
    })
    .await
}

/// Starts the controllers that `options` names in `context`; returns at once.
///
/// # Errors
/// When an option is unusable.
pub fn start(client: &Client, options: Options, clock: Arc<dyn Clock>, context: &Context) -> anyhow::Result<()> {
    let chosen = chosen(&options.controllers)?;
    let caches = Caches::new(client.clone(), context.clone());
    let setup = Setup { options, context: context.clone(), client: client.clone(), caches, clock };
    for (name, start) in chosen {
        start(&setup).with_context(|| format!("controller {name}"))?;
    }
    Ok(())
}

/// The rows of the table that `--controllers` names (upstream: genericcontrollermanager.IsControllerEnabled).
fn chosen(named: &[String]) -> anyhow::Result<Vec<&'static (&'static str, Start)>> {
    for name in named.iter().map(|name| name.strip_prefix('-').unwrap_or(name)) {
        ensure!(
            name == "*" || CONTROLLERS.iter().any(|(known, _)| *known == name),
            "\"{name}\" is not in the list of known controllers"
        );
    }
    let is_chosen = |name: &str| {
        let first = named.iter().find(|said| said.strip_prefix('-').unwrap_or(said) == name);
        first.map_or_else(|| named.iter().any(|said| said == "*"), |said| !said.starts_with('-'))
    };
    Ok(CONTROLLERS.iter().filter(|(name, _)| is_chosen(name)).collect())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        options: Options,
    }

    fn parse(flags: &[&str]) -> Options {
        Cli::parse_from(["test"].iter().chain(flags)).options
    }

    #[test]
    fn flags_have_upstreams_names_and_defaults() {
        let options = parse(&[]);
        assert_eq!(options.node_monitor_grace_period, Duration::from_secs(50));
        assert_eq!(options.node_startup_grace_period, Duration::from_secs(60));
        assert_eq!((options.terminated_pod_gc_threshold, options.node_cidr_mask_size), (12_500, 24));
        let options = parse(&["--node-monitor-grace-period=1m30s"]);
        assert_eq!(options.node_monitor_grace_period, Duration::from_secs(90));
    }

    #[test]
    fn controllers_are_chosen_as_upstream_chooses_them() {
        let names = |flag: &str| -> Result<Vec<&str>, String> {
            let chosen = chosen(&parse(&[&format!("--controllers={flag}")]).controllers);
            chosen.map(|rows| rows.iter().map(|(name, _)| *name).collect()).map_err(|error| error.to_string())
        };
        assert_eq!(names("*").unwrap().len(), CONTROLLERS.len());
        assert_eq!(names("namespace-controller").unwrap(), ["namespace-controller"]);
        let all_but_two = names("*,-namespace-controller,-replicaset-controller").unwrap();
        assert_eq!(all_but_two.len(), CONTROLLERS.len() - 2);
        assert!(!all_but_two.contains(&"namespace-controller"));
        // The first word about a controller counts.
        assert_eq!(names("replicaset-controller,-replicaset-controller").unwrap(), ["replicaset-controller"]);
        assert_eq!(names("-replicaset-controller,replicaset-controller").unwrap(), [""; 0]);
        assert_eq!(names("-replicaset-controller").unwrap(), [""; 0]);
        assert_eq!(names("nobody").unwrap_err(), "\"nobody\" is not in the list of known controllers");
    }
}
