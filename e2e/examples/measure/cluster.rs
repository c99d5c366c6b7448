//! One cluster under measurement: up, down, its clients, what its processes use.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use client::{Client, Config};
use tokio::process::{Child, Command};
use tokio::time::Instant;

/// How long anything that should take about a second may take.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A running cluster. Dropped without `down`, it is ended all the same.
pub struct Cluster {
    program: PathBuf,
    dir: PathBuf,
    ended: bool,
}

impl Cluster {
    /// Starts `mkube up` and returns at once.
    pub fn start(program: &Path, dir: &Path, nodes: u8) -> anyhow::Result<(Self, Child)> {
        let child = Command::new(program)
            .args(["up", "--detach", "--port", "0", "--nodes", &nodes.to_string(), "--data-dir"])
            .arg(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("starting mkube up")?;
        Ok((Self { program: program.into(), dir: dir.into(), ended: false }, child))
    }

    /// Starts a cluster and waits until it says that it is ready.
    pub async fn up(program: &Path, dir: &Path, nodes: u8) -> anyhow::Result<Self> {
        let (cluster, mut up) = Self::start(program, dir, nodes)?;
        cluster.started(&mut up).await?;
        Ok(cluster)
    }

    /// Waits until `mkube up` says that it is ready.
    pub async fn started(&self, up: &mut Child) -> anyhow::Result<()> {
        let status = tokio::time::timeout(PATIENCE * 2, up.wait()).await.context("mkube up takes too long")?;
        ensure!(status.context("mkube up")?.success(), "mkube up failed, see {}/logs", self.dir.display());
        Ok(())
    }

    /// Ends it.
    pub async fn down(mut self) -> anyhow::Result<()> {
        self.ended = true;
        let ended = self.end().output();
        let output = tokio::time::timeout(PATIENCE, ended).await.context("mkube down takes too long")?;
        let output = output.context("mkube down")?;
        ensure!(output.status.success(), "mkube down: {}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(())
    }

    fn end(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["down", "--data-dir"]).arg(&self.dir).stdin(Stdio::null());
        command
    }

    /// How to talk to it; waits for the kubeconfig to appear.
    pub async fn config(&self) -> anyhow::Result<Config> {
        let path = self.dir.join("kubeconfig");
        let deadline = Instant::now() + PATIENCE;
        while !path.exists() {
            if Instant::now() > deadline {
                bail!("{} does not appear", path.display());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(Config::from_kubeconfig(&path)?.named("bench"))
    }

    /// A client with a connection of its own.
    pub async fn client(&self) -> anyhow::Result<Client> {
        Ok(Client::new(&self.config().await?)?)
    }

    /// Name and PID of each process of the cluster, the supervisor's too.
    pub fn processes(&self) -> anyhow::Result<Vec<(String, u32)>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(self.dir.join("run")).context("run directory")? {
            let path = entry.context("run directory")?.path();
            let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            let name = if name == "ready" { "supervisor".into() } else { name };
            let pid = std::fs::read_to_string(&path).context("PID file")?;
            found.push((name, pid.trim().parse().with_context(|| format!("PID of {}", path.display()))?));
        }
        found.sort();
        Ok(found)
    }

    /// The API server's PID.
    pub fn api_server(&self) -> anyhow::Result<u32> {
        let found = self.processes()?.into_iter().find(|(name, _)| name == "apiserver");
        found.map(|(_, pid)| pid).context("the API server does not run")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if !self.ended {
            let _ = self.end().into_std().stdout(Stdio::null()).status();
        }
    }
}

/// Proportional share of memory, in KiB.
pub fn pss(pid: u32) -> anyhow::Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).context("memory of a process")?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).context("no Pss in smaps_rollup")?;
    line.split_whitespace().next().and_then(|kib| kib.parse().ok()).context("Pss in smaps_rollup")
}

/// CPU time that all living threads of a process have used.
pub fn cpu(pid: u32) -> anyhow::Result<Duration> {
    let mut nanoseconds = 0;
    for thread in std::fs::read_dir(format!("/proc/{pid}/task")).context("threads of a process")?.flatten() {
        let text = std::fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
        nanoseconds += text.split(' ').next().and_then(|first| first.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(Duration::from_nanos(nanoseconds))
}
