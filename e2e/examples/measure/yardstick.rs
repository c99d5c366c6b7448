//! etcd on the same machine in the same run, if it is installed: what its puts cost says in what state the machine is, beside
//! the figures of a quiet one.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use base::Context;
use futures::future::try_join_all;
use store::remote::{Options, Remote};
use store::testing::put_op;
use store::{Kv, Txn};
use tokio::process::Command;

use crate::Table;
use crate::cluster::PATIENCE;
use crate::load::{self, Limit};

/// Puts of 256 bytes by 1 and 64 clients, each with a connection of its own.
pub async fn measure(dir: &Path, time: Duration, rounds: usize, table: &mut Table) -> anyhow::Result<()> {
    let (client, peer) = (free_address()?, free_address()?);
    let mut etcd = Command::new("etcd");
    etcd.arg("--data-dir").arg(dir).args(["--name", "one", "--log-level", "error", "--initial-cluster"]);
    etcd.arg(format!("one={peer}")).args(["--initial-advertise-peer-urls", &peer, "--listen-peer-urls", &peer]);
    etcd.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
    let quiet = etcd.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = match quiet.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            table.row("etcd as a yardstick", "SKIPPED: no etcd in PATH", "");
            return Ok(());
        }
        Err(error) => return Err(error).context("starting etcd"),
    };
    let outcome = puts(&client, child.id().context("etcd has ended")?, time, rounds, table).await;
    child.kill().await.context("ending etcd")?;
    outcome
}

async fn puts(address: &str, pid: u32, time: Duration, rounds: usize, table: &mut Table) -> anyhow::Result<()> {
    let value = vec![b'x'; 256];
    let context = Context::new();
    for clients in [1, 64] {
        // What they watch is never written.
        let options = Options { watched: "/never/".into(), ..Options::new([address]) };
        let connect = (0..clients).map(|_| Remote::connect(options.clone(), &context, PATIENCE));
        let remotes = try_join_all(connect).await.context("connecting to etcd")?;
        let mut outcomes = Vec::new();
        for _ in 0..rounds.clamp(1, 20) {
            let put = async |remote: &std::sync::Arc<Remote>, number: usize| {
                let then = vec![put_op(format!("/put/{}", number % 10_000), value.clone())];
                remote.txn(Txn { when: Vec::new(), then, otherwise: Vec::new() }).await?;
                Ok(())
            };
            outcomes.push(load::drive(&remotes, pid, Limit { time, count: 2_000_000 }, put).await?);
        }
        let beside = if clients == 1 { "quiet: 2.0k/s, 272 µs" } else { "quiet: 13.3k/s, 64 µs" };
        table.row(format!("yardstick: etcd put 256 B, {clients} client(s)"), load::shown(&outcomes), beside);
    }
    context.shutdown(PATIENCE).await;
    Ok(())
}

/// A port of 127.0.0.1 that nobody uses now, as a URL.
fn free_address() -> anyhow::Result<String> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).context("a free port")?;
    Ok(format!("http://{}", listener.local_addr()?))
}
