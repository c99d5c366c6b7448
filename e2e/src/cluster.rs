//! One cluster: up, down, asked through clients. When it goes out of scope it is taken down, and nothing may be left of it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use client::{Client, Config, ListOptions};
use k8s_openapi::api::core::v1::Node;
use mkube::layout::{Cluster as Facts, Layout};

use crate::wait::eventually;
use crate::{backing, leftovers, program};

/// What kind of cluster a scenario wants.
#[derive(Debug, Clone)]
pub struct Options {
    /// Worker nodes.
    pub nodes: u8,
    /// Masters: 1, 3 or 5.
    pub servers: u8,
    /// More arguments of components, each `COMPONENT=ARGUMENT`.
    pub component_arguments: Vec<String>,
    /// What it keeps its objects in.
    pub store: backing::Choice,
}

impl Default for Options {
    fn default() -> Self {
        Self { nodes: 2, servers: 1, component_arguments: Vec::new(), store: backing::Choice::default() }
    }
}

/// A running cluster in a directory of its own.
pub struct Cluster {
    program: PathBuf,
    options: Options,
    layout: Layout,
    facts: Facts,
    /// The store it runs on, if it is not its own.
    store: Option<backing::Backing>,
    /// Removed last; kept where `MKUBE_E2E_KEEP` is set.
    dir: Option<tempfile::TempDir>,
    ended: bool,
}

impl Cluster {
    /// Starts a cluster and waits until its nodes are ready.
    ///
    /// # Errors
    /// With what `mkube up` says.
    pub fn start(options: Options) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix("mkube-e2e-").tempdir().context("directory")?;
        let program = program::mkube()?;
        let layout = Layout::new(&dir.path().join("data"))?;
        let store = backing::start(options.store, dir.path())?;
        let up = run_up(&program, &layout, &options, store.as_ref(), Some(0));
        let facts = layout.cluster()?;
        let (Ok(_), Some(facts)) = (&up, facts) else {
            // Whatever it had made before it failed.
            let _ = run(&program, &["down", "--data-dir", &layout.root().display().to_string()]);
            up?;
            bail!("mkube up left no cluster.json");
        };
        Ok(Self { program, options, layout, facts, store, dir: Some(dir), ended: false })
    }

    /// Starts the same cluster again, after a fault or [`Cluster::down`].
    ///
    /// # Errors
    /// With what `mkube up` says.
    pub fn up(&mut self) -> anyhow::Result<()> {
        run_up(&self.program, &self.layout, &self.options, self.store.as_ref(), None)?;
        self.ended = false;
        self.facts = self.layout.cluster()?.context("no cluster.json")?;
        Ok(())
    }

    /// Takes the cluster down; its objects stay in the directory.
    ///
    /// # Errors
    /// With what `mkube down` says, and everything that it left behind.
    pub fn down(&mut self) -> anyhow::Result<()> {
        self.ended = true;
        run(&self.program, &["down", "--data-dir", &self.layout.root().display().to_string()])?;
        let left = leftovers::of(&self.facts.id, self.layout.root());
        ensure!(left.is_empty(), "mkube down left behind:\n{}", left.join("\n"));
        Ok(())
    }

    /// A new client with the administrator's certificate.
    ///
    /// # Errors
    /// When the kubeconfig is damaged.
    pub fn client(&self) -> anyhow::Result<Client> {
        Ok(Client::new(&self.config()?)?)
    }

    /// What the administrator's clients are made of.
    ///
    /// # Errors
    /// When the kubeconfig is damaged.
    pub fn config(&self) -> anyhow::Result<Config> {
        Ok(Config::from_kubeconfig(&self.layout.kubeconfig())?.named("e2e"))
    }

    /// Where its files are.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Its facts: id, address ranges, port.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The members of the store that it runs on; none if that is its own.
    pub fn store(&mut self) -> &mut [store::testing::etcd::Etcd] {
        self.store.as_mut().map_or(&mut [], backing::Backing::members)
    }

    /// The program it runs.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Runs a kubectl against the cluster; its stdout.
    ///
    /// # Errors
    /// With its stderr when it fails.
    pub fn kubectl(&self, kubectl: &Path, arguments: &[&str]) -> anyhow::Result<String> {
        let output = Command::new(kubectl)
            .env("KUBECONFIG", self.layout.kubeconfig())
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .context("running kubectl")?;
        said(&format!("kubectl {}", arguments.join(" ")), output)
    }

    /// Waits until as many nodes as there should be are Ready.
    ///
    /// # Errors
    /// When it takes longer than `within`.
    pub async fn nodes_ready(&self, within: Duration) -> anyhow::Result<()> {
        let client = self.client()?;
        let wanted = usize::from(self.facts.nodes);
        eventually("nodes ready", within, || async {
            let nodes = client.list::<Node>("", &ListOptions::default()).await?;
            let ready = nodes.items.iter().filter(|node| node_condition(node, "Ready") == "True").count();
            ensure!(ready == wanted, "{ready} of {wanted} nodes are ready");
            Ok(())
        })
        .await
    }

    /// The last lines of every component's log, for a failure's message.
    pub fn logs(&self) -> String {
        let entries = std::fs::read_dir(self.layout.root().join("logs")).into_iter().flatten().flatten();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        files.sort();
        let tail = |path: &PathBuf| {
            let text = std::fs::read(path).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            let lines: Vec<&str> = text.lines().filter(|line| !line.contains(" INFO access: ")).collect();
            format!("--- {}\n{}\n", path.display(), lines[lines.len().saturating_sub(15)..].join("\n"))
        };
        files.iter().map(tail).collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let failed = std::thread::panicking();
        if failed || std::env::var_os("MKUBE_E2E_KEEP").is_some() {
            program::say(&self.logs());
        }
        let down = if self.ended { Ok(()) } else { self.down() };
        if std::env::var_os("MKUBE_E2E_KEEP").is_some() {
            let kept = self.dir.take().map(tempfile::TempDir::keep);
            program::say(&format!("kept: {kept:?}"));
        }
        match down {
            Err(error) if failed => program::say(&format!("{error:#}")),
            Err(error) => panic!("{error:#}"),
            Ok(()) => {}
        }
    }
}

