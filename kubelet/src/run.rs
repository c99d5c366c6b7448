//! Puts the kubelet together: runtime, API, sources, node, server. Everything runs in the given context until it stops;
//! containers stay, the next kubelet adopts them.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use base::{Clock, Context, SystemClock};
use client::events::Recorder;
use client::{Caches, Client, Config, ListOptions};
use k8s_openapi::api::core::v1::{Node as NodeObject, Pod, Service};
use tokio::sync::watch;

use crate::cluster::{Cluster, Standalone};
use crate::cluster_api::ApiCluster;
use crate::node::Node;
use crate::node::object::Description;
use crate::node::status::{Reporter, SetPodCidr};
use crate::node::{lease, machine::Machine};
use crate::options::Options;
use crate::pods::manager::Manager;
use crate::pods::pressure::Monitor;
use crate::process::{ProcessOptions, ProcessRuntime};
use crate::runtime::Runtime;
use crate::server;
use crate::sources::{api, directory::Directory, directory::StaticPods, mirror};
use crate::volumes::network_files::ClusterDns;
use crate::volumes::paths::Paths;
use crate::{pod, resources};

/// How long tasks have to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the kubelet stands on; tests bring their own.
pub struct Parts {
    /// Runs containers.
    pub runtime: Arc<dyn Runtime>,
    /// Tells it which addresses pods get; `None` = it needs none.
    pub set_pod_cidr: Option<SetPodCidr>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Runs the kubelet until `context` stops.
///
/// # Errors
/// When it cannot start: no root, a bad flag, a port in use.
pub async fn run(options: Options, context: Context) -> anyhow::Result<()> {
    std::fs::create_dir_all(&options.root_dir)
        .with_context(|| format!("making the root directory {}", options.root_dir.display()))?;
    let name = node_name(&options);
    let parts = match options.container_runtime.as_str() {
        "process" => process_runtime(&options, &name).await?,
        other => anyhow::bail!("invalid value {other:?} for --container-runtime: this kubelet has: process"),
    };
    run_with(options, context, parts).await
}

async fn process_runtime(options: &Options, name: &str) -> anyhow::Result<Parts> {
    let group = options.cgroup_root.clone().unwrap_or_else(|| format!("mkubelet-{name}"));
    let mut process = ProcessOptions::new(options.root_dir.join("runtime"), group, name);
    process.hide = options.hide.clone();
    process.hide.push(options.root_dir.clone());
    let runtime = ProcessRuntime::new(process).await.map_err(|error| anyhow::anyhow!("{error}"))?;
    let network = runtime.clone();
    let file = options.root_dir.join("pod-cidr");
    // Remembered: static pods must start after a reboot while the API server, maybe one of them, is still down.
    if let Ok(last) = std::fs::read_to_string(&file)
        && let Err(error) = runtime.set_pod_cidr(last.trim())
    {
        tracing::warn!(%error, file = %file.display(), "remembered pod CIDR not used");
    }
    let set_pod_cidr: SetPodCidr = Arc::new(move |cidr| {
        network.set_pod_cidr(cidr).map_err(|error| error.to_string())?;
        base::files::write_atomic(&file, cidr.as_bytes(), 0o644).map_err(|error| error.to_string())
    });
    Ok(Parts { runtime, set_pod_cidr: Some(set_pod_cidr), clock: SystemClock::shared() })
}

/// The same on a given runtime and clock.
///
/// # Errors
/// As [`run`].
pub async fn run_with(options: Options, context: Context, parts: Parts) -> anyhow::Result<()> {
    let name = node_name(&options);
    let client = match &options.kubeconfig {
        Some(path) => Some(Client::new(&Config::load(Some(path))?.named("mkubelet"))?),
        None => None,
    };
    let listener = server::listen(SocketAddr::new(options.address, options.port)).await?;
    let port = listener.local_addr()?.port();
    let description = Arc::new(describe(&options, &name, port, &*parts.runtime)?);
    let recorder = match &client {
        Some(client) => Recorder::new(&context, client.clone(), "kubelet", &name),
        None => Recorder::discard(),
    };
    let caches = client.clone().map(|client| Caches::new(client, context.clone()));
    if let (None, Some(cidr), Some(set)) = (&client, &options.pod_cidr, &parts.set_pod_cidr) {
        set(cidr).map_err(|error| anyhow::anyhow!("invalid value {cidr:?} for --pod-cidr: {error}"))?;
    }
    let cluster: Arc<dyn Cluster> = match (&client, &caches) {
        (Some(client), Some(caches)) => {
            let services = caches.of::<Service>();
            Arc::new(ApiCluster::new(client.clone(), context.clone(), services, recorder.clone()))
        }
        _ => Arc::new(Standalone),
    };
    let node = Arc::new(Node {
        runtime: parts.runtime.clone(),
        cluster,
        clock: parts.clock.clone(),
        paths: Paths::new(std::fs::canonicalize(&options.root_dir)?),
        name: name.clone(),
        ips: description.ips.clone(),
        allocatable: description.allocatable_milli(),
        memory: description.memory,
        dns: ClusterDns { servers: options.cluster_dns.clone(), domain: options.cluster_domain.clone() },
    });
    let manager = Manager::new(node, context.clone());
    context.spawn("runtime-events", manager.clone().follow_runtime());
    let statics = follow_directory(&options, &context, &name, &parts, &manager);
    let (ready, api_ready) = watch::channel(caches.is_none());
    if let (Some(client), Some(caches)) = (&client, &caches) {
        let selector = ListOptions::fields(format!("spec.nodeName={name}"));
        let pods = caches.selected::<Pod>("", selector);
        let own = caches.selected::<NodeObject>("", ListOptions::fields(format!("metadata.name={name}")));
        context.spawn("pods", api::follow(pods.clone(), manager.clone(), ready));
        context.spawn("mirrors", mirror::run(client.clone(), pods, own.clone(), name.clone(), statics.clone()));
        let (registered, is_registered) = watch::channel(false);
        let poke = manager.clone();
        let reporter = Reporter {
            client: client.clone(),
            cache: own.clone(),
            clock: parts.clock.clone(),
            description,
            set_pod_cidr: parts.set_pod_cidr,
            network_ready: Box::new(move || poke.retry_all()),
            pressures: manager.pressures().clone(),
            registered,
            recorder: recorder.clone(),
            frequency: options.node_status_update_frequency,
        };
        context.spawn("node-status", reporter.run(context.clone()));
        let key = client::Key::new("", &name);
        let known = move || own.get(&key);
        context.spawn("lease", lease::run(client.clone(), parts.clock, name.clone(), known, is_registered));
    }
    let monitor = Monitor {
        manager: manager.clone(),
        settings: options.eviction().map_err(|error| anyhow::anyhow!("{error}"))?,
        recorder,
    };
    context.spawn("eviction", monitor.run());
    context.spawn("orphans", remove_orphans(manager.clone(), api_ready, statics));
    server::serve(&context, listener, &options, &name, manager, client).await?;
    context.run_to_end(PATIENCE).await;
    Ok(())
}

fn node_name(options: &Options) -> String {
    let host = || rustix::system::uname().nodename().to_string_lossy().to_lowercase();
    options.hostname_override.clone().filter(|n| !n.is_empty()).unwrap_or_else(host)
}

/// The address from which the default route leaves; nothing is sent.
fn default_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|ip| !ip.is_unspecified())
}

