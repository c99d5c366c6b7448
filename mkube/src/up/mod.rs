//! `mkube up`: a cluster of separate processes on this machine, until a signal or `mkube down` ends it.

mod certificates;
mod prerequisites;
mod store;
mod supervise;
pub(crate) mod units;
mod wait;

pub(crate) use wait::is_ready as node_is_ready;

use std::io::{IsTerminal, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use base::Context;
use kube_proxy::rules::Range;

use crate::down;
use crate::layout::{Cluster, Layout, Lock};
use crate::net::cidr::Ranges;
use crate::net::{self, namespace};
use crate::topology;

/// Flags of `mkube up`.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Number of worker nodes (1 to 50; by default 3, or what the existing cluster has).
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=50))]
    pub nodes: Option<u8>,
    /// Number of masters: 1, 3 or 5, each with an API server, a member of the store, a scheduler and a controller manager (by
    /// default 1, or what the existing cluster has, which cannot change).
    #[arg(long, value_parser = servers)]
    pub servers: Option<u8>,
    /// Keep the objects in etcd, one member per master, run by this program, and not in mkube's own store; a cluster keeps what
    /// it began with.
    #[arg(long, value_name = "PROGRAM")]
    pub etcd: Option<PathBuf>,
    /// Container runtime: process (host executables; no images).
    #[arg(long, value_parser = ["process"])]
    pub runtime: Option<String>,
    /// Directory of the cluster.
    #[arg(long, default_value = ".mkube")]
    pub data_dir: PathBuf,
    /// Port of the API server on this host's loopback address; 0 = any free one (by default 6443, or the one of the
    /// existing cluster).
    #[arg(long)]
    pub port: Option<u16>,
    /// The store that the objects are in, instead of one of the cluster's own: an etcd or mkube-store, as this host reaches it.
    #[command(flatten)]
    pub store: store::Flags,
    /// Return once the cluster is ready; it goes on in the background until `mkube down`.
    #[arg(long)]
    pub detach: bool,
    /// Apply this file once the cluster is ready, and wait until its Deployments are; may be given several times.
    #[arg(long)]
    pub manifest: Vec<PathBuf>,
    /// One more argument for a component, e.g. `controller-manager=--node-monitor-grace-period=10s`; may be given
    /// several times. Not remembered: give it again when the cluster is started again.
    #[arg(long, value_name = "COMPONENT=ARGUMENT", value_parser = component_argument)]
    pub component_arg: Vec<(String, String)>,
    /// The process that a detached `up` leaves behind.
    #[arg(long, hide = true)]
    pub background: bool,
}

fn servers(text: &str) -> Result<u8, String> {
    text.parse().ok().filter(|number| matches!(number, 1 | 3 | 5)).ok_or_else(|| "not 1, 3 or 5".into())
}

fn component_argument(text: &str) -> Result<(String, String), String> {
    let (component, argument) = text.split_once('=').ok_or("not COMPONENT=ARGUMENT")?;
    Ok((component.to_string(), argument.to_string()))
}

/// How long the API server and the nodes may take.
const READY: Duration = Duration::from_secs(60);

/// Runs `mkube up`.
///
/// # Errors
/// With a sentence that says what is missing or in the way.
pub fn run(options: &Options) -> anyhow::Result<()> {
    if options.detach && !options.background {
        return detach(options);
    }
    let begun = Instant::now();
    if options.background {
        rustix::process::setsid().context("leaving the terminal")?;
    }
    prerequisites::check()?;
    let layout = Layout::new(&options.data_dir)?;
    layout.create()?;
    let lock = layout.lock()?;
    let turn = take_turn()?;
    let cluster = found_or_new(&layout, options)?;
    topology::make_switch(&cluster)?;
    drop(turn);
    // One thread: the supervisor's death is heard by its children through the thread that started them.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(live(options, layout, cluster, lock, begun))
}

/// Starts this very command again in the background and shows what it says until it is ready.
fn detach(options: &Options) -> anyhow::Result<()> {
    use std::process::{Command, Stdio};
    let layout = Layout::new(&options.data_dir)?;
    layout.create()?;
    let log = layout.log("mkube");
    let stderr = std::fs::OpenOptions::new().create(true).append(true).open(&log).context("opening the log")?;
    let length = stderr.metadata().map(|meta| meta.len()).unwrap_or(0);
    let mut child = Command::new("/proc/self/exe")
        .args(std::env::args_os().skip(1))
        .arg("--background")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(stderr)
        .spawn()
        .context("starting in the background")?;
    let mut said = child.stdout.take().context("no output")?;
    std::io::copy(&mut said, &mut std::io::stdout()).context("showing progress")?;
    // The pipe closes when the cluster is ready, or when the process has ended.
    // A file of another process says nothing: of the one that runs this cluster already, or of one that was killed.
    let ready = std::fs::read_to_string(layout.pid("ready")).unwrap_or_default();
    if ready.trim() == child.id().to_string() {
        return Ok(());
    }
    let status = child.wait().context("waiting")?;
    let text = std::fs::read(&log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text[usize::try_from(length)?.min(text.len())..]).into_owned();
    let last = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("no reason given");
    bail!("{} ({status}; see {})", last.trim_start_matches("error: "), log.display())
}