/// The status of a node's condition, empty if there is none.
pub fn node_condition<'a>(node: &'a Node, kind: &str) -> &'a str {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions
        .filter(|condition| condition.type_ == kind)
        .map(|condition| condition.status.as_str())
        .next()
        .unwrap_or("")
}

fn run_up(
    program: &Path,
    layout: &Layout,
    options: &Options,
    store: Option<&backing::Backing>,
    port: Option<u16>,
) -> anyhow::Result<String> {
    let (dir, nodes) = (layout.root().display().to_string(), options.nodes.to_string());
    let mut arguments = vec!["up", "--detach", "--data-dir", &dir, "--nodes", &nodes];
    let servers = options.servers.to_string();
    if options.servers != 1 {
        arguments.extend(["--servers", &servers]);
    }
    let etcd = options.store.members()?.map(|program| program.display().to_string());
    if let Some(program) = &etcd {
        arguments.extend(["--etcd", program]);
    }
    let port = port.map(|port| port.to_string());
    if let Some(port) = &port {
        arguments.extend(["--port", port]);
    }
    let endpoints = store.map(backing::Backing::endpoints);
    if let Some(endpoints) = &endpoints {
        arguments.extend(["--store-endpoints", endpoints]);
    }
    for argument in &options.component_arguments {
        arguments.extend(["--component-arg", argument]);
    }
    run(program, &arguments)
}

fn run(program: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    said(&format!("mkube {}", arguments.join(" ")), output.with_context(|| format!("running {}", program.display()))?)
}

fn said(what: &str, output: Output) -> anyhow::Result<String> {
    let stdout = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!("{what}: {}\n{stdout}{}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(stdout.into_owned())
}
