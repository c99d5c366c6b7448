//! Measures a built `mkube` and prints one table beside the figures that it is held against.
//!
//! ```text
//! cargo build --profile dist -p mkube
//! cargo run --release -p e2e --example measure -- --mkube target/dist/mkube
//! ```
//! As root, on Linux. Everything happens in clusters of its own in a temporary directory, on loopback and in their own
//! network namespaces; they are ended even when a measurement fails. Every loop is bounded in count and time.
//! It relies on nothing but the program, its directory layout (`kubeconfig`, `run/*.pid`) and the Kubernetes API.
//! Load generator and servers share the machine: compare ratios and CPU per operation, in one run. Where etcd is installed, it is
//! measured in the same run, as a yardstick of what the machine gives at that time.

mod boot;
mod cluster;
mod idle;
mod load;
mod pods;
mod reads;
mod yardstick;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;

use cluster::Cluster;

/// Measures a built mkube.
#[derive(Debug, Parser)]
struct Arguments {
    /// The program to measure.
    #[arg(long, env = "MKUBE_BIN", default_value = "target/dist/mkube")]
    mkube: PathBuf,
    /// What to measure; by default everything.
    #[arg(value_parser = ["size", "etcd", "boot", "idle", "pods", "writes", "reads", "watch", "memory"])]
    only: Vec<String>,
    /// Repetitions; their median is shown.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of each load, each time.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
}

impl Arguments {
    fn wants(&self, what: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == what)
    }

    fn time(&self) -> Duration {
        Duration::from_secs(self.seconds.clamp(1, 60))
    }
}

/// One line of the table.
struct Row {
    what: String,
    value: String,
    anchor: &'static str,
}

/// The table; every row is also told at once, as a run takes minutes.
#[derive(Default)]
struct Table(Vec<Row>);

impl Table {
    fn row(&mut self, what: impl Into<String>, value: impl Into<String>, anchor: &'static str) {
        let row = Row { what: what.into(), value: value.into(), anchor };
        eprintln!("{}: {}", row.what, row.value);
        self.0.push(row);
    }

    fn print(&self) {
        println!("| what | measured | beside |\n|---|---|---|");
        for row in &self.0 {
            println!("| {} | {} | {} |", row.what, row.value, row.anchor);
        }
    }
}

// On one thread: what the clients cost is little and steady, and the servers keep a core to themselves.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let program = std::fs::canonicalize(&arguments.mkube).with_context(|| {
        format!("{}: build it with `cargo build --profile dist -p mkube`", arguments.mkube.display())
    })?;
    let dir = tempfile::tempdir().context("temporary directory")?;
    let mut table = Table::default();
    let outcome = tokio::select! {
        outcome = measure(&arguments, &program, dir.path(), &mut table) => outcome,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    table.print();
    outcome
}

async fn measure(arguments: &Arguments, program: &Path, dir: &Path, table: &mut Table) -> anyhow::Result<()> {
    let busy = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let busy = busy.split(' ').next().unwrap_or("?").to_string();
    table.row("machine", format!("{cores} cores, load average before the run {busy}"), "2 cores");
    if arguments.wants("size") {
        let size = std::fs::metadata(program).context("size")?.len();
        table.row("binary size", format!("{:.1} MiB", size as f64 / f64::from(1 << 20)), "rusternetes 75 MiB");
    }
    if arguments.wants("etcd") {
        yardstick::measure(&dir.join("etcd"), arguments.time(), arguments.rounds, table).await?;
    }
    if arguments.wants("boot") {
        boot::measure(program, dir, arguments.rounds, table).await?;
    }
    if arguments.wants("idle") {
        for nodes in [1, 3] {
            let cluster = Cluster::up(program, &dir.join(format!("idle-{nodes}")), nodes).await?;
            idle::measure(&cluster, nodes, table).await?;
            cluster.down().await?;
        }
    }
    if arguments.wants("pods") {
        let cluster = Cluster::up(program, &dir.join("pods"), 3).await?;
        pods::measure(&cluster, table).await?;
        cluster.down().await?;
    }
    if arguments.wants("memory") {
        let cluster = Cluster::up(program, &dir.join("memory"), 1).await?;
        reads::memory(&cluster, table).await?;
        cluster.down().await?;
    }
    if arguments.wants("writes") || arguments.wants("reads") || arguments.wants("watch") {
        let cluster = Cluster::up(program, &dir.join("load"), 1).await?;
        if arguments.wants("writes") {
            load::writes(&cluster, arguments.time(), arguments.rounds, table).await?;
        }
        if arguments.wants("reads") {
            reads::gets(&cluster, arguments.time(), arguments.rounds, table).await?;
            reads::lists(&cluster, arguments.rounds, table).await?;
        }
        if arguments.wants("watch") {
            reads::fan_out(&cluster, arguments.time(), table).await?;
        }
        cluster.down().await?;
    }
    Ok(())
}

/// The value below which `share` of all lie; `values` must not be empty.
fn quantile(values: &mut [Duration], share: f64) -> Duration {
    values.sort_unstable();
    let last = values.len().saturating_sub(1);
    values.get((last as f64 * share).round() as usize).copied().unwrap_or_default()
}

fn median(values: &mut [Duration]) -> Duration {
    quantile(values, 0.5)
}

/// `12.3 ms`
fn ms(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}

/// `1.23 s`
fn secs(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}