/// One `up` at a time on this machine chooses address ranges, until its routes tell the next one what is taken.
fn take_turn() -> anyhow::Result<std::fs::File> {
    let path = "/run/mkube.lock";
    let file = std::fs::OpenOptions::new().create(true).truncate(false).write(true).open(path);
    let file = file.with_context(|| format!("opening {path}"))?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).with_context(|| format!("locking {path}"))?;
    Ok(file)
}

fn found_or_new(layout: &Layout, options: &Options) -> anyhow::Result<Cluster> {
    let cluster = match layout.cluster()? {
        Some(mut cluster) => {
            ranges_still_free(layout, &cluster)?;
            if let Some(nodes) = options.nodes {
                ensure!(
                    nodes >= cluster.nodes,
                    "the cluster in {} has {} nodes; it cannot shrink to {nodes}",
                    layout.root().display(),
                    cluster.nodes
                );
                cluster.nodes = nodes;
            }
            if let Some(servers) = options.servers {
                let (dir, has) = (layout.root().display(), cluster.servers);
                ensure!(servers == has, "the cluster in {dir} has {has} masters; that cannot change to {servers}");
            }
            if options.etcd.is_some() {
                ensure!(options.etcd == cluster.etcd, "the cluster in {} has another store", layout.root().display());
            }
            if let Some(runtime) = &options.runtime {
                cluster.runtime.clone_from(runtime);
            }
            if let Some(port) = options.port.filter(|port| *port != 0) {
                cluster.port = port;
            }
            cluster.store = options.store.again(cluster.store)?;
            cluster
        }
        None => Cluster {
            id: format!("{:06x}", rand::random::<u32>() & 0xff_ffff),
            nodes: options.nodes.unwrap_or(3),
            servers: options.servers.unwrap_or(1),
            etcd: options.etcd.as_deref().map(std::path::absolute).transpose().context("--etcd")?,
            runtime: options.runtime.clone().unwrap_or_else(|| "process".into()),
            port: options.port.unwrap_or(6443),
            ranges: free_ranges()?,
            store: options.store.chosen()?,
        },
    };
    let cluster = Cluster { port: free_port(cluster.port)?, ..cluster };
    layout.keep(&cluster)?;
    Ok(cluster)
}

/// A cluster keeps its addresses for life: while it was down, another one may have taken them.
fn ranges_still_free(layout: &Layout, cluster: &Cluster) -> anyhow::Result<()> {
    let device = cluster.host_device();
    let connected = namespace::on_thread(move || {
        Ok(net::with_netlink(|handle| async move { Ok(net::has_link(&handle, &device).await) }))
    })??;
    ensure!(
        connected || !cluster.ranges.overlap(&taken_ranges()?),
        "the address ranges of the cluster in {} are in use on this machine ({}, {}, {}): end the cluster that has them",
        layout.root().display(),
        cluster.ranges.pods,
        cluster.ranges.services,
        cluster.ranges.nodes
    );
    Ok(())
}

fn taken_ranges() -> anyhow::Result<Vec<Range>> {
    namespace::on_thread(|| Ok(net::with_netlink(|handle| async move { net::routed_ranges(&handle).await })))?
}

fn free_ranges() -> anyhow::Result<Ranges> {
    Ranges::choose(&taken_ranges()?)
        .context("no free address ranges below 10.0.0.0/8: are there 56 clusters on this machine?")
}

fn free_port(port: u16) -> anyhow::Result<u16> {
    match TcpListener::bind(("127.0.0.1", port)) {
        Ok(listener) => Ok(listener.local_addr()?.port()),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            bail!("port {port} on 127.0.0.1 is in use; choose another with --port, or any free one with --port 0")
        }
        Err(error) => Err(error).with_context(|| format!("port {port} on 127.0.0.1")),
    }
}