fn describe(options: &Options, name: &str, port: u16, runtime: &dyn Runtime) -> anyhow::Result<Description> {
    let machine = Machine::read(&options.root_dir);
    let parts = options.capacity_divide.max(1);
    let flag = |text: &Option<String>, what: &str| match text {
        None => Ok(None),
        Some(text) => match resources::parse_milli(text).and_then(|m| u64::try_from(m).ok()) {
            Some(milli) => Ok(Some(milli)),
            None => Err(anyhow::anyhow!("invalid value {text:?} for {what}: not a quantity")),
        },
    };
    let ips =
        if options.node_ip.is_empty() { default_address().into_iter().collect() } else { options.node_ip.clone() };
    Ok(Description {
        name: name.into(),
        hostname: name.into(),
        ips,
        labels: options.labels(),
        taints: options.register_with_taints.clone(),
        cpu_milli: flag(&options.node_cpu, "--node-cpu")?.unwrap_or(machine.cpu_milli / parts),
        memory: flag(&options.node_memory, "--node-memory")?.map_or(machine.memory / parts, |milli| milli / 1000),
        storage: machine.storage / parts,
        machine,
        max_pods: options.max_pods,
        port,
        runtime_version: runtime.version(),
    })
}

/// Starts following the directory of static pods; tells the manager what appears and goes.
fn follow_directory(
    options: &Options,
    context: &Context,
    name: &str,
    parts: &Parts,
    manager: &Manager,
) -> watch::Receiver<Option<StaticPods>> {
    let Some(path) = options.pod_manifest_path.clone() else {
        return watch::channel(Some(StaticPods::new())).1;
    };
    let (sender, receiver) = watch::channel(None);
    context.spawn("manifests", Directory::new(path, name.into(), parts.clock.clone()).follow(sender));
    let (mut changes, manager) = (receiver.clone(), manager.clone());
    context.spawn("static-pods", async move {
        let mut before = StaticPods::new();
        loop {
            let now = changes.borrow_and_update().clone().unwrap_or_default();
            before.keys().filter(|uid| !now.contains_key(*uid)).for_each(|uid| manager.gone(uid));
            now.iter().filter(|(uid, _)| !before.contains_key(*uid)).for_each(|(_, p)| manager.update(p.clone()));
            before = now;
            if changes.changed().await.is_err() {
                return;
            }
        }
    });
    receiver
}

/// What no source knows is removed once all sources have spoken: before, a slow API server would cost running pods.
async fn remove_orphans(
    manager: Manager,
    mut api: watch::Receiver<bool>,
    mut statics: watch::Receiver<Option<StaticPods>>,
) {
    if api.wait_for(|ready| *ready).await.is_err() || statics.wait_for(Option::is_some).await.is_err() {
        return;
    }
    // The static pods are handed over by another task.
    let known = statics.borrow().clone().unwrap_or_default();
    for pod in known.into_values().filter(|p| pod::is_static(p)) {
        manager.update(pod);
    }
    manager.remove_orphans().await;
}