/// The cluster's life.
async fn live(options: &Options, layout: Layout, cluster: Cluster, lock: Lock, begun: Instant) -> anyhow::Result<()> {
    base::logging::init("info", base::logging::Format::Text);
    let context = Context::until_signal()?;
    let layout = Arc::new(layout);
    let mut say = Progress::new(begun);
    say.line(&format!("cluster {} in {}", cluster.id, layout.root().display()));
    for node in cluster.node_names() {
        std::fs::create_dir_all(layout.manifests(&node)).context("making the node's directories")?;
    }
    certificates::make(&layout, &cluster)?;
    start(options, &layout, &cluster, &context).await?;
    let ranges = &cluster.ranges;
    say.step(&format!("network ready: nodes {}, pods {}, services {}", ranges.nodes, ranges.pods, ranges.services));

    let outcome = tokio::select! {
        outcome = announce(options, &layout, &cluster, &mut say) => outcome,
        () = context.stopped() => Ok(()),
    };
    if outcome.is_ok() && !context.is_stopped() {
        base::files::write_atomic(&layout.pid("ready"), std::process::id().to_string().as_bytes(), 0o600)?;
        say.close();
        context.stopped().await;
    }
    let _ = std::fs::remove_file(layout.pid("ready"));
    context.shutdown(Duration::from_secs(15)).await;
    let removed = down::remove_remains(&layout, &cluster);
    drop(lock);
    outcome.and(removed)
}

/// Connects the members of the cluster and starts what runs on them. The masters come first: the API servers start while
/// the nodes are being connected.
async fn start(options: &Options, layout: &Arc<Layout>, cluster: &Cluster, context: &Context) -> anyhow::Result<()> {
    let executable = Arc::new(std::env::current_exe().context("own executable")?);
    let mut units = units::plan(layout, cluster).map_err(anyhow::Error::msg)?.into_iter().peekable();
    let mut sockets = supervise::Sockets::default();
    for (member, address) in topology::members(cluster) {
        topology::connect(cluster, &member, address)?;
        let namespace = cluster.namespace(&member);
        while let Some(mut unit) = units.next_if(|unit| unit.launch.namespace.as_ref() == Some(&namespace)) {
            unit.extend(&options.component_arg);
            let socket = sockets.of(&unit).await?;
            let kept = supervise::keep(unit, socket, layout.clone(), executable.clone(), context.clone());
            context.spawn_graceful("unit", kept);
        }
        // What was spawned starts now: connecting the next member blocks this thread.
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// Waits until everything is ready, and says so.
async fn announce(options: &Options, layout: &Layout, cluster: &Cluster, say: &mut Progress) -> anyhow::Result<()> {
    let config = client::Config::from_kubeconfig(&layout.kubeconfig())?.named("mkube");
    let client = client::Client::new(&config)?;
    wait::api_server(&client, READY).await?;
    let what =
        if cluster.servers == 1 { "API server".into() } else { format!("{} API servers, the first", cluster.servers) };
    say.step(&format!("{what} ready at https://127.0.0.1:{}", cluster.port));
    wait::nodes(&client, &cluster.node_names(), READY).await?;
    say.step(&format!("{} of {} nodes ready", cluster.nodes, cluster.nodes));
    for manifest in &options.manifest {
        wait::apply(layout, manifest).await?;
    }
    if !options.manifest.is_empty() {
        wait::deployments(&client, READY).await?;
        say.step("manifests applied, deployments available");
    }
    say.line("");
    say.line(&format!("kubeconfig: {}", layout.kubeconfig().display()));
    let program = std::env::current_exe().map(|path| path.display().to_string()).unwrap_or_else(|_| "mkube".into());
    say.line(&format!("try:        export KUBECONFIG={}", layout.kubeconfig().display()));
    say.line(&format!("            {program} kubectl get nodes -o wide"));
    for (name, url) in wait::urls(&client).await? {
        say.line(&format!("            curl {url}   # Service {name}"));
    }
    say.line(&format!("            {program} down --data-dir {}", layout.root().display()));
    Ok(())
}

/// Tells people how far it is.
struct Progress {
    begun: Instant,
    terminal: bool,
}

impl Progress {
    fn new(begun: Instant) -> Self {
        Self { begun, terminal: std::io::stdout().is_terminal() }
    }

    fn step(&mut self, text: &str) {
        let mark = if self.terminal { "\u{1b}[32m✓\u{1b}[0m" } else { "✓" };
        self.line(&format!("{mark} {:5.2} s  {text}", self.begun.elapsed().as_secs_f64()));
    }

    #[allow(clippy::unused_self)]
    fn line(&mut self, text: &str) {
        // Whoever watched may have gone; the cluster goes on.
        let _ = writeln!(std::io::stdout(), "{text}");
        let _ = std::io::stdout().flush();
    }

    /// Nothing more to say: whoever reads our output through a pipe learns it by the pipe's end.
    fn close(&mut self) {
        if !self.terminal
            && let Ok(null) = std::fs::OpenOptions::new().write(true).open("/dev/null")
        {
            let _ = rustix::stdio::dup2_stdout(null);
        }
    }
}
